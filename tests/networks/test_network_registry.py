"""A job says a name and whole numbers; anything else is refused before torch is imported."""

import subprocess
import sys

import pytest

from fedward.errors import UsageError
from fedward.networks.registry import check_image_size, check_network

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


def test_settings_and_record_need_no_torch():
    """A server process and the command line import these; torch would cost seconds."""
    modules = "fedward.settings, fedward.rounds.federation, fedward.job_command, fedward.cli"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules or 'nvflare' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
