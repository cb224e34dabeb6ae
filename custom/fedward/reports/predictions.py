"""Probabilities that a tested classification run gave its test images: RUN/predictions.npz."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedward.errors import FedwardError
from fedward.reports.arrays import read_arrays
from fedward.reports.run_data import Run

FILE = "predictions.npz"


@dataclass(frozen=True)
class Predictions:
    """One run on N test images with C findings.

    scores   (N, C) float32 in [0, 1] of each model: one, or one a hospital where each trained alone
    labels   (N, C) float32: 1 present, 0 absent, NaN unknown
    patients, images   N names, in the order of the rows
    """

    data_set: str
    findings: tuple[str, ...]
    scores: tuple[NDArray[np.float32], ...]
    labels: NDArray[np.float32]
    patients: tuple[str, ...]
    images: tuple[str, ...]


def read_predictions(run: Run, model: str) -> Predictions:
    """Those of the run's `model`; FedwardError where it was not tested, or the file is missing or damaged."""
    where = run.folder.root
    if run.test is None:
        raise FedwardError(
            f"{where} has no test result (state: {run.info.get('state')}): finish the run, on a partition with test "
            "patients, or leave it out"
        )
    path, again = where / FILE, "test the run again or leave it out"
    findings = tuple(str(name) for name in run.test.get("findings") or ())
    arrays = read_arrays(path, (model, "labels", "patients", "images"), again)
    scores, labels = arrays[model], arrays["labels"]
    names = {key: tuple(str(name) for name in arrays[key]) for key in ("patients", "images")}
    models = tuple(scores) if scores.ndim == 3 else (scores,)
    shape = (len(names["patients"]), len(findings))
    if not models or any(array.shape != shape for array in (labels, *models)) or len(names["images"]) != shape[0]:
        raise FedwardError(f"{path} does not belong to the run's test.json (other images or findings): {again}")
    return Predictions(data_set=str(run.test.get("data_set")), findings=findings, scores=models, labels=labels, **names)
