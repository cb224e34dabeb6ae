"""The jobs on chest X-rays as users call them: whole runs on phantoms, and a sentence for what does not go together."""

import json

import pytest

from fedward.cli import cli, run
from fedward.job_command import training_command
from fedward.job_options import Job
from fedward.pretext.settings import METHODS
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import RunFolder, read_json, write_json
from fedward.settings import run_settings_from_dict
from fedward.xray_jobs import CLASSIFICATION, PRETRAINING

TINY = ["--image-size", "40", "--growth-rate", "4", "--batch-size", "8", "--rounds", "2", "--device", "cpu"]
LOOP = [*TINY, "--env", "loop", "--threads", "1"]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Phantom X-rays: IMAGES, two HOSPITALS with test patients, and PUBLIC images of a coordinator with a probe."""
    root = tmp_path_factory.mktemp("xray-jobs")
    images, hospitals, public = (root / name for name in ("images", "hospitals", "public"))
    for arguments in (
        ["phantoms", "chestxray14", images, "--patients", 24, "--size", 40, "--institutions", 3, "--seed", 2],
        ["partition", "chestxray14", images, "--out", hospitals, "--sites", 2, "--by", "iid", "--fold", 1],
        [
            *["partition", "image_folder", images / "images", "--out", public, "--coordinator"],
            *["--probe", f"chestxray14={images}"],
        ],
        ["phantoms", "lgg", root / "brains", "--patients", 4, "--slices", 2, "--size", 32, "--institutions", 2],
        ["partition", "lgg", root / "brains", "--out", root / "lgg", "--sites", 2, "--workers", 1],
    ):
        assert run(cli, [str(argument) for argument in arguments]) == 0
    return {"HOSPITALS": hospitals, "PUBLIC": public, "LGG": root / "lgg"}


@pytest.fixture
def call(capsys, places, tmp_path):
    """call(job, arguments...) -> (exit code, what was shown), in this process; OUT is a new folder."""

    def called(job: Job, *arguments):
        words = {**{name: str(path) for name, path in places.items()}, "OUT": str(tmp_path / "run")}
        code = run(training_command(job), [words.get(str(a), str(a)) for a in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return code, " ".join((captured.out + captured.err).split())

    return called


def settings_of(folder):
    return run_settings_from_dict(read_json(RunFolder(folder).settings))


def test_classification_from_the_encoder_of_a_pretraining(call, places, tmp_path):
    out = tmp_path / "pretraining"
    options = ["--method", "byol", "--probe-data-set", "chestxray14", "--probe-every", "2"]
    code, shown = call(PRETRAINING, "--sites", "PUBLIC", "--out", out, *options, *LOOP)
    assert code == 0, shown
    settings = settings_of(out)
    assert (settings.sites, settings.data_set) == (("coordinator",), "image_folder")
    assert (settings.pretext.private_state, settings.pretext.crop_size, settings.pretext.probe_every) == ("keep", 35, 2)
    assert run(cli, ["register-weights", "byol-v1", str(out), "--sites", str(places["HOSPITALS"])]) == 0
    options = ["--training", "linear", "--starting-weights", "byol-v1", "--label-fraction", "0.5", "--draw", "2"]
    code, shown = call(CLASSIFICATION, "--sites", "HOSPITALS", "--out", "OUT", *options, *LOOP)
    assert code == 0, shown
    folder = RunFolder(tmp_path / "run")
    settings = settings_of(folder.root)
    assert (settings.data_set, settings.training.mode, settings.training.crop_size) == ("chestxray14", "linear", 35)
    assert (settings.selection.label_fraction, settings.selection.draw) == (0.5, 2)
    digest = json.loads((places["HOSPITALS"] / "weights.json").read_text())["byol-v1"]["sha256"]
    assert digest in json.dumps(read_json(folder.run)["starting_weights"])
    assert set(read_json(folder.test)["models"]) == {"best", "last"}
    assert len(read_records(folder.rounds)) == 3
    assert call(CLASSIFICATION, "--sites", "HOSPITALS", "--out", "OUT", *options, *LOOP)[0] == 2  # finished


@pytest.mark.slow
@pytest.mark.parametrize(
    ("job", "mode"), [(CLASSIFICATION, "central"), (CLASSIFICATION, "local"), (PRETRAINING, "central")]
)
def test_baselines(call, tmp_path, job, mode):
    own = ["--method", "rotation"] if job is PRETRAINING else ["--uncertain", "ignore"]
    code, shown = call(job, "--sites", "HOSPITALS", "--out", "OUT", "--mode", mode, *own, *TINY, "--threads", "1")
    assert code == 0, shown
    assert read_json(RunFolder(tmp_path / "run").run)["mode"] == mode


@pytest.mark.slow
def test_hospitals_pretrain_with_their_private_state_built_anew(call, tmp_path):
    code, shown = call(PRETRAINING, "--sites", "HOSPITALS", "--out", "OUT", "--method", "frid", "--no-sr-layer", *LOOP)
    assert code == 0, shown
    settings = settings_of(tmp_path / "run")
    assert settings.data_set == "chestxray14"
    assert settings.pretext.private_state == "reset"
    assert settings.training.network_args["sr_layer"] == 0


@pytest.mark.parametrize(
    ("job", "arguments", "message"),
    [
        (CLASSIFICATION, ["--sites", "PUBLIC"], "holds images of image_folder, and this run is for chestxray14 or"),
        (CLASSIFICATION, ["--sites", "LGG"], "holds images of lgg, and this run is for chestxray14 or chexpert"),
        (PRETRAINING, ["--sites", "LGG"], "holds images of lgg"),
        (CLASSIFICATION, ["--data-set", "chexpert"], "holds images of chestxray14, and this run is for chexpert"),
        (CLASSIFICATION, ["--data-set", "image_folder"], "'image_folder' is not one of"),
        (CLASSIFICATION, ["--starting-weights", "nobody"], "'nobody' are not registered in"),
        (CLASSIFICATION, ["--starting-weights", "nobody"], "fedward register-weights nobody SOURCE --sites"),
        (CLASSIFICATION, ["--draw", "2"], "give --label-fraction below 1 too"),
        (CLASSIFICATION, ["--label-fraction", "0"], "label_fraction 0.0 must be a number above 0"),
        (CLASSIFICATION, ["--label-fraction", "nan"], "label_fraction nan must be a number above 0"),
        (CLASSIFICATION, ["--uncertain", "ones"], "--uncertain is for chexpert"),
        (CLASSIFICATION, ["--views", "all"], "--views all is for chexpert"),
        (CLASSIFICATION, ["--batch-size", "1"], "fine_tune needs batches of at least 2 images"),
        (PRETRAINING, ["--method", "byol", "--batch-size", "1"], "a batch needs at least 2 images, not 1"),
        (CLASSIFICATION, ["--crop-size", "41"], "crop_size 41 is larger than the images of 40 pixels"),
        (CLASSIFICATION, ["--crop-size", "16"], "crop_size must be a whole number from 32"),
        (CLASSIFICATION, ["--image-size", "16"], "--image-size 16: DenseNet-121 takes images of 32"),
        (CLASSIFICATION, ["--growth-rate", "100"], "growth_rate must be a whole number from 4 to 64"),
        (CLASSIFICATION, ["--bias-field", "n4"], "No such option"),
        (CLASSIFICATION, ["--method", "byol"], "No such option"),
        (CLASSIFICATION, ["--mode", "central", "--env", "sim"], "has no network to simulate"),
        (PRETRAINING, ["--mode", "local"], "'local' is not one of"),
        (PRETRAINING, ["--features", "8"], "No such option"),
        (PRETRAINING, ["--scheme", "dcwe"], "is not one of"),
        (PRETRAINING, ["--at", "coordinator"], "--at coordinator"),
        (PRETRAINING, ["--sites", "PUBLIC", "--at", "hospitals"], "--at hospitals"),
        (PRETRAINING, ["--temperature", "0", "--queue-size", "8"], "temperature must be a number above 0"),
        (PRETRAINING, ["--method", "byol", "--temperature", "0.2"], "byol has no temperature"),
        (PRETRAINING, ["--method", "simclr", "--queue-size", "8"], "simclr has no queue_size"),
        (PRETRAINING, ["--method", "rotation", "--edge"], "rotation makes one view"),
        (PRETRAINING, ["--method", "rotation", "--momentum-encoder", "0.9"], "rotation has no momentum"),
        (
            PRETRAINING,
            ["--momentum-encoder", "1", "--queue-size", "8"],
            "momentum must be a number at least 0 and below",
        ),
        (PRETRAINING, ["--queue-size", "12"], "queue_size 12 is not a multiple of the batch of 8: take 16"),
        (PRETRAINING, ["--method", "byol", "--sr-layer"], "--sr-layer is for frid: byol has none"),
        (PRETRAINING, ["--method", "byol", "--micro-batch", "3"], "micro_batch 3 does not divide the batch of 8"),
        (PRETRAINING, ["--method", "byol", "--probe-every", "2"], "--probe-every needs --probe-data-set"),
        (PRETRAINING, ["--method", "byol", "--probe-data-set", "chexpert"], "has no images of chexpert to probe on"),
        (PRETRAINING, ["--method", "byol", "--cost-source", "server_validation"], "is not for pretraining"),
        (PRETRAINING, ["--method", "byol", "--crop-size", "48"], "crop_size 48 is larger than the images"),
        (PRETRAINING, ["--hospitals", "3"], "--hospitals is for --export"),
    ],
)
def test_wrong_usage_ends_with_two_and_a_sentence(call, tmp_path, job, arguments, message):
    given = [] if "--sites" in arguments else ["--sites", "HOSPITALS"]
    environment = [] if "--mode" in arguments else ["--env", "loop"]
    code, shown = call(job, *given, "--out", "OUT", *TINY, *environment, *arguments)
    assert code == 2, shown
    assert message in shown
    assert not (tmp_path / "run").exists()


def test_a_queue_larger_than_half_of_a_sites_images_ends_the_run_with_what_to_take(call):
    code, shown = call(PRETRAINING, "--sites", "HOSPITALS", "--out", "OUT", "--queue-size", "512", *LOOP)
    assert code != 0
    assert "a queue of 512 keys is more than half of the site's" in shown
    assert "take queue_size" in shown


def test_an_old_partition_without_the_named_site_folder_is_told(call, places, tmp_path):
    sites = tmp_path / "sites"
    sites.mkdir()
    write_json(sites / "partition.json", {"data_set": "chestxray14", "sites": {"hospital-01": {}}})
    code, shown = call(CLASSIFICATION, "--sites", sites, "--out", "OUT", *LOOP)
    assert code == 1
    assert "lay them out with fedward partition" in shown


@pytest.mark.parametrize("job", [CLASSIFICATION, PRETRAINING], ids=lambda job: job.name)
def test_help_names_every_choice_and_default(call, job):
    code, shown = call(job, "--help")
    assert code == 0
    own = {
        CLASSIFICATION.name: ("linear", "fine_tune", "chexpert", "--label-fraction", "zeros", "local", "[default: 50"),
        PRETRAINING.name: (*METHODS, "image_folder", "simclr 0.1", "moco_v2 24576", "byol 0.99", "[default: 100"),
    }
    for word in ("--export-dir", "--starting-weights", "half_uniform", "7/8 of the image size", *own[job.name]):
        assert word in shown, word
    assert "--bias-field" not in shown
