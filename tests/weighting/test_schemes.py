"""Schemes and rounds: the worked numbers of docs/methods.md through `weigh`, the rules R1 to R6, and bad input."""

import itertools
import math

import pytest

from fedward.errors import FedwardError, UsageError
from fedward.weighting.claims import SiteClaim
from fedward.weighting.history import History
from fedward.weighting.schemes import ALL_SITES, SCHEMES, Scheme, make_scheme, weigh

SITES = ("hospital-01", "hospital-02", "hospital-03")
SAMPLES = (100, 50, 50)


def claims_of(costs=(None,) * 3, qualities=(None,) * 3, samples=SAMPLES):
    return {
        site: SiteClaim(*claim) for site, claim in zip(SITES, zip(samples, costs, qualities, strict=True), strict=True)
    }


def play(name, costs, qualities=None, samples=SAMPLES, **options):
    """The weights of the last round: `costs` and `qualities` hold one triple a round."""
    history = History()
    qualities = qualities or [(None,) * 3] * len(costs)
    *earlier, last = itertools.starmap(lambda c, q: claims_of(c, q, samples), zip(costs, qualities, strict=True))
    for number, claims in enumerate(earlier, start=1):
        history = history.after(number, claims)
    return weigh(make_scheme(name, **options), last, history, len(costs))


def assert_weights(weighed, *expected):
    assert list(weighed.weights) == list(SITES)
    assert list(weighed.weights.values()) == pytest.approx(expected, abs=1e-6)
    assert abs(math.fsum(weighed.weights.values()) - 1) < 1e-9


def messages(weighed, site=None):
    return [w["message"] for w in weighed.warnings if site is None or w["site"] == site]


COSTW = [(0.6, 0.5, 0.4), (0.4, 0.4, 0.4)]
CE = [(0.9, 0.7, 0.5), (0.5, 0.5, 0.5)]
DICE = [(0.5, 0.6, 0.7), (0.6, 0.66, 0.7)]
FALLING = [(0.9, 0.7, 0.6), (0.6, 0.5, 0.4), (0.4, 0.4, 0.4)]
TRAP = [(0.9, 0.7, 0.6), (0.6, 0.5, 0.4), (0.4, 0.6, 0.45)]


class TestWorkedNumbers:
    def test_fedavg_and_uniform(self):
        assert_weights(play("fedavg", COSTW), 0.5, 0.25, 0.25)
        assert_weights(play("uniform", COSTW), 1 / 3, 1 / 3, 1 / 3)

    @pytest.mark.parametrize("strict", [False, True])
    def test_costw(self, strict):
        assert_weights(play("costw", COSTW, strict=strict), 0.45, 0.291667, 0.258333)

    @pytest.mark.parametrize("strict", [False, True])
    def test_costw_ce(self, strict):
        assert_weights(play("costw_ce", CE, strict=strict), 0.427596, 0.291914, 0.280491)

    @pytest.mark.parametrize("strict", [False, True])
    def test_dcew(self, strict):
        assert_weights(play("dcew", CE, DICE, strict=strict), 0.429707, 0.291790, 0.278503)

    def test_half_uniform_and_its_distance_to_dcew(self):
        half = play("half_uniform", CE, DICE)
        assert_weights(half, 0.416667, 0.291667, 0.291667)
        dcew, fedavg = play("dcew", CE, DICE), play("fedavg", CE, DICE)
        for other, distance in ((half, 0.026), (fedavg, 0.141)):
            gap = sum(abs(dcew.weights[site] - other.weights[site]) for site in SITES)
            assert gap == pytest.approx(distance, abs=5e-4)

    def test_fedpid_strict(self):
        assert_weights(play("fedpid", FALLING, strict=True), 0.563776, 0.295153, 0.141071)

    def test_fedpid_trap_strict(self):
        weighed = play("fedpid", TRAP, strict=True)
        assert_weights(weighed, 2.061893, -0.752549, -0.309345)
        assert "weight -0.752549 is negative" in messages(weighed, "hospital-02")[0]

    def test_fedpid_default(self):
        assert_weights(play("fedpid", FALLING), 0.556633, 0.295153, 0.148214)
        weighed = play("fedpid", TRAP)
        assert_weights(weighed, 0.690963, 0.157917, 0.151120)
        assert messages(weighed, "hospital-02") == ["cost_drop: the cost rose by 0.1, which counts as no change"]

    def test_fedpid_with_rises_taken_as_plateaus(self):
        """max(0, k) without the floor of R3, as one re-implementation has it, from the published formula."""
        flat = play("fedpid", [(0.9, 0.7, 0.6), (0.6, 0.6, 0.45), (0.4, 0.6, 0.45)], strict=True).shares
        integral = play("fedpid", TRAP, strict=True).shares["cost_integral"]
        mixed = [0.45 * flat["samples"][s] + 0.45 * flat["cost_drop"][s] + 0.1 * integral[s] for s in SITES]
        assert mixed == pytest.approx((0.711893, 0.147451, 0.140655), abs=1e-6)

    def test_r1_one_site_without_history(self):
        missing = [(None, 0.7, 0.5), CE[1]]
        assert_weights(play("costw_ce", missing), 0.412683, 0.299634, 0.287683)
        weighed = play("dcew", missing, [(None, 0.6, 0.7), DICE[1]])
        assert_weights(weighed, 0.411987, 0.301027, 0.286987)
        assert len(messages(weighed, "hospital-01")) == 2

    def test_r2_dice_zero_before(self):
        weighed = play("dcew", CE, [(0.0, 0.6, 0.7), DICE[1]])
        assert_weights(weighed, 0.545409, 0.231184, 0.223407)
        assert messages(weighed, "hospital-01") == ["quality_ratio: ratio 600001 was clipped to [0.1, 10]"]

    def test_one_falling_cost_among_five_sites_hardly_counts(self):
        """Cross entropy .30 to .25 at one of five equal sites: its sigmoid ratio is 1.0218, its cost share .2035."""
        sites = [f"hospital-{number:02}" for number in range(1, 6)]
        history = History().after(1, {site: SiteClaim(10, 0.3) for site in sites})
        claims = {site: SiteClaim(10, 0.25 if site == sites[0] else 0.3) for site in sites}
        share = weigh(make_scheme("costw_ce"), claims, history, 2).shares["cost_ratio"]
        assert share[sites[0]] == pytest.approx(0.2035, abs=5e-5)
        assert share[sites[0]] / share[sites[1]] == pytest.approx(1.0218, abs=5e-5)


