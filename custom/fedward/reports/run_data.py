"""Read a run folder for reports: whatever is there, also of a run that was interrupted or is still going on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedward.errors import FedwardError
from fedward.evaluation import Evaluation, pool
from fedward.networks.registry import SEGMENTATION, TASKS
from fedward.reports.metrics import best_validation
from fedward.rounds.record import Record, read_records
from fedward.rounds.run_folder import RunFolder, existing_run, read_json


@dataclass(frozen=True)
class Run:
    """One run folder, read. `partition` and `settings` are empty and `test` is None where the file is not there."""

    folder: RunFolder
    info: dict[str, Any]
    settings: dict[str, Any]
    partition: dict[str, Any]
    records: list[Record]
    test: dict[str, Any] | None

    @property
    def name(self) -> str:
        return str(self.info.get("name") or self.folder.root.resolve().name)

    @property
    def method(self) -> str:
        """What is compared: "central", "local" or the name of the weighting scheme."""
        mode = str(self.info.get("mode") or "federated")
        return str(self.info.get("scheme") or "federated") if mode == "federated" else mode

    @property
    def federated(self) -> bool:
        """Whether models travelled: centralised and local runs send nothing."""
        return self.info.get("mode") not in ("central", "local")

    @property
    def best_round(self) -> int | None:
        """The round of the best model, as the run chose it; None for hospitals that each chose their own."""
        chosen = self.info.get("best_round")
        return chosen if isinstance(chosen, int) and self.method != "local" else None

    @property
    def shown_best(self) -> int | None:
        """The round of the best model that charts mark: as chosen, or else the best on validation so far."""
        validated = best_validation(self.records)
        return validated[0] if self.best_round is None and validated and self.method != "local" else self.best_round

    @property
    def training(self) -> dict[str, Any]:
        """The training settings; empty where there are none."""
        found = self.settings.get("training")
        return found if isinstance(found, dict) else {}

    @property
    def task(self) -> str:
        """What was trained: it follows from the network; the first where none is named."""
        return TASKS.get(str(self.training.get("network")), SEGMENTATION)

    @property
    def rounds(self) -> int:
        """Rounds planned, at least those done."""
        planned = self.info.get("rounds")
        return max(planned if isinstance(planned, int) else 0, self.rounds_done)

    @property
    def rounds_done(self) -> int:
        return max((r["round"] for r in self.records if r["kind"] == "training"), default=0)

    @property
    def sites(self) -> list[str]:
        """Every site that took part, sorted by name; those that hold data where no round has ended yet."""
        names: set[str] = set()
        for record in self.records:
            names.update(record.get("asked") or ())
            names.update(record["answers"])
        return sorted(names or self.partition.get("sites") or {})


def load_run(root: Path | str, sites_folder: Path | str | None = None) -> Run:
    """Read the run folder at `root`; the partition comes from `sites_folder` where the run has none of its own.

    Raises FedwardError where `root` is no run folder or one of its files is damaged.
    """
    folder = existing_run(root)
    partition = folder.partition
    if not partition.is_file() and sites_folder is not None:
        partition = Path(sites_folder) / "partition.json"
    test = _optional_object(folder.test)
    if test is not None:
        _check_test(folder.test, test)
    info = _optional_object(folder.run) or {}
    if info.get("mode") == "local":
        records = _merged([_records(path) for path in sorted(folder.root.glob("*/rounds.jsonl"))])
    else:
        records = _records(folder.rounds)
    found = _optional_object(partition) or {}
    sites = found.get("sites")
    if sites is not None and not (isinstance(sites, dict) and all(isinstance(s, dict) for s in sites.values())):
        raise FedwardError(f'{partition}: "sites" must map each site to what it holds: restore the file')
    return Run(
        folder=folder,
        info=info,
        settings=_optional_object(folder.settings) or {},
        partition=found,
        records=records,
        test=test,
    )


def _records(path: Path) -> list[Record]:
    records = read_records(path)
    for number, record in enumerate(records, start=1):
        _check_record(path, number, record)
    return records


def _merged(runs: list[list[Record]]) -> list[Record]:
    """The records of hospitals that each trained alone, as if their rounds had been one run's.

    `received` then pools each hospital's own model on its own images. Weights, shares and the warnings about them mean
    nothing for one hospital and are left out.
    """
    merged: dict[tuple[str, int], Record] = {}
    for record in (r for records in runs for r in records):
        key = (record["kind"], record["round"])
        nothing = {"asked": [], "answers": {}, "weights": {}, "shares": {}, "warnings": [], "seconds": 0}
        whole = merged.setdefault(key, {**record, **nothing})
        whole["asked"] = [*whole["asked"], *(record.get("asked") or ())]
        whole["answers"] = {**whole["answers"], **record["answers"]}
        whole["seconds"] += record.get("seconds") or 0
    for record in merged.values():
        starts = [a["start"] for a in record["answers"].values() if isinstance(a.get("start"), dict)]
        pooled = pool(Evaluation(**start) for start in starts)
        record["received"] = pooled.to_dict() if pooled else None
    return sorted(merged.values(), key=lambda r: (r["kind"], r["round"]))  # "training" before "validation"


def _optional_object(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    value = read_json(path)
    if not isinstance(value, dict):
        raise FedwardError(f"{path} must hold a JSON object, not {type(value).__name__}: restore the file")
    return value


def _check_record(path: Path, number: int, record: Any) -> None:
    ok = (
        isinstance(record, dict)
        and record.get("kind") in ("training", "validation")
        and isinstance(record.get("round"), int)
        and isinstance(record.get("answers"), dict)
        and all(isinstance(answer, dict) for answer in record["answers"].values())
        and _is_exchange(record.get("exchange"))
    )
    if not ok:
        raise FedwardError(f"{path}, record {number} is no round record (kind, round and answers): restore the file")


def _is_exchange(value: Any) -> bool:
    """Whether this is what a record says of an exchange; None in a round without one."""
    if value is None:
        return True
    parts = [value.get(key) for key in ("banks", "sent", "missing", "refused")] if isinstance(value, dict) else [None]
    return all(isinstance(part, dict) for part in parts) and all(isinstance(b, dict) for b in value["banks"].values())


def _check_test(path: Path, test: dict[str, Any]) -> None:
    models = test.get("models")
    ok = isinstance(models, dict) and all(
        isinstance(m, dict) and isinstance(m.get("evaluation"), dict) and isinstance(m.get("per_patient"), dict)
        for m in models.values()
    )
    if not ok:
        raise FedwardError(f'{path} needs "models" with "evaluation" and "per_patient" for each: test the run again')
