"""When a round closes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedward.rounds.policy import decide

SITES = frozenset({"a", "b", "c", "d"})


@pytest.mark.parametrize(
    ("answered", "failed", "seconds", "min_sites", "action", "reason"),
    [
        (set(), set(), 0, 4, "wait", ""),
        (set(), set(), 59.9, 1, "wait", ""),
        ({"a", "b", "c"}, set(), 1, 4, "wait", ""),
        ({"a", "b", "c"}, set(), 1, 3, "wait", ""),  # the quorum is there, and the fourth may still come
        ({"a", "b", "c", "d"}, set(), 1, 4, "close", ""),
        ({"a", "b", "c", "d"}, set(), 99, 4, "close", ""),
        ({"a", "b", "c"}, {"d"}, 1, 3, "close", ""),  # nobody is left to wait for
        ({"a", "b", "c"}, set(), 60, 3, "close", "deadline of 60 s reached"),
        ({"a", "b"}, {"d"}, 60, 2, "close", "deadline of 60 s reached"),
        ({"a", "b"}, set(), 60, 3, "fail", "only 2 of at least 3 sites"),
        ({"a", "b"}, {"c", "d"}, 1, 3, "fail", "only 2 of at least 3 sites"),
        (set(), {"a"}, 0, 4, "fail", "a: broken"),  # four can no longer answer: no reason to wait for the others
        ({"b"}, {"a"}, 0, 3, "wait", ""),
        (set(), set(), 60, 1, "fail", "c: no answer within 60 s"),
    ],
)
def test_decisions(answered, failed, seconds, min_sites, action, reason):
    decision = decide(SITES, answered, dict.fromkeys(failed, "broken"), seconds, min_sites, 60)
    assert decision.action == action
    assert decision.reason == reason or (reason and reason in decision.reason)


def test_a_failure_names_every_site_and_its_reason():
    decision = decide(SITES, {"a"}, {"c": "no images", "b": "out of memory"}, 61, 3, 60)
    assert decision.action == "fail"
    assert decision.reason == ("only 2 of at least 3 sites can count in this round: b: out of memory; c: no images")
    late = decide(SITES, {"a"}, {"c": "no images"}, 61, 3, 60)
    assert late.reason.endswith("b: no answer within 60 s; c: no images; d: no answer within 60 s")


@given(
    answered=st.sets(st.sampled_from(sorted(SITES))),
    failed=st.sets(st.sampled_from(sorted(SITES))),
    seconds=st.floats(0, 1e6),
    deadline=st.floats(1, 1e5),
    min_sites=st.integers(1, 4),
)
def test_never_waits_in_vain_and_never_closes_below_the_quorum(answered, failed, seconds, deadline, min_sites):
    failed -= answered
    decision = decide(SITES, answered, dict.fromkeys(failed, "broken"), seconds, min_sites, deadline)
    if decision.action == "wait":
        assert seconds < deadline
        assert SITES - answered - failed
        assert len(SITES - failed) >= min_sites
    if decision.action == "close":
        assert len(answered) >= min_sites
    if decision.action == "fail":
        assert len(answered) < min_sites


@given(failed=st.sets(st.sampled_from(sorted(SITES))), min_sites=st.integers(1, 4))
def test_time_never_turns_a_closed_round_back_into_a_waiting_one(failed, min_sites):
    actions = []
    for seconds in (0, 59, 60, 1e9):
        actions.append(decide(SITES, SITES - failed, dict.fromkeys(failed, "x"), seconds, min_sites, 60).action)
    assert len(set(actions)) == 1
    assert actions[0] != "wait"
