"""Facts true of every scheme, and `weigh` against a slow second implementation in exact fractions."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedward.weighting.claims import SiteClaim
from fedward.weighting.history import History
from fedward.weighting.schemes import SCHEMES, make_scheme, weigh

COEFFICIENTS = {  # of size, cost term, third term
    "costw": (Fraction(1, 2), Fraction(1, 2), Fraction(0)),
    "costw_ce": (Fraction(1, 2), Fraction(1, 2), Fraction(0)),
    "dcew": (Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)),
    "half_uniform": (Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)),
    "fedpid": (Fraction(45, 100), Fraction(45, 100), Fraction(10, 100)),
}


def slow_weights(name, rounds):
    """The weights of the last of `rounds` (a list of {site: SiteClaim}), straight from the formulas and R1 to R5."""
    now = {site: claim for site, claim in rounds[-1].items() if claim.samples}
    if not now:
        return {}
    total = sum(claim.samples for claim in now.values())
    size = {site: Fraction(claim.samples, total) for site, claim in now.items()}
    if name == "fedavg":
        return size
    if name == "uniform":
        return {site: Fraction(1, len(now)) for site in now}

    def cost(claim):
        if claim is None or claim.cost is None:
            return None
        return Fraction(claim.cost if name in ("costw", "fedpid") else 1 / (1 + math.exp(-claim.cost)))

    def run_of_costs(site):
        """The costs of the unbroken run of rounds up to now, at most six, oldest first."""
        found = []
        for answers in reversed(rounds):
            value = cost(answers.get(site))
            if value is None:
                break
            found.insert(0, value)
        return found[-6:]

    def before(site):
        return rounds[-2].get(site) if len(rounds) > 1 else None

    def divided(values):
        known = {site: value for site, value in values.items() if value is not None}
        if not known:
            return size
        ordered = sorted(known.values())
        half = len(ordered) // 2
        middle = ordered[half] if len(ordered) % 2 else (ordered[half] + ordered[half - 1]) / 2
        neutral = middle if name == "fedpid" else Fraction(1)
        full = {site: neutral if value is None else value for site, value in values.items()}
        whole = sum(full.values())
        return {site: value / whole if whole else Fraction(1, len(full)) for site, value in full.items()}

    def ratio(above, below):
        if above is None or below is None:
            return None
        if name == "half_uniform":
            return Fraction(1)
        exact = (Fraction(above) + Fraction(1, 10**6)) / (Fraction(below) + Fraction(1, 10**6))
        return min(max(exact, Fraction(1, 10)), Fraction(10))

    if name == "fedpid":
        runs = {site: run_of_costs(site) for site in now}
        drops = {site: run[-2] - run[-1] if len(run) > 1 else None for site, run in runs.items()}
        second = size
        known = [drop for drop in drops.values() if drop is not None]
        if known:
            previous = [run[-2] for run in runs.values() if len(run) > 1]
            floor = sum(previous) / len(previous) / 100
            ordered = sorted(known)
            half = len(ordered) // 2
            middle = ordered[half] if len(ordered) % 2 else (ordered[half] + ordered[half - 1]) / 2
            raised = {site: max(middle if drop is None else drop, 0) + floor for site, drop in drops.items()}
            second = divided(raised)
        third = divided({site: sum(run) / len(run) if len(run) > 1 else None for site, run in runs.items()})
    else:
        second = divided({site: ratio(cost(before(site)), cost(claim)) for site, claim in now.items()})
        third = divided(
            {site: ratio(claim.quality, before(site).quality if before(site) else None) for site, claim in now.items()}
        )
    first_part, second_part, third_part = COEFFICIENTS[name]
    return {site: first_part * size[site] + second_part * second[site] + third_part * third[site] for site in now}


cost = st.none() | st.just(0.0) | st.floats(1e-4, 50)
quality = st.none() | st.sampled_from([0.0, 1.0]) | st.floats(0, 1)
claim = st.builds(SiteClaim, st.integers(0, 5000), cost, quality)
answers = st.dictionaries(st.integers(1, 10).map("hospital-{:02}".format), claim, max_size=6)
played = st.lists(answers, min_size=1, max_size=8)


def weigh_last(scheme, rounds):
    history = History()
    for number, claims in enumerate(rounds[:-1], start=1):
        history = history.after(number, claims)
    return weigh(scheme, rounds[-1], history, len(rounds))


@given(st.sampled_from(sorted(SCHEMES)), played)
def test_weights_equal_the_slow_implementation(name, rounds):
    weights = weigh_last(make_scheme(name), rounds).weights
    assert weights == pytest.approx({s: float(w) for s, w in slow_weights(name, rounds).items()}, abs=1e-9)


@given(st.sampled_from(sorted(SCHEMES)), played, st.booleans())
def test_weights_are_a_convex_mix(name, rounds, strict):
    weighed = weigh_last(make_scheme(name, strict=strict), rounds)
    assert list(weighed.weights) == sorted(site for site, claim in rounds[-1].items() if claim.samples)
    for part in (weighed.weights, *weighed.shares.values()):
        assert not part or abs(math.fsum(part.values()) - 1) < 1e-9
        assert (strict and name == "fedpid") or all(weight >= 0 for weight in part.values())


@given(st.sampled_from(sorted(SCHEMES)), played, st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_change_a_bit(name, rounds, strict, random):
    shuffled = []
    for claims in rounds:
        items = list(claims.items())
        random.shuffle(items)
        shuffled.append(dict(items))
    scheme = make_scheme(name, strict=strict)
    one, other = weigh_last(scheme, rounds), weigh_last(scheme, shuffled)
    assert list(one.weights.items()) == list(other.weights.items())
    assert one == other


@given(st.sampled_from(sorted(SCHEMES)), st.lists(claim, min_size=1, max_size=7), st.integers(1, 10))
def test_equal_sites_have_equal_weights(name, claims, count):
    rounds = [{f"hospital-{number:02}": one for number in range(count)} for one in claims]
    assert len(set(weigh_last(make_scheme(name), rounds).weights.values())) <= 1


@given(st.sampled_from(sorted(SCHEMES)), played)
def test_only_the_proportions_of_the_sizes_count(name, rounds):
    doubled = [{site: SiteClaim(3 * c.samples, c.cost, c.quality) for site, c in claims.items()} for claims in rounds]
    scheme = make_scheme(name)
    assert weigh_last(scheme, doubled).weights == pytest.approx(weigh_last(scheme, rounds).weights, abs=1e-12)
