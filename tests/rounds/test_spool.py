"""Results on disk come back bit for bit."""

import os

import numpy as np
import pytest

from fedward.rounds.spool import Spool

PARAMETERS = {
    "weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "half": np.array([1.5, -0.0, np.inf, np.nan], np.float16),
    "double": np.array([np.pi, 5e-324]),
    "num_batches_tracked": np.array(7),
    "scalar": np.float32(2.5),
    "flag": np.array([True, False]),
    "empty": np.zeros((0, 3), np.float32),
    "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "every other": np.arange(10, dtype=np.int32)[::2],
}


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path / "run" / "spool")
    spool.clear()
    return spool


def test_round_trip_keeps_bits_shapes_and_dtypes(spool):
    spool.put("hospital-01", PARAMETERS)
    update = spool.get("hospital-01")
    assert set(update) == set(PARAMETERS)
    assert len(update) == len(PARAMETERS)
    for key, value in PARAMETERS.items():
        kept = update[key]
        assert kept.dtype == value.dtype, key
        assert kept.shape == value.shape, key
        assert kept.tobytes() == value.tobytes(), key


def test_big_endian_values_keep_their_meaning(spool):
    spool.put("a", {"w": np.arange(3, dtype=">f4")})
    assert spool.get("a")["w"].tolist() == [0, 1, 2]


def test_a_key_that_is_not_there(spool):
    spool.put("a", {"w": np.zeros(2)})
    with pytest.raises(KeyError):
        spool.get("a")["v"]
    assert "v" not in spool.get("a")


def test_a_second_result_replaces_the_first_and_sites_do_not_touch(spool):
    spool.put("a", {"w": np.zeros(2)})
    spool.put("b", {"w": np.ones(2)})
    spool.put("a", {"w": np.full(2, 5.0)})
    assert spool.get("a")["w"].tolist() == [5, 5]
    assert spool.get("b")["w"].tolist() == [1, 1]
    assert sorted(os.listdir(spool.root)) == ["a.safetensors", "b.safetensors"]


def test_clear_forgets_and_remove_leaves_nothing(spool):
    spool.put("a", {"w": np.zeros(2)})
    spool.clear()
    assert os.listdir(spool.root) == []
    spool.remove()
    assert not spool.root.exists()
    spool.remove()


def test_a_result_that_cannot_be_kept_leaves_the_earlier_one(spool, monkeypatch):
    spool.put("a", {"w": np.zeros(2)})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        spool.put("a", {"w": np.ones(2)})
    assert spool.get("a")["w"].tolist() == [0, 0]
