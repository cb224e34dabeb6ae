"""One volume through all steps."""

import numpy as np
import pytest

from fedward.datasets.base import Volume
from fedward.datasets.phantoms import Scanner, phantom_volume, to_uint8
from fedward.errors import DataError
from fedward.preprocessing.prepare import prepare_volume
from fedward.preprocessing.settings import PreprocessingSettings

PLAIN = PreprocessingSettings(bias_field="none", image_size=32)


def phantom(size=48, slices=6, scanner=None):
    image, mask, _ = phantom_volume(np.random.default_rng(3), size, slices, scanner)
    return Volume("P1", to_uint8(image), mask)


def test_shapes_types_and_range():
    case = prepare_volume(phantom(), PLAIN)
    assert (case.patient, case.notes) == ("P1", ())
    assert case.image.shape == (6, 3, 32, 32)
    assert case.image.dtype == np.float16
    assert case.image.min() == 0
    assert case.image.max() <= 1
    assert case.mask.shape == (6, 32, 32)
    assert case.mask.dtype == np.bool_
    assert case.mask.any()


def test_flair_is_the_second_channel():
    volume = phantom()
    every = prepare_volume(volume, PLAIN)
    flair = prepare_volume(volume, PreprocessingSettings("none", image_size=32, channels="flair"))
    assert flair.image.shape == (6, 1, 32, 32)
    # The head mask is made from what is kept, so the percentiles differ by a little.
    assert flair.image[:, 0] == pytest.approx(every.image[:, 1], abs=0.05)


def test_n4_brings_the_tissue_of_a_biased_image_nearer_to_the_truth():
    biased = phantom(64, 8, Scanner(field_strength=0.3, noise=1.0))
    straight = phantom(64, 8, Scanner(field_strength=0.0, noise=1.0))
    truth = prepare_volume(straight, PreprocessingSettings("none", image_size=64)).image.astype(np.float32)
    errors = {
        method: np.abs(prepare_volume(biased, PreprocessingSettings(method, image_size=64)).image - truth).mean()
        for method in ("none", "n4")
    }
    assert errors["n4"] < 0.5 * errors["none"]


def test_a_volume_that_cannot_be_corrected_says_so():
    volume = Volume("P2", np.zeros((4, 40, 30, 3), np.uint8), np.zeros((4, 40, 30), bool))
    case = prepare_volume(volume, PreprocessingSettings("n4", image_size=16))
    assert not case.image.any()
    assert case.notes == ("bias field left as it is: the head is too small (0 samples after shrinking, 40 are needed)",)


def test_the_volume_given_is_not_changed():
    volume = phantom()
    before = volume.image.copy()
    prepare_volume(volume, PreprocessingSettings("n4", image_size=48))
    assert np.array_equal(volume.image, before)


@pytest.mark.parametrize(
    ("image", "mask"),
    [((4, 9, 9, 3), (4, 9, 8)), ((4, 9, 9), (4, 9, 9)), ((0, 9, 9, 3), (0, 9, 9)), ((4, 9, 9, 3), (3, 9, 9))],
)
def test_arrays_that_do_not_fit_are_refused(image, mask):
    with pytest.raises(DataError, match=r"P3: image .* do not fit together"):
        prepare_volume(Volume("P3", np.ones(image, np.uint8), np.ones(mask, bool)), PLAIN)


def test_flair_of_one_channel_is_refused():
    volume = Volume("P4", np.ones((4, 9, 9, 1), np.uint8), np.ones((4, 9, 9), bool))
    with pytest.raises(DataError, match="set channels to 'all'"):
        prepare_volume(volume, PreprocessingSettings("none", channels="flair"))
