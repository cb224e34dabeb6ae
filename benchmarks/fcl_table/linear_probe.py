"""How well a linear classifier of pixels finds the structures in a frozen encoder's maps, before any fine-tuning.

    python benchmarks/fcl_table/linear_probe.py --work WORK

The starts, labelled patients and test patients are those of the finished federated rows under WORK, the folder of
run.py. A pixel's features are the maps of all levels of the encoder, brought to the slice's size; a logistic regression
is fitted on pixels of the hospitals' labelled slices together, and its Dice pooled over all test slices. Nothing is
federated here: it asks what pretraining has put into an encoder. Writes linear_probe.json and linear_probe.md beside
the table.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn.functional import interpolate

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # what several benchmarks share

import fcl_rows
from fcl_cells import NAMES
from fcl_results import RESULTS
from row_cells import over_seeds, table
from run_fcl import columns_of, numbers

from fedward.machine import machine, versions
from fedward.networks.checkpoint import load_parameters
from fedward.networks.initial import first_parameters
from fedward.networks.registry import build_network
from fedward.rounds.run_folder import RunFolder, read_json, write_bytes, write_json
from fedward.settings import RunSettings, run_settings_from_dict
from fedward.simulation import SERVER_SITE, simulation_config
from fedward.training.scan_slices import Slices
from fedward.training.segmentation import EVALUATION_BATCH
from fedward.training.structures import labels_of, structure_counts
from fedward.training.structures_test_set import load_test_set
from fedward.training.task import get_task, join_sites

PIXELS = 40_000  # of the labelled slices, drawn at random
FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)


@click.command(help=__doc__)
@click.option("--work", type=FOLDER, required=True, help="Folder of run.py, with finished federated rows.")
@click.option("--preset", type=click.Choice(list(fcl_rows.PRESETS)), default="small", show_default=True)
@click.option("--patients", default="1", show_default=True, help="Columns, such as 1,2.")
@click.option("--seeds", default="1,2,3", show_default=True)
def main(work: Path, preset: str, patients: str, seeds: str) -> None:
    chosen = fcl_rows.PRESETS[preset]
    torch.set_num_threads(1)
    found: dict[str, list[dict[str, Any]]] = {}
    for n in columns_of(chosen, patients):
        for init in fcl_rows.starts("federated"):
            for seed in numbers("--seeds", seeds):
                run = RunFolder(work / fcl_rows.fine_tuning("federated", n, init, seed, chosen).name)
                if run.finished():
                    settings = run_settings_from_dict(read_json(run.settings))
                    dice = probe(settings, work / fcl_rows.SITES)
                    found.setdefault(f"{n} {init}", []).append({"seed": seed, "dice": dice})
                    click.echo(f"N = {n}, {NAMES[init]}, seed {seed}: {fmean(dice):.3f}")
    if not found:
        raise click.UsageError(f"{work} holds no finished federated row: run.py federated --work {work} trains them")
    about = {"date": datetime.now(UTC).date().isoformat(), "machine": machine(1), "versions": versions()}
    write_json(RESULTS / preset / "linear_probe.json", {**about, "pixels": PIXELS, "dice": found})
    write_bytes(RESULTS / preset / "linear_probe.md", page(found).encode())


def probe(settings: RunSettings, sites: Path) -> list[float]:
    """Dice of each structure over all test slices, of the linear classifier on this run's start."""
    start = first_parameters(settings, simulation_config(sites, SERVER_SITE, 1, "cpu"))
    network = build_network(settings.training.network, settings.training.network_args).eval()
    load_parameters(network, start.parameters)
    task = get_task(settings)
    loaded = [task.load(site, simulation_config(sites, site, 1, "cpu"), settings) for site in settings.sites]
    labelled, test = join_sites(task, loaded).train, load_test_set(settings, sites)
    assert test is not None  # the row was tested
    classifier = fit(network, labelled, settings.seed)
    counts = np.zeros((len(test.structures), 3))
    for index in torch.arange(len(test.slices)).split(EVALUATION_BATCH):
        rows, shape = pixels_of(network, test.slices, index)
        predicted = torch.from_numpy(classifier.predict(rows)).reshape(shape)
        counts += structure_counts(predicted, labels_of(test.slices)[index], len(test.structures)).numpy()
    return [float(2 * hit / (2 * hit + extra + missed)) for hit, extra, missed in counts]


def fit(network: Any, labelled: Slices, seed: int) -> Any:
    """A logistic regression on standardised features of random pixels."""
    generator = torch.Generator().manual_seed(seed)
    rows, labels = [], []
    share = PIXELS / labels_of(labelled).numel()
    for index in torch.arange(len(labelled)).split(EVALUATION_BATCH):
        own, _ = pixels_of(network, labelled, index)
        kept = torch.rand(len(own), generator=generator).numpy() < share
        rows.append(own[kept])
        labels.append(labels_of(labelled)[index].reshape(-1).numpy()[kept])
    regression = LogisticRegression(max_iter=200)
    return make_pipeline(StandardScaler(), regression).fit(np.concatenate(rows), np.concatenate(labels))


@torch.no_grad()
def pixels_of(network: Any, slices: Slices, index: torch.Tensor) -> tuple[NDArray[np.float32], torch.Size]:
    """Features of all pixels of some slices, (pixels, channels of all levels), and the shape of their labels."""
    maps = network.encoder(slices.image[index].float())
    size = maps[0].shape[-2:]
    stacked = torch.cat([interpolate(part, size=size, mode="bilinear", align_corners=False) for part in maps], dim=1)
    return stacked.permute(0, 2, 3, 1).reshape(-1, stacked.shape[1]).numpy(), torch.Size((len(index), *size))


def page(found: dict[str, list[dict[str, Any]]]) -> str:
    lines = []
    for key, runs in found.items():
        n, init = key.split(" ", 1)
        structures = [over_seeds([run["dice"][place] for run in runs]) for place in range(len(runs[0]["dice"]))]
        lines.append([n, NAMES[init], over_seeds([fmean(run["dice"]) for run in runs]), *structures])
    note = (
        "Dice pooled over all slices of the test patients, of a linear classifier of pixels on the frozen maps of each "
        "start's encoder; mean over the seeds, lowest to highest in brackets. N: labelled patients a hospital, all "
        "hospitals together."
    )
    head = ("N", "start", "mean", "right ventricle", "myocardium", "left ventricle")
    return f"# Linear probe\n\n{note}\n\n{table(head, lines)}\n"


if __name__ == "__main__":
    main()
