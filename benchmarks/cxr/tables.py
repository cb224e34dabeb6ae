"""The tables of benchmarks/results/cxr/PRESET, written from the rows' results alone. What was not run stays empty."""

from typing import Any

import compare
import figure6
import results
import rows
from answers import answers
from cells import NAMES, aucs, difference, finding_auc, interval, mean_auc, positives, seed_results
from row_cells import number, table

from fedward.datasets.chestxray14 import FINDINGS
from fedward.rounds.run_folder import write_bytes

SEEDS_ASKED = (1, 2, 3)
ALL = (*rows.STARTS, rows.FEDERATED)
READING = (
    "Mean AUC on the test patients over the findings that have both classes, of the model that was best on the "
    "hospitals' validation images; mean over the seeds, lowest to highest in brackets. Differences are paired over the "
    "test patients and the seeds that both have, with 95 % bootstrap intervals by patient: they cover the choice of "
    "test patients, not that of one pretraining a method. Bold: 0 lies outside, with three seeds or more. Published "
    "figures could not be read and are left empty; so is what was not run."
)


def write_tables(preset: rows.Preset) -> None:
    """Write every table, the figure and the answers of a preset."""
    found = compare.read_comparisons(preset)
    parts = {
        "table1": ("Table 1: linear evaluation, IID, by start", table1),
        "table2": ("Table 2: fine-tuning, non-IID, AUC of each finding by start", table2),
        "table3": ("Table 3: parts of the labels", table3),
        "frid": ("FRID against the random start", frid),
        "ablation": ("FRID's parts: BYOL with the SR layer, with the edge view, with both", ablation),
        "pretraining": ("The pretrainings", pretrainings),
        "figure6": ("Figure 6: rounds to reach an AUC", figure6.figure6),
        "answers": ("Answers", answers),
    }
    for name, (title, part) in parts.items():
        body = f"# {title}\n\n{part(preset, found)}\n{_not_run(name, preset)}"
        write_bytes(results.RESULTS / preset.name / f"{name}.md", body.encode())


# --- the tables -----------------------------------------------------------------------------------------------------


def table1(preset: rows.Preset, found: list[dict[str, Any]]) -> str:
    lines = [
        [
            NAMES[start],
            *aucs("linear", "iid", start, preset),
            difference(found, "linear", 1.0, start, rows.RANDOM),
            "",
        ]
        for start in ALL
    ]
    text = table(("start", "seeds", "mean AUC", "last model", "minus random", "published"), lines)
    others = [
        [NAMES[start], words, *aucs("linear", "iid", start, preset, mode=mode)]
        for mode, words in (("central", "centralised"), ("local", "each hospital alone"))
        for start in (rows.RANDOM, "moco_v2")
    ]
    return f"{READING}\n\n{text}\n\n{table(('start', 'training', 'seeds', 'mean AUC', 'last model'), others)}"


def table2(preset: rows.Preset, found: list[dict[str, Any]]) -> str:
    group = {start: seed_results("fine_tune", "non_iid", start, preset) for start in ALL}
    head = ("finding", "positives", *(NAMES[start] for start in ALL))
    lines = [
        [finding, positives(group, finding), *(finding_auc(group[s], finding) for s in ALL)] for finding in FINDINGS
    ]
    lines.append(["**mean**", "", *(mean_auc(group[start]) for start in ALL)])
    differences = [difference(found, "fine_tune", 1.0, start, rows.RANDOM) for start in ALL]
    lines.append(["minus random", "", *differences])
    lines.append(["last model, mean", "", *(mean_auc(group[start], "last") for start in ALL)])
    return f"{READING}\n\n{table(head, lines)}"


def table3(preset: rows.Preset, found: list[dict[str, Any]]) -> str:
    parts = []
    for training, sites, words in (("linear", "iid", "Linear, IID"), ("fine_tune", "non_iid", "Fine-tuning, non-IID")):
        head = ["part of the labels", *(NAMES[start] for start in rows.FINE_TUNED)]
        head += [f"{NAMES[start]} minus random" for start in rows.FINE_TUNED[1:]]
        lines = [
            [
                str(fraction),
                *(mean_auc(seed_results(training, sites, start, preset, fraction)) for start in rows.FINE_TUNED),
                *(difference(found, training, fraction, start, rows.RANDOM) for start in rows.FINE_TUNED[1:]),
            ]
            for fraction in preset.fractions
        ]
        parts.append(f"## {words}\n\n{table(head, lines)}")
    note = "Each seed has its own draw of every hospital's training patients; smaller parts lie within larger ones."
    return "\n\n".join([f"{READING} {note}", *parts])


