"""Report of a contrastive pretraining on volumes."""

import base64
import json

import numpy as np
import pytest
from fake_scan_run import BYTES, HOSTILE, LATE, ROWS, SITES, UPDATE_BYTES, write_contrast_run
from page_reader import page_of
from PIL import Image
from rich.filesize import decimal

from fedward.errors import FedwardError
from fedward.networks.registry import build_network
from fedward.reports.contrast_page import SECTIONS, dimensions, headline, meaning
from fedward.reports.exchanged import exchange_rows
from fedward.reports.features import MOST_POINTS, read_projection
from fedward.reports.hospitals import hospital_rows
from fedward.reports.metrics import bytes_sent
from fedward.reports.page import write_report
from fedward.reports.run_data import load_run


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    found = write_contrast_run(tmp_path_factory.mktemp("runs") / "fcl", noise=0.05)
    Image.fromarray(np.zeros((20, 40), np.uint8)).save(found / "views.png")
    return found


@pytest.fixture(scope="module")
def page(root):
    return page_of(root)


def charts(page) -> list[str]:
    return [base64.b64decode(a.partition(",")[2]).decode() for a in page.addresses if a.startswith("data:image/svg")]


def test_headline_says_what_was_learnt(page, root):
    curve = [json.loads(line)["received"]["details"] for line in (root / "rounds.jsonl").read_text().splitlines()]
    text = page.text["summary"]
    assert "5 rounds of federated contrastive learning on 320 slices of 40 volumes without labels" in text
    first, last = curve[0], curve[-1]
    assert (
        f"{first['knn.partition']:.3f} before training, {last['knn.partition']:.3f} now (chance is about 0.25)" in text
    )
    assert f"{first['features.rank']:.1f} before training, {last['features.rank']:.1f} now" in text
    assert "collapsed" not in text
    assert "federated contrastive learning, masked, with exchange of features" in page.text["header"]


def test_all_sections_are_there_linked_and_safe(page):
    for section in SECTIONS:
        assert page.text[section.id].strip()
        assert f"#{section.id}" in page.addresses
    assert all(a.startswith(("data:image/", "#")) for a in page.addresses)
    assert not any("NaN" in text for text in page.text.values())
    assert sum(a.startswith("data:image/png") for a in page.addresses) == 1


def test_beside_the_loss_stands_why_it_rises_in_round_2(page):
    text = " ".join(page.text["curves"].split())
    assert "its training loss has a term less and is lower. The validation loss never has that term." in text


def test_encoder_and_how_to_use_it(page, root):
    assert "ab" * 32 in page.text["results"]
    assert "fedward register-weights fcl RUN --sites SITES" in page.text["results"]
    assert "unet_encoder, 32 features" in page.text["results"]
    assert [row[0] for row in page.rows["results"][1:]] == ["0", "5"]  # the first and the last model
    encoder = build_network("unet_contrast", {"features": 4, "depth": 3}).encoder
    assert dimensions(load_run(root)) == encoder.widths[-1] == 32


def test_what_was_exchanged_by_hand(page, root):
    rows = {row.site: row for row in exchange_rows(load_run(root).records)}
    assert list(rows) == SITES
    plain, late, hostile = rows[SITES[0]], rows[LATE], rows[HOSTILE]
    assert (plain.rows, plain.offered, plain.asked, plain.bytes) == (ROWS, 4, 4, 4 * BYTES)
    assert plain.received == (3 + 3 + 2 + 3) * BYTES  # the refused site's were not handed on
    assert (late.offered, late.stale, late.oldest, late.bytes) == (3, (3,), 1, 3 * BYTES)
    assert (hostile.offered, hostile.stale) == (3, ())
    # 5 trainings and the last validation, and the model with each of the exchanges that it answered
    sent = {row.site: row.received for row in hospital_rows(load_run(root))}
    assert (sent[SITES[0]], sent[LATE]) == ((6 + 4) * UPDATE_BYTES, (6 + 3) * UPDATE_BYTES)
    assert bytes_sent(load_run(root).records) == sum(sent.values())
    shown = {row[0]: row[1:] for row in page.rows["given"]}
    assert shown[LATE] == [
        str(ROWS),
        "3 of 4",
        decimal(late.bytes),
        decimal(late.received),
        "in round 3, 1 round old at most",
    ]
    assert shown[SITES[0]][-1] == "–"
    assert decimal(sum(row.bytes for row in rows.values())) in page.text["summary"]
    assert ["missing", LATE, "3", "features: no answer in time"] in page.rows["remarks"]
    assert ["refused", HOSTILE, "4", "features: the features are not all of length 1"] in page.rows["remarks"]
    exchanged = next(chart for chart in charts(page) if "<!-- × -->" in chart)
    assert "<!-- 1 -->" in exchanged
    assert "Noise of standard deviation 0.05" in page.text["given"]
    assert "4,096 slices at most) as float16" in page.text["given"]


