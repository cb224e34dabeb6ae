"""A job on a real network, as far as it goes without one: who takes part, what is shown, what is brought home."""

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

import fedward.flare.session
from event_reader import curves
from fedward.cli import cli, run
from fedward.commands.watch import _completed
from fedward.errors import FedwardError, NoAnswer, NoSuchJob, UsageError
from fedward.kits.kit import Network
from fedward.lgg_segmentation import SETTINGS
from fedward.remote import JOB_FILE, check_target, find_run, run_on_network, study_sites
from fedward.rounds.run_folder import RunFolder, read_json, write_json

HOSPITALS = ("hospital-01", "hospital-02", "hospital-03")
RECORD = {"kind": "training", "asked": list(HOSPITALS), "answers": {}, "received": None, "seconds": 1.0}
WEIGHTS = {"hospital-01": 1.0}

WAITS = "2026-11-21 18:09:12 to 2026-11-21 18:09:17: waits for hospital-02"


def kit(**studies):
    network = Network(
        "net", {"name": "s", "host": "s", "port": 1}, HOSPITALS, "coordinator", {}, studies, {}, "0", "0", "0"
    )
    return SimpleNamespace(network=network, host="s", port=1, root="KIT")


def test_the_sites_of_a_run_are_the_hospitals_of_its_study():
    studies = {"brain": {"sites": ["hospital-03", "hospital-01", "coordinator"], "admins": []}}
    assert study_sites(kit(**studies), "brain") == ("hospital-01", "hospital-03")
    assert study_sites(kit(), "anything") == HOSPITALS
    with pytest.raises(UsageError, match="study 'heart' is unknown to net: --study is one of brain"):
        study_sites(kit(**studies), "heart")


class FakeServer:
    """A server whose job goes through `states`, one a question; at the end it leaves `run`."""

    def __init__(self, states, run, details=()):
        self.states, self.run, self.details = list(states), run, list(details)
        self.submitted = []
        self.late_records = 0

    def submit(self, job):
        assert (job / "meta.json").is_file()
        self.configuration = (job / "app" / "config" / "config_fed_server.json").read_text()
        self.submitted.append(job.name)
        return f"job-{len(self.submitted)}"

    def meta(self, job_id):
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, BaseException):
            raise state
        return {"status": state, "job_deploy_detail": self.details, "schedule_history": [WAITS]}

    def records(self, job_id):
        if self.late_records:
            self.late_records -= 1
            raise LATE
        return [{**RECORD, "round": 1, "weights": WEIGHTS}]

    def download(self, job_id, folder):
        if self.run is not None:
            place = folder / job_id / "workspace" / "run"
            write_json(place / "run.json", self.run)
            (place / "rounds.jsonl").write_text("")
        (folder / job_id).mkdir(exist_ok=True)
        return folder / job_id


@pytest.fixture
def go(monkeypatch, tmp_path):
    monkeypatch.setattr("fedward.remote.POLL_SECONDS", 0.0)
    console = Console(record=True, width=200, force_terminal=False, quiet=False)

    def run(server, settings=SETTINGS, tensorboard=False):
        @contextmanager
        def connect(kit, study):
            yield server

        monkeypatch.setattr(fedward.flare.session, "connect", connect)
        folder = RunFolder(tmp_path / "run")
        folder.root.mkdir(exist_ok=True)
        run_on_network(settings, kit(), folder, tensorboard, console)
        return folder

    run.console = console
    run.folder = RunFolder(tmp_path / "run")
    return run


def test_a_run_is_followed_and_brought_home(go):
    folder = go(FakeServer(["SUBMITTED", "RUNNING", "FINISHED:COMPLETED"], {"state": "finished"}))
    assert read_json(folder.run)["state"] == "finished"
    shown = go.console.export_text()
    assert "Submitted job job-1" in shown
    assert "waits for hospital-02; it starts by itself, or needs fewer sites with --min-sites" in shown
    assert "did not take the job" not in shown
    assert "round 1/25" in shown
    assert "FINISHED:COMPLETED" in shown


def test_event_files_come_from_the_rounds_that_are_shown_and_ask_nothing_of_the_server(go):
    pytest.importorskip("tensorboard")
    server = FakeServer(["RUNNING", KeyboardInterrupt(), "RUNNING", "FINISHED:COMPLETED"], {"state": "finished"})
    with pytest.raises(KeyboardInterrupt):
        go(server, tensorboard=True)
    assert "--tensorboard" in go.console.export_text()  # in the command that watches again
    folder = go(server, tensorboard=True)
    assert curves(folder.root / "tensorboard")["weight/hospital-01"] == [(1, 1.0)]
    assert "TBAnalyticsReceiver" not in server.configuration


def test_a_job_of_another_version_is_brought_home_with_its_report_alone(tmp_path, monkeypatch, capsys):
    folder = RunFolder(tmp_path / "run")
    write_json(folder.settings, {"name": "run", "a_later_setting": 1})
    monkeypatch.setattr("fedward.reports.page.write_report", lambda root: root / "report.html")
    assert _completed(folder) == folder.report
    assert "the job is of another version of fedward, so there is its report alone" in capsys.readouterr().err


