"""The table of FCL and its price in privacy: rows as data, their order, differences, and tables from results alone."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
sys.path[:0] = [str(FOLDER / "fcl_privacy"), str(FOLDER / "fcl_table"), str(FOLDER)]

import fcl_answers  # noqa: E402
import fcl_compare  # noqa: E402
import fcl_noise  # noqa: E402
import fcl_results  # noqa: E402
import fcl_rows  # noqa: E402
import fcl_tables  # noqa: E402
import row_runner  # noqa: E402
import run_fcl  # noqa: E402

from fedward.rounds.run_folder import RunFolder, write_bytes, write_json  # noqa: E402

SMALL = fcl_rows.PRESETS["small"]
PRESETS = (*fcl_rows.PRESETS.values(), fcl_rows.PHANTOMS)
SEEDS = (1, 2, 3)
SITES = tuple(f"hospital-{n:02d}" for n in range(1, 11))


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (fcl_results, fcl_compare, fcl_noise):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    (tmp_path / "results" / "small").mkdir(parents=True)
    return tmp_path


def all_rows(preset: fcl_rows.Preset) -> list[row_runner.Row]:
    return fcl_rows.table_rows(preset, fcl_rows.MODES, preset.patients, SEEDS)


def write_result(row: row_runner.Row, dice: float) -> None:
    value = {"value": dice, "low": dice - 0.1, "high": dice + 0.1, "patients": 10, "scans": 20}
    structures = {name: {"pooled_dice": dice, "dice": value} for name in fcl_tables.STRUCTURES}
    test = {"mean_dice": value, "pooled_dice": dice + 0.01, "structures": structures}
    fcl_results.result_path(row.name, SMALL).write_text(json.dumps({"row": row.name, "test": test}))


def write_pretraining(init: str, auc: float) -> None:
    entry = {"auc": auc, "low": auc - 0.1, "high": auc + 0.1, "members": 100, "others": 20}
    result = {
        **{"rounds": 3, "optimizer_steps": 360, "training_loss": [4.0, 8.0, 7.0], "warnings": []},
        **{"exchanged_bytes": [0, 1000, 1000], "test_partition": 0.5},
        "membership": {"alignment": {**entry, "auc": 0.5}, "exchanged": entry},
    }
    fcl_results.result_path(f"pretraining-{init}", SMALL).write_text(json.dumps(result))


def write_test(work: Path, row: row_runner.Row, dice: dict[str, float]) -> None:
    per_patient = {name: {"dice": value} for name, value in dice.items()}
    (work / row.name).mkdir(parents=True)
    (work / row.name / "test.json").write_text(json.dumps({"models": {"last": {"per_patient": per_patient}}}))


# --- rows -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_each_row_is_there_once_and_after_its_pretraining(preset: fcl_rows.Preset) -> None:
    rows = [*all_rows(preset), *fcl_rows.privacy_rows(preset, (1, 2), SEEDS)]
    names = [row.name for row in all_rows(preset)]
    assert len(set(names)) == len(names)
    fine_tunings = sum(len(fcl_rows.starts(mode)) for mode in fcl_rows.MODES) * len(preset.patients) * len(SEEDS)
    assert len(names) == fine_tunings + len(fcl_rows.METHODS)
    order = list(dict.fromkeys(row.name for row in rows))
    for row in rows:
        if row.start != row_runner.RANDOM:
            assert order.index(f"pretraining-{row.start}") < order.index(row.name)


def test_the_first_rows_are_those_that_answer_the_main_question() -> None:
    first = [row.name for row in all_rows(SMALL)][:13]
    assert first[0] == "pretraining-fcl-masked"
    assert {name.rsplit("-seed", 1)[0] for name in first[1:]} == {
        *(f"federated-{n}-{init}" for n in (1, 2) for init in ("random", "fcl-masked")),
    }


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_the_jobs_take_the_arguments_of_every_row(preset: fcl_rows.Preset) -> None:
    from fedward.job_options import all_options, with_options
    from fedward.volume_jobs import CONTRASTIVE, SEGMENTATION

    jobs = {job.name: job for job in (CONTRASTIVE, SEGMENTATION)}
    parsers = {
        name: click.command()(with_options(lambda **options: options, all_options(job))) for name, job in jobs.items()
    }
    for row in [*all_rows(preset), *fcl_rows.privacy_rows(preset, (1,), (1,))]:
        arguments = row_runner.job_command(row, Path("SITES"), Path("RUN"))[2:]
        options = parsers[row.job].make_context("job.py", list(arguments)).params
        changes = jobs[row.job].changes(options, SITES, "acdc")
        if row.job == "cardiac_contrastive":
            noise = row.name.partition("noise-")[2]
            assert changes["contrast"].noise == float(noise or 0)
            assert changes["contrast"].exchange == (row.name not in NO_EXCHANGE)
        else:
            assert changes["selection"].draw == row.seed
            assert f"-{changes['selection'].labelled_patients}-" in row.name


NO_EXCHANGE = {f"pretraining-{init}" for init in ("fcl-no-exchange", "fcl-own", "simclr", "rotation")}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: run_fcl.numbers("--seeds", "1;2"), "--seeds must be whole numbers"),
        (lambda: run_fcl.columns_of(SMALL, "1,8"), "--patients 8: the hospitals of preset small label 1, 2, 4"),
        (lambda: run_fcl.link_patients(Path("nowhere"), Path("links"), ()), "there is no nowhere"),
    ],
)
def test_what_is_asked_wrongly_is_said(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(click.UsageError, match=words):
        call()


def test_the_data_are_links_without_the_patients_left_out(tmp_path: Path) -> None:
    for name in ("patient001", "patient074", "patient076"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for _ in range(2):  # a second call finds them
        run_fcl.link_patients(tmp_path / "data", tmp_path / "links", SMALL.left_out)
    assert sorted(path.name for path in (tmp_path / "links").iterdir()) == ["patient001", "patient074"]


def test_a_row_of_another_preset_is_not_taken_for_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their names are the same; a finished one would be published with a command that never ran."""
    started: list[list[str]] = []

    def train(command: list[str], **_: Any) -> Any:
        started.append(command)
        run = RunFolder(tmp_path / small.name)
        write_json(run.run, {"state": "finished"})
        write_json(run.test, {})
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr(row_runner.subprocess, "run", train)
    small, paper = (fcl_rows.fine_tuning("federated", 1, "random", 1, fcl_rows.PRESETS[n]) for n in ("small", "paper"))
    assert small.name == paper.name
    written: list[RunFolder] = []
    for _ in range(2):  # the second time it is finished
        assert row_runner.train_row(small, tmp_path, None, written.append)
    assert (len(started), len(written)) == (1, 2)
    with pytest.raises(click.ClickException, match="Use another --work"):
        row_runner.train_row(paper, tmp_path, None, written.append)
    assert len(written) == 2


