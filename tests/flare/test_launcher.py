"""A job process that is killed is started again; one that fails is lost; one that is ended stays ended."""

import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from nvflare.apis.fl_constant import FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_launcher_spec import JobProcessArgs, JobReturnCode
from nvflare.app_common.job_launcher.process_launcher import ProcessHandle

from fedward.flare.job_slots import JobSlots
from fedward.flare.launcher import RestartingHandle, RestartingLauncher

WAITS = "import sys; sys.stdin.read()"
KILLED = "import os; os.kill(os.getpid(), 9)"


class Job:
    """A handle whose processes run these programs, one after the other."""

    def __init__(self, folder, *programs, restarts=2):
        self.programs = list(programs)
        self.started = []
        self.code_file = folder / "code.txt"
        self.handle = RestartingHandle(self.launch, restarts, self.code_file, "job x")

    def launch(self):
        process = subprocess.Popen(
            [sys.executable, "-c", self.programs[len(self.started)]], stdin=subprocess.PIPE, start_new_session=True
        )
        self.started.append(process)
        return ProcessHandle(process=process)

    def end(self):
        waiting = threading.Thread(target=self.handle.wait, daemon=True)
        waiting.start()
        waiting.join(30)
        assert not waiting.is_alive()
        return self.handle.poll()


def test_a_killed_process_is_started_again(tmp_path):
    job = Job(tmp_path, KILLED, KILLED, "pass")
    assert job.end() == JobReturnCode.SUCCESS
    assert len(job.started) == 3


def test_a_process_that_is_always_killed_is_lost_and_no_failure(tmp_path):
    job = Job(tmp_path, KILLED, KILLED, restarts=1)
    assert job.end() == JobReturnCode.UNKNOWN
    assert len(job.started) == 2


@pytest.mark.parametrize(("code", "program"), [(None, "raise SystemExit(1)"), (102, "raise SystemExit(102)")])
def test_a_process_that_fails_is_lost_at_once(tmp_path, code, program):
    job = Job(tmp_path, program)
    if code is not None:
        job.code_file.write_text(str(code))  # which FLARE would read before it asks the handle
    assert job.end() == JobReturnCode.UNKNOWN
    assert len(job.started) == 1
    assert not job.code_file.exists()


def test_an_abort_that_the_process_reports_itself_stays_one(tmp_path):
    job = Job(tmp_path, "raise SystemExit(9)")
    job.code_file.write_text(str(int(JobReturnCode.ABORTED)))
    assert job.end() == JobReturnCode.ABORTED
    assert job.code_file.exists()


def test_a_process_that_is_ended_is_not_started_again(tmp_path):
    job = Job(tmp_path, WAITS)
    ended = threading.Timer(0.3, job.handle.terminate)
    ended.start()
    assert job.end() == JobReturnCode.EXECUTION_ERROR  # as FLARE's own handle
    assert len(job.started) == 1
    assert job.started[0].returncode == -signal.SIGKILL


@pytest.mark.parametrize(("gpus", "prefix"), [("", ""), ("7", "/usr/bin/env CUDA_DEVICE_ORDER=PCI_BUS_ID ")])
def test_the_command_is_flares_own_with_the_gpu_before_it(tmp_path, monkeypatch, gpus, prefix):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    slots = JobSlots()
    (tmp_path / "fedward.yml").write_text("threads: 1\n")
    context = FLContext()
    workspace = SimpleNamespace(get_site_config_dir=lambda: str(tmp_path))
    engine = SimpleNamespace(get_component=lambda name: slots if name == "resource_manager" else None)
    context.set_prop(FLContextKey.WORKSPACE_OBJECT, workspace, private=True, sticky=False)
    context.set_prop(FLContextKey.CURRENT_JOB_ID, "j", private=True, sticky=False)
    context.set_prop(FLContextKey.JOB_PROCESS_ARGS, {JobProcessArgs.JOB_ID: ("-n", "j")}, private=True, sticky=False)
    context.put(ReservedKey.ENGINE, engine, private=True, sticky=False)
    assert slots.check_resources({}, context)[0]
    command = RestartingLauncher().get_command({"job_id": "j"}, context)
    assert command.startswith(prefix + (f"CUDA_VISIBLE_DEVICES={gpus} " if gpus else "") + sys.executable)
    assert command.endswith("-n j")
