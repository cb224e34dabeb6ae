"""ACDC cardiac cine MRI with labelled heart, in the layout of the original (Bernard et al., IEEE TMI 37(11), 2018).

ROOT/patientNNN/Info.cfg                        ED: 1, ES: 12 (numbers of the frames), Group: DCM, Height, NbFrame, ...
ROOT/patientNNN/patientNNN_frameMM.nii.gz       one volume a frame, slices along the last axis
ROOT/patientNNN/patientNNN_frameMM_gt.nii.gz    0 background, 1 right ventricle, 2 myocardium, 3 left ventricle
ROOT/patientNNN/patientNNN_4d.nii.gz            the whole cine, not used

ROOT is `training` (or `testing`), the folder that holds `training`, or a site folder laid out by `fedward partition`.
The end of diastole may have the higher number, so Info.cfg decides; without it the lower of two frames is taken for it.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from fedward.datasets.base import FileProblem
from fedward.datasets.nifti import read_volume
from fedward.datasets.scan import Scan, ScanVolume

STRUCTURES = ("right_ventricle", "myocardium", "left_ventricle")
INFO = "Info.cfg"
PATIENT_FOLDER = re.compile(r"patient\d+")
FRAME_FILE = re.compile(r"(patient\d+)_frame(\d{1,6})(_gt)?\.nii(\.gz)?", re.IGNORECASE)
UNUSED_FILE = re.compile(r"patient\d+_4d\.nii(\.gz)?|mandatory_citation\.md", re.IGNORECASE)
NOT_DATA = {"split.json", "partition.json", "partition.png", "mandatory_citation.md", "thumbs.db", "__macosx"}
ORDER = {"ED": -2, "ES": -1}  # before the other frames, which follow by number


@dataclass
class PatientFolder:
    """The files of one patient by frame number, what Info.cfg says, and what is neither."""

    path: Path
    images: dict[int, Path] = field(default_factory=dict)
    labels: dict[int, Path] = field(default_factory=dict)
    info: dict[str, str] | None = None
    other: list[Path] = field(default_factory=list)

    def number(self, key: str) -> int | None:
        """The frame that Info.cfg gives as ED or ES; None where there is no Info.cfg."""
        return None if self.info is None else int(self.info[key])

    def frame_name(self, number: int) -> str:
        if self.info is not None:
            return next((key for key in ORDER if self.number(key) == number), str(number))
        if len(self.images) != 2:
            return str(number)
        return "ED" if number == min(self.images) else "ES"


def find_scans(root: Path) -> list[Scan]:
    """The frames under `root` by patient, ED first, then ES, then others by number.

    Raises FileProblem where the folder holds no patient, a patient no frame, or Info.cfg is wrong.
    """
    folder = data_folder(root)
    return [scan for path in patient_folders(folder) for scan in patient_scans(read_patient_folder(path))]


def read_scan(scan: Scan) -> ScanVolume:
    """One frame's voxels; FileProblem names the file and what is wrong with it."""
    return read_volume(scan.image, scan.labels, most=len(STRUCTURES))


def data_folder(root: Path) -> Path:
    """The folder that holds the patients: `root`, or `root/training`; FileProblem where neither holds one."""
    root = Path(root)
    if not root.is_dir():
        advice = "give the folder that holds the patients"
        raise FileProblem(root, "no folder: it does not exist or is a file", advice)
    for folder in (root, root / "training"):
        if folder.is_dir() and patient_folders(folder):
            return folder
    names = list_names(root)
    if not names:
        advice = "put the patients' folders there or give another one"
        raise FileProblem(root, "empty folder: it holds no data", advice)
    if any(re.fullmatch(r"hospital-\d+", name) for name in names):
        advice = "give one of them, or the folder that was split"
        raise FileProblem(root, "wrong folder: it holds site folders", advice)
    if any(FRAME_FILE.fullmatch(name) for name in names):
        raise FileProblem(root, "wrong folder: it holds a patient's frames", "give the folder above it")
    advice = "give training or the folder that holds it; for other volumes use nifti_folder"
    raise FileProblem(root, "wrong folder: nothing in it is named patientNNN", advice)


def patient_folders(folder: Path) -> list[Path]:
    """Folders named like a patient, sorted by name."""
    paths = (folder / name for name in list_names(folder) if PATIENT_FOLDER.fullmatch(name))
    return [path for path in paths if path.is_dir()]


def list_names(folder: Path) -> list[str]:
    """Sorted names in a folder without hidden files and those known to be no data; FileProblem if it is unreadable."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError as error:
        raise FileProblem(folder, f"unreadable: {error.strerror}", "check the folder's permissions") from error
    return sorted(name for name in names if not name.startswith(".") and name.lower() not in NOT_DATA)


def read_patient_folder(folder: Path) -> PatientFolder:
    """The files of one patient; FileProblem where a frame has two files, there is none, or Info.cfg is wrong."""
    found = PatientFolder(folder)
    for name in list_names(folder):
        path, match = folder / name, FRAME_FILE.fullmatch(name)
        if match and match[1] == folder.name:
            files = found.labels if match[3] else found.images
            number = int(match[2])
            if number in files:
                raise FileProblem(path, f"same frame twice: also {files[number].name}", "remove one of the two")
            files[number] = path
        elif name == INFO:
            found.info = read_info(path)
        elif not UNUSED_FILE.fullmatch(name):
            found.other.append(path)
    if not found.images:
        reason = f"no scan: no file named {folder.name}_frameMM.nii.gz"
        raise FileProblem(folder, reason, "add the frames or remove the folder")
    return found


def patient_scans(found: PatientFolder) -> list[Scan]:
    """The patient's frames, ED first, then ES, then others by number."""
    group = (found.info or {}).get("Group", "")
    numbers = sorted(found.images, key=lambda n: ORDER.get(found.frame_name(n), n))
    return [Scan(found.path.name, found.frame_name(n), found.images[n], found.labels.get(n), group) for n in numbers]


def read_info(path: Path) -> dict[str, str]:
    """Info.cfg, lines `key: value`; FileProblem unless ED and ES are two frame numbers."""
    advice = "correct it, or delete it: then the lower of two frames counts as ED"
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileProblem(path, f"wrong Info.cfg: {error}", advice) from error
    parts = [line.partition(":") for line in lines]
    info = {key.strip(): value.strip() for key, colon, value in parts if colon}
    for key in ORDER:
        value = info.get(key, "")
        if not (value.isascii() and value.isdigit()):
            reason = f"{key} is {value!r}, not a frame's number" if value else f"no line '{key}: <number of its frame>'"
            raise FileProblem(path, f"wrong Info.cfg: {reason}", advice)
    if int(info["ED"]) == int(info["ES"]):
        raise FileProblem(path, f"wrong Info.cfg: ED and ES are both frame {info['ED']}", advice)
    return info
