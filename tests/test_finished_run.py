"""What is left to do once training is over: the test patients and the report."""

import click
import pytest
from rich.console import Console

from fedward import running
from fedward.cli import run
from fedward.errors import UsageError
from fedward.lgg_segmentation import SETTINGS
from fedward.reports import page
from fedward.rounds.run_folder import RunFolder, write_json
from fedward.training import task


@pytest.fixture
def folder(tmp_path):
    """A run that was trained and not tested, beside the partition that holds its test patients."""
    (tmp_path / "sites" / "test").mkdir(parents=True)
    folder = RunFolder(tmp_path / "run")
    write_json(folder.run, {"state": "finished"})
    return folder


@pytest.fixture(autouse=True)
def tested(monkeypatch):
    class Tested:
        def write_test(self, folder, *others):
            write_json(folder.test, {})

    monkeypatch.setattr(task, "get_task", lambda settings: Tested())


def complete(folder):
    sites, console = folder.root.parent / "sites", Console(quiet=True)
    return running.run_and_report(SETTINGS, "federated", "loop", sites, folder, 1, "cpu", False, console)


def test_an_interruption_of_the_report_names_the_command_that_writes_it(folder, monkeypatch, capsys):
    def interrupted(root):
        raise KeyboardInterrupt  # as SIGTERM and Ctrl-C arrive

    monkeypatch.setattr(page, "write_report", interrupted)
    assert run(click.Command("job", callback=lambda: complete(folder)), []) == 130
    assert f"it lacks its report alone: fedward report {folder.root}" in capsys.readouterr().err


def test_a_finished_run_without_its_report_is_refused_with_the_command_that_writes_it(folder):
    write_json(folder.test, {})
    with pytest.raises(UsageError, match=f"is finished .* fedward report {folder.root}"):
        complete(folder)
    folder.report.touch()
    with pytest.raises(UsageError, match="is finished: choose another --out") as refusal:
        complete(folder)
    assert "fedward report" not in str(refusal.value)
