"""Report of a segmentation into structures, and comparisons of several."""

import base64
import json

import numpy as np
import pytest
from click.testing import CliRunner
from fake_run import write_fake_run
from fake_scan_run import SITES, UPDATE_BYTES, write_contrast_run, write_structures_run
from page_reader import page_of
from PIL import Image

from fedward.cli import cli, run
from fedward.datasets.acdc import STRUCTURES
from fedward.errors import FedwardError, UsageError
from fedward.reports.compare_structures import compare_structures
from fedward.reports.overlays import save_pictures
from fedward.reports.run_data import load_run
from fedward.reports.structures_comparison_text import markdown
from fedward.reports.structures_page import SECTIONS, headline, structures


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    found = write_structures_run(tmp_path_factory.mktemp("runs") / "seg", scheme="dcew", start="fcl")
    save_pictures(found / "overlays", [("best: patient003 <ES>, Dice 0.81", np.zeros((8, 16, 3), np.uint8))])
    return found


@pytest.fixture(scope="module")
def page(root):
    return page_of(root)


def charts(page) -> list[str]:
    return [base64.b64decode(a.partition(",")[2]).decode() for a in page.addresses if a.startswith("data:image/svg")]


def model(root, name: str = "best") -> dict:
    return json.loads((root / "test.json").read_text())["models"][name]


def test_headline_has_the_mean_dice_its_interval_and_the_patients(page, root):
    mean = model(root)["mean_dice"]
    text = page.text["summary"]
    assert "On 6 test patients no hospital trained on, the model of round 4 reaches a mean Dice of" in text
    assert f"{mean['value']:.3f} (95 % interval {mean['low']:.3f} to {mean['high']:.3f}) over right ventricle, " in text
    assert "myocardium and left ventricle." in text
    assert f"{model(root)['hd95']['value']:.1f} mm" in text
    assert "from fcl weights · 2 labelled patients a hospital" in page.text["header"]


def test_all_sections_are_there_linked_and_safe(page):
    for section in SECTIONS:
        assert page.text[section.id].strip()
        assert f"#{section.id}" in page.addresses
    assert all(a.startswith(("data:image/", "#")) for a in page.addresses)
    assert "best: patient003 <ES>, Dice 0.81" in page.text["overlays"]
    assert not any("NaN" in text for text in page.text.values())


def test_each_structure_has_its_row(page, root):
    rows = {row[0]: row[1:] for row in page.rows["results"]}
    for name in STRUCTURES:
        expected = []
        for which in ("best", "last"):
            own = model(root, which)["structures"][name]
            dice, far = own["dice"], own["hd95"]
            expected += [
                f"{dice['value']:.3f}",
                f"{dice['low']:.3f} to {dice['high']:.3f}",
                f"{own['pooled_dice']:.3f}",
            ]
            expected.append(f"{far['value']:.1f} ({far['low']:.1f} to {far['high']:.1f})")
        assert rows[name.replace("_", " ")] == expected
    assert "right ventricle: absent from the prediction in 1 scan." in page.text["results"]
    assert "2 more test scans have no labels" in page.text["results"]
    assert rows["best"][-2:] == ["6", "12"]


def test_charts_name_structures_and_frames(page):
    bars, curves, *_ = charts(page)
    for name in ("right ventricle", "mean", "ED", "ES", "95 % interval"):
        assert f"<!-- {name} -->" in bars
    for name in ("left ventricle", "Validation Dice", "best round 4"):
        assert f"<!-- {name} -->" in curves or name == "best round 4"


def test_hospitals_have_dice_of_each_structure(page, root):
    last = json.loads((root / "rounds.jsonl").read_text().splitlines()[-1])["answers"]
    rows = {row[0]: row[1:] for row in page.rows["hospitals"]}
    assert list(rows)[-4:] == SITES
    start = last[SITES[0]]["start"]
    dice = [f"{start['details'][f'dice.{name}']:.3f}" for name in STRUCTURES]
    assert rows[SITES[0]][:9] == ["5", "1", "32", "16", f"{start['cost']:.3f}", f"{start['quality']:.3f}", *dice]
    assert rows[SITES[1]][3:9] == ["–"] * 6  # it validates on nobody


