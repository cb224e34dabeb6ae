"""Volumes of NIfTI files: one orientation, whole files, labels on the image's grid."""

import gzip
from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_files import SPACING, classes, voxels, write_nifti, write_nifti_2

from fedward.datasets.base import FileProblem
from fedward.datasets.nifti import nifti_stem, read_grid, read_nifti, read_volume
from fedward.datasets.nifti_labels import write_labels

ALL_AXES = ["".join(ends) for pairs in permutations(("LR", "PA", "SI")) for ends in product(*pairs)]
AXIAL = [axes for axes in ALL_AXES if axes[2] in "SI"]


@pytest.mark.parametrize("axes", AXIAL)
def test_axial_volumes_read_the_same_however_their_axes_point(tmp_path, axes):
    image, labels = voxels(), classes()
    path, gt = write_nifti(tmp_path / "a.nii", image, axes=axes), write_nifti(tmp_path / "b.nii", labels, axes=axes)
    read = read_volume(path, gt, most=3)
    assert (read.image.dtype, read.labels.dtype) == (np.float32, np.uint8)
    assert np.array_equal(read.image, image)
    assert np.array_equal(read.labels, labels)
    assert read.spacing == pytest.approx(SPACING)
    assert read.spacing_known
    assert read_grid(path).axes == axes


@pytest.mark.parametrize("axes", [axes for axes in ALL_AXES if axes not in AXIAL])
def test_slices_that_are_not_axial_stay_slices(tmp_path, axes):
    """The axis that the file has last becomes z; the others keep the order and directions of LPS."""
    image = voxels()
    path = write_nifti(tmp_path / "a.nii", image, axes=axes)
    read, grid = read_nifti(path)
    last = {"L": 2, "R": 2, "P": 1, "A": 1}[axes[2]]  # of (z, y, x)
    rest = [axis for axis in range(3) if axis != last]
    assert np.array_equal(read, image.transpose(last, *rest))
    assert grid.spacing == pytest.approx([SPACING[axis] for axis in (last, *rest)])
    assert grid.size == read.shape


