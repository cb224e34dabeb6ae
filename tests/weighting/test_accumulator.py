"""The weighted sum: exact values, dtypes, buffers, memory, and the same bits in any order."""

import itertools
import weakref
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedward.errors import FedwardError, RefusedUpdate
from fedward.weighting.accumulator import weighted_sum

SHAPES = {"conv.weight": (2, 3), "conv.bias": (), "empty": (0, 4)}


def state(seed, dtype=np.float32):
    """A random model with batch normalisation."""
    random = np.random.default_rng(seed)
    return {
        **{key: random.normal(size=shape).astype(dtype) for key, shape in SHAPES.items()},
        "norm.running_mean": random.normal(size=2).astype(dtype),
        "norm.running_var": random.uniform(0.1, 2, size=2).astype(dtype),
        "norm.num_batches_tracked": np.array(random.integers(1, 1000), np.int64),
    }


def test_by_hand():
    reference = {"w": np.zeros(2, np.float32)}
    updates = {"b": {"w": np.array([3, -1], np.float32)}, "a": {"w": np.array([1, 1], np.float32)}}
    result = weighted_sum(updates, {"a": 0.25, "b": 0.75}, reference)
    assert result["w"].dtype == np.float32
    assert result["w"].tolist() == [2.5, -0.5]


def test_the_sum_is_taken_in_float64():
    """In float32 the small terms would vanish beside the large ones."""
    values = {"a": 1e8, "b": 1.0, "c": -1e8}
    updates = {site: {"w": np.array([value], np.float32)} for site, value in values.items()}
    result = weighted_sum(updates, dict.fromkeys("abc", 1 / 3), {"w": np.zeros(1, np.float32)})
    assert result["w"][0] == pytest.approx(1 / 3, abs=1e-8)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equal_models_give_that_model_back(dtype):
    model = state(1, dtype)
    result = weighted_sum(dict.fromkeys("abc", model), {"a": 0.2, "b": 0.3, "c": 0.5}, state(2, dtype))
    assert list(result) == list(model)
    for key, value in model.items():
        assert result[key].dtype == value.dtype
        assert result[key].shape == value.shape
        np.testing.assert_allclose(result[key], value, rtol=1e-15)


def test_sites_may_send_another_precision():
    updates = {"a": {"w": np.array([1.5], np.float16)}, "b": {"w": np.array([2.5], np.float64)}}
    result = weighted_sum(updates, {"a": 0.5, "b": 0.5}, {"w": np.zeros(1, np.float32)})
    assert result["w"].dtype == np.float32
    assert result["w"].tolist() == [2.0]


def test_numpy_scalars_stand_for_arrays_without_dimensions():
    updates = {"a": {"w": np.float32(1), "n": np.int64(4)}, "b": {"w": np.float32(2), "n": np.int64(3)}}
    result = weighted_sum(updates, {"a": 0.5, "b": 0.5}, {"w": np.float32(0), "n": np.array(0)})
    assert all(isinstance(value, np.ndarray) and value.shape == () for value in result.values())
    assert (result["w"], result["n"]) == (1.5, 4)


def test_integer_and_bool_buffers_take_the_maximum():
    reference = {"n": np.array(0, np.int64), "flags": np.zeros(2, bool), "bytes": np.zeros(2, np.uint8)}
    updates = {
        "a": {"n": np.array(2**60 + 1), "flags": np.array([True, False]), "bytes": np.array([1, 200], np.uint8)},
        "b": {"n": np.array(7), "flags": np.array([False, False]), "bytes": np.array([9, 3], np.uint8)},
    }
    result = weighted_sum(updates, {"a": 0.1, "b": 0.9}, reference)
    assert result["n"].dtype == np.int64
    assert result["n"].shape == ()
    assert result["n"] == 2**60 + 1  # no detour through a float
    assert result["flags"].tolist() == [True, False]
    assert result["flags"].dtype == np.bool_
    assert result["bytes"].tolist() == [9, 200]
    assert result["bytes"].dtype == np.uint8


