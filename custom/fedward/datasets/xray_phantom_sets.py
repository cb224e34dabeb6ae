"""Phantom X-rays in the original layouts of ChestX-ray14 and CheXpert, column for column."""

import csv
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedward.datasets import chestxray14, chexpert
from fedward.datasets.chestxray14_check import PUBLISHED, PUBLISHED_IMAGES
from fedward.datasets.partition import apportion
from fedward.datasets.xray_phantoms import phantom_xray, xray_scanner
from fedward.errors import UsageError
from fedward.progress import map_in_processes
from fedward.seeds import derive_seed

NIH_HEADER = (  # "OriginalImage[Width,Height]" and the spacing stand unquoted, so that each is two cells
    *("Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender", "View Position"),
    *("OriginalImage[Width", "Height]", "OriginalImagePixelSpacing[x", "y]", ""),
)
CHEXPERT_HEADER = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *chexpert.FINDINGS)
ARCHIVE = "CheXpert-v1.0-small"
FIRST_VALID = 64541  # the first patient of the original valid.csv
MOST_IMAGES = 8  # of a patient
TEST_SHARE = 5  # one patient in five is in test_list.txt or valid.csv
# Square roots of the published shares: as unequal in rank, but the rare ones are there in small sets too.
PREVALENCE = {name: 0.3 * (PUBLISHED[name] / PUBLISHED_IMAGES) ** 0.5 for name in chestxray14.FINDINGS}
CHEXPERT_PREVALENCE = PREVALENCE | {"Enlarged Cardiomediastinum": 0.07, "Fracture": 0.05, "Support Devices": 0.3}
OPACITIES = {"Infiltration", "Consolidation", "Edema", "Pneumonia", "Atelectasis", "Mass", "Nodule"}
SHOWN_AS = {  # CheXpert's names for what the phantoms show
    "Lung Opacity": OPACITIES,
    "Lung Lesion": {"Mass", "Nodule"},
    "Pleural Effusion": {"Effusion"},
    "Pleural Other": {"Pleural_Thickening", "Fibrosis"},
}


@dataclass(frozen=True)
class Person:
    """A patient to draw: number from 1, institution, and what each image shows."""

    number: int
    institution: int
    images: tuple[frozenset[str], ...]


def write_chestxray14(
    folder: Path, patients: int, size: int, institutions: int, seed: int, workers: int = 0, quiet: bool = False
) -> dict[str, int]:
    """Write phantoms as ChestX-ray14 to `folder`; returns images by finding, commonest first.

    images/*.png (one of them RGBA, as some of the originals are), Data_Entry_2017.csv with ages like 058Y and a comma
    at the end of each line, train_val_list.txt and test_list.txt. UsageError where a number is out of range.
    """
    people = draw_people(patients, size, institutions, seed, PREVALENCE)
    (folder / "images").mkdir()
    draw = partial(_write_nih, folder=folder, size=size, seed=seed)
    rows = [row for part in map_in_processes(draw, people, "Drawing", workers, quiet) for row in part]
    _write_table(folder / "Data_Entry_2017.csv", NIH_HEADER, rows)
    tested = {f"{number}" for number in _test_people(patients, seed)}
    for name, wanted in ((chestxray14.TEST_LIST, True), (chestxray14.TRAIN_LIST, False)):
        images = [row[0] for row in rows if (row[3] in tested) == wanted]
        (folder / name).write_text("\n".join(images) + "\n", encoding="utf-8")
    return _counts([findings for person in people for findings in person.images])


def write_chexpert(
    folder: Path, patients: int, size: int, institutions: int, seed: int, workers: int = 0, quiet: bool = False
) -> dict[str, int]:
    """Write phantoms as CheXpert-v1.0-small to `folder`; returns studies by finding as drawn, commonest first.

    train/ and valid/patient<n>/study<n>/view<n>_<view>.jpg, a fifth wider than high; train.csv with blanks and -1,
    valid.csv with 0 and 1 only. UsageError where a number is out of range.
    """
    people = draw_people(patients, size, institutions, seed, CHEXPERT_PREVALENCE)
    draw = partial(_write_chexpert, folder=folder, size=size, seed=seed, valid=_test_people(patients, seed))
    parts = list(map_in_processes(draw, people, "Drawing", workers, quiet))
    for part in ("train", "valid"):
        rows = [row for some in parts for row in some if f"/{part}/" in row[0]]
        _write_table(folder / f"{part}.csv", CHEXPERT_HEADER, rows)
    return _counts([_named_by_chexpert(findings) for person in people for findings in person.images])


WRITERS: dict[str, Callable[..., dict[str, int]]] = {"chestxray14": write_chestxray14, "chexpert": write_chexpert}


