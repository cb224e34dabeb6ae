"""Every class that a job may name, with arguments that are none: in the class itself, and in a job's configuration."""

import inspect
import json
from dataclasses import replace

import pytest
from fake_network import tiny_settings
from signed_jobs import SITES

from fedward import cardiac_contrastive, cardiac_segmentation, cxr_classification, cxr_pretraining
from fedward.errors import UsageError
from fedward.flare.components import COMPONENTS, class_allow_list
from fedward.flare.recipe import export_job
from fedward.flare.tasks import CONTROLLERS
from fedward.kits import job_app
from fedward.kits.job_app import check_app
from fedward.pretext.settings import pretext_settings

SETTINGS = tiny_settings(sites=tuple(SITES)).to_dict()
PROBED = pretext_settings("moco_v2", queue_size=1024, micro_batch=64, probe_data_set="chestxray14")
JOBS = {
    "segmentation": tiny_settings(sites=tuple(SITES)),
    "classification": replace(cxr_classification.SETTINGS, name="xray", sites=tuple(SITES), min_sites=None),
    "pretraining": replace(
        cxr_pretraining.SETTINGS, name="pretext", sites=tuple(SITES), min_sites=None, pretext=PROBED
    ),
    "contrastive": replace(cardiac_contrastive.SETTINGS, name="contrast", sites=tuple(SITES), min_sites=None),
    "structures": replace(cardiac_segmentation.SETTINGS, name="structures", sites=tuple(SITES), min_sites=None),
}
GOOD = {
    "RoundController": {"settings": SETTINGS, "aggregator_id": "aggregator", "persistor_id": "persistor"},
    "ExchangeController": {"settings": JOBS["contrastive"].to_dict()},
    "TrainingExecutor": {"settings": SETTINGS},
    "CostWeightedAggregator": {"scheme": "dcew"},
    "NetworkPersistor": {
        "network": "unet",
        "network_args": {"in_channels": 3, "out_channels": 1, "features": 2, "depth": 1},
        "seed": 1,
        "starting_weights": "random",
    },
}
BUILT = {"path": "subprocess.Popen", "args": {"args": ["touch", "harmed"]}}
WRONG_TYPES = [b"\x80\x04.", object(), BUILT, [BUILT], (("..",),), {1, 2}, print]
IN_JSON = [
    "/etc/passwd",
    "../../harmed",
    "https://127.0.0.1:1/x",
    "file:///etc/passwd",
    "subprocess.Popen",
    "${HOME}",
    "{SITE}",
    "\x00",
    "x" * 1000,
    10**400,
    -(10**9),
    BUILT,
    {"path": "harmed", "save_filename": "/harmed"},
    [[BUILT]],
]


def places(values, above=()):
    """Every place below a value, mappings and lists too."""
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from places(value, (*above, key))


def replaced(values, place, value):
    """A copy, by way of the same containers, with one place changed."""
    if not place:
        return value
    key, *rest = place
    if isinstance(values, dict):
        return values | {key: replaced(values[key], tuple(rest), value)}
    return [*values[:key], replaced(values[key], tuple(rest), value), *values[key + 1 :]]