def test_event_files_of_a_watched_job_need_a_folder(capsys):
    assert run(cli, ["watch", "job-1", "--startup-kit", "KIT", "--tensorboard"]) == 2
    assert "--tensorboard is for --out" in capsys.readouterr().err


@pytest.mark.parametrize(("rounds", "goes_on"), [(1, "; submitted again, it goes on from its last round"), (0, "")])
def test_a_run_that_failed_says_the_runs_own_reason(go, rounds, goes_on):
    error = {"message": "round 2: only 1 of 2 sites", "site": None}
    with pytest.raises(FedwardError, match=f"job job-1 failed: round 2: only 1 of 2 sites{goes_on}$"):
        go(FakeServer(["FINISHED:EXECUTION_EXCEPTION"], {"state": "failed", "rounds_done": rounds, "error": error}))


def test_a_job_that_never_ran_says_which_site_refused_it(go):
    with pytest.raises(FedwardError, match="without a run folder: hospital-02: study 'x' is not approved"):
        go(FakeServer(["FINISHED:FAILED_TO_RUN"], None, ["server: OK", "hospital-02: study 'x' is not approved"]))


def test_an_interrupted_watch_goes_on_with_the_same_job(go):
    server = FakeServer(["RUNNING", KeyboardInterrupt(), "FINISHED:COMPLETED"], {"state": "finished"})
    with pytest.raises(KeyboardInterrupt):
        go(server)
    assert "The job goes on without this command" in go.console.export_text()
    assert read_json(go.folder.root / JOB_FILE)["job"] == "job-1"
    go(server)
    assert server.submitted == [SETTINGS.name]
    assert "Going on with job job-1" in go.console.export_text()


def test_a_run_that_ended_is_submitted_anew(go):
    failed = {"state": "failed", "error": None}
    server = FakeServer(["FINISHED:EXECUTION_EXCEPTION"], failed)
    for number in (1, 2):
        with pytest.raises(FedwardError, match=f"job job-{number} failed"):
            go(server)


def test_a_job_that_runs_without_a_site_says_so_while_it_runs(go):
    details = ["server: OK", "hospital-02: NVFLARE_ERROR: study 'x' is not approved"]
    go(FakeServer(["RUNNING", "RUNNING", "FINISHED:COMPLETED"], {"state": "finished"}, details))
    shown = go.console.export_text()
    assert shown.count("hospital-02 did not take the job: study 'x' is not approved") == 1


def test_a_job_with_other_settings_that_still_waits_is_not_forgotten(go):
    server = FakeServer(["SUBMITTED", KeyboardInterrupt(), "SUBMITTED"], {"state": "finished"})
    with pytest.raises(KeyboardInterrupt):
        go(server)
    with pytest.raises(UsageError, match=r"belongs to job job-1, .*is SUBMITTED: .*nvflare job abort job-1"):
        go(server, replace(SETTINGS, rounds=2))
    server.states = ["FINISHED:ABORTED", "FINISHED:COMPLETED"]
    go(server, replace(SETTINGS, rounds=2))
    assert len(server.submitted) == 2


LATE = NoAnswer("job job-1: no answer")


def test_a_late_answer_is_waited_for(go):
    server = FakeServer(["RUNNING", LATE, LATE, "RUNNING", "FINISHED:COMPLETED"], {"state": "finished"})
    server.late_records = 1
    assert read_json(go(server).run)["state"] == "finished"
    shown = go.console.export_text()
    assert shown.count("The server does not answer; asking again for up to 120 s") == 1
    assert "round 1/25" in shown
    assert len(server.submitted) == 1


def test_a_server_that_stays_silent_leaves_the_job_to_be_watched_again(go, monkeypatch):
    monkeypatch.setattr("fedward.remote.PATIENCE", 0.0)
    server = FakeServer(["RUNNING", LATE, "RUNNING", "FINISHED:COMPLETED"], {"state": "finished"})
    with pytest.raises(NoAnswer):
        go(server)
    server.states.insert(0, LATE)  # silence is no reason to submit the job a second time
    with pytest.raises(NoAnswer):
        go(server)
    go(server)
    assert len(server.submitted) == 1


def test_a_job_that_the_server_does_not_know_is_submitted_anew(go):
    server = FakeServer(["FINISHED:COMPLETED"], {"state": "finished"})
    folder = go(server)
    folder.run.unlink()
    server.states = [NoSuchJob("job job-1: no such job"), "FINISHED:COMPLETED"]
    go(server)
    assert len(server.submitted) == 2


def test_watching_does_not_replace_the_run_of_another_job(tmp_path):
    folder = RunFolder(tmp_path)
    check_target(folder, "job-1")
    write_json(folder.root / JOB_FILE, {"job": "job-1"})
    check_target(folder, "job-1")
    with pytest.raises(UsageError, match="holds job job-1: choose another --out"):
        check_target(folder, "job-2")
    (folder.root / JOB_FILE).unlink()
    write_json(folder.run, {"state": "finished"})
    with pytest.raises(UsageError, match="holds another run"):
        check_target(folder, "job-1")


def test_a_download_without_a_run(tmp_path):
    with pytest.raises(FedwardError, match="see the server's log"):
        find_run(tmp_path)
