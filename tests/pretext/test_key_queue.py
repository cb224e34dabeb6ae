"""MoCo's queue: order, wrap-around and state."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from fedward.pretext.key_queue import KeyQueue


def numbered(start, count):
    return torch.arange(start, start + count, dtype=torch.float32)[:, None]


def test_the_newest_take_the_place_of_the_oldest():
    queue = KeyQueue(6, 1)
    for start in (1, 3, 5, 7):
        queue.put(numbered(start, 2))
    assert queue.keys[:, 0].tolist() == [7, 8, 3, 4, 5, 6]
    assert (queue.oldest, queue.missing) == (2, 0)


@given(size=st.integers(1, 9), counts=st.lists(st.integers(1, 9), max_size=12))
def test_it_holds_the_last_keys_whatever_the_batches(size, counts):
    queue, slow, number = KeyQueue(size, 1), [], 1
    for count in counts:
        count = min(count, size)
        queue.put(numbered(number, count))
        slow += range(number, number + count)
        number += count
    assert sorted(queue.keys[:, 0].tolist())[queue.missing :] == slow[-size:]
    assert queue.missing == max(0, size - len(slow))
    if not queue.missing:  # the oldest is the one that is overwritten next
        assert queue.keys[queue.oldest, 0] == slow[-size]


def test_clear_and_state():
    queue, other = KeyQueue(4, 2), KeyQueue(4, 2)
    queue.put(torch.rand(3, 2))
    other.load_state_dict(queue.state_dict())
    assert torch.equal(other.keys, queue.keys)
    assert (other.oldest, other.filled) == (3, 3)
    queue.clear()
    assert (queue.missing, queue.oldest, queue.keys.abs().sum()) == (4, 0, 0)


def test_keys_are_copied_without_a_graph():
    queue = KeyQueue(4, 2)
    keys = torch.rand(2, 2, requires_grad=True)
    queue.put(keys)
    assert not queue.keys.requires_grad
    keys.data.zero_()
    assert queue.keys.abs().sum() > 0
