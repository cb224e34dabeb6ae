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
    exchange      of a run whose sites exchange features, before each round but the first: {banks: site -> {rows, bytes,
                  age: rounds since it was offered, arrived: s after the exchange began or null, train_seconds: the
                  site's own time or null}, sent: site -> bytes of the others' features, models: site -> bytes of the
                  model that it was sent to make its features with, missing and refused as above, seconds: wall time
                  of the exchange, which the round's own does not hold}
    received      pooled evaluation of the model this round started from (that is, after round - 1), or null

A last line of kind "validation" (round = number of rounds) holds round, started, ended, seconds, asked, answers (start
only), missing, refused, warnings and `received`: the evaluation of the last global model.
"""

import json
import os
from pathlib import Path
from typing import Any

from fedward.errors import FedwardError
from fedward.rounds.run_folder import write_bytes

Record = dict[str, Any]


def append_record(path: Path, record: Record) -> None:
    """Add one line and make it durable."""
    line = _line(record)
    with path.open("a", encoding="utf-8") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _line(record: Record) -> str:
    return json.dumps(record, allow_nan=False, sort_keys=True) + "\n"


def read_records(path: Path) -> list[Record]:
    """All complete lines. A last line cut short by a crash is left out; any other damage is an error."""
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")
    records = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("no record")
        except ValueError as error:
            if number == len(lines):
                break
            raise FedwardError(f"{path}, line {number} is damaged ({error}): restore the file") from error
        records.append(record)
    return records


def keep_records(path: Path, rounds: int) -> None:
    """Leave the records of the first `rounds` training rounds alone in the file; FedwardError where one is missing."""
    kept = [record for record in training_records(read_records(path)) if record["round"] <= rounds]
    if [record["round"] for record in kept] != list(range(1, rounds + 1)):
        raise FedwardError(f"{path} does not hold rounds 1 to {rounds} once each: restore it, or begin anew")
    write_bytes(path, "".join(_line(record) for record in kept).encode())


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
