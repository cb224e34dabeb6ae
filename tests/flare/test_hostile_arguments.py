"""Every class that a job may name, with arguments that are none: in the class itself, and in a job's configuration."""

import inspect
import json

import pytest
from fake_network import tiny_settings
from signed_jobs import SITES

from fedward.errors import UsageError
from fedward.flare.components import COMPONENTS, class_allow_list
from fedward.flare.recipe import export_job
from fedward.kits import job_app
from fedward.kits.job_app import check_app

SETTINGS = tiny_settings(sites=tuple(SITES)).to_dict()
GOOD = {
    "RoundController": {"settings": SETTINGS, "aggregator_id": "aggregator", "persistor_id": "persistor"},
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
    assert mine == {job_app.CONTROLLER, job_app.EXECUTOR, *job_app.SERVER_COMPONENTS.values()} - {
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


@pytest.fixture(scope="module")
def configurations(tmp_path_factory):
    job = export_job(tiny_settings(sites=tuple(SITES)), tmp_path_factory.mktemp("job"))
    return [
        json.loads((job / "app" / "config" / f"config_fed_{side}.json").read_text()) for side in ("server", "client")
    ]


def test_the_recipes_own_job_passes(configurations, tmp_path):
    server, client = (json.dumps(values).encode() for values in configurations)
    assert check_app(server, client).to_dict() == SETTINGS
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
                check_app(*(json.dumps(values).encode() for values in changed))
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


def at(values, place):
    for key in place:
        values = values[key]
    return values
