"""Centralised and local training: the same trainer, the same number of steps."""

from dataclasses import replace

import pytest
from small_run import SITES, run, small_settings, weights_of

from fedward.baselines import run_central, run_local
from fedward.errors import UsageError
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import RunFolder, read_json
from fedward.site_config import SiteConfig
from fedward.training.segmentation import SegmentationTrainer
from fedward.training.segmentation_test_set import write_local_test

CONFIG = SiteConfig("this test", threads=1, device="cpu")


def central(settings, root, images):
    folder = RunFolder(root)
    run_central(settings, folder, images, {"mode": "central"}, CONFIG, lambda record: None)
    return folder


def local(settings, root, images):
    folder = RunFolder(root)
    run_local(settings, folder, images, {"mode": "local"}, CONFIG, lambda record: None)
    return folder


@pytest.mark.parametrize("training", [{}, {"local_epochs": 2}, {"local_epochs": None, "local_steps": 3}])
def test_central_takes_as_many_steps_as_all_sites_together(images, tmp_path, training):
    settings = small_settings(training=training)
    together = read_json(central(settings, tmp_path / "central", images).run)
    apart = read_json(run(settings, tmp_path / "federated", images).run)
    assert together["optimizer_steps"] == apart["optimizer_steps"] > 0


def test_central_trains_on_all_images_as_one_site(images, tmp_path):
    folder = central(small_settings(), tmp_path / "central", images)
    record = read_records(folder.rounds)[0]
    assert record["weights"] == {"central": 1.0}
    assert record["answers"]["central"]["samples"] == sum(len(part.train) for part in images.values())
    assert record["received"]["images"] == sum(len(part.validation) for part in images.values())


def test_central_keeps_its_optimiser_from_round_to_round(images, tmp_path):
    folder = central(small_settings(), tmp_path / "central", images)
    assert sorted(path.name for path in folder.state.glob("*.pt")) == ["optimizer-0001.pt", "optimizer-0002.pt"]
    assert not list(run(small_settings(), tmp_path / "federated", images).root.rglob("*.pt"))


def _interrupt_in_round_two(monkeypatch):
    whole = SegmentationTrainer.train

    def train(self, parameters, number):
        if number == 2 and self.site in ("central", "hospital-02"):
            raise KeyboardInterrupt
        return whole(self, parameters, number)

    monkeypatch.setattr(SegmentationTrainer, "train", train)


@pytest.mark.parametrize("way", [central, local])
def test_interrupted_and_continued_is_the_same_as_never_interrupted(images, tmp_path, monkeypatch, way):
    """Also for the centralised optimiser, whose state is carried from round to round."""
    settings = small_settings(rounds=3)
    whole = way(settings, tmp_path / "whole", images)
    with monkeypatch.context() as patched:
        _interrupt_in_round_two(patched)
        with pytest.raises(KeyboardInterrupt):
            way(settings, tmp_path / "broken", images)
    again = way(settings, tmp_path / "broken", images)
    for part in [""] if way is central else SITES:
        assert weights_of(RunFolder(again.root / part)) == weights_of(RunFolder(whole.root / part))


def test_a_hospital_alone_does_what_it_would_do_in_a_federation_of_one(images, tmp_path):
    settings = small_settings()
    folder = local(settings, tmp_path / "local", images)
    for site in SITES:
        alone = run(replace(small_settings(), sites=(site,), min_sites=1), tmp_path / site, {site: images[site]})
        assert weights_of(RunFolder(folder.root / site)) == weights_of(alone)


def test_a_finished_hospital_is_not_trained_again(images, tmp_path):
    folder = local(small_settings(), tmp_path / "local", images)
    times = {path: path.stat().st_mtime_ns for path in folder.root.rglob("*") if path.is_file()}
    local(small_settings(), tmp_path / "local", images)
    assert {path: path.stat().st_mtime_ns for path in folder.root.rglob("*") if path.is_file()} == times


def test_a_finished_hospital_with_other_settings_is_refused(images, tmp_path):
    local(small_settings(), tmp_path / "local", images)
    with pytest.raises(UsageError, match="hospital-01 was trained with other settings"):
        local(small_settings(seed=2), tmp_path / "local", images)


@pytest.mark.parametrize("way", [central, local])
def test_baselines_need_no_images_at_the_server(images, tmp_path, way):
    settings = small_settings(rounds=1, aggregation={"cost_source": "server_validation"})
    way(settings, tmp_path / "run", images)


def test_the_test_of_local_training_averages_over_the_hospitals(images, sites_folder, tmp_path):
    settings = small_settings()
    folder = local(settings, tmp_path / "local", images)
    assert write_local_test(folder, settings, sites_folder, SITES, "cpu")
    one = [RunFolder(tmp_path / "one" / site) for site in SITES]
    for own, site in zip(one, SITES, strict=True):
        (own.root / site).parent.mkdir(parents=True)
        (own.root / site).symlink_to(folder.root / site)
        write_local_test(own, settings, sites_folder, (site,), "cpu")
    whole = read_json(folder.test)["models"]["last"]
    parts = [read_json(own.test)["models"]["last"] for own in one]
    assert len(whole["per_patient"]) == 3
    for patient, entry in whole["per_patient"].items():
        assert entry["dice"] == pytest.approx(sum(part["per_patient"][patient]["dice"] for part in parts) / 3)
    for count in ("true_positive", "false_positive", "false_negative"):
        assert whole["evaluation"][count] == sum(part["evaluation"][count] for part in parts)
    assert whole["evaluation"]["cost"] == pytest.approx(sum(part["evaluation"]["cost"] for part in parts) / 3)
