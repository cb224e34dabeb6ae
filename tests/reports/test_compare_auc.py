import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fake_run import write_fake_run
from fake_xray_run import CLASSIFIER_BYTES, UPDATE_BYTES, write_classification_run, write_pretext_run
from PIL import Image
from sklearn.metrics import roc_auc_score

from fedward.cli import cli, run
from fedward.errors import FedwardError, UsageError
from fedward.reports.auc_comparison_text import markdown
from fedward.reports.compare_auc import compare_classifications
from fedward.reports.predictions import read_predictions
from fedward.reports.run_data import load_run
from fedward.training.auc import auc_difference, auc_intervals


def made(root: Path, **changes) -> Path:
    return write_classification_run(root, **{"rounds": 2, "planned": 2, "images": 80, **changes})


def change(root: Path, file: str, **values) -> Path:
    content = json.loads((root / file).read_text())
    (root / file).write_text(json.dumps(content | values))
    return root


def change_arrays(root: Path, **arrays) -> Path:
    with np.load(root / "predictions.npz") as file:
        content = dict(file) | arrays
    buffer = io.BytesIO()
    np.savez(buffer, **content)
    (root / "predictions.npz").write_bytes(buffer.getvalue())
    return root


def compare(*roots: Path, model: str = "best", reference: int | None = None, target: float | None = None):
    runs = [load_run(root) for root in roots]
    return compare_classifications(runs, model, None if reference is None else runs[reference], target)


@pytest.fixture(scope="module")
def starts(tmp_path_factory) -> dict[str, Path]:
    """Two seeds of a random start, one of a pretrained one."""
    folder = tmp_path_factory.mktemp("starts")
    return {
        "random-1": made(folder / "random-1", level=1.0, seed=1),
        "random-2": made(folder / "random-2", level=1.0, seed=2),
        "moco": made(folder / "moco", level=1.8, seed=1, start="moco_v2"),
    }


def test_a_run_has_its_own_auc_and_interval(starts):
    comparison = compare(starts["moco"])
    (row,) = comparison.rows
    with np.load(starts["moco"] / "predictions.npz") as file:
        labels, scores, patients = file["labels"], file["best"], [str(p) for p in file["patients"]]
    aucs = [roc_auc_score(labels[:, c], scores[:, c]) for c in range(14) if 0 < labels[:, c].sum() < len(labels)]
    assert row.mean.value == pytest.approx(np.mean(aucs))
    expected = auc_intervals(scores, labels, patients, seed=0).mean
    assert (row.mean.low, row.mean.high) == pytest.approx((expected.low, expected.high))
    assert row.findings[-1] is None  # no test patient has a hernia: never one half
    assert row.findings[0] == pytest.approx(aucs[0])
    assert (comparison.images, comparison.patients, comparison.positives[-1]) == (80, 40, 0)
    assert (row.received, row.sent) == (2 * 10 * UPDATE_BYTES, 3 * 10 * UPDATE_BYTES)
    assert row.difference is None


def test_seeds_are_averaged_and_differences_paired(starts):
    comparison = compare(*starts.values())
    assert [(row.title, row.runs) for row in comparison.rows] == [("random start", 2), ("moco_v2 start", 1)]
    first, second, moco = (read_predictions(load_run(root), "best") for root in starts.values())
    random, pretrained = comparison.rows
    assert random.mean.value == pytest.approx(
        np.mean([np.nanmean(compare(starts[name]).rows[0].mean.value) for name in ("random-1", "random-2")])
    )
    both = [*first.scores, *second.scores]
    expected = auc_difference(moco.scores, both, moco.labels, moco.patients, seed=0)
    found = pretrained.difference
    assert (found.value, found.low, found.high) == pytest.approx(tuple(expected))
    assert found.low > 0


