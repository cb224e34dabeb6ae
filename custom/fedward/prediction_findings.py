"""Apply a classification model to X-rays: the probability of each finding, and pictures of where it is seen."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedward.datasets.base import FileProblem
from fedward.datasets.image_folder import find_files
from fedward.datasets.registry import get_data_set
from fedward.datasets.xray_image import read_resized
from fedward.errors import DataError, FedwardError, UsageError
from fedward.prediction import none_readable
from fedward.progress import map_in_processes
from fedward.reports.overlays import write_png
from fedward.reports.saliency_pictures import map_size, picture_pair
from fedward.rounds.run_folder import write_bytes

TABLE = "predictions.csv"
BATCH = 128  # images in memory at a time
FILES_AT_ONCE = 8  # that a worker takes

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Findings:
    """What was written: (image, most probable finding, its probability) of each image, and why others were not read.

    `places` is the height and width of the network's last map: with 1 the pictures cannot say where a finding is.
    """

    likeliest: tuple[tuple[str, str, float], ...]
    unreadable: tuple[str, ...]
    places: int


def predict_findings(
    model: Any,
    metadata: dict[str, Any],
    source: Path,
    out: Path,
    overlays: int = 16,
    device_name: str = "auto",
    workers: int = 0,
) -> Findings:
    """Write OUT/predictions.csv and, of the first `overlays` images, OUT/overlays/NAME-FINDING.png.

    There are no pictures where the last map is a single place: they would show a finding everywhere or nowhere.
    `model` and `metadata` are what `fedward.prediction.open_model` gives. Every PNG and JPEG file in `source` or below
    has a row in order of path: its path in `source`, and the probability of each finding with six digits. Files that
    cannot be read are left out and named in the result.

    Raises DataError where no image can be read, FedwardError where the model does not say how its images are prepared.
    """
    from fedward.training.classification import predict_probabilities
    from fedward.training.trainer import choose_device

    findings, size, crop = how_prepared(metadata)
    paths, _ = find_files(source)
    if not paths:
        raise DataError(f"{source} holds no PNG or JPEG file, nor does a folder in it: give a folder that does")
    device = choose_device(device_name)
    model.to(device)
    names = picture_names(source, paths)
    unreadable: list[str] = []
    likeliest: list[tuple[str, str, float]] = []
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["image", *findings])
    for batch in _batches(readable(paths, size, workers, unreadable)):
        probabilities = predict_probabilities(model, np.stack([image for _, image in batch]), crop, device)
        if not np.isfinite(probabilities).all():
            raise FedwardError("the model gives probabilities that are not finite: damaged weights; give another")
        for (path, image), row in zip(batch, probabilities, strict=True):
            name, best = path.relative_to(source).as_posix(), int(row.argmax())
            writer.writerow([name, *(f"{value:.6f}" for value in row)])
            if len(likeliest) < overlays and map_size(crop) > 1:
                picture = out / "overlays" / f"{names[path]}-{findings[best].replace(' ', '_')}.png"
                _draw(model, image, best, f"{findings[best]}, probability {row[best]:.2f}", picture, crop, device)
            likeliest.append((name, findings[best], float(row[best])))
    if not likeliest:
        raise none_readable(unreadable, "images", source)
    write_bytes(out / TABLE, table.getvalue().encode())
    return Findings(tuple(likeliest), tuple(unreadable), map_size(crop))


def how_prepared(metadata: dict[str, Any]) -> tuple[tuple[str, ...], int, int]:
    """(findings, image size, size of the centre crop) of a classification model, from its file's metadata."""
    try:
        findings = tuple(getattr(get_data_set(metadata["data_set"]), "findings", ()))
        size = int(metadata["preprocessing"]["image_size"])
        crop = int(metadata.get("crop_size") or size)
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise FedwardError(
            f"the model file does not say which findings it tells and how images are prepared ({error}): give the "
            "model of a run"
        ) from error
    outputs = metadata["network_args"].get("out_channels")
    if outputs != len(findings):
        raise FedwardError(
            f"the model has {outputs} outputs but {metadata['data_set']} has {len(findings)} findings: the file is of "
            "another version or another data set"
        )
    return findings, size, crop


def readable(paths: Sequence[Path], size: int, workers: int, unreadable: list[str]) -> Iterator[tuple[Path, Pixels]]:
    """Each path with its image, (size, size) uint8; why the others cannot be read is added to `unreadable`."""
    read = map_in_processes(partial(_read, size=size), paths, "Predicting", workers, chunk=FILES_AT_ONCE)
    for path, image in zip(paths, read, strict=True):
        if isinstance(image, str):
            unreadable.append(image)
        else:
            yield path, image


def _read(path: Path, size: int) -> Pixels | str:
    """The image, or what is wrong with it: one bad file must not cost the others."""
    try:
        return read_resized(path, size).copy()  # Pillow's own memory cannot be written to, which PyTorch warns of
    except FileProblem as problem:
        return str(problem)


def _batches(images: Iterator[tuple[Path, Pixels]]) -> Iterator[list[tuple[Path, Pixels]]]:
    while batch := list(islice(images, BATCH)):
        yield batch


def picture_names(source: Path, paths: Sequence[Path]) -> dict[Path, str]:
    """Path in `source` without its ending, which stays where two images differ in nothing else."""
    bare = {path: path.relative_to(source).with_suffix("").as_posix() for path in paths}
    times = Counter(bare.values())
    return {path: name if times[name] == 1 else path.relative_to(source).as_posix() for path, name in bare.items()}


def _draw(model: Any, image: Pixels, finding: int, label: str, path: Path, crop: int, device: Any) -> None:
    """Left the crop that the network sees, right with the class activation map of the finding."""
    from fedward.training.classification import class_activation

    start = (len(image) - crop) // 2
    seen = image[start : start + crop, start : start + crop] / 255
    write_png(path, picture_pair(seen, class_activation(model, image, finding, crop, device)), label)
