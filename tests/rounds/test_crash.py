"""A crash at any point, then the same job again: the same weights bit for bit, and no finished round lost."""

import os
import shutil

import pytest
from fake_federation import make_federation, run_rounds

from fedward.errors import UsageError
from fedward.networks.checkpoint import read_model
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import RunFolder, read_json

TIMES = {"started", "ended", "seconds", "arrived"}


class PowerCutError(BaseException):
    """Nothing may catch it."""


class Power:
    """Cuts the power before or after the n-th change that reaches the disk."""

    CALLS = ("fsync", "replace", "unlink")

    def __init__(self, monkeypatch):
        self.left = -1
        self.after = False
        monkeypatch.setattr(os, "fsync", lambda handle: None)  # slow, and no power is really cut
        for name in self.CALLS:
            monkeypatch.setattr(os, name, self._watched(getattr(os, name)))

    def _watched(self, call):
        def watched(*args, **kwargs):
            if self.left == 0 and not self.after:
                raise PowerCutError
            result = call(*args, **kwargs)
            if self.left == 0:
                self.left = -1
                raise PowerCutError
            self.left -= 1
            return result

        return watched

    def cut_at(self, number, after):
        self.left, self.after = number, after

    def restore(self):
        self.left = -1


def without_times(value):
    if isinstance(value, dict):
        return {key: without_times(part) for key, part in value.items() if key not in TIMES}
    return value


def result(folder):
    """What must not depend on crashes."""
    models = {name: {k: v.tobytes() for k, v in read_model(folder.model(name))[0].items()} for name in ("best", "last")}
    about = {name: read_model(folder.model(name))[1] for name in models}
    run = read_json(folder.run)
    kept = {key: run[key] for key in ("state", "rounds_done", "best_round", "final_record", "optimizer_steps")}
    return models, about, kept, [without_times(record) for record in read_records(folder.rounds)]


def crashed(settings, folder, power, number, after):
    """Whether the power was cut while the run began or went on."""
    power.cut_at(number, after)
    try:
        run_rounds(make_federation(settings, folder))
    except PowerCutError:
        return True
    finally:
        power.restore()
    return False


@pytest.fixture
def whole(settings, tmp_path):
    folder = RunFolder(tmp_path / "whole" / "run")
    run_rounds(make_federation(settings, folder))
    return result(folder)


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_point_changes_nothing(settings, tmp_path, monkeypatch, whole, after):
    power = Power(monkeypatch)
    number = 0
    while True:
        folder = RunFolder(tmp_path / str(number) / "run")
        if not crashed(settings, folder, power, number, after):
            break
        finished_rounds = [r for r in read_records(folder.rounds) if r["kind"] == "training"]
        if folder.finished():  # the very last write was done
            with pytest.raises(UsageError):
                make_federation(settings, folder)
        else:
            federation = make_federation(settings, folder)
            assert federation.rounds_done >= len(finished_rounds) - 1
            run_rounds(federation)
        assert result(folder) == whole, f"power cut {number}"
        number += 1
    assert number > 50  # the power was indeed cut in all places


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_while_going_on_loses_no_finished_round(settings, tmp_path, monkeypatch, whole, after):
    begun = RunFolder(tmp_path / "begun" / "run")
    run_rounds(make_federation(settings, begun), until=2)
    power = Power(monkeypatch)
    number = 0
    while True:
        folder = RunFolder(shutil.copytree(begun.root, tmp_path / str(number) / "run"))
        if not crashed(settings, folder, power, number, after):
            break
        assert [r["round"] for r in read_records(folder.rounds)][:2] == [1, 2], f"power cut {number}"
        if not folder.finished():
            run_rounds(make_federation(settings, folder))
        assert result(folder) == whole, f"power cut {number}"
        number += 1
    assert number > 20


def test_the_best_model_survives_a_round_that_is_repeated_with_other_sites(settings, folder, monkeypatch):
    """The file of the best model is newer than the state: it was written in a round that was not finished."""
    run_rounds(make_federation(settings, folder), until=1)
    with monkeypatch.context() as patched:
        patched.setattr("fedward.rounds.federation.append_record", _power_cut)
        with pytest.raises(PowerCutError):
            run_rounds(make_federation(settings, folder), until=2)
    again = make_federation(settings, folder)
    assert again.best["round"] == read_model(folder.model("best"))[1]["round"] == 1


def _power_cut(*_):
    raise PowerCutError