def test_unknown_spacing_is_said(tmp_path):
    page = page_of(write_structures_run(tmp_path / "run", rounds=1, planned=1, spacing=False))
    assert "HD95: spacing unknown, or a structure is absent" in page.text["summary"]
    assert "myocardium: spacing unknown in 12 scans" in page.text["results"]
    assert all(row[5] == "–" for row in page.rows["results"][1:3])


def test_an_interrupted_run(tmp_path):
    page = page_of(write_structures_run(tmp_path / "new", rounds=0))
    assert "no test result yet" in page.text["results"]
    assert "No trained model has been measured yet" in page.text["summary"]
    run = load_run(write_structures_run(tmp_path / "part", rounds=3))
    assert headline(run, []).startswith("Not tested yet. On 3 validation patients the model of round")
    assert structures(run) == sorted(STRUCTURES)


def test_hospitals_that_trained_alone_have_their_own_dice(tmp_path):
    page = page_of(write_structures_run(tmp_path / "local", mode="local", rounds=2, planned=2))
    assert "the hospitals' own models reach on average a mean Dice of" in page.text["summary"]
    assert [SITES[3], "0.500"] in page.rows["results"]


# --- comparisons ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def starts(tmp_path_factory):
    """Two seeds of a random start, one of a pretrained one."""
    folder = tmp_path_factory.mktemp("starts")
    few = {"rounds": 1, "planned": 1}
    return [
        write_structures_run(folder / "random-1", level=0.7, seed=1, **few),
        write_structures_run(folder / "random-2", level=0.72, seed=2, **few),
        write_structures_run(folder / "fcl", level=0.8, seed=1, start="fcl", **few),
    ]


def compared(*roots, which: str = "best", reference: int | None = None):
    runs = [load_run(root) for root in roots]
    return compare_structures(runs, which, None if reference is None else runs[reference])


def test_one_run_has_the_intervals_of_its_report(starts):
    (row,) = compared(starts[2]).rows
    told = model(starts[2])
    for scores, dice, far in (
        (row.mean, told["mean_dice"], told["hd95"]),
        *(
            (s, told["structures"][n]["dice"], told["structures"][n]["hd95"])
            for s, n in zip(row.structures, STRUCTURES, strict=True)
        ),
    ):
        assert (scores.dice.value, scores.dice.low, scores.dice.high) == pytest.approx(
            [dice[k] for k in ("value", "low", "high")]
        )
        assert scores.hd95.value == pytest.approx(far["value"])
    assert row.mean.difference is None
    assert row.received == len(SITES) * UPDATE_BYTES


def test_seeds_are_averaged_and_differences_paired_by_patient(starts):
    comparison = compared(*starts)
    assert [(row.title, row.runs) for row in comparison.rows] == [("random start", 2), ("fcl start", 1)]
    random, pretrained = comparison.rows
    patients = [{p: e["dice"] for p, e in model(root)["per_patient"].items()} for root in starts]
    differences = [patients[2][p] - (patients[0][p] + patients[1][p]) / 2 for p in sorted(patients[0])]
    found = pretrained.mean.difference
    assert found.value == pytest.approx(np.mean(differences))
    assert min(differences) <= found.low < found.value < found.high <= max(differences)
    assert random.mean.difference is None
    turned = compared(*starts, reference=2).rows[1].mean.difference
    assert turned.value == pytest.approx(-found.value)


def test_draws_belong_together_and_other_numbers_of_labels_do_not(tmp_path):
    few = {"rounds": 1, "planned": 1}
    roots = [
        write_structures_run(tmp_path / "a", **few),
        write_structures_run(tmp_path / "b", draw=2, **few),
        write_structures_run(tmp_path / "c", labelled=1, **few),
        write_structures_run(tmp_path / "d", labelled=None, **few),
    ]
    titles = [(row.title, row.runs) for row in compared(*roots).rows]
    assert titles == [("2 labelled patients", 2), ("1 labelled patient", 1), ("all labelled patients", 1)]


