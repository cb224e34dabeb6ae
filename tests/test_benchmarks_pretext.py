"""The speed of pretexts: what it measures on a folder of the user's own. lightly itself is no dependency."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "benchmarks" / "speed"))

import pretext
from fedward.datasets.image_folder import read_table

SIZES = (32, 32, 4)  # image, crop, batch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten images in two folders of different sizes, each of one grey level that no other has."""
    for number in range(10):
        path = tmp_path / "data" / ("a" if number < 3 else "b") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((32, 32), number, np.uint8)).save(path)
    return tmp_path / "data"


def test_every_image_of_the_folder_is_trained_on_and_batches_are_whole(folder, tmp_path, monkeypatch):
    seen: list[torch.Tensor] = []

    def views(self: object, images: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        seen.append(images)
        return ()

    monkeypatch.setattr(pretext.PretextTrainer, "views", views)
    _, make_views, _ = pretext.project_side("simclr", read_table(folder), tmp_path / "cache", SIZES)
    for _ in range(20):
        make_views()
    assert {len(batch) for batch in seen} == {4}
    assert {int(level) for batch in seen for level in batch.unique()} == set(range(10))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch-size", "16", "--methods", "simclr"], "10 images: simclr in batches of 16 needs 16 at least"),
        (["--batch-size", "4"], "10 images: moco_v2 in batches of 4 needs 512 at least"),
    ],
)
def test_too_few_images_are_refused_before_anything_is_measured(folder, arguments, message):
    result = CliRunner().invoke(pretext.main, ["--data", str(folder), *arguments])
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.output.split())
