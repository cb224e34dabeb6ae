"""When a round closes: a pure decision from who was asked, who answered, who failed and how long it has taken."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Decision:
    """Wait for more answers, close the round with those that are there, or fail with a reason."""

    action: Literal["wait", "close", "fail"]
    reason: str = ""


def decide(
    asked: Set[str],
    answered: Set[str],
    failed: Mapping[str, str],
    seconds: float,
    min_sites: int,
    deadline: float,
) -> Decision:
    """Decide about a round under way.

    asked      sites that were sent the model
    answered   sites whose result was accepted
    failed     site -> why it will not count this round (its own error, or a refused result)
    seconds    time since the round began
    min_sites  results that must count (the quorum)
    deadline   seconds after which no answer is waited for
    """
    pending = asked - answered - failed.keys()
    if len(answered) + len(pending) < min_sites:
        return Decision("fail", f"{_few(answered | pending, min_sites)}: {_reasons(failed)}")
    if not pending:
        return Decision("close")
    if seconds < deadline:
        return Decision("wait")
    if len(answered) >= min_sites:
        return Decision("close", f"deadline of {deadline:g} s reached")
    silent = dict.fromkeys(pending, f"no answer within {deadline:g} s")
    return Decision("fail", f"{_few(answered, min_sites)}: {_reasons({**failed, **silent})}")


def _few(able: Set[str], min_sites: int) -> str:
    return f"only {len(able)} of at least {min_sites} sites can count in this round"


def _reasons(failed: Mapping[str, str]) -> str:
    return "; ".join(f"{site}: {reason}" for site, reason in sorted(failed.items()))