def test_a_counter_keeps_the_dtype_of_the_reference():
    updates = {"a": {"n": np.array(3, np.int32)}, "b": {"n": np.array(5, np.int32)}}
    assert weighted_sum(updates, {"a": 0.5, "b": 0.5}, {"n": np.array(0, np.int64)})["n"].dtype == np.int64


def variances(**moments):
    return {
        site: {"n.running_mean": np.array([mean], np.float32), "n.running_var": np.array([variance], np.float32)}
        for site, (mean, variance) in moments.items()
    }


def test_running_variance_plain_and_pooled():
    """Means 0 and 2, variances 1 and 1, equal weights: 1 as a plain sum, 2 pooled."""
    updates = variances(a=(0, 1), b=(2, 1))
    weights = {"a": 0.5, "b": 0.5}
    plain = weighted_sum(updates, weights, updates["a"])
    pooled = weighted_sum(updates, weights, updates["a"], pooled_variance=True)
    assert plain["n.running_var"].tolist() == [1.0]
    assert pooled["n.running_var"].tolist() == [2.0]
    assert plain["n.running_mean"].tolist() == pooled["n.running_mean"].tolist() == [1.0]


@given(st.integers(0, 10**6), st.integers(1, 8))
def test_pooled_variance_is_that_of_all_values_together(seed, sites):
    random = np.random.default_rng(seed)
    values = [random.normal(random.normal(), 1, size=random.integers(1, 40)) for _ in range(sites)]
    updates = {
        f"hospital-{i:02}": {"n.running_mean": v.mean(keepdims=True), "n.running_var": v.var(keepdims=True)}
        for i, v in enumerate(values)
    }
    total = sum(len(v) for v in values)
    weights = {site: len(v) / total for site, v in zip(updates, values, strict=True)}
    pooled = weighted_sum(updates, weights, next(iter(updates.values())), pooled_variance=True)
    assert pooled["n.running_var"][0] == pytest.approx(np.concatenate(values).var(), abs=1e-9)


def test_pooling_does_not_cancel_far_from_zero():
    updates = variances(a=(30_000, 1e-3), b=(30_000, 1e-3))
    pooled = weighted_sum(updates, {"a": 1 / 3, "b": 2 / 3}, updates["a"], pooled_variance=True)
    assert pooled["n.running_var"][0] == pytest.approx(1e-3, rel=1e-6)


def slow_sum(updates, weights, key):
    """Exact sum of one key in fractions, element by element."""
    shape = next(iter(updates.values()))[key].shape
    result = np.empty(shape)
    for index in np.ndindex(shape):
        result[index] = float(sum(Fraction(w) * Fraction(float(updates[s][key][index])) for s, w in weights.items()))
    return result


@given(st.integers(1, 6), st.integers(0, 10**6), st.sampled_from([np.float32, np.float64]))
def test_the_sum_equals_the_exact_one_and_no_order_changes_a_bit(count, seed, dtype):
    random = np.random.default_rng(seed)
    sites = [f"hospital-{number:02}" for number in range(1, count + 1)]
    raw = random.uniform(0, 1, count)
    weights = {site: float(w) for site, w in zip(sites, raw / raw.sum(), strict=True)}
    updates = {site: state(seed + i, dtype) for i, site in enumerate(sites)}
    reference = state(seed, dtype)
    first = weighted_sum(updates, weights, reference)
    for key in (*SHAPES, "norm.running_mean", "norm.running_var"):
        np.testing.assert_allclose(first[key], slow_sum(updates, weights, key), rtol=1e-6, atol=1e-7)
    for order in itertools.islice(itertools.permutations(sites), 24):
        shuffled = {site: dict(reversed(updates[site].items())) for site in order}
        again = weighted_sum(shuffled, {site: weights[site] for site in reversed(order)}, reference)
        assert [(k, v.tobytes()) for k, v in again.items()] == [(k, v.tobytes()) for k, v in first.items()]


