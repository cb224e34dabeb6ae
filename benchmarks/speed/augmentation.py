"""How fast random views are made, against how fast DenseNet-121 learns from them, on the same threads.

    python benchmarks/speed/augmentation.py [--threads 2] [--device cpu]

At 64 (views of 56) and 256 (views of 224) pixels, batches of 64 and 8: images a second of `two_views` with all that
FRID uses, of `classification_view`, of kornia's own `AugmentationSequential` for two views (nearest in what it does),
and of a training step of DenseNet-121 on one view. Each is the median of three times in turn, on a quiet machine.
Writes benchmarks/results/augmentation.json.
"""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
import torch

from fedward.machine import machine, versions
from fedward.networks.registry import build_network
from fedward.pretext.augmentation import classification_view, normalise, two_views
from fedward.pretext.settings import pretext_settings
from fedward.rounds.run_folder import write_json

RESULT = Path(__file__).resolve().parents[1] / "results" / "augmentation.json"
SIZES = ((64, 56, 64), (256, 224, 8))  # image, view, batch


@click.command(help=__doc__)
@click.option("--threads", default=2, show_default=True)
@click.option("--device", default="cpu", show_default=True)
def main(threads: int, device: str) -> None:
    torch.set_num_threads(threads)
    rows = [measure(size, crop, batch, torch.device(device)) for size, crop, batch in SIZES]
    result = {
        "command": "python benchmarks/speed/augmentation.py",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {**machine(threads), "device": device},
        "versions": versions(),
        "sizes": rows,
    }
    write_json(RESULT, result)
    for row in rows:
        click.echo(", ".join(f"{name} {value:g}" for name, value in row.items()))


def measure(size: int, crop: int, batch: int, device: torch.device) -> dict[str, float]:
    """Images a second of each, and how many times faster two views are than one training step on one view."""
    from kornia import augmentation as kornia

    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, 1, size, size), dtype=torch.uint8, generator=generator).to(device)
    settings = pretext_settings("frid", crop_size=crop)
    sequence = kornia.AugmentationSequential(
        kornia.RandomResizedCrop((crop, crop), scale=(0.2, 1.0)),
        kornia.RandomHorizontalFlip(),
        kornia.RandomRotation(10.0),
        kornia.RandomBrightness((0.6, 1.4)),
        kornia.RandomContrast((0.6, 1.4)),
        kornia.RandomGaussianBlur((13, 13) if crop > 100 else (5, 5), (0.1, 2.0), p=0.5),
    )
    network = build_network("densenet121", {"out_channels": 14}, seed=0).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9)
    view = two_views(images, settings, generator)[0]

    def step() -> None:
        optimizer.zero_grad()
        network(view).square().mean().backward()
        optimizer.step()

    def of_kornia() -> None:
        with torch.no_grad():
            for _ in range(2):
                normalise(sequence(images.float() / 255))

    work: dict[str, Callable[[], object]] = {
        "two_views": lambda: two_views(images, settings, generator),
        "classification_view": lambda: classification_view(images, crop, True, generator),
        "kornia_two_views": of_kornia,
        "densenet_step": step,
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(4):
        for name, call in work.items():
            seconds = timed(call, device)
            if turn:  # the first also allocates
                times[name].append(seconds)
    speed = {name: batch / statistics.median(values) for name, values in times.items()}
    rounded = {name: float(f"{value:.3g}") for name, value in speed.items()}
    return {
        "image": size,
        "view": crop,
        **rounded,
        "times_faster": round(speed["two_views"] / speed["densenet_step"], 1),
    }


def timed(call: Callable[[], object], device: torch.device) -> float:
    """Wall seconds of one call, the GPU's queue included."""
    started = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
