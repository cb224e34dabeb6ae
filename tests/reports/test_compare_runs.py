import json
import re
import statistics
from pathlib import Path

import pytest
from click.testing import CliRunner
from fake_run import write_fake_run

from fedward.cli import cli, run
from fedward.errors import FedwardError, UsageError
from fedward.reports.compare import compare_runs
from fedward.reports.comparison_text import markdown
from fedward.reports.run_data import load_run


def finished_run(
    root: Path, method: str, dice: dict[str, float], counts=(60, 20, 20), curve=(0.1, 0.5, 0.8), **info
) -> Path:
    """A small finished run of `method` with these volume Dice, pixel counts and validation curve."""
    root.mkdir(parents=True)
    mode, scheme = (method, "dcew") if method in ("central", "local") else ("federated", method)
    about = {"name": root.name, "state": "finished", "mode": mode, "scheme": scheme, "seed": 0, "optimizer_steps": 100}
    evaluation = dict(zip(("true_positive", "false_positive", "false_negative"), counts, strict=True))
    per_patient = {p: {"institution": p[:2], "dice": d, "iou": d, "images": 3} for p, d in dice.items()}
    model = {"round": 2, "evaluation": {**evaluation, "images": 9}, "per_patient": per_patient}
    records = [
        {"kind": "training", "round": n, "answers": {"a": {"bytes": 500}}, "received": {"quality": q, "images": 1}}
        for n, q in enumerate(curve, start=1)
    ]
    (root / "run.json").write_text(json.dumps(about | info))
    (root / "settings.json").write_text(json.dumps({"training": {"learning_rate": 0.001}, "rounds": 25}))
    test = {"data_set": info.get("data_set", "lgg"), "models": {"best": model, "last": model}}
    (root / "test.json").write_text(json.dumps(test))
    (root / "rounds.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    return root


PATIENTS = {"CS1": 0.6, "CS2": 0.8, "DU1": 0.5, "DU2": 0.7}


def better(by: float) -> dict[str, float]:
    return {patient: dice + by for patient, dice in PATIENTS.items()}


def rows(*roots: Path, model: str = "best"):
    return {row.method: row for row in compare_runs([load_run(r) for r in roots], model).rows}


def test_a_row_by_hand(tmp_path):
    row = rows(finished_run(tmp_path / "a", "fedavg", PATIENTS))["fedavg"]
    assert row.iou == pytest.approx(0.6)
    assert row.dice == pytest.approx(0.75)
    assert row.mean == pytest.approx(0.65)
    assert row.median == pytest.approx(0.65)
    assert row.worst == ("DU", pytest.approx(0.6), 2)
    assert row.bytes == 3 * 500
    assert row.rounds is None  # no centralised run to compare with
    assert (row.against_reference, row.against_control, row.gap) == (None, None, None)


def test_gap_differences_and_rounds_by_hand(tmp_path):
    found = rows(
        finished_run(tmp_path / "cl", "central", better(0.1), curve=(0.2, 0.8, 0.7)),
        finished_run(tmp_path / "fa", "fedavg", PATIENTS, curve=(0.1, 0.5, 0.75)),
        finished_run(tmp_path / "dc", "dcew", better(0.04), curve=(0.1, 0.5, 0.76)),
        finished_run(tmp_path / "hu", "half_uniform", better(0.03), curve=(0.1, 0.76, 0.9)),
    )
    assert list(found) == ["central", "fedavg", "dcew", "half_uniform"]
    assert found["dcew"].gap == pytest.approx(0.4)
    assert found["central"].gap is None
    assert found["fedavg"].gap is None
    difference = found["dcew"].against_control
    assert (difference.value, difference.low, difference.high) == pytest.approx((0.01,) * 3)
    assert found["fedavg"].against_control.value == pytest.approx(-0.03)
    # 95 % of .8 is .76
    assert [found[m].rounds for m in found] == [1, None, 2, 1]
    assert found["central"].bytes == 0


@pytest.mark.parametrize(
    "central",
    [{"CS1": 0.9, "CS2": 0.5, "DU1": 0.7, "DU2": 0.6}, better(-0.1)],
    ids=["the interval includes 0", "centralised is worse"],
)
def test_no_share_of_a_gap_that_is_none(tmp_path, central):
    roots = [
        finished_run(tmp_path / "cl", "central", central),
        finished_run(tmp_path / "fa", "fedavg", PATIENTS),
        finished_run(tmp_path / "dc", "dcew", better(0.04)),
    ]
    comparison = compare_runs([load_run(root) for root in roots])
    assert all(row.gap is None for row in comparison.rows)
    assert any("there is no gap" in note for note in comparison.notes)


def test_folds_are_put_together_and_seeds_averaged(tmp_path):
    other = {"HT1": 0.2, "HT2": 0.4}
    roots = [
        finished_run(tmp_path / "a1", "fedavg", PATIENTS, counts=(60, 20, 20), seed=1),
        finished_run(tmp_path / "a2", "fedavg", better(0.1), counts=(80, 10, 10), seed=2),
        finished_run(tmp_path / "b1", "fedavg", other, counts=(10, 0, 30), seed=1),
    ]
    comparison = compare_runs([load_run(r) for r in roots])
    (row,) = comparison.rows
    assert (comparison.folds, comparison.patients, row.runs) == (2, 6, 3)
    assert row.mean == pytest.approx(statistics.fmean([0.65, 0.85, 0.55, 0.75, 0.2, 0.4]))
    assert row.iou == pytest.approx((70 + 10) / (100 + 40))
    assert row.worst == ("HT", pytest.approx(0.3), 2)


def test_the_order_of_the_runs_does_not_matter(tmp_path):
    roots = [
        finished_run(tmp_path / m, m, better(i / 50)) for i, m in enumerate(("central", "fedavg", "dcew", "costw"))
    ]
    forward, backward = (compare_runs([load_run(r) for r in order]) for order in (roots, roots[::-1]))
    assert forward == backward


def test_other_settings_of_a_scheme_are_another_method(tmp_path):
    first, second = (finished_run(tmp_path / n, "dcew", PATIENTS) for n in ("slow", "fast"))
    (second / "settings.json").write_text('{"training": {"learning_rate": 0.01}, "rounds": 25}')
    comparison = compare_runs([load_run(first), load_run(second)])
    assert sorted(row.title for row in comparison.rows) == ["DCEW", "DCEW: fast"]
    (told,) = [note for note in comparison.notes if "training settings" in note]
    assert "learning_rate" in told


def test_another_start_is_another_method(tmp_path):
    first, second = (finished_run(tmp_path / n, "dcew", PATIENTS) for n in ("cold", "warm"))
    settings = json.loads((second / "settings.json").read_text())
    (second / "settings.json").write_text(json.dumps({**settings, "starting_weights": "brats"}))
    comparison = compare_runs([load_run(first), load_run(second)])
    assert sorted(row.title for row in comparison.rows) == ["DCEW", "DCEW: warm"]
    assert "The runs differ in their starting weights." in comparison.notes


def test_centralised_steps_differ_between_folds_but_it_stays_one_method(tmp_path):
    roots = [finished_run(tmp_path / "a", "central", PATIENTS), finished_run(tmp_path / "b", "central", {"HT1": 0.5})]
    for root, steps in zip(roots, (90, 100), strict=True):
        (root / "settings.json").write_text(json.dumps({"training": {"local_steps": steps}, "rounds": 25}))
    assert rows(*roots)["central"].runs == 2


def test_different_effort_is_noted(tmp_path):
    runs = [
        finished_run(tmp_path / "a", "fedavg", PATIENTS),
        finished_run(tmp_path / "b", "dcew", PATIENTS, optimizer_steps=150),
    ]
    notes = compare_runs([load_run(r) for r in runs]).notes
    assert any("different numbers of optimiser steps (100 to 150)" in note for note in notes)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"dice": {"CS1": 0.5, "XX1": 0.5}}, "different patients or folds"),
        ({"dice": PATIENTS, "data_set": "other"}, r"different data sets \(lgg, other\)"),
    ],
)
def test_runs_of_other_data_are_refused(tmp_path, second, message):
    a = finished_run(tmp_path / "a", "fedavg", PATIENTS)
    b = finished_run(tmp_path / "b", "dcew", **second)
    with pytest.raises(UsageError, match=message):
        rows(a, b)