# --- differences ----------------------------------------------------------------------------------------------------


def test_a_difference_is_over_the_patients_and_seeds_that_both_have(places: Path) -> None:
    generator, names, dice = np.random.default_rng(0), ["a", "b", "c", "d"], {}
    for init, seeds in ((fcl_rows.MASKED, (1, 2)), ("random", SEEDS)):
        for seed in seeds:
            dice[init, seed] = dict(zip(names, generator.random(4), strict=True))
            row = fcl_rows.fine_tuning("federated", 1, init, seed, SMALL)
            write_test(places, row, dice[init, seed])
            write_result(row, sum(dice[init, seed].values()) / 4)
    fcl_compare.write_comparisons(SMALL, places)
    (entry,) = fcl_compare.read_comparisons(SMALL)
    assert entry["seeds"] == [1, 2]
    by_seed = [
        sum(dice[fcl_rows.MASKED, seed][name] - dice["random", seed][name] for name in names) / 4 for seed in (1, 2)
    ]
    assert entry["by_seed"] == pytest.approx(by_seed)
    assert entry["value"] == pytest.approx(sum(by_seed) / 2)
    assert entry["low"] <= entry["value"] <= entry["high"]
    fcl_compare.write_comparisons(SMALL, places / "another")  # what was measured before is kept
    assert fcl_compare.read_comparisons(SMALL) == [entry]


