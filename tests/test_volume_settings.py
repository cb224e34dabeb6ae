"""Settings of runs on volumes: what does not belong together is refused."""

from dataclasses import replace

import pytest

from fedward.contrast.settings import METHODS, ContrastSettings
from fedward.errors import UsageError
from fedward.preprocessing.settings import PreprocessingSettings
from fedward.settings import AggregationSettings, RunSettings, TrainingSettings, run_settings_from_dict

NONE = PreprocessingSettings(bias_field="none", image_size=32)


def settings(**changes):
    contrast = ContrastSettings()
    training = TrainingSettings(
        network=contrast.network,
        network_args={"in_channels": 1, "features": 4, "depth": 2},
        loss="contrast",
        augment=False,
    )
    base = RunSettings(
        name="contrast",
        sites=("hospital-01", "hospital-02"),
        data_set="acdc",
        preprocessing=NONE,
        training=training,
        aggregation=AggregationSettings(scheme="fedavg"),
        contrast=contrast,
    )
    return replace(base, **changes)


@pytest.mark.parametrize("method", METHODS)
def test_settings_survive_the_journey_in_a_job(method):
    contrast = ContrastSettings(method=method, exchange=method == "fcl")
    training = replace(settings().training, network=contrast.network)
    own = settings(contrast=contrast, training=training)
    back = run_settings_from_dict(own.to_dict())
    assert back == own
    assert back.fingerprint() == own.fingerprint()


def test_runs_of_other_tasks_do_not_mention_what_is_of_volumes():
    values = RunSettings(name="lgg", sites=("hospital-01",)).to_dict()
    assert "contrast" not in values
    assert "labelled_patients" not in values["selection"]
    assert "pixel_spacing" not in values["preprocessing"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"contrast": None}, "its settings 'contrast' are missing"),
        ({"data_set": "lgg"}, "network unet_contrast is for contrast, and data set lgg is not"),
        ({"contrast": ContrastSettings("rotation", exchange=False)}, "rotation trains unet_rotation"),
        ({"preprocessing": replace(NONE, image_size=34)}, "image size 34 does not fit"),
        ({"preprocessing": PreprocessingSettings(image_size=32)}, "bias_field none"),
        ({"aggregation": AggregationSettings(cost_source="server_validation")}, "server_validation is not for"),
    ],
)
def test_what_does_not_belong_together_is_refused(changes, says):
    with pytest.raises(UsageError, match=says):
        settings(**changes)