class TestRules:
    @pytest.mark.parametrize("name", [name for name in SCHEMES if name != "uniform"])
    @pytest.mark.parametrize("strict", [False, True])
    def test_r1_the_first_round_is_fedavg_without_warnings(self, name, strict):
        weighed = play(name, [CE[0]], [DICE[0]], strict=strict)
        assert_weights(weighed, 0.5, 0.25, 0.25)
        assert weighed.warnings == []

    @pytest.mark.parametrize("name", ["costw", "costw_ce", "dcew", "fedpid", "half_uniform"])
    def test_r1_a_round_without_any_metric_is_fedavg_and_says_so(self, name):
        weighed = play(name, [CE[0], (None, None, math.nan)])
        assert_weights(weighed, 0.5, 0.25, 0.25)
        assert any("share of training images stands in" in message for message in messages(weighed, ALL_SITES))

    def test_r1_fedpid_without_history_at_one_site(self):
        """k = (-, .1, 0), so .05; m = (-, .533333, .466667), so .5: medians of two are their mean."""
        weighed = play("fedpid", [(None, 0.7, 0.6), (None, 0.5, 0.4), (0.4, 0.4, 0.4)])
        floor = 0.01 * 0.45
        k = [0.05 + floor, 0.1 + floor, floor]
        m = [0.5, 1.6 / 3, 1.4 / 3]
        expected = [
            0.45 * s + 0.45 * ki / sum(k) + 0.1 * mi / sum(m) for s, ki, mi in zip((0.5, 0.25, 0.25), k, m, strict=True)
        ]
        assert_weights(weighed, *expected)

    def test_half_uniform_treats_missing_metrics_like_dcew(self):
        """Dice missing everywhere: its quarter goes to the sizes, for both."""
        weighed = play("half_uniform", CE)
        assert_weights(weighed, 0.75 * 0.5 + 0.25 / 3, 0.75 * 0.25 + 0.25 / 3, 0.75 * 0.25 + 0.25 / 3)
        assert_weights(play("dcew", [CE[0], CE[0]]), *weighed.weights.values())

    def test_r4_history_is_kept_by_name_and_not_by_order(self):
        forward = History().after(1, claims_of(CE[0], DICE[0]))
        backward = History().after(1, dict(reversed(claims_of(CE[0], DICE[0]).items())))
        last = claims_of(CE[1], DICE[1])
        expected = weigh(make_scheme("dcew"), last, forward, 2)
        assert weigh(make_scheme("dcew"), dict(reversed(last.items())), backward, 2) == expected

    def test_r4_a_site_that_was_away_starts_at_the_neutral_ratio(self):
        history = (
            History().after(1, claims_of(CE[0])).after(2, {s: c for s, c in claims_of(CE[0]).items() if s != SITES[0]})
        )
        weighed = weigh(make_scheme("costw_ce"), claims_of(CE[1]), history, 3)
        assert_weights(weighed, 0.412683, 0.299634, 0.287683)

    def test_r5_a_site_without_training_images_is_left_out_before_any_share(self):
        weighed = play("dcew", [*CE], DICE, samples=(100, 50, 0))
        assert set(weighed.weights) == set(weighed.shares["cost_ratio"]) == set(SITES[:2])
        assert math.fsum(weighed.weights.values()) == pytest.approx(1, abs=1e-12)
        assert messages(weighed, SITES[2]) == ["no training images: left out of this round"]

    @pytest.mark.parametrize("name", SCHEMES)
    @pytest.mark.parametrize("strict", [False, True])
    def test_r5_one_site_left_has_weight_one(self, name, strict):
        weighed = play(name, [(0.6, 1, 1), (0.7, 1, 1)], samples=(100, 0, 0), strict=strict)
        assert weighed.weights == {SITES[0]: 1.0}

    def test_r5_one_site_has_weight_one_whatever_the_coefficients_round_to(self):
        scheme = make_scheme("dcew", 0.03185230357892013, 0.32348713192956485, 0.6446605648915149)
        assert math.fsum(scheme.mix.values()) != 1
        assert weigh(scheme, {"a": SiteClaim(7)}, History(), 1).weights == {"a": 1.0}

    @pytest.mark.parametrize("claims", [{}, claims_of(CE[0], samples=(0, 0, 0)), {"hospital-01": SiteClaim(-3)}])
    @pytest.mark.parametrize("name", SCHEMES)
    def test_r5_nobody_left_keeps_the_old_model(self, name, claims):
        weighed = weigh(make_scheme(name), claims, History(), 1)
        assert weighed.weights == {}
        assert weighed.shares == {}
        assert messages(weighed, ALL_SITES) == ["no site counts in this round: the old global model stays"]

    def test_a_strict_drop_without_a_sum_gives_its_part_to_the_sizes(self):
        weighed = play("fedpid", [COSTW[0], COSTW[0]], strict=True)
        integral = weighed.shares["cost_integral"]
        assert_weights(
            weighed, *(0.9 * s + 0.1 * integral[site] for site, s in zip(SITES, (0.5, 0.25, 0.25), strict=True))
        )
        assert "drops add up to zero" in messages(weighed, ALL_SITES)[0]

    def test_round_start_compares_with_the_model_received_also_in_round_one(self):
        """The same numbers as with a history, but each site brings its own reference."""
        start = zip(SITES, SAMPLES, CE[1], DICE[1], CE[0], DICE[0], strict=True)
        claims = {site: SiteClaim(*values) for site, *values in start}
        scheme = make_scheme("dcew", cost_reference="round_start")
        assert_weights(weigh(scheme, claims, History(), 1), 0.429707, 0.291790, 0.278503)
        stale = History().after(1, claims_of((5, 1, 9), (1, 1, 0.1)))
        assert weigh(scheme, claims, stale, 2).weights == weigh(scheme, claims, History(), 1).weights

    def test_round_start_fedpid_uses_start_and_end(self):
        start = zip(SITES, SAMPLES, COSTW[1], COSTW[0], strict=True)
        claims = {site: SiteClaim(n, cost, None, before) for site, n, cost, before in start}
        weighed = weigh(make_scheme("fedpid", cost_reference="round_start"), claims, History(), 1)
        k, m = (0.205, 0.105, 0.005), (1.0, 0.9, 0.8)
        expected = [
            0.45 * s + 0.45 * ki / 0.315 + 0.1 * mi / 2.7 for s, ki, mi in zip((0.5, 0.25, 0.25), k, m, strict=True)
        ]
        assert_weights(weighed, *expected)

    def test_round_start_without_a_start_is_neutral_and_says_so(self):
        weighed = weigh(make_scheme("dcew", cost_reference="round_start"), claims_of(CE[0], DICE[0]), History(), 1)
        assert_weights(weighed, 0.5, 0.25, 0.25)
        assert len(messages(weighed, ALL_SITES)) == 2

    def test_a_round_that_the_history_holds_already_is_refused(self):
        history = History().after(1, claims_of(CE[0]))
        with pytest.raises(FedwardError, match="already holds round 1"):
            weigh(make_scheme("dcew"), claims_of(CE[1]), history, 1)