def test_every_committed_difference_is_of_the_committed_rows() -> None:
    found = fcl_compare.read_comparisons(SMALL)
    assert len(found) > 10
    assert [entry for entry in found if not fcl_compare._is_of_published_rows(entry, SMALL)] == []


def test_a_difference_is_of_the_rows_that_are_published(places: Path) -> None:
    """A row may be trained again, or its result be taken away: tables must not show the difference of other rows."""
    values = {(fcl_rows.MASKED, 1): 0.7, ("random", 1): 0.6, (fcl_rows.MASKED, 2): 0.8, ("random", 2): 0.5}
    of = {key: fcl_rows.fine_tuning("federated", 1, *key, SMALL) for key in values}
    for key, row in of.items():
        write_test(places, row, {"a": values[key] - 0.1, "b": values[key] + 0.1})
        write_result(row, values[key])
    fcl_results.result_path(of["random", 2].name, SMALL).unlink()
    fcl_compare.write_comparisons(SMALL, places)
    (entry,) = fcl_compare.read_comparisons(SMALL)
    assert (entry["seeds"], entry["by_seed"]) == ([1], pytest.approx([0.1]))
    write_result(of["random", 1], 0.65)  # another training's
    fcl_compare.write_comparisons(SMALL, places)
    assert fcl_compare.read_comparisons(SMALL) == []


def test_rows_of_other_test_patients_are_not_compared() -> None:
    with pytest.raises(SystemExit, match="other patients"):
        fcl_compare.compare({1: {"a": 0.5}}, {1: {"b": 0.5}}, [1])


