"""`fedward what-leaves` on a kit with the shipped privacy.json."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import fedward
from fedward.cli import cli, run
from fedward.commands.what_leaves import command
from fedward.kits.leaving_list import COUNTS, METRICS

ROOT = Path(__file__).parents[2]
TEMPLATE = Path(fedward.__file__).parent / "workspace_templates" / "hospital" / "privacy.json"
JOB = ROOT / "jobs" / "lgg_segmentation" / "dcew"


@pytest.fixture
def kit(tmp_path):
    """A hospital's kit, as far as this command reads it."""
    root = tmp_path / "hospital-01"
    (root / "startup").mkdir(parents=True)
    (root / "local").mkdir()
    server = {"service": {"target": "localhost:8002", "scheme": "grpc"}}
    client = {"servers": [server], "client": {"fqsn": "hospital-01"}}
    (root / "startup" / "fed_client.json").write_text(json.dumps(client))
    network = {
        "name": "fedward",
        "server": {"name": "localhost", "host": "localhost", "port": 8002, "admin_port": 8003, "org": "o"},
        "hospitals": ["hospital-01"],
        "coordinator": None,
        "orgs": {},
        "studies": {},
        "users": {},
        "fedward": fedward.__version__,
        "nvflare": "2.9.0",
        "ca_sha256": "00",
    }
    (root / "local" / "network.json").write_text(json.dumps(network))
    shutil.copy(TEMPLATE, root / "local" / "privacy.json")
    return root


def edit(kit: Path, change) -> None:
    path = kit / "local" / "privacy.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def filters(values) -> list:
    return values["scopes"][0]["task_result_filters"]


def said(*arguments) -> str:
    result = CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def plain(*arguments) -> dict:
    return json.loads(said(*arguments, "--json"))


def test_the_list_in_words(kit):
    text = said(kit)
    for words in (
        "What may leave hospital-01",
        "encoder.*, up.*, decoder.*, head.*, features.*, classifier.*, projector.*, predictor.*; at most",
        "end.positives: own model after training: number of images with each finding, rounded to multiples",
        "loss: mean training loss of the round",
        "start.patients: received model: number of patients measured on, exact",
        "the sentence itself stays in the site's log",
        "No filter changes the parameters",
        "Never leaves",
        "images, masks, names of patients",
        "What the connection itself tells",
        "heartbeat",
    ):
        assert words in text
    assert "What job" not in text


def test_every_name_of_the_list_is_explained(kit):
    may = plain(kit)["may_leave"]
    assert list(may["metrics"]) == list(METRICS)
    assert list(may["counts"]) == list(COUNTS)
    assert all(len(words) > 10 for words in (*may["metrics"].values(), *may["counts"].values()))


def test_a_job_adds_what_it_would_send(kit):
    text = said(kit, JOB)
    assert "What job lgg_segmentation_dcew would send" in text
    assert "train, 25 times" in text
    assert "118 of 118 layers, 7,782,228 bytes each time" in text
    assert "194,555,700 bytes of parameters" in text
    assert "encoder.0.0.weight" not in text
    assert "16 x 3 x 3 x 3 float32, 1,728 bytes" in said(kit, JOB, "--layers")
    job = plain(kit, JOB)["job"]
    assert (job["rounds"], job["takes_part"]) == (25, True)
    assert [task["removed"] for task in job["tasks"]] == [[], []]


@pytest.mark.parametrize("job", ["cxr_classification/fedavg", "cxr_classification/linear", "cxr_pretraining/federated"])
def test_a_job_on_x_rays_sends_nothing_that_is_removed(kit, job):
    said_of = plain(kit, ROOT / "jobs" / job)["job"]
    assert [task["removed"] for task in said_of["tasks"]] == [[], []]
    assert said_of["takes_part"]
    layers = said_of["tasks"][0]["layers"]
    assert all(layer["leaves"] for layer in layers)
    assert (len(layers) == 2) == job.endswith("linear")


def test_a_job_that_exchanges_features_is_told_with_what_the_site_says_to_it(kit):
    job = ROOT / "jobs" / "cardiac_contrastive" / "fcl"
    text = said(kit, job)
    assert "none: the site takes no part in jobs that exchange features" in text
    assert "at most 4,096 features of 128 numbers, float16, without noise; 1,052,672 bytes each time" in text
    assert "This site does not take the job: the job exchanges features of single slices" in text
    edit(kit, lambda values: filters(values)[-1]["args"].update(features={"max_rows": 4096, "min_noise": 0}))
    text = said(kit, job)
    assert "at most 4,096 each time, of length 1, with or without noise" in text
    assert "does not take the job" not in text
    plan = plain(kit, job)["job"]
    assert plan["features"]["bytes_in_all"] == 1_052_672 * (plan["rounds"] - 1)
    assert f"{plan['features']['bytes_in_all']:,} bytes of features at most" in text


