"""The queue of jobs, against sites that are free, busy, silent or not there. The real network is in tests/network."""

import json
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from nvflare.apis.client import Client
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContextManager
from nvflare.apis.job_def import job_from_meta
from nvflare.apis.server_engine_spec import ServerEngineSpec

from fedward.flare.job_slots import BUSY
from fedward.flare.scheduler import QueueingScheduler, why_never

SITES = ("a", "b", "c")
FREE, SILENT = (True, "token"), (False, "")
TAKEN = (False, BUSY + "runs 1 job, its most at once")


class Server:
    """What FLARE's server is to a scheduler. `answers` is what each connected site says of its slots."""

    def __init__(self, folder, **arguments):
        self.answers = dict.fromkeys(SITES, FREE)
        self.cancelled = []
        self.jobs = []
        self.blocked = []
        engine = Mock(spec=ServerEngineSpec)
        engine.get_clients = lambda: [Client(site, "") for site in self.answers]
        engine.check_client_resources = lambda job, wanted, context: {site: self.answers[site] for site in wanted}
        engine.cancel_client_resources = lambda checks, wanted, context: self.cancelled.append(checks)
        (folder / "network.json").write_text(json.dumps({"hospitals": SITES, "coordinator": None}))
        self.manager = FLContextManager(engine, "server")
        engine.new_context = self.manager.new_context
        with self.manager.new_context() as context:
            workspace = SimpleNamespace(get_site_config_dir=lambda: str(folder))
            context.set_prop(FLContextKey.WORKSPACE_OBJECT, workspace, private=True, sticky=True)
        values = {"min_schedule_interval": 0.0, "max_schedule_interval": 0.0, "patience": 0.0, **arguments}
        self.scheduler = QueueingScheduler(**values)

    def submit(self, job_id, sites=SITES, least=None):
        number = len(self.jobs)
        meta = {"job_id": job_id, "deploy_map": {"app": ["server", *sites]}, "submit_time": float(number)}
        self.jobs.append(job_from_meta({**meta, "min_clients": least or len(sites), "resource_spec": {}}))

    def schedule(self):
        """The id of the job that may run now, if any, and the sites it runs at."""
        with self.manager.new_context() as context:
            manager = SimpleNamespace(
                refresh_meta=lambda *a: None, set_status=lambda job_id, *a: self.blocked.append(job_id)
            )
            job, dispatch = self.scheduler.schedule_job(manager, list(self.jobs), context)
        return (job.job_id, sorted(set(dispatch) - {"server"})) if job else None

    def said(self, number=0):
        return self.jobs[number].meta["schedule_history"]


def test_a_free_network_runs_the_job(tmp_path):
    server = Server(tmp_path)
    server.submit("one")
    assert server.schedule() == ("one", list(SITES))
    assert server.said()[-1].endswith(": scheduled")


def test_a_busy_site_is_waited_for_for_ever_though_the_others_would_be_enough(tmp_path):
    server = Server(tmp_path)
    server.answers["b"] = TAKEN
    server.submit("one", least=1)
    for _ in range(1100):  # FLARE drops after 10 tries, and its interval overflows after 1024
        assert server.schedule() is None
    assert server.blocked == []
    assert len(server.said()) == 1
    assert server.said()[0].endswith(": waits for busy sites: b (runs 1 job, its most at once)")
    assert server.jobs[0].meta["job_deploy_detail"][0].endswith("b (runs 1 job, its most at once)")
    assert server.cancelled[-1]["a"] == FREE  # what the others had reserved is given back
    server.answers["b"] = FREE
    assert server.schedule() == ("one", list(SITES))


def test_a_later_job_overtakes_only_where_it_shares_no_site(tmp_path):
    server = Server(tmp_path)
    server.answers["b"] = TAKEN
    server.submit("first", ("a", "b"))
    server.submit("second", ("a",))
    server.submit("third", ("c",))
    assert server.schedule() == ("third", ["c"])
    assert server.said(1)[-1].endswith(": waits behind job first")
    del server.jobs[0]  # aborted
    assert server.schedule() == ("second", ["a"])


@pytest.mark.parametrize(("state", "reason"), [("gone", "not connected"), ("silent", "do not answer")])
def test_a_site_that_is_not_there_is_waited_for_a_while(tmp_path, monkeypatch, state, reason):
    server = Server(tmp_path, patience=60.0)
    if state == "gone":
        del server.answers["c"]
    else:
        server.answers["c"] = SILENT
    server.submit("one", least=2)
    assert server.schedule() is None
    assert reason in server.said()[-1]
    server.scheduler.patience = 0.0
    assert server.schedule() == ("one", ["a", "b"])
    assert ": scheduled without c (" in server.said()[-1]


def test_too_few_sites_wait_however_long(tmp_path):
    server = Server(tmp_path)
    del server.answers["c"]
    server.submit("one")
    assert server.schedule() is None
    assert server.said()[-1].endswith(": waits for sites that are not connected: c")
    assert server.blocked == []


def test_a_refusal_of_a_site_is_told_and_the_others_go(tmp_path):
    server = Server(tmp_path)
    server.answers["a"] = (False, "fedward.yml is not valid YAML")
    server.submit("one", least=2)
    assert server.schedule() == ("one", ["b", "c"])
    assert server.said()[-1].endswith(": scheduled without a (fedward.yml is not valid YAML)")


def test_a_job_that_can_never_run_is_blocked_with_the_reason(tmp_path):
    server = Server(tmp_path)
    server.submit("one", ("a", "x"), least=1)
    assert server.schedule() is None
    assert server.blocked == ["one"]
    assert server.said()[-1].endswith(": the network has no site x: it has a, b, c")


@pytest.mark.parametrize(
    ("sites", "least", "reason"),
    [({"@all"}, 1, "name them one by one"), (set(), 1, "names no site"), ({"a"}, 2, "min_clients is 2")],
)
def test_other_jobs_that_can_never_run(sites, least, reason):
    assert reason in why_never(sites, least, set(SITES))
    assert why_never({"a", "b"}, 2, set(SITES)) == why_never({"x"}, 1, None) == ""


def test_a_full_server_says_so_and_the_end_of_a_job_wakes_the_queue(tmp_path):
    server = Server(tmp_path, max_jobs=1, min_schedule_interval=1000.0, max_schedule_interval=1000.0)
    server.scheduler.restore_scheduled_job("running")
    server.submit("one")
    assert server.schedule() is None
    assert server.said()[-1].endswith(": waits: the server runs 1 job(s), its most at once")
    server.scheduler.remove_scheduled_job("running")
    assert server.schedule() is None  # its next try is in 1000 s
    with server.manager.new_context() as context:
        context.set_prop(FLContextKey.EVENT_DATA, {"job_id": "running"}, private=True, sticky=False)
        server.scheduler.handle_event(EventType.JOB_COMPLETED, context)
    assert server.schedule() == ("one", list(SITES))
