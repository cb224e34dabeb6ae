"""`fedward predict` with a model of structures: from volumes to labels on their grid, by networks of known answers."""

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from fedward.cli import cli, run
from fedward.networks.checkpoint import get_parameters, save_model
from fedward.networks.registry import build_network
from fedward.preprocessing.settings import PreprocessingSettings

TURNED = np.linalg.qr(np.array([[0.1, -0.9, 0.2], [0.9, 0.1, -0.3], [0.2, 0.3, -0.9]]))[0]
GREY = (0, 100, 200, 300)  # of background and structures
SPACING = (1.4, 1.4, 8.0)


def heart(shape=(4, 60, 56)):
    """A structure each in a box of its own; image int16 and labels uint8."""
    labels = np.zeros(shape, np.uint8)
    labels[:, 20:32, 12:24], labels[1:, 20:40, 28:36], labels[:, 34:46, 14:26] = 1, 2, 3
    return np.choose(labels, GREY).astype(np.int16), labels


def write(path, voxels, direction=TURNED, spacing=SPACING):
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing)
    image.SetOrigin((10.5, -20.25, 33.3))
    image.SetDirection(np.asarray(direction).ravel().tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def predict(model, source, out, *more):
    arguments = ["--model", model, "--input", source, "--output", out, "--workers", "1", "--device", "cpu", *more]
    return run(cli, ["predict", *map(str, arguments)])


def about(spacing=None, **changes):
    settings = PreprocessingSettings("none", percentiles=(0.0, 100.0), image_size=64, pixel_spacing=spacing)
    return {"data_set": "acdc", "preprocessing": settings.to_dict(), "round": 2, **changes}


@pytest.fixture
def level_model(monkeypatch, tmp_path):
    """A model file that stands for a network telling structures by their grey level in `heart`."""
    import torch

    image, _ = heart()
    levels = [(grey - image.mean()) / image.std() for grey in GREY]

    class Levels(torch.nn.Module):
        def forward(self, image):
            return torch.cat([-((image - level) ** 2) for level in levels], dim=1)

    metadata = {"network": "unet_structures", "network_args": {"out_channels": 4}, **about()}
    monkeypatch.setattr("fedward.networks.checkpoint.load_model", lambda path: (Levels(), metadata))
    (tmp_path / "model.safetensors").write_bytes(b"")
    return tmp_path / "model.safetensors"


def save_constant(path, place, bias, spacing=None):
    """A model file of a network whose outputs are 0 everywhere, but for `bias` at `place`."""
    arguments = {"in_channels": 1, "out_channels": 4, "features": 2, "depth": 2}
    parameters = {k: np.zeros_like(v) for k, v in get_parameters(build_network("unet_structures", arguments)).items()}
    parameters["head.bias"][place] = bias
    save_model(path, parameters, "unet_structures", arguments, **about(spacing=spacing))
    return path


def parts(path):
    image = sitk.ReadImage(str(path))
    return image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()


@pytest.mark.parametrize("direction", [np.eye(3), np.diag([-1, -1, 1]), np.diag([1, -1, -1]), TURNED])
def test_one_file_on_its_own_grid(tmp_path, level_model, capsys, direction):
    image, labels = heart()
    source = write(tmp_path / "in" / "scan.nii.gz", image, direction)
    write(tmp_path / "in" / "scan_gt.nii.gz", labels, direction)
    assert predict(level_model, source, tmp_path / "out") == 0
    found = tmp_path / "out" / "scan_structures.nii.gz"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["overlays", found.name]
    assert parts(found) == parts(source)  # bit by bit: tests/datasets/test_nifti_labels.py has the header's bytes
    voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(found)))
    assert voxels.dtype == np.uint8
    assert np.array_equal(voxels, labels)
    millilitres = [f"{(labels == n).sum() * np.prod(SPACING) / 1000:.1f}" for n in (1, 2, 3)]
    assert capsys.readouterr().out.split("\n")[1].split()[2:] == [
        word for volume in millilitres for word in (volume, "ml,", "Dice", "1.000")
    ]
    with Image.open(tmp_path / "out" / "overlays" / "scan.png") as picture:
        assert picture.info["Description"] == "scan"
        assert min(picture.size) > 200


ASSUMED = "its spacing is lost: pixels of 1 mm are assumed, and sizes in mm cannot be trusted"
UNKNOWN = "its file says 1 x 1 x 1 mm, so volumes in ml are not known"
LONG = "b/" + 5 * "long-" + "name_of_a_scan_frame01"


def remarks(error):
    """Lines of remarks, without the progress bar."""
    return [line for line in error.splitlines() if ": its " in line or "remarks" in line]


