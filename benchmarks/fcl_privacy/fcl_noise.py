"""The table and the picture of noise on exchanged features, from the rows' results alone."""

import io
import statistics
from pathlib import Path
from typing import Any

import fcl_rows
from fcl_cells import dice_of, difference
from fcl_compare import read_comparisons
from fcl_results import read_result
from fcl_rows import MASKED, NOISES, NOISY, Preset
from row_cells import number, over_seeds, table

from fedward.cardiac_contrastive import SETTINGS
from fedward.rounds.run_folder import write_bytes

RESULTS = Path(__file__).resolve().parents[1] / "results" / "fcl_privacy"
PATIENTS = (1, 2)
ATTACKS = {
    "alignment": "with the global encoder alone",
    "exchanged": "with the exchanged features too",
}
READING = (
    "How well an outsider tells volumes that took part from the test patients', by two scores of a volume: how near "
    "two views of a slice lie to each other under the global encoder, and how near its slices lie to the exchanged "
    "features (those that would be exchanged after the last round). AUC with its 95 % bootstrap interval by patient: "
    ".5 is chance, 1 tells every volume. Noise: standard deviation on each of the 128 numbers of a feature of length "
    "1, which is then brought back to length 1. Dice: mean over the test volumes and the seeds, lowest to highest in "
    "brackets. Each noise was pretrained once, so small differences between the rows mean nothing."
)
ONE_ROUND = (
    "**The AUC with the exchanged features is a lower bound: it is of the features of one round.** Before every round "
    "but the first each hospital receives those of all others, {times}, each time with noise drawn anew. What somebody "
    "adds up over rounds averages that noise out, so noise may buy less than the table shows. No attack over rounds "
    "was measured.\n\n"
    "There is noise and no clipping: a feature has length 1, so its size is bounded already."
)


def inits() -> dict[float, str]:
    return {0.0: MASKED, **{noise: f"{NOISY}{noise}" for noise in NOISES}}


def write_noise(preset: Preset) -> None:
    folder = RESULTS / preset.name
    write_bytes(folder / "noise.md", f"# Noise on exchanged features\n\n{noise_table(preset)}\n".encode())
    write_bytes(folder / "noise.png", noise_picture(preset))


def membership(init: str, preset: Preset) -> dict[str, Any]:
    result = read_result(f"pretraining-{init}", preset)
    return (result or {}).get("membership") or {}


def noise_table(preset: Preset) -> str:
    found, lines = read_comparisons(preset), []
    for noise, init in inits().items():
        about = membership(init, preset)
        result = read_result(f"pretraining-{init}", preset)
        lines.append(
            [
                f"{noise:g}",
                *(auc_cell(about.get(attack)) for attack in ATTACKS),
                number(result["test_partition"]) if result else "",
                *(over_seeds(dice_of("federated", n, init, preset)) for n in PATIENTS),
                *(difference(found, "federated", n, init, MASKED) for n in PATIENTS if init != MASKED),
                *([""] * len(PATIENTS) if init == MASKED else []),
            ]
        )
    head = [
        "noise",
        *(f"AUC {words}" for words in ATTACKS.values()),
        "test slices nearest to their own part",
        *(f"Dice, N = {n}" for n in PATIENTS),
        *(f"minus noise 0, N = {n}" for n in PATIENTS),
    ]
    others = [init for init in fcl_rows.METHODS if init != MASKED]
    known = [f"{init} {auc_cell(membership(init, preset).get('alignment'))}" for init in others]
    beside = "; ".join(text for text in known if not text.endswith(" "))
    after = f"\n\nThe other pretrainings, with the global encoder alone: {beside}." if beside else ""
    return f"{READING}\n\n{one_round(preset)}\n\n{table(head, lines)}{after}{not_run(preset)}"


def one_round(preset: Preset) -> str:
    """What the figures leave out, with how many exchanges these pretrainings and a default job have."""
    result = read_result(f"pretraining-{MASKED}", preset)
    here = f"{sum(size > 0 for size in result['exchanged_bytes'])} times in these pretrainings and " if result else ""
    return ONE_ROUND.format(times=f"{here}{SETTINGS.rounds - 1} times in a job of the default {SETTINGS.rounds} rounds")


def auc_cell(entry: dict[str, Any] | None) -> str:
    if entry is None or entry["auc"] is None:
        return ""
    limits = f" [{number(entry['low'])}, {number(entry['high'])}]" if entry["low"] is not None else ""
    return f"{number(entry['auc'])}{limits}"


def not_run(preset: Preset) -> str:
    wanted = fcl_rows.privacy_rows(preset, PATIENTS, (1, 2, 3))
    missing = sum(read_result(row.name, preset) is None for row in wanted)
    command = f"python benchmarks/fcl_privacy/run.py --preset {preset.name} --work WORK"
    return f"\n\n{missing} of {len(wanted)} rows have not been run:\n\n```\n{command}\n```" if missing else ""


def noise_picture(preset: Preset) -> bytes:
    """AUC of both attacks and Dice against the noise."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for attack, words in ATTACKS.items():
        known = {x: e for x, i in inits().items() if (e := membership(i, preset).get(attack)) and e["auc"] is not None}
        values = [entry["auc"] for entry in known.values()]
        limits = [[abs(entry["auc"] - entry[side]) for entry in known.values()] for side in ("low", "high")]
        left.errorbar(list(known), values, yerr=limits if known else None, marker="o", capsize=3, label=words)
    left.axhline(0.5, color="grey", linewidth=1, linestyle=":")
    left.set(xlabel="noise on each number", ylabel="AUC of telling members", ylim=(0, 1), title="What is given away")
    left.legend(loc="lower right")
    for n in PATIENTS:
        dice = {x: values for x, i in inits().items() if (values := dice_of("federated", n, i, preset))}
        (line,) = right.plot(list(dice), [statistics.fmean(v) for v in dice.values()], marker="o", label=f"N = {n}")
        for noise, values in dice.items():
            right.scatter([noise] * len(values), values, s=12, color=line.get_color(), alpha=0.5)
    right.set(xlabel="noise on each number", ylabel="Dice on test patients", title="What it costs; points: seeds")
    right.legend(loc="lower right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
