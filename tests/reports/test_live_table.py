import io

import pytest
from fake_run import fake_records
from fake_scan_run import SITES, contrast_records, structures_records
from fake_xray_run import classification_records, write_pretext_run
from rich.console import Console

from fedward.reports.live import LiveTable, plain_line, weight_bars
from fedward.reports.live_columns import Row, cells, names, task_of_records
from fedward.rounds.record import read_records


def shown(records: list[dict], terminal: bool, rounds: int = 25) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, height=30, color_system=None)
    with LiveTable(rounds, console) as table:
        for record in records:
            table.add(record)
    return out.getvalue()


def test_a_pipe_gets_one_line_a_round():
    text = shown(fake_records(rounds=25), terminal=False)
    lines = [line for line in text.splitlines() if not line.startswith("Warning")]
    assert len(lines) == 26
    assert lines[0].startswith("round 1/25  sites 10/10  time ")
    assert "hospital-01=" in lines[0]
    assert lines[2].endswith("without hospital-04")
    assert "sites 9/10" in lines[2]
    assert lines[25].startswith("round final")
    assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_warning_is_told_once(terminal):
    records = fake_records(rounds=3)
    for record in records:
        record["warnings"] = [{"site": "hospital-02", "message": "no validation patient"}]
    assert shown(records, terminal).count("Warning: hospital-02: no validation patient") == 1


def test_sites_that_say_the_same_share_a_line():
    records = fake_records(rounds=2)
    for record, sites in zip(records, (["a", "b"], ["a", "b", "c"]), strict=False):
        record["warnings"] = [{"site": site, "message": "no validation patient"} for site in sites]
    warnings = [line for line in shown(records, terminal=False).splitlines() if "no validation patient" in line]
    assert warnings == ["Warning: a, b: no validation patient", "Warning: c: no validation patient"]


def test_a_terminal_ends_with_the_whole_table_and_the_last_weights():
    text = shown(fake_records(rounds=25), terminal=True)
    final = text[text.rindex("round  sites") :]
    assert "1/25" in final
    assert "25/25" in final
    assert "final" in final
    assert "Weights in round 25" in final
    assert all(f"hospital-{n:02d}" in final for n in range(1, 11))


def test_values_by_hand():
    evaluation = {"cost": 0.25, "quality": 0.75, "true_positive": 60, "false_positive": 20, "false_negative": 20}
    record = {
        "kind": "training",
        "round": 3,
        "seconds": 12.34,
        "asked": ["a", "b", "c"],
        "answers": {"a": {"loss": 1.0, "samples": 30}, "b": {"loss": 2.0, "samples": 10}},
        "weights": {"a": 0.75, "b": 0.25},
        "missing": {"c": "late"},
        "received": evaluation,
    }
    row = Row([record], 25, None)
    assert cells("segmentation", row) == ["3/25", "2/3", "12.3 s", "1.2500", "0.2500", "0.750", "0.600"]
    assert weight_bars(record, ["a", "b", "c"]).plain == "█ ▃ - "
    assert plain_line(row).endswith("weights a=75.0% b=25.0%  without c")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_round_without_any_value_is_shown(terminal):
    record = {"kind": "training", "round": 1, "asked": ["[red]a"], "answers": {}, "received": None, "weights": {}}
    record |= {"missing": {"[red]a": "no answer"}, "refused": {}}
    text = shown([record], terminal)
    assert "0/1" in text
    assert "–" in text


def test_negative_weights_of_a_strict_scheme_are_shown():
    record = {"kind": "training", "round": 1, "asked": ["a", "b"], "answers": {}, "weights": {"a": 1.4, "b": -0.4}}
    assert "140.0 %" in shown([record], terminal=True)
    assert "b=-40.0%" in shown([record], terminal=False)


def test_nothing_is_shown_for_a_run_without_rounds():
    assert shown([], terminal=False) == ""


def test_classification_says_auc_and_the_time_left():
    records = classification_records(rounds=3, planned=10, level=1.5)
    assert task_of_records(records) == "classification"
    values = dict(zip(names("classification"), cells("classification", Row(records, 10, 64)), strict=True))
    assert values["AUC"] == f"{records[-1]['received']['quality']:.3f}"
    assert values["left"] == "84 s"  # seven rounds of 12 s
    lines = shown(records, terminal=False, rounds=10).splitlines()
    assert all("  AUC 0." in line and "Dice" not in line for line in lines)
    assert "AUC" in shown(records, terminal=True, rounds=10)


