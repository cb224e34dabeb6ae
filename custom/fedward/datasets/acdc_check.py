"""Check of an ACDC data folder (`fedward.datasets.acdc`): every problem, found before training.

Beside what `scan_check` looks at: no Info.cfg, Info.cfg naming a frame that is not there, a patient with one frame,
labels without image, files and folders that are left out.
"""

from pathlib import Path

from fedward.datasets import acdc
from fedward.datasets.base import CheckResult, FileProblem, Problem
from fedward.datasets.scan import Scan
from fedward.datasets.scan_check import check_scans, error, left_out, warning


def check(root: Path, workers: int = 0, quiet: bool = False) -> CheckResult:
    """Every problem under `root`: errors first, then by kind. `workers` processes read (0: one a core)."""
    try:
        folder = acdc.data_folder(root)
        paths = acdc.patient_folders(folder)
        known = {path.name for path in paths}
        reason = "not named patientNNN"
        found = [left_out(folder / name, reason) for name in acdc.list_names(folder) if name not in known]
    except FileProblem as problem:
        return CheckResult(0, 0, (error(problem),))
    scans: list[Scan] = []
    without_info: list[Path] = []
    for path in paths:
        try:
            patient = acdc.read_patient_folder(path)
        except FileProblem as problem:
            found.append(error(problem))
            continue
        scans += acdc.patient_scans(patient)
        found += _check_patient(patient)
        without_info += [path] if patient.info is None else []
    found += _no_info(folder, without_info, len(paths))
    if not scans:
        return CheckResult(0, 0, tuple(found))
    return check_scans(folder, scans, acdc.read_scan, workers, quiet, found)


def _check_patient(patient: acdc.PatientFolder) -> list[Problem]:
    problems = [left_out(path, "no frame of this patient") for path in patient.other]
    for number in sorted(set(patient.labels) - set(patient.images)):
        problems.append(left_out(patient.labels[number], "labels without image"))
    if patient.info is not None:
        for key in acdc.ORDER:
            if patient.number(key) not in patient.images:
                reason = f"missing frame: Info.cfg names frame {patient.number(key)} as {key}"
                problems.append(warning(patient.path, reason, "restore it if it exists"))
    if len(patient.images) == 1:
        reason = f"one frame: only {next(iter(patient.images.values())).name}"
        problems.append(warning(patient.path, reason, "restore the other if it exists"))
    return problems


def _no_info(folder: Path, paths: list[Path], patients: int) -> list[Problem]:
    advice = "restore it if it exists: in one patient of the original (patient090) ED has the higher number"
    lower = "the lower of two frames counts as ED, and the disease is unknown"
    if len(paths) == patients > 1:
        return [warning(folder, f"no Info.cfg: none of {patients} patients has one, so {lower}", advice)]
    return [warning(path, f"no Info.cfg: {lower}", advice) for path in paths]
