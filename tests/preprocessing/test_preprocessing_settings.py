"""Settings are checked when built."""

import json

import pytest

from fedward.errors import UsageError
from fedward.preprocessing.settings import PreprocessingSettings


def test_equal_settings_have_equal_dictionaries():
    one = PreprocessingSettings(percentiles=[2, 98])
    other = PreprocessingSettings("n4", (2.0, 98.0), 96, "all")
    assert one == other
    assert json.dumps(one.to_dict()) == json.dumps(other.to_dict())
    assert one.to_dict() == {"bias_field": "n4", "percentiles": [2.0, 98.0], "image_size": 96, "channels": "all"}
    assert PreprocessingSettings(**json.loads(json.dumps(one.to_dict()))) == one


@pytest.mark.parametrize(
    "wrong",
    [
        {"bias_field": "N4"},
        {"bias_field": None},
        {"bias_field": ["n4"]},
        {"channels": "t1"},
        {"percentiles": (99, 1)},
        {"percentiles": (1, 1)},
        {"percentiles": (-1, 99)},
        {"percentiles": (1, 100.5)},
        {"percentiles": (float("nan"), 99)},
        {"percentiles": (1, 50, 99)},
        {"percentiles": ("1", "99")},
        {"percentiles": 5},
        {"image_size": 15},
        {"image_size": 1025},
        {"image_size": 96.0},
        {"image_size": True},
        {"image_size": "96"},
        {"pixel_spacing": 0},
        {"pixel_spacing": -1.25},
        {"pixel_spacing": 21},
        {"pixel_spacing": float("nan")},
        {"pixel_spacing": "1.25"},
        {"pixel_spacing": True},
    ],
)
def test_wrong_settings_are_named(wrong):
    (name,) = wrong
    with pytest.raises(UsageError, match=name) as caught:
        PreprocessingSettings(**wrong)
    assert caught.value.exit_code == 2


def test_pixel_spacing_is_left_out_where_none_is_set():
    assert "pixel_spacing" not in PreprocessingSettings().to_dict()  # names of older caches and runs stay
    set_ = PreprocessingSettings(pixel_spacing=2)
    assert set_.to_dict()["pixel_spacing"] == 2.0
    assert PreprocessingSettings(**set_.to_dict()) == set_
