"""Which rows the papers' tables on chest X-rays have, as data. A row is one training; its name is that of its result.

Tables and settings: Kong & Kim 2022 and the FRID description, see docs/methods.md. A preset says with how many pixels,
images and rounds; `paper` is theirs, the others are what a small machine can do.
"""

from dataclasses import dataclass, field, replace

from row_runner import RANDOM, Row, words

IMAGENET = "imagenet"
METHODS = ("rotation", "simclr", "moco_v2", "byol", "frid")
FEDERATED = "moco_v2-federated"
# FRID is BYOL with two parts, each of which can be left out; without both it is BYOL.
ABLATION = {"frid-no-edge": ("frid", "--no-edge"), "frid-no-sr": ("frid", "--no-sr-layer")}
STARTS = (RANDOM, IMAGENET, *METHODS)
FINE_TUNED = (RANDOM, "moco_v2", "frid")
FRACTIONS = (1.0, 0.5, 0.25, 0.1)
TABLES = ("table1", "table2", "table3", "figure6", "frid", "ablation")


@dataclass(frozen=True)
class Preset:
    """Sizes and hyper-parameters of one set of rows.

    unlabelled  data set and folder (below DATA) of the pretraining; labelled: folder of ChestX-ray14
    test        how `fedward partition` sets test patients apart
    common, pretraining, linear, fine_tune  arguments of the jobs
    methods     further arguments of one method's pretraining
    federated   arguments of the pretraining over hospitals, which hold a tenth of the images each
    probe       whether labelled images (no test patient's) are probed while an encoder is pretrained
    """

    name: str
    unlabelled: tuple[str, str]
    labelled: str
    test: tuple[str, ...]
    common: tuple[str, ...]
    pretraining: tuple[str, ...] = ()
    linear: tuple[str, ...] = ()
    fine_tune: tuple[str, ...] = ()
    methods: dict[str, tuple[str, ...]] = field(default_factory=dict)
    federated: tuple[str, ...] = ()
    fractions: tuple[float, ...] = FRACTIONS
    probe: bool = True


FOLD = words("--fold 1 --folds 5")
# 6,000 images and few steps: a queue below half of them, and a momentum network that can follow within them.
SHORT = {"moco_v2": words("--queue-size 2048 --momentum-encoder 0.99"), "byol": (), "frid": ()}
PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="small",
            unlabelled=("image_folder", "unlabelled_cxr"),
            labelled="chestxray14",
            test=FOLD,
            common=words("--image-size 64 --crop-size 56 --precision bfloat16"),
            pretraining=words("--rounds 5 --batch-size 64 --learning-rate 0.05"),
            methods=SHORT,
            federated=words("--queue-size 192"),
            linear=words("--rounds 20 --local-epochs 5 --batch-size 16 --learning-rate 0.1"),
            fine_tune=words("--rounds 12 --batch-size 16 --learning-rate 0.01"),
        ),
        Preset(
            name="gpu",
            unlabelled=("image_folder", "unlabelled_cxr"),
            labelled="chestxray14",
            test=FOLD,
            common=words("--image-size 128 --crop-size 112 --precision bfloat16 --device cuda"),
            pretraining=words("--rounds 100 --batch-size 128 --learning-rate 0.05"),
            methods={"moco_v2": words("--queue-size 2048 --momentum-encoder 0.99")},
            federated=words("--batch-size 64 --queue-size 192"),
            linear=words("--rounds 20 --local-epochs 5 --batch-size 16 --learning-rate 0.1"),
            fine_tune=words("--rounds 50 --batch-size 16 --learning-rate 0.01"),
            fractions=(*FRACTIONS, 0.05, 0.01),
        ),
        Preset(
            name="paper",  # the jobs' defaults are the papers'
            unlabelled=("chexpert", "CheXpert-v1.0-small"),
            labelled="ChestX-ray14",
            test=("--official-test",),
            common=(),
            methods={"moco_v2": words("--queue-size 65536")},
            federated=words("--batch-size 64 --queue-size 8192"),
            fractions=(*FRACTIONS, 0.05, 0.01),
            probe=False,
        ),
    )
}
# One epoch and one round of the papers' commands on phantoms in the original layouts: do they run at full size?
PHANTOMS = replace(
    PRESETS["paper"],
    name="phantoms",
    pretraining=words("--rounds 1 --batch-size 8"),
    methods={"moco_v2": words("--queue-size 16")},
    federated=words("--rounds 1 --batch-size 4 --queue-size 4"),
    linear=words("--rounds 1"),
    fine_tune=words("--rounds 1"),
    fractions=(1.0, 0.5),
)


