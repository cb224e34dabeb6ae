"""Guards: an update that does not fit is refused with the key and the reason."""

import numpy as np
import pytest

from fedward.errors import RefusedUpdate
from fedward.weighting.guards import check_update

REFERENCE = {
    "conv.weight": np.ones((2, 3), np.float32),
    "norm.running_mean": np.zeros(2, np.float32),
    "norm.running_var": np.ones(2, np.float32),
    "norm.num_batches_tracked": np.array(5, np.int64),
}


def changed(**changes):
    """The reference with some keys replaced; dots are written as double underscores."""
    return {**REFERENCE, **{key.replace("__", "."): value for key, value in changes.items()}}


@pytest.mark.parametrize(
    "update",
    [
        REFERENCE,
        dict(reversed(REFERENCE.items())),
        changed(conv__weight=np.ones((2, 3), np.float16)),
        changed(conv__weight=np.full((2, 3), -3e38)),
        changed(norm__running_var=np.zeros(2, np.float32)),
        changed(norm__num_batches_tracked=np.array(9, np.int64)),
        changed(norm__num_batches_tracked=REFERENCE["norm.num_batches_tracked"] + 1),  # a NumPy scalar
    ],
)
def test_an_update_that_fits_is_accepted(update):
    check_update(update, REFERENCE)


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({}, r"^4 parameters \(conv.weight, norm.num_batches_tracked, norm.running_mean, ...\) are missing"),
        ({k: v for k, v in REFERENCE.items() if k != "conv.weight"}, r"^1 parameter \(conv.weight\) is missing"),
        (changed(head=np.ones(1)), r"^1 parameter \(head\) is not in the global model"),
        ({**REFERENCE, 7: np.ones(1), "a": np.ones(1)}, r"^2 parameters \(7, a\) are not in the global model"),
        (changed(conv__weight=np.ones((3, 2), np.float32)), r"^conv.weight has shape \(3, 2\), expected \(2, 3\)"),
        (changed(conv__weight=np.ones(6, np.float32)), "^conv.weight has shape"),
        (changed(norm__num_batches_tracked=np.array([5])), "^norm.num_batches_tracked has shape"),
        (changed(conv__weight=np.ones((2, 3), np.int32)), "^conv.weight has dtype int32, expected float32"),
        (changed(conv__weight=np.ones((2, 3), complex)), "^conv.weight has dtype complex128"),
        (changed(conv__weight=np.ones((2, 3), object)), "^conv.weight has dtype object"),
        (changed(norm__num_batches_tracked=np.array(5.0)), "^norm.num_batches_tracked has dtype float64"),
        (changed(norm__num_batches_tracked=np.array(5, np.uint64)), "^norm.num_batches_tracked has dtype uint64"),
        (changed(norm__num_batches_tracked=5), "^norm.num_batches_tracked is a int, no NumPy array"),
        (changed(conv__weight=None), "^conv.weight is a NoneType"),
        (changed(conv__weight=[[1.0] * 3] * 2), "^conv.weight is a list"),
        (
            changed(conv__weight=np.array([[1, np.nan, 1], [np.inf, 1, 1]], np.float32)),
            "^conv.weight has 2 of 6 values",
        ),
        (changed(conv__weight=np.full((2, 3), 1e300)), "^conv.weight has 6 of 6 values that are not finite in float32"),
        (changed(norm__running_var=np.array([1, -1e-9], np.float32)), "^norm.running_var has a negative variance"),
    ],
)
def test_an_update_that_does_not_fit_is_refused(update, message):
    with pytest.raises(RefusedUpdate, match=message):
        check_update(update, REFERENCE)


def test_long_names_from_outside_are_cut():
    with pytest.raises(RefusedUpdate) as refused:
        check_update({**REFERENCE, **{letter * 10_000: np.ones(1) for letter in "abcde"}}, REFERENCE)
    assert str(refused.value).startswith("5 parameters (aaa")
    assert len(str(refused.value)) < 500


def test_a_negative_mean_is_no_problem():
    check_update(changed(norm__running_mean=np.full(2, -1, np.float32)), REFERENCE)