def test_a_structure_without_any_value_has_none(tmp_path):
    root = write_structures_run(tmp_path / "run", rounds=1, planned=1, spacing=False)
    (row,) = compared(root).rows
    assert row.mean.hd95 is None
    assert row.mean.dice is not None
    assert "| – |" in markdown([compared(root)])


def test_a_method_does_not_gain_by_missing_what_is_hard(tmp_path):
    """Where one misses a structure it has no distance, so nobody's counts there."""
    finds, misses = (write_structures_run(tmp_path / n, rounds=1, planned=1, start=n) for n in ("finds", "misses"))
    for root, ventricle in ((finds, 20.0), (misses, None)):
        test = json.loads((root / "test.json").read_text())
        for scan in test["models"]["best"]["per_scan"]:
            for name, scores in scan["structures"].items():
                scores["hd95"] = ventricle if name == STRUCTURES[0] else 2.0
            scan["hd95"] = 8.0 if ventricle else 2.0
        (root / "test.json").write_text(json.dumps(test))
    comparison = compared(finds, misses)
    assert [row.mean.hd95.value for row in comparison.rows] == [2.0, 2.0]
    assert [row.structures[0].hd95 for row in comparison.rows] == [None, None]
    assert any(note.startswith("HD95 is over the 24 of 36 structures of scans") for note in comparison.notes)
    (alone,) = compared(finds).rows
    assert alone.mean.hd95.value == pytest.approx(8.0)


def test_runs_that_were_not_tested_alike_are_refused(tmp_path, starts):
    with pytest.raises(UsageError, match="different scans or structures"):
        compared(starts[0], write_structures_run(tmp_path / "more", rounds=1, planned=1, patients=7))
    with pytest.raises(UsageError, match="same method, seed and draw"):
        compared(starts[0], write_structures_run(tmp_path / "twice", rounds=1, planned=1))
    with pytest.raises(FedwardError, match="no test result"):
        compared(write_structures_run(tmp_path / "part", rounds=1))
    other = write_structures_run(tmp_path / "other", rounds=1, planned=1)
    test = json.loads((other / "test.json").read_text()) | {"data_set": "nifti_folder"}
    (other / "test.json").write_text(json.dumps(test))
    with pytest.raises(UsageError, match=r"different data sets \(acdc, nifti_folder\)"):
        compared(starts[0], other)


def test_command_prints_and_writes(tmp_path, starts):
    out = tmp_path / "deep" / "table.md"
    roots = [str(root) for root in starts]
    result = CliRunner().invoke(cli, ["compare", *roots, "--out", str(out), "--reference", roots[2]])
    assert result.exit_code == 0, result.output
    assert "Dice minus fcl start" in result.output
    text = out.read_text()
    assert "| method | right ventricle | myocardium | left ventricle | mean |" in text
    assert "![Dice of each structure by method](table.png)" in text
    with Image.open(out.with_suffix(".png")) as picture:
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10


def test_command_refuses_other_tasks_and_options(tmp_path, starts, capsys):
    lgg, pretext = write_fake_run(tmp_path / "lgg"), write_contrast_run(tmp_path / "pre", rounds=1)
    seg = str(starts[0])
    for arguments, words in (
        ([seg, str(lgg)], "different tasks"),
        ([str(pretext)], "train segmentations from the encoders"),
        ([seg, "--reference", str(starts[1])], "is none of the runs named"),
        ([seg, "--target-auc", "0.5"], "--target-auc is for classification"),
        ([str(lgg), "--reference", str(lgg)], "--reference is for classification and structures"),
    ):
        assert run(cli, ["compare", *arguments]) == 2
        assert words in capsys.readouterr().err
