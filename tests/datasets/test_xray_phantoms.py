import numpy as np
import pytest
from PIL import Image

from fedward.datasets import chestxray14, chexpert
from fedward.datasets.chestxray14_check import check as check_nih
from fedward.datasets.chexpert_check import check as check_chexpert
from fedward.datasets.image_table import finding_counts
from fedward.datasets.selection import SelectionSettings
from fedward.datasets.xray_phantom_findings import FINDINGS
from fedward.datasets.xray_phantom_sets import PREVALENCE, draw_people, write_chestxray14, write_chexpert
from fedward.datasets.xray_phantoms import XrayScanner, phantom_xray, xray_scanner
from fedward.errors import UsageError

QUIET = XrayScanner(noise=0.0)
SETTINGS = {"patients": 44, "size": 24, "institutions": 4, "seed": 3, "workers": 1, "quiet": True}


@pytest.fixture(scope="module")
def nih(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nih")
    return folder, write_chestxray14(folder, **SETTINGS)


@pytest.fixture(scope="module")
def stanford(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chexpert")
    write_chexpert(folder, **SETTINGS)
    return folder


def test_a_chest_has_dark_lungs_a_bright_middle_and_dark_air():
    pixels = phantom_xray(1, 1, 64, scanner=QUIET).astype(float)
    assert pixels.shape == (64, 64)
    right_lung, middle, left_lung = pixels[20:35, 17:24], pixels[20:35, 31:33], pixels[20:35, 41:48]
    assert max(right_lung.mean(), left_lung.mean()) + 60 < middle.mean()
    assert pixels[10:20, 0].mean() < right_lung.mean()


@pytest.mark.parametrize("name", FINDINGS)
def test_every_finding_shows(name):
    """Of the same person with and without it: more than noise, in a part of the image."""
    for person in range(4):
        without, shown = (phantom_xray(person, 9, 64, some, QUIET).astype(float) for some in ([], [name]))
        changed = np.abs(shown - without) > 8
        assert 0.0015 < changed.mean() < 0.6, (name, person)


def test_a_finding_keeps_its_place_beside_others_and_in_another_image():
    clean, mass = (phantom_xray(5, 1, 64, some, QUIET).astype(float) for some in ([], ["Mass"]))
    both, hernia = (phantom_xray(5, 1, 64, some, QUIET).astype(float) for some in (["Mass", "Hernia"], ["Hernia"]))
    np.testing.assert_allclose(both - hernia, mass - clean, atol=2)
    later = phantom_xray(5, 2, 64, ["Mass"], QUIET).astype(float) - phantom_xray(5, 2, 64, [], QUIET)
    centres = [np.argwhere(change > 20).mean(axis=0) for change in (mass - clean, later)]
    assert np.abs(centres[0] - centres[1]).max() < 6


def test_seeds_decide_everything():
    first = phantom_xray(1, 2, 32, ["Edema"], xray_scanner(0, 7))
    np.testing.assert_array_equal(first, phantom_xray(1, 2, 32, ["Edema"], xray_scanner(0, 7)))
    assert xray_scanner(0, 7) != xray_scanner(1, 7) != xray_scanner(1, 8)
    assert (first != phantom_xray(1, 3, 32, ["Edema"], xray_scanner(0, 7))).mean() > 0.5


def test_chestxray14_is_read_checked_and_split_as_the_original(nih):
    folder, counts = nih
    table = chestxray14.read_table(folder)
    assert len(set(table.patients)) == 44
    assert len(table) > 60
    found = finding_counts(table)
    assert {name: found[name] for name in counts} == counts
    assert set(counts) == set(chestxray14.FINDINGS)
    assert counts["Infiltration"] > counts["Hernia"]
    assert 0.3 < found["No Finding"] / len(table) < 0.75
    result = check_nih(folder, workers=1, quiet=True)
    assert [problem.reason for problem in result.problems] == ["RGBA image: RGBA"]
    assert len(chestxray14.official_test(folder)) == 8
    header = (folder / "Data_Entry_2017.csv").read_text().splitlines()[0]
    assert header.endswith("OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],")


def test_chexpert_is_read_and_checked_as_the_original(stanford):
    every = chexpert.read_table(stanford, SelectionSettings(views="all"))
    frontal = chexpert.read_table(stanford, SelectionSettings())
    assert len(set(every.patients)) == 44
    assert len(frontal) < len(every)
    assert np.isnan(frontal.labels).any()
    assert len(chexpert.official_test(stanford)) == 8
    valid = frontal.of_patients(chexpert.official_test(stanford))
    assert not np.isnan(valid.labels).any()
    assert check_chexpert(stanford, workers=1, quiet=True).problems == ()
    assert (finding_counts(every) | {"x": 1}).keys() >= set(chexpert.FINDINGS)
    assert min(finding_counts(every)[name] for name in chexpert.FINDINGS) > 0
    with Image.open(every.paths[0]) as image:
        assert (image.format, image.size) == ("JPEG", (28, 24))
    assert ",," in (stanford / "train.csv").read_text()


def test_the_same_seed_writes_the_same_files(nih, tmp_path):
    write_chestxray14(tmp_path, **SETTINGS)
    for path in sorted(nih[0].rglob("*.*")):
        assert (tmp_path / path.relative_to(nih[0])).read_bytes() == path.read_bytes()


def test_hospitals_are_unequal_and_rare_findings_are_there():
    people = draw_people(100, 64, 5, 0, PREVALENCE)
    sizes = [sum(person.institution == number for person in people) for number in range(5)]
    assert sizes[0] > sizes[4] >= 1
    held = [set().union(*person.images) for person in people]
    assert all(sum(name in found for found in held) >= 2 for name in PREVALENCE)
    assert all(person.images[0] == set().union(*person.images) for person in people)
    few = draw_people(2, 64, 2, 0, PREVALENCE)
    assert set().union(*(person.images[0] for person in few)) == set(PREVALENCE)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"patients": 1}, "patients is 1: give a number from 2 to 99999"),
        ({"size": 8}, "size is 8"),
        ({"institutions": 0}, "institutions is 0"),
        ({"patients": 3, "institutions": 4}, "institutions is 4: give a number from 1 to 3"),
    ],
)
@pytest.mark.parametrize("write", [write_chestxray14, write_chexpert])
def test_numbers_out_of_range_are_refused(tmp_path, write, values, reason):
    with pytest.raises(UsageError, match=reason):
        write(tmp_path, **(SETTINGS | values))
    assert list(tmp_path.iterdir()) == []
