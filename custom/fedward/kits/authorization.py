"""Whether one authorization.json grants more than another: every right of every role, as FLARE evaluates it."""

from collections.abc import Mapping
from typing import Any

EVERY_RIGHT = "*"
ANY, NONE = "any", "none"
SYNONYMS = {"all": ANY, "no": NONE}
NARROWER = {"n:submitter": {"o:submitter"}}  # the submitter belongs to the submitter's organisation


def widened_rights(template: Any, kit: Any, categories: Mapping[str, str]) -> list[str]:
    """What `kit` grants beyond `template`, one text each. `categories` maps FLARE's commands to their category."""
    return _compare(template, kit, categories)


def narrowed_rights(template: Any, kit: Any, categories: Mapping[str, str]) -> list[str]:
    """What `kit` grants less than `template`."""
    return _compare(kit, template, categories, swap=True)


def _compare(old: Any, new: Any, categories: Mapping[str, str], swap: bool = False) -> list[str]:
    found: dict[str, None] = {}
    before, after = _roles(old), _roles(new)
    for role in sorted(before.keys() | after.keys()):
        rights = {*categories, *categories.values()}
        for policy in (before.get(role), after.get(role)):
            if isinstance(policy, dict):
                rights |= set(policy)
        for right in sorted(rights):
            was, _ = _effective(before.get(role), right, categories)
            now, source = _effective(after.get(role), right, categories)
            if _wider(now, was):
                pair = (now, was) if swap else (was, now)
                name = "every right" if source == EVERY_RIGHT else (source or right)
                found[f"{role}: {name} ({_shown(pair[0])} -> {_shown(pair[1])})"] = None
    return list(found)


def _roles(policy: Any) -> dict[str, Any]:
    permissions = policy.get("permissions") if isinstance(policy, dict) else None
    if not isinstance(permissions, dict):
        return {}
    normal: dict[str, Any] = {}
    for role, rights in permissions.items():
        if isinstance(rights, dict):
            rights = {_text(right): expression for right, expression in rights.items()}
        normal[_text(role)] = rights
    return normal


def _text(value: Any) -> str:
    return " ".join(str(value).lower().split())


def _effective(rights: Any, right: str, categories: Mapping[str, str]) -> tuple[Any, str]:
    """The expression that decides on `right`, and the key it comes from: all, the right itself, or its category."""
    if isinstance(rights, str | list):
        return rights, EVERY_RIGHT
    if isinstance(rights, dict):
        if right in rights:
            return rights[right], right
        if (category := categories.get(right, "")) in rights:
            return rights[category], category
    return NONE, ""


def _conditions(expression: Any) -> tuple[set[str], set[str]]:
    """Allowed and blocked conditions; an expression with blocked ones alone allows everybody else."""
    allowed: set[str] = set()
    blocked: set[str] = set()
    for part in expression if isinstance(expression, list) else [expression]:
        text = _text(part)
        words = text.split()
        negated = len(words) == 2 and words[0] == "not"
        text = words[1] if negated else text
        text = SYNONYMS.get(text, text).replace("org:", "o:").replace("name:", "n:")
        (blocked if negated else allowed).add(text)
    if not allowed:
        allowed = {ANY}
    return (set() if ANY in blocked else allowed - {NONE}), blocked - {NONE}


def _wider(now: Any, was: Any) -> bool:
    allowed, blocked = _conditions(now)
    before, blocked_before = _conditions(was)
    if not allowed:
        return False
    uncovered = {one for one in allowed - before if not NARROWER.get(one, set()) & before}
    return bool(uncovered and ANY not in before) or not blocked_before <= blocked


def _shown(expression: Any) -> str:
    return ", ".join(map(str, expression)) if isinstance(expression, list) else str(expression)
