"""Settings of a pretraining: defaults of each method, and a message for every value that makes no sense."""

import json

import pytest

from fedward.errors import UsageError
from fedward.pretext.settings import METHODS, PretextSettings, pretext_settings


@pytest.mark.parametrize("method", METHODS)
def test_defaults_stand_as_plain_values_and_build_the_same_settings(method):
    settings = pretext_settings(method)
    assert PretextSettings(**json.loads(json.dumps(settings.to_dict()))) == settings
    assert settings.edge == (method == "frid")


def test_defaults_are_those_of_the_papers():
    assert pretext_settings("simclr").temperature == 0.1
    moco = pretext_settings("moco_v2")
    assert (moco.temperature, moco.momentum) == (0.2, 0.999)
    assert pretext_settings("byol").momentum == pretext_settings("frid").momentum == 0.99
    assert pretext_settings("byol").temperature is None


@pytest.mark.parametrize(
    ("method", "change", "message"),
    [
        ("swav", {}, "swav"),
        (["byol"], {}, "unknown"),
        ("simclr", {"temperature": 0}, "temperature"),
        ("simclr", {"temperature": -0.1}, "temperature"),
        ("simclr", {"temperature": float("nan")}, "temperature"),
        ("simclr", {"temperature": "0.1"}, "temperature"),
        ("byol", {"temperature": 0.1}, "byol has no temperature"),
        ("simclr", {"momentum": 0.9}, "simclr has no momentum"),
        ("byol", {"momentum": 1.0}, "momentum"),
        ("byol", {"momentum": -0.1}, "momentum"),
        ("byol", {"queue_size": 64}, "byol has no queue_size"),
        ("moco_v2", {"queue_size": 0}, "queue_size"),
        ("moco_v2", {"queue_size": 10.5}, "queue_size"),
        ("moco_v2", {"queue_size": True}, "queue_size"),
        ("byol", {"crop_size": 31}, "crop_size"),
        ("byol", {"crop_size": 2000}, "crop_size"),
        ("byol", {"min_crop": 0}, "min_crop"),
        ("byol", {"min_crop": 1.5}, "min_crop"),
        ("rotation", {"rotation": 45}, "rotation"),
        ("byol", {"jitter": -1}, "jitter"),
        ("byol", {"blur": 2}, "blur"),
        ("byol", {"edge_strength": float("inf")}, "edge_strength"),
        ("byol", {"flip": 1}, "flip"),
        ("rotation", {"edge": True}, "edge"),
        ("byol", {"edge": "yes"}, "edge"),
        ("byol", {"private_state": "share"}, "private_state"),
        ("byol", {"micro_batch": 1}, "micro_batch"),
        ("byol", {"probe_data_set": 3}, "probe_data_set"),
        ("byol", {"probe_every": 0}, "probe_every"),
        ("byol", {"learning": 1}, "learning"),
    ],
)
def test_a_bad_value_is_named(method, change, message):
    with pytest.raises(UsageError, match=message):
        pretext_settings(method, **change)


@pytest.mark.parametrize(
    ("method", "change", "batch", "size", "message"),
    [
        ("byol", {"crop_size": 64}, 8, 56, "larger than the images of 56"),
        ("byol", {"crop_size": 32}, 1, 64, "at least 2 images"),
        ("byol", {"crop_size": 32, "micro_batch": 3}, 8, 64, "does not divide"),
        ("moco_v2", {"crop_size": 32, "queue_size": 100}, 64, 64, "take 128"),
        ("moco_v2", {"crop_size": 32, "queue_size": 10}, 64, 64, "take 64"),
        ("moco_v2", {"crop_size": 32, "queue_size": 9}, 3, 64, "raise batch_size to 4"),
    ],
)
def test_what_does_not_fit_the_run_is_named(method, change, batch, size, message):
    with pytest.raises(UsageError, match=message):
        pretext_settings(method, **change).check(batch, size)


def test_what_fits_passes():
    pretext_settings("moco_v2", crop_size=56, queue_size=1024, micro_batch=16).check(64, 64)
    pretext_settings("moco_v2", crop_size=32, queue_size=4, micro_batch=2).check(4, 64)
    pretext_settings("frid").check(256, 256)


def test_a_queue_holds_half_of_the_images_at_most():
    settings = pretext_settings("moco_v2", queue_size=128)
    settings.check_data_size(256, 64)
    with pytest.raises(UsageError, match="take queue_size 64 or less"):
        settings.check_data_size(255, 64)
    with pytest.raises(UsageError, match=r"take a batch_size from 4 to 50, .* a multiple of it and at most 50"):
        settings.check_data_size(100, 64)
    small = pretext_settings("moco_v2", crop_size=32, queue_size=4)
    small.check(4, 64)
    small.check_data_size(8, 4)  # the fewest


def test_a_hospital_of_a_handful_of_images_is_told_what_works_there():
    with pytest.raises(UsageError, match=r"needs at least 8 .* no queue_size .* another method .* at a coordinator"):
        pretext_settings("moco_v2", queue_size=4).check_data_size(7, 4)
    pretext_settings("simclr").check_data_size(7, 4)


@pytest.mark.parametrize("method", METHODS)
def test_one_image_is_too_few(method):
    with pytest.raises(UsageError, match="at least 2"):
        pretext_settings(method).check_data_size(1, 64)
