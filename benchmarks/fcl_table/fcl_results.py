"""The result of a row: one JSON file with figures, command, machine and date, and nothing about single patients."""

from pathlib import Path
from typing import Any

import fcl_rows
import numpy as np
from row_runner import Row, command_of

from fedward.rounds.record import Record, read_records, training_records
from fedward.rounds.run_folder import RunFolder, read_json, write_json

RESULTS = Path(__file__).resolve().parents[1] / "results" / "fcl_table"
MODEL = "last"  # no hospital has validation patients to choose another on


def result_path(row_name: str, preset: fcl_rows.Preset) -> Path:
    return RESULTS / preset.name / f"{row_name}.json"


def read_result(row_name: str, preset: fcl_rows.Preset) -> dict[str, Any] | None:
    """A row's result; None where it has not been run."""
    path = result_path(row_name, preset)
    result: dict[str, Any] | None = read_json(path) if path.is_file() else None
    return result


def write_result(row: Row, preset: fcl_rows.Preset, folder: RunFolder) -> None:
    """Write the result of a finished run."""
    run = read_json(folder.run)
    result = {
        "row": row.name,
        "command": command_of(row),
        "partition": f"fedward partition {' '.join(fcl_rows.partition(preset))} --out {row.sites}",
        **{name: run[name] for name in ("seconds", "optimizer_steps", "rounds", "machine", "versions")},
        "date": run["ended"],
    }
    if row.job == "cardiac_contrastive":
        result |= pretraining_figures(folder)
    else:
        result["test"] = tested(folder)
    write_json(result_path(row.name, preset), result)


def tested(folder: RunFolder) -> dict[str, Any]:
    """Dice on the test patients: over volumes with interval, and pooled over all slices, of each structure and mean."""
    model = read_json(folder.test)["models"][MODEL]
    keep = ("pooled_dice", "dice")
    structures = {name: {key: value[key] for key in keep} for name, value in model["structures"].items()}
    about = {"mean_dice": model["mean_dice"], "pooled_dice": model["evaluation"]["quality"], "structures": structures}
    return {**about, **({"hospitals": model["hospitals"]} if "hospitals" in model else {})}


def pretraining_figures(folder: RunFolder) -> dict[str, Any]:
    """Loss after each round, warnings, bytes of features, what tells members, and where test slices' features lie."""
    if not folder.rounds.is_file():
        return local_pretraining_figures(folder)
    records = training_records(read_records(folder.rounds))
    return {
        "training_loss": [mean_loss(record) for record in records],
        "warnings": sorted({warning["message"] for record in records for warning in record.get("warnings", ())}),
        "exchanged_bytes": [
            sum(bank["bytes"] for bank in record["exchange"]["banks"].values()) if "exchange" in record else 0
            for record in records
        ],
        "membership": read_json(folder.test).get("membership"),
        "test_partition": test_partition(folder.root / "features.npz"),
    }


def local_pretraining_figures(folder: RunFolder) -> dict[str, Any]:
    """The same of hospitals that each pretrained alone: the mean of their losses, and nothing that was exchanged."""
    sites = read_json(folder.settings)["sites"]
    runs = [training_records(read_records(RunFolder(folder.root / site).rounds)) for site in sites]
    losses = np.array([[mean_loss(record) for record in records] for records in runs]).mean(axis=0)
    warnings = {warning["message"] for records in runs for one in records for warning in one.get("warnings", ())}
    nothing = {"exchanged_bytes": [0] * len(losses), "membership": None, "test_partition": None}
    return {"training_loss": losses.tolist(), "warnings": sorted(warnings), **nothing}


def mean_loss(record: Record) -> float:
    answers = record["answers"].values()
    total = sum(answer["samples"] for answer in answers)
    return float(sum(answer["loss"] * answer["samples"] for answer in answers) / total)


def test_partition(path: Path) -> float | None:
    """Share of test slices whose nearest neighbour among the hospitals' slices lies in the same part of its volume."""
    table = np.load(path)
    rows, member, partition = table["rows"].astype(np.float32), table["member"], table["partition"]
    if member.all():
        return None
    nearest = (rows[~member] @ rows[member].T).argmax(axis=1)
    return float((partition[member][nearest] == partition[~member]).mean())