BAD = [math.nan, math.inf, -math.inf, -0.1, 10**400, "0.5", None]


class TestBadClaims:
    @pytest.mark.parametrize("value", BAD)
    @pytest.mark.parametrize("when", [0, 1])
    @pytest.mark.parametrize("name", ["costw", "costw_ce", "dcew", "fedpid"])
    def test_a_bad_cost_counts_like_a_missing_one(self, name, when, value):
        rounds = [list(CE[0]), list(CE[1])]
        rounds[when][0] = value
        bad = play(name, rounds, DICE)
        rounds[when][0] = None
        assert bad.weights == play(name, rounds, DICE).weights
        assert messages(bad, SITES[0])

    @pytest.mark.parametrize("value", [*BAD, 1.01])
    def test_a_bad_dice_counts_like_a_missing_one(self, value):
        bad = play("dcew", CE, [DICE[0], (value, *DICE[1][1:])])
        assert bad.weights == play("dcew", CE, [DICE[0], (None, *DICE[1][1:])]).weights

    @pytest.mark.parametrize("name", SCHEMES)
    @pytest.mark.parametrize("strict", [False, True])
    @pytest.mark.parametrize("costs", [[(0, 0, 0)] * 2, [(0, 0.5, 0), (0.5, 0, 0)], [(1e6, 0, 1), (0, 1e6, 1)]])
    def test_zero_and_huge_costs_are_legal(self, name, costs, strict):
        weighed = play(name, costs, [(0, 1, 0), (1, 0, 0)], strict=strict)
        assert all(map(math.isfinite, weighed.weights.values()))
        assert abs(math.fsum(weighed.weights.values()) - 1) < 1e-9


