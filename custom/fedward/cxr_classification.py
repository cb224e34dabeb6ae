"""Defaults of the job `cxr_classification`: those of Kong & Kim 2022 (doi 10.13088/jiis.2022.28.4.027)."""

from fedward.datasets.partition import site_name
from fedward.preprocessing.settings import PreprocessingSettings
from fedward.settings import AggregationSettings, RunSettings, TrainingSettings

JOB_NAME = "cxr_classification"
SETTINGS = RunSettings(
    name=JOB_NAME,
    sites=tuple(site_name(number) for number in range(1, 11)),
    rounds=50,
    data_set="chestxray14",
    study="chest-x-ray",
    round_deadline=6 * 3600.0,
    seed=1,
    preprocessing=PreprocessingSettings(bias_field="none", image_size=256),
    training=TrainingSettings(
        network="densenet121",
        network_args={"in_channels": 3, "out_channels": 14, "growth_rate": 32},
        loss="bce",
        optimizer="sgd",
        learning_rate=1e-3,
        momentum=0.9,
        batch_size=64,
        crop_size=224,
    ),
    aggregation=AggregationSettings(scheme="fedavg"),
)
