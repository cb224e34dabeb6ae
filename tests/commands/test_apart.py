"""Nothing is written among the images that a command reads."""

import pytest
from click.testing import CliRunner

from fedward.cli import cli
from fedward.errors import UsageError
from fedward.run_checks import check_apart


@pytest.fixture
def images(tmp_path):
    CliRunner().invoke(cli, ["phantoms", "lgg", str(tmp_path / "images"), "--patients", "12", "--size", "32"])
    return tmp_path / "images"


@pytest.mark.parametrize("inside", ["sites", "TCGA_PA_0001_x/sites", "../link/sites"])
def test_partition_does_not_write_into_the_images(images, inside):
    (images.parent / "link").symlink_to(images)
    before = sorted(images.rglob("*"))
    result = CliRunner().invoke(cli, ["partition", "lgg", str(images), "--sites", "5", "--out", str(images / inside)])
    assert isinstance(result.exception, UsageError)
    assert "lies inside" in str(result.exception)
    assert sorted(images.rglob("*")) == before


def test_a_run_is_not_written_among_the_sites(tmp_path):
    for inside in ("sites", "sites/hospital-01", "sites/run"):
        with pytest.raises(UsageError, match="lies inside"):
            check_apart(tmp_path / inside, tmp_path / "sites")
    check_apart(tmp_path / "run", tmp_path / "sites")


def test_a_misspelt_command_is_told_the_near_one():
    result = CliRunner().invoke(cli, ["checkdata"])
    assert result.exit_code == 2
    assert "Did you mean 'check-data'?" in result.output
