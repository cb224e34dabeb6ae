"""The result of a row: one JSON file with figures, command, machine and date, and nothing about single patients."""

from pathlib import Path
from typing import Any

import rows
from row_runner import Row, command_of

from fedward.rounds.record import Record, global_curve, read_records, training_records
from fedward.rounds.run_folder import RunFolder, read_json, write_json

RESULTS = Path(__file__).resolve().parents[1] / "results" / "cxr"
ENCODER = Path("models", "encoder.safetensors")


def result_path(row_name: str, preset: rows.Preset) -> Path:
    return RESULTS / preset.name / f"{row_name}.json"


def read_result(row_name: str, preset: rows.Preset) -> dict[str, Any] | None:
    """A row's result; None where it has not been run."""
    path = result_path(row_name, preset)
    result: dict[str, Any] | None = read_json(path) if path.is_file() else None
    return result


def write_result(row: Row, preset: rows.Preset, folder: RunFolder) -> None:
    """Write the result of a finished run."""
    run = read_json(folder.run)
    result = {
        "row": row.name,
        "command": command_of(row),
        "partition": f"fedward partition {' '.join(rows.partitions(preset)[row.sites])} --out {row.sites}",
        **{name: run[name] for name in ("seconds", "optimizer_steps", "rounds", "machine", "versions")},
        "date": run["ended"],
    }
    local = run["mode"] == "local"  # each hospital has rounds of its own
    records = [] if local else read_records(folder.rounds)
    if row.job == "cxr_pretraining":
        result |= pretraining_figures(folder, records)
    else:
        result |= {"test": tested(folder), **({} if local else curve(records))}
        if run["mode"] == "federated":
            result["bytes"] = travelled(records)
    write_json(result_path(row.name, preset), result)


def tested(folder: RunFolder) -> dict[str, Any]:
    """AUCs on the test patients, of the model that was best on validation and of the last."""
    models = read_json(folder.test)["models"]
    return {name: {key: model[key] for key in ("round", "mean_auc", "findings")} for name, model in models.items()}


def curve(records: list[Record]) -> dict[str, Any]:
    """The global model after 0, 1, ... rounds on the hospitals' validation images."""
    found = global_curve(records)
    return {"validation": [{"round": n, "auc": part["quality"], "cost": part["cost"]} for n, part in found]}


def travelled(records: list[Record]) -> list[dict[str, int]]:
    """Bytes that the server received and sent in each round, all hospitals together."""
    return [
        {name: sum(answer[key] for answer in record["answers"].values()) for name, key in ways}
        for record in training_records(records)
        for ways in [(("received", "bytes"), ("sent", "sent"))]
    ]


def pretraining_figures(folder: RunFolder, records: list[Record]) -> dict[str, Any]:
    """Loss, feature statistics and probe after each epoch, images a second, warnings, and the encoder's digest."""
    losses = [_mean(record, "loss") for record in training_records(records)]
    epochs = [{"round": n, "cost": part["cost"], **part.get("details", {})} for n, part in global_curve(records)]
    trained = training_records(records)
    seconds = sum(answer["train_seconds"] for record in trained for answer in record["answers"].values())
    images = sum(answer["samples"] for record in trained for answer in record["answers"].values())
    warnings = sorted({warning["message"] for record in records for warning in record.get("warnings", ())})
    return {
        "training_loss": losses,
        "epochs": epochs,
        "images_per_second": images / seconds,
        "warnings": warnings,
    }


def _mean(record: Record, key: str) -> float:
    answers = record["answers"].values()
    total = sum(answer["samples"] for answer in answers)
    return float(sum(answer[key] * answer["samples"] for answer in answers) / total)
