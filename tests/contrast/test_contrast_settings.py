"""Settings of contrastive pretraining that are refused."""

import pytest

from fedward.contrast.settings import ContrastSettings
from fedward.errors import UsageError


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"method": "byol"}, "method 'byol' is unknown"),
        ({"formula": "paper"}, "formula 'paper' is unknown"),
        ({"precision": "float8"}, "precision 'float8' is unknown"),
        ({"momentum_encoder": "fresh"}, "momentum_encoder 'fresh' is unknown"),
        ({"partitions": 0}, "partitions must be a whole number from 1 to 64"),
        ({"partitions": 65}, "partitions must be a whole number from 1 to 64"),
        ({"partitions": 1}, "take partitions 2 or more"),
        ({"temperature": 0}, "temperature must be a number above 0"),
        ({"momentum": 1.0}, "momentum must be a number at least 0 and below 1"),
        ({"bank_size": 1}, "bank_size must be a whole number from 2"),
        ({"negatives": 0}, "negatives must be a whole number from 1"),
        ({"noise": -0.1}, "noise must be a number at least 0"),
        ({"noise": 0.1, "exchange": False}, "noise is put on exchanged features"),
        ({"gamma": -1}, "gamma must be a number at least 0"),
        ({"exchange": 1}, "exchange must be true or false"),
        ({"method": "simclr"}, "exchange is of no use to simclr: it must be false"),
        ({"method": "simclr", "exchange": False, "formula": "literal"}, "formula is of no use to simclr"),
        ({"method": "rotation", "exchange": False, "temperature": 0.2}, "temperature is of no use to rotation"),
        ({"method": "rotation", "exchange": False, "rotation": 45}, "44 at most"),
    ],
)
def test_what_cannot_be_is_refused(values, text):
    with pytest.raises(UsageError, match=text):
        ContrastSettings(**values)


def test_one_partition_is_for_the_literal_formula_and_the_baselines():
    assert ContrastSettings(partitions=1, formula="literal").network == "unet_contrast"
    assert ContrastSettings(partitions=1, method="rotation", exchange=False).network == "unet_rotation"
