"""The tables of benchmarks/results/fcl_table/PRESET, from the rows' results alone. What was not run stays empty."""

from typing import Any

import fcl_compare
import fcl_published
import fcl_results
import fcl_rows
from fcl_answers import answers
from fcl_cells import NAMES, dice_of, difference, seed_results
from fcl_rows import ASKED_PATIENTS, MODES, Preset, starts
from row_cells import number, over_seeds, table
from row_runner import RANDOM, Row

from fedward.datasets.acdc import STRUCTURES
from fedward.rounds.run_folder import write_bytes

SEEDS_ASKED = (1, 2, 3)
NOTHING = ("",) * len(ASKED_PATIENTS)
ORIGINAL = fcl_rows.PRESETS["paper"]
TITLES = {"federated": "Federated fine-tuning", "local": "Local fine-tuning: the mean over hospitals, each alone"}
READING = (
    "Mean Dice over right ventricle, myocardium and left ventricle on test patients, of the last model: no hospital "
    "has validation patients to choose another on. Over volumes: the mean over the patients' volumes; pooled: over all "
    "slices at once. Mean over the seeds, lowest to highest in brackets. A seed is a draw of labelled patients and of "
    "random weights; each method was pretrained once, so nothing here covers the chance in a pretraining. Differences "
    "are on the same patients and draws, with 95 % bootstrap intervals by test patient, the seeds' differences lowest "
    "to highest behind. Bold: the interval leaves out 0 and all of three seeds or more have the same sign. "
    + fcl_published.READING
)
ORIGINAL_SIZE = (
    "Of the original size (`--preset paper`: ACDC's 100 patients, 352 x 352 pixels, 48 filters, 300 epochs of "
    "pretraining) these rows have not been run:"
)


def write_tables(preset: Preset) -> None:
    """Write the tables and the answers of a preset."""
    found = fcl_compare.read_comparisons(preset)
    parts = {
        **{mode: (TITLES[mode], column_tables(mode, preset, found)) for mode in MODES},
        "pretraining": ("The pretrainings", pretrainings(preset)),
        "answers": ("Answers", answers(preset, found)),
    }
    for name, (title, body) in parts.items():
        write_bytes(fcl_results.RESULTS / preset.name / f"{name}.md", f"# {title}\n\n{body}\n".encode())


def column_tables(mode: str, preset: Preset, found: list[dict[str, Any]]) -> str:
    """Dice by start and labelled patients, pooled too, differences to random, and each structure."""
    head = ["start", *(f"N = {n}" for n in ASKED_PATIENTS)]
    volumes, pooled, apart = [], [], []
    for init in starts(mode):
        published = fcl_published.PUBLISHED.get((mode, init), NOTHING)
        volumes.append([NAMES[init], *(over_seeds(dice_of(mode, n, init, preset)) for n in ASKED_PATIENTS)])
        values = [over_seeds(dice_of(mode, n, init, preset, "pooled_dice")) for n in ASKED_PATIENTS]
        pooled.append([NAMES[init], *values, *published])
        if init != RANDOM:
            apart.append([NAMES[init], *(difference(found, mode, n, init, RANDOM) for n in ASKED_PATIENTS)])
    if mode in fcl_published.BEST_BASELINE:
        pooled.append(["the best published baseline", *NOTHING, *fcl_published.BEST_BASELINE[mode]])
    parts = [
        READING,
        f"N: labelled patients a hospital. {counted(mode, preset)}",
        f"## Over volumes\n\n{table(head, volumes)}",
        f"## Minus random\n\n{table(head, apart)}",
        f"## Pooled\n\n{table([*head, *(f'published, {n}' for n in ASKED_PATIENTS)], pooled)}",
        f"## By structure, over volumes\n\n{by_structure(mode, preset)}",
    ]
    return "\n\n".join([*parts, *not_run(mode, preset)])


