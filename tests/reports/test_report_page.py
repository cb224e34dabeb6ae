import json
import re
import shutil
from importlib import import_module

import numpy as np
import pytest
from click.testing import CliRunner
from fake_run import fake_test, write_fake_run
from page_reader import page_of

from fedward.cli import cli, run
from fedward.errors import FedwardError
from fedward.reports.formats import duration
from fedward.reports.hospitals import hospital_rows, remarks, round_ranges
from fedward.reports.overlays import save_overlays
from fedward.reports.page import write_report
from fedward.reports.run_data import load_run
from fedward.reports.segmentation_page import SECTIONS
from fedward.reports.template import COMMON, STYLE

TASKS = ("classification", "contrast", "pretext", "segmentation", "structures")


def task_templates(task):
    return import_module(f"fedward.reports.{task}_template").TEMPLATES


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return write_fake_run(tmp_path_factory.mktemp("runs") / "dcew-25")


@pytest.fixture(scope="module")
def page(finished):
    image = np.random.default_rng(0).random((3, 24, 24))
    mask = image[0] > 0.7
    rows = [(f"{label} & <i>patient</i>", image, mask, mask) for label in ("best", "median", "worst")]
    save_overlays(finished / "overlays", rows)
    return page_of(finished)


def test_the_page_loads_nothing_and_runs_nothing(page, finished):
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert page.addresses
    assert all(a.startswith(("data:image/", "#")) for a in page.addresses)
    html = (finished / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in html
    assert not re.search(r"https?://|@import|url\(", html)
    assert not page.open  # every tag is closed


def test_the_style_reaches_the_browser_as_written(page, finished):
    """Escaped quotes in it cost the page its font, and the tables their widths."""
    assert f"<style>{STYLE}</style>" in (finished / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("templates", [COMMON, *map(task_templates, TASKS)], ids=["common", *TASKS])
def test_a_table_scrolls_in_a_box_of_its_own(templates):
    for text in templates.values():
        assert text.count("<table") == text.count('<div class="wide"><table>')


def test_all_sections_are_there_and_linked(page):
    for section in SECTIONS:
        assert page.text[section.id].strip()
        assert f"#{section.id}" in page.addresses
    assert "NaN" not in str(page.text)
    assert "None" not in page.text["settings"]


def test_headline_and_final_table_say_on_how_many_patients(page):
    assert "On 22 test patients" in page.text["summary"]
    assert "the model of round 17" in page.text["summary"]
    header, best, last = page.rows["results"]
    values = dict(zip(header, best, strict=True))
    expected = fake_test()["models"]["best"]
    tp, fp, fn = (expected["evaluation"][k] for k in ("true_positive", "false_positive", "false_negative"))
    dice = [p["dice"] for p in expected["per_patient"].values()]
    assert values["pooled IoU"] == f"{tp / (tp + fp + fn):.3f}"
    assert values["pooled Dice"] == f"{2 * tp / (2 * tp + fp + fn):.3f}"
    assert values["mean patient Dice"] == f"{np.mean(dice):.3f}"
    assert values["median patient Dice"] == f"{np.median(dice):.3f}"
    assert (values["round"], values["patients"], values["images"]) == ("17", "22", "484")
    assert re.fullmatch(r"0\.\d{3} \([A-Z]{2}, n = \d\)", values["worst hospital"])
    assert last[0] == "last"


def test_every_metric_is_defined(page):
    for name in ("pooled IoU", "pooled Dice", "mean patient Dice", "median patient Dice", "worst hospital", "bytes"):
        assert name in page.text["results"]


def test_hospital_table(page):
    rows = [r for r in page.rows["hospitals"] if r[0].startswith("hospital-")]
    assert [r[0] for r in rows] == [f"hospital-{n:02d}" for n in range(1, 11)]
    one_patient = rows[6]
    assert one_patient[:6] == ["hospital-07", "EZ", "1", "0", "22", "–"]
    assert one_patient[6:12] == ["–"] * 6  # nothing to validate on
    assert rows[3][13] == "24 of 25"  # no answer in round 3
    assert rows[8][13] == "24 of 25"  # refused in round 5
    assert rows[0][13] == "25 of 25"
    assert rows[0][14] == "48.8 MB"


def test_refused_missing_and_warnings(page):
    assert page.rows["remarks"][1:] == [
        ["refused", "hospital-09", "5", "values that are not finite in down1.conv.weight"],
        ["missing", "hospital-04", "3", "no answer within 600 s"],
        ["warning", "hospital-06", "2–3, 8", "Dice ratio 14.2 clipped to 10"],
        ["partition", "–", "–", "hospital-07 has one patient: it trains only"],
    ]


def test_overlays_are_embedded_with_their_labels(page):
    pictures = [a for a in page.addresses if a.startswith("data:image/png")]
    assert len(pictures) == 3
    assert "best & <i>patient</i>" in page.text["overlays"]  # text, not markup
    assert "i" not in page.tags


def test_settings_and_versions(page):
    for text in ("learning rate", "0.001", "bias field", "n4", "nvflare", "2.9.0", "threads per site", "institution"):
        assert text in page.text["settings"]


@pytest.mark.parametrize("rounds", [0, 1, 4])
def test_interrupted_run(tmp_path, rounds):
    root = write_fake_run(tmp_path / "part", rounds=rounds)
    page = page_of(root)
    header = " ".join(page.text.values())
    assert f"The run was interrupted: no reason was recorded. {rounds} of 25 rounds are complete" in header
    assert "no test result yet" in page.text["results"]
    assert ("Not tested yet. On 12 validation patients" in page.text["summary"]) == (rounds > 1)  # untrained is no best
    assert ("No round has finished yet" in page.text["curves"]) == (rounds == 0)
    assert any(r[0] == "hospital-10" for r in page.rows["hospitals"])


def test_failed_run_shows_the_site_and_its_error(tmp_path):
    error = {"site": "hospital-04", "message": "the folder is empty: put images there."}
    root = write_fake_run(tmp_path / "failed", rounds=2, state="failed", error=error)
    text = " ".join(page_of(root).text.values())
    assert "The run failed at hospital-04: the folder is empty: put images there. 2 of 25 rounds" in text


def test_running_run_with_nothing_but_run_json(tmp_path):
    root = tmp_path / "new"
    root.mkdir()
    (root / "run.json").write_text('{"name": "new", "state": "running"}')
    page = page_of(root)
    assert "had not ended" in " ".join(page.text.values())
    assert "No hospital is known yet" in page.text["hospitals"]


def test_a_last_line_cut_short_is_left_out(tmp_path):
    root = write_fake_run(tmp_path / "cut", rounds=2)
    path = root / "rounds.jsonl"
    path.write_text(path.read_text() + '{"kind": "training", "rou')
    assert "2 of 25 rounds are complete" in " ".join(page_of(root).text.values())


def test_a_site_that_never_answered_and_absent_values(tmp_path):
    root = write_fake_run(tmp_path / "gaps", rounds=1)
    record = json.loads((root / "rounds.jsonl").read_text())
    for site in list(record["answers"])[1:]:
        del record["answers"][site], record["weights"][site]
        record["missing"][site] = "its computer was off"
    record["answers"]["hospital-01"] = {"start": None, "end": None, "loss": None}
    record["received"], record["shares"] = None, {}
    (root / "rounds.jsonl").write_text(json.dumps(record) + "\n")
    page = page_of(root)
    assert "No trained model has been measured yet" in page.text["summary"]
    assert len([r for r in page.rows["remarks"] if r[0] == "missing"]) == 9


def test_hostile_names_are_text(tmp_path):
    evil = "<script>alert(1)</script>\"'&{{ 7 * 7 }}$\\frac$"
    root = write_fake_run(tmp_path / "evil", rounds=2, planned=2)
    for path in [*root.glob("*.json"), root / "rounds.jsonl"]:
        text = path.read_text()
        for known in ("hospital-04", "CS", "Dice ratio 14.2 clipped to 10", "bias_field", '"evil"'):
            text = text.replace(f'"{known}"', json.dumps(evil + known))
        path.write_text(text)
    page = page_of(root)
    assert "script" not in page.tags
    assert evil in page.text["hospitals"]
    assert evil in page.text["settings"]
    assert all(a.startswith(("data:image/", "#")) for a in page.addresses)


def test_the_same_run_gives_the_same_page(tmp_path):
    root = write_fake_run(tmp_path / "again", rounds=2)
    first = write_report(root).read_bytes()
    assert write_report(root).read_bytes() == first


def test_partition_is_taken_from_the_sites_folder_where_the_run_has_none(tmp_path):
    root = write_fake_run(tmp_path / "run", rounds=0)
    (tmp_path / "sites").mkdir()
    shutil.move(root / "partition.json", tmp_path / "sites" / "partition.json")
    assert load_run(root).sites == []
    assert len(load_run(root, tmp_path / "sites").sites) == 10


def test_local_run_puts_its_hospitals_together(tmp_path):
    root = write_fake_run(tmp_path / "local", mode="local", rounds=3, planned=3)
    (root / "rounds.jsonl").rename(tmp_path / "all.jsonl")
    records = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    for site in ("hospital-01", "hospital-02"):
        (root / site).mkdir()
        own = [{**r, "asked": [site], "answers": {site: r["answers"][site]}, "weights": {site: 1.0}} for r in records]
        (root / site / "rounds.jsonl").write_text("".join(json.dumps(r) + "\n" for r in own))
    run_data = load_run(root)
    assert run_data.sites == ["hospital-01", "hospital-02"]
    assert [(r["kind"], r["round"]) for r in run_data.records] == [(r["kind"], r["round"]) for r in records]
    both = [records[0]["answers"][site]["start"]["true_positive"] for site in run_data.sites]
    assert run_data.records[0]["received"]["true_positive"] == sum(both)
    page = page_of(root)
    assert "each hospital alone" in page.text["header"]
    assert "Nothing was averaged" in page.text["weights"]
    assert "the hospitals' own models reach on average a pooled" in page.text["summary"]


def test_central_run_lists_only_who_took_part(tmp_path):
    root = write_fake_run(tmp_path / "central", mode="central", rounds=1)
    record = json.loads((root / "rounds.jsonl").read_text())
    record |= {"asked": ["central"], "answers": {"central": record["answers"]["hospital-01"]}, "missing": {}}
    (root / "rounds.jsonl").write_text(json.dumps({**record, "weights": {"central": 1.0}, "shares": {}}) + "\n")
    assert [row.site for row in hospital_rows(load_run(root))] == ["central"]
    page = page_of(root)
    assert "centralised training" in page.text["header"]
    assert "reached the server" not in page.text["summary"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("run.json", "[1]", "run.json must hold a JSON object, not list"),
        ("run.json", "{", "run.json is not valid JSON"),
        ("test.json", '{"models": {"best": {"evaluation": {}}}}', 'test.json needs "models"'),
        ("partition.json", '{"sites": ["hospital-01"]}', "must map each site"),
        ("rounds.jsonl", '{"kind": "training"}\n', "record 1 is no round record"),
        ("rounds.jsonl", '{}\n{"kind"\n{}\n', "rounds.jsonl, line 2 is damaged"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, file, content, message):
    root = write_fake_run(tmp_path / "run", rounds=1)
    (root / file).write_text(content)
    with pytest.raises(FedwardError, match=re.escape(message)):
        write_report(root)


def test_command_prints_the_path(finished):
    result = CliRunner().invoke(cli, ["report", str(finished)])
    assert result.exit_code == 0
    assert result.output == f"Report: {finished / 'report.html'}\n"


def test_command_refuses_what_is_no_run(tmp_path, capsys):
    assert run(cli, ["report", str(tmp_path)]) == 1
    assert "is no run folder" in capsys.readouterr().err
    assert run(cli, ["report"]) == 2
    assert not list(tmp_path.iterdir())


def test_remarks_put_equal_events_together():
    rows = [
        {"kind": "training", "round": n, "missing": {"b": "late"}, "warnings": [{"site": None, "message": "m"}]}
        for n in (1, 2, 4)
    ]
    found = remarks(rows)
    assert [(r.kind, r.site, r.rounds) for r in found] == [("missing", "b", (1, 2, 4)), ("warning", "", (1, 2, 4))]
    assert remarks([], ["one patient"])[0].message == "one patient"


@pytest.mark.parametrize(("rounds", "text"), [((), ""), ((4,), "4"), ((3, 1, 2, 7, 9, 10), "1–3, 7, 9–10")])
def test_round_ranges(rounds, text):
    assert round_ranges(rounds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "–"), (4.25, "4.2 s"), (99, "99 s"), (600, "10 min"), (7500, "2 h 5 min")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text
