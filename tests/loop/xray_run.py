"""Three phantom hospitals of chest X-rays, small enough for seconds."""

from pathlib import Path
from typing import Any

from fedward.preprocessing.settings import PreprocessingSettings
from fedward.pretext.settings import pretext_settings
from fedward.settings import AggregationSettings, RunSettings, TrainingSettings
from fedward.simulation import find_sites

SIZE, CROP = 40, 32


def classification(sites_folder: Path, training: Any = None, **changes: Any) -> RunSettings:
    """Two rounds of fine-tuning a very narrow DenseNet."""
    network = {"in_channels": 3, "out_channels": 14, "growth_rate": 4}
    own = {"network": "densenet121", "network_args": network, "loss": "bce", "optimizer": "sgd", "momentum": 0.9}
    return RunSettings(
        **{
            "name": "run",
            "sites": find_sites(sites_folder),
            "rounds": 2,
            "data_set": "chestxray14",
            "preprocessing": PreprocessingSettings(bias_field="none", image_size=SIZE),
            "training": TrainingSettings(
                **{
                    **own,
                    "batch_size": 8,
                    "local_epochs": None,
                    "local_steps": 1,
                    "crop_size": CROP,
                    **(training or {}),
                }
            ),
            "aggregation": AggregationSettings(scheme="fedavg"),
            **changes,
        }
    )


def pretraining(sites_folder: Path, method: str = "simclr", pretext: Any = None, **changes: Any) -> RunSettings:
    """Two rounds of a pretext on a very narrow DenseNet."""
    own = {"crop_size": CROP, "probe_data_set": "chestxray14", **(pretext or {})}
    return RunSettings(
        **{
            "name": "run",
            "sites": find_sites(sites_folder),
            "rounds": 2,
            "data_set": "chestxray14",
            "preprocessing": PreprocessingSettings(bias_field="none", image_size=SIZE),
            "training": TrainingSettings(
                network=method,
                network_args={"in_channels": 3, "growth_rate": 4},
                loss="pretext",
                optimizer="sgd",
                learning_rate=0.05,
                batch_size=4,
                local_epochs=None,
                local_steps=2,
            ),
            "aggregation": AggregationSettings(scheme="fedavg"),
            "pretext": pretext_settings(method, **own),
            **changes,
        }
    )
