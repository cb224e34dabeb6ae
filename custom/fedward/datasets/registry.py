"""The data sets that a job, a command or a site's configuration may name."""

from typing import TypeVar

from fedward.datasets import (
    acdc,
    acdc_check,
    chestxray14,
    chestxray14_check,
    chexpert,
    chexpert_check,
    image_folder,
    image_folder_check,
    lgg,
    lgg_check,
    nifti_folder,
    nifti_folder_check,
)
from fedward.datasets.base import DataSet, ImageDataSet
from fedward.datasets.scan import ScanDataSet
from fedward.errors import UsageError

Kind = TypeVar("Kind", DataSet, ImageDataSet, ScanDataSet)
HOLDS = {DataSet: "volumes with masks", ImageDataSet: "single images", ScanDataSet: "scans"}
AnyDataSet = DataSet | ImageDataSet | ScanDataSet
DATA_SETS: dict[str, AnyDataSet] = {
    "acdc": ScanDataSet(
        name="acdc",
        title="ACDC cardiac cine MRI, three structures of the heart",
        structures=acdc.STRUCTURES,
        find_scans=acdc.find_scans,
        read_scan=acdc.read_scan,
        check=acdc_check.check,
    ),
    "chestxray14": ImageDataSet(
        name="chestxray14",
        title="ChestX-ray14, 14 findings in frontal chest X-rays (NIH)",
        findings=chestxray14.FINDINGS,
        read_table=chestxray14.read_table,
        read_labels=chestxray14.read_labels,
        official_test=chestxray14.official_test,
        check=chestxray14_check.check,
    ),
    "chexpert": ImageDataSet(
        name="chexpert",
        title="CheXpert, 14 findings in frontal and lateral chest X-rays (Stanford)",
        findings=chexpert.FINDINGS,
        read_table=chexpert.read_table,
        read_labels=chexpert.read_labels,
        official_test=chexpert.official_test,
        check=chexpert_check.check,
    ),
    "image_folder": ImageDataSet(
        name="image_folder",
        title="A plain folder of X-ray images without labels, for pretraining",
        findings=(),
        read_table=image_folder.read_table,
        read_labels=image_folder.read_table,
        official_test=image_folder.official_test,
        check=image_folder_check.check,
    ),
    "lgg": DataSet(
        name="lgg",
        title="LGG brain MRI, tumour segmentation (Kaggle kaggle_3m)",
        find_cases=lgg.find_cases,
        read_case=lgg.read_case,
        check=lgg_check.check,
    ),
    "nifti_folder": ScanDataSet(
        name="nifti_folder",
        title="A folder of NIfTI volumes, for pretraining",
        structures=(),
        find_scans=nifti_folder.find_scans,
        read_scan=nifti_folder.read_scan,
        check=nifti_folder_check.check,
    ),
}


def names() -> list[str]:
    """Registered names, sorted."""
    return sorted(DATA_SETS)


def get_data_set(name: str) -> AnyDataSet:
    """The data set of that name, of whatever kind; UsageError lists the known ones."""
    try:
        return DATA_SETS[name]
    except (KeyError, TypeError):
        raise UsageError(f"unknown data set {name!r}: use one of {', '.join(names())}") from None


def image_data_set(name: str) -> ImageDataSet:
    """The data set of single images of that name; UsageError where it is unknown or of another kind."""
    return _of_kind(name, ImageDataSet)


def volume_data_set(name: str) -> DataSet:
    """The data set of volumes with masks of that name; UsageError where it is unknown or of another kind."""
    return _of_kind(name, DataSet)


def scan_data_set(name: str) -> ScanDataSet:
    """The data set of scans of that name; UsageError where it is unknown or of another kind."""
    return _of_kind(name, ScanDataSet)


def _of_kind(name: str, kind: type[Kind]) -> Kind:
    found = get_data_set(name)
    if not isinstance(found, kind):
        known = ", ".join(other for other in names() if isinstance(DATA_SETS[other], kind))
        raise UsageError(f"data set {name!r} holds {HOLDS[type(found)]}, not {HOLDS[kind]}: use one of {known}")
    return found
