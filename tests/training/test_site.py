"""One hospital's side: what it reports with and without validation images and tumours."""

import json
from dataclasses import replace

import pytest

from fedward.networks.initial import initial_parameters
from fedward.preprocessing.settings import PreprocessingSettings
from fedward.rounds.site_report import check_report
from fedward.settings import AggregationSettings, RunSettings
from fedward.training.segmentation_task import TASK
from fedward.training.site import Site
from fedward.training.task import SiteImages, join_sites


@pytest.fixture
def settings(training):
    return RunSettings(
        name="run",
        sites=("hospital-01",),
        rounds=2,
        preprocessing=PreprocessingSettings(bias_field="none", image_size=16),
        training=training(),
    )


@pytest.fixture
def start(settings):
    return initial_parameters("unet", settings.training.network_args, 1)


def site_of(settings, train, validation, **aggregation):
    settings = replace(settings, aggregation=AggregationSettings(**aggregation))
    return Site("hospital-01", settings, SiteImages(train, validation), 1, "cpu")


def test_a_report_is_plain_and_the_server_takes_it(settings, start, make_images):
    site = site_of(settings, make_images(6), make_images(4, seed=1))
    own, report = site.train(start, 1)
    checked = check_report(json.loads(json.dumps(report)))
    assert checked["samples"] == 6
    assert checked["steps"] == 2
    assert checked["warnings"] == []
    assert checked["start"] == site.trainer.evaluate(start)
    assert checked["end"] == site.trainer.evaluate(own)
    assert checked["end"].images == 4
    assert checked["end"] != checked["start"]
    validated = check_report(json.loads(json.dumps(site.validate(start))), "validation")
    assert validated["start"] == checked["start"]


def test_costs_of_the_training_images_on_request(settings, start, make_images):
    site = site_of(settings, make_images(6), make_images(4, seed=1), cost_source="site_training")
    own, report = site.train(start, 1)
    assert report["end"]["images"] == 6
    assert report["start"]["images"] == 4  # the received model is still measured on held-out patients
    assert report["end"]["cost"] == site.trainer.evaluate(own, "training").cost


def test_without_validation_images_the_site_trains_and_says_so(settings, start, make_images):
    site = site_of(settings, make_images(6), None)
    own, report = site.train(start, 1)
    assert report["start"] is None
    assert report["end"] is None
    assert "no validation patient" in report["warnings"][0]
    assert own["head.weight"].tobytes() != start["head.weight"].tobytes()
    assert site.validate(start)["start"] is None


def test_without_validation_images_the_training_cost_still_counts(settings, start, make_images):
    site = site_of(settings, make_images(6), None, cost_source="site_training")
    _, report = site.train(start, 1)
    assert report["end"]["cost"] > 0
    assert report["start"] is None
    assert "cost and Dice are missing" not in report["warnings"][0]


@pytest.mark.parametrize("cost_source", ["site_validation", "site_training"])
def test_without_a_tumour_in_training_no_claim_is_made(settings, start, make_images, cost_source):
    site = site_of(settings, make_images(6, tumour=False), make_images(4), cost_source=cost_source)
    own, report = site.train(start, 1)
    assert own["head.weight"].tobytes() != start["head.weight"].tobytes()
    for part in ("start", "end"):
        assert report[part]["cost"] is report[part]["quality"] is None
    assert report["start"]["false_negative"] + report["start"]["true_positive"] == 4 * 25  # the counts stay
    assert report["warnings"] == [
        "no tumour pixel in its training images: the site trains, its cost and Dice are missing"
    ]
    check_report(report)


def test_without_a_tumour_in_validation_the_validation_makes_no_claim(settings, start, make_images):
    _, report = site_of(settings, make_images(6), make_images(4, tumour=False)).train(start, 1)
    assert report["start"]["cost"] is report["end"]["cost"] is None
    assert "no tumour pixel in its validation images" in report["warnings"][0]
    on_training = site_of(settings, make_images(6), make_images(4, tumour=False), cost_source="site_training")
    assert on_training.train(start, 1)[1]["end"]["cost"] > 0


def test_joined_sites_hold_all_images(make_images):
    first, second, third = make_images(4), make_images(5, seed=1), make_images(2, seed=2)
    joined = join_sites(TASK, [SiteImages(first, third), SiteImages(second, None)])
    assert len(joined.train) == 9
    assert joined.validation is not None
    assert len(joined.validation) == 2
    assert join_sites(TASK, [SiteImages(first, None)]).validation is None
