"""The cache: what is in it is not made again; what is damaged, is."""

import errno
import os
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedward.datasets.phantoms import write_phantoms
from fedward.datasets.registry import get_data_set
from fedward.errors import DataError, FedwardError
from fedward.preprocessing import cache as cache_module
from fedward.preprocessing.cache import case_key, load_prepared, prepare_cases
from fedward.preprocessing.settings import PreprocessingSettings

PLAIN = PreprocessingSettings(bias_field="none", image_size=24)
LGG = get_data_set("lgg")


@pytest.fixture
def data(tmp_path):
    write_phantoms(tmp_path / "data", patients=3, slices=5, size=24, institutions=2, seed=1)
    return tmp_path / "data"


class Reads:
    """The data set, counting what is read."""

    def __init__(self):
        self.patients = []
        self.data_set = replace(LGG, read_case=self.read)

    def read(self, case):
        self.patients.append(case.patient)
        return LGG.read_case(case)

    def prepare(self, cases, cache, settings=PLAIN):
        return prepare_cases(self.data_set, cases, settings, cache, workers=1, quiet=True)


def same(one, other):
    return (
        one.patient == other.patient
        and one.notes == other.notes
        and np.array_equal(one.image, other.image)
        and np.array_equal(one.mask, other.mask)
    )


def test_nothing_is_made_twice(data, tmp_path):
    cases, reads = LGG.find_cases(data), Reads()
    first = reads.prepare(cases, tmp_path / "cache")
    assert reads.patients == [case.patient for case in cases]
    second = reads.prepare(cases, tmp_path / "cache")
    assert len(reads.patients) == 3
    assert all(same(a, b) for a, b in zip(first, second, strict=True))
    assert second[0].image.dtype == np.float16
    assert second[0].mask.dtype == np.bool_


def test_the_order_is_that_of_the_cases_whatever_is_cached(data, tmp_path):
    cases, reads = LGG.find_cases(data), Reads()
    reads.prepare(cases[1:2], tmp_path / "cache")
    asked = [cases[2], cases[1], cases[0], cases[1]]
    prepared = reads.prepare(asked, tmp_path / "cache")
    assert [case.patient for case in prepared] == [case.patient for case in asked]
    assert len(reads.patients) == 3
    assert reads.prepare([], tmp_path / "nothing") == []


def test_processes_make_the_same_as_one(data, tmp_path):
    cases = LGG.find_cases(data)
    one = prepare_cases(LGG, cases, PLAIN, tmp_path / "one", workers=1, quiet=True)
    two = prepare_cases(LGG, cases, PLAIN, tmp_path / "two", workers=2, quiet=True)
    assert all(same(a, b) for a, b in zip(one, two, strict=True))


def test_the_key_follows_content_and_settings_but_not_the_place(data, tmp_path):
    case = LGG.find_cases(data)[0]
    key = case_key(LGG, case, PLAIN)
    data.rename(tmp_path / "moved")
    moved = LGG.find_cases(tmp_path / "moved")[0]
    assert case_key(LGG, moved, PLAIN) == key
    for changed in ({"image_size": 25}, {"bias_field": "n4"}, {"percentiles": (2, 99)}, {"channels": "flair"}):
        assert case_key(LGG, moved, replace(PLAIN, **changed)) != key
    swapped = replace(moved, images=moved.images[::-1])
    assert case_key(LGG, swapped, PLAIN) != key
    file = moved.masks[-1]
    file.write_bytes(file.read_bytes() + b"\0")
    assert case_key(LGG, moved, PLAIN) != key


def test_a_new_version_of_the_algorithm_makes_all_again(data, tmp_path, monkeypatch):
    cases, reads = LGG.find_cases(data), Reads()
    reads.prepare(cases, tmp_path / "cache")
    monkeypatch.setattr(cache_module, "ALGORITHM_VERSION", cache_module.ALGORITHM_VERSION + 1)
    reads.prepare(cases, tmp_path / "cache")
    assert len(reads.patients) == 6


@pytest.mark.parametrize("damage", ["empty", "cut", "rubbish", "other case", "pickle"])
def test_a_damaged_file_is_made_again_and_counted(data, tmp_path, caplog, damage):
    cases, reads = LGG.find_cases(data), Reads()
    first = reads.prepare(cases, tmp_path / "cache")
    file, other = sorted((tmp_path / "cache").iterdir())[:2]
    content = file.read_bytes()
    if damage == "pickle":
        np.savez(file, image=np.array([{}], object), mask=np.ones(1, bool), about=np.ones(1, np.uint8))
    else:
        file.write_bytes(
            {"empty": b"", "cut": content[:-100], "rubbish": b"PK\3\4 no", "other case": other.read_bytes()}[damage]
        )
    again = reads.prepare(cases, tmp_path / "cache")
    assert len(reads.patients) == 4
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert "1 damaged cached files were made again" in caplog.text
    assert load_prepared(file) is not None


