"""The settings of a run: checked when built, plain when written, one fingerprint for one meaning."""

import json
from dataclasses import replace

import pytest

from fedward.errors import UsageError
from fedward.lgg_segmentation import SETTINGS
from fedward.preprocessing.settings import PreprocessingSettings
from fedward.settings import AggregationSettings, RunSettings, TrainingSettings, run_settings_from_dict

SITES = ("hospital-02", "hospital-01")


def run(**changes):
    return RunSettings(**{"name": "run", "sites": SITES, **changes})


def test_the_jobs_settings_survive_json():
    again = run_settings_from_dict(json.loads(json.dumps(SETTINGS.to_dict())))
    assert again == SETTINGS
    assert again.fingerprint() == SETTINGS.fingerprint()


def test_sites_are_sorted_and_all_of_them_count_by_default():
    settings = run()
    assert settings.sites == ("hospital-01", "hospital-02")
    assert settings.quorum == settings.min_sites == 2
    assert settings.fingerprint() == run(sites=["hospital-01", "hospital-02"], min_sites=2).fingerprint()


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 2},
        {"rounds": 3},
        {"min_sites": 1},
        {"sites": ("hospital-01", "hospital-03")},
        {"training": TrainingSettings(learning_rate=0.1)},
        {"aggregation": AggregationSettings(scheme="fedavg")},
        {"preprocessing": PreprocessingSettings(percentiles=(0.0, 99.0))},
    ],
)
def test_every_setting_counts_in_the_fingerprint(other):
    assert run(**other).fingerprint() != run().fingerprint()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a/b"}, "run name"),
        ({"name": ".."}, "run name"),
        ({"name": ""}, "run name"),
        ({"sites": ()}, "sites"),
        ({"sites": "hospital-01"}, "sites must be a list"),
        ({"sites": None}, "sites must be a list"),
        ({"sites": ("a", "a")}, "different names"),
        ({"sites": ("a", "../../etc/cron.d/x")}, "site name"),
        ({"sites": ("a", "/b")}, "site name"),
        ({"sites": ("a", 1)}, "site name"),
        ({"sites": ("a", "")}, "site name"),
        ({"data_set": "imagenet"}, "unknown data set"),
        ({"data_set": ["lgg"]}, "unknown data set"),
        ({"rounds": 0}, "rounds must be a whole number from 1 to 10000"),
        ({"rounds": 10**9}, "rounds must be a whole number from 1 to 10000"),
        ({"seed": 2**32}, "seed must be a whole number from 0 to 4294967295"),
        ({"round_deadline": 1e9}, "round_deadline must be a number from 1 to 604800"),
        ({"sites": tuple(f"s{number}" for number in range(1001))}, "at most 1000 sites"),
        (
            {
                "training": TrainingSettings(batch_size=1024),
                "preprocessing": PreprocessingSettings(image_size=1024),
            },
            "at most 33,554,432",
        ),
        ({"rounds": 1.5}, "rounds"),
        ({"rounds": True}, "rounds"),
        ({"seed": -1}, "seed"),
        ({"round_deadline": 0}, "round_deadline"),
        ({"round_deadline": float("inf")}, "round_deadline"),
        ({"round_deadline": float("nan")}, "round_deadline"),
        ({"round_deadline": "1 h"}, "round_deadline"),
        ({"min_sites": 0}, "min_sites"),
        ({"min_sites": 3}, "only 2 sites take part"),
        ({"preprocessing": PreprocessingSettings(channels="flair")}, "3 channels but preprocessing"),
        ({"preprocessing": PreprocessingSettings(image_size=100)}, "multiple of 16"),
        ({"preprocessing": PreprocessingSettings(image_size=16)}, "32 or more"),
    ],
)
def test_runs_that_cannot_be(changes, message):
    with pytest.raises(UsageError, match=message):
        run(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "resnet"}, "choose one of unet"),
        ({"network": ["unet"]}, "choose one of unet"),
        ({"network_args": None}, "mapping"),
        ({"network_args": {"features": 0}}, "features"),
        ({"loss": "focal"}, "loss 'focal' is unknown: choose one of bce, dice_bce"),
        ({"optimizer": "adamw"}, "optimizer"),
        ({"schedule": "step"}, "learning-rate schedule"),
        ({"precision": "float16"}, "precision"),
        ({"augment": "no"}, "augment must be true or false"),
        ({"learning_rate": -0.1}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learning_rate": None}, "learning_rate"),
        ({"learning_rate": 1e39}, "learning_rate must be a number from 0 to 1000"),
        ({"momentum": 1.1}, "momentum must be a number from 0 to 1"),
        ({"momentum": -1}, "momentum"),
        ({"batch_size": 0}, "batch_size"),
        ({"local_epochs": None}, "either local_epochs or local_steps"),
        ({"local_steps": 5}, "either local_epochs or local_steps"),
        ({"local_epochs": 0}, "a whole number from 1 to 1000000"),
        ({"local_epochs": None, "local_steps": 0}, "a whole number from 1 to 1000000"),
        ({"local_epochs": 1.5}, "whole number"),
    ],
)
def test_trainings_that_cannot_be(changes, message):
    with pytest.raises(UsageError, match=message):
        TrainingSettings(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scheme": "dcwe"}, "did you mean 'dcew'"),
        ({"alpha": 2.0}, "from 0 to 1"),
        ({"alpha": -0.5, "beta": 1.0, "gamma": 0.5}, "from 0 to 1"),
        ({"alpha": 0.5, "beta": 0.5, "gamma": 0.5}, "no convex mix"),
        ({"scheme": "fedavg", "alpha": 0.5}, "has no alpha"),
        ({"cost_source": "trust"}, "cost_source"),
        ({"cost_reference": "yesterday"}, "cost_reference"),
        ({"strict": 1}, "strict"),
        ({"pooled_variance": "yes"}, "pooled_variance must be true or false"),
    ],
)
def test_aggregations_that_cannot_be(changes, message):
    with pytest.raises(UsageError, match=message):
        AggregationSettings(**changes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "must be a mapping"),
        ([], "must be a mapping"),
        ({}, "name"),
        ({"name": "run"}, "sites"),
        ({"name": "run", "sites": ["a"], "data_folder": "/etc"}, "unknown settings data_folder: known are name, sites"),
        ({"name": "run", "sites": ["a"], 1: 2, "x": 3}, "unknown settings 1, x"),
        ({"name": "run", "sites": None}, "sites"),
        ({"name": "run", "sites": 3}, "sites"),
        ({"name": "run", "sites": ["a"], "training": None}, "training must be a mapping"),
        ({"name": "run", "sites": ["a"], "training": {"lr": 1}}, "training has unknown settings lr"),
        ({"name": "run", "sites": ["a"], "preprocessing": {"percentiles": 5}}, "percentiles"),
        ({"name": "run", "sites": ["a"], "preprocessing": 7}, "preprocessing must be a mapping"),
    ],
)
def test_values_out_of_a_job_that_cannot_be(values, message):
    with pytest.raises(UsageError, match=message):
        run_settings_from_dict(values)


def test_settings_do_not_change_with_what_they_were_made_from():
    """A run's own copy: changes make a new object."""
    settings = run()
    assert replace(settings, rounds=3).rounds == 3
    assert settings.rounds == 25
    with pytest.raises(AttributeError):
        settings.rounds = 3
    assert replace(settings, min_sites=1).quorum == 1


def test_a_ratio_compares_costs_on_the_same_images():
    with pytest.raises(UsageError, match="on the same images"):
        AggregationSettings(cost_source="site_training", cost_reference="round_start")
    AggregationSettings(cost_source="site_training")
    AggregationSettings(cost_source="server_validation", cost_reference="round_start")
