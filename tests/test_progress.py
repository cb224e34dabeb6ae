"""Work spread over processes comes back in order."""

import math
from pathlib import Path

import psutil
import pytest

from fedward.progress import map_in_processes


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_items(workers):
    items = [81.0, 4.0, 25.0, 1.0]
    assert list(map_in_processes(math.sqrt, items, "roots", workers)) == [9, 2, 5, 1]


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
    assert not [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    assert len(list(tmp_path.iterdir())) < 100
