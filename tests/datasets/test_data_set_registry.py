import pytest

from fedward.datasets.registry import get_data_set, image_data_set, names, scan_data_set, volume_data_set
from fedward.errors import UsageError


def test_a_data_set_is_found_by_its_name(phantoms):
    data_set = get_data_set("lgg")
    assert data_set.name == "lgg"
    assert len(data_set.find_cases(phantoms)) == 6


@pytest.mark.parametrize("name", ["LGG", "", "lgg ", "os.system", None, ["lgg"]])
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(UsageError, match=", ".join(names())):
        get_data_set(name)


@pytest.mark.parametrize(
    ("find", "known", "holds"),
    [
        (image_data_set, ("chestxray14", "chexpert", "image_folder"), "single images"),
        (volume_data_set, ("lgg",), "volumes with masks"),
        (scan_data_set, ("acdc", "nifti_folder"), "scans"),
    ],
)
def test_each_kind_is_found_by_its_name_and_refuses_the_others(find, known, holds):
    assert [find(name).name for name in known] == list(known)
    for name in set(names()) - set(known):
        with pytest.raises(UsageError, match=f"not {holds}: use one of {', '.join(known)}$"):
            find(name)
