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
    ],
)
def test_wrong_settings_are_named(wrong):
    (name,) = wrong
    with pytest.raises(UsageError, match=name) as caught:
        PreprocessingSettings(**wrong)
    assert caught.value.exit_code == 2