def test_the_classes_are_those_of_the_allow_list_and_of_the_check():
    mine = {f"{component.__module__}.{component.__qualname__}" for component in COMPONENTS}
    assert mine == {*CONTROLLERS, job_app.EXECUTOR, *job_app.SERVER_COMPONENTS.values()} - {
        job_app.SERVER_COMPONENTS["tensorboard"]
    }
    assert mine | {job_app.SERVER_COMPONENTS["tensorboard"]} <= set(class_allow_list())
    assert set(GOOD) == {component.__name__ for component in COMPONENTS}


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.__name__)
def test_a_class_refuses_every_argument_of_a_wrong_type(component, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = GOOD[component.__name__]
    component(**good)
    for name in inspect.signature(component).parameters:
        for value in WRONG_TYPES:
            with pytest.raises(UsageError) as caught:
                component(**good | {name: value})
            assert len(str(caught.value)) > 20, (name, value)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module", params=JOBS)
def configurations(request, tmp_path_factory):
    return written(JOBS[request.param], tmp_path_factory.mktemp("job"))


def written(settings, folder):
    """The configurations of server and sites, as the recipe writes them."""
    config = export_job(settings, folder) / "app" / "config"
    return [json.loads((config / f"config_fed_{side}.json").read_text()) for side in ("server", "client")]


def as_bytes(configurations):
    return [json.dumps(values).encode() for values in configurations]


@pytest.mark.parametrize("job", JOBS)
def test_the_recipes_own_job_passes(job, tmp_path):
    assert check_app(*as_bytes(written(JOBS[job], tmp_path / "plain"))) == JOBS[job]
    pytest.importorskip("tensorboard")
    job = export_job(tiny_settings(), tmp_path, tensorboard=True) / "app" / "config"
    assert check_app(*((job / f"config_fed_{side}.json").read_bytes() for side in ("server", "client")))


@pytest.mark.parametrize("side", [0, 1], ids=["server", "client"])
def test_a_job_with_a_hostile_value_anywhere_is_refused(configurations, side):
    tried = 0
    for place in places(configurations[side]):
        for value in IN_JSON:
            changed = list(configurations)
            changed[side] = replaced(configurations[side], place, value)
            with pytest.raises(UsageError) as caught:
                check_app(*as_bytes(changed))
            assert len(str(caught.value)) > 15
            tried += 1
    assert tried > 300


@pytest.mark.parametrize("key", ["path", "class_path", "save_filename", "__class__", "config_type"])
def test_a_job_with_an_unknown_argument_anywhere_is_refused(configurations, key):
    for side in (0, 1):
        mappings = [
            (),
            *(place for place in places(configurations[side]) if isinstance(at(configurations[side], place), dict)),
        ]
        for place in mappings:
            if key in at(configurations[side], place):
                continue
            changed = list(configurations)
            changed[side] = replaced(configurations[side], place, at(configurations[side], place) | {key: "/harmed"})
            with pytest.raises(UsageError):
                check_app(*(json.dumps(values).encode() for values in changed))


HOSTILE = {
    "pretext": {
        "temperature": [0, -1, float("nan"), float("inf"), True, "0.2", 1e300],
        "momentum": [1, -0.1, float("nan"), [0.9]],
        "queue_size": [0, -1024, 2**21, 2**62, 1024.0, 1000, True],
        "crop_size": [0, 31, 257, 10**6, 224.0, "224"],
        "min_crop": [0, 1.1, float("nan")],
        "micro_batch": [0, 1, 100, 2**30, 64.0],
        "probe_data_set": ["/etc/passwd", "../chestxray14", "image_folder", "lgg", ["chestxray14"], {}],
        "probe_every": [0, -1, 10**9, 1.0],
        "private_state": ["keep", "send", None, 1],
        "method": ["byol", "fedward.pretext.byol.Byol", None],
        "edge": [1, "yes", []],
    },
    "selection": {
        "uncertain": ["both", None, 1],
        "views": ["/etc", None, ["all"]],
        "label_fraction": [0, 1.5, float("nan"), True, "0.1"],
        "draw": [0, 10**9, 1.0, True],
    },
    "training": {
        "crop_size": [0, 16, 257, 10**9, "224", 224.0],
        "mode": ["frozen", None, 1, ["linear"]],
        "batch_size": [0, 1025, 10**9, 64.0],
        "network": ["unet", "moco_v2", "torchvision.models.densenet121"],
        "network_args": [
            {"in_channels": 3, "out_channels": 14, "growth_rate": 65},
            {"in_channels": 1, "out_channels": 14, "growth_rate": 32},
            {"in_channels": 3, "out_channels": 0, "growth_rate": 32},
            {"in_channels": 3, "out_channels": 14, "growth_rate": 32, "weights": "/etc/passwd"},
        ],
    },
}


@pytest.mark.parametrize(
    ("job", "part"), [("pretraining", "pretext"), ("classification", "selection"), ("classification", "training")]
)
def test_settings_of_x_rays_that_no_site_could_use_or_afford_are_refused(tmp_path, job, part):
    """In both configurations alike, so that nothing but the value itself is wrong; NaN is none of JSON's numbers."""
    good = written(JOBS[job], tmp_path)
    for name, values in HOSTILE[part].items():
        for value in values:
            changed = [json.loads(json.dumps(config)) for config in good]
            for settings in settings_of(changed):
                assert name in settings[part]
                settings[part][name] = value
            with pytest.raises(UsageError) as caught:
                check_app(*as_bytes(changed))
            assert len(str(caught.value)) > 15, (name, value)


def test_a_pretext_section_where_it_does_not_belong_is_refused(tmp_path):
    pretext = PROBED.to_dict()
    for job, value in (
        ("classification", pretext),
        ("segmentation", pretext),
        ("pretraining", None),
        ("pretraining", []),
    ):
        changed = written(JOBS[job], tmp_path / f"{job} {type(value).__name__}")
        for settings in settings_of(changed):
            settings["pretext"] = value
        with pytest.raises(UsageError, match="pretext"):
            check_app(*as_bytes(changed))


def settings_of(configurations):
    server, client = configurations
    return server["workflows"][0]["args"]["settings"], client["executors"][0]["executor"]["args"]["settings"]


def at(values, place):
    for key in place:
        values = values[key]
    return values
