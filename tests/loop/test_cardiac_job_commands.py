"""The jobs on volumes as users call them: what options become, and a sentence for what does not go together."""

import pytest

from fedward import job_command
from fedward.cli import cli, run
from fedward.contrast.result import write_result
from fedward.contrast.settings import METHODS, ContrastSettings
from fedward.job_command import training_command
from fedward.job_options import Job
from fedward.networks.checkpoint import sha256_of
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import RunFolder, read_json, write_json
from fedward.settings import run_settings_from_dict
from fedward.volume_jobs import CONTRASTIVE, SEGMENTATION

TINY = ["--image-size", "32", "--features", "4", "--depth", "2", "--batch-size", "8", "--rounds", "2"]


@pytest.fixture
def sites(tmp_path):
    """A function that lays out two empty hospitals of a data set: enough for what is said before images are read."""

    def laid_out(data_set: str):
        folder = tmp_path / f"sites-{data_set}"
        names = ("hospital-01", "hospital-02")
        for name in names:
            (folder / name).mkdir(parents=True, exist_ok=True)
        write_json(folder / "partition.json", {"data_set": data_set, "sites": {name: {} for name in names}})
        return folder

    return laid_out


@pytest.fixture
def call(capsys, sites, tmp_path):
    """call(job, arguments...) -> (exit code, what was shown), in this process; OUT is a new folder."""

    def called(job: Job, *arguments, data_set="acdc"):
        common = ["--sites", str(sites(data_set)), "--out", str(tmp_path / "run"), *TINY]
        code = run(training_command(job), [*common, *map(str, arguments)])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return code, " ".join((captured.out + captured.err).split())

    return called


@pytest.fixture
def settings_of(call, monkeypatch):
    """settings_of(job, arguments...): the settings that the command would run with."""
    seen = []
    monkeypatch.setattr(job_command, "_run", lambda settings, options, kit: seen.append(settings))

    def called(job: Job, *arguments, **named):
        code, shown = call(job, *arguments, **named)
        assert code == 0, shown
        return seen.pop()

    return called


def test_the_default_is_the_published_method_at_the_group_s_sizes(settings_of):
    made = settings_of(CONTRASTIVE)
    assert made.contrast == ContrastSettings()
    assert (made.study, made.data_set, made.training.loss) == ("cardiac", "acdc", "contrast")
    assert made.training.network_args == {"in_channels": 1, "features": 4, "depth": 2}
    defaults = CONTRASTIVE.defaults
    assert (defaults.preprocessing.image_size, defaults.preprocessing.pixel_spacing) == (352, 1.25)
    training = defaults.training
    assert (training.optimizer, training.learning_rate, training.batch_size) == ("adam", 1e-3, 32)
    fine_tuning = SEGMENTATION.defaults.training
    assert (fine_tuning.optimizer, fine_tuning.learning_rate, fine_tuning.batch_size) == ("adam", 5e-4, 10)


def test_every_option_reaches_its_setting(settings_of):
    values = ["--formula", "literal", "--partitions", "3", "--temperature", "0.2", "--momentum-encoder", "0.9"]
    values += ["--momentum-state", "keep", "--bank-size", "64", "--negatives", "48", "--max-age", "1", "--noise", "0.1"]
    values += ["--exchange-precision", "float32", "--min-crop", "0.4", "--rotation", "5", "--bend", "0.2"]
    assert settings_of(CONTRASTIVE, *values, "--pixel-spacing", "2").contrast == ContrastSettings(
        formula="literal",
        partitions=3,
        temperature=0.2,
        momentum=0.9,
        momentum_encoder="keep",
        bank_size=64,
        negatives=48,
        max_age=1,
        noise=0.1,
        precision="float32",
        min_crop=0.4,
        rotation=5.0,
        gamma=0.2,
    )


@pytest.mark.parametrize(
    ("arguments", "exchange"),
    [([], True), (["--no-exchange"], False), (["--mode", "central"], False), (["--mode", "local"], False)],
)
def test_features_are_exchanged_in_a_federation_alone(settings_of, arguments, exchange):
    assert settings_of(CONTRASTIVE, *arguments).contrast == ContrastSettings(exchange=exchange)


@pytest.mark.parametrize("method", METHODS)
def test_each_method_has_its_network_and_takes_either_data_set(settings_of, method):
    made = settings_of(CONTRASTIVE, "--method", method, data_set="nifti_folder")
    assert made.training.network == made.contrast.network
    assert (made.data_set, made.contrast.exchange) == ("nifti_folder", method == "fcl")


