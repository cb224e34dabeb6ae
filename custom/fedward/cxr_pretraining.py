"""Defaults of the job `cxr_pretraining`: those of Kong & Kim 2022 (doi 10.13088/jiis.2022.28.4.027), alike
for all pretexts.

A round is one pass over the images, so its rounds are what others call epochs.
"""

from fedward.preprocessing.settings import PreprocessingSettings
from fedward.pretext.settings import pretext_settings
from fedward.settings import AggregationSettings, RunSettings, TrainingSettings
from fedward.simulation import COORDINATOR

JOB_NAME = "cxr_pretraining"
METHOD = "moco_v2"
SETTINGS = RunSettings(
    name=JOB_NAME,
    sites=(COORDINATOR,),
    rounds=100,
    data_set="image_folder",
    study="chest-x-ray",
    round_deadline=6 * 3600.0,
    seed=1,
    preprocessing=PreprocessingSettings(bias_field="none", image_size=256),
    training=TrainingSettings(
        network=METHOD,
        network_args={"in_channels": 3, "growth_rate": 32},
        loss="pretext",
        optimizer="sgd",
        learning_rate=0.05,
        momentum=0.9,
        schedule="cosine",
        batch_size=256,
    ),
    aggregation=AggregationSettings(scheme="fedavg"),
    pretext=pretext_settings(METHOD, crop_size=224, private_state="keep"),
)