def partitions(preset: Preset) -> dict[str, tuple[str, ...]]:
    """Folder below WORK -> arguments of `fedward partition`, {data} and {work} to be filled in."""
    labelled = ("chestxray14", f"{{data}}/{preset.labelled}", *preset.test, "--seed", "1")
    unlabelled = (preset.unlabelled[0], f"{{data}}/{preset.unlabelled[1]}", "--seed", "1")
    probe = ("--probe", "chestxray14={work}/pooled/hospital-01") if preset.probe else ()
    return {
        "iid": (*labelled, *words("--by iid --sites 10")),
        "non_iid": (*labelled, *words("--by non_iid --sites 10")),
        "pooled": (*labelled, *words("--by iid --sites 1")),
        "coordinator": (*unlabelled, "--coordinator", *probe),
        "hospitals": (*unlabelled, *words("--by iid --sites 10"), *probe),
    }


def pretraining(start: str, preset: Preset) -> Row:
    """The pretraining that makes this start."""
    method, switch = ABLATION.get(start, (start.removesuffix("-federated"), None))
    arguments = ("--method", method, *preset.common, *preset.pretraining, *preset.methods.get(method, ()))
    arguments += (switch,) if switch else ()
    arguments += preset.federated if start == FEDERATED else ()
    arguments += words("--probe-data-set chestxray14") if preset.probe else ()
    sites = "hospitals" if start == FEDERATED else "coordinator"
    return Row(f"pretraining-{start}", "cxr_pretraining", sites, RANDOM, arguments)


def classification(
    training: str, sites: str, start: str, seed: int, preset: Preset, fraction: float = 1.0, mode: str = "federated"
) -> Row:
    """`training` is linear or fine_tune, `sites` iid or non_iid. A seed has its own start, order and draw of labels."""
    arguments = ("--training", training, *preset.common, *getattr(preset, training))
    name = f"{training}-{sites}-{start}"
    if mode != "federated":
        arguments, name = (*arguments, "--mode", mode), f"{mode}-{name}"
    if fraction < 1:
        arguments, name = (*arguments, *words(f"--label-fraction {fraction} --draw {seed}")), f"{name}-{fraction}"
    return Row(f"{name}-seed-{seed}", "cxr_classification", sites, start, arguments, seed)


def table_rows(table: str, preset: Preset, seeds: tuple[int, ...]) -> list[Row]:
    """The classifications of a table, most important first; `starts` adds the pretrainings that they begin with."""
    linear = [s for s in STARTS if s != IMAGENET] + [IMAGENET]
    wanted: list[tuple[str, str, str, float, str]] = []  # training, sites, start, fraction, mode
    if table == "table1":
        wanted = [("linear", "iid", start, 1.0, "federated") for start in (*linear, FEDERATED)]
        wanted += [
            ("linear", "iid", start, 1.0, mode) for mode in ("central", "local") for start in (RANDOM, "moco_v2")
        ]
    elif table in ("table2", "figure6"):
        wanted = [("fine_tune", "non_iid", start, 1.0, "federated") for start in FINE_TUNED]
        if table == "table2":
            rest = [start for start in (*linear, FEDERATED) if start not in FINE_TUNED]
            wanted += [("fine_tune", "non_iid", start, 1.0, "federated") for start in rest]
    elif table in ("table3", "frid"):
        starts = FINE_TUNED if table == "table3" else (RANDOM, "frid")
        for training, sites in (("linear", "iid"), ("fine_tune", "non_iid")):
            wanted += [(training, sites, s, f, "federated") for f in preset.fractions for s in starts]
    elif table == "ablation":
        wanted = [("linear", "iid", start, 1.0, "federated") for start in ("byol", *ABLATION, "frid")]
    return [
        classification(training, sites, start, seed, preset, fraction, mode)
        for training, sites, start, fraction, mode in wanted
        for seed in seeds
    ]


def all_rows(tables: tuple[str, ...], preset: Preset, seeds: tuple[int, ...]) -> list[Row]:
    """Every row of the tables once, each after the pretraining that it needs."""
    rows: dict[str, Row] = {}
    for table in tables:
        for row in table_rows(table, preset, seeds):
            if row.start not in (RANDOM, IMAGENET):
                first = pretraining(row.start, preset)
                rows.setdefault(first.name, first)
            rows.setdefault(row.name, row)
    return list(rows.values())
