"""How a site's scans are chosen for a segmentation into structures, and what the site may claim."""

import pytest
from heart_files import NETWORK, config, run_settings, write_patient, write_split

from fedward.errors import DataError, UsageError
from fedward.networks.checkpoint import get_parameters
from fedward.networks.registry import build_network
from fedward.training import structures_task
from fedward.training.site import open_site
from fedward.training.structures_task import NO_STRUCTURE, NO_VALIDATION, ONE_ABSENT, TASK, UNLABELLED, judge, load
from fedward.training.task import get_task, join_sites


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """Four training patients, one validation patient, two frames each. Not to be changed."""
    root = tmp_path_factory.mktemp("sites") / "hospital-01"
    names = [write_patient(root, number) for number in range(1, 6)]
    write_split(root, names[:4], names[4:])
    return root


def patients(slices):
    return sorted({scan.patient for scan in slices.scans})


def test_all_scans_of_the_training_patients(hospital, tmp_path):
    assert get_task(run_settings()) is TASK
    images = load("hospital-01", config(hospital, tmp_path), run_settings())
    assert patients(images.train) == [f"patient{n:03d}" for n in (1, 2, 3, 4)]
    assert patients(images.validation) == ["patient005"]
    assert (len(images.train), len(images.validation), images.notes) == (4 * 2 * 3, 2 * 3, ())
    assert images.train.labels.shape == (24, 16, 16)
    assert judge(images, "validation") == structures_task.Judgement(frozenset(), ())


def test_only_the_drawn_patients_are_trained_on_with_both_frames(hospital, tmp_path):
    drawn = [patients(load("hospital-01", config(hospital, tmp_path), run_settings(labelled=n)).train) for n in (1, 2)]
    assert [len(names) for names in drawn] == [1, 2]
    assert set(drawn[0]) < set(drawn[1])
    one = load("hospital-01", config(hospital, tmp_path), run_settings(labelled=1))
    assert {scan.frame for scan in one.train.scans} == {"ED", "ES"}
    assert patients(one.validation) == ["patient005"]


def test_more_labelled_patients_than_there_are(hospital, tmp_path):
    with pytest.raises(UsageError, match="labelled_patients is 5, and 4 training patients have labels"):
        load("hospital-01", config(hospital, tmp_path), run_settings(labelled=5))


def test_fewer_patients_than_the_site_asks_for(hospital, tmp_path):
    with pytest.raises(DataError, match=r"2 training patients.*min_patients 3"):
        load("hospital-01", config(hospital, tmp_path, min_patients=3), run_settings(labelled=2))


def test_scans_without_labels_are_left_out_with_a_note(tmp_path):
    root = tmp_path / "hospital-01"
    names = [write_patient(root, 1, unlabelled=(9,)), write_patient(root, 2, unlabelled=(1, 9))]
    names += [write_patient(root, 3, unlabelled=(1, 9))]
    write_split(root, names[:2], names[2:])
    images = load("hospital-01", config(root, tmp_path), run_settings())
    assert [(scan.patient, scan.frame) for scan in images.train.scans] == [("patient001", "ED")]
    assert images.validation is None
    assert images.notes == (UNLABELLED,)
    assert judge(images, "validation").warnings == (NO_VALIDATION["validation"],)
    with pytest.raises(UsageError, match="1 training patients have labels"):
        load("hospital-01", config(root, tmp_path), run_settings(labelled=2))


def test_no_training_patient_with_labels_names_one(tmp_path):
    root = tmp_path / "hospital-01"
    names = [write_patient(root, 1, unlabelled=(1, 9)), write_patient(root, 2)]
    write_split(root, names[:1], names[1:])
    with pytest.raises(DataError, match=r"hospital-01: no training patient with labels.*patient001"):
        load("hospital-01", config(root, tmp_path), run_settings())


def test_a_hospital_that_lacks_a_structure_or_all(tmp_path):
    root = tmp_path / "hospital-01"
    names = [write_patient(root, 1, labels=(1, 3)), write_patient(root, 2, labels=())]
    write_split(root, names[:1], names[1:])
    images = load("hospital-01", config(root, tmp_path), run_settings())
    assert images.notes == (ONE_ABSENT["training"],)
    found = judge(images, "validation")
    assert (found.unmeasured, found.warnings) == ({"validation"}, (NO_STRUCTURE["validation"],))
    site = open_site("hospital-01", run_settings(), config(root, tmp_path))
    report = site.validate(get_parameters(build_network("unet_structures", NETWORK, seed=1)))
    assert (report["start"]["cost"], report["start"]["quality"]) == (None, None)
    assert report["warnings"] == [ONE_ABSENT["training"], NO_STRUCTURE["validation"]]


def test_a_round_of_a_site(hospital, tmp_path):
    site = open_site("hospital-01", run_settings(labelled=2), config(hospital, tmp_path))
    start = get_parameters(build_network("unet_structures", NETWORK, seed=1))
    _, report = site.train(start, 1)
    assert (report["samples"], report["steps"], report["warnings"]) == (12, 3, [])
    assert report["end"]["images"] == 6
    assert report["end"]["patients"] == 1
    assert 0 <= report["end"]["quality"] <= 1
    assert sum(name.startswith("false_negative.") for name in report["end"]["details"]) == 3
    _, again = open_site("hospital-01", run_settings(labelled=2), config(hospital, tmp_path)).train(start, 1)
    assert (again["loss"], again["end"]) == (report["loss"], report["end"])


def test_the_sites_of_a_central_run_are_joined(hospital, tmp_path):
    one, two = (load("hospital-01", config(hospital, tmp_path), run_settings(labelled=n)) for n in (1, 2))
    joined = join_sites(TASK, [one, two])
    assert (len(joined.train), len(joined.train.scans), len(joined.validation)) == (18, 6, 12)
    without = join_sites(
        TASK, [structures_task.SiteImages(one.train, None), structures_task.SiteImages(two.train, None)]
    )
    assert without.validation is None


def test_the_server_judges_on_labelled_scans_alone(hospital, tmp_path):
    settings = run_settings(aggregation={"scheme": "dcew", "cost_source": "server_validation"})
    server = config(hospital, tmp_path, validation={"acdc": hospital})
    evaluation = TASK.score(settings, server)(get_parameters(build_network("unet_structures", NETWORK, seed=1)))
    assert (evaluation.images, evaluation.patients) == (30, 5)
    assert evaluation.cost > 0
    bare = tmp_path / "server"
    write_patient(bare, 1, unlabelled=(1, 9))
    with pytest.raises(DataError, match=r"no scan in .* has labels"):
        TASK.score(settings, config(hospital, tmp_path, validation={"acdc": bare}))


def test_the_cache_is_filled_before(hospital, tmp_path, monkeypatch):
    TASK.check(run_settings(), config(hospital, tmp_path))
    TASK.prepare(run_settings(), [hospital], tmp_path / "cache")
    monkeypatch.setattr("fedward.preprocessing.scan_cache.prepare_scan", None)  # nothing is left to prepare
    assert len(load("hospital-01", config(hospital, tmp_path), run_settings()).train) == 24
    with pytest.raises(DataError):
        TASK.check(run_settings(), config(tmp_path / "cache", tmp_path))