def test_a_folder_of_scans_with_and_without_truth(tmp_path, level_model, capsys):
    image, labels = heart()
    for name in ("a/a_frame01", "b/b_frame01", LONG):
        write(tmp_path / "in" / f"{name}.nii.gz", image)
    write(tmp_path / "in" / "a" / "a_frame01_gt.nii.gz", labels)
    write(tmp_path / "in" / "b" / "patient001_4d.nii.gz", np.stack([image, image]).astype(np.float32)[0])
    write(tmp_path / "in" / "lost.nii", image, spacing=(1.0, 1.0, 1.0))
    write(tmp_path / "in" / "old_structures.nii.gz", labels)
    assert predict(level_model, tmp_path / "in", tmp_path / "out") == 0
    written = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.nii.gz"))
    names = ["a/a_frame01", "b/b_frame01", LONG, "lost"]
    assert written == [f"{name}_structures.nii.gz" for name in names]
    assert [p for name in names if not (p := tmp_path / "out" / "overlays" / f"{name}.png").is_file()] == []
    shown = capsys.readouterr()
    lines = {line.split()[0]: line for line in shown.out.splitlines() if line.strip()}
    assert "Dice" in lines["a/a_frame01"]
    assert lines[LONG].count(" ml") == 3  # in one line, for who reads it from a file
    assert "ml" in lines["b/b_frame01"]
    assert "Dice" not in lines["b/b_frame01"]
    assert lines["lost"].split()[1:] == ["4", "–", "–", "–"]
    assert remarks(shown.err) == [f"lost: {UNKNOWN}"]  # pixels were not resampled: nothing was assumed


@pytest.mark.parametrize("workers", [1, 2])
def test_lost_spacing_is_told_once_a_scan(tmp_path, capsys, workers):
    model = save_constant(tmp_path / "m.safetensors", 3, 1, spacing=1.5)
    for name, spacing in (("a", SPACING), ("b/lost", (1.0, 1.0, 1.0)), ("lost", (1.0, 1.0, 1.0)), ("z", SPACING)):
        write(tmp_path / "in" / f"{name}.nii.gz", heart()[0], spacing=spacing)
    assert predict(model, tmp_path / "in", tmp_path / "out", "--workers", str(workers)) == 0
    shown = capsys.readouterr()
    assert remarks(shown.err) == [f"{name}: {ASSUMED}; {UNKNOWN}" for name in ("lost", "b/lost")]
    assert "assumed" not in shown.out
    no_nifti(tmp_path / "in" / "c.nii.gz")
    assert predict(model, tmp_path / "in", tmp_path / "again") == 1
    assert "lost: its spacing is lost" in (error := capsys.readouterr().err)
    assert "1 of 5 scans" in error


def test_of_many_remarks_the_first_are_told(tmp_path, capsys):
    model = save_constant(tmp_path / "m.safetensors", 3, 1, spacing=1.5)
    for n in range(22):
        write(tmp_path / "in" / f"{n:02d}.nii", heart((2, 60, 56))[0], spacing=(1.0, 1.0, 1.0))
    assert predict(model, tmp_path / "in", tmp_path / "out") == 0
    told = remarks(capsys.readouterr().err)
    names = [f"{n:02d}" for n in range(20)]
    assert [line.split(":")[0] for line in told] == [*names, "... and remarks on 2 more scans"]


def test_a_real_network_from_a_file(tmp_path):
    model = save_constant(tmp_path / "m.safetensors", 3, 1, spacing=1.5)
    source = write(tmp_path / "scan.nii.gz", heart()[0])
    assert predict(model, source, tmp_path / "out") == 0
    voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "scan_structures.nii.gz")))
    assert (voxels == 3).all()
    save_constant(model, 0, np.nan)
    assert predict(model, source, tmp_path / "bad") == 1


def four_dimensions(path):
    image = sitk.JoinSeries([sitk.GetImageFromArray(heart()[0])] * 2)
    sitk.WriteImage(image, str(path))


def not_finite(path):
    voxels = heart()[0].astype(np.float32)
    voxels[0, 0, :2] = np.nan, np.inf
    write(path, voxels)


def cut_short(path):
    write(path, heart()[0])
    path.write_bytes(path.read_bytes()[:-200])


def one_value(path):
    write(path, np.zeros((3, 20, 20), np.int16))


def no_nifti(path):
    path.write_text("x" * 500)


def nifti_2(path):
    path.write_bytes(b"\x1c\x02\0\0n+2\0\r\n\x1a\n" + bytes(600))


def wrong_truth(path):
    write(path, heart()[0])
    write(path.with_name("scan_gt.nii.gz"), heart()[1] * 2)