def test_what_would_be_removed_is_named(kit):
    def narrow(values):
        arguments = filters(values)[-1]["args"]
        arguments["parameters"]["train"]["layers"] = ["encoder.*", "decoder.*", "up.*"]
        arguments["counts"]["samples"] = 50
        arguments["warnings"] = False
        arguments["errors"] = "full"

    edit(kit, narrow)
    text = said(kit, JOB)
    assert "removed: head.weight, head.bias" in text
    assert "The server refuses every result of this site" in text
    assert "The server refuses" not in said(kit)
    assert "rounded to multiples of 50" in text
    assert "which may name a folder" in text


@pytest.mark.parametrize("train", [None, {"layers": ["*"], "max_bytes": 1000}])
def test_a_list_that_sends_no_whole_model_is_told(kit, train):
    edit(kit, lambda v: filters(v)[-1]["args"].update(parameters={"train": train} if train else {}))
    assert "The server refuses every result of this site" in said(kit, JOB)


def test_a_whole_model_is_not_refused(kit):
    assert "refuses every result" not in said(kit, JOB)


def test_what_is_looser_than_the_template_is_told_and_fails(kit, capsys):
    def loosen(values):
        arguments = filters(values)[-1]["args"]
        arguments["parameters"]["train"] = {"layers": ["*"], "max_bytes": 10**12}
        arguments["errors"] = "full"

    assert run(cli, ["what-leaves", str(kit)]) == 0
    assert "looser" not in capsys.readouterr().out
    edit(kit, loosen)
    assert run(cli, ["what-leaves", str(kit)]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("looser than the template: ")]
    assert len(lines) == 3
    assert all(line.endswith(": check-kit will not let the site start") for line in lines)
    assert run(cli, ["what-leaves", str(kit), "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["looser"]) == 3


def test_filters_are_described_honestly_with_what_they_spend_over_the_job(kit):
    noise = {"path": "fedward.flare.privacy_filters.ClipAndNoise", "args": {"clip": 1, "epsilon": 1, "delta": 1e-6}}
    percentile = {
        "path": "fedward.flare.privacy_filters.OnUpdate",
        "args": {"filter": {"path": "nvflare.app_common.filters.percentile_privacy.PercentilePrivacy"}},
    }
    edit(kit, lambda values: filters(values).__setitem__(slice(0, 0), [percentile, noise]))
    shown = plain(kit, JOB)["filters"]
    assert [f["name"] for f in shown] == ["PercentilePrivacy", "ClipAndNoise"]
    assert "no differential privacy" in shown[0]["effect"]
    assert "the numbers of the report leave as they are" in shown[1]["effect"]
    assert shown[1]["total"].startswith("epsilon 1 a round; 25 rounds: epsilon 6.149 (25 by adding up")
    assert plain(kit)["filters"][1]["total"] is None
    assert "No filter changes" not in said(kit)


def test_a_site_that_takes_no_part(kit, tmp_path):
    shutil.move(kit, kit.parent / "other")
    client = kit.parent / "other" / "startup" / "fed_client.json"
    client.write_text(client.read_text().replace("hospital-01", "hospital-99"))
    assert "hospital-99 is not among the sites of this job" in said(kit.parent / "other", JOB)


def failed(capsys, *arguments) -> tuple[int, str]:
    code = run(cli, ["what-leaves", *(str(a) for a in arguments)])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return code, captured.err


def test_a_wrong_list_ends_with_its_problems(kit, capsys):
    edit(kit, lambda values: values.update(default_scope="open"))
    code, text = failed(capsys, kit)
    assert code == 1
    assert "default_scope must be one of fedward" in text
    assert "This site does not start with that list" in text


def test_a_job_of_an_unknown_scope_is_refused(kit, capsys, tmp_path):
    job = shutil.copytree(JOB, tmp_path / "job")
    meta = json.loads((job / "meta.json").read_text())
    (job / "meta.json").write_text(json.dumps({**meta, "scope": "open"}))
    code, text = failed(capsys, kit, job)
    assert code == 2
    assert "no scope 'open': this site refuses the job" in text
    (job / "meta.json").write_text("[]")
    assert failed(capsys, kit, job)[0] == 2


def test_wrong_folders(kit, capsys, tmp_path):
    assert failed(capsys, kit, tmp_path)[0] == 2
    assert failed(capsys, tmp_path)[0] == 2
    assert failed(capsys, tmp_path / "nowhere")[0] == 2
    code, text = failed(capsys, kit, JOB.parent)
    assert code == 2
    assert "jobs/lgg_segmentation is no job folder (no meta.json); give one of its folders, such as" in text
    code, text = failed(capsys, kit, "--layers")
    assert code == 2
    assert "give the job folder as well" in text


def test_a_server_s_kit_has_no_patients(kit, capsys):
    config = kit / "startup" / "fed_client.json"
    config.rename(config.with_name("fed_server.json"))
    code, text = failed(capsys, kit)
    assert code == 2
    assert "only a hospital's kit" in text
