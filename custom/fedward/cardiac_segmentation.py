"""Defaults of the job `cardiac_segmentation`: the fine-tuning of federated contrastive learning.

Optimiser, batch and epochs are those of the published code of the paper's group (arXiv 2204.10983): Adam from 5e-4
down a cosine, batch 10, 100 epochs (a round is one).
"""

from fedward.cardiac_contrastive import NETWORK_ARGS, PREPROCESSING, STUDY
from fedward.datasets.partition import site_name
from fedward.networks.registry import UNET_STRUCTURES
from fedward.settings import AggregationSettings, RunSettings, TrainingSettings

JOB_NAME = "cardiac_segmentation"
SETTINGS = RunSettings(
    name=JOB_NAME,
    sites=tuple(site_name(number) for number in range(1, 11)),
    rounds=100,
    data_set="acdc",
    study=STUDY,
    round_deadline=6 * 3600.0,
    seed=1,
    preprocessing=PREPROCESSING,
    training=TrainingSettings(
        network=UNET_STRUCTURES,
        network_args={**NETWORK_ARGS, "out_channels": 4},
        loss="dice_ce",
        optimizer="adam",
        learning_rate=5e-4,
        schedule="cosine",
        batch_size=10,
    ),
    aggregation=AggregationSettings(scheme="fedavg"),
)