def test_labelled_patients_and_any_scheme(settings_of):
    made = settings_of(SEGMENTATION, "--labelled-patients", "2", "--draw", "3", "--loss", "ce", "--scheme", "dcew")
    assert (made.selection.labelled_patients, made.selection.draw) == (2, 3)
    assert (made.training.loss, made.aggregation.scheme) == ("ce", "dcew")
    assert made.training.network_args == {"in_channels": 1, "features": 4, "depth": 2, "out_channels": 4}
    assert settings_of(SEGMENTATION).selection.labelled_patients is None


@pytest.mark.slow
def test_an_encoder_that_hospitals_learned_together_starts_a_segmentation(capsys, tmp_path):
    scans, sites, common = (
        tmp_path / "scans",
        tmp_path / "sites",
        ["--env", "loop", "--threads", "1", "--device", "cpu"],
    )
    for arguments in (
        ["phantoms", "acdc", scans, "--patients", 7, "--slices", 5, "--size", 48],
        ["partition", "acdc", scans, "--out", sites, "--sites", 2, "--test-patients", 2, "--validation-patients", 1],
    ):
        assert run(cli, [str(argument) for argument in arguments]) == 0
    common += [*TINY, "--pixel-spacing", "3", "--sites", str(sites)]
    pretraining, fine_tuning = tmp_path / "fcl", tmp_path / "segmentation"
    assert run(training_command(CONTRASTIVE), [*common, "--out", str(pretraining)]) == 0, capsys.readouterr()
    records = read_records(RunFolder(pretraining).rounds)
    assert "exchange" not in records[0]
    assert set(records[1]["exchange"]["banks"]) == {"hospital-01", "hospital-02"}
    assert run(cli, ["register-weights", "fcl-v1", str(pretraining), "--sites", str(sites)]) == 0
    assert "from     fcl, run fcl, round 2, data set acdc" in capsys.readouterr().out
    few = ["--labelled-patients", "1", "--starting-weights", "fcl-v1"]
    assert run(training_command(SEGMENTATION), [*common, *few, "--out", str(fine_tuning)]) == 0, capsys.readouterr()
    folder = RunFolder(fine_tuning)
    start = read_json(folder.run)["starting_weights"]
    assert (start["loaded"], start["method"], start["unused"]) == (18, "fcl", [])
    assert set(read_json(folder.test)["models"]) == {"best", "last"}
    assert folder.report.is_file()
    # where the images of one hospital are elsewhere, as after a run on a network
    (sites / "hospital-02").rename(tmp_path / "elsewhere")
    assert write_result(
        RunFolder(pretraining), run_settings_from_dict(read_json(RunFolder(pretraining).settings)), sites
    )
    assert read_json(RunFolder(pretraining).test)["membership"]["alignment"]["members"] == 2 * 2


def test_each_hospital_alone_from_pretraining_to_fine_tuning(tmp_path, capsys):
    """Each begins with its own encoder; nobody else may begin with those of hospitals alone."""
    hearts, sites = tmp_path / "hearts", tmp_path / "sites"
    layout = ["phantoms", "acdc", hearts, "--patients", "8", "--size", "32", "--slices", "4"]
    split = ["partition", "acdc", hearts, "--sites", "2", "--test-patients", "2", "--out", sites]
    for arguments in (layout, split):
        assert run(cli, [str(argument) for argument in arguments]) == 0
    common = [*TINY[:-1], "1", "--local-steps", "1", "--mode", "local", "--pixel-spacing", "3", "--sites", str(sites)]
    alone = tmp_path / "alone"
    assert run(training_command(CONTRASTIVE), [*common, "--out", str(alone)]) == 0, capsys.readouterr()
    assert run(cli, ["register-weights", "alone", str(alone), "--sites", str(sites)]) == 0
    shown = capsys.readouterr().out
    assert all(f"alone@hospital-0{number} is registered" in shown for number in (1, 2))
    assert "--starting-weights alone and --mode local" in shown
    tuned, start = tmp_path / "tuned", ["--starting-weights", "alone"]
    assert run(training_command(SEGMENTATION), [*common, *start, "--out", str(tuned)]) == 0, capsys.readouterr()
    about = read_json(sites / "weights.json")
    for site in ("hospital-01", "hospital-02"):
        begun = read_json(RunFolder(tuned / site).run)["starting_weights"]
        assert begun["sha256"] == about[f"alone@{site}"]["sha256"]
        assert begun["source_sha256"] == sha256_of(RunFolder(alone / site).model("last"))
    capsys.readouterr()

    def refused(job, *arguments):
        assert run(training_command(job), [*common, *start, "--out", str(tmp_path / "other"), *arguments]) == 2
        return " ".join(capsys.readouterr().err.split())

    assert "'alone' are of hospitals that pretrained alone: they need --mode local" in refused(
        SEGMENTATION, "--mode", "federated"
    )
    write_json(sites / "weights.json", {key: about[key] for key in about if key != "alone@hospital-02"})
    assert "'alone@hospital-02' are not registered" in refused(SEGMENTATION)