def test_membership_in_plain_words(page):
    alignment, exchanged = page.rows["given"][1:3]
    assert alignment[1:5] == ["0.620", "0.530 to 0.710", "40", "20"]
    assert "62 of 100 cases: an outsider can tell better than by guessing" in alignment[5]
    assert "58 of 100 cases: not to be told from guessing" in exchanged[5]
    assert "0.620" in page.text["summary"]


def test_meaning_of_every_case():
    assert "not measured" in meaning(None, None, None)
    assert "too few patients" in meaning(0.7, None, None)
    assert "misleads" in meaning(0.2, 0.1, 0.4)


def test_projection_parts_the_partitions(page, root):
    run = load_run(root)
    shown = read_projection(run)
    assert shown.slices == len(shown.points) == 60
    again = read_projection(run)
    assert np.array_equal(shown.points, again.points)  # deterministic
    middles = [shown.points[shown.partition == part].mean(axis=0) for part in range(4)]
    spread = np.mean([shown.points[shown.partition == part].std(axis=0).mean() for part in range(4)])
    assert np.linalg.norm(middles[0] - middles[3]) > 3 * spread
    assert 0.5 < sum(shown.explained) <= 1
    chart = next(chart for chart in charts(page) if "<!-- By partition -->" in chart)
    for name in (*SITES, "test (at none)", "position in the volume"):
        assert f"<!-- {name} -->" in chart


def test_projection_shows_some_of_many_slices(tmp_path):
    root = write_contrast_run(tmp_path / "run", rounds=0)
    rng, count = np.random.default_rng(0), MOST_POINTS + 10
    arrays = {"rows": rng.normal(size=(count, 8)).astype(np.float16), "hospitals": np.array(["a"])}
    zeros = np.zeros(count, np.uint8)
    np.savez(root / "features.npz", partition=zeros, hospital=zeros.astype(np.int16), **arrays)
    shown = read_projection(load_run(root))
    assert (len(shown.points), shown.slices) == (MOST_POINTS, count)
    np.savez(root / "features.npz", partition=zeros[1:], hospital=zeros, **arrays)
    with pytest.raises(FedwardError, match="one partition and one hospital for each"):
        read_projection(load_run(root))
    (root / "features.npz").write_bytes(b"PK damaged")
    with pytest.raises(FedwardError, match=r"features.npz is damaged"):
        write_report(root)


@pytest.mark.parametrize("rows", [np.ones((5, 4)), np.eye(4)[:2], np.ones((5, 1))])
def test_no_projection_of_features_that_show_nothing(tmp_path, rows):
    root = write_contrast_run(tmp_path / "run", rounds=0)
    zeros = np.zeros(len(rows), np.int16)
    arrays = {"partition": zeros, "hospital": zeros, "hospitals": np.array(["a"])}
    np.savez(root / "features.npz", rows=rows.astype(np.float16), **arrays)
    assert read_projection(load_run(root)) is None


def test_a_baseline_without_exchange(tmp_path):
    page = page_of(write_contrast_run(tmp_path / "simclr", method="simclr", exchange=False, probed=False))
    assert "5 rounds of SimCLR on" in page.text["summary"]
    assert "effective rank of the features: 2.0 before training" in page.text["summary"]
    assert "No features were exchanged" in page.text["given"]
    assert "What was exchanged" not in page.text["given"]
    assert "a term less" not in page.text["curves"]
    assert len([row for row in page.rows["given"] if "of 100 cases" in row[-1]]) == 1
    assert "No pictures of views" in page.text["views"]
    assert "no values" in charts(page)[0]


def test_a_collapse_is_in_the_headline(tmp_path):
    run = load_run(write_contrast_run(tmp_path / "flat", rounds=2, planned=2, collapsed=True))
    assert headline(run).endswith(" The features had collapsed at 1 of 4 sites.")


@pytest.mark.parametrize("rounds", [0, 1])
def test_a_pretraining_that_has_only_begun(tmp_path, rounds):
    page = page_of(write_contrast_run(tmp_path / "new", rounds=rounds))
    assert ("No model has been measured yet" in page.text["summary"]) == (rounds == 0)
    assert "There is no encoder yet" in page.text["results"]
    assert "No features were saved" in page.text["features"]
    assert "It was not measured" in page.text["given"]


def test_a_damaged_exchange_is_named(tmp_path):
    root = write_contrast_run(tmp_path / "run", rounds=2)
    lines = (root / "rounds.jsonl").read_text().splitlines()
    record = json.loads(lines[1])
    record["exchange"]["banks"] = ["hospital-01"]
    (root / "rounds.jsonl").write_text("\n".join([lines[0], json.dumps(record)]) + "\n")
    with pytest.raises(FedwardError, match="record 2 is no round record"):
        load_run(root)
