"""Which rows the table of FCL has, as data (Wu et al. 2021, arXiv 2204.10983; docs/methods.md). A row is one training.

A pretraining has one seed; a fine-tuning has three, each with its own draw of labelled patients and its own random
weights. A preset says with how many pixels, filters and rounds: `paper` is the original, `small` is for two cores.
"""

from dataclasses import dataclass, replace

from row_runner import RANDOM, Row, words

SITES = "sites"
MASKED, LITERAL, ALONE, OWN = "fcl-masked", "fcl-literal", "fcl-no-exchange", "fcl-own"
METHODS = {
    MASKED: words("--method fcl --formula masked"),
    LITERAL: words("--method fcl --formula literal"),
    "simclr": words("--method simclr"),
    "rotation": words("--method rotation"),
    ALONE: words("--method fcl --no-exchange"),
    OWN: words(
        "--method fcl --mode local"
    ),  # each hospital begins with its own encoder, so it is for local fine-tuning
}
INITS = (RANDOM, OWN, "rotation", "simclr", ALONE, LITERAL, MASKED)  # as the table shows them
MODES = ("federated", "local")
ASKED_PATIENTS = (1, 2, 4, 8)  # the paper's columns
NOISES = (0.05, 0.1, 0.2, 0.5)  # standard deviations on each number of an exchanged feature, for fcl_privacy
NOISY = f"{MASKED}-noise-"


@dataclass(frozen=True)
class Preset:
    """Sizes and hyper-parameters of one set of rows.

    data      folder of ACDC below DATA; left_out: patients that are not used
    test      how `fedward partition` sets test patients apart; no hospital has validation patients
    common, pretraining, fine_tune  arguments of the jobs
    patients  columns: labelled patients a hospital
    """

    name: str
    data: str
    test: tuple[str, ...]
    common: tuple[str, ...] = ()
    pretraining: tuple[str, ...] = ()
    fine_tune: tuple[str, ...] = ()
    patients: tuple[int, ...] = ASKED_PATIENTS
    left_out: tuple[str, ...] = ()


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="small",
            data="acdc/training",
            test=words("--test-patients 10"),
            # the shared crops of 160 pixels have lost their spacing (1 mm is assumed): the middle 112 hold the heart
            common=words("--image-size 64 --pixel-spacing 1.75 --features 8 --precision bfloat16"),
            pretraining=words("--rounds 80 --local-steps 12 --batch-size 16 --optimizer adam --learning-rate 0.001"),
            fine_tune=words("--rounds 20 --local-steps 10 --batch-size 5 --learning-rate 0.005"),
            patients=(1, 2, 4),
            left_out=("patient076",),  # voxel by voxel patient074
        ),
        Preset(name="paper", data="ACDC/training", test=words("--fold 1 --folds 5")),  # the jobs' defaults are theirs
    )
}
# The original's commands at full size on phantoms, a step or two of each: do they run?
PHANTOMS = replace(
    PRESETS["paper"],
    name="phantoms",
    test=words("--test-patients 2"),
    pretraining=words("--rounds 2 --local-steps 1 --batch-size 2"),  # the second has an exchange
    fine_tune=words("--rounds 1 --local-steps 1 --batch-size 2"),
)


def partition(preset: Preset) -> tuple[str, ...]:
    """Arguments of `fedward partition`, {work} to be filled in. Ten hospitals; diseases evenly where they are known."""
    return ("acdc", "{work}/acdc", *preset.test, *words("--validation-patients 0 --seed 1"))


def pretraining(init: str, preset: Preset) -> Row:
    """The pretraining that makes this start."""
    noise = words(f"--noise {init.removeprefix(NOISY)}") if init.startswith(NOISY) else ()
    method = METHODS[MASKED if noise else init]
    arguments = (*method, *noise, *preset.common, *preset.pretraining)
    return Row(f"pretraining-{init}", "cardiac_contrastive", SITES, RANDOM, arguments)


def fine_tuning(mode: str, patients: int, init: str, seed: int, preset: Preset) -> Row:
    """A training on so many labelled patients a hospital, both frames of each."""
    arguments = words(f"--mode {mode} --labelled-patients {patients} --draw {seed}")
    arguments += (*preset.common, *preset.fine_tune)
    return Row(f"{mode}-{patients}-{init}-seed-{seed}", "cardiac_segmentation", SITES, init, arguments, seed)


def table_rows(preset: Preset, modes: tuple[str, ...], patients: tuple[int, ...], seeds: tuple[int, ...]) -> list[Row]:
    """The table's rows, most important first: the columns of few patients before the others, FCL before its rivals."""
    few = tuple(n for n in patients if n <= 2)
    groups = [(mode, columns) for mode in modes for columns in (few, *((n,) for n in patients if n > 2))]
    wanted = []
    for mode, columns in groups:
        for inits in ((MASKED, RANDOM), *((init,) for init in METHODS if init != MASKED)):
            kept = [init for init in inits if init in starts(mode)]
            wanted += [(mode, n, init, seed) for n in columns for init in kept for seed in seeds]
    return with_pretrainings([fine_tuning(*row, preset) for row in wanted], preset)


def starts(mode: str) -> tuple[str, ...]:
    """The starts that a table of this mode has."""
    return tuple(init for init in INITS if init != OWN or mode == "local")


def privacy_rows(preset: Preset, patients: tuple[int, ...], seeds: tuple[int, ...]) -> list[Row]:
    """FCL (masked) with noise on what is exchanged, and without."""
    inits = [MASKED, *(f"{NOISY}{noise}" for noise in NOISES)]
    rows = [fine_tuning("federated", n, init, seed, preset) for init in inits for n in patients for seed in seeds]
    return [*(pretraining(init, preset) for init in inits), *rows]


def with_pretrainings(wanted: list[Row], preset: Preset) -> list[Row]:
    """The rows, each after the pretraining that it needs."""
    rows: dict[str, Row] = {}
    for row in wanted:
        if row.start != RANDOM:
            first = pretraining(row.start, preset)
            rows.setdefault(first.name, first)
        rows[row.name] = row
    return list(rows.values())