def test_the_loss_of_hospitals_alone_is_their_mean(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    write_json(run.settings, {"sites": list(SITES[:2])})
    for site, losses in zip(SITES, ((4.0, 2.0), (6.0, 5.0)), strict=False):
        lines = [
            {"kind": "training", "answers": {site: {"samples": 3, "loss": loss}}, "warnings": [{"message": "few"}]}
            for loss in losses
        ]
        write_bytes(RunFolder(tmp_path / site).rounds, "".join(f"{json.dumps(line)}\n" for line in lines).encode())
    figures = fcl_results.pretraining_figures(run)
    assert figures["training_loss"] == [5.0, 3.5]
    assert figures["warnings"] == ["few"]
    assert (figures["exchanged_bytes"], figures["membership"]) == ([0, 0], None)


# --- tables ---------------------------------------------------------------------------------------------------------


def test_tables_show_published_figures_and_the_commands_of_what_was_not_run(places: Path) -> None:
    fcl_tables.write_tables(SMALL)
    folder = places / "results" / "small"
    federated, local = ((folder / f"{mode}.md").read_text() for mode in fcl_rows.MODES)
    assert "| 0.445 | 0.572 | 0.764 | 0.834 |" in federated
    assert "| 0.506 | 0.631 | 0.745 | 0.824 |" in local
    assert next(line for line in federated.splitlines() if "≈ 0.82" in line).startswith("| FedRotation |")
    assert "| the best published baseline |  |  |  |  |  | 0.508 |  |  |" in local
    assert "the best published baseline" not in federated
    assert "--only federated-1-fcl-masked-seed --seeds 1,2,3 --work WORK" in federated
    for n in fcl_rows.ASKED_PATIENTS:
        command = f"run.py local --preset paper --patients {n} --work WORK"
        assert f"| N = {n} |  | `python benchmarks/fcl_table/{command}` |" in local
    answers = (folder / "answers.md").read_text()
    assert answers.count(fcl_answers.MISSING) == answers.count("## ") == 9


def test_the_committed_tables_are_those_of_the_committed_results() -> None:
    found = fcl_compare.read_comparisons(SMALL)
    for mode in fcl_rows.MODES:
        text = f"# {fcl_tables.TITLES[mode]}\n\n{fcl_tables.column_tables(mode, SMALL, found)}\n"
        assert text == (fcl_results.RESULTS / "small" / f"{mode}.md").read_text(encoding="utf-8")
    assert fcl_noise.noise_table(SMALL) in (fcl_noise.RESULTS / "small" / "noise.md").read_text(encoding="utf-8")


def test_the_original_size_lists_its_own_commands_alone(places: Path) -> None:
    own = "\n\n".join(fcl_tables.not_run("federated", fcl_rows.PRESETS["paper"]))
    assert "--preset paper --only federated-8-random-seed --seeds 1,2,3" in own
    assert "--patients" not in own


def test_answers_say_what_held(places: Path) -> None:
    generator = np.random.default_rng(0)
    for seed in SEEDS:
        for init, dice in ((fcl_rows.MASKED, 0.6), ("random", 0.4), (fcl_rows.LITERAL, 0.6)):
            row = fcl_rows.fine_tuning("federated", 1, init, seed, SMALL)
            patients = {f"p{n}": dice + 0.02 * generator.standard_normal() for n in range(10)}
            write_result(row, sum(patients.values()) / 10)
            write_test(places, row, patients)
    write_result(fcl_rows.fine_tuning("federated", 2, "random", 1, SMALL), 0.7)
    fcl_compare.write_comparisons(SMALL, places)
    fcl_tables.write_tables(SMALL)
    folder = places / "results" / "small"
    found = (folder / "answers.md").read_text()
    parts = dict(part.split("\n\n", 1) for part in found.split("## ")[1:])
    assert "**+0.197 [" in parts["Does FCL beat the random start?"]
    assert "3 seeds: clear" in parts["Does FCL beat the random start?"]
    formula = parts["Is leaving a query's own part out of its negatives better than the published formula?"]
    assert "3 seeds: not clear" in formula
    assert "federated, N = 1: yes." in parts["Is FCL beyond the seeds' spread at N = 1 and 2?"]
    assert "does not reach" in parts["How many labelled patients is FCL worth?"]
    table = (folder / "federated.md").read_text()
    assert "but N = 2 random: 1." in table
    assert "--only federated-1-random-seed" not in table


def test_the_price_of_noise_is_shown_beside_what_is_given_away(places: Path) -> None:
    for init, auc in (("fcl-masked", 0.9), ("fcl-masked-noise-0.1", 0.6)):
        write_pretraining(init, auc)
        for seed in SEEDS:
            write_result(fcl_rows.fine_tuning("federated", 1, init, seed, SMALL), auc - 0.1)
    fcl_noise.write_noise(SMALL)
    folder = places / "results" / "small"
    text = (folder / "noise.md").read_text()
    assert "| 0 | 0.500 [0.800, 1.000] | 0.900 [0.800, 1.000] | 0.500 | 0.800 (0.800 to 0.800) |" in text
    assert "| 0.1 | 0.500 [0.500, 0.700] | 0.600 [0.500, 0.700] |" in text
    assert "27 of 35 rows have not been run" in text
    assert "lower bound: it is of the features of one round" in text
    assert "2 times in these pretrainings and 299 times in a job of the default 300 rounds" in text
    assert (folder / "noise.png").stat().st_size > 1000
    fcl_tables.write_tables(SMALL)
    line = "| FCL, masked | 3 | 360 | 8.000 → 7.000 | 0.500 | 1,000 |  |"
    assert line in (folder / "pretraining.md").read_text()
