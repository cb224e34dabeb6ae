"""Figure 6: validation AUC after each round by start, and the rounds until a given AUC is reached."""

import statistics
from typing import Any

import results
import rows
from cells import NAMES, SEEDS
from row_cells import table

GIVEN = (0.55, 0.6, 0.65, 0.7)
# Okabe and Ito's colours, told apart by all eyes; fixed to a start
COLOURS = {rows.RANDOM: "#000000", "moco_v2": "#0072B2", "frid": "#D55E00"}


def curves(preset: rows.Preset) -> dict[str, list[list[float]]]:
    """Start -> its seeds' curves of mean AUC over the hospitals' validation images after 0, 1, ... rounds."""
    found = {}
    for start in rows.FINE_TUNED:
        names = [rows.classification("fine_tune", "non_iid", start, seed, preset).name for seed in SEEDS]
        known = [result["validation"] for name in names if (result := results.read_result(name, preset))]
        if known:
            found[start] = [[entry["auc"] for entry in sorted(v, key=lambda e: e["round"])] for v in known]
    return found


def mean_curve(seeds: list[list[float]]) -> list[float]:
    return [statistics.fmean(values) for values in zip(*seeds, strict=True)]


def rounds_to(curve: list[float], level: float) -> int | None:
    """The first round after which the AUC is at least `level`; None where it never is."""
    return next((done for done, value in enumerate(curve) if value >= level), None)


def final_auc(curve: list[float]) -> float:
    """Mean of the last three rounds: a single one is noisy."""
    return statistics.fmean(curve[-3:])


def figure6(preset: rows.Preset, found: list[dict[str, Any]]) -> str:
    """The table of rounds; figure6.png beside it."""
    known = curves(preset)
    if not known:
        return "No row of it has been run."
    means = {start: mean_curve(seeds) for start, seeds in known.items()}
    draw(preset, known)
    levels = [(f"{level:.2f}", level) for level in GIVEN]
    if rows.RANDOM in means:
        final = final_auc(means[rows.RANDOM])
        highest = max(means[rows.RANDOM])
        levels += [(f"the random start's final AUC, {final:.3f}", final), (f"its highest, {highest:.3f}", highest)]
    lines = []
    for words, level in levels:
        reached = {start: rounds_to(curve, level) for start, curve in means.items()}
        cells = [_rounds(reached[start]) if start in reached else "" for start in rows.FINE_TUNED]
        lines.append([words, *cells])
    head = ["mean validation AUC", *(NAMES[start] for start in rows.FINE_TUNED)]
    return (
        "Fine-tuning, non-IID. Rounds until the AUC on the hospitals' validation images (mean over findings and "
        "hospitals, then over seeds) first reaches a level; final is the mean of the last three rounds.\n\n"
        f"{table(head, lines)}\n\n![AUC after each round](figure6.png)"
    )


def _rounds(reached: int | None) -> str:
    return "not reached" if reached is None else str(reached)


def draw(preset: rows.Preset, known: dict[str, list[list[float]]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for start, seeds in known.items():
        curve = mean_curve(seeds)
        axes.plot(range(len(curve)), curve, color=COLOURS[start], label=f"{NAMES[start]} ({len(seeds)} seeds)")
        if len(seeds) > 1:
            low, high = ([limit(v) for v in zip(*seeds, strict=True)] for limit in (min, max))
            axes.fill_between(range(len(curve)), low, high, color=COLOURS[start], alpha=0.15, linewidth=0)
    axes.set(xlabel="rounds", ylabel="mean validation AUC", title="Fine-tuning, non-IID; bands: lowest to highest seed")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(results.RESULTS / preset.name / "figure6.png", dpi=150, bbox_inches="tight")
    pyplot.close(figure)
