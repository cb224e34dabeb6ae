"""Work spread over processes comes back in order."""

import math

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
