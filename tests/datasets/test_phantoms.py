import numpy as np
import pytest
from PIL import Image

from fedward.datasets.lgg import find_cases, read_case, read_patient_table
from fedward.datasets.phantoms import Scanner, phantom_volume, scanner_of, to_uint8, write_phantoms
from fedward.errors import UsageError


def test_a_volume_has_a_bright_lesion_and_a_known_smooth_field():
    scanner = Scanner(noise=0.0, field_strength=0.2)
    image, mask, field = phantom_volume(np.random.default_rng(1), size=48, slices=12, scanner=scanner)
    assert image.shape == (12, 48, 48, 3)
    assert mask.shape == field.shape == (12, 48, 48)
    assert (image.dtype, mask.dtype, field.dtype) == (np.float32, np.bool_, np.float32)
    head = image[..., 1] > 0
    assert (head & mask).sum() == mask.sum() > 50
    log_field = np.log(field[head])
    assert log_field.mean() == pytest.approx(0, abs=1e-4)
    assert log_field.std() == pytest.approx(0.2, abs=1e-4)
    steps = np.abs(np.diff(np.log(field), axis=2))
    assert steps.max() < 0.2  # smooth: neighbours differ far less than the field's range
    flat = image / field[..., None]  # without noise, a few grey levels are left once the field is divided out
    assert len(np.unique(np.round(flat[head][:, 1]))) <= 6
    brain = head & ~mask
    assert flat[mask][:, 1].min() > flat[brain][:, 1].max()


def test_rounding_and_clipping():
    assert to_uint8(np.array([-3, 0.4, 0.6, 254.6, 300], np.float32)).tolist() == [0, 0, 1, 255, 255]


def test_phantoms_are_read_by_the_reader_of_the_real_set(phantoms):
    cases = find_cases(phantoms)
    assert [case.institution for case in cases] == ["PA"] * 3 + ["PB"] * 2 + ["PC"]
    assert all(case.slices == (1, 2, 3, 4) for case in cases)
    volumes = [read_case(case) for case in cases]
    assert all(volume.mask.any() and not volume.mask.all() for volume in volumes)
    assert set(read_patient_table(phantoms / "data.csv")) == {case.patient.rsplit("_", 1)[0] for case in cases}
    with Image.open(cases[0].images[0]) as image, Image.open(cases[0].masks[0]) as mask:
        assert (image.mode, image.info["compression"], mask.mode) == ("RGB", "tiff_adobe_deflate", "L")
        assert set(np.unique(mask)) <= {0, 255}


def test_the_same_seed_writes_the_same_files_and_another_seed_others(tmp_path):
    contents = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        write_phantoms(tmp_path / name, patients=2, slices=2, size=16, institutions=1, seed=seed)
        contents.append([path.read_bytes() for path in sorted((tmp_path / name).rglob("*.*"))])
    assert contents[0] == contents[1] != contents[2]


def test_institutions_differ():
    assert len({scanner_of(code, seed=0) for code in ("PA", "PB", "PC", "PD", "PE")}) == 5


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"patients": 0}, "patients is 0"),
        ({"slices": 0}, "slices is 0"),
        ({"size": 8}, "size is 8: give a number from 16 to 1024"),
        ({"institutions": 0}, "institutions is 0"),
        ({"patients": 3, "institutions": 4}, "institutions is 4: give a number from 1 to 3"),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path, values, reason):
    with pytest.raises(UsageError, match=reason):
        write_phantoms(tmp_path, **values)
    assert list(tmp_path.iterdir()) == []
