"""The round record, `rounds.jsonl`: one JSON line per round; report, compare and continue read this and nothing else.

A line of kind "training" holds
    round         1, 2, ...
    started, ended  UTC time, ISO 8601;  seconds  wall time of the round
    asked         sites that were asked
    answers       site -> {arrived: s after the start, bytes, samples: training images, steps, train_seconds, loss: mean
                  training loss, start: evaluation of the received model or null, end: evaluation of the site's own
                  model after training or null} (an evaluation is `fedward.evaluation.Evaluation.to_dict()`)
    missing       site -> why it did not count (no answer in time, its own error)
    refused       site -> why its result was not accepted
    warnings      [{site, message}]: clipped or ignored claims
    shares        name of the share -> site -> value in [0, 1]; each share sums to 1
    weights       site -> final weight; they sum to 1
    received      pooled evaluation of the model this round started from (that is, after round - 1), or null

A last line of kind "validation" (round = number of rounds) holds round, started, ended, seconds, answers (start only),
missing and `received`: the evaluation of the last global model.
"""

import json
import os
from pathlib import Path
from typing import Any

from fedward.errors import FedwardError

Record = dict[str, Any]


def append_record(path: Path, record: Record) -> None:
    """Add one line and make it durable."""
    line = json.dumps(record, allow_nan=False, sort_keys=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_records(path: Path) -> list[Record]:
    """All complete lines. A last line cut short by a crash is left out; any other damage is an error."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    records = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise FedwardError(f"{path}, line {number} is damaged ({error}): restore the file") from error
    return records


def training_records(records: list[Record]) -> list[Record]:
    return [r for r in records if r["kind"] == "training"]


def global_curve(records: list[Record]) -> list[tuple[int, Record]]:
    """(completed rounds, pooled evaluation) of each global model that was evaluated, the random start being 0."""
    curve = []
    for record in records:
        if record.get("received"):
            done = record["round"] - (1 if record["kind"] == "training" else 0)
            curve.append((done, record["received"]))
    return curve
