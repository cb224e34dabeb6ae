"""The papers' tables on chest X-rays: rows as data, their order, and tables from results alone."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from fedward.training.auc import auc_difference, auc_per_finding

FOLDER = Path(__file__).parents[1] / "benchmarks" / "cxr"
sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]

import compare  # noqa: E402
import figure6  # noqa: E402
import results  # noqa: E402
import row_runner  # noqa: E402
import rows  # noqa: E402
import tables  # noqa: E402

SMALL = rows.PRESETS["small"]
FINDINGS = tables.FINDINGS


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    monkeypatch.setattr(compare, "RESULTS", tmp_path)
    (tmp_path / "small").mkdir()
    return tmp_path


def write_row(row: rows.Row, auc: float, curve: tuple[float, ...] = (0.5, 0.6, 0.7), date: str = "2026-11-28") -> None:
    one = {"auc": auc, "low": auc - 0.1, "high": auc + 0.1, "positives": 5, "negatives": 20}
    none = {**one, "auc": None, "low": None, "high": None, "positives": 0}
    model = {
        "round": 2,
        "mean_auc": {"value": auc, "low": auc - 0.1, "high": auc + 0.1},
        "findings": {f: none if f == "Hernia" else one for f in FINDINGS},
    }
    validation = [{"round": n, "auc": value, "cost": 0.4} for n, value in enumerate(curve)]
    sizes = {"linear": 574, "fine_tune": 281508}
    size = next(value for name, value in sizes.items() if row.name.startswith(name))
    sent = [{"received": size, "sent": size}] * 3
    about = {"row": row.name, "date": date}
    result = {**about, "test": {"best": model, "last": model}, "validation": validation, "bytes": sent}
    results.result_path(row.name, SMALL).write_text(json.dumps(result))


def write_predictions(work: Path, row: rows.Row, seed: int) -> np.ndarray:
    """A row of random predictions of 60 images of 30 patients; the labels are the same for every row."""
    labels = (np.random.default_rng(0).random((60, 14)) < 0.3).astype(np.float32)
    scores = np.random.default_rng(seed).random((60, 14)).astype(np.float32)
    (work / row.name).mkdir(parents=True)
    patients = np.array([f"p{n // 2}" for n in range(60)])
    images = np.array([f"{n}.png" for n in range(60)])
    path = work / row.name / "predictions.npz"
    np.savez(path, best=scores, last=scores, labels=labels, patients=patients, images=images)
    (work / row.name / "run.json").write_text(json.dumps({"ended": "2026-11-28"}))
    auc = auc_per_finding(scores, labels).mean
    assert auc is not None
    write_row(row, auc)
    return scores


@pytest.mark.parametrize("preset", [*rows.PRESETS.values(), rows.PHANTOMS], ids=lambda preset: preset.name)
def test_each_row_is_there_once_and_after_what_it_starts_from(preset: rows.Preset) -> None:
    wanted = [row.name for row in rows.all_rows(rows.TABLES, preset, (1, 2))]
    assert len(set(wanted)) == len(wanted)
    for row in rows.all_rows(rows.TABLES, preset, (1, 2)):
        if row.start not in (rows.RANDOM, rows.IMAGENET):
            assert wanted.index(f"pretraining-{row.start}") < wanted.index(row.name)
    assert {row.sites for row in rows.all_rows(rows.TABLES, preset, (1,))} <= set(rows.partitions(preset))


@pytest.mark.parametrize("preset", [*rows.PRESETS.values(), rows.PHANTOMS], ids=lambda preset: preset.name)
def test_the_jobs_take_the_arguments_of_every_row(preset: rows.Preset) -> None:
    from fedward.job_options import all_options, with_options
    from fedward.xray_jobs import CLASSIFICATION, PRETRAINING

    jobs = {job.name: job for job in (CLASSIFICATION, PRETRAINING)}
    parsers = {name: command_of(job, all_options, with_options) for name, job in jobs.items()}
    for row in rows.all_rows(rows.TABLES, preset, (1, 2)):
        arguments = row_runner.job_command(row, Path("SITES"), Path("RUN"))[2:]
        options = parsers[row.job].make_context("job.py", list(arguments)).params
        job = jobs[row.job]
        sites = ("coordinator",) if row.sites == "coordinator" else tuple(f"hospital-{n:02d}" for n in range(1, 11))
        changes = job.changes(options, sites, "chestxray14" if "cla" in row.job else preset.unlabelled[0])
        if pretext := changes.get("pretext"):
            pretext.check(options["batch_size"], options["image_size"])


def command_of(job, all_options, with_options):  # type: ignore[no-untyped-def]
    import click

    return click.command()(with_options(lambda **options: options, all_options(job)))


def test_a_row_waits_for_its_start_and_is_left_out_where_that_fails() -> None:
    first, other = rows.pretraining("moco_v2", SMALL), rows.pretraining("frid", SMALL)
    wanted = [rows.classification("linear", "iid", s, 1, SMALL) for s in ("moco_v2", "frid", "random")]
    done: list[str] = []

    def work(row: rows.Row) -> bool:
        done.append(row.name)
        return row is not other

    failed = row_runner.run_all([*wanted, first, other], 2, work)
    assert done.index(first.name) < done.index(wanted[0].name)
    assert failed == [other.name, wanted[1].name]
    assert wanted[2].name in done


def test_a_difference_is_that_of_the_seeds_that_both_have(places: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    scores = {}
    for start, seeds in (("moco_v2", (1, 2)), ("random", (1, 2, 3))):
        for seed in seeds:
            row = rows.classification("linear", "iid", start, seed, SMALL)
            scores[start, seed] = write_predictions(work, row, 10 * seed + len(start))
    compare.write_comparisons(SMALL, work)
    (entry,) = compare.read_comparisons(SMALL)
    labels = (np.random.default_rng(0).random((60, 14)) < 0.3).astype(np.float32)
    patients = [f"p{n // 2}" for n in range(60)]
    sides = [[scores[start, seed] for seed in (1, 2)] for start in ("moco_v2", "random")]
    expected = auc_difference(*sides, labels, patients, compare.SEED)
    assert entry["seeds"] == [1, 2]
    assert tuple(entry["mean"].values()) == pytest.approx(tuple(expected))
    turned = compare.find_comparison([entry], "linear", 1.0, "random", "moco_v2")
    assert turned is not None
    assert turned["mean"]["low"] == pytest.approx(-expected.high)
    compare.write_comparisons(SMALL, tmp_path / "another")  # what was measured before is kept
    assert compare.read_comparisons(SMALL) == [entry]


def test_every_committed_difference_is_of_the_committed_rows() -> None:
    found = compare.read_comparisons(SMALL)
    assert len(found) > 10
    assert [entry for entry in found if not compare._is_of_published_rows(entry, SMALL)] == []


def test_a_difference_is_of_the_rows_that_are_published(places: Path, tmp_path: Path) -> None:
    """A row may be trained again, or its result be taken away: tables must not show the difference of other rows."""
    of = {
        (start, seed): rows.classification("linear", "iid", start, seed, SMALL)
        for start in ("moco_v2", "random")
        for seed in (1, 2)
    }
    for number, row in enumerate(of.values()):
        write_predictions(tmp_path, row, number)
    results.result_path(of["random", 2].name, SMALL).unlink()
    compare.write_comparisons(SMALL, tmp_path)
    (entry,) = compare.read_comparisons(SMALL)
    assert entry["seeds"] == [1]
    write_row(of["random", 1], 0.9, date="2026-11-29")  # another training's
    compare.write_comparisons(SMALL, tmp_path)
    assert compare.read_comparisons(SMALL) == []


def test_tables_leave_empty_what_was_not_run_and_name_its_command(places: Path) -> None:
    for seed in (1, 2):
        write_row(rows.classification("linear", "iid", "random", seed, SMALL), 0.6 + seed / 100)
    tables.write_tables(SMALL)
    text = (places / "small" / "table1.md").read_text()
    assert "| random | 2 | 0.615 (0.610 to 0.620) | 0.615 (0.610 to 0.620) |  |  |" in text
    assert "| MoCo-v2 |  |  |  |  |  |" in text
    missing = text.split("## Not run")[1]
    assert "run.py table1 --preset small --only linear-iid-moco_v2 --seeds 1,2,3 --work WORK" in missing
    assert "--only linear-iid-random --seeds 3 " in missing
    for preset in ("gpu", "paper"):
        assert f"run.py table1 --preset {preset} --work WORK  # no row yet" in missing
    assert "Not answered" in (places / "small" / "answers.md").read_text()


def test_one_class_is_said_and_bytes_are_compared(places: Path) -> None:
    for training, sites in compare.SETTINGS:
        write_row(rows.classification(training, sites, "random", 1, SMALL), 0.6)
    tables.write_tables(SMALL)
    assert "| Hernia | 0 | one class only |" in (places / "small" / "table2.md").read_text()
    assert "0.20%" in (places / "small" / "answers.md").read_text()


def test_rounds_to_reach_an_auc(places: Path) -> None:
    assert figure6.rounds_to([0.5, 0.62, 0.6], 0.6) == 1
    assert figure6.rounds_to([0.5, 0.6], 0.7) is None
    for seed, last in ((1, 0.60), (2, 0.62)):
        write_row(
            rows.classification("fine_tune", "non_iid", "random", seed, SMALL), 0.6, (0.5, 0.55, last, last, last)
        )
        write_row(rows.classification("fine_tune", "non_iid", "moco_v2", seed, SMALL), 0.6, (0.5, 0.7, 0.7, 0.7, 0.7))
    tables.write_tables(SMALL)
    text = (places / "small" / "answers.md").read_text()
    assert "The random start ends at a validation AUC of 0.610, which it first reaches after 2 of 4 rounds." in text
    assert "MoCo-v2 first reaches it after 1 round: at most half of all 4: yes, " in text
    assert (places / "small" / "figure6.png").stat().st_size > 1000
