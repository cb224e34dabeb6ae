"""The job as users call it: options, exit codes, and a sentence instead of a traceback."""

import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_run import OPTIONS, SITES

from event_reader import curves
from fedward.cli import run
from fedward.job_command import training_command
from fedward.lgg_job import JOB as LGG
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import RunFolder, read_json

JOB = Path(__file__).parents[2] / "jobs" / "lgg_segmentation" / "job.py"


@pytest.fixture
def job(capsys):
    """job(arguments...) -> (exit code, what was shown), in this process."""

    def call(*arguments):
        code = run(training_command(LGG), [str(a) for a in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return code, captured.out + captured.err

    return call


def call_script(*arguments, **options):
    """As a user calls it, in a process of its own."""
    command = [sys.executable, str(JOB), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)


@pytest.fixture(scope="module")
def finished(sites_folder, tmp_path_factory):
    """The run folder of a whole run by the script, and what it showed."""
    out = tmp_path_factory.mktemp("script") / "small.run-1"
    return RunFolder(out), call_script("--sites", sites_folder, "--out", out, *OPTIONS)


def test_a_run_ends_with_its_report(finished):
    folder, done = finished
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert f"Report: {folder.report}" in done.stdout.replace("\n", "")
    info = read_json(folder.run)
    assert (info["name"], info["state"], info["mode"], info["environment"]) == (
        "small.run-1",
        "finished",
        "federated",
        "loop",
    )
    assert len(read_records(folder.rounds)) == 3
    assert set(read_json(folder.test)["models"]) == {"best", "last"}
    assert set(read_json(folder.partition)["sites"]) == set(SITES)
    assert folder.report.read_text().startswith("<!")
    assert not folder.spool.exists()


def test_a_finished_run_is_refused_and_untouched(finished, sites_folder, job):
    folder, _ = finished
    before = {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()}
    code, shown = job("--sites", sites_folder, "--out", folder.root, *OPTIONS)
    assert code == 2
    assert "is finished: choose another --out" in shown
    assert {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("mode", ["central", "local"])
def test_baselines_end_with_their_report(sites_folder, tmp_path, job, mode):
    options = [option for option in OPTIONS if option not in ("--env", "loop")]
    code, shown = job("--sites", sites_folder, "--out", tmp_path / mode, "--mode", mode, *options)
    assert code == 0, shown
    folder = RunFolder(tmp_path / mode)
    info = read_json(folder.run)
    assert (info["state"], info["mode"], info["environment"]) == ("finished", mode, "loop")
    assert set(read_json(folder.test)["models"]) == {"best", "last"}
    assert job("--sites", sites_folder, "--out", tmp_path / mode, "--mode", mode, *options)[0] == 2


@pytest.mark.parametrize("mode", ["federated", "central", "local"])
def test_event_files_of_a_run_without_the_simulator(sites_folder, tmp_path, job, mode):
    pytest.importorskip("tensorboard")
    folder = RunFolder(tmp_path / mode)
    code, shown = job("--sites", sites_folder, "--out", folder.root, "--mode", mode, "--tensorboard", *OPTIONS)
    assert code == 0, shown
    runs = {site: RunFolder(folder.root / site) for site in SITES} if mode == "local" else {"central": folder}
    for site, run_folder in runs.items():
        found = curves(run_folder.root / "tensorboard")
        costs = [record["received"]["cost"] for record in read_records(run_folder.rounds)]
        assert found["global/cost"] == list(enumerate(pytest.approx(cost) for cost in costs))
        assert [tag for tag in found if tag.startswith("loss/")] == [
            f"loss/{name}" for name in (SITES if mode == "federated" else [site])
        ]


def test_event_files_need_the_extra_before_anything_starts(sites_folder, tmp_path, job, monkeypatch):
    monkeypatch.setattr("fedward.reports.event_files.find_spec", lambda name: None)
    code, shown = job("--sites", sites_folder, "--out", tmp_path / "run", "--tensorboard", *OPTIONS)
    assert code == 2
    assert "pip install 'fedward[tensorboard]'" in " ".join(shown.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--sites is missing"),
        (["--sites", "SITES"], "--out is missing"),
        (["--out", "OUT"], "--sites is missing"),
        (["--nonsense"], "No such option"),
        (["SITES"], "unexpected extra argument"),
        (["--alpha", "2"], "alpha of dcew is 2.0: give a number from 0 to 1"),
        (["--alpha", "-0.1"], "from 0 to 1"),
        (["--alpha", "nan"], "from 0 to 1"),
        (["--alpha", "one"], "not a valid float"),
        (["--alpha", "0.5", "--beta", "0.5", "--gamma", "0.5"], "no convex mix"),
        (["--alpha", "0.5"], "no convex mix"),
        (["--scheme", "fedavg", "--alpha", "0.5"], "fedavg has no alpha"),
        (["--scheme", "dcwe"], "'dcwe' is not one of"),
        (["--out", "a..b"], "run name 'a..b' is not allowed"),
        (["--out", "OUT/.."], "run name '..' is not allowed"),
        (["--out", "OUT/ü"], "run name 'ü' is not allowed"),
        (["--out", "/"], "run name '' is not allowed"),
        (["--out", "FILE"], "is a file: --out names the folder"),
        (["--mode", "central", "--env", "sim"], "--mode central has no network to simulate"),
        (["--mode", "local", "--env", "sim"], "--mode local has no network to simulate"),
        (["--local-epochs", "1", "--local-steps", "5"], "--local-epochs or --local-steps, not both"),
        (["--local-steps", "0"], "0 is not in the range"),
        (["--rounds", "0"], "0 is not in the range"),
        (["--rounds", "1.5"], "not a valid integer"),
        (["--min-sites", "4"], "min_sites is 4 but only 3 sites take part"),
        (["--round-deadline", "0"], "round_deadline must be a number from 1 to 604800"),
        (["--round-deadline", "inf"], "round_deadline"),
        (["--learning-rate", "-1"], "learning_rate"),
        (["--learning-rate", "nan"], "learning_rate"),
        (["--momentum", "2"], "momentum"),
        (["--image-size", "100"], "image size 100 does not fit network unet"),
        (["--image-size", "16"], "image size 16 does not fit"),
        (["--image-size", "99999"], "image_size 99999"),
        (["--features", "513"], "features must be a whole number from 1 to 512"),
        (["--sites", "FILE"], "is a file"),
    ],
)
def test_wrong_usage_ends_with_two_and_a_sentence(sites_folder, tmp_path, job, arguments, message):
    (tmp_path / "file").write_text("a file")
    words = {"SITES": str(sites_folder), "OUT": str(tmp_path / "run"), "FILE": str(tmp_path / "file")}

    def filled(argument):
        for word, value in words.items():
            argument = argument.replace(word, value)
        return argument

    given = [filled(argument) for argument in arguments]
    if message not in ("--sites is missing", "--out is missing"):
        for name, value in (("--sites", "SITES"), ("--out", "OUT")):
            given += [] if name in given else [name, words[value]]
        given += [] if "--mode" in given else ["--env", "loop"]
    code, shown = job(*given)
    assert code == 2, shown
    assert message in " ".join(shown.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "cuda:99"], "torch sees"),
        (["--device", "tpu"], "device 'tpu' is unknown"),
        (["--out", "FILE/run"], "Not a directory"),
        (["--cost-source", "server_validation", "--sites", "WITHOUT_SERVER"], "fedward partition --server-patients"),
        (["--sites", "EMPTY"], "lay them out with fedward partition"),
        (["--sites", "MISSING"], "is no folder"),
        (["--sites", "VANISHED"], "hospital-02"),
        (["--sites", "EMPTIED"], "hospital-02"),
        (["--sites", "UNREADABLE"], "_1.tif"),
        (["--sites", "NO_PARTITION"], "it has no partition.json"),
    ],
)
def test_what_fails_ends_with_one_and_a_sentence(sites_folder, tmp_path, job, arguments, message):
    copy = tmp_path / "sites"
    shutil.copytree(sites_folder, copy, ignore=shutil.ignore_patterns("cache"))
    (tmp_path / "file").write_text("a file")
    words = {"FILE": str(tmp_path / "file"), "EMPTY": str(tmp_path / "empty"), "MISSING": str(tmp_path / "missing")}
    (tmp_path / "empty").mkdir()
    wanted = arguments[-1]
    if wanted == "WITHOUT_SERVER":
        shutil.rmtree(copy / "server")
    elif wanted == "VANISHED":
        shutil.rmtree(copy / "hospital-02")
    elif wanted == "EMPTIED":
        for patient in (copy / "hospital-02").glob("TCGA_*"):
            shutil.rmtree(patient)
    elif wanted == "UNREADABLE":
        broken = next((copy / "hospital-02").glob("*/*_1.tif"))
        broken.unlink()
        broken.write_bytes(b"broken")
    elif wanted == "NO_PARTITION":
        (copy / "partition.json").unlink()
    given = [next((a.replace(w, v) for w, v in words.items() if a.startswith(w)), a) for a in arguments]
    if given[-1] == wanted and "--sites" in given:
        given[-1] = str(copy)
    for name, value in (("--sites", copy), ("--out", tmp_path / "run")):
        given += [] if name in given else [name, value]
    options = OPTIONS[: OPTIONS.index("--device")]
    code, shown = job(*options, *(() if "--device" in given else ("--device", "cpu")), *given)
    assert code == 1, shown
    assert message in " ".join(shown.split()), shown
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_full_disk_is_a_sentence_and_the_run_goes_on_when_there_is_room(sites_folder, tmp_path):
    """The limit on the size of a file stands for the disk: the first model does not fit."""
    arguments = ("--sites", sites_folder, "--out", tmp_path / "run", *OPTIONS)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = call_script(*arguments, preexec_fn=limit)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "File too large" in done.stderr
    assert "free space" in done.stderr
    assert call_script(*arguments).returncode == 0


