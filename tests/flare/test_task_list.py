"""FLARE's own list of standing tasks, as a controller of ours uses it, where a site asks twice."""

import threading
import time
from contextlib import contextmanager

import pytest
from fake_network import SITES, tiny_settings
from nvflare.apis.client import Client
from nvflare.apis.controller_spec import Task
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.wf_comm_server import WFCommServer
from nvflare.apis.shareable import Shareable

from fedward.flare.controller import RoundController


class Engine:
    def get_clients(self):
        return [Client(site, site) for site in SITES]

    @contextmanager
    def new_context(self):
        yield FLContext()


@pytest.fixture
def communicator():
    """FLARE's, given to a controller as FLARE does it."""
    made = WFCommServer(task_check_period=0.05)
    RoundController(tiny_settings().to_dict()).set_communicator(made)
    made._engine = Engine()
    made.fire_event = lambda *_: None
    yield made
    made._all_done = True


def ask(communicator, site):
    return communicator.process_task_request(Client(site, site), FLContext())


def stand(communicator, groups):
    tasks = [Task("train", Shareable(), timeout=60, result_received_cb=lambda **_: None) for _ in groups]
    for task, targets in zip(tasks, groups, strict=True):
        communicator.broadcast(task, FLContext(), targets=targets, min_responses=0)
    return tasks


@pytest.mark.parametrize("groups", [[[site] for site in SITES], [list(SITES[:2]), [SITES[2]]], [list(SITES)]])
def test_a_site_that_asks_again_is_listed_once_and_the_task_can_end(communicator, groups, monkeypatch):
    faults = []
    monkeypatch.setattr(threading, "excepthook", lambda about: faults.append(about.exc_value))
    tasks = stand(communicator, groups)
    communicator._task_monitor.start()
    sent = {site: ask(communicator, site)[:2] for site in SITES}
    for site in SITES:  # each job process has been started again
        assert ask(communicator, site)[:2] == sent[site]
    assert [[entry.client.name for entry in task.client_tasks] for task in tasks] == groups
    communicator.cancel_all_tasks()
    limit = time.monotonic() + 10
    while communicator.get_num_standing_tasks() and not faults and time.monotonic() < limit:
        time.sleep(0.02)
    assert faults == []
    assert communicator.get_num_standing_tasks() == 0
    assert communicator._task_monitor.is_alive()  # it also finds out which sites are gone
