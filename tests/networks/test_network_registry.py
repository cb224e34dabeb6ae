"""A job says a name and whole numbers; anything else is refused before torch is imported."""

import subprocess
import sys

import pytest

from fedward.errors import UsageError
from fedward.networks.registry import (
    DEFAULTS,
    NETWORKS,
    U_SHAPED,
    all_arguments,
    build_network,
    check_image_size,
    check_network,
    task_of,
)

UNET = {"in_channels": 3, "out_channels": 1, "features": 8, "depth": 2}


@pytest.mark.parametrize("name", ["resnet", "", "fedward.networks.unet.UNet", "os.system", None, ["unet"], 1])
def test_unknown_names(name):
    with pytest.raises(UsageError, match="choose one of unet"):
        check_network(name, {})


@pytest.mark.parametrize("value", [0, -1, 65, 10**30, 1.0, "3", True, None, [3]])
def test_arguments_outside_their_range(value):
    with pytest.raises(UsageError, match="in_channels must be a whole number from 1 to 64"):
        check_network("unet", {"in_channels": value})


@pytest.mark.parametrize("arguments", [None, [1], "features", 3])
def test_arguments_that_are_no_mapping(arguments):
    with pytest.raises(UsageError, match="mapping"):
        check_network("unet", arguments)


def test_unknown_arguments():
    with pytest.raises(UsageError, match="no argument 'kernel': known are in_channels"):
        check_network("unet", {"kernel": 3})


@pytest.mark.parametrize(("size", "fits"), [(8, True), (12, True), (96, True), (4, False), (10, False), (97, False)])
def test_image_sizes_that_the_network_can_halve(size, fits):
    """Depth 2 halves twice; one pixel at the bottom would leave batch normalisation nothing to average."""
    if fits:
        check_image_size("unet", UNET, size)
    else:
        with pytest.raises(UsageError, match=rf"image size {size} .* multiple of 4"):
            check_image_size("unet", UNET, size)


def test_the_default_depth_counts_where_none_is_given():
    check_image_size("unet", {"features": 8}, 32)
    with pytest.raises(UsageError, match="multiple of 16"):
        check_image_size("unet", {"features": 8}, 24)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in U_SHAPED])
def test_a_densenet_takes_any_size_from_32(name):
    for size in (32, 33, 97, 224):
        check_image_size(name, {}, size)
    with pytest.raises(UsageError, match=rf"image size 31 does not fit network {name}: take 32"):
        check_image_size(name, {}, 31)


def test_the_task_follows_from_the_network():
    tasks = {name: task_of(name) for name in NETWORKS}
    pretexts = dict.fromkeys(("rotation", "simclr", "moco_v2", "byol", "frid"), "pretext")
    volumes = dict.fromkeys(("unet_contrast", "unet_rotation", "unet_encoder"), "contrast")
    supervised = {"unet": "segmentation", "densenet121": "classification", "unet_structures": "structures"}
    assert tasks == supervised | pretexts | volumes
    with pytest.raises(UsageError, match="choose one of"):
        task_of("dino")


@pytest.mark.parametrize("name", NETWORKS)
def test_the_defaults_are_arguments_within_their_range(name):
    assert set(DEFAULTS[name]) == set(NETWORKS[name])
    check_network(name, DEFAULTS[name])


def test_an_argument_left_out_is_the_default():
    complete = all_arguments("densenet121", {"growth_rate": 8})
    assert complete == {"in_channels": 3, "out_channels": 14, "growth_rate": 8}
    model = build_network("unet", {"features": 2})
    written = {key: getattr(model, key) for key in ("depth",)} | {"out_channels": model.head.out_channels}
    assert written == {key: all_arguments("unet", {})[key] for key in written}


@pytest.mark.parametrize("growth_rate", [3, 65, 8.0, True])
def test_a_growth_rate_outside_its_range(growth_rate):
    with pytest.raises(UsageError, match="growth_rate must be a whole number from 4 to 64"):
        check_network("moco_v2", {"growth_rate": growth_rate})


def test_the_sr_layer_belongs_to_frid_alone():
    check_network("frid", {"sr_layer": 0})
    with pytest.raises(UsageError, match="sr_layer must be a whole number from 0 to 1"):
        check_network("frid", {"sr_layer": 2})
    with pytest.raises(UsageError, match="network byol has no argument 'sr_layer'"):
        check_network("byol", {"sr_layer": 0})


def test_settings_and_record_need_no_torch():
    """A server process and the command line import these; torch would cost seconds."""
    modules = "fedward.settings, fedward.rounds.federation, fedward.job_command, fedward.cli"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules or 'nvflare' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