@pytest.mark.parametrize(
    ("job", "arguments", "message"),
    [
        (CONTRASTIVE, ["--method", "byol"], "'byol' is not one of"),
        (CONTRASTIVE, ["--method", "simclr", "--exchange"], "--exchange is for the federated fcl: simclr has none"),
        (CONTRASTIVE, ["--mode", "local", "--exchange"], "--mode local has nobody to exchange with"),
        (CONTRASTIVE, ["--method", "simclr", "--bank-size", "4096"], "--bank-size is of no use to simclr: leave it"),
        (CONTRASTIVE, ["--method", "rotation", "--temperature", "0.1"], "--temperature is of no use to rotation"),
        (CONTRASTIVE, ["--no-exchange", "--noise", "0.1"], "--noise is of no use to fcl without exchange"),
        (CONTRASTIVE, ["--mode", "central", "--max-age", "3"], "--max-age is of no use to fcl without exchange"),
        (CONTRASTIVE, ["--partitions", "65"], "partitions must be a whole number from 1 to 64"),
        (CONTRASTIVE, ["--partitions", "1"], "the masked formula has no negatives"),
        (CONTRASTIVE, ["--temperature", "0"], "temperature must be a number above 0"),
        (CONTRASTIVE, ["--momentum-encoder", "1"], "momentum must be a number at least 0 and below 1"),
        (CONTRASTIVE, ["--noise", "nan"], "noise must be a number"),
        (CONTRASTIVE, ["--image-size", "34"], "image size 34 does not fit network unet_contrast: take a multiple of 4"),
        (CONTRASTIVE, ["--pixel-spacing", "0"], "pixel_spacing 0.0 must be"),
        (CONTRASTIVE, ["--features", "1024"], "features must be a whole number from 1 to 512"),
        (CONTRASTIVE, ["--cost-source", "server_validation"], "server_validation is not for pretraining"),
        (CONTRASTIVE, ["--labelled-patients", "1"], "No such option"),
        (CONTRASTIVE, ["--starting-weights", "nobody"], "'nobody' are not registered in"),
        (SEGMENTATION, ["--draw", "2"], "give --labelled-patients too"),
        (SEGMENTATION, ["--labelled-patients", "0"], "is not in the range x>=1"),
        (SEGMENTATION, ["--loss", "bce"], "'bce' is not one of"),
        (SEGMENTATION, ["--bias-field", "n4"], "No such option"),
        (SEGMENTATION, ["--mode", "central", "--env", "sim"], "has no network to simulate"),
    ],
)
def test_wrong_usage_ends_with_two_and_a_sentence(call, tmp_path, job, arguments, message):
    code, shown = call(job, *arguments)
    assert code == 2, shown
    assert message in shown
    assert not (tmp_path / "run").exists()


def test_too_many_labelled_patients_name_every_hospital_before_images_are_read(call, sites, tmp_path):
    for site, count in (("hospital-01", 3), ("hospital-02", 2)):
        for name in (f"patient{n:03d}" for n in range(1, count + 1)):
            for ending in ("frame01.nii.gz", "frame01_gt.nii.gz"):
                path = sites("acdc") / site / name / f"{name}_{ending}"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(b"not read")
        names = sorted(path.name for path in (sites("acdc") / site).iterdir())
        write_json(sites("acdc") / site / "split.json", {"train": names, "validation": []})
    code, shown = call(SEGMENTATION, "--labelled-patients", 4)
    assert code == 2
    assert "Preparing" not in shown
    for site, count in (("hospital-01", 3), ("hospital-02", 2)):
        wrong = f"{site}: labelled_patients is 4, and {count} training patients have labels: give a number from 1 to"
        assert f"{wrong} {count}" in shown
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("job", "data_set", "wanted"),
    [(CONTRASTIVE, "lgg", "acdc or nifti_folder"), (SEGMENTATION, "nifti_folder", "this run is for acdc")],
)
def test_other_images_are_refused(call, job, data_set, wanted):
    code, shown = call(job, data_set=data_set)
    assert code == 2
    assert f"holds images of {data_set}" in shown
    assert wanted in shown


@pytest.mark.parametrize("job", [CONTRASTIVE, SEGMENTATION], ids=lambda job: job.name)
def test_help_names_every_choice_and_default(call, job):
    code, shown = call(job, "--help")
    assert code == 0
    own = {
        CONTRASTIVE.name: (*METHODS, "literal", "0.999", "4096", "float16", "[default: 300", "nifti_folder"),
        SEGMENTATION.name: ("dice_ce", "all with labels", "--starting-weights", "[default: 100"),
    }
    for word in ("--export-dir", "[default: 352]", "[default: 1.25]", "half_uniform", *own[job.name]):
        assert word in shown, word