class Lazy(Mapping):
    """A state whose arrays come to be when asked for; counts how many are alive at once."""

    alive = most = read = 0

    def __init__(self, model):
        self.model = model

    def __getitem__(self, key):
        value = self.model[key].copy()
        Lazy.alive += 1
        Lazy.read += 1
        Lazy.most = max(Lazy.most, Lazy.alive)
        weakref.finalize(value, Lazy.released)
        return value

    @staticmethod
    def released():
        Lazy.alive -= 1

    def __iter__(self):
        return iter(self.model)

    def __len__(self):
        return len(self.model)


@pytest.mark.parametrize("pooled", [False, True])
def test_one_array_of_one_site_is_in_memory_at_a_time(pooled):
    Lazy.alive = Lazy.most = Lazy.read = 0
    models = {f"hospital-{number:02}": state(number) for number in range(10)}
    weights = dict.fromkeys(models, 0.1)
    openers = {site: lambda model=model: Lazy(model) for site, model in models.items()}
    result = weighted_sum(openers, weights, state(99), pooled)
    assert Lazy.most == 1
    if not pooled:
        assert Lazy.read == 10 * len(state(0))
    for key, value in weighted_sum(models, weights, state(99), pooled).items():
        assert value.tobytes() == result[key].tobytes()


def test_the_inputs_are_not_changed():
    updates = {"a": state(1), "b": state(2)}
    reference = state(3)
    before = [v.tobytes() for model in (*updates.values(), reference) for v in model.values()]
    result = weighted_sum(updates, {"a": 1.0}, reference)
    for value in result.values():
        value[...] = 0
    assert [v.tobytes() for model in (*updates.values(), reference) for v in model.values()] == before


def test_without_weights_the_old_model_stays():
    reference = state(3)
    result = weighted_sum({"a": state(1)}, {}, reference)
    assert {k: v.tobytes() for k, v in result.items()} == {k: v.tobytes() for k, v in reference.items()}
    result["conv.weight"][...] = 0
    assert reference["conv.weight"].any()


def test_a_site_without_a_weight_is_left_alone():
    def never():
        raise AssertionError("opened")

    result = weighted_sum({"a": {"w": np.ones(1)}, "b": never}, {"a": 1.0}, {"w": np.zeros(1)})
    assert result["w"].tolist() == [1.0]


def test_a_weight_without_an_update_is_an_error():
    with pytest.raises(FedwardError, match="no update from hospital-02, hospital-03"):
        weighted_sum({"hospital-01": state(1)}, dict.fromkeys(("hospital-03", "hospital-02", "hospital-01"), 1 / 3), {})


def test_an_array_that_does_not_fit_is_refused_and_never_broadcast():
    reference = {"w": np.zeros(3), "n": np.zeros(3, np.int64)}
    good = {"w": np.ones(3), "n": np.ones(3, np.int64)}
    for key in reference:
        with pytest.raises(RefusedUpdate, match=rf"hospital-01: {key} has shape \(1,\), expected \(3,\)"):
            weighted_sum({"hospital-01": {**good, key: good[key][:1]}}, {"hospital-01": 1.0}, reference)
        with pytest.raises(RefusedUpdate, match=f"hospital-01: {key} is missing"):
            weighted_sum({"hospital-01": {k: v for k, v in good.items() if k != key}}, {"hospital-01": 1.0}, reference)


def test_negative_weights_that_make_a_variance_negative_are_an_error():
    updates = variances(a=(0, 1), b=(0, 9))
    with pytest.raises(FedwardError, match=r"n.running_var is negative.*strict"):
        weighted_sum(updates, {"a": 1.5, "b": -0.5}, updates["a"])


@pytest.mark.parametrize("value", [3e38, np.inf, np.nan])
def test_a_result_that_is_not_finite_is_an_error(value):
    updates = {"a": {"w": np.array([value], np.float32)}, "b": {"w": np.array([-value], np.float32)}}
    with pytest.raises(FedwardError, match="sum of w is not finite in float32"):
        weighted_sum(updates, {"a": 2.0, "b": -1.0}, {"w": np.zeros(1, np.float32)})
