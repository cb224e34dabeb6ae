"""The server's stores lie in the kit from which it was started, whatever folder that is."""

import os
from unittest.mock import Mock

import pytest
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import RunStatus
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.fuel.utils.zip_utils import zip_directory_to_bytes

from fedward.errors import FedwardError
from fedward.flare.stores import KitJobManager, KitStorage


def test_stores_are_made_in_the_running_kit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NVFL_JOB_STORE_ROOT", raising=False)
    assert KitStorage("store/snapshots").root_dir == str(tmp_path / "store" / "snapshots")
    assert KitJobManager("store/jobs").uri_root == str(tmp_path / "store" / "jobs")
    assert (tmp_path / "store" / "jobs").is_dir()


def test_an_absolute_path_is_taken_as_it_is(tmp_path, monkeypatch):
    """`nvflare poc` and `nvflare deploy` write such paths."""
    monkeypatch.chdir("/")
    assert KitStorage(root_dir=str(tmp_path / "s"), uri_root="/").root_dir == str(tmp_path / "s")


def test_a_store_that_cannot_be_made_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "store").write_text("a file in its place")
    with pytest.raises(FedwardError, match=r"store/jobs cannot be written \(.*\): make the folder writable"):
        KitJobManager("store/jobs")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_cannot_be_written_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "store" / "jobs").mkdir(parents=True, mode=0o500)
    with pytest.raises(FedwardError, match="store/jobs cannot be written"):
        KitJobManager("store/jobs")


@pytest.mark.parametrize("folder", ["/proc/fedward", "/proc/self"])
def test_a_place_where_nobody_can_make_or_write(folder):
    """Root too may write nothing there; the second folder exists."""
    with pytest.raises(FedwardError, match=f"{folder} cannot be written"):
        KitStorage(folder)


def test_trying_the_store_leaves_nothing_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    KitStorage("store/snapshots")
    assert list((tmp_path / "store" / "snapshots").iterdir()) == []


@pytest.fixture
def job(tmp_path, monkeypatch):
    """(job manager, context, id) of a job that was submitted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NVFL_JOB_STORE_ROOT", raising=False)
    manager, store = KitJobManager("store/jobs"), KitStorage("store/snapshots")
    context = FLContext()
    engine = Mock(ServerEngineSpec, get_component=lambda name: store, run_processes={}, job_runner=Mock())
    monkeypatch.setattr(context, "get_engine", lambda: engine)
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "meta.json").write_text('{"name": "job"}')
    data = zip_directory_to_bytes(str(tmp_path), "job")
    meta = manager.create({"name": "job", "job_folder_name": "job"}, data, context)
    return manager, context, meta["job_id"]


def status(job):
    manager, context, job_id = job
    return manager.get_job(job_id, context).meta["status"]


@pytest.mark.parametrize("later", [RunStatus.DISPATCHED, RunStatus.RUNNING])
def test_a_job_that_was_aborted_while_it_started_does_not_run(job, later):
    manager, context, job_id = job
    for state in (RunStatus.DISPATCHED, RunStatus.FINISHED_ABORTED):
        manager.set_status(job_id, state, context)
    with pytest.raises(FedwardError, match=f"job {job_id} was aborted before it ran"):
        manager.set_status(job_id, later, context)
    manager.set_status(job_id, RunStatus.FAILED_TO_RUN, context)  # what FLARE makes of the error
    assert status(job) == "FINISHED:ABORTED"


def test_a_job_goes_through_its_states(job):
    manager, context, job_id = job
    for state in (RunStatus.DISPATCHED, RunStatus.RUNNING, RunStatus.FINISHED_COMPLETED):
        manager.set_status(job_id, state, context)
        assert status(job) == state
    manager.set_status(job_id, RunStatus.FINISHED_ABORTED, context)
    assert status(job) == "FINISHED:ABORTED"


def test_a_job_that_began_to_run_as_it_was_aborted_is_stopped(job):
    manager, context, job_id = job
    engine = context.get_engine()
    manager.set_status(job_id, RunStatus.RUNNING, context)
    engine.run_processes[job_id] = {}
    manager.set_status(job_id, RunStatus.FINISHED_ABORTED, context)
    engine.job_runner.stop_run.assert_called_once_with(job_id, context)
    assert status(job) == "RUNNING"
    del engine.run_processes[job_id]
    manager.set_status(job_id, RunStatus.FINISHED_ABORTED, context)
    engine.job_runner.stop_run.assert_called_once()
    assert status(job) == "FINISHED:ABORTED"
