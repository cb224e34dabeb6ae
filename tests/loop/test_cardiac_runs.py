"""Both jobs on volumes with the weighting schemes, in the plain loop: whole runs of three small phantom hospitals."""

from dataclasses import replace

import numpy as np
import pytest
from small_run import load_images, run

from fedward.cardiac_contrastive import SETTINGS as PRETRAINING
from fedward.cardiac_segmentation import SETTINGS as SEGMENTATION
from fedward.cli import cli
from fedward.cli import run as run_command
from fedward.networks.checkpoint import read_model
from fedward.rounds.record import read_records
from fedward.settings import AggregationSettings, RunSettings
from fedward.simulation import find_sites
from fedward.training.site import Site
from fedward.weighting.schemes import SCHEMES
from published_formulas import mean_over_structures, published_weights, reported

COMPARING = ("costw", "costw_ce", "dcew", "fedpid")  # with the round before


@pytest.fixture(scope="module")
def hearts(tmp_path_factory):
    """Three hospitals train on two, two and one patients and validate on one each. Runs fill its cache."""
    root = tmp_path_factory.mktemp("hearts")
    layout = ["phantoms", "acdc", root / "images", "--patients", 8, "--size", 32, "--slices", 4]
    split = ["partition", "acdc", root / "images", "--sites", 3, "--validation-patients", 1, "--out", root / "sites"]
    for arguments in (layout, split):
        assert run_command(cli, [str(argument) for argument in arguments]) == 0
    return root / "sites"


def tiny(job: RunSettings, hearts, scheme: str) -> RunSettings:
    """The job's own settings, but two rounds of a small network on small slices."""
    return replace(
        job,
        sites=find_sites(hearts),
        min_sites=None,
        rounds=2,
        preprocessing=replace(job.preprocessing, image_size=16, pixel_spacing=3.0),
        training=replace(
            job.training,
            network_args={**job.training.network_args, "features": 4, "depth": 2},
            learning_rate=0.01,
            batch_size=4,
        ),
        aggregation=AggregationSettings(scheme=scheme),
    )


@pytest.fixture(scope="module")
def labelled(hearts):
    return load_images(hearts, tiny(SEGMENTATION, hearts, "fedavg"))


@pytest.fixture(scope="module")
def unlabelled(hearts):
    return load_images(hearts, tiny(PRETRAINING, hearts, "fedavg"))


@pytest.fixture
def trained(monkeypatch):
    """(site, round) -> the parameters that the site sent."""
    sent, train = {}, Site.train

    def kept(self, parameters, round_number, **offered):
        sent[self.name, round_number], report = train(self, parameters, round_number, **offered)
        return sent[self.name, round_number], report

    monkeypatch.setattr(Site, "train", kept)
    return sent


def check_weighted(folder, scheme: str, trained) -> None:
    """Size alone in the first round, the scheme's formula in the second, and a model that is that sum."""
    first, second, _ = read_records(folder.rounds)
    sizes = published_weights("uniform" if scheme == "uniform" else "fedavg", first, first)
    assert first["weights"] == pytest.approx(sizes, abs=1e-9)
    assert second["weights"] == pytest.approx(published_weights(scheme, first, second), abs=1e-9)
    assert all(sum(record["weights"].values()) == pytest.approx(1, abs=1e-9) for record in (first, second))
    if scheme in COMPARING:
        assert max(abs(second["weights"][site] - sizes[site]) for site in sizes) > 0.001
    for key, value in read_model(folder.model("last"))[0].items():
        expected = sum(weight * trained[site, 2][key].astype(float) for site, weight in second["weights"].items())
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_segmentation_by_every_scheme(hearts, labelled, trained, tmp_path, scheme):
    """The quality that a site claims, and the one a round is told by, is the mean Dice over the structures."""
    folder = run(tiny(SEGMENTATION, hearts, scheme), tmp_path / "run", labelled)
    check_weighted(folder, scheme, trained)
    measured = []
    for record in read_records(folder.rounds):
        answers = record["answers"].values()
        measured += [record["received"], *(answer["start"] for answer in answers)]
        measured += [answer["end"] for answer in answers if "end" in answer]
    for evaluation in measured:
        assert evaluation["quality"] == pytest.approx(mean_over_structures(evaluation), abs=1e-12)


@pytest.mark.parametrize("scheme", ["costw", "dcew"])
def test_a_pretraining_weighted_by_its_costs(hearts, unlabelled, trained, tmp_path, scheme):
    """The cost is the contrastive loss on the validation slices, the quality that of the nearest neighbours."""
    folder = run(tiny(PRETRAINING, hearts, scheme), tmp_path / "run", unlabelled)
    check_weighted(folder, scheme, trained)
    first, second, _ = read_records(folder.rounds)
    assert set(second["exchange"]["banks"]) == set(find_sites(hearts))
    old, new = (reported(record, "cost") for record in (first, second))
    by_drop = sorted(old, key=lambda site: old[site] / new[site])
    assert by_drop == sorted(old, key=second["shares"]["cost_ratio"].get)  # who improved more, weighs more
    for record in (first, second):
        for answer in record["answers"].values():
            assert answer["end"]["quality"] == answer["end"]["details"]["knn.partition"]
