"""The site's bank, and what leaves of it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from fedward.contrast.bank import MemoryBank, feature_table


def numbered(first, count):
    """Vectors, partitions and scans that say which they are."""
    number = torch.arange(first, first + count)
    return number[:, None].float().expand(-1, 3), number % 4, number // 4


@given(st.integers(1, 12), st.lists(st.integers(1, 15), max_size=6))
def test_the_newest_take_the_place_of_the_oldest(size, batches):
    bank, done = MemoryBank(*numbered(0, size)), size
    for count in batches:
        bank.add(*numbered(done, count))
        done += count
    kept = bank.keys[:, 0].long()
    assert sorted(kept.tolist()) == list(range(done - size, done))
    assert torch.equal(bank.partition, kept % 4)
    assert torch.equal(bank.scan, kept // 4)


def features(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, 128, generator=generator), dim=1), torch.randint(
        4, (count,), generator=generator
    )


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_a_table_holds_every_row_with_its_partition_and_says_nothing_by_its_order(precision):
    keys, partition = features(40)
    table = feature_table(keys, partition, 0.0, precision)
    assert (table.rows.dtype, table.partitions.dtype, table.noise) == (precision, np.uint8, 0.0)
    expected = {(p, *row) for p, row in zip(partition.tolist(), keys.numpy().astype(precision).tolist(), strict=True)}
    assert {(p, *row) for p, row in zip(table.partitions.tolist(), table.rows.tolist(), strict=True)} == expected
    assert np.linalg.norm(table.rows.astype(np.float64), axis=1) == pytest.approx(1, abs=1e-3)
    shuffled = torch.randperm(40)
    again = feature_table(keys[shuffled], partition[shuffled], 0.0, precision)
    assert again.rows.tobytes() == table.rows.tobytes()
    assert again.partitions.tobytes() == table.partitions.tobytes()


def test_noise_is_put_on_each_number_and_no_seed_repeats_it():
    keys, partition = features(1)
    keys, partition = keys.expand(4000, -1), partition.expand(4000)
    torch.manual_seed(1)
    table = feature_table(keys, partition, 0.05, "float32")
    torch.manual_seed(1)
    assert not np.array_equal(table.rows, feature_table(keys, partition, 0.05, "float32").rows)
    assert table.noise == 0.05
    assert np.linalg.norm(table.rows, axis=1) == pytest.approx(1, abs=1e-5)
    # the length of unit vector plus noise is about sqrt(1 + 128 sigma^2)
    expected = 0.05 / np.sqrt(1 + 128 * 0.05**2)
    assert table.rows.std(axis=0).mean() == pytest.approx(expected, rel=0.03)


def test_a_bank_lies_where_its_features_do():
    """PyTorch's device without memory stands for a GPU."""
    keys, number = torch.zeros(4, 128, device="meta"), torch.zeros(4, dtype=torch.int64, device="meta")
    bank = MemoryBank(keys, number, number)
    bank.add(keys[:2], number[:2], number[:2])
    assert {each.device.type for each in (bank.keys, bank.partition, bank.scan)} == {"meta"}
