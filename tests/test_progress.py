"""Work spread over processes comes back in order."""

import math
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from fedward.errors import FedwardError
from fedward.progress import map_in_processes
from processes import words


@pytest.mark.parametrize("chunk", [1, 3, 100])
@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_items(workers, chunk):
    items = [float(number**2) for number in range(20, 0, -1)]
    assert list(map_in_processes(math.sqrt, items, "roots", workers, chunk=chunk)) == list(range(20, 0, -1))


def test_nothing_to_do():
    assert list(map_in_processes(math.sqrt, [], "roots")) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_reaches_the_caller(workers):
    with pytest.raises(ValueError, match=r"math domain|nonnegative"):
        list(map_in_processes(math.sqrt, [4.0, -1.0], "roots", workers))


def test_no_bar_where_there_is_no_terminal(capsys):
    list(map_in_processes(math.sqrt, [4.0], "roots", 1))
    assert capsys.readouterr() == ("", "")


def slow_mark(path: Path) -> None:
    sum(range(3_000_000))
    path.touch()


def test_closing_it_ends_the_workers_and_leaves_the_rest_undone(tmp_path):
    items = [tmp_path / str(number) for number in range(300)]
    results = map_in_processes(slow_mark, items, "marks", 2, quiet=True)
    next(results)
    results.close()
    children = psutil.Process().children()
    assert not [child for child in children if "spawn_main" in " ".join(words(child))]
    assert len(list(tmp_path.iterdir())) < 100


def mark(path: Path) -> None:
    path.touch()


def test_workers_wait_for_a_slow_reader(tmp_path):
    """What they made ahead lies in memory: all images of a large folder would not fit."""
    items = [tmp_path / str(number) for number in range(300)]
    results = map_in_processes(mark, items, "marks", 2, quiet=True, chunk=5)
    next(results)
    time.sleep(2)
    assert len(list(tmp_path.iterdir())) <= 30  # some chunks a worker, and the one that was read
    assert len(list(results)) == 299
    assert len(list(tmp_path.iterdir())) == 300


def killed(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_worker_that_is_killed_is_a_sentence():
    with pytest.raises(FedwardError, match=r"Reading: one of 2 worker processes was killed.*--workers"):
        list(map_in_processes(killed, range(8), "Reading", 2, quiet=True))
