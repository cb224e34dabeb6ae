"""The banks of an exchange on disk, which features are refused, and whose a site gets."""

from dataclasses import replace

import numpy as np
import pytest
from features import same, table
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fedward.contrast.settings import ContrastSettings
from fedward.errors import FedwardError, RefusedUpdate
from fedward.pretext.online import CONTRASTIVE_SIZE
from fedward.rounds.exchange import WIDTH, Exchange, check_table, join_tables, read_table

SITES = ("hospital-01", "hospital-02", "hospital-03")
SETTINGS = ContrastSettings(bank_size=8)


@pytest.fixture
def exchange(tmp_path):
    return Exchange(SETTINGS, tmp_path / "banks")


def test_a_feature_is_as_wide_as_the_projector_makes_it():
    assert WIDTH == CONTRASTIVE_SIZE


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_what_is_kept_is_what_was_offered_bit_for_bit(tmp_path, precision):
    exchange = Exchange(ContrastSettings(precision=precision, noise=0.25), tmp_path)
    offered = table(5, precision=precision, noise=0.25)
    exchange.accept("hospital-01", offered, 7)
    kept = Exchange(exchange.settings, tmp_path).bank("hospital-01", 7)
    assert same(kept.table, offered)
    assert kept.round == 7
    assert type(kept.table.rows) is np.ndarray  # FLARE cannot send a memmap
    assert isinstance(kept.table.rows.base, np.memmap)  # and yet nothing was read


def test_others_are_all_sites_but_the_own_in_order_of_name(exchange):
    tables = {site: table(3, seed) for seed, site in enumerate(SITES)}
    for site in reversed(SITES):
        exchange.accept(site, tables[site], 2)
    others = exchange.others("hospital-02", SITES, 2)
    assert [same(one, tables[site]) for one, site in zip(others, (SITES[0], SITES[2]), strict=True)] == [True, True]
    joined = join_tables(others)
    assert joined.rows.tobytes() == tables[SITES[0]].rows.tobytes() + tables[SITES[2]].rows.tobytes()
    assert joined.partitions.tolist() == [0, 1, 2, 0, 1, 2]
    assert joined.size == sum(one.size for one in others)
    assert join_tables([]) is None
    assert exchange.others("hospital-02", SITES, 6) == []


@pytest.mark.parametrize("max_age", [0, 1, 3])
def test_a_silent_site_s_features_are_used_until_they_are_too_old(tmp_path, max_age):
    exchange = Exchange(replace(SETTINGS, max_age=max_age), tmp_path)
    exchange.accept("hospital-01", table(seed=1), 2)
    for number in range(2, 3 + max_age):
        assert exchange.bank("hospital-01", number).round == 2
    assert exchange.bank("hospital-01", 3 + max_age) is None
    exchange.accept("hospital-01", table(seed=2), 3 + max_age)  # it is back: its age counts from now
    assert exchange.bank("hospital-01", 3 + 2 * max_age).round == 3 + max_age
    assert len(list(tmp_path.iterdir())) == 1


def test_features_of_a_later_round_than_the_one_under_way_are_not_used(exchange):
    """They can only come from a run folder whose state was put back from a copy."""
    exchange.accept("hospital-01", table(), 5)
    assert exchange.bank("hospital-01", 4) is None


def test_what_is_on_disk_grows_with_the_banks_and_not_with_the_rounds(exchange):
    sizes = []
    for number in range(2, 6):
        for seed, site in enumerate(SITES):
            exchange.accept(site, table(8, 10 * number + seed), number)
        sizes.append(sum(path.stat().st_size for path in exchange.folder.rglob("*")))
    assert len(set(sizes)) == 1
    assert sizes[0] < len(SITES) * (table(8).size + 1000)
    exchange.clear()
    assert not exchange.folder.exists()


def test_a_damaged_bank_is_named_with_what_to_do(exchange):
    exchange.accept("hospital-01", table(), 2)
    (path,) = exchange.folder.iterdir()
    whole = path.read_bytes()
    for damage in (b"", whole[:50], whole[:-200], whole.replace(b"NUMPY", b"XXXXX")):
        path.write_bytes(damage)
        with pytest.raises(FedwardError, match=r"hospital-01.npy is damaged .* remove it"):
            exchange.bank("hospital-01", 2)


def with_row(value, at=(2, 5)):
    changed = table(6, precision="float32")
    changed.rows[at] = value
    return changed


def noisy(deviation):
    """One row again and again, each with Gaussian noise on its numbers."""
    rows = F32.rows[:1] + np.random.default_rng(1).normal(0, deviation, F32.rows.shape).astype(np.float32)
    return replace(F32, rows=rows / np.linalg.norm(rows, axis=1, keepdims=True))


