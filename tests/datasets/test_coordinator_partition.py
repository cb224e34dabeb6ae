"""A coordinator's folder, its split, and the labelled images that its pretraining is probed on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fedward.cli import cli, run
from fedward.datasets.coordinator import coordinator_plan
from fedward.datasets.layout import read_partition, read_split
from fedward.datasets.registry import get_data_set
from fedward.datasets.selection import SelectionSettings
from fedward.errors import UsageError
from fedward.simulation import find_sites, simulation_config


@pytest.fixture
def public(tmp_path):
    """Forty images in two folders with the same twenty names, without labels."""
    root = tmp_path / "public"
    for number in range(40):
        path = root / ("a", "b")[number % 2] / f"{number // 2:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(path)
    return root


@pytest.fixture
def labelled(tmp_path):
    assert run(cli, ["phantoms", "chestxray14", str(tmp_path / "labelled"), "--patients", "6", "--size", "32"]) == 0
    return tmp_path / "labelled"


def test_all_images_go_to_the_coordinator_beside_the_probe(public, labelled, tmp_path, capsys):
    out = tmp_path / "sites"
    arguments = ["partition", "image_folder", str(public), "--coordinator", "--out", str(out), "--seed", "3"]
    assert run(cli, [*arguments, "--probe", f"chestxray14={labelled}"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "image_folder: all at the coordinator, seed 3" in shown
    assert "coordinator 40 38 2 40" in shown
    assert find_sites(out) == ("coordinator",)
    partition = read_partition(out)
    assert partition["sites"]["coordinator"]["images"] == {"train": 38, "validation": 2}
    config = simulation_config(out, "coordinator", 1, "cpu")
    assert config.data_sets == {"image_folder": out / "coordinator", "chestxray14": labelled}
    table = get_data_set("image_folder").read_table(out / "coordinator", SelectionSettings())
    split = read_split(out / "coordinator", table.patients, seed=0)
    assert (len(split.train), len(split.validation), len(table)) == (38, 2, 40)
    assert all(path.samefile(public / path.relative_to(out / "coordinator")) for path in table.paths)


def test_labelled_images_pretrain_too(labelled, tmp_path):
    out = tmp_path / "sites"
    assert run(cli, ["partition", "chestxray14", str(labelled), "--coordinator", "--out", str(out)]) == 0
    assert find_sites(out) == ("coordinator",)
    assert read_partition(out)["sites"]["coordinator"]["patients"] == {"train": 5, "validation": 1}


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--coordinator", "--sites", "3"], 2, "--sites has no meaning with --coordinator"),
        (["--coordinator", "--by", "iid"], 2, "--by has no meaning with --coordinator"),
        (["--coordinator", "--fold", "1"], 2, "--fold has no meaning with --coordinator"),
        (["--coordinator", "--labels-only"], 2, "--labels-only has no meaning with --coordinator"),
        (["--probe", "chestxray14"], 2, "give a data set and its folder, such as chestxray14=DIR"),
        (["--probe", "chestxray14="], 2, "give a data set and its folder"),
        (["--probe", "lgg=DIR"], 2, "holds volumes with masks"),
        (["--probe", "image_folder=DIR"], 2, "have no labels to probe on"),
        (["--probe", "chestxray14=LABELLED", "--probe", "chestxray14=LABELLED"], 2, "names chestxray14 twice"),
        (["--probe", "chestxray14=PUBLIC"], 1, "Data_Entry_2017"),
        (["--probe", "chestxray14=/no/where"], 1, "/no/where"),
    ],
)
def test_what_cannot_be_laid_out_is_refused_before_anything_is_written(
    public, labelled, tmp_path, capsys, options, code, message
):
    words = [option.replace("LABELLED", str(labelled)).replace("PUBLIC", str(public)) for option in options]
    out = tmp_path / "sites"
    assert run(cli, ["partition", "image_folder", str(public), "--out", str(out), *words]) == code
    assert message in " ".join(capsys.readouterr().err.split())
    assert not out.exists()


def test_a_coordinator_is_no_matter_of_volumes(tmp_path, capsys):
    (tmp_path / "lgg").mkdir()
    for option in (["--coordinator"], ["--probe", "chestxray14=x"]):
        assert run(cli, ["partition", "lgg", str(tmp_path / "lgg"), "--out", str(tmp_path / "out"), *option]) == 2
        assert "has no meaning for lgg" in capsys.readouterr().err


@given(st.sets(st.text(min_size=1, max_size=5), min_size=2, max_size=60), st.integers(0, 5))
def test_everybody_is_in_one_part_and_the_order_does_not_matter(patients, seed):
    split = coordinator_plan(patients, seed).sites["coordinator"]
    assert sorted([*split.train, *split.validation]) == sorted(patients)
    assert len(split.validation) == max(1, round(0.05 * len(patients)))
    assert coordinator_plan(sorted(patients, reverse=True), seed).sites["coordinator"] == split


def test_one_image_is_too_few():
    with pytest.raises(UsageError, match="at least two are needed"):
        coordinator_plan(["a"], 0)
