"""Training throughput of each pretext against the same method in lightly: same machine, network, size and batch.

    python benchmarks/speed/pretext.py [--data FOLDER] [--image-size 64] [--crop-size 56] [--batch-size 64]

FOLDER holds image files (default: synthetic ones). Both sides start from files, in float32 and channels_last on the
same threads: the project from its pack of decoded images with views made batch by batch, lightly from its transforms,
image by image in the data loader, as its documentation does it. Steps of both are timed in turn; medians and their
ratio (above 1: the project is faster) go to benchmarks/results/pretext_speed.json, with the part of the project's step
that getting views ready takes, and the ratio of the steps without any data.

lightly is no dependency. Without touching the environment:
    pip install --no-deps --target PLACE lightly==1.6.0 lightly_utils lightning_utilities torchvision==0.28.0
    PYTHONPATH=PLACE python benchmarks/speed/pretext.py
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import lightly_methods
import numpy as np
import torch
from PIL import Image

from fedward.datasets.image_folder import read_table
from fedward.datasets.image_table import ImageTable
from fedward.machine import machine, versions
from fedward.networks.registry import DEFAULTS, build_network
from fedward.pretext.settings import METHODS, pretext_settings
from fedward.pretext.trainer import PretextTrainer
from fedward.rounds.run_folder import write_json
from fedward.settings import TrainingSettings
from fedward.training.trainer import batches, epoch_batches
from fedward.training.xray_images import open_xrays

RESULT = Path(__file__).resolve().parents[1] / "results" / "pretext_speed.json"
IMAGES = 512
QUEUE = 256


@click.command(help=__doc__)
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of images.")
@click.option("--image-size", default=64, show_default=True)
@click.option("--crop-size", default=56, show_default=True)
@click.option("--batch-size", default=64, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--steps", default=2, show_default=True, help="Steps that are timed together.")
@click.option("--turns", default=3, show_default=True)
@click.option("--methods", default=",".join(METHODS), show_default=True)
def main(
    data: Path | None,
    image_size: int,
    crop_size: int,
    batch_size: int,
    threads: int,
    steps: int,
    turns: int,
    methods: str,
) -> None:
    torch.set_num_threads(threads)
    lightly_methods.declare_detection_operators()
    with tempfile.TemporaryDirectory() as folder:
        table = read_table(data or synthetic(Path(folder) / "images", image_size))
        for method in methods.split(","):
            check_count(method, len(table), batch_size)
        sizes = (image_size, crop_size, batch_size)
        rows = {
            method: measure(method, table, Path(folder) / "cache", sizes, steps, turns) for method in methods.split(",")
        }
    result = {
        "command": " ".join(["python benchmarks/speed/pretext.py", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {**machine(threads), "device": "cpu"},
        "versions": {**versions(), **{name: version(name) for name in ("lightly", "torchvision", "kornia")}},
        "image_size": image_size,
        "crop_size": crop_size,
        "batch_size": batch_size,
        "precision": "float32",
        "images": "files of --data" if data else "synthetic",
        "timed": f"CPU seconds of the process, median of {turns} turns of {steps} steps each",
        "methods": rows,
    }
    write_json(RESULT, result)


def synthetic(folder: Path, size: int) -> Path:
    """Smooth grey images as JPEG files."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for number in range(IMAGES):
        coarse = Image.fromarray(generator.integers(0, 256, (8, 8), dtype=np.uint8))
        coarse.resize((size, size), Image.Resampling.BICUBIC).save(folder / f"{number:04d}.jpeg")
    return folder


def check_count(method: str, images: int, batch_size: int) -> None:
    """Both sides drop what is no whole batch, and the queue holds half of the images at most."""
    least = max(batch_size, 2 * QUEUE if method == "moco_v2" else 0)
    if images < least:
        raise click.UsageError(f"{images} images: {method} in batches of {batch_size} needs {least} at least")


