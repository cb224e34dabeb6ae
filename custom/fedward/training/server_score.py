"""The server's own judgement of a model, on validation images that belong to no hospital and to no report."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from fedward.datasets.registry import get_data_set
from fedward.errors import FedwardError
from fedward.evaluation import Evaluation
from fedward.networks.checkpoint import load_parameters
from fedward.networks.registry import build_network
from fedward.preprocessing.cache import prepare_cases
from fedward.settings import RunSettings
from fedward.site_config import SiteConfig
from fedward.training.images import stack_cases
from fedward.training.segmentation import choose_device, evaluate_model


def server_score(
    settings: RunSettings, config: SiteConfig
) -> Callable[[Mapping[str, NDArray[np.generic]]], Evaluation] | None:
    """A function that measures parameters on the server's validation set; None unless the settings ask for one."""
    if settings.aggregation.cost_source != "server_validation":
        return None
    folder = config.validation.get(settings.data_set)
    if folder is None or not folder.is_dir():
        raise FedwardError(
            f"cost_source server_validation needs a folder of validation images at the server: {config.source} says "
            f"{folder} (lay one out with fedward partition --server-patients N)"
        )
    reader = get_data_set(settings.data_set)
    cases = prepare_cases(
        reader, reader.find_cases(folder), settings.preprocessing, config.cache_folder(), workers=1, quiet=True
    )
    images = stack_cases(cases)
    assert images is not None  # find_cases raises where there is no patient
    if config.threads:
        torch.set_num_threads(config.threads)
    device = choose_device(config.device)
    model = build_network(settings.training.network, settings.training.network_args).to(device)

    def score(parameters: Mapping[str, NDArray[np.generic]]) -> Evaluation:
        load_parameters(model, parameters)
        return evaluate_model(model, images, device, settings.training.precision)[0]

    return score
