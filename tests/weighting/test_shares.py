"""Shares: hand-worked numbers, the rules R1 to R3 and their strict modes, and facts true of every share."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedward.weighting import shares

SIZES = {"a": 100, "b": 50, "c": 50}


def named(*values):
    return dict(zip("abc", values, strict=True))


def assert_share(share, *expected):
    assert list(share.values) == ["a", "b", "c"]
    assert list(share.values.values()) == pytest.approx(expected, abs=1e-6)


def test_samples_and_uniform():
    assert_share(shares.samples(SIZES), 0.5, 0.25, 0.25)
    assert_share(shares.uniform(SIZES), 1 / 3, 1 / 3, 1 / 3)


def test_cost_ratio_by_hand():
    share = shares.cost_ratio(SIZES, named(0.6, 0.5, 0.4), named(0.4, 0.4, 0.4))
    assert_share(share, 1.5 / 3.75, 1.25 / 3.75, 1 / 3.75)
    assert share.missing == ()
    assert share.clipped == {}


def test_quality_ratio_by_hand():
    share = shares.quality_ratio(SIZES, named(0.5, 0.6, 0.7), named(0.6, 0.66, 0.7))
    assert_share(share, 1.2 / 3.3, 1.1 / 3.3, 1 / 3.3)


def test_cost_drop_by_hand():
    """k = (.2, .1, 0) and .01 * mean(.6, .5, .4) = .005 more for each; strict as it is."""
    previous, current = named(0.6, 0.5, 0.4), named(0.4, 0.4, 0.4)
    assert_share(shares.cost_drop(SIZES, previous, current), 0.205 / 0.315, 0.105 / 0.315, 0.005 / 0.315)
    assert_share(shares.cost_drop(SIZES, previous, current, strict=True), 2 / 3, 1 / 3, 0)


@pytest.mark.parametrize(
    ("windows", "sums"),
    [
        (named((0.9, 0.6, 0.4), (0.7, 0.5, 0.4), (0.6, 0.4, 0.4)), (1.9, 1.6, 1.4)),
        (named((0.9, 0.6), (0.7, 0.5), (0.6, 0.4)), (1.5, 1.2, 1.0)),
        (named((1, 1, 1, 0.9, 0.6, 0.4), (1, 1, 1, 0.7, 0.5, 0.4), (1, 1, 1, 0.6, 0.4, 0.4)), (4.9, 4.6, 4.4)),
    ],
)
def test_cost_integral_by_hand(windows, sums):
    """With the present cost (ours), without it, and padded with ones: the readings that circulate."""
    expected = [value / math.fsum(sums) for value in sums]
    assert_share(shares.cost_integral(SIZES, windows), *expected)
    assert_share(shares.cost_integral(SIZES, windows, strict=True), *expected)
    drop = shares.cost_drop(SIZES, named(0.6, 0.5, 0.4), named(0.4, 0.4, 0.4), strict=True).values
    mixed = [
        0.45 * size + 0.45 * drop[site] + 0.1 * part
        for (site, size), part in zip(shares.samples(SIZES).values.items(), expected, strict=True)
    ]
    published = {
        1.9: (0.563776, 0.295153, 0.141071),
        1.5: (0.565541, 0.294932, 0.139527),
        4.9: (0.560252, 0.295594, 0.144155),
    }
    assert mixed == pytest.approx(published[sums[0]], abs=1e-6)


def test_the_mean_does_not_starve_a_short_window_and_the_sum_does():
    windows = named((0.5,), (0.5,) * 6, (0.5,) * 6)
    assert_share(shares.cost_integral(SIZES, windows), 1 / 3, 1 / 3, 1 / 3)
    assert_share(shares.cost_integral(SIZES, windows, strict=True), 1 / 13, 6 / 13, 6 / 13)


def all_missing():
    nothing = named(None, None, None)
    known = named(0.1, 0.2, 0.3)
    for strict in (False, True):
        yield shares.cost_ratio(SIZES, nothing, known, strict)
        yield shares.cost_ratio(SIZES, known, nothing, strict)
        yield shares.cost_ratio(SIZES, {}, known, strict, neutral=True)
        yield shares.quality_ratio(SIZES, nothing, known, strict)
        yield shares.cost_drop(SIZES, {}, known, strict)
        yield shares.cost_integral(SIZES, nothing, strict)
        yield shares.cost_integral(SIZES, named((), None, ()), strict)


@pytest.mark.parametrize("share", list(all_missing()))
def test_r1_where_everybody_is_missing_the_share_of_samples_stands_in(share):
    assert_share(share, 0.5, 0.25, 0.25)
    assert share.missing == ("a", "b", "c")


def test_r1_a_missing_ratio_is_one():
    share = shares.cost_ratio(SIZES, named(None, 0.8, 0.4), named(0.4, 0.4, 0.4))
    assert_share(share, 0.25, 0.5, 0.25)
    assert share.missing == ("a",)
    share = shares.quality_ratio(SIZES, named(0.3, 0.2, 0.2), named(None, 0.4, 0.2))
    assert_share(share, 0.25, 0.5, 0.25)


def test_r1_missing_drop_and_integral_are_the_median_of_the_others():
    sizes = {**SIZES, "d": 10}
    previous, current = {"a": 0.5, "b": 0.6, "c": 0.9, "d": None}, dict.fromkeys("abcd", 0.4)
    share = shares.cost_drop(sizes, previous, current, strict=True)  # drops .1, .2, .5, so .2 for d
    assert share.values == pytest.approx({"a": 0.1, "b": 0.2, "c": 0.5, "d": 0.2})
    assert share.missing == ("d",)
    share = shares.cost_integral(sizes, {"a": (0.1,), "b": (0.2,), "c": (0.5,)})
    assert share.values == pytest.approx({"a": 0.1, "b": 0.2, "c": 0.5, "d": 0.2})


def test_r2_zero_over_zero_is_one_and_the_rest_is_clamped():
    share = shares.cost_ratio(SIZES, named(0.0, 0.5, 0.0), named(0.0, 0.0, 0.5))
    assert_share(share, 1 / 11.1, 10 / 11.1, 0.1 / 11.1)
    assert share.clipped == {"b": pytest.approx(500001), "c": pytest.approx(1 / 500001)}
    strict = shares.cost_ratio(SIZES, named(0.0, 0.5, 0.0), named(0.0, 0.0, 0.5), strict=True)
    assert_share(strict, 1 / 500002, 500001 / 500002, 0)
    assert strict.clipped == {}


def test_r3_a_plateau_gives_equal_parts():
    """Raw drops of 1e-9 beside none would give one site everything."""
    share = shares.cost_drop(SIZES, named(0.4 + 1e-9, 0.4, 0.4), named(0.4, 0.4, 0.4))
    assert_share(share, 1 / 3, 1 / 3, 1 / 3)


def test_r3_a_rising_cost_counts_as_no_change():
    share = shares.cost_drop(SIZES, named(0.6, 0.5, 0.4), named(0.4, 0.6, 0.45))
    assert_share(share, 0.205 / 0.215, 0.005 / 0.215, 0.005 / 0.215)
    assert share.clipped == {"b": pytest.approx(-0.1), "c": pytest.approx(-0.05)}


def test_no_change_is_not_reported_as_clipped():
    assert shares.cost_drop(SIZES, named(0.6, 0.5, 0.4), named(0.4, 0.5, 0.4)).clipped == {}


def test_a_strict_drop_can_leave_the_unit_interval():
    share = shares.cost_drop(SIZES, named(0.6, 0.5, 0.4), named(0.4, 0.6, 0.45), strict=True)
    assert_share(share, 4, -2, -1)


@pytest.mark.parametrize("current", [named(0.6, 0.5, 0.4), named(0.5, 0.6, 0.4), named(0.0, 1.1 - 1e-9, 0.4)])
def test_a_strict_drop_without_a_sum_is_undefined(current):
    share = shares.cost_drop(SIZES, named(0.6, 0.5, 0.4), current, strict=True)
    assert share.undefined
    assert_share(share, 0.5, 0.25, 0.25)


def test_costs_of_zero_everywhere_give_equal_parts():
    zero = named(0.0, 0.0, 0.0)
    for strict in (False, True):
        assert_share(shares.cost_ratio(SIZES, zero, zero, strict), 1 / 3, 1 / 3, 1 / 3)
        assert_share(shares.cost_integral(SIZES, named((0.0, 0.0), (0.0,), (0.0,)), strict), 1 / 3, 1 / 3, 1 / 3)
    assert_share(shares.cost_drop(SIZES, zero, zero), 1 / 3, 1 / 3, 1 / 3)


def test_neutral_ratios_are_uniform_where_anybody_is_known():
    share = shares.cost_ratio(SIZES, named(0.9, None, 0.1), named(0.1, 0.2, 0.9), neutral=True)
    assert_share(share, 1 / 3, 1 / 3, 1 / 3)
    assert share.clipped == {}


@st.composite
def rounds(draw):
    sites = draw(st.lists(st.integers(1, 20).map("hospital-{:02}".format), min_size=1, max_size=8, unique=True))
    one = st.none() | st.floats(0, 100)
    previous, current = ({site: draw(one) for site in sites} for _ in range(2))
    windows = {site: draw(st.none() | st.lists(st.floats(0, 100), max_size=6)) for site in sites}
    return {site: draw(st.integers(1, 10**6)) for site in sites}, previous, current, windows


def every_share(sizes, previous, current, windows, strict):
    yield shares.samples(sizes)
    yield shares.uniform(sizes)
    yield shares.cost_ratio(sizes, previous, current, strict)
    yield shares.quality_ratio(sizes, previous, current, strict)
    yield shares.cost_drop(sizes, previous, current, strict)
    yield shares.cost_integral(sizes, windows, strict)


@given(rounds(), st.booleans())
def test_every_share_sums_to_one(reported, strict):
    for share in every_share(*reported, strict):
        assert abs(math.fsum(share.values.values()) - 1) < 1e-9
        assert strict or min(share.values.values()) >= 0


@given(rounds(), st.booleans())
def test_the_order_of_the_mappings_does_not_change_a_bit(reported, strict):
    turned = [dict(reversed(mapping.items())) for mapping in reported]
    for share, other in zip(every_share(*reported, strict), every_share(*turned, strict), strict=True):
        assert list(share.values.items()) == list(other.values.items())


@given(st.integers(1, 10**6), st.floats(0, 100), st.floats(0, 100), st.integers(1, 9), st.booleans())
def test_equal_sites_have_equal_parts(size, previous, current, count, strict):
    sites = [f"hospital-{number:02}" for number in range(count)]
    reported = [dict.fromkeys(sites, value) for value in (size, previous, current, (previous, current))]
    for share in every_share(*reported, strict):
        assert len(set(share.values.values())) == 1


@given(rounds(), st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_shares_do_not_depend_on_the_unit(reported, factor):
    """Scaling all sizes, all costs of the drop or all windows changes nothing; powers of two do so without rounding."""
    sizes, *costs, windows = reported
    # six decimals: far above the smallest floats, where even powers of two round
    previous, current = ({site: v if v is None else round(v, 6) for site, v in mapping.items()} for mapping in costs)
    windows = {site: window and [round(c, 6) for c in window] for site, window in windows.items()}
    scaled = [
        {site: None if value is None else value * factor for site, value in mapping.items()}
        for mapping in (previous, current)
    ]
    longer = {site: window and [cost * factor for cost in window] for site, window in windows.items()}
    for plain, other in (
        (shares.samples(sizes), shares.samples({site: size * 7 for site, size in sizes.items()})),
        (shares.cost_drop(sizes, previous, current), shares.cost_drop(sizes, *scaled)),
        (shares.cost_integral(sizes, windows), shares.cost_integral(sizes, longer)),
    ):
        assert other.values == pytest.approx(plain.values, abs=1e-9)