GOOD = table(6)
F32 = table(6, precision="float32")
CONSTANT = replace(GOOD, rows=np.repeat(GOOD.rows[:1], 6, axis=0))
HOSTILE = {
    "constant": (GOOD, CONSTANT, "all the same"),
    "constant in float32": (F32, replace(F32, rows=np.repeat(F32.rows[:1], 6, axis=0)), "all the same"),
    "nearly constant": (F32, replace(F32, rows=F32.rows[:1] + np.float32(1e-7) * F32.rows), "all the same"),
    "a little noise on one row": (F32, noisy(5e-4), "all the same"),
    "huge norms": (F32, with_row(1e38, (slice(None), 0)), "not all of length 1"),
    "half norms": (GOOD, replace(GOOD, rows=GOOD.rows / np.float16(2)), "not all of length 1"),
    "zeros": (GOOD, replace(GOOD, rows=np.zeros_like(GOOD.rows)), "not all of length 1"),
    "NaN": (F32, with_row(np.nan), "NaN or infinity"),
    "infinity": (F32, with_row(-np.inf), "NaN or infinity"),
    "a million rows": (
        GOOD,
        replace(GOOD, rows=np.zeros((10**6, WIDTH), np.float16)),
        "1,000,000 features were offered",
    ),
    "no rows": (GOOD, table(0), "0 features were offered: from 1 to 8"),
    "too narrow": (GOOD, replace(GOOD, rows=GOOD.rows[:, 1:]), "no table of 128 numbers"),
    "one axis": (GOOD, replace(GOOD, rows=GOOD.rows[0]), "no table of 128 numbers"),
    "no array": (GOOD, replace(GOOD, rows=GOOD.rows.tolist()), "no table of 128 numbers"),
    "objects": (GOOD, replace(GOOD, rows=GOOD.rows.astype(object)), "are not float16"),
    "another precision": (GOOD, F32, "are not float16"),
    "double": (F32, replace(F32, rows=F32.rows.astype(np.float64)), "are not float32"),
    "other byte order": (F32, replace(F32, rows=F32.rows.astype(">f4")), "are not float32"),
    "partition 200": (GOOD, replace(GOOD, partitions=np.full(6, 200, np.uint8)), "another partition than 0 to 3"),
    "partitions of another type": (GOOD, replace(GOOD, partitions=np.zeros(6, int)), "not one partition each"),
    "fewer partitions": (GOOD, replace(GOOD, partitions=np.zeros(5, np.uint8)), "not one partition each"),
    "no partitions": (GOOD, replace(GOOD, partitions=None), "not one partition each"),
    "negative noise": (GOOD, replace(GOOD, noise=-0.1), "no number of at least 0"),
    "noise that is none": (GOOD, replace(GOOD, noise=float("nan")), "no number of at least 0"),
    "noise of a text": (GOOD, replace(GOOD, noise="much"), "no number of at least 0"),
    "noise of many": (GOOD, replace(GOOD, noise=np.zeros(9)), "no number of at least 0"),
    "endless noise": (GOOD, replace(GOOD, noise=float("inf")), "no number of at least 0"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_cannot_be_features_is_refused_with_a_sentence(exchange, case):
    good, hostile, sentence = HOSTILE[case]
    settings = replace(SETTINGS, precision=good.rows.dtype.name)
    check_table(good, settings)
    with pytest.raises(RefusedUpdate, match=sentence):
        check_table(hostile, settings)
    exchange.settings = settings
    exchange.accept("hospital-01", good, 2)
    with pytest.raises(RefusedUpdate, match=sentence):
        exchange.accept("hospital-01", hostile, 3)
    assert same(exchange.bank("hospital-01", 3).table, good)  # the last good ones stay


def test_less_noise_than_the_run_asks_for_is_refused():
    with pytest.raises(RefusedUpdate, match=r"less noise than the run's 0\.5"):
        check_table(table(noise=0.4), replace(SETTINGS, noise=0.5))
    check_table(table(noise=0.5), replace(SETTINGS, noise=0.5))


@pytest.mark.parametrize("values", [None, [], {}, {"rows": 1}, {**GOOD.to_dict(), "patients": ["Jones"]}])
def test_what_is_no_table_at_all(values):
    with pytest.raises(RefusedUpdate, match="no table of features"):
        read_table(values)


def test_a_table_survives_the_way():
    assert read_table(GOOD.to_dict()) == GOOD


@given(st.integers(1, 8), st.integers(0, 2**32 - 1), st.sampled_from(["float16", "float32"]))
@hypothesis_settings(max_examples=60)
def test_features_that_are_rounded_to_their_precision_are_taken(rows, seed, precision):
    check_table(table(rows, seed, precision), replace(SETTINGS, precision=precision))


@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.5))
@hypothesis_settings(max_examples=60)
def test_features_that_are_alike_but_not_the_same_are_taken(seed, spread):
    """An untrained encoder gives all slices nearly one direction."""
    alike = table(1, seed).rows.astype(float) + spread * table(8, seed + 1).rows
    alike /= np.linalg.norm(alike, axis=1, keepdims=True)
    check_table(replace(table(8), rows=alike.astype(np.float16)), SETTINGS)
