"""The executor with real images of a few slices: tasks in, replies out."""

from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from fake_network import tiny_settings
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContextManager
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils

from fedward.datasets.phantoms import write_phantoms
from fedward.errors import UsageError
from fedward.flare.executor import TrainingExecutor
from fedward.flare.tasks import ERROR, FINGERPRINT, REPORT, TRAIN, VALIDATE
from fedward.networks.initial import initial_parameters
from fedward.rounds.site_report import check_report
from fedward.site_config import SiteConfig
from fedward.training.site import open_site

SETTINGS = tiny_settings()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / "hospital-01"
    folder.mkdir()
    write_phantoms(folder, patients=3, slices=3, size=32, institutions=1)
    return folder


@pytest.fixture
def site(images, tmp_path):
    """Call `site(task, model)` to let the executor of hospital-01 do a task; `site.config` is its fedward.yml."""
    config = tmp_path / "local" / "fedward.yml"
    config.parent.mkdir()
    config.write_text(yaml.safe_dump({"data_sets": {"lgg": str(images)}, "cache": str(tmp_path / "cache")}))
    workspace = SimpleNamespace(get_site_config_dir=lambda: str(config.parent))
    engine = SimpleNamespace(get_workspace=lambda: workspace, fire_event=lambda *_: None)
    manager = FLContextManager(engine, "hospital-01", "job")
    executor = TrainingExecutor(SETTINGS.to_dict())

    def call(task: str, **changes):
        training = SETTINGS.training
        model = {
            "params_type": ParamsType.FULL,
            "params": initial_parameters(training.network, training.network_args, SETTINGS.seed),
            "current_round": 1,
            "total_rounds": 2,
            "meta": {FINGERPRINT: SETTINGS.fingerprint()},
            **changes,
        }
        with manager.new_context() as context:
            return executor.execute(task, FLModelUtils.to_shareable(FLModel(**model)), context, Signal())

    call.config, call.executor, call.manager = config, executor, manager
    return call


def message(reply) -> str:
    assert reply.get_return_code() == ReturnCode.EXECUTION_EXCEPTION
    return reply.get_header(ERROR)


def test_a_train_task_gives_what_the_site_itself_computes(site, images, tmp_path):
    reply = site(TRAIN)
    assert reply.get_return_code() == ReturnCode.OK
    model = FLModelUtils.from_shareable(reply)
    config = SiteConfig("test", {"lgg": images}, tmp_path / "cache")
    training = SETTINGS.training
    start = initial_parameters(training.network, training.network_args, SETTINGS.seed)
    expected, report = open_site("hospital-01", SETTINGS, config).train(start, 1)
    assert sorted(model.params) == sorted(expected)
    assert all(np.array_equal(model.params[key], expected[key]) for key in expected)
    assert any(not np.array_equal(model.params[key], start[key]) for key in expected)
    seconds = {"train_seconds": 0}
    assert {**model.meta[REPORT], **seconds} == {**report, **seconds}
    check_report(model.meta[REPORT])


def test_a_validate_task_sends_numbers_and_no_parameters(site):
    model = FLModelUtils.from_shareable(site(VALIDATE))
    assert model.params is None
    report = check_report(model.metrics[REPORT], "validation")
    assert report["start"].images == 3
    assert report["start"].patients == 1


def test_another_fingerprint_is_refused(site):
    assert "different settings for this job" in message(site(TRAIN, meta={FINGERPRINT: "0" * 64}))
    assert "different settings for this job" in message(site(TRAIN, meta={}))


def test_an_unknown_task_is_refused(site):
    assert "task 'read_my_files' is unknown: this site takes train and validate" in message(site("read_my_files"))


def test_a_data_set_nobody_configured(site):
    site.config.write_text("cache: /nowhere\n")
    assert "data set 'lgg' is not configured" in message(site(TRAIN))
    assert "add 'data_sets: {lgg: FOLDER}'" in message(site(TRAIN))


def test_a_site_with_too_few_patients_does_not_train(site):
    values = yaml.safe_load(site.config.read_text())
    site.config.write_text(yaml.safe_dump({**values, "min_patients": 50}))
    assert "asks for min_patients 50 at least: this site does not train on so few" in message(site(TRAIN))


def test_a_site_without_its_file(site):
    site.config.unlink()
    assert "fedward.yml is missing" in message(site(TRAIN))


def test_a_data_folder_that_is_gone(site, tmp_path):
    site.config.write_text(
        yaml.safe_dump({"data_sets": {"lgg": str(tmp_path / "gone")}, "cache": str(tmp_path / "cache")})
    )
    assert "which is no folder" in message(site(TRAIN))


def test_a_model_of_another_network(site):
    reply = site(TRAIN, params={"weight": np.zeros(2, np.float32)})
    assert "missing" in message(reply)


def test_a_message_that_is_no_model(site):
    with site.manager.new_context() as context:
        reply = site.executor.execute(TRAIN, Shareable(), context, Signal())
    assert "unexpected error in train" in message(reply)


def test_a_site_that_failed_works_once_the_cause_is_gone(site):
    good = site.config.read_text()
    site.config.unlink()
    message(site(TRAIN))
    site.config.write_text(good)
    assert site(TRAIN).get_return_code() == ReturnCode.OK


def test_images_are_let_go_at_the_end_of_the_run(site):
    site(VALIDATE)
    assert site.executor._site is not None
    with site.manager.new_context() as context:
        site.executor.handle_event(EventType.END_RUN, context)
    assert site.executor._site is None


def test_settings_that_cannot_be_read():
    with pytest.raises(UsageError, match="export the job again"):
        TrainingExecutor(None)