def frid(preset: rows.Preset, found: list[dict[str, Any]]) -> str:
    starts = (rows.RANDOM, "frid")
    group = {start: seed_results("fine_tune", "non_iid", start, preset) for start in starts}
    entry = compare.find_comparison(found, "fine_tune", 1.0, "frid", rows.RANDOM)
    lines = []
    for place, finding in enumerate(FINDINGS):
        aucs_of = [finding_auc(group[start], finding) for start in starts]
        apart = interval(entry["findings"][place], len(entry["seeds"])) if entry else ""
        lines.append([finding, positives(group, finding), *aucs_of, apart])
    mean = interval(entry["mean"], len(entry["seeds"])) if entry else ""
    lines.append(["**mean**", "", *(mean_auc(group[start]) for start in starts), mean])
    by_finding = table(("finding", "positives", "random", "FRID", "difference"), lines)
    by_fraction = [
        [
            words,
            str(fraction),
            *(mean_auc(seed_results(training, sites, start, preset, fraction)) for start in starts),
            difference(found, training, fraction, "frid", rows.RANDOM),
        ]
        for training, sites, words in (("fine_tune", "non_iid", "fine-tuning"), ("linear", "iid", "linear"))
        for fraction in preset.fractions
    ]
    head = ("training", "part of the labels", "random", "FRID", "difference")
    fractions = f"## By part of the labels\n\n{table(head, by_fraction)}"
    return f"{READING}\n\n## Fine-tuning by finding\n\n{by_finding}\n\n{fractions}"


def ablation(preset: rows.Preset, found: list[dict[str, Any]]) -> str:
    lines = []
    for start, sr, edge in (
        ("byol", "", ""),
        ("frid-no-edge", "yes", ""),
        ("frid-no-sr", "", "yes"),
        ("frid", "yes", "yes"),
    ):
        result = results.read_result(f"pretraining-{start}", preset)
        probe = result["epochs"][-1].get("knn.auc") if result else None
        lines.append(
            [
                NAMES[start],
                sr,
                edge,
                *aucs("linear", "iid", start, preset),
                difference(found, "linear", 1.0, start, "byol"),
                number(probe),
            ]
        )
    head = ("start", "SR layer", "edge view", "seeds", "mean AUC", "last model", "minus BYOL", "k-NN AUC at the end")
    return f"Linear evaluation, IID. {READING}\n\n{table(head, lines)}"


def pretrainings(preset: rows.Preset, found: list[dict[str, Any]]) -> str:
    lines = []
    for start in (*rows.METHODS, *rows.ABLATION, rows.FEDERATED):
        result = results.read_result(f"pretraining-{start}", preset)
        if result is None:
            lines.append([NAMES[start], *[""] * 8])
            continue
        first, last = result["epochs"][0], result["epochs"][-1]
        figures = [f"{number(first.get(n), 3)} → {number(last.get(n), 3)}" for n in ("features.std", "knn.auc")]
        lines.append(
            [
                NAMES[start],
                str(result["rounds"]),
                str(result["optimizer_steps"]),
                f"{number(result['training_loss'][0])} → {number(result['training_loss'][-1])}",
                figures[0],
                f"{number(first.get('features.rank'), 0)} → {number(last.get('features.rank'), 0)}",
                figures[1],
                number(result["images_per_second"], 0),
                "; ".join(result["warnings"]),
            ]
        )
    head = (
        "pretext",
        "epochs",
        "steps",
        "training loss",
        "feature std",
        "effective rank",
        "k-NN AUC",
        "images/s",
        "warnings",
    )
    return f"From the untrained encoder to the last epoch.\n\n{table(head, lines)}"


def _not_run(name: str, preset: rows.Preset) -> str:
    """The commands of a table's empty rows, all seeds of one in one, and of the presets that have no row yet."""
    if name not in rows.TABLES:
        return ""
    wanted = rows.all_rows((name,), preset, SEEDS_ASKED)
    missing = [row for row in wanted if results.read_result(row.name, preset) is None]
    seeds: dict[str, list[int]] = {}
    for row in missing:
        seeds.setdefault(row.name.removesuffix(f"-seed-{row.seed}"), []).append(row.seed)
    lines = [
        f"python benchmarks/cxr/run.py {name} --preset {preset.name} --only {row} "
        f"--seeds {','.join(str(seed) for seed in found)} --work WORK{' --imagenet FILE' * row.endswith(rows.IMAGENET)}"
        for row, found in seeds.items()
    ]
    lines += [
        f"python benchmarks/cxr/run.py {name} --preset {other.name} --work WORK  # no row yet"
        for other in rows.PRESETS.values()
        if not any(results.read_result(row.name, other) for row in rows.all_rows((name,), other, SEEDS_ASKED))
    ]
    listed = "\n".join(lines)
    return f"\n## Not run\n\n```\n{listed}\n```\n" if lines else ""