def test_a_missing_fold_and_overlapping_folds_are_refused(tmp_path):
    a = finished_run(tmp_path / "a", "fedavg", PATIENTS)
    b = finished_run(tmp_path / "b", "fedavg", {"HT1": 0.5})
    with pytest.raises(UsageError, match="different patients or folds"):
        rows(a, b, finished_run(tmp_path / "c", "dcew", PATIENTS))
    with pytest.raises(UsageError, match="tested in two of the folds"):
        rows(a, finished_run(tmp_path / "d", "fedavg", {"CS1": 0.5, "HT2": 0.5}))


def test_the_same_seed_twice_is_refused(tmp_path):
    with pytest.raises(UsageError, match="same method, fold and seed"):
        rows(finished_run(tmp_path / "a", "fedavg", PATIENTS), finished_run(tmp_path / "b", "fedavg", better(0.1)))


def test_an_untested_run_is_refused(tmp_path):
    with pytest.raises(FedwardError, match=r"no test result \(state: interrupted\)"):
        rows(write_fake_run(tmp_path / "part", rounds=1))


def test_a_test_result_without_dice_is_refused(tmp_path):
    root = finished_run(tmp_path / "a", "fedavg", {"CS1": None})
    with pytest.raises(FedwardError, match="lacks the Dice"):
        rows(root)
    with pytest.raises(FedwardError, match="no model 'other'"):
        rows(root, model="other")


