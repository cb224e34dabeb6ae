"""Defaults of the job `cardiac_contrastive`: federated contrastive learning (Wu et al. 2021, arXiv 2204.10983).

The paper names neither rounds nor optimiser. Batch 32, 300 epochs (a round is one), 1.25 mm, 352 pixels and 48 filters
are those of the same group's published code for one hospital. Its SGD did not leave the start here, with a learning
rate of .1 or of .01, as users of that code report too; Adam with .001 did at once (docs/decisions.md).
"""

from fedward.contrast.settings import ContrastSettings
from fedward.datasets.partition import site_name
from fedward.networks.registry import UNET_CONTRAST
from fedward.preprocessing.settings import PreprocessingSettings
from fedward.settings import AggregationSettings, RunSettings, TrainingSettings

JOB_NAME = "cardiac_contrastive"
STUDY = "cardiac"
PREPROCESSING = PreprocessingSettings(bias_field="none", image_size=352, pixel_spacing=1.25)
NETWORK_ARGS = {"in_channels": 1, "features": 48, "depth": 4}
SETTINGS = RunSettings(
    name=JOB_NAME,
    sites=tuple(site_name(number) for number in range(1, 11)),
    rounds=300,
    data_set="acdc",
    study=STUDY,
    round_deadline=6 * 3600.0,
    seed=1,
    preprocessing=PREPROCESSING,
    training=TrainingSettings(
        network=UNET_CONTRAST,
        network_args=NETWORK_ARGS,
        loss="contrast",
        optimizer="adam",
        learning_rate=0.001,
        schedule="cosine",
        batch_size=32,
    ),
    aggregation=AggregationSettings(scheme="fedavg"),
    contrast=ContrastSettings(),
)
