"""Claims: what is believed, what counts as missing, and that every correction leaves a warning."""

import math

import numpy as np
import pytest

from fedward.weighting.claims import MAX_SAMPLES, SiteClaim, bounded

METRICS = ("cost", "quality", "start_cost", "start_quality")


def test_true_values_pass_unchanged_and_without_warning():
    claims = {"b": SiteClaim(7, 0.3, 0.9, 0.4, 0.8), "a": SiteClaim(1)}
    kept, warnings = bounded(claims)
    assert kept == claims
    assert list(kept) == ["a", "b"]
    assert warnings == []


def test_the_ends_of_each_range_are_legal():
    claim = SiteClaim(0, 0.0, 0.0, 1e6, 1.0)
    assert bounded({"a": claim}) == ({"a": claim}, [])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, -1e-9, "0.3", True, [0.3], 10**400, 1.01e6, 1j, np.float32("nan")]
)
def test_a_metric_that_cannot_be_true_is_missing_with_one_warning(metric, value):
    kept, warnings = bounded({"hospital-03": SiteClaim(5, **{metric: value})})
    assert kept == {"hospital-03": SiteClaim(5)}
    assert [warning["site"] for warning in warnings] == ["hospital-03"]
    assert warnings[0]["message"].startswith(f"{metric} ")
    assert len(warnings[0]["message"]) < 120


@pytest.mark.parametrize("metric", ["quality", "start_quality"])
def test_quality_above_one_is_missing(metric):
    kept, warnings = bounded({"a": SiteClaim(5, **{metric: 1.0001})})
    assert getattr(kept["a"], metric) is None
    assert len(warnings) == 1


@pytest.mark.parametrize(
    "samples",
    [-1, 1.5, 3.0, math.nan, None, "12", True, MAX_SAMPLES + 1, 10**5000],
    ids=lambda value: type(value).__name__,
)
def test_a_count_that_cannot_be_true_becomes_zero(samples):
    kept, warnings = bounded({"a": SiteClaim(samples, 0.5, 0.5)})
    assert kept["a"] == SiteClaim(0, 0.5, 0.5)
    assert len(warnings) == 1


def test_numpy_numbers_become_plain_ones():
    kept, warnings = bounded({"a": SiteClaim(np.int64(5), np.float32(0.5), np.float64(0.25))})
    assert kept["a"] == SiteClaim(5, 0.5, 0.25)
    assert [type(kept["a"].samples), type(kept["a"].cost)] == [int, float]
    assert warnings == []