def truth_elsewhere(path):
    write(path, heart()[0])
    write(path.with_name("scan_gt.nii.gz"), heart()[1][:3])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (four_dimensions, "not 3-D: 4 axes"),
        (not_finite, "2 of 13440 voxels are NaN or infinite"),
        (cut_short, "truncated"),
        (one_value, "constant image"),
        (no_nifti, "it is no NIfTI file"),
        (nifti_2, "it is NIfTI-2, and NIfTI-1 alone is read; convert it to NIfTI-1"),
        (wrong_truth, "wrong labels: 4, 6"),
        (truth_elsewhere, "wrong size"),
    ],
)
@pytest.mark.parametrize("whole_folder", [True, False])
def test_bad_scans_name_the_file_and_leave_nothing_behind(tmp_path, level_model, capsys, make, words, whole_folder):
    (tmp_path / "in").mkdir()
    make(tmp_path / "in" / "scan.nii.gz")
    source = tmp_path / "in" if whole_folder else tmp_path / "in" / "scan.nii.gz"
    assert predict(level_model, source, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert words in error
    assert "scan" in error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "model.safetensors"]


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_scans_are_named_and_the_others_predicted(tmp_path, level_model, capsys, workers):
    source, tiny = tmp_path / "in", np.arange(3 * 4 * 4, dtype=np.int16).reshape(3, 4, 4)
    for name in ("a", "m", "z"):
        write(source / f"{name}.nii.gz", heart()[0])
    for name, make in (("b", cut_short), ("k/c", no_nifti), ("y", lambda path: write(path, tiny))):
        path = source / f"{name}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        make(path)
    assert predict(level_model, source, tmp_path / "out", "--workers", str(workers)) == 1
    shown = capsys.readouterr()
    assert f"3 of 6 scans in {source} were not read; the others are in {tmp_path / 'out'}:" in shown.err
    for words in ("b.nii.gz: truncated", "c.nii.gz: unreadable: it is no NIfTI file", "y.nii.gz: its slices of 4 x 4"):
        assert words in shown.err
    assert [line.split()[0] for line in shown.out.splitlines()[1:4]] == ["a", "m", "z"]
    names = [f"{name}_structures.nii.gz" for name in ("a", "m", "z")]
    assert sorted(p.name for p in (tmp_path / "out").rglob("*.nii.gz")) == names
    assert sorted(p.name for p in (tmp_path / "out" / "overlays").iterdir()) == ["a.png", "m.png", "z.png"]


def test_nothing_is_left_where_no_scan_can_be_read(tmp_path, level_model, capsys):
    (tmp_path / "in").mkdir()
    for n in range(22):
        no_nifti(tmp_path / "in" / f"{n:02d}.nii")
    assert predict(level_model, tmp_path / "in", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert f"none of the 22 scans in {tmp_path / 'in'} can be read" in error
    assert "19.nii: unreadable" in error
    assert "and 2 more" in error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "model.safetensors"]


def test_bad_inputs(tmp_path, level_model, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("x")
    assert predict(level_model, tmp_path / "in", tmp_path / "out") == 1
    assert "holds no scan" in capsys.readouterr().err
    assert predict(level_model, tmp_path / "in" / "notes.txt", tmp_path / "out") == 1
    assert "give a file that ends in .nii or .nii.gz" in capsys.readouterr().err
    source = write(tmp_path / "scan.nii.gz", heart()[0])
    assert predict(level_model, source, tmp_path / "out", "--overlays", "2") == 2
    assert "--overlays is for X-rays" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data_set": "lgg"}, "does not say which structures"),
        ({"preprocessing": {"colour": "red"}}, "does not say which structures"),
        ({"data_set": "nifti_folder"}, "4 outputs but nifti_folder has 0 structures"),
    ],
)
def test_models_that_do_not_say_enough(tmp_path, capsys, changes, words):
    arguments = {"in_channels": 1, "out_channels": 4, "features": 2, "depth": 2}
    parameters = get_parameters(build_network("unet_structures", arguments))
    save_model(tmp_path / "m.safetensors", parameters, "unet_structures", arguments, **about(**changes))
    source = write(tmp_path / "scan.nii.gz", heart()[0])
    assert predict(tmp_path / "m.safetensors", source, tmp_path / "out") == 1
    assert words in capsys.readouterr().err


def test_a_file_is_for_volumes_alone(tmp_path, capsys):
    arguments = {"in_channels": 3, "out_channels": 1, "features": 2, "depth": 2}
    save_model(tmp_path / "m.safetensors", get_parameters(build_network("unet", arguments)), "unet", arguments)
    source = write(tmp_path / "scan.nii.gz", heart()[0])
    assert predict(tmp_path / "m.safetensors", source, tmp_path / "out") == 2
    assert "this model of segmentation takes a folder" in capsys.readouterr().err
