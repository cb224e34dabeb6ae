"""A coordinator's folder in a simulation: one site that holds public images and pretrains on them for the hospitals.

SITES/coordinator/...       its images, laid out as a hospital's are (`fedward.datasets.xray_layout`)
SITES/probe/NAME            a link to labelled images of data set NAME, on which a pretraining probes its features
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from fedward.datasets.base import Split
from fedward.datasets.partition import Plan, shuffled
from fedward.datasets.registry import image_data_set
from fedward.datasets.selection import SelectionSettings
from fedward.errors import UsageError
from fedward.simulation import COORDINATOR, PROBE

VALIDATION_SHARE = 0.05  # its validation images only watch the loss and the features: they choose no model


def coordinator_plan(patients: Iterable[str], seed: int) -> Plan:
    """All patients at the coordinator, 5 % of them for validation (at least one).

    Raises UsageError where there are fewer than two.
    """
    ordered = shuffled(patients, seed, "coordinator")
    if len(ordered) < 2:
        raise UsageError(f"{len(ordered)} patients are too few for a coordinator: at least two are needed")
    count = max(1, round(VALIDATION_SHARE * len(ordered)))
    split = Split(train=tuple(sorted(ordered[count:])), validation=tuple(sorted(ordered[:count])))
    return Plan({COORDINATOR: split}, test=(), server=(), warnings=())


def parse_probes(texts: Iterable[str]) -> dict[str, Path]:
    """NAME=DIR each; UsageError for another form, a data set without labels, or a folder that cannot be read as it."""
    probes: dict[str, Path] = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        if not equals or not folder:
            raise UsageError(f"--probe {text}: give a data set and its folder, such as chestxray14=DIR")
        source = image_data_set(name)
        if not source.findings:
            raise UsageError(f"--probe {text}: images of {name} have no labels to probe on")
        if name in probes:
            raise UsageError(f"--probe names {name} twice: a probe has one folder")
        probes[name] = Path(folder).resolve()
        source.read_labels(probes[name], SelectionSettings())  # DataError says what is wrong with the folder
    return probes


def link_probes(probes: Mapping[str, Path], folder: Path) -> None:
    """`folder`/probe/NAME -> DIR for each."""
    for name, target in probes.items():
        (folder / PROBE).mkdir(exist_ok=True)
        (folder / PROBE / name).symlink_to(target)
