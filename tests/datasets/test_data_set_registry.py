import pytest

from fedward.datasets.registry import get_data_set, names
from fedward.errors import UsageError


def test_a_data_set_is_found_by_its_name(phantoms):
    data_set = get_data_set("lgg")
    assert data_set.name == "lgg"
    assert len(data_set.find_cases(phantoms)) == 6


@pytest.mark.parametrize("name", ["LGG", "", "lgg ", "os.system", None, ["lgg"]])
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(UsageError, match=", ".join(names())):
        get_data_set(name)