class TestMakeScheme:
    def test_published_defaults(self):
        assert make_scheme("fedpid") == Scheme(
            "fedpid", {"samples": 0.45, "cost_drop": 0.45, "cost_integral": 0.10}, "identity"
        )
        assert make_scheme("dcew").cost == make_scheme("costw_ce").cost == "sigmoid"

    def test_coefficients_reach_the_weights(self):
        assert_weights(play("costw", COSTW, alpha=1.0, beta=0.0), 0.5, 0.25, 0.25)
        assert_weights(play("costw", COSTW, alpha=0.0), 0.4, 1.25 / 3.75, 1 / 3.75)

    def test_one_coefficient_may_be_left_out(self):
        assert make_scheme("costw", beta=0.25).mix == {"samples": 0.75, "cost_ratio": 0.25}
        assert make_scheme("dcew", alpha=0.5, gamma=0.5).mix["cost_ratio"] == 0
        assert make_scheme("dcew", 0.7, 0.2, 0.1).mix["quality_ratio"] == pytest.approx(0.1)

    @pytest.mark.parametrize(
        ("name", "coefficients"),
        [
            ("dcew", (0.5, 0.5, 0.1)),
            ("dcew", (0.5, None, None)),
            ("dcew", (0.5, 0.25, 0.25 + 1e-8)),
            ("dcew", (0.9, 0.2, None)),
            ("dcew", (1.5, -0.25, -0.25)),
            ("dcew", (math.nan, 0.5, 0.5)),
            ("dcew", (math.inf, 0, 0)),
            ("dcew", (10**400, 0, 0)),
            ("dcew", ("0.5", 0.25, 0.25)),
            ("dcew", (True, 0, 0)),
            ("costw", (0.5, 0.25, 0.25)),
            ("costw", (0.0, 0.0)),
            ("fedavg", (1.0,)),
            ("uniform", (None, 1.0)),
        ],
    )
    def test_what_is_no_convex_mix_is_refused(self, name, coefficients):
        with pytest.raises(UsageError, match=name):
            make_scheme(name, *coefficients)

    def test_rounding_in_the_sum_is_forgiven_and_taken_out(self):
        mix = make_scheme("dcew", 1 / 3 + 3e-10, 1 / 3, 1 / 3).mix
        assert math.fsum(mix.values()) == pytest.approx(1, abs=1e-15)

    def test_unknown_names_are_refused_with_a_hint(self):
        with pytest.raises(UsageError, match=r"did you mean 'fedavg'.*choose one of fedavg, costw"):
            make_scheme("fedagv")
        for name in (None, ["dcew"], ""):
            with pytest.raises(UsageError, match="choose one of"):
                make_scheme(name)
        with pytest.raises(UsageError, match="previous_round or round_start"):
            make_scheme("dcew", cost_reference="start")
        with pytest.raises(UsageError, match="strict"):
            make_scheme("dcew", strict="no")