@pytest.fixture(scope="module")
def cached_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flips")
    write_phantoms(folder / "data", patients=1, slices=2, size=16, institutions=1)
    settings = PreprocessingSettings(bias_field="none", image_size=16)
    prepare_cases(LGG, LGG.find_cases(folder / "data"), settings, folder / "cache", workers=1, quiet=True)
    (file,) = (folder / "cache").iterdir()
    return file, file.read_bytes(), load_prepared(file)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_flipped_byte_gives_other_pixels(cached_file, data):
    file, content, whole = cached_file
    place = data.draw(st.integers(0, len(content) - 1))
    flipped = bytearray(content)
    flipped[place] ^= data.draw(st.integers(1, 255))
    file.write_bytes(flipped)
    loaded = load_prepared(file)
    assert loaded is None or same(loaded, whole)  # some bytes of a zip file (dates) mean nothing to us


def test_a_missing_or_unreadable_image_is_named(data, tmp_path):
    case = LGG.find_cases(data)[0]
    case.images[2].write_bytes(b"II*\0")
    with pytest.raises(DataError, match=case.images[2].name):
        prepare_cases(LGG, [case], PLAIN, tmp_path / "cache", quiet=True)
    case.images[2].unlink()
    with pytest.raises(DataError, match=rf"{case.images[2].name}.*check-data"):
        prepare_cases(LGG, [case], PLAIN, tmp_path / "cache", quiet=True)


def test_a_cache_folder_that_is_a_file_is_refused_before_the_work(data, tmp_path):
    (tmp_path / "file").write_text("")
    reads = Reads()
    for cache in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FedwardError, match=r"cache folder .* cannot be written") as caught:
            reads.prepare(LGG.find_cases(data), cache)
        assert caught.value.exit_code == 1
    assert reads.patients == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_cache_is_refused(data, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o500)
    with pytest.raises(FedwardError, match="Permission denied"):
        Reads().prepare(LGG.find_cases(data), cache)


def test_a_full_disk_is_told_and_leaves_no_part_of_a_file(data, tmp_path, monkeypatch):
    cases = LGG.find_cases(data)
    written = []

    def fsync(handle):
        if os.fstat(handle).st_size > 1000:
            if len(written) == 1:
                raise OSError(errno.ENOSPC, "No space left on device")
            written.append(handle)

    monkeypatch.setattr("fedward.rounds.run_folder.os.fsync", fsync)
    with pytest.raises(FedwardError, match=r"No space left on device.*free space"):
        Reads().prepare(cases, tmp_path / "cache")
    (left,) = (tmp_path / "cache").iterdir()  # the first case, whole
    assert load_prepared(left) is not None


def test_names_of_patients_cannot_leave_the_cache(data, tmp_path):
    case = replace(LGG.find_cases(data)[0], patient="../../x" + "y" * 300)
    (prepared,) = Reads().prepare([case], tmp_path / "cache")
    assert prepared.patient == case.patient
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_notes_are_kept_and_told_each_time(data, tmp_path, caplog):
    from PIL import Image

    case = LGG.find_cases(data)[0]
    for path in case.images:
        Image.new("RGB", (24, 24)).save(path)
    for _ in range(2):
        caplog.clear()
        (prepared,) = Reads().prepare([case], tmp_path / "cache", PreprocessingSettings("n4", image_size=24))
        assert "bias field left as it is" in prepared.notes[0]
        assert f"{case.patient}: bias field left as it is" in caplog.text


def test_sixty_cached_cases_load_within_two_seconds(tmp_path):
    write_phantoms(tmp_path / "data", patients=1, slices=36, size=96, institutions=1)
    (case,) = LGG.find_cases(tmp_path / "data")
    sixty = [replace(case, patient=f"P{n}") for n in range(60)]
    plain = PreprocessingSettings("none")
    (image,) = {c.image.shape for c in prepare_cases(LGG, sixty, plain, tmp_path / "cache", workers=1, quiet=True)}
    assert image == (36, 3, 96, 96)
    start = time.process_time()
    assert len(prepare_cases(LGG, sixty, plain, tmp_path / "cache", workers=1, quiet=True)) == 60
    assert time.process_time() - start < 2