def test_markdown_holds_the_published_table_and_ours(tmp_path):
    roots = [
        finished_run(tmp_path / "cl", "central", better(0.1)),
        finished_run(tmp_path / "fa", "fedavg", PATIENTS),
        finished_run(tmp_path / "dc", "dcew", better(0.04)),
    ]
    text = markdown([compare_runs([load_run(r) for r in roots], m) for m in ("best", "last")])
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    published = {row[0]: tuple(row[-2:]) for row in cells if len(row) == 11}
    assert published["centralised"] == ("0.3745", "0.5449")
    assert published["FedAvg"] == ("0.3017", "0.4632")
    assert published["DCEW"] == ("0.3698", "0.5399")
    assert published["CostW+CE (no run given)"] == ("0.3695", "0.5396")
    assert ["DCEW", "+0.0400 [+0.0400, +0.0400]", "–", "40 %"] in cells
    assert "other splits of the data and one grey channel" in text
    assert "4 test patients" in text
    assert "Last model" in text


def test_a_run_name_cannot_break_the_table(tmp_path):
    first, second = (finished_run(tmp_path / n, "dcew", PATIENTS) for n in ("a", "b|\n[red]x"))
    (second / "settings.json").write_text("{}")
    out = tmp_path / "table.md"
    result = CliRunner().invoke(cli, ["compare", str(first), str(second), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "| DCEW: b\\| [red]x |" in out.read_text()
    assert "[red]x" in result.output


def test_command_prints_and_writes(tmp_path):
    roots = [str(finished_run(tmp_path / m, m, better(i / 50))) for i, m in enumerate(("fedavg", "dcew"))]
    out = tmp_path / "deep" / "comparison.md"
    result = CliRunner().invoke(cli, ["compare", *roots, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "0.6700" in result.output
    assert "0.6700" in out.read_text()


@pytest.mark.parametrize(("rounds", "models"), [((3, 3), ["Best model"]), ((3, 2), ["Best model", "Last model"])])
def test_a_best_model_that_is_the_last_is_told_once(tmp_path, rounds, models):
    names = ("fedavg", "dcew")
    roots = [str(finished_run(tmp_path / m, m, PATIENTS, best_round=n)) for m, n in zip(names, rounds, strict=True)]
    out = tmp_path / "comparison.md"
    result = CliRunner().invoke(cli, ["compare", *roots, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert re.findall("(?m)^## (Best model|Last model)", out.read_text()) == models
    assert ("shown once" in result.output) == (len(models) == 1)


def test_command_refuses_wrong_usage(tmp_path, capsys):
    root = str(finished_run(tmp_path / "a", "fedavg", PATIENTS))
    assert run(cli, ["compare"]) == 2
    assert run(cli, ["compare", root, root + "/."]) == 2
    assert "named twice" in capsys.readouterr().err
    assert run(cli, ["compare", root, str(tmp_path)]) == 1
    assert run(cli, ["compare", root, "--out", str(tmp_path)]) == 2


def test_a_file_that_compare_did_not_write_is_left_as_it_is(tmp_path, capsys):
    root, out = str(finished_run(tmp_path / "a", "fedavg", PATIENTS)), tmp_path / "notes.md"
    for text in ("# My notes\n", "", "\udcff"):
        out.write_text(text, errors="surrogateescape")
        assert run(cli, ["compare", root, "--out", str(out)]) == 2
        assert f"{out} exists and was not written by fedward compare" in capsys.readouterr().err
        assert out.read_text(errors="surrogateescape") == text
    out.unlink()
    assert run(cli, ["compare", root, "--out", str(out)]) == 0
    first = out.read_text()
    other = str(finished_run(tmp_path / "b", "dcew", PATIENTS))
    assert run(cli, ["compare", root, other, "--out", str(out)]) == 0  # its own
    assert out.read_text() != first
