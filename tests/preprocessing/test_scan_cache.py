"""The cache of scans: what is in it is not made again; what is damaged, is; frames are not mixed up."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedward.datasets.scan import Scan, ScanDataSet, ScanVolume
from fedward.errors import DataError, FedwardError, UsageError
from fedward.preprocessing import scan_cache as module
from fedward.preprocessing.scan_cache import load_prepared_scan, prepare_scans, scan_key
from fedward.preprocessing.settings import PreprocessingSettings

PLAIN = PreprocessingSettings("none", image_size=16, pixel_spacing=1.5)


def read(scan):
    """The voxels in a plain NumPy file; labels where there are some; spacing known where the patient is not 'lost'."""
    if not scan.image.stat().st_size:
        raise DataError(f"{scan.image}: empty file")
    labels = None if scan.labels is None else np.load(scan.labels)
    known = "lost" not in scan.patient
    return ScanVolume(np.load(scan.image), labels, (8.0, 1.5, 1.5) if known else (1.0, 1.0, 1.0), known)


SCANS = ScanDataSet("arrays", "Arrays", ("one", "two"), lambda root: [], read, lambda root, workers, quiet: None)


class Reads:
    """The data set, counting what is read."""

    def __init__(self):
        self.frames = []
        self.data_set = replace(SCANS, read_scan=self.read)

    def read(self, scan):
        self.frames.append((scan.patient, scan.frame))
        return read(scan)

    def prepare(self, scans, cache, settings=PLAIN):
        return prepare_scans(self.data_set, scans, settings, cache, workers=1, quiet=True)


def write_scans(folder, patients=("p1", "p2"), labelled=True):
    folder.mkdir()
    scans = []
    for seed, (patient, frame) in enumerate((p, f) for p in patients for f in ("ED", "ES")):
        rng = np.random.default_rng(seed)
        image, labels = (folder / f"{patient}{frame}{kind}.npy" for kind in ("", "_gt"))
        np.save(image, rng.random((3, 20, 17)).astype(np.float32))
        np.save(labels, rng.integers(0, 3, (3, 20, 17)).astype(np.uint8))
        scans.append(Scan(patient, frame, image, labels if labelled else None, ""))
    return scans


@pytest.fixture
def scans(tmp_path):
    return write_scans(tmp_path / "data")


def same(one, other):
    plain = ("patient", "frame", "spacing", "spacing_known", "notes")
    labels = (one.labels is None) == (other.labels is None)
    if labels and one.labels is not None:
        labels = np.array_equal(one.labels, other.labels)
    return (
        labels
        and np.array_equal(one.image, other.image)
        and all(getattr(one, n) == getattr(other, n) for n in plain)
        and type(one.spacing) is type(other.spacing)
    )


@pytest.mark.parametrize("labelled", [True, False])
def test_nothing_is_made_twice_and_the_order_is_that_asked_for(tmp_path, labelled):
    scans, reads = write_scans(tmp_path / "data", labelled=labelled), Reads()
    first = reads.prepare(scans, tmp_path / "cache")
    assert reads.frames == [("p1", "ED"), ("p1", "ES"), ("p2", "ED"), ("p2", "ES")]
    again = reads.prepare(scans[::-1], tmp_path / "cache")
    assert len(reads.frames) == 4
    assert all(same(a, b) for a, b in zip(first, again[::-1], strict=True))
    assert first[0].image.shape == (3, 16, 16)
    assert again[0].image.dtype == np.float16
    assert (again[0].labels is not None) == labelled
    assert reads.prepare([], tmp_path / "nothing") == []


def test_processes_make_the_same_as_one(scans, tmp_path):
    one = prepare_scans(SCANS_FOR_PROCESSES, scans, PLAIN, tmp_path / "one", workers=1, quiet=True)
    two = prepare_scans(SCANS_FOR_PROCESSES, scans, PLAIN, tmp_path / "two", workers=2, quiet=True)
    assert all(same(a, b) for a, b in zip(one, two, strict=True))


def nothing(*_):
    return []


SCANS_FOR_PROCESSES = replace(SCANS, find_scans=nothing, check=nothing)


def test_frames_of_one_content_and_names_that_look_alike_stay_apart(scans, tmp_path):
    one = scans[0]
    alike = [one, replace(one, frame="ES"), replace(one, patient="p 1"), replace(one, patient="p_1"),
             replace(one, patient="p1 ED", frame=""), replace(one, patient="../../x" + "y" * 300)]  # fmt: skip
    reads = Reads()
    for _ in range(2):
        prepared = reads.prepare(alike, tmp_path / "cache")
        assert [(p.patient, p.frame) for p in prepared] == [(s.patient, s.frame) for s in alike]
    assert len(reads.frames) == len(alike) == len(list((tmp_path / "cache").iterdir()))


def test_the_key_follows_content_and_settings_but_not_the_place(scans, tmp_path):
    key = scan_key(SCANS, scans[0], PLAIN)
    shutil.copytree(scans[0].image.parent, tmp_path / "moved")
    image, labels = (tmp_path / "moved" / path.name for path in (scans[0].image, scans[0].labels))
    moved = replace(scans[0], image=image, labels=labels)
    assert scan_key(SCANS, moved, PLAIN) == key
    for changed in ({"image_size": 17}, {"percentiles": (2, 99)}, {"pixel_spacing": 1.25}, {"pixel_spacing": None}):
        assert scan_key(SCANS, moved, replace(PLAIN, **changed)) != key
    assert scan_key(SCANS, replace(moved, labels=None), PLAIN) != key
    assert scan_key(replace(SCANS, name="other"), moved, PLAIN) != key
    labels.write_bytes(labels.read_bytes() + b"\0")
    assert scan_key(SCANS, moved, PLAIN) != key
    labels.unlink()
    with pytest.raises(DataError, match=r"p1ED_gt\.npy.*check-data"):
        scan_key(SCANS, moved, PLAIN)


def test_a_new_version_of_the_algorithm_makes_all_again(scans, tmp_path, monkeypatch):
    reads = Reads()
    reads.prepare(scans, tmp_path / "cache")
    monkeypatch.setattr(module, "ALGORITHM_VERSION", module.ALGORITHM_VERSION + 1)
    reads.prepare(scans, tmp_path / "cache")
    assert len(reads.frames) == 8


@pytest.mark.parametrize("damage", ["empty", "cut", "rubbish", "other scan", "pickle", "no labels", "other dtype"])
def test_a_damaged_file_is_made_again_and_counted(scans, tmp_path, caplog, damage):
    reads = Reads()
    first = reads.prepare(scans, tmp_path / "cache")
    file, other = sorted((tmp_path / "cache").iterdir())[:2]
    content = file.read_bytes()
    if damage in ("no labels", "other dtype", "pickle"):
        members = dict(np.load(file))
        if damage == "no labels":
            del members["labels"]
        else:
            members["image"] = np.array([{}], object) if damage == "pickle" else members["image"].astype(np.float32)
        np.savez(file, **members)
    else:
        wrong = {"empty": b"", "cut": content[:-100], "rubbish": b"PK\3\4 no", "other scan": other.read_bytes()}
        file.write_bytes(wrong[damage])
    again = reads.prepare(scans, tmp_path / "cache")
    assert len(reads.frames) == 5
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert "1 damaged cached files were made again" in caplog.text
    assert load_prepared_scan(file) is not None


@pytest.fixture(scope="module", params=[True, False], ids=["labelled", "unlabelled"])
def cached_file(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("flips")
    scans = write_scans(folder / "data", ("lost",), labelled=request.param)
    prepare_scans(SCANS, scans[:1], PLAIN, folder / "cache", workers=1, quiet=True)
    (file,) = (folder / "cache").iterdir()
    return file, file.read_bytes(), load_prepared_scan(file)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_flipped_byte_gives_another_scan(cached_file, data):
    file, content, whole = cached_file
    place = data.draw(st.integers(0, len(content) - 1) | st.integers(len(content) - 300, len(content) - 1))
    flipped = bytearray(content)
    flipped[place] ^= data.draw(st.integers(1, 255))
    file.write_bytes(flipped)
    loaded = load_prepared_scan(file)
    assert loaded is None or same(loaded, whole)  # some bytes of a zip file (dates) mean nothing to us


def test_a_note_that_many_scans_share_is_told_once_and_each_time(tmp_path, caplog):
    scans = write_scans(tmp_path / "data", ("lost1", "lost2"))
    for _ in range(2):
        caplog.clear()
        prepared = Reads().prepare(scans, tmp_path / "cache")
        assert all("spacing is lost" in scan.notes[0] for scan in prepared)
        assert caplog.text.count("spacing is lost") == 1
        assert "lost1 ED and 3 others: its spacing is lost" in caplog.text


def test_errors_come_before_the_work_and_name_the_file(scans, tmp_path):
    reads = Reads()
    (tmp_path / "file").write_text("")
    with pytest.raises(FedwardError, match=r"cache folder .* cannot be written"):
        reads.prepare(scans, tmp_path / "file")
    with pytest.raises(UsageError, match="bias_field none"):
        reads.prepare(scans, tmp_path / "cache", PreprocessingSettings())
    assert reads.frames == []
    scans[1].image.write_bytes(b"")
    with pytest.raises(DataError, match=r"p1ES\.npy: empty file"):
        reads.prepare(scans, tmp_path / "cache")
    (left,) = Path(tmp_path / "cache").iterdir()  # the first scan, whole
    assert load_prepared_scan(left).frame == "ED"
