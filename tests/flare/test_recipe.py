"""What an exported job holds, and that the ready-made folders are what the export writes today."""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fake_network import tiny_settings

from fedward.flare.components import class_allow_list
from fedward.flare.recipe import export_job
from fedward.lgg_segmentation import SETTINGS
from fedward.settings import AggregationSettings, run_settings_from_dict
from fedward.weighting.schemes import SCHEMES

ROOT = Path(__file__).parents[2]
JOBS = ROOT / "jobs"
FILES = ["app/config/config_fed_client.json", "app/config/config_fed_server.json", "meta.json"]


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def read(folder: Path, name: str) -> dict:
    return json.loads((folder / name).read_text())


def everything_in(value):
    """Every key and plain value of a JSON tree."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield from everything_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from everything_in(part)
    else:
        yield value


@pytest.fixture(scope="module", params=["plain", "tensorboard"])
def job(request, tmp_path_factory):
    return export_job(tiny_settings(), tmp_path_factory.mktemp("export"), tensorboard=request.param == "tensorboard")


def test_a_job_is_configuration_alone(job):
    assert list(files_of(job)) == FILES  # so no app/custom
    for name in FILES:
        for value in everything_in(read(job, name)):
            if isinstance(value, str):
                assert not value.startswith(("/", "~", "file:")), value
                assert "\\" not in value
                assert ".." not in value
                assert str(Path.home()) not in value
                assert str(ROOT) not in value
    assert os.uname().nodename.encode() not in b"".join(files_of(job).values())


def test_only_listed_classes_are_named(job):
    named = set()
    for name in FILES:
        config = read(job, name)
        parts = [*config.get("components", []), *config.get("workflows", [])]
        parts += [executor["executor"] for executor in config.get("executors", [])]
        named |= {part["path"] for part in parts}
    assert {"fedward.flare.controller.RoundController", "fedward.flare.executor.TrainingExecutor"} <= named
    assert named <= set(class_allow_list())


def test_settings_survive_the_round_trip(tmp_path):
    settings = tiny_settings(
        seed=7,
        round_deadline=12.5,
        min_sites=2,
        aggregation=AggregationSettings("dcew", 0.5, 0.25, 0.25, cost_reference="round_start", pooled_variance=True),
        training=replace(tiny_settings().training, local_epochs=None, local_steps=3, schedule="cosine"),
    )
    job = export_job(settings, tmp_path)
    server, client = (read(job, f"app/config/config_fed_{side}.json") for side in ("server", "client"))
    for arguments in (server["workflows"][0]["args"], client["executors"][0]["executor"]["args"]):
        back = run_settings_from_dict(arguments["settings"])
        assert back == settings
        assert back.fingerprint() == settings.fingerprint()
    aggregator = next(part["args"] for part in server["components"] if part["id"] == "aggregator")
    assert AggregationSettings(**aggregator) == settings.aggregation
    assert read(job, "meta.json")["min_clients"] == 2


def test_sites_ask_for_tasks_ten_times_a_second(job):
    assert read(job, FILES[1])["server"]["task_request_interval"] == 0.1


def test_both_tasks_have_the_executor(job):
    assert read(job, FILES[0])["executors"][0]["tasks"] == ["train", "validate"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_can_be_exported(tmp_path, scheme):
    job = export_job(tiny_settings(aggregation=AggregationSettings(scheme)), tmp_path)
    settings = read(job, FILES[1])["workflows"][0]["args"]["settings"]
    assert settings["aggregation"]["scheme"] == scheme


def ready_made():
    spec = importlib.util.spec_from_file_location("export_ready_made", JOBS / "export_ready_made.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_ready_made_folders_are_up_to_date(tmp_path):
    """If this fails, run: python jobs/export_ready_made.py"""
    module = ready_made()
    module.export_ready_made(tmp_path)
    folders = {path.parent.relative_to(JOBS).as_posix() for path in JOBS.glob("*/*/meta.json")}
    assert folders == set(module.ready_made())
    assert {
        "lgg_segmentation/dcew",
        "cxr_classification/linear",
        "cxr_pretraining/moco_v2",
        "cardiac_contrastive/fcl",
    } <= folders
    for folder, settings in module.ready_made().items():
        committed = files_of(JOBS / folder)
        assert committed == files_of(tmp_path / folder)
        values = json.loads(committed[FILES[1]])["workflows"][0]["args"]["settings"]
        assert run_settings_from_dict(values) == settings
        assert settings.name == folder.replace("/", "_")
    assert module.ready_made()["lgg_segmentation/costw"] == replace(
        SETTINGS, name="lgg_segmentation_costw", aggregation=replace(SETTINGS.aggregation, scheme="costw")
    )


@pytest.mark.parametrize(
    ("job", "arguments", "folder"),
    [
        ("lgg_segmentation", ["--scheme", "costw"], "costw"),
        ("cxr_classification", [], "fedavg"),
        ("cxr_classification", ["--training", "linear", "--starting-weights", "encoder", "--name", "NAME"], "linear"),
        ("cxr_pretraining", ["--method", "frid"], "frid"),
        ("cardiac_contrastive", [], "fcl"),
        ("cardiac_segmentation", ["--starting-weights", "encoder", "--name", "NAME"], "pretrained"),
        ("cxr_pretraining", ["--at", "hospitals", "--queue-size", "1024", "--name", "NAME"], "federated"),
    ],
)
def test_the_job_command_exports_the_ready_made_folders_without_data_from_any_folder(tmp_path, job, arguments, folder):
    name = f"{job}_{folder}"
    words = [name if word == "NAME" else word for word in arguments]
    command = [sys.executable, str(JOBS / job / "job.py"), *words, "--export", "--export-dir", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"Job folder: out/{name}"
    assert files_of(tmp_path / "out" / name) == files_of(JOBS / job / folder)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "../elsewhere"], "is not allowed"),
        (["--name", "a/b"], "is not allowed"),
        (["--min-sites", "4", "--hospitals", "3"], "only 3 sites take part"),
        (["--scheme", "dcew", "--alpha", "0.9"], "alpha"),
    ],
)
def test_a_job_that_cannot_run_is_not_exported(tmp_path, arguments, message):
    command = [sys.executable, str(JOBS / "lgg_segmentation" / "job.py"), *arguments, "--export"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