def measure(
    method: str, table: ImageTable, cache: Path, sizes: tuple[int, int, int], steps: int, turns: int
) -> dict[str, Any]:
    """Images a second of both sides, in turn, and what of the project's step is getting views ready."""
    ours, ready, compute = project_side(method, table, cache, sizes)
    theirs, their_compute = lightly_side(method, list(table.paths), sizes, 2 * steps * turns + 4)
    sides = {"fedward": ours, "lightly": theirs, "views": ready, "fedward_step": compute, "lightly_step": their_compute}
    for side in sides.values():
        side()  # the first step also allocates
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(turns):
        for name, side in sides.items():
            started = time.process_time()
            for _ in range(steps):
                side()
            times[name].append((time.process_time() - started) / steps)
    seconds = {name: statistics.median(values) for name, values in times.items()}
    row = {
        "fedward_images_per_second": sizes[2] / seconds["fedward"],
        "lightly_images_per_second": sizes[2] / seconds["lightly"],
        "ratio": seconds["lightly"] / seconds["fedward"],
        "ratio_lowest_highest": [
            f(b / a for a, b in zip(times["fedward"], times["lightly"], strict=True)) for f in (min, max)
        ],
        "ratio_without_data": seconds["lightly_step"] / seconds["fedward_step"],
        "views_share_of_step": seconds["views"] / seconds["fedward"],
        "lightly_method": {"frid": "byol", "rotation": "a plain loop with lightly's transform"}.get(method, method),
    }
    click.echo(f"{method}: {', '.join(f'{k} {v:.3g}' for k, v in row.items() if isinstance(v, float))}")
    return row


def project_side(
    method: str, table: ImageTable, cache: Path, sizes: tuple[int, int, int]
) -> tuple[Callable[[], object], Callable[[], object], Callable[[], object]]:
    """A whole step of the project's trainer, making its views alone, and the step on views made before."""
    image_size, crop_size, batch_size = sizes
    training = TrainingSettings(
        network=method,
        network_args=DEFAULTS[method],
        loss="pretext",
        optimizer="sgd",
        learning_rate=0.05,
        momentum=0.9,
        batch_size=batch_size,
        precision="float32",
    )
    changes = {"queue_size": QUEUE} if method == "moco_v2" else {}
    settings = pretext_settings(method, crop_size=crop_size, **changes)
    images = open_xrays(table, image_size, cache)
    trainer = PretextTrainer("site", images, None, training, 1, 1, "cpu", None, settings)
    generator = torch.Generator().manual_seed(1)
    trainer.training_mode()
    optimizer = torch.optim.SGD(trainer.model.parameters(), lr=0.05, momentum=0.9)
    trainer.begin(1, optimizer, generator)
    order = batches(len(images), sys.maxsize, epoch_batches(len(images), training), generator)

    def views() -> tuple[torch.Tensor, ...]:
        return trainer.views(trainer.train_images.pixels(next(order), trainer.device), generator)

    def step(made: tuple[torch.Tensor, ...]) -> None:
        optimizer.zero_grad(set_to_none=True)
        trainer.method.backward(*made)
        optimizer.step()
        trainer.after_step(0.5)

    fixed = views()
    return lambda: step(views()), views, lambda: step(fixed)


def lightly_side(
    method: str, paths: list[Path], sizes: tuple[int, int, int], steps: int
) -> tuple[Callable[[], None], Callable[[], None]]:
    """A whole step with lightly, and the step on views made before."""
    _, crop_size, batch_size = sizes
    network: Any = build_network("densenet121", {**DEFAULTS["densenet121"], "out_channels": 0}, 1)
    network.to(memory_format=torch.channels_last)
    base = "byol" if method == "frid" else method
    side = lightly_methods.LightlyMethod(base, network, network.num_features, crop_size, QUEUE, steps)
    files = lightly_methods.Files(paths, side.transform, 1 if base == "rotation" else 2)

    def endless() -> Any:
        while True:
            yield from torch.utils.data.DataLoader(files, batch_size, shuffle=True, drop_last=True)

    loader = endless()
    fixed = next(loader)
    return lambda: side.step(next(loader)), lambda: side.step(fixed)


if __name__ == "__main__":
    main()
