"""Check of an LGG data folder: every problem, found before training instead of in round 37.

Error: training would stop there (`find_cases`, `read_case` or `read_split` refuse it), or it would be wrong: a patient,
or the same pixels of two patients, could be in training and test alike; all images of a patient are black.
Warning: training goes on, and somebody should look: a gap between slices, a black image, a sequence that is a copy of
another (the published set has such patients), the same pixels twice in one patient, files and folders that are left
out, patients of another size (they are resized), no tumour at all, a single patient, a damaged data.csv.
Hidden files and system files (Thumbs.db, ...) are no problem.
"""

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fedward.datasets import lgg
from fedward.datasets.base import Case, CheckResult, FileProblem, Problem
from fedward.datasets.layout import read_split
from fedward.errors import DataError
from fedward.progress import map_in_processes

Pixel = TypeVar("Pixel", bound=np.generic)
CHANNELS = ("pre-contrast", "FLAIR", "post-contrast")


@dataclass
class PatientCheck:
    """What one patient's folder holds; `pixels` is the SHA-256 of decoded pixels -> file, blank images left out."""

    patient: str
    images: int = 0
    size: str = ""
    tumour_slices: int = 0
    pixels: dict[str, Path] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def error(self, path: Path, reason: str, advice: str) -> None:
        self.problems.append(Problem("error", str(path), reason, advice))

    def warn(self, path: Path, reason: str, advice: str) -> None:
        self.problems.append(Problem("warning", str(path), reason, advice))

    def refuse(self, problem: FileProblem) -> None:
        self.error(problem.path, problem.reason, problem.advice)


def check(root: Path, workers: int = 0, quiet: bool = False) -> CheckResult:
    """Every problem under `root`: errors first, then by kind (the reason's text before the colon) and path.

    `workers` processes read the files (0: one a core); `quiet` hides the progress bar.
    """
    whole = PatientCheck("")  # problems of the set as a whole
    try:
        folder = lgg.data_folder(root)
        folders = lgg.patient_folders(folder)
        if not folders:
            raise lgg.no_patients(folder)
    except FileProblem as problem:
        whole.refuse(problem)
        return CheckResult(0, 0, tuple(whole.problems))
    patients = list(map_in_processes(check_patient, folders, "Checking patients", workers, quiet))
    for twice in lgg.same_patients(folders):
        whole.refuse(twice)
    _check_pixels_of_two_patients(patients, whole)
    _check_whole_set(folder, folders, patients, whole)
    problems = [problem for part in (whole, *patients) for problem in part.problems]
    problems.sort(key=lambda p: (p.severity, kind(p)))  # stable: patients and slices stay in their order
    return CheckResult(len(patients), sum(p.images for p in patients), tuple(problems))


def kind(problem: Problem) -> str:
    """The kind of problem: its reason's text before the colon."""
    return problem.reason.split(":")[0]


def check_patient(folder: Path) -> PatientCheck:
    """Every problem in one patient's folder; reads all its files."""
    found = PatientCheck(folder.name)
    try:
        images, masks, other = lgg.slice_files(folder)
        case = lgg.find_case(folder)
    except FileProblem as problem:
        found.refuse(problem)
        return found
    found.images = len(case.slices)
    for path in other:
        found.warn(path, "left out: neither slice nor mask of this patient", "remove it, or give it the right name")
    for number in sorted(set(masks) - set(images)):
        found.warn(masks[number], "left out: mask without image", "restore the image")
    if missing := sorted(set(range(case.slices[0], case.slices[-1])) - set(case.slices)):
        found.warn(folder, f"slice gap: no slice {ranges(missing)}", "restore the slices if they exist")
    for number, path in zip(case.slices, case.masks, strict=True):
        if number not in masks:
            found.error(path, "mask missing: no such file", "restore it; a slice without tumour needs a mask of zeros")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about damaged files that are listed as problems anyway
        _check_files(case, set(masks), found)
    return found


