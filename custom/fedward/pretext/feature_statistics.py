"""Has an encoder collapsed? What tells it from the features of a set of images."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fedward.errors import FedwardError

LOWEST_SPREAD = 0.05  # of std over its ideal 1 / sqrt(D); an untrained DenseNet-121 has .1 on X-rays of 64 x 64
LOWEST_RANK = 2.0  # an untrained one has 12 with 100 images
FEWEST_IMAGES = 16  # below this the rank is low whatever the encoder


class FeatureStatistics(NamedTuple):
    """What `feature_statistics` measures.

    std   standard deviation of each dimension of the L2-normalised features over the images, mean over the dimensions.
          0: all images look alike; 1 / sqrt(D): the features spread evenly over the sphere (SimSiam, arXiv 2011.10566)
    rank  effective rank of the L2-normalised features: exp of the entropy of their singular values, divided by their
          sum (Roy and Vetterli 2007, EUSIPCO; as in RankMe, arXiv 2210.02885). 1: one direction alone; at most D

    Both NaN with fewer than two images.
    """

    std: float
    rank: float
    images: int
    dimensions: int


def feature_statistics(features: Tensor) -> FeatureStatistics:
    """Statistics of the features (N, D) of N images; FedwardError where they are not finite."""
    images, dimensions = features.shape
    if not features.isfinite().all():
        raise FedwardError(
            "features that are not finite: the encoder's parameters have diverged; lower the learning rate"
        )
    if images < 2:
        return FeatureStatistics(np.nan, np.nan, images, dimensions)
    unit = torch.nn.functional.normalize(features.detach().double().cpu())
    return FeatureStatistics(float(unit.std(dim=0).mean()), effective_rank(unit), images, dimensions)


def collapsed(statistics: FeatureStatistics, spread: float = LOWEST_SPREAD, rank: float = LOWEST_RANK) -> bool:
    """Whether all images have nearly the same features, or lie on nearly one line.

    True where std < spread / sqrt(D) or the effective rank < `rank`. False with fewer than 16 images: too few to tell.
    """
    if statistics.images < FEWEST_IMAGES:
        return False
    return statistics.std * statistics.dimensions**0.5 < spread or statistics.rank < rank


def effective_rank(matrix: Tensor) -> float:
    """exp(-sum p log p) with p the singular values of a matrix (N, D) over their sum; 0 for a matrix of zeros."""
    matrix = matrix.double()
    gram = matrix.T @ matrix if matrix.shape[0] > matrix.shape[1] else matrix @ matrix.T  # the smaller of the two
    singular = torch.linalg.eigvalsh(gram).clamp_min(0).sqrt()
    if singular.sum() == 0:
        return 0.0
    parts = singular / singular.sum()
    return float(torch.special.entr(parts).sum().exp())
