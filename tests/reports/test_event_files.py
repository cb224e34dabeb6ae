"""A run's event file holds each point once, whoever wrote it and however often it was begun."""

import pytest
from event_records import record

from event_reader import curves
from fedward.errors import UsageError
from fedward.reports import event_files as module
from fedward.reports.event_files import check_extra, event_files
from fedward.rounds.record import append_record
from fedward.rounds.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


def written(folder, *records, **options):
    pytest.importorskip("tensorboard")
    with event_files(folder, **options) as write:
        for each in records:
            write(each)


def test_whoever_goes_on_with_a_run_leaves_one_file_with_every_round(folder):
    """The plain loop gives the new records alone, the others all of them again."""
    rounds = [record(number, cost=1 / number) for number in (1, 2, 3)]
    for each in rounds[:2]:
        append_record(folder.rounds, each)
    written(folder, *rounds[:2])
    append_record(folder.rounds, rounds[2])
    expected = [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3))]
    written(folder, rounds[2])
    assert curves(folder.root / "tensorboard")["global/cost"] == expected
    written(folder, *rounds)
    assert curves(folder.root / "tensorboard")["global/cost"] == expected


def test_the_rounds_of_an_earlier_job_in_that_folder_are_no_rounds_of_this_one(folder):
    append_record(folder.rounds, {**record(1, cost=9.0), "started": "2026-11-01T10:00:00Z"})
    written(folder, record(1, cost=0.5), record(2, cost=0.25))
    assert curves(folder.root / "tensorboard")["global/cost"] == [(0, 0.5), (1, 0.25)]


def test_hospitals_alone_have_event_files_of_their_own(folder):
    written(folder, record(1, cost=0.5), {**record(1, cost=0.7), "asked": ["b"]}, apart=("a", "b"))
    assert curves(folder.root / "a" / "tensorboard")["global/cost"] == [(0, 0.5)]
    assert curves(folder.root / "b" / "tensorboard")["global/cost"] == [(0, pytest.approx(0.7))]


def test_nothing_is_written_where_none_are_wanted(folder):
    with event_files(None) as write:
        write(record())
    assert list(folder.root.iterdir()) == []


def test_without_the_extra_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs TensorBoard: pip install 'fedward\[tensorboard\]'"):
        check_extra()


def test_a_file_in_the_way_is_told_before_anything_is_trained(folder):
    (folder.root / "tensorboard").write_text("notes")
    with pytest.raises(UsageError, match="is no folder"), event_files(folder):
        pass