@settings(max_examples=15)
@given(
    st.sampled_from(ALL_AXES), st.tuples(*[st.integers(2, 6)] * 3), st.floats(-0.6, 0.6), st.sampled_from([".gz", ""])
)
def test_written_labels_lie_where_the_file_has_its_voxels(tmp_path_factory, axes, shape, tilt, ending):
    folder = tmp_path_factory.mktemp("labels")
    turn = sitk.Euler3DTransform((0, 0, 0), tilt, -tilt / 2, tilt / 3)  # an oblique grid, as the heart's is
    image = sitk.GetImageFromArray(voxels(shape=shape))
    image.SetDirection(turn.GetMatrix())
    image.SetSpacing((1.3, 1.7, 6.0))
    image.SetOrigin((-40.0, 25.0, 9.0))
    image = sitk.DICOMOrient(image, axes)
    sitk.WriteImage(image, str(folder / f"image.nii{ending}"))
    read, _ = read_nifti(folder / f"image.nii{ending}")
    write_labels(folder / "labels.nii.gz", (read > 450).astype(np.uint8), folder / f"image.nii{ending}")
    back = sitk.ReadImage(str(folder / "labels.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(image) > 450)
    assert back.GetDirection() == pytest.approx(image.GetDirection(), abs=1e-5)
    assert back.GetOrigin() == pytest.approx(image.GetOrigin(), abs=1e-3)
    assert back.GetSpacing() == pytest.approx(image.GetSpacing(), abs=1e-5)
    read_volume(folder / f"image.nii{ending}", folder / "labels.nii.gz", most=1)  # they fit their image


def test_a_header_alone_says_where_the_voxels_lie(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", voxels(), axes="RAI")
    _, grid = read_nifti(path)
    header = read_grid(path)
    assert (header.size, header.spacing, header.axes) == (grid.size, grid.spacing, grid.axes)
    assert np.array_equal(header.corners, grid.corners)


@pytest.mark.parametrize("axes", ALL_AXES)
def test_spacing_in_the_order_of_the_file(tmp_path, axes):
    path = write_nifti(tmp_path / "a.nii.gz", voxels(), axes=axes)
    assert read_grid(path).file_spacing == pytest.approx(sitk.ReadImage(str(path)).GetSpacing())


@pytest.mark.parametrize(("spacing", "known"), [((1, 1, 1), False), ((8, 1, 1), True), ((1.0, 1.0, 1.01), True)])
def test_spacing_is_lost_where_it_is_all_ones(tmp_path, spacing, known):
    path = write_nifti(tmp_path / "a.nii.gz", voxels(), spacing=spacing)
    assert read_volume(path, None, 3).spacing_known is known


def test_grey_values_are_scaled_as_the_header_says(tmp_path):
    image = voxels()
    content = bytearray(write_nifti(tmp_path / "a.nii", image).read_bytes())
    content[112:120] = np.array([0.5, -20], "<f4").tobytes()  # scl_slope, scl_inter
    (tmp_path / "a.nii").write_bytes(content)
    assert np.allclose(read_volume(tmp_path / "a.nii", None, 3).image, 0.5 * image - 20)


def test_one_slice_is_read(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", voxels(shape=(1, 6, 5)))
    assert read_volume(path, None, 3).image.shape == (1, 6, 5)


def refused(path, labels=None, most=3):
    with pytest.raises(FileProblem) as raised:
        read_volume(path, labels, most)
    return raised.value


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite_are_refused(tmp_path, value, kind):
    """The NIfTI library itself would read them as 0, without a word."""
    image = voxels().astype(kind)
    image[1, 2, 3] = value
    assert (
        refused(write_nifti(tmp_path / "a.nii.gz", image)).reason == "not finite: 1 of 120 voxels are NaN or infinite"
    )


def test_a_file_of_another_byte_order_is_read_and_its_nan_found(tmp_path):
    little = write_nifti(tmp_path / "a.nii", voxels().astype(np.float32)).read_bytes()
    big = bytearray(little)
    swaps = [(0, "i4", 1), (40, "i2", 8), (70, "i2", 3), (76, "f4", 8), (108, "f4", 3), (252, "i2", 2), (256, "f4", 18)]
    for start, kind, count in [*swaps, (352, "f4", 120)]:
        values = np.frombuffer(little, f"<{kind}", count, start).astype(f">{kind}")
        big[start : start + values.nbytes] = values.tobytes()
    (tmp_path / "b.nii").write_bytes(big)
    assert np.array_equal(read_volume(tmp_path / "b.nii", None, 3).image, voxels())
    big[352:356] = np.array([np.nan], ">f4").tobytes()
    (tmp_path / "b.nii").write_bytes(big)
    assert refused(tmp_path / "b.nii").reason.startswith("not finite: 1 of 120")


def test_what_float32_cannot_hold_is_refused(tmp_path):
    image = voxels().astype(np.float64)
    image[0, 0, :2] = 1e200
    assert "2 of 120 voxels" in refused(write_nifti(tmp_path / "a.nii.gz", image)).reason


def test_a_constant_image_is_refused(tmp_path):
    problem = refused(write_nifti(tmp_path / "a.nii.gz", np.full((3, 4, 5), 7, np.int16)))
    assert problem.reason == "constant image: every voxel is 7"


def test_a_cine_is_refused(tmp_path):
    sitk.WriteImage(sitk.JoinSeries([sitk.GetImageFromArray(voxels())] * 3), str(tmp_path / "a.nii.gz"))
    problem = refused(tmp_path / "a.nii.gz")
    assert problem.reason == "not 3-D: 4 axes (5x6x4x3)"
    assert problem.advice == "save each frame as a volume of its own"


def test_a_single_picture_is_refused(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(voxels()[0]), str(tmp_path / "a.nii"))
    assert refused(tmp_path / "a.nii").reason == "not 3-D: 2 axes (5x6)"


def test_colours_are_refused(tmp_path):
    image = sitk.GetImageFromArray(np.stack([voxels()] * 3, axis=-1), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "a.nii"))
    assert refused(tmp_path / "a.nii").reason == "wrong type: 3 values a voxel"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_a_truncated_file_is_refused(tmp_path, ending, share):
    """The NIfTI library itself would fill what is missing, without a word."""
    content = write_nifti(tmp_path / f"a.{ending}", voxels(shape=(8, 40, 40))).read_bytes()
    (tmp_path / f"a.{ending}").write_bytes(content[: int(share * len(content))])
    assert refused(tmp_path / f"a.{ending}").reason.startswith("truncated: ")


def test_a_damaged_compressed_file_is_refused(tmp_path):
    content = bytearray(write_nifti(tmp_path / "a.nii.gz", voxels(shape=(8, 40, 40))).read_bytes())
    content[-6] ^= 255  # of the checksum
    (tmp_path / "a.nii.gz").write_bytes(content)
    assert refused(tmp_path / "a.nii.gz").reason == "damaged: CRC check failed"
    content[len(content) // 2] ^= 255
    (tmp_path / "a.nii.gz").write_bytes(content)
    assert refused(tmp_path / "a.nii.gz").reason.startswith(("damaged: ", "truncated: "))


def test_labels_that_are_not_finite_are_refused(tmp_path):
    image = write_nifti(tmp_path / "a.nii.gz", voxels())
    wrong = classes().astype(np.float32)
    wrong[0, 0, 0] = np.nan
    assert refused(image, write_nifti(tmp_path / "gt.nii.gz", wrong)).reason.startswith("not finite: 1 of 120")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "unreadable: the file is empty"),
        (b"not a volume " * 100, "unreadable: it is no NIfTI file"),
        (gzip.compress(b"not a volume " * 100, mtime=0), "unreadable: it is no NIfTI file"),
    ],
)
@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_what_is_no_nifti_is_refused(tmp_path, ending, content, reason):
    (tmp_path / f"a.{ending}").write_bytes(content)
    assert refused(tmp_path / f"a.{ending}").reason == reason


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_nifti_2_is_refused_with_the_way_to_convert_it(tmp_path, capfd, ending, order):
    """SimpleITK reads no such file, and its NIfTI library complains of a wrong header on its own."""
    path = write_nifti_2(tmp_path / f"a.{ending}", voxels(), order)
    image = write_nifti(tmp_path / "b.nii", voxels())
    readings = (
        lambda: read_volume(path, None, 3),
        lambda: read_volume(image, path, 900),
        lambda: read_grid(path),
        lambda: write_labels(tmp_path / "labels.nii.gz", classes(), like=path),
    )
    for read in readings:
        with pytest.raises(FileProblem) as raised:
            read()
        assert raised.value.path == path
        assert raised.value.reason == "unreadable: it is NIfTI-2, and NIfTI-1 alone is read"
        assert raised.value.advice.startswith("convert it to NIfTI-1")
    assert capfd.readouterr().err == ""
    assert not (tmp_path / "labels.nii.gz").exists()


def test_a_grid_without_right_angles_is_refused(tmp_path):
    content = bytearray(write_nifti(tmp_path / "a.nii", voxels()).read_bytes())
    content[252:256] = np.array([0, 1], "<i2").tobytes()  # by the affine alone
    content[280:328] = np.array([[1, 0.4, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    assert "right angles" in refused(tmp_path / "a.nii").reason


def test_a_missing_file_is_refused(tmp_path):
    assert refused(tmp_path / "a.nii.gz").reason == "missing: no such file"
    image = write_nifti(tmp_path / "b.nii.gz", voxels())
    assert refused(image, tmp_path / "a.nii.gz").path == tmp_path / "a.nii.gz"


@pytest.mark.parametrize(
    ("wrong", "most", "shown"),
    [
        (np.full((4, 6, 5), 4, np.uint8), 3, "wrong labels: 4"),
        (np.arange(120, dtype=np.int16).reshape(4, 6, 5), 3, "wrong labels: 4, 5, 6, 7, 8, 9, ..."),
        (np.full((4, 6, 5), -1, np.int16), 3, "wrong labels: -1"),
        (np.full((4, 6, 5), 1.5, np.float32), 3, "wrong labels: 1.5"),
        (np.full((4, 6, 5), 256, np.int16), 255, "wrong labels: 256"),
    ],
)
def test_other_labels_are_refused(tmp_path, wrong, most, shown):
    image = write_nifti(tmp_path / "a.nii.gz", voxels())
    problem = refused(image, write_nifti(tmp_path / "gt.nii.gz", wrong), most)
    assert problem.reason == shown
    assert problem.advice == f"export it with whole numbers 0 to {most}"


def test_labels_saved_as_float_are_labels(tmp_path):
    image, gt = voxels(), classes()
    read = read_volume(
        write_nifti(tmp_path / "a.nii", image), write_nifti(tmp_path / "gt.nii", gt.astype(np.float64)), 3
    )
    assert np.array_equal(read.labels, gt)


def test_labels_of_another_shape_are_refused(tmp_path):
    image = write_nifti(tmp_path / "a.nii.gz", voxels())
    problem = refused(image, write_nifti(tmp_path / "gt.nii.gz", classes(shape=(4, 5, 6))))
    assert problem.reason == "wrong size: 6x5x4 voxels, but a.nii.gz has 5x6x4"


@pytest.mark.parametrize(
    ("spacing", "origin"), [((8, 1.5, 1.5), (3, -7, 11)), (SPACING, (3, -7, 13)), ((1, 1, 1), (0, 0, 0))]
)
def test_labels_on_another_grid_are_refused(tmp_path, spacing, origin):
    image = write_nifti(tmp_path / "a.nii.gz", voxels())
    problem = refused(image, write_nifti(tmp_path / "gt.nii.gz", classes(), spacing=spacing, origin=origin))
    assert problem.reason.startswith("wrong geometry: a corner lies ")


def test_labels_whose_header_is_rounded_are_read(tmp_path):
    image = write_nifti(tmp_path / "a.nii.gz", voxels())
    gt = write_nifti(tmp_path / "gt.nii.gz", classes(), spacing=(8, 1.5, 1.2501), origin=(3, -7.1, 11))
    assert np.array_equal(read_volume(image, gt, 3).labels, classes())


def test_labels_in_a_file_whose_axes_point_elsewhere_fit(tmp_path):
    image = write_nifti(tmp_path / "a.nii.gz", voxels(), axes="RAS")
    gt = write_nifti(tmp_path / "gt.nii.gz", classes(), axes="PLI")
    assert np.array_equal(read_volume(image, gt, 3).labels, classes())


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a.nii", "a"), ("a.b.nii.gz", "a.b"), ("A.NII.GZ", "A"), (".a.nii", None), ("a.gz", None), (".nii", None)],
)
def test_names_of_files(name, stem):
    assert nifti_stem(name) == stem
