"""What held of the paper's claims, with the figures; unanswered where rows are missing."""

import statistics
from typing import Any

import fcl_rows
from fcl_cells import NAMES, clear, dice_of, words
from fcl_compare import find_comparison
from fcl_rows import ALONE, LITERAL, MASKED, MODES, Preset
from row_cells import FEWEST_SEEDS
from row_runner import RANDOM

MISSING = "Not answered: rows are missing."
CLEAR = (
    "Clear: the 95 % interval by test patient leaves out 0, and the differences of three seeds or more, each with its "
    "own draw of labelled patients, all have the same sign."
)
QUESTIONS = (
    ("Does FCL beat the random start?", MASKED, RANDOM),
    ("Does the literal formula beat the random start?", LITERAL, RANDOM),
    ("Does the exchange of features help?", MASKED, ALONE),
    ("Is leaving a query's own part out of its negatives better than the published formula?", MASKED, LITERAL),
    ("Does FCL beat FedRotation?", MASKED, "rotation"),
    ("Does FCL beat FedSimCLR?", MASKED, "simclr"),
)


def answers(preset: Preset, found: list[dict[str, Any]]) -> str:
    parts = [(question, compared(preset, found, first, second)) for question, first, second in QUESTIONS]
    parts.append(("Is FCL beyond the seeds' spread at N = 1 and 2?", beyond_seeds(preset)))
    parts.append(("Which start is best?", ranked(preset)))
    parts.append(("How many labelled patients is FCL worth?", patients_saved(preset)))
    return "\n\n".join([CLEAR, *(f"## {question}\n\n{answer}" for question, answer in parts)])


def compared(preset: Preset, found: list[dict[str, Any]], first: str, second: str) -> str:
    """The difference of two starts in every column, in words."""
    lines = []
    for mode in MODES:
        for n in preset.patients:
            if entry := find_comparison(found, mode, n, first, second):
                few = len(entry["seeds"]) < FEWEST_SEEDS
                verdict = "too few seeds to judge" if few else "clear" if clear(entry) else "not clear"
                lines.append(
                    f"- {mode}, N = {n}: {NAMES[first]} minus {NAMES[second]} {words(entry)}, "
                    f"{len(entry['seeds'])} {'seed' if len(entry['seeds']) == 1 else 'seeds'}: {verdict}"
                )
    return "\n".join(lines) or MISSING


def beyond_seeds(preset: Preset) -> str:
    """Whether the worst seed of FCL is above the best of the random start."""
    lines = []
    for mode in MODES:
        for n in [n for n in preset.patients if n <= 2]:
            fcl, random = (dice_of(mode, n, init, preset) for init in (MASKED, RANDOM))
            if min(len(fcl), len(random)) >= FEWEST_SEEDS:
                verdict = "yes" if min(fcl) > max(random) else "no"
                lines.append(
                    f"- {mode}, N = {n}: {verdict}. FCL's seeds lie from {min(fcl):.3f} to {max(fcl):.3f}, those of "
                    f"the random start from {min(random):.3f} to {max(random):.3f}."
                )
    return "\n".join(lines) or MISSING


def ranked(preset: Preset) -> str:
    lines = []
    for mode in MODES:
        for n in preset.patients:
            means = {
                init: statistics.fmean(v) for init in fcl_rows.starts(mode) if (v := dice_of(mode, n, init, preset))
            }
            if len(means) > 1:
                order = sorted(means, key=lambda init: -means[init])
                missing = [NAMES[init] for init in fcl_rows.starts(mode) if init not in means]
                lines.append(
                    f"- {mode}, N = {n}: {', '.join(f'{NAMES[init]} {means[init]:.3f}' for init in order)}."
                    + (f" Not run: {', '.join(missing)}." if missing else "")
                )
    return "\n".join(lines) or MISSING


def patients_saved(preset: Preset) -> str:
    """FCL with few labelled patients beside the random start with more."""
    lines = []
    for mode in MODES:
        for few, more in zip(preset.patients, preset.patients[1:], strict=False):
            fcl, random = dice_of(mode, few, MASKED, preset), dice_of(mode, more, RANDOM, preset)
            if fcl and random:
                reaches = "reaches" if statistics.fmean(fcl) >= statistics.fmean(random) else "does not reach"
                lines.append(
                    f"- {mode}: FCL with N = {few} ({statistics.fmean(fcl):.3f}) {reaches} the random start with "
                    f"N = {more} ({statistics.fmean(random):.3f})."
                )
    return "\n".join(lines) or MISSING
