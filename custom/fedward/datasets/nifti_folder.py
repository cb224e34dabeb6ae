"""Any folder of NIfTI volumes: one sub-folder a patient, or one file a patient.

ROOT/<patient>/...<scan>.nii.gz   a patient's volumes, in any depth; `frame` is the path below the patient, "/" as __
ROOT/<patient>.nii.gz             a patient of one volume; `frame` is ""
..._gt.nii.gz, ..._seg.nii.gz     labels of the volume of that name, whole numbers 0 to 255 (optional)

What the labels mean is not known, so the set serves pretraining.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from fedward.datasets.base import FileProblem
from fedward.datasets.folder_walk import walk
from fedward.datasets.nifti import nifti_stem, read_volume
from fedward.datasets.scan import Scan, ScanVolume

LABELS = re.compile(r"(.+)_(?:gt|seg)")
SITE_FOLDER = re.compile(r"hospital-\d+")
NOT_DATA = {"split.json", "partition.json", "partition.png", "thumbs.db", "desktop.ini"}
MOST_LABEL = 255


@dataclass
class Files:
    """The files of a folder: volumes and labels by path without ending (of the volume), and what is neither."""

    volumes: dict[Path, Path] = field(default_factory=dict)
    labels: dict[Path, Path] = field(default_factory=dict)
    other: list[Path] = field(default_factory=list)


def find_scans(root: Path) -> list[Scan]:
    """The volumes under `root`, sorted by patient and frame; FileProblem where there is none or a name stands twice."""
    root = Path(root)
    files = find_files(root)
    if not files.volumes:
        advice = "give the folder that holds the volumes"
        raise FileProblem(root, "no volume: no .nii or .nii.gz file in it or below it", advice)
    scans = [_scan(key.relative_to(root), path, files.labels.get(key)) for key, path in files.volumes.items()]
    return sorted(scans, key=lambda scan: (scan.patient, scan.frame))


def read_scan(scan: Scan) -> ScanVolume:
    """One volume's voxels; FileProblem names the file and what is wrong with it."""
    return read_volume(scan.image, scan.labels, most=MOST_LABEL)


def find_files(root: Path) -> Files:
    """What lies under `root`; hidden files and folders are passed over. FileProblem where two files share a name."""
    if not root.is_dir():
        raise FileProblem(root, "no folder: it does not exist or is a file", "give the folder that holds the volumes")
    found = Files()
    for folder, inner, names in walk(root):
        if folder == root and any(SITE_FOLDER.fullmatch(name) for name in inner):  # test patients would be among them
            advice = "give one of them, or the folder that was split"
            raise FileProblem(root, "wrong folder: it holds site folders", advice)
        for name in names:
            stem = nifti_stem(name)
            if stem is None:
                found.other += [folder / name] if not name.startswith(".") and name.lower() not in NOT_DATA else []
                continue
            match = LABELS.fullmatch(stem)
            files, key = (found.labels, folder / match[1]) if match else (found.volumes, folder / stem)
            if key in files:
                reason = f"same name twice: {files[key].name} stands for the same"
                raise FileProblem(folder / name, reason, "rename or remove one of the two")
            files[key] = folder / name
    found.other += [path for key, path in found.labels.items() if key not in found.volumes]
    return found


def _scan(inner: Path, image: Path, labels: Path | None) -> Scan:
    patient, *rest = inner.parts
    return Scan(patient, "__".join(rest), image, labels, group="")