def _check_files(case: Case, masks: set[int], found: PatientCheck) -> None:
    folder = case.images[0].parent
    first: Path | None = None
    images = []
    for number, path, mask_path in zip(case.slices, case.images, case.masks, strict=True):
        image = _read(lgg.read_image, path, found)
        mask = _read(lgg.read_mask, mask_path, found) if number in masks else None
        for pixels, file in ((image, path), (mask, mask_path)):
            if pixels is None:
                continue
            size = lgg.size_text(pixels)
            if first is None:
                first, found.size = file, size
            elif size != found.size:
                found.refuse(lgg.wrong_size(file, size, first, found.size))
        found.tumour_slices += mask is not None and bool(mask.any())
        if image is not None:
            images.append((path, image))
    _check_black(images, folder, found)
    _check_sequences([image for _, image in images if image.any()], folder, found)
    for path, image in images:
        if image.min() == image.max():
            continue
        digest = hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).hexdigest()
        if (twin := found.pixels.setdefault(digest, path)) != path:
            found.warn(path, f"same pixels twice: as {twin.name}", "see whether a slice was saved twice")


def _read(reader: Callable[[Path], NDArray[Pixel]], path: Path, found: PatientCheck) -> NDArray[Pixel] | None:
    try:
        return reader(path)
    except FileProblem as problem:
        found.refuse(problem)
        return None


def _check_black(images: list[tuple[Path, NDArray[np.uint8]]], folder: Path, found: PatientCheck) -> None:
    black = [path for path, image in images if not image.any()]
    if black and len(black) == len(images):
        found.error(folder, f"black patient: all {len(black)} images are black", "export it again, or remove it")
        return
    for path in black:
        found.warn(path, "black image: every pixel is 0", "export it again if the original is not black")


def _check_sequences(images: list[NDArray[np.uint8]], folder: Path, found: PatientCheck) -> None:
    advice = "put the sequence in if the hospital has it"
    for (name, state), count in sorted(Counter(fault for image in images for fault in channel_faults(image)).items()):
        where = f"all {count}" if count == len(images) else f"{count} of {len(images)}"
        if state != "black" or count == len(images):  # slices at the end of a volume may well be black in one sequence
            found.warn(folder, f"missing sequence: {name} is {state} in {where} slices", advice)


def channel_faults(image: NDArray[np.uint8]) -> list[tuple[str, str]]:
    """(channel, "black" or "a copy of ...") for each channel of an image (H, W, 3) that says nothing of its own."""
    faults = []
    for channel, originals in ((0, (1,)), (1, ()), (2, (1, 0))):
        if not image[..., channel].any():
            faults.append((CHANNELS[channel], "black"))
            continue
        copied = [other for other in originals if np.array_equal(image[..., channel], image[..., other])]
        faults += [(CHANNELS[channel], f"a copy of {CHANNELS[other]}") for other in copied[:1]]
    return faults


def _check_pixels_of_two_patients(patients: list[PatientCheck], whole: PatientCheck) -> None:
    seen: dict[str, Path] = {}
    for patient in patients:
        for digest, path in patient.pixels.items():
            if (twin := seen.setdefault(digest, path)) != path:
                advice = "find out whose image it is and remove the other, or it may be in training and test alike"
                whole.error(path, f"same pixels as another patient: {twin.parent.name}/{twin.name}", advice)


def _check_whole_set(folder: Path, folders: list[Path], patients: list[PatientCheck], whole: PatientCheck) -> None:
    known = {path.name for path in folders}
    for name in lgg.list_names(folder):
        if name not in known:
            reason = "left out: not named TCGA_<institution>_<patient>_<date>"
            whole.warn(folder / name, reason, "rename it if it holds a patient, or move it away")
    sizes = Counter(patient.size for patient in patients if patient.size)
    for path, patient in zip(folders, patients, strict=True):
        usual = sizes.most_common(1)[0][0] if sizes else ""
        if patient.size not in ("", usual):
            whole.warn(path, f"other size: {patient.size}, most are {usual}", "nothing, if it is right: it is resized")
    if not sum(patient.tumour_slices for patient in patients):
        whole.warn(folder, "no tumour: no mask has a tumour pixel", "see whether the right masks were exported")
    if len(patients) == 1:
        whole.warn(folder, "one patient: no patient is left to validate on", "nothing, if it is right: it trains only")
    try:
        if (folder / "data.csv").exists():
            lgg.read_patient_table(folder / "data.csv")
    except DataError as error:
        whole.warn(folder / "data.csv", f"patient table: {error}", "training does not use it; restore it")
    if (folder / "split.json").exists():
        try:
            read_split(folder, [case.patient for case in lgg.find_cases(folder)], seed=0)
        except FileProblem:
            pass  # reported already
        except DataError as error:
            whole.error(folder / "split.json", f"wrong split: {error}", "correct it, or delete it")


def ranges(numbers: list[int]) -> str:
    """Sorted whole numbers as people write them: [3, 4, 5, 9] -> 3-5, 9."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)