def counted(mode: str, preset: Preset) -> str:
    """How many seeds each cell has."""
    groups = {(n, init): len(dice_of(mode, n, init, preset)) for n in preset.patients for init in starts(mode)}
    if set(groups.values()) == {0}:
        return "Nothing was run."
    few = [f"N = {n} {NAMES[init]}: {count}" for (n, init), count in groups.items() if 0 < count < len(SEEDS_ASKED)]
    return f"Seeds: {len(SEEDS_ASKED)} a cell" + (f", but {', '.join(few)}." if few else ".")


def by_structure(mode: str, preset: Preset) -> str:
    lines = []
    for n in preset.patients:
        for init in starts(mode):
            group = [result["test"]["structures"] for result in seed_results(mode, n, init, preset)]
            cells = [over_seeds([own[name]["dice"]["value"] for own in group]) for name in STRUCTURES]
            if group:
                lines.append([str(n), NAMES[init], *cells])
    return table(["N", "start", *(name.replace("_", " ") for name in STRUCTURES)], lines)


def pretrainings(preset: Preset) -> str:
    lines = []
    for init in (*fcl_rows.METHODS, *(f"{fcl_rows.NOISY}{noise}" for noise in fcl_rows.NOISES)):
        result = fcl_results.read_result(f"pretraining-{init}", preset)
        if result is None:
            lines.append([NAMES[init], *[""] * 6])
            continue
        # a first round has no features of others: its loss has a term less
        losses = result["training_loss"]
        shown = losses[1:] if result["exchanged_bytes"][-1] and len(losses) > 1 else losses
        lines.append(
            [
                NAMES[init],
                str(result["rounds"]),
                str(result["optimizer_steps"]),
                f"{number(shown[0])} → {number(shown[-1])}",
                number(result["test_partition"]),
                f"{result['exchanged_bytes'][-1]:,}" if result["exchanged_bytes"][-1] else "",
                "; ".join(result["warnings"]),
            ]
        )
    head = (
        "method",
        "rounds",
        "steps, all sites",
        "training loss",
        "test slices whose nearest training slice lies in the same part",
        "bytes of features a round",
        "warnings",
    )
    note = (
        "The loss of a method with exchange begins with round 2: round 1 has nobody's features. "
        "Four parts: chance is about 1 / 4."
    )
    return f"{note}\n\n{table(head, lines)}"


def not_run(mode: str, preset: Preset) -> list[str]:
    """The commands of empty cells, all seeds of one in one, and of the original size; [] where all was run."""
    seeds: dict[str, list[int]] = {}
    for row in missing(mode, preset, preset.patients):
        if row.job == "cardiac_segmentation":
            seeds.setdefault(row.name.removesuffix(f"-seed-{row.seed}"), []).append(row.seed)
    start = f"python benchmarks/fcl_table/run.py {mode} --preset"
    lines = [
        f"{start} {preset.name} --only {row}-seed --seeds {','.join(str(seed) for seed in own)} --work WORK"
        for row, own in seeds.items()
    ]
    parts = [f"```\n{chr(10).join(lines)}\n```"] if lines else []
    columns = [n for n in ASKED_PATIENTS if missing(mode, ORIGINAL, (n,))] if preset != ORIGINAL else []
    if columns:
        cells = [[f"N = {n}", "", f"`{start} {ORIGINAL.name} --patients {n} --work WORK`"] for n in columns]
        parts += [ORIGINAL_SIZE, table(["", "mean Dice of each start", "command"], cells)]
    if short := [n for n in ASKED_PATIENTS if n not in preset.patients]:
        parts.append(f"N = {short[0]}: a hospital of preset {preset.name} has fewer patients.")
    return ["## Not run", *parts] if parts else []


def missing(mode: str, preset: Preset, patients: tuple[int, ...]) -> list[Row]:
    wanted = fcl_rows.table_rows(preset, (mode,), patients, SEEDS_ASKED)
    return [row for row in wanted if fcl_results.read_result(row.name, preset) is None]