def test_ctrl_c_keeps_the_finished_rounds(sites_folder, tmp_path):
    out = tmp_path / "run"
    options = [option if option != "2" else "1000" for option in OPTIONS[:2]] + list(OPTIONS[2:])
    command = [sys.executable, str(JOB), "--sites", str(sites_folder), "--out", str(out), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if " 2/1000 " in line:
                break
        process.send_signal(signal.SIGINT)
        shown = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Interrupted." in shown
    assert "Traceback" not in shown
    folder = RunFolder(out)
    info = read_json(folder.run)
    assert info["state"] == "interrupted"
    records = len(read_records(folder.rounds))
    assert info["rounds_done"] in (records, records - 1)  # interrupted between a record and its state
    assert info["rounds_done"] >= 2


def test_help_names_every_choice(job):
    code, shown = job("--help")
    assert code == 0
    for word in ("dcew", "half_uniform", "server_validation", "round_start", "central", "--export-dir"):
        assert word in shown


def test_starting_weights_that_nobody_registered_end_the_command_before_anything_starts(sites_folder, tmp_path, job):
    code, shown = job("--starting-weights", "brain-v1", "--sites", sites_folder, "--out", tmp_path / "run", *OPTIONS)
    assert code == 2
    assert "'brain-v1' are not registered in" in shown
    assert "(known: random): fedward register-weights brain-v1" in " ".join(shown.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--env", "prod"], "--env prod needs --startup-kit"),
        (["--startup-kit", "KIT"], "--startup-kit is for --env prod"),
        (["--env", "prod", "--startup-kit", "KIT"], "KIT does not exist"),
        (["--env", "prod", "--mode", "central", "--startup-kit", "KIT"], "KIT does not exist"),
        (["--env", "poc", "--sites", "S", "--out", "O", "--device", "cuda"], "--device is not for --env poc"),
        (["--env", "poc", "--sites", "S", "--out", "O", "--threads", "2"], "--threads is not for --env poc"),
        (["--env", "poc", "--mode", "local"], "is a baseline on one machine"),
    ],
)
def test_options_of_a_real_network(job, options, message):
    code, shown = job(*options)
    assert code == 2
    assert message in shown.replace("\n", " ")
