"""Defaults of the job `lgg_segmentation`."""

from fedward.datasets.partition import site_name
from fedward.preprocessing.settings import PreprocessingSettings
from fedward.settings import AggregationSettings, RunSettings, TrainingSettings

JOB_NAME = "lgg_segmentation"
SETTINGS = RunSettings(
    name=JOB_NAME,
    sites=tuple(site_name(number) for number in range(1, 11)),
    rounds=25,
    data_set="lgg",
    study="brain-tumour",
    seed=1,
    preprocessing=PreprocessingSettings(bias_field="n4", image_size=96),
    training=TrainingSettings(
        network="unet",
        network_args={"in_channels": 3, "out_channels": 1, "features": 16, "depth": 4},
        loss="dice_bce",
        optimizer="adam",
        learning_rate=1e-3,
        batch_size=16,
    ),
    aggregation=AggregationSettings(scheme="dcew"),
)
