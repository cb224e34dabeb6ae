"""rounds.jsonl: what was written is read again, and a crash while writing costs one line at most."""

import json

import pytest

from fedward.errors import FedwardError
from fedward.rounds.record import append_record, global_curve, read_records, training_records

RECORDS = [{"round": 1, "kind": "training", "site": "Klinik Süd"}, {"round": 2, "kind": "training"}]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "rounds.jsonl"
    for record in RECORDS:
        append_record(path, record)
    return path


def test_a_missing_file_holds_no_record(tmp_path):
    assert read_records(tmp_path / "rounds.jsonl") == []


def test_records_come_back_in_order_one_line_each(path):
    assert read_records(path) == RECORDS
    assert path.read_text().count("\n") == 2


def test_a_last_line_cut_anywhere_is_left_out(path):
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first + 1, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert read_records(path) == RECORDS[:1], length
    path.write_bytes(whole[:-1])  # only the line end is missing: the record is whole
    assert read_records(path) == RECORDS


@pytest.mark.parametrize("damage", [b'{"round": 1, "ki', b"\x00\x00\x00", b"nonsense", b"[1, 2]", b"17", b"\xff\xfe{}"])
def test_any_other_damage_is_an_error_that_names_the_line(path, damage):
    lines = path.read_bytes().split(b"\n")
    lines[0] = damage
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(FedwardError, match=r"rounds\.jsonl, line 1 is damaged"):
        read_records(path)


def test_a_complete_last_line_that_is_damaged_is_an_error(path):
    path.write_bytes(path.read_bytes() + b"{broken}\n")
    with pytest.raises(FedwardError, match="line 3 is damaged"):
        read_records(path)


def test_a_number_that_json_does_not_know_is_refused_and_leaves_the_file_as_it_was(path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        append_record(path, {"round": 3, "loss": float("nan")})
    assert path.read_bytes() == before


def test_the_curve_counts_completed_rounds_and_skips_what_was_not_evaluated():
    records = [
        {"round": 1, "kind": "training", "received": {"quality": 0.1}},
        {"round": 2, "kind": "training", "received": None},
        {"round": 3, "kind": "training", "received": {"quality": 0.3}},
        {"round": 3, "kind": "validation", "received": {"quality": 0.4}},
    ]
    assert [(done, e["quality"]) for done, e in global_curve(records)] == [(0, 0.1), (2, 0.3), (3, 0.4)]
    assert training_records(records) == records[:3]
    assert json.dumps(global_curve([])) == "[]"
