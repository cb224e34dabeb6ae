"""A training step of federated contrastive learning with the features of ten other hospitals, and the same without.

    python benchmarks/speed/contrast_step.py [--image-size 64] [--features 16] [--batch-size 32]

Both sides train the same U-Net encoder on the same slices, with their own bank of 4,096 features and as many negatives.
Without exchange these are the own bank itself; with it, they are drawn at each step from the own and 10 x 4,096 others,
and there is a second term. Steps of both are timed in turn; medians and their ratio (1: exchange is free; at least
.8 is wanted) go to benchmarks/results/contrast_step_speed.json, with what drawing the negatives and the loss take.
"""

import itertools
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch.nn.functional import normalize

from fedward.contrast.bank import MemoryBank
from fedward.contrast.loss import fcl_loss, local_positives
from fedward.contrast.settings import ContrastSettings
from fedward.contrast.trainer import ContrastTrainer
from fedward.machine import machine, versions
from fedward.networks.initial import initial_parameters
from fedward.pretext.online import CONTRASTIVE_SIZE
from fedward.rounds.exchange import FeatureTable
from fedward.rounds.run_folder import write_json
from fedward.settings import TrainingSettings
from fedward.training.scan_slices import ScanInfo, Slices

RESULT = Path(__file__).resolve().parents[1] / "results" / "contrast_step_speed.json"
BANK, OTHERS, DEPTH, SCANS = 4096, 10, 10, 64
Side = Callable[[], object]


@click.command(help=__doc__)
@click.option("--image-size", default=64, show_default=True)
@click.option("--features", default=16, show_default=True, help="Width of the U-Net's first level.")
@click.option("--batch-size", default=32, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--steps", default=3, show_default=True, help="Steps that are timed together.")
@click.option("--turns", default=9, show_default=True)
def main(image_size: int, features: int, batch_size: int, threads: int, steps: int, turns: int) -> None:
    torch.set_num_threads(threads)
    slices = synthetic(image_size)
    alone = step_of(slices, features, batch_size, None)
    together = step_of(slices, features, batch_size, others())
    sides: dict[str, Side] = {
        "without": alone[0],
        "with": together[0],
        "drawing_negatives": together[1],
        "loss_without": alone[2],
        "loss_with": together[2],
    }
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
    ratios = [a / b for a, b in zip(times["without"], times["with"], strict=True)]
    result = {
        "command": " ".join(["python benchmarks/speed/contrast_step.py", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {**machine(threads), "device": "cpu"},
        "versions": versions(),
        "image_size": image_size,
        "features": features,
        "batch_size": batch_size,
        "precision": "float32",
        "own_bank": BANK,
        "others": OTHERS * BANK,
        "images": "synthetic",
        "timed": f"CPU seconds of the process, median of {turns} turns of {steps} steps each, sides in turn",
        "seconds": seconds,
        "ratio": statistics.median(ratios),
        "ratio_lowest_highest": [min(ratios), max(ratios)],
        "wanted": 0.8,
    }
    click.echo(", ".join(f"{name} {value * 1000:.1f} ms" for name, value in seconds.items()))
    click.echo(f"ratio {result['ratio']:.3f}")
    write_json(RESULT, result)


def synthetic(size: int) -> Slices:
    """Scans of ten slices of noise."""
    count = SCANS * DEPTH
    return Slices(
        image=torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(0)).half(),
        labels=None,
        scan=torch.arange(SCANS).repeat_interleave(DEPTH),
        position=torch.arange(DEPTH).repeat(SCANS),
        depth=torch.full((count,), DEPTH),
        scans=tuple(ScanInfo(f"patient{i // 2}", ("ED", "ES")[i % 2], (8.0, 1.5, 1.5), True) for i in range(SCANS)),
    )


def others() -> FeatureTable:
    rows = np.random.default_rng(1).standard_normal((OTHERS * BANK, CONTRASTIVE_SIZE), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return FeatureTable(rows.astype(np.float16), (np.arange(len(rows)) % 4).astype(np.uint8))


def step_of(slices: Slices, features: int, batch_size: int, offered: FeatureTable | None) -> tuple[Side, Side, Side]:
    """A whole step of the trainer; drawing the negatives alone; loss and its gradient alone, with that drawing."""
    settings = ContrastSettings(bank_size=BANK)
    training = TrainingSettings(
        network=settings.network,
        network_args={"in_channels": 1, "features": features, "depth": 4},
        loss="contrast",
        optimizer="adam",
        batch_size=batch_size,
        precision="float32",
    )
    trainer = ContrastTrainer("site", slices, None, training, 1, 1, "cpu", None, settings)
    fcl: Any = trainer.fcl
    generator = torch.Generator().manual_seed(1)
    trainer.load(initial_parameters(training.network, training.network_args, 1))
    keys = normalize(torch.randn(BANK, CONTRASTIVE_SIZE, generator=generator), dim=1)
    fcl.bank = MemoryBank(keys, torch.arange(BANK) % 4, torch.arange(BANK) // DEPTH)
    fcl.take_others(offered)
    trainer.training_mode()
    optimizer = torch.optim.Adam(trainer.model.parameters(), lr=1e-3)
    order = itertools.cycle(torch.randperm(len(trainer.train_images), generator=generator).split(batch_size)[:-1])

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        trainer.backward(next(order), generator)
        optimizer.step()
        trainer.after_step(0.5)

    query = keys[:batch_size].clone().requires_grad_()
    partition = torch.arange(batch_size) % 4
    positive = local_positives(partition, torch.arange(batch_size), fcl.bank.partition, fcl.bank.scan)

    def loss() -> None:
        drawn = fcl.draw_negatives(generator)
        remote = offered is not None
        fcl_loss(query, partition, fcl.bank.keys, positive, *drawn, 0.1, settings.formula, remote)[0].backward()  # type: ignore[no-untyped-call]

    return step, lambda: fcl.draw_negatives(generator), loss


if __name__ == "__main__":
    main()
