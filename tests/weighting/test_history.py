"""History: by site name and round (R4), a window for the integral, and a durable form that refuses damage."""

import copy
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedward.errors import FedwardError
from fedward.weighting.claims import SiteClaim
from fedward.weighting.history import History


def test_what_a_site_had_in_the_round_before():
    history = History().after(1, {"a": SiteClaim(5, 0.6, 0.2), "b": SiteClaim(5, 0.7)})
    assert history.past_costs("a", 2) == (0.6,)
    assert history.past_quality("a", 2) == 0.2
    assert history.past_costs("b", 2) == (0.7,)
    assert history.past_quality("b", 2) is None
    assert history.past_costs("stranger", 2) == ()
    assert history.past_quality("stranger", 2) is None


def test_values_older_than_one_round_are_missing():
    history = History().after(1, {"a": SiteClaim(5, 0.6, 0.2)}).after(2, {"b": SiteClaim(5, 0.5, 0.5)})
    assert history.past_costs("a", 3) == ()
    assert history.past_quality("a", 3) is None
    assert history.past_costs("b", 3) == (0.5,)


def test_a_site_that_was_away_begins_a_new_window():
    history = History().after(1, {"a": SiteClaim(5, 0.9)}).after(2, {}).after(3, {"a": SiteClaim(5, 0.6)})
    history = history.after(4, {"a": SiteClaim(5, 0.5)})
    assert history.past_costs("a", 5) == (0.6, 0.5)


def test_a_missing_cost_ends_the_window_but_not_the_quality():
    history = History().after(1, {"a": SiteClaim(5, 0.9, 0.1)}).after(2, {"a": SiteClaim(5, math.nan, 0.2)})
    assert history.past_costs("a", 3) == ()
    assert history.past_quality("a", 3) == 0.2


def test_the_window_keeps_five_past_costs():
    history = History()
    for round in range(1, 9):
        history = history.after(round, {"a": SiteClaim(5, float(round))})
    assert history.past_costs("a", 9) == (4.0, 5.0, 6.0, 7.0, 8.0)


def test_after_does_not_change_the_old_history():
    old = History().after(1, {"a": SiteClaim(5, 0.6, 0.2)})
    before = copy.deepcopy(old)
    old.after(2, {"a": SiteClaim(5, 0.5, 0.3)})
    assert old == before


@pytest.mark.parametrize("round", [0, 1, 2, -1, True, 3.0, None])
def test_a_round_cannot_count_twice(round):
    history = History().after(2, {})
    with pytest.raises(FedwardError, match="already holds round 2"):
        history.after(round, {})


costs = st.none() | st.floats(0, 100)
qualities = st.none() | st.floats(0, 1)
claims = st.builds(SiteClaim, st.integers(0, 50), costs, qualities)
rounds = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), claims), max_size=8)


@given(rounds)
def test_json_gives_back_the_same_history(played):
    history = History()
    for number, answers in enumerate(played, start=1):
        history = history.after(number, answers)
    assert History.from_dict(json.loads(json.dumps(history.to_dict(), allow_nan=False))) == history


SOUND = History().after(1, {"a": SiteClaim(5, 0.6, 0.2)}).after(2, {"a": SiteClaim(5, 0.5, 0.3)}).to_dict()


def damaged(*path, to):
    state = copy.deepcopy(SOUND)
    inner = state
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = to
    return state


def test_the_sound_state_is_read():
    assert History.from_dict(SOUND).past_costs("a", 3) == (0.6, 0.5)


@pytest.mark.parametrize(
    "state",
    [
        None,
        [],
        {},
        {**SOUND, "more": 1},
        damaged("format", to=2),
        damaged("round", to=-1),
        damaged("round", to="2"),
        damaged("round", to=True),
        damaged("round", to=1),  # the costs of round 2 would come from the future
        damaged("sites", to=[]),
        damaged("sites", "", to={"costs": [], "quality": None}),
        damaged("sites", "a", to=None),
        damaged("sites", "a", to={"costs": []}),
        damaged("sites", "a", "costs", to={}),
        damaged("sites", "a", "costs", to=[[0, 0.5]]),
        damaged("sites", "a", "costs", to=[[1, 0.5, 3]]),
        damaged("sites", "a", "costs", to=[[1, math.nan]]),
        damaged("sites", "a", "costs", to=[[1, -0.5]]),
        damaged("sites", "a", "costs", to=[[1, True]]),
        damaged("sites", "a", "costs", to=[["1", 0.5]]),
        damaged("sites", "a", "costs", to=[[2, 0.5], [1, 0.6]]),
        damaged("sites", "a", "costs", to=[[1, 0.5]] * 2),
        damaged("sites", "a", "costs", to=[[1, 0.5]] * 6),
        damaged("sites", "a", "quality", to=[1, 1.5]),
        damaged("sites", "a", "quality", to=[3, 0.5]),
        damaged("sites", "a", "quality", to=0.5),
    ],
)
def test_damaged_state_is_refused(state):
    with pytest.raises(FedwardError, match="weighting history is damaged"):
        History.from_dict(state)


def test_a_gap_between_costs_is_damage():
    state = History().after(1, {"a": SiteClaim(5, 0.6)}).after(2, {}).after(3, {"a": SiteClaim(5, 0.5)}).to_dict()
    state["sites"]["a"]["costs"].insert(0, [1, 0.6])
    with pytest.raises(FedwardError, match="rounds of the costs of a"):
        History.from_dict(state)