def draw_people(
    patients: int, size: int, institutions: int, seed: int, prevalence: Mapping[str, float]
) -> list[Person]:
    """Who is drawn: 1 to 8 images each, findings at `prevalence` a patient, each seen on three images of four.

    Every finding has a patient, two from 40 patients on. Institutions are unequal, in the ratio n : ... : 2 : 1.
    """
    for name, value, low, high in (
        ("patients", patients, 2, 99_999),
        ("size", size, 16, 1024),
        ("institutions", institutions, 1, min(26, patients)),
    ):
        if not low <= value <= high:
            raise UsageError(f"{name} is {value}: give a number from {low} to {high}")
    rng = np.random.default_rng(derive_seed(seed, "X-ray people"))
    held: list[set[str]] = [{name for name in prevalence if rng.random() < prevalence[name]} for _ in range(patients)]
    for name in prevalence:
        lacking = [number for number, found in enumerate(held) if name not in found]
        least = 2 if patients >= 40 else 1
        more = max(0, least - (patients - len(lacking)))
        for number in rng.permutation(lacking)[:more]:
            held[number].add(name)
    extra = apportion(patients - institutions, range(institutions, 0, -1))
    owners = rng.permutation(np.repeat(np.arange(institutions), np.array(extra) + 1))
    people = []
    for number, found in enumerate(held):
        count = min(int(rng.geometric(0.45)), MOST_IMAGES)
        images = [frozenset(name for name in sorted(found) if rng.random() < 0.75) for _ in range(count)]
        images[0] = frozenset(found)
        people.append(Person(number + 1, int(owners[number]), tuple(images)))
    return people


def _write_nih(person: Person, folder: Path, size: int, seed: int) -> list[list[str]]:
    from PIL import Image

    rng = np.random.default_rng(derive_seed(seed, "X-ray patient", person.number))
    age, gender, rows = int(rng.integers(20, 85)), str(rng.choice(["M", "F"])), []
    for follow_up, findings in enumerate(person.images):
        name = f"{person.number:08d}_{follow_up:03d}.png"
        picture = Image.fromarray(_pixels(person, follow_up, size, seed))
        if (person.number, follow_up) == (1, 0):
            picture = picture.convert("RGBA")
        picture.save(folder / "images" / name)
        labels = "|".join(label for label in chestxray14.FINDINGS if label in findings) or chestxray14.NO_FINDING
        view = str(rng.choice(["PA", "PA", "AP"]))
        about = [str(follow_up), str(person.number), f"{age + follow_up // 2:03d}Y", gender, view]
        rows.append([name, labels, *about, "2500", "2048", "0.168", "0.168", ""])
    return rows


def _write_chexpert(person: Person, folder: Path, size: int, seed: int, valid: Sequence[int]) -> list[list[str]]:
    from PIL import Image

    rng = np.random.default_rng(derive_seed(seed, "X-ray patient", person.number))
    age, sex, rows = str(rng.integers(20, 85)), str(rng.choice(["Male", "Female"])), []
    held_back = person.number in valid
    number = FIRST_VALID + valid.index(person.number) if held_back else person.number
    for study, findings in enumerate(person.images, start=1):
        inner = Path("valid" if held_back else "train", f"patient{number:05d}", f"study{study}")
        (folder / inner).mkdir(parents=True)
        labels = _chexpert_labels(findings, rng, sure=held_back)
        views = ["frontal", "lateral"] if rng.random() < 0.25 else ["frontal"]
        for place, view in enumerate(views, start=1):
            path = inner / f"view{place}_{view}.jpg"
            pixels = _pixels(person, study - 1, size, seed, lateral=view == "lateral")
            side = (round(1.2 * size) - size) // 2
            Image.fromarray(np.pad(pixels, ((0, 0), (side, side)), constant_values=5)).save(folder / path, quality=90)
            position = "" if view == "lateral" else str(rng.choice(["AP", "AP", "PA"]))
            rows.append([f"{ARCHIVE}/{path.as_posix()}", sex, age, view.capitalize(), position, *labels])
    return rows


def _named_by_chexpert(findings: frozenset[str]) -> set[str]:
    """CheXpert's names for what an image shows."""
    return {name for name in chexpert.FINDINGS if findings & SHOWN_AS.get(name, {name})}


def _chexpert_labels(findings: frozenset[str], rng: np.random.Generator, sure: bool) -> list[str]:
    """Cells as a labeller writes them: 1.0, 0.0, -1.0 or blank; `sure`: radiologists' 1.0 and 0.0 only."""
    cells, shown = [], _named_by_chexpert(findings)
    for name in chexpert.FINDINGS:
        present = name in shown if name != "No Finding" else not findings
        doubt = rng.random()
        if sure:
            cells.append("1.0" if present else "0.0")
        elif name == "No Finding":
            cells.append("1.0" if present else "")
        elif present:
            cells.append("-1.0" if doubt < 0.12 else "1.0")
        else:
            cells.append("-1.0" if doubt < 0.03 else "0.0" if doubt < 0.3 else "")
    return cells


def _pixels(person: Person, image: int, size: int, seed: int, lateral: bool = False) -> NDArray[np.uint8]:
    anatomy = derive_seed(seed, "X-ray", person.number)
    exposure = derive_seed(seed, "X-ray", person.number, image, "lateral" if lateral else "frontal")
    return phantom_xray(anatomy, exposure, size, person.images[image], xray_scanner(person.institution, seed), lateral)


def _test_people(patients: int, seed: int) -> list[int]:
    """Numbers of the patients whom the layout holds back for tests, at least one."""
    order = np.random.default_rng(derive_seed(seed, "X-ray test")).permutation(patients) + 1
    return sorted(order[: max(1, patients // TEST_SHARE)].tolist())


def _write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def _counts(images: Sequence[Collection[str]]) -> dict[str, int]:
    shown = [name for image in images for name in image]
    counts = {name: shown.count(name) for name in set(shown)}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
