"""Spread and effective rank by hand, and what counts as collapsed."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedward.errors import FedwardError
from fedward.pretext.feature_statistics import collapsed, effective_rank, feature_statistics


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_effective_rank_by_hand():
    assert effective_rank(torch.diag(torch.tensor([3.0, 1.0]))) == pytest.approx(1.754765, abs=1e-6)  # 4 / 3^.75
    assert effective_rank(torch.eye(5)) == pytest.approx(5)
    assert effective_rank(torch.outer(torch.tensor([1.0, 2, 3]), torch.tensor([4.0, 5]))) == pytest.approx(1, abs=1e-5)
    assert effective_rank(torch.zeros(3, 2)) == 0


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (10, 10)])
def test_effective_rank_equals_its_definition_by_svd(shape):
    matrix = random(*shape)
    values = torch.linalg.svdvals(matrix.double())
    parts = (values / values.sum()).tolist()
    assert effective_rank(matrix) == pytest.approx(math.exp(-sum(p * math.log(p) for p in parts)), rel=1e-6)


@settings(max_examples=25)
@given(st.integers(1, 12), st.integers(1, 12), st.floats(0.01, 100), st.integers(0, 99))
def test_effective_rank_counts_directions_and_ignores_scale_sides_and_copies(rows, columns, scale, seed):
    matrix = random(rows, columns, seed=seed)
    rank = effective_rank(matrix)
    orthonormal = torch.linalg.qr(matrix.double())[0]  # as many equal directions as the smaller side
    assert effective_rank(orthonormal) == pytest.approx(min(rows, columns), rel=1e-5)
    assert effective_rank(matrix.T) == pytest.approx(rank, rel=1e-5)
    assert effective_rank(matrix * scale) == pytest.approx(rank, rel=1e-5)
    assert effective_rank(torch.cat([matrix, matrix])) == pytest.approx(rank, rel=1e-5)  # copies add no direction
    assert effective_rank(matrix[:1].expand(rows, -1)) == pytest.approx(1, abs=1e-5)


def test_spread_by_hand():
    """(3,4) and (4,3) become (.6,.8) and (.8,.6): the standard deviation of .6, .8 is .1 sqrt(2) in both dimensions."""
    found = feature_statistics(torch.tensor([[3.0, 4.0], [4.0, 3.0]]))
    assert found.std == pytest.approx(0.1 * math.sqrt(2), abs=1e-6)
    assert (found.images, found.dimensions) == (2, 2)


def test_features_all_over_the_sphere_are_ideal():
    found = feature_statistics(random(4000, 64))
    assert found.std == pytest.approx(1 / 8, rel=0.01)
    assert found.rank > 60
    assert not collapsed(found)


def test_equal_features_are_collapsed():
    found = feature_statistics(random(1, 32).expand(50, 32) * torch.rand(50, 1))
    assert found.std == pytest.approx(0, abs=1e-6)
    assert found.rank == pytest.approx(1, abs=1e-3)
    assert collapsed(found)


def test_features_on_one_line_are_collapsed_although_they_spread():
    found = feature_statistics(random(1, 32) * random(50, 1, seed=1).sign())
    assert found.std * math.sqrt(32) > 0.5
    assert found.rank == pytest.approx(1, abs=1e-3)
    assert collapsed(found)


def test_noise_around_one_point_is_collapsed_in_many_directions():
    found = feature_statistics(random(1, 1024) + 0.03 * random(200, 1024, seed=1))
    assert found.rank > 8
    assert collapsed(found)


def test_too_few_images_tell_nothing():
    single = feature_statistics(random(1, 8))
    assert math.isnan(single.std)
    assert math.isnan(single.rank)
    assert not collapsed(single)
    assert not collapsed(feature_statistics(torch.ones(3, 8)))
    assert feature_statistics(torch.empty(0, 8)).images == 0


def test_dead_features_are_collapsed_and_damaged_ones_an_error():
    assert collapsed(feature_statistics(torch.zeros(20, 8)))
    for value in (torch.nan, torch.inf):
        with pytest.raises(FedwardError, match="diverged"):
            feature_statistics(torch.full((20, 8), value))
