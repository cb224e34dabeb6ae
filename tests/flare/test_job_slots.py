"""The slots of a site: as many jobs as it says, each with the GPU that has the fewest."""

from types import SimpleNamespace

import pytest
import yaml
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext

from fedward.errors import FedwardError
from fedward.flare.job_slots import BUSY, VISIBLE, JobSlots


class Site:
    """A site with a fedward.yml, asked as FLARE's client asks."""

    def __init__(self, folder, slots=None, **values):
        self.slots = slots or JobSlots()
        self.folder = folder
        (folder / "fedward.yml").write_text(yaml.safe_dump({"threads": 1, **values}))

    def check(self, job_id="job"):
        context = FLContext()
        workspace = SimpleNamespace(get_site_config_dir=lambda: str(self.folder))
        context.set_prop(FLContextKey.WORKSPACE_OBJECT, workspace, private=True, sticky=False)
        context.set_prop(FLContextKey.CURRENT_JOB_ID, job_id, private=True, sticky=False)
        return self.slots.check_resources({}, context)

    def run(self, job_id="job"):
        fits, token = self.check(job_id)
        assert fits, token
        return token, self.slots.allocate_resources({}, token, FLContext())


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setenv(VISIBLE, "")


def test_a_site_without_a_gpu_takes_a_job(tmp_path):
    site = Site(tmp_path)
    _, resources = site.run()
    assert resources  # FLARE frees nothing that is empty
    assert site.slots.environment("job") == {}


def test_a_busy_site_says_so_until_its_job_ends(tmp_path):
    site = Site(tmp_path, jobs_at_once=2)
    token, resources = site.run("one")
    site.run("two")
    assert site.check("three") == (False, f"{BUSY}runs 2 jobs, its most at once")
    site.slots.free_resources(resources, token, FLContext())
    assert site.check("three")[0]


def test_a_reservation_that_is_cancelled_or_forgotten_is_free_again(tmp_path):
    site = Site(tmp_path)
    token = site.check()[1]
    assert not site.check()[0]
    site.slots.cancel_resources({}, token, FLContext())
    assert site.check()[0]

    short = Site(tmp_path, JobSlots(reservation_seconds=0.0))
    token = short.check()[1]
    assert short.check()[0]
    with pytest.raises(FedwardError, match="given back after 0 s"):
        short.slots.allocate_resources({}, token, FLContext())


def test_a_late_cancel_takes_no_slot_from_a_running_job(tmp_path):
    site = Site(tmp_path)
    token, _ = site.run()
    site.slots.cancel_resources({}, token, FLContext())
    assert not site.check()[0]


def test_each_job_gets_the_gpu_with_the_fewest_jobs(tmp_path, monkeypatch):
    monkeypatch.setenv(VISIBLE, "3, GPU-abc")
    site = Site(tmp_path, jobs_at_once=4)
    runs = {name: site.run(name) for name in "abc"}
    assert [site.slots.environment(name)[VISIBLE] for name in "abc"] == ["3", "GPU-abc", "3"]
    site.slots.free_resources(runs["b"][1], runs["b"][0], FLContext())
    site.run("d")
    assert site.slots.environment("d")[VISIBLE] == "GPU-abc"
    assert site.slots.environment("b") == {}
    assert site.slots.report_resources(FLContext()) == {"jobs": 3, "reserved": 0, "gpus": ["3", "GPU-abc"]}


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_a_site_that_names_its_device_is_left_alone(tmp_path, monkeypatch, device):
    monkeypatch.setenv(VISIBLE, "0,1")
    site = Site(tmp_path, device=device)
    site.run()
    assert site.slots.environment("job") == {}


def test_a_fedward_yml_that_cannot_be_read_is_told_to_the_submitter(tmp_path):
    fits, reason = Site(tmp_path, jobs_at_once=0).check()
    assert not fits
    assert "jobs_at_once must be a whole number of at least 1" in reason
