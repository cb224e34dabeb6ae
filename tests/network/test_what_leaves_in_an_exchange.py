"""Everything that hospitals send in a job that exchanges features, compared with their own lists."""

import re
from dataclasses import replace

import numpy as np
import pytest
from captured import ARRAYS, RESULT
from captured_exchange import MOST_ROWS, NOISE, NOT_AGREED, OTHER, SITE, capture_exchange
from captured_site import found, middle, peer_properties
from channels import LEAVES, SOMETIMES, check_nothing_hidden, names
from nvflare.apis.shareable import ReservedHeaderKey

from fedward.contrast.settings import ContrastSettings
from fedward.flare.leaving import PEER_NAMES, leaves_outside
from fedward.flare.tasks import BANK, FEATURES, REPORT, TRAIN, VALIDATE
from fedward.kits.leaving import layout
from fedward.kits.leaving_list import FeatureRule
from fedward.networks.checkpoint import read_model
from fedward.rounds.exchange import UNIT, WIDTH
from fedward.rounds.record import read_records
from fedward.rounds.run_folder import read_json

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def exchanged(tmp_path_factory):
    return capture_exchange(tmp_path_factory.mktemp("exchange"))


@pytest.fixture(scope="module")
def received(exchanged):
    return layout(read_model(exchanged.run.model("last"))[0])


@pytest.fixture(scope="module")
def results(exchanged):
    """The results of the hospital that has agreed, each with the name of its task."""
    sent = exchanged.site.results(exchanged.job)
    return [(result[ReservedHeaderKey.HEADERS][ReservedHeaderKey.TASK_NAME], result) for result in sent]


@pytest.fixture(scope="module")
def table(results):
    """What the hospital sent of features."""
    (sent,) = [result for task, result in results if task == BANK]
    return sent["DXO"]["meta"][FEATURES]


def test_two_hospitals_exchanged_features(exchanged, table):
    assert read_json(exchanged.run.run)["state"] == "finished"
    first, second, *_ = read_records(exchanged.run.rounds)
    assert "exchange" not in first
    banks = second["exchange"]["banks"]
    assert banks.keys() == {SITE, OTHER}
    assert banks[SITE]["bytes"] == table["rows"].nbytes + table["partitions"].nbytes


def test_an_exchange_sends_rows_partitions_and_agreed_numbers_and_nothing_else(exchanged, received, results):
    assert [task for task, _ in results] == [TRAIN, BANK, TRAIN, VALIDATE]
    for task, result in results:
        assert leaves_outside(result, exchanged.site.rules, task, received) == []
        assert peer_properties(result).keys() <= PEER_NAMES
        assert (FEATURES in result["DXO"].get("meta", {})) == (task == BANK)
    sent = dict(results)[BANK]["DXO"]
    assert sent.keys() == {"kind", "data", "meta"}
    assert sent["data"].keys() == {REPORT}
    assert sent["data"][REPORT].keys() == {"train_seconds"}
    assert sent["meta"].keys() == {FEATURES}
    assert sent["meta"][FEATURES].keys() == {"rows", "partitions", "noise"}


def test_features_are_no_more_than_the_hospital_s_rule_says(table):
    rows, partitions = table["rows"], table["partitions"]
    assert (rows.shape, rows.dtype) == ((MOST_ROWS, WIDTH), np.float16)  # it has more slices than that
    assert (partitions.shape, partitions.dtype) == ((MOST_ROWS,), np.uint8)
    assert set(partitions.tolist()) <= set(range(ContrastSettings().partitions))
    assert table["noise"] == NOISE
    assert np.linalg.norm(rows.astype(np.float64), axis=1) == pytest.approx(1, abs=UNIT["float16"])


def test_their_order_is_that_of_their_own_values(table):
    """By partition, then by the first number: it tells nothing of scan or slice."""
    order = list(zip(table["partitions"].tolist(), table["rows"][:, 0].tolist(), strict=True))
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("rule", "outside"),
    [
        (None, {"rows", "partitions", "noise"}),
        (FeatureRule(MOST_ROWS - 1, NOISE), {"rows", "partitions"}),
        (FeatureRule(MOST_ROWS, 2 * NOISE), {"noise"}),
    ],
)
def test_the_comparison_sees_what_goes_beyond_a_rule(exchanged, received, results, rule, outside):
    """So that the tests above can fail."""
    rules = replace(exchanged.site.rules, features=rule)
    seen = leaves_outside(dict(results)[BANK], rules, BANK, received)
    assert {name.rpartition("/")[2] for name in seen} == outside


def test_no_slice_no_patient_and_no_folder_left(exchanged, table):
    for site, scans in ((exchanged.site, 6), (exchanged.not_agreed, 6)):
        assert len([name for name in site.needles if name.startswith("voxels")]) == 5 * scans
        assert found(site.needles, site.sent) == set()
    prepared = [name for name in exchanged.site.needles if name.startswith("prepared")]
    assert len(prepared) == 2 * 5 * 6
    rows = {"the rows": middle(table["rows"].tobytes())}
    assert found(rows, exchanged.site.sent) == {"the rows"}  # an array is found where one is sent


def test_it_leaves_on_the_channels_of_any_job(exchanged):
    for site in (exchanged.site, exchanged.not_agreed):
        assert names(site.messages) <= LEAVES | SOMETIMES
        check_nothing_hidden(site)
    assert {RESULT, ARRAYS} <= names(exchanged.site.messages)


def test_a_hospital_without_a_rule_for_features_sends_none_and_the_run_says_why(exchanged):
    site = exchanged.not_agreed
    assert site.rules.features is None
    assert site.results(exchanged.job) == []
    assert not names(site.messages) & {RESULT, ARRAYS}
    assert len(site.files) == 1  # of its parent process: it started none for the job
    reason = f"{NOT_AGREED} did not take the job: .*exchanges features of single slices.*has no features"
    assert re.search(reason, exchanged.watched), exchanged.watched
