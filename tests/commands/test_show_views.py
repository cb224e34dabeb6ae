"""One picture of images, augmentations and views; and what cannot be drawn."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from fedward.cli import cli
from fedward.datasets.scan_phantoms import write_acdc
from fedward.errors import FedwardError, UsageError
from fedward.pretext.augmentation import MEAN, STD, two_views
from fedward.pretext.contact_sheet import contact_sheet
from fedward.pretext.settings import pretext_settings

ALONE = ["original", "random crop", "mirror", "rotation", "brightness, contrast", "blur"]


@pytest.fixture
def folder(tmp_path):
    """Eight images that differ, in a plain folder."""
    random = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for k in range(8):
        small = Image.fromarray(random.integers(0, 256, (6, 6), dtype=np.uint8))
        small.resize((70, 70)).save(tmp_path / "images" / f"image-{k}.png")
    return tmp_path / "images"


@pytest.fixture(scope="module")
def hearts(tmp_path_factory):
    """Three patients of ACDC, two scans of five slices each."""
    folder = tmp_path_factory.mktemp("hearts") / "training"
    write_acdc(folder, patients=3, size=40, slices=5, institutions=1, workers=1, quiet=True)
    return folder


def show(folder, out, *more):
    sizes = ["--image-size", "40", "--crop", "32"]
    return CliRunner().invoke(cli, ["show-views", "image_folder", str(folder), "--out", str(out), *sizes, *more])


def show_scans(folder, out, *more):
    sizes = ["--image-size", "32", "--pixel-spacing", "2.5"]
    return CliRunner().invoke(cli, ["show-views", "acdc", str(folder), "--out", str(out), *sizes, *more])


def test_it_draws_a_picture_and_says_what_is_on_it(folder, tmp_path):
    result = show(folder, tmp_path / "new" / "sheet.png", "--images", "3")
    assert result.exit_code == 0, result.exception
    assert result.output.startswith("3 images, original, random crop")
    assert "edge view" in result.output
    with Image.open(tmp_path / "new" / "sheet.png") as picture:
        width, height = picture.size
        assert width > 2 * height  # nine columns, three rows
        assert len(np.unique(np.asarray(picture.convert("L")))) > 100


def test_the_seed_decides_and_few_images_are_enough(folder, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert show(folder, tmp_path / f"{name}.png", "--seed", str(seed), "--images", "2").exit_code == 0
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b
    assert a != c
    assert show(folder, tmp_path / "all.png", "--images", "50").output.startswith("8 images")


@pytest.mark.parametrize(
    ("method", "last"),
    [
        ("frid", ["edge view", "first view", "second view"]),
        ("moco_v2", ["first view", "second view"]),
        ("rotation", ["whole view"]),
    ],
)
def test_columns_are_what_the_method_uses(method, last):
    images = torch.randint(0, 256, (3, 1, 120, 120), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    columns = contact_sheet(images, pretext_settings(method, crop_size=112), torch.Generator().manual_seed(1))
    assert [column.title for column in columns] == ALONE + last
    assert torch.equal(columns[0].images, images[:, 0] / 255)
    for column in columns[1:]:
        assert column.images.shape == (3, 112, 112)
        assert len(column.captions) == 3
    by_title = {column.title: column for column in columns}
    whole = torch.nn.functional.interpolate(images.float() / 255, size=(112, 112), mode="bilinear")[:, 0]
    assert torch.allclose(by_title["mirror"].images, whole.flip(-1), atol=1e-5)  # each alone, and always
    assert not torch.allclose(by_title["blur"].images, whole, atol=1e-3)


def test_whole_views_are_those_of_training():
    images = torch.randint(0, 256, (3, 1, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    settings, generator = pretext_settings("byol", crop_size=32), torch.Generator().manual_seed(1)
    columns = contact_sheet(images, settings, generator)
    expected = torch.Generator().manual_seed(1)
    torch.rand((3, 12), generator=expected)  # what the single augmentations take
    for column, view in zip(columns[-2:], two_views(images, settings, expected), strict=True):
        assert torch.allclose(column.images, (view[:, 0] * STD[0] + MEAN[0]).clamp(0, 1))


def test_each_row_says_which_image_it_shows(tmp_path, monkeypatch):
    rows = []
    monkeypatch.setattr(
        "fedward.pretext.contact_sheet.draw_contact_sheet", lambda _, names, *others: rows.extend(names)
    )
    for patient in ("patient00001", "patient00002"):
        place = tmp_path / "images" / patient / "study1"
        place.mkdir(parents=True)
        Image.new("L", (40, 40)).save(place / "view1_frontal.png")
    assert show(tmp_path / "images", tmp_path / "sheet.png").exit_code == 0
    assert rows == ["patient00001/\nstudy1/\nview1_frontal.png", "patient00002/\nstudy1/\nview1_frontal.png"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--crop", "64"], "larger than --image-size 40"),
        (["--out", "sheet.jpg"], "must end in .png"),
    ],
)
def test_wrong_options_are_refused(folder, tmp_path, more, message):
    result = show(folder, tmp_path / "sheet.png", *more)
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)
    assert not (tmp_path / "sheet.png").exists()


def test_nothing_is_written_among_the_images(folder):
    before = sorted(folder.iterdir())
    result = show(folder, folder / "sheet.png")
    assert isinstance(result.exception, UsageError)
    assert "lies inside" in str(result.exception)
    assert sorted(folder.iterdir()) == before


def test_a_folder_without_images_and_a_set_of_volumes_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert isinstance(show(tmp_path / "empty", tmp_path / "sheet.png").exception, FedwardError)
    volumes = ["show-views", "lgg", str(tmp_path / "empty"), "--out", str(tmp_path / "sheet.png")]
    result = CliRunner().invoke(cli, volumes)
    assert isinstance(result.exception, UsageError)
    assert "volumes" in str(result.exception)


@pytest.mark.parametrize(
    ("more", "columns"),
    [
        ([], ["random crop", "rotation", "gamma", "first view", "second view"]),
        (["--method", "rotation", "--bend", "0"], ["random crop", "rotation", "whole view"]),
        (
            ["--method", "simclr", "--rotation", "0", "--min-crop", "0.9"],
            ["random crop", "gamma", "first view", "second view"],
        ),
    ],
)
def test_scans_show_their_partitions_and_the_views_of_training(hearts, tmp_path, monkeypatch, more, columns):
    drawn = []
    monkeypatch.setattr("fedward.pretext.contact_sheet.draw_contact_sheet", lambda *given: drawn.extend(given))
    result = show_scans(hearts, tmp_path / "sheet.png", "--images", "2", "--partitions", "3", *more)
    assert result.exit_code == 0, result.exception
    sheet, rows, title, *_ = drawn
    assert [column.title for column in sheet] == [f"partition {n} of 3" for n in (1, 2, 3)] + columns
    for column, numbers in zip(sheet, ((1, 2), (3, 4), (5,)), strict=False):
        assert column.captions[0] in [f"slice {number} of 5" for number in numbers]
    assert all(column.images.shape == (2, 32, 32) for column in sheet)
    assert all(row.startswith("patient") and row.endswith("\nED") for row in rows)
    assert len(set(rows)) == 2
    assert "32 pixels of 2.5 mm" in title
    assert result.output.startswith("2 scans, partition 1 of 3")
    if "--min-crop" in more:
        assert all(float(caption.split()[0]) >= 90 for caption in sheet[3].captions)


@pytest.mark.parametrize(
    ("data_set", "more", "message"),
    [
        ("acdc", ["--crop", "32"], "--crop is not for scans"),
        ("acdc", ["--method", "frid"], "--method frid is not for scans: acdc takes fcl, rotation, simclr"),
        ("acdc", ["--min-crop", "0"], "min_crop must be a number above 0"),
        ("acdc", ["--partitions", "1"], "take partitions 2 or more"),
        ("acdc", ["--pixel-spacing", "0"], "pixel_spacing 0.0 must be"),
        ("image_folder", ["--min-crop", "0.5"], "--min-crop is not for X-rays"),
        ("image_folder", ["--method", "fcl"], "--method fcl is not for X-rays"),
    ],
)
def test_options_of_the_other_kind_of_images_are_refused(hearts, folder, tmp_path, data_set, more, message):
    images = hearts if data_set == "acdc" else folder
    arguments = ["show-views", data_set, str(images), "--out", str(tmp_path / "sheet.png"), *more]
    result = CliRunner().invoke(cli, arguments)
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)
    assert not (tmp_path / "sheet.png").exists()


def test_only_a_picture_of_its_own_is_replaced_and_the_seed_decides(hearts, tmp_path):
    own, foreign = tmp_path / "own.png", tmp_path / "foreign.png"
    Image.new("L", (40, 40)).save(foreign)
    before = foreign.read_bytes()
    result = show_scans(hearts, foreign, "--images", "1")
    assert isinstance(result.exception, UsageError)
    assert "was not written by fedward show-views" in str(result.exception)
    assert foreign.read_bytes() == before
    written = []
    for seed in ("1", "1", "2"):
        assert show_scans(hearts, own, "--images", "1", "--seed", seed).exit_code == 0
        written.append(own.read_bytes())
    assert written[0] == written[1] != written[2]
    with Image.open(own) as picture:
        assert len(np.unique(np.asarray(picture.convert("L")))) > 100
