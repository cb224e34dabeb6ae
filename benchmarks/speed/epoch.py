"""How much of an epoch is training, and how much is getting batches ready, once the images are cached.

    python benchmarks/speed/epoch.py [--image-size 96] [--features 16] [--precision auto]

One site, on phantoms made in a temporary folder. The same epoch is timed in one process, whole and with the batches
alone (taking them out of memory, widening, moving to the device, augmenting), three times in turn; medians are printed
and written to benchmarks/results/epoch.json.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
import torch

from fedward.datasets.phantoms import write_phantoms
from fedward.lgg_segmentation import SETTINGS
from fedward.machine import machine, versions
from fedward.networks.initial import initial_parameters
from fedward.preprocessing.settings import PreprocessingSettings
from fedward.rounds.run_folder import write_json
from fedward.site_config import SiteConfig
from fedward.training.augmentation import augment
from fedward.training.segmentation import SegmentationTrainer
from fedward.training.segmentation_task import load_site_images
from fedward.training.trainer import batches, epoch_batches, steps_per_round

RESULT = Path(__file__).resolve().parents[1] / "results" / "epoch.json"
SITE = "hospital-01"


@click.command(help=__doc__)
@click.option("--image-size", default=96, show_default=True)
@click.option("--features", default=16, show_default=True)
@click.option("--precision", default="auto", show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(image_size: int, features: int, precision: str, device: str, threads: int) -> None:
    torch.set_num_threads(threads)
    training = replace(
        SETTINGS.training,
        network_args={**SETTINGS.training.network_args, "features": features},
        precision=precision,
    )
    with tempfile.TemporaryDirectory() as folder:
        data, cache = Path(folder) / "data", Path(folder) / "cache"
        write_phantoms(data, patients=12, slices=20, size=image_size, institutions=1, seed=0)
        config = SiteConfig("benchmark", data_sets={"lgg": data}, cache=cache, threads=threads, device=device)
        preprocessing = PreprocessingSettings(bias_field="none", image_size=image_size)
        settings = replace(SETTINGS, training=training, preprocessing=preprocessing)
        images = load_site_images(SITE, config, settings)
        loading = seconds(lambda: load_site_images(SITE, config, settings))
    trainer = SegmentationTrainer(SITE, images.train, images.validation, training, rounds=1, seed=1, device=device)
    parameters = initial_parameters(training.network, training.network_args, 1)
    trainer.train(parameters, 1)  # the first epoch also allocates
    whole, ready = [], []
    for _ in range(3):
        whole.append(seconds(lambda: trainer.train(parameters, 1)))
        ready.append(seconds(lambda: only_batches(trainer)))
    epoch, batch_time = statistics.median(whole), statistics.median(ready)
    result = {
        "command": "python benchmarks/speed/epoch.py",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {**machine(threads), "device": str(trainer.device)},
        "versions": versions(),
        "image_size": image_size,
        "features": features,
        "precision": precision,
        "images": len(images.train),
        "epoch_seconds": epoch,
        "batch_seconds": batch_time,
        "training_share": 1 - batch_time / epoch,
        "images_per_second": len(images.train) / epoch,
        "loading_from_cache_seconds": loading,
    }
    write_json(RESULT, result)
    click.echo(
        f"{len(images.train)} images of {image_size} x {image_size}: epoch {epoch:.2f} s, batches {batch_time:.3f} s, "
        f"so {result['training_share']:.1%} of an epoch is training; {result['images_per_second']:.0f} images/s"
    )


def only_batches(trainer: SegmentationTrainer) -> None:
    """What `SegmentationTrainer.train` does before the network sees a batch."""
    samples = len(trainer.train_images)
    generator = torch.Generator().manual_seed(1)
    steps = steps_per_round(samples, trainer.settings)
    for index in batches(samples, steps, epoch_batches(samples, trainer.settings), generator):
        augment(*trainer.batch(trainer.train_images, index), generator)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of `work`, the GPU's queue included."""
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