def test_a_pretext_shows_what_its_features_do_and_images_a_second(tmp_path):
    records = read_records(write_pretext_run(tmp_path / "byol", method="byol", rounds=6, planned=6) / "rounds.jsonl")
    values = dict(zip(names("pretext"), cells("pretext", Row(records[:5], 6, 256)), strict=True))
    details = records[4]["received"]["details"]
    assert values["feature std"] == f"{details['features.std']:.4f}"
    assert values["rank"] == f"{details['features.rank']:.1f}"
    assert values["k-NN AUC"] == f"{details['knn.auc']:.3f}"
    assert values["images/s"] == "149"  # 7 steps of 256 in a round of 12 s
    assert values["left"] == "12 s"
    final = dict(zip(names("pretext"), cells("pretext", Row(records, 6, 256)), strict=True))
    assert (final["round"], final["images/s"], final["left"]) == ("final", "–", "–")
    lines = shown(records, terminal=False, rounds=6).splitlines()
    assert "k-NN AUC –" in lines[1]  # the probe is not asked every round
    assert "images/s –" in lines[1]  # without the batch size


def test_a_site_with_less_than_a_batch_takes_all_its_images_a_step():
    answers = {"a": {"samples": 10, "steps": 4, "train_seconds": 2.0}, "b": {"samples": 99, "steps": 1}}
    record = {"kind": "training", "round": 1, "answers": answers, "seconds": 8.0}
    shown = dict(zip(names("pretext"), cells("pretext", Row([record], None, 64)), strict=True))
    assert shown["images/s"] == "13"  # 4 x 10 of a and 64 of b, whose own time is not needed


def test_a_contrastive_pretraining_shows_its_exchange():
    records = contrast_records(rounds=5, planned=5, exchange=True, probed=True, collapsed=False)
    assert task_of_records(records) == "contrast"
    assert task_of_records(contrast_records(1, 5, exchange=False, probed=True, collapsed=False)) == "contrast"
    values = dict(zip(names("contrast"), cells("contrast", Row(records[:4], 5, 32)), strict=True))
    assert values["partition"] == f"{records[3]['received']['details']['knn.partition']:.3f}"
    assert (values["features of"], values["slices/s"]) == ("3/4", "21")  # one was refused; 4 x 2 steps of 32 in 12 s
    first = dict(zip(names("contrast"), cells("contrast", Row(records[:1], 5, 32)), strict=True))
    assert first["features of"] == "–"
    assert "partition" in shown(records, terminal=True)


@pytest.mark.parametrize("terminal", [True, False])
def test_why_the_loss_rises_with_the_first_exchange_is_said_once(terminal):
    exchanged = shown(contrast_records(5, 5, exchange=True, probed=True, collapsed=False), terminal)
    note = "Note: from the first exchange on the loss has a second term"
    assert exchanged.count(note) == 1
    if not terminal:
        assert [line[:9] for line in exchanged.splitlines()[:3]] == ["round 1/2", "Note: fro", "round 2/2"]
    alone = contrast_records(5, 5, exchange=False, probed=True, collapsed=False)
    assert "Note" not in shown(alone, terminal)
    alone[1]["exchange"] = {"banks": {"hospital-01": {"rows": 4}}}  # nobody else answered
    assert "Note" not in shown(alone, terminal)


def test_structures_show_the_mean_and_the_lowest_dice():
    records = structures_records(rounds=3, planned=3, level=0.8, sites=SITES[:2])
    assert task_of_records(records) == "structures"
    values = dict(zip(names("structures"), cells("structures", Row(records[:1], 3, 10)), strict=True))
    details = records[0]["received"]["details"]
    assert values["Dice"] == f"{records[0]['received']['quality']:.3f}"
    assert values["lowest"] == f"{min(v for k, v in details.items() if k.startswith('dice.')):.3f}"
    assert len(shown(records, terminal=False, rounds=3).splitlines()) == 4
