"""What a site lets a job name: exactly our components, each safe to build whatever its arguments are."""

import copy
import importlib
import inspect
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from fake_network import tiny_settings
from nvflare.app_common.widgets.component_path_authorizer import ComponentPathAuthorizer

import fedward
from fedward.errors import UsageError
from fedward.flare.components import COMPONENTS, FLARE_COMPONENTS, class_allow_list
from fedward.flare.simulator_workspace import write_simulator_workspace
from fedward.rounds.run_folder import write_json

PACKAGE = Path(fedward.__file__).parent
SETTINGS = tiny_settings().to_dict()
GOOD = {
    "RoundController": {"settings": SETTINGS},
    "ExchangeController": {"settings": SETTINGS},
    "TrainingExecutor": {"settings": SETTINGS},
    "CostWeightedAggregator": {},
    "NetworkPersistor": {
        "network": "unet",
        "network_args": {"in_channels": 3, "out_channels": 1, "features": 2, "depth": 1},
        "seed": 1,
    },
}
HOSTILE = [
    None,
    -1,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "__import__('os').system('touch harmed')",
    "../../harmed",
    "{{7*7}}\x00",
    "x" * 10**6,
    [],
    [[[]]],
    {"path": "subprocess.Popen", "args": {"args": ["touch", "harmed"]}},
    {"path": "harmed", "save_filename": "/harmed"},
    b"\x80\x04.",
    object(),
]


def allowed(path: str) -> bool:
    """FLARE's own rule against our list."""
    return any(ComponentPathAuthorizer._path_matches_prefix(path, prefix) for prefix in class_allow_list())


def test_the_list_holds_our_components_and_the_tensorboard_receiver_alone():
    assert class_allow_list() == [
        "fedward.flare.aggregator.CostWeightedAggregator",
        "fedward.flare.controller.RoundController",
        "fedward.flare.exchange_controller.ExchangeController",
        "fedward.flare.executor.TrainingExecutor",
        "fedward.flare.persistor.NetworkPersistor",
        "nvflare.app_opt.tracking.tb.tb_receiver.TBAnalyticsReceiver",
    ]


@pytest.mark.parametrize("path", class_allow_list())
def test_each_entry_is_the_class_that_its_path_says(path):
    module_name, _, name = path.rpartition(".")
    if path in FLARE_COMPONENTS:
        pytest.importorskip("tensorboard")
    listed = getattr(importlib.import_module(module_name), name)
    assert inspect.isclass(listed)
    assert f"{listed.__module__}.{listed.__qualname__}" == path


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.__name__)
def test_nothing_merely_imported_there_is_accepted(component):
    module = importlib.import_module(component.__module__)
    assert allowed(f"{module.__name__}.{component.__name__}")
    names = [name for name in vars(module) if name != component.__name__]
    assert len(names) > 10
    for name in names:
        assert not allowed(f"{module.__name__}.{name}"), name


def test_what_the_classes_reach_is_no_way_around_the_list():
    """FLARE splits a path at its last dot and imports what is before it as a module: a class is none."""
    for component in COMPONENTS:
        path = f"{component.__module__}.{component.__qualname__}"
        assert allowed(f"{path}.anything")  # the prefix rule lets it through ...
        with pytest.raises(ModuleNotFoundError):  # ... to an import that fails
            importlib.import_module(path)
        assert not isinstance(component, ModuleType)


@pytest.mark.parametrize(
    "path",
    [
        "fedward.flare.controller.shutil",
        "fedward.flare.controller.RoundControllerX",
        "fedward.flare.simulate.main",
        "fedward.flare.recipe.export_job",
        "fedward.rounds.spool.Spool",
        "subprocess.Popen",
        "nvflare.app_common.workflows.fedavg.FedAvg",
        "nvflare.app_opt.tracking.tb.tb_receiver.os",
    ],
)
def test_other_paths_are_refused(path):
    assert not allowed(path)


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.__name__)
def test_hostile_arguments_do_no_harm(component, tmp_path, monkeypatch):
    """Each argument, and each setting inside it, replaced by each hostile value: a clear error or a plain object."""
    monkeypatch.chdir(tmp_path)
    good = GOOD[component.__name__]
    component(**good)
    places = [(name,) for name in inspect.signature(component).parameters]
    places += [(name, *inner) for name in good if isinstance(good[name], dict) for inner in leaves(good[name])]
    refused = 0
    for place in places:
        for value in HOSTILE:
            try:
                component(**replaced(good, place, value))
            except UsageError as error:
                refused += 1
                assert len(str(error)) > 20  # noqa: PT017 (only some of the values are refused)
    assert refused > 5 * len(HOSTILE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.__name__)
def test_unknown_arguments_are_refused(component):
    with pytest.raises(TypeError, match="unexpected keyword"):
        component(**GOOD[component.__name__], save_filename="/harmed")


def leaves(values: dict, above: tuple = ()):
    for key, value in values.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from leaves(value, (*above, key))


def replaced(values: dict, place: tuple, value) -> dict:
    changed = copy.deepcopy(values)
    part = changed
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    return changed


def test_the_simulator_workspace_enforces_the_list(tmp_path):
    write_json(tmp_path / "sites" / "partition.json", {"data_set": "lgg", "sites": {"hospital-01": {}}})
    write_simulator_workspace(tmp_path / "ws", tmp_path / "sites", tmp_path / "runs", 1, "cpu")
    assert sorted(p.name for p in (tmp_path / "ws" / "local").iterdir()) == ["fedward.yml", "resources.json"]
    resources = json.loads((tmp_path / "ws" / "local" / "resources.json").read_text())
    assert resources["class_allow_list"] == class_allow_list()
    assert resources["class_list_enforcement_mode"] == "enforce"


def test_nvflare_is_imported_in_one_folder_only():
    importing = re.compile(r"^\s*(import nvflare|from nvflare)", re.MULTILINE)
    found = {path for path in PACKAGE.rglob("*.py") if importing.search(path.read_text())}
    assert PACKAGE / "flare" / "controller.py" in found  # the expression finds what it looks for
    assert {path.parent for path in found} == {PACKAGE / "flare"}
