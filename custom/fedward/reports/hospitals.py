"""Per-hospital figures of a run and what went wrong at each hospital, from the round records. Pure functions."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fedward.reports.metrics import bytes_sent_to, evaluation_iou, images_per_second, number
from fedward.reports.run_data import Run
from fedward.rounds.record import Record, training_records


@dataclass(frozen=True)
class HospitalRow:
    """One hospital over the whole run. `start` is the received model, `end` its own model after training, both in the
    last round that has them; counts are None where they are not known. `bytes` went from the hospital to the server,
    `received` the other way; `speed` is in training images a second."""

    site: str
    institution: str
    train: int | None
    validation: int | None
    slices: int | None
    samples: int | None
    validation_images: int | None
    start: "Measured"
    end: "Measured"
    weight: float | None
    answered: int
    counted: int
    asked: int
    bytes: int
    received: int
    train_seconds: float
    speed: float | None


@dataclass(frozen=True)
class Measured:
    """An evaluation; `details` by name, see `fedward.evaluation.Evaluation`."""

    cost: float | None = None
    quality: float | None = None
    iou: float | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Remark:
    """The same event at one site, in one or more rounds. `kind`: "missing", "refused", "warning" or "partition"."""

    kind: str
    site: str
    message: str
    rounds: tuple[int, ...]


def hospital_rows(run: Run) -> list[HospitalRow]:
    """One row a hospital, sorted by name."""
    return [_row(run, site) for site in run.sites]


def _row(run: Run, site: str) -> HospitalRow:
    holds: dict[str, Any] = (run.partition.get("sites") or {}).get(site) or {}
    training = training_records(run.records)
    answers = [r["answers"][site] for r in training if site in r["answers"]]
    every = [r["answers"][site] for r in run.records if site in r["answers"]]
    start = next((a["start"] for a in reversed(every) if a.get("start")), None)
    end = next((a["end"] for a in reversed(answers) if a.get("end")), None)
    weights = [r["weights"][site] for r in training if site in (r.get("weights") or {})]
    samples = [number(a.get("samples")) for a in answers]
    return HospitalRow(
        site=site,
        institution=str(holds.get("institution") or ""),
        train=held(holds, "patients", "train"),
        validation=held(holds, "patients", "validation"),
        slices=held(holds, "slices"),
        samples=int(samples[-1]) if samples and samples[-1] is not None else None,
        validation_images=(start or end or {}).get("images"),
        start=_measured(start),
        end=_measured(end),
        weight=number(weights[-1]) if weights else None,
        answered=len(answers),
        counted=len(weights),
        asked=sum(site in (r.get("asked") or ()) for r in training),
        bytes=int(sum(number(a.get("bytes")) or 0 for a in answers)),
        received=bytes_sent_to(site, run.records),
        train_seconds=sum(number(a.get("train_seconds")) or 0.0 for a in answers),
        speed=images_per_second(answers, run.training.get("batch_size")),
    )


def held(holds: dict[str, Any], what: str, use: str | None = None) -> int | None:
    """A count of a site in partition.json: `what` is patients, images, slices or slices_with_tumour, `use`
    train or validation, both together where it is None. None where the file does not say."""
    counts = holds.get(what)
    if not isinstance(counts, dict):
        return None
    values = [number(counts.get(u)) for u in ((use,) if use else ("train", "validation"))]
    known = [int(v) for v in values if v is not None]
    return sum(known) if known else None


def _measured(evaluation: dict[str, Any] | None) -> Measured:
    if not evaluation:
        return Measured()
    details = evaluation.get("details")
    return Measured(
        cost=number(evaluation.get("cost")),
        quality=number(evaluation.get("quality")),
        iou=evaluation_iou(evaluation),
        details=details if isinstance(details, dict) else {},
    )


def remarks(records: Iterable[Record], partition_warnings: Iterable[str] = ()) -> list[Remark]:
    """Missing, refused and warned-about results and features, equal ones of several rounds together, worst kind first.

    Warnings of the partition come last and belong to no round.
    """
    found: dict[tuple[str, str, str], set[int]] = {}
    for record in records:
        events = [("missing", s, why) for s, why in (record.get("missing") or {}).items()]
        events += [("refused", s, why) for s, why in (record.get("refused") or {}).items()]
        exchange = record.get("exchange") or {}
        for kind in ("missing", "refused"):
            events += [(kind, s, f"features: {why}") for s, why in (exchange.get(kind) or {}).items()]
        events += [("warning", w.get("site") or "", w.get("message") or "") for w in record.get("warnings") or ()]
        for kind, site, message in events:
            found.setdefault((kind, str(site), str(message)), set()).add(record["round"])
    order = ("refused", "missing", "warning")
    rows = [Remark(*key, tuple(sorted(rounds))) for key, rounds in found.items()]
    rows.sort(key=lambda r: (order.index(r.kind), r.rounds[0], r.site, r.message))
    return rows + [Remark("partition", "", str(message), ()) for message in partition_warnings]


def round_ranges(rounds: Iterable[int]) -> str:
    """Round numbers as people write them: (1, 2, 3, 7) is "1–3, 7"."""
    runs: list[list[int]] = []
    for value in sorted(set(rounds)):
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}–{r[-1]}" for r in runs)