def test_the_reference_can_be_chosen(starts):
    comparison = compare(*starts.values(), reference=2)
    assert comparison.reference == "moco_v2 start"
    assert comparison.rows[0].title == "moco_v2 start"
    turned = compare(*starts.values()).rows[1].difference
    assert comparison.rows[1].difference.value == pytest.approx(-turned.value)
    assert comparison.rows[1].difference.low == pytest.approx(-turned.high)


def set_curve(root: Path, *aucs: float | None) -> Path:
    records = [
        {"kind": "training", "round": n, "answers": {}, "received": {"quality": auc}} for n, auc in enumerate(aucs, 1)
    ]
    (root / "rounds.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    return root


def test_rounds_to_the_references_last_auc_or_to_a_given_one(tmp_path):
    random = set_curve(made(tmp_path / "random"), 0.5, 0.6, 0.65, 0.7)
    moco = set_curve(made(tmp_path / "moco", start="moco_v2"), 0.6, 0.71, 0.75, None)
    comparison = compare(random, moco)
    assert comparison.target == pytest.approx(0.7)
    assert [row.rounds for row in comparison.rows] == [3, 1]
    given = compare(random, moco, target=0.74)
    assert [row.rounds for row in given.rows] == [None, 2]
    assert given.curves["moco_v2 start"] == [[(0, 0.6), (1, 0.71), (2, 0.75)]]


def test_titles_say_what_tells_methods_apart(tmp_path):
    roots = [
        made(tmp_path / "a"),
        made(tmp_path / "b", linear=True),
        made(tmp_path / "c", label_fraction=0.1),
        made(tmp_path / "d", label_fraction=0.1, draw=2),
        made(tmp_path / "e", mode="central"),
    ]
    comparison = compare(*roots)
    assert [(row.title, row.runs) for row in comparison.rows] == [
        ("DCEW, fine-tuning, 100 % of the patients", 1),
        ("DCEW, linear, 100 % of the patients", 1),
        ("DCEW, fine-tuning, 10 % of the patients", 2),
        ("centralised, fine-tuning, 100 % of the patients", 1),
    ]
    assert comparison.rows[1].received == 2 * 10 * CLASSIFIER_BYTES
    assert comparison.rows[1].sent == 10 * (UPDATE_BYTES + 2 * CLASSIFIER_BYTES)
    assert (comparison.rows[3].received, comparison.rows[3].sent) == (0, 0)


def test_other_settings_are_another_method(tmp_path):
    slow, fast = made(tmp_path / "slow"), made(tmp_path / "fast")
    training = json.loads((fast / "settings.json").read_text())["training"] | {"learning_rate": 0.1}
    change(fast, "settings.json", training=training)
    comparison = compare(slow, fast)
    assert [row.title for row in comparison.rows] == ["DCEW", "DCEW: fast"]
    assert "The runs differ in their training settings: learning_rate." in comparison.notes


def test_hospitals_that_trained_alone_are_averaged(tmp_path, starts):
    scores = [read_predictions(load_run(starts[name]), "best").scores[0] for name in ("random-1", "moco")]
    local = change_arrays(made(tmp_path / "local", mode="local"), best=np.stack(scores))
    (row,) = compare(local).rows
    assert row.mean.value == pytest.approx(
        np.mean([compare(starts[name]).rows[0].mean.value for name in ("random-1", "moco")])
    )


def test_many_models_are_drawn_in_processes_with_the_same_result(starts, monkeypatch):
    alone = compare(*starts.values())
    monkeypatch.setattr("fedward.reports.compare_auc.MUCH", 0)
    assert compare(*starts.values()) == alone


def test_runs_that_were_not_tested_alike_are_refused(tmp_path, starts):
    with pytest.raises(UsageError, match="tested on different images"):
        compare(starts["moco"], made(tmp_path / "fewer", images=60))
    other = made(tmp_path / "labels")
    with np.load(other / "predictions.npz") as file:
        labels = file["labels"]
    labels[0, 0] = np.nan
    with pytest.raises(UsageError, match="different labels"):
        compare(starts["random-1"], change_arrays(other, labels=labels))
    elsewhere = change(made(tmp_path / "elsewhere"), "test.json", data_set="chexpert")
    with pytest.raises(UsageError, match=r"different data sets \(chestxray14, chexpert\)"):
        compare(starts["moco"], elsewhere)
    with pytest.raises(UsageError, match="same method, seed and draw"):
        compare(starts["random-1"], made(tmp_path / "twice", level=2.0))


def test_damaged_and_missing_predictions_are_named(tmp_path):
    with pytest.raises(FedwardError, match=r"no test result \(state: interrupted\)"):
        compare(made(tmp_path / "part", rounds=1))
    root = made(tmp_path / "run")
    with pytest.raises(FedwardError, match=r"predictions.npz lacks other:"):
        compare(root, model="other")
    with pytest.raises(FedwardError, match="does not belong to the run"):
        compare(change(root, "test.json", findings=["Mass"]))
    (root / "predictions.npz").write_bytes((root / "predictions.npz").read_bytes()[:500])
    with pytest.raises(FedwardError, match=r"predictions.npz is damaged"):
        compare(root)
    (root / "predictions.npz").unlink()
    with pytest.raises(FedwardError, match=r"predictions.npz is missing"):
        compare(root)


def test_markdown_has_a_column_a_finding(starts):
    text = markdown([compare(*starts.values(), model=m) for m in ("best", "last")], "chart.png")
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    header = next(row for row in cells if "Atelectasis" in row)
    assert len(header) == 15
    assert any(row[0] == "positive images" and row[-1] == "0" for row in cells)
    assert sum(row[-1] == "one class only" for row in cells) == 4  # two methods, best and last
    assert "minus random start [95 % interval]" in text
    assert "![Mean AUC against rounds](chart.png)" in text
    assert "Last model (after the last round), chestxray14, 40 test patients, 80 images" in text


def test_command_prints_and_writes(tmp_path, starts):
    roots = [str(root) for root in starts.values()]
    out = tmp_path / "deep" / "table.md"
    arguments = ["compare", *roots, "--out", str(out), "--reference", roots[2], "--target-auc", "0.6"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert "minus moco_v2 start" in result.output
    assert "rounds to AUC 0.600" in out.read_text()
    assert "one class only" in result.output
    with Image.open(out.with_suffix(".png")) as chart:
        assert chart.format == "PNG"
        assert len(np.unique(np.asarray(chart.convert("L")))) > 10


def test_a_picture_that_compare_did_not_write_is_left_as_it_is(tmp_path, starts, capsys):
    root, out = str(starts["moco"]), tmp_path / "table.md"
    out.with_suffix(".png").write_bytes(b"mine")
    assert run(cli, ["compare", root, "--out", str(out)]) == 2
    assert "table.png exists and was not written by fedward compare" in capsys.readouterr().err
    assert not out.exists()
    assert out.with_suffix(".png").read_bytes() == b"mine"
    out.with_suffix(".png").unlink()
    assert [run(cli, ["compare", root, "--out", str(out)]) for _ in range(2)] == [0, 0]
    assert run(cli, ["compare", root, "--out", str(tmp_path / "table.png")]) == 2
    assert "--out" in capsys.readouterr().err


def test_command_refuses_other_tasks_and_options(tmp_path, starts, capsys):
    lgg, pretext = write_fake_run(tmp_path / "lgg"), write_pretext_run(tmp_path / "pre", rounds=1)
    moco = str(starts["moco"])
    for arguments, words in (
        ([moco, str(lgg)], "different tasks"),
        ([str(pretext)], "is a pretraining, which has no test result"),
        ([moco, "--reference", str(starts["random-1"])], "is none of the runs named"),
        ([str(lgg), "--target-auc", "0.5"], "--target-auc is for classification"),
        ([moco, "--target-auc", "1.5"], "--target-auc"),
    ):
        assert run(cli, ["compare", *arguments]) == 2
        assert words in capsys.readouterr().err
