"""The questions that the tables are to answer, answered with their figures; unanswered where rows are missing."""

import statistics
from typing import Any

import compare
import figure6
import results
import rows
from cells import NAMES, interval, seed_results
from row_cells import FEWEST_SEEDS

CLEAR = "0 lies outside the interval, which covers the choice of test patients, with the mean of three seeds or more"
TRAININGS = {"linear": "linear evaluation, IID", "fine_tune": "fine-tuning, non-IID"}


def answers(preset: rows.Preset, found: list[dict[str, Any]]) -> str:
    parts = (
        ("Does pretraining beat the random start by a clear margin?", over_random(found)),
        ("Which pretext is best?", best_pretext(preset, found)),
        ("Does FRID's SR layer or edge view add anything?", frid_parts(found)),
        ("How many rounds are saved?", rounds_saved(preset)),
        ("Does federated pretraining come near the coordinator's?", federated(found)),
        ("Does pretraining on X-rays beat ImageNet?", against(found, "moco_v2", rows.IMAGENET)),
        ("How much does linear mode send?", bytes_sent(preset)),
    )
    return "\n\n".join(f"## {question}\n\n{answer}" for question, answer in parts)


def against(found: list[dict[str, Any]], first: str, second: str, fraction: float = 1.0) -> str:
    """The difference of two starts in both trainings, in words."""
    sentences = []
    for training, words in TRAININGS.items():
        entry = compare.find_comparison(found, training, fraction, first, second)
        if entry is None:
            continue
        sentences.append(f"- {words}: {NAMES[first]} minus {NAMES[second]} {_words(entry)}")
    return "\n".join(sentences) or "Not answered: rows are missing."


def _words(entry: dict[str, Any]) -> str:
    mean, seeds = entry["mean"], len(entry["seeds"])
    verdict = "clear" if mean["low"] > 0 or mean["high"] < 0 else "not clear"
    if seeds < FEWEST_SEEDS:
        verdict = "too few to judge"
    return f"{interval(mean, seeds)} ({seeds} {'seed' if seeds == 1 else 'seeds'}: {verdict})"


def over_random(found: list[dict[str, Any]]) -> str:
    starts = (rows.IMAGENET, *rows.METHODS, rows.FEDERATED)
    texts = [against(found, start, rows.RANDOM) for start in starts]
    known = [text for text in texts if not text.startswith("Not")]
    return "\n".join([f"Clear means that {CLEAR}.", "", *known]) if known else "Not answered: rows are missing."


def best_pretext(preset: rows.Preset, found: list[dict[str, Any]]) -> str:
    lines = []
    for training, sites in compare.SETTINGS:
        means = {}
        for start in rows.METHODS:
            if group := seed_results(training, sites, start, preset):
                means[start] = statistics.fmean(r["test"][compare.MODEL]["mean_auc"]["value"] for r in group)
        ranked = sorted(means, key=lambda start: -means[start])
        if len(ranked) < 2:
            continue
        order = ", ".join(f"{NAMES[start]} {means[start]:.3f}" for start in ranked)
        entry = compare.find_comparison(found, training, 1.0, ranked[0], ranked[1])
        lead = f" First minus second {_words(entry)}." if entry else ""
        missing = [NAMES[start] for start in rows.METHODS if start not in means]
        lines.append(
            f"- {TRAININGS[training]}: {order}.{lead}" + (f" Not run: {', '.join(missing)}." if missing else "")
        )
    return "\n".join(lines) or "Not answered: rows are missing."


def frid_parts(found: list[dict[str, Any]]) -> str:
    texts = []
    for words, pairs in (
        ("SR layer", (("frid-no-edge", "byol"), ("frid", "frid-no-sr"))),
        ("Edge view", (("frid-no-sr", "byol"), ("frid", "frid-no-edge"))),
        ("Both", (("frid", "byol"),)),
    ):
        known = [text for pair in pairs if not (text := against(found, *pair)).startswith("Not")]
        texts.append(f"{words}:\n\n" + ("\n".join(known) if known else "Not answered: rows are missing."))
    return "\n\n".join(texts)


def rounds_saved(preset: rows.Preset) -> str:
    known = figure6.curves(preset)
    if rows.RANDOM not in known or len(known) < 2:
        return "Not answered: rows are missing."
    means = {start: figure6.mean_curve(seeds) for start, seeds in known.items()}
    final = figure6.final_auc(means[rows.RANDOM])
    own, rounds = figure6.rounds_to(means[rows.RANDOM], final), len(means[rows.RANDOM]) - 1
    lines = [
        f"The random start ends at a validation AUC of {final:.3f}, "
        f"which it first reaches after {own} of {rounds} rounds."
    ]
    for start in means:
        if start == rows.RANDOM:
            continue
        reached = figure6.rounds_to(means[start], final)
        if reached is None:
            lines.append(f"- {NAMES[start]} never reaches it.")
            continue
        lines.append(f"- {NAMES[start]} first reaches it after {_count(reached)}: {_halves(reached, own, rounds)}.")
    return "\n".join([lines[0], "", *lines[1:]])


def _count(rounds: int) -> str:
    return f"{rounds} round" if rounds == 1 else f"{rounds} rounds"


def _halves(reached: int, own: int | None, rounds: int) -> str:
    """Whether that is at most half of the random start's rounds, all of them and those until it first got there."""
    sides = [(rounds, f"all {rounds}")] + ([(own, f"the {own} until the random start first does")] if own else [])
    words = [f"at most half of {what}: {'yes' if 2 * reached <= count else 'no'}" for count, what in sides]
    return ", ".join(words)


def federated(found: list[dict[str, Any]]) -> str:
    texts = [against(found, rows.FEDERATED, other) for other in ("moco_v2", rows.RANDOM)]
    return "\n".join(dict.fromkeys(texts))


def bytes_sent(preset: rows.Preset) -> str:
    """Bytes of a round after the first, linear against fine-tuning, all hospitals together."""
    per_round = {}
    for training, sites in compare.SETTINGS:
        result = results.read_result(rows.classification(training, sites, rows.RANDOM, 1, preset).name, preset)
        if result is None or len(result["bytes"]) < 2:
            return "Not answered: rows are missing."
        later = result["bytes"][1:]
        per_round[training] = {way: statistics.fmean(entry[way] for entry in later) for way in ("received", "sent")}
    sentences = []
    for way, words in (("received", "The server receives"), ("sent", "The server sends")):
        linear, whole = per_round["linear"][way], per_round["fine_tune"][way]
        sentences.append(
            f"{words} {linear:,.0f} bytes a round in linear mode and {whole:,.0f} in fine-tuning: {linear / whole:.2%}."
        )
    return "From the second round on, all hospitals together. " + " ".join(sentences)
