"""Reading of images: every kind of PNG and JPEG becomes 8-bit grey, every fault a message with the file's name."""

import io

import numpy as np
import pytest
from PIL import Image
from xray_sets import save_deep_png

from fedward.datasets.base import FileProblem
from fedward.datasets.xray_image import deep_values, opened, read_resized, read_xray

RAMP = np.tile(np.arange(256, dtype=np.uint8), (16, 1))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_grey_in_any_mode_reads_as_the_same_grey(tmp_path, mode):
    path = tmp_path / "image.png"
    Image.fromarray(RAMP).convert(mode).save(path)
    with Image.open(path) as image:
        assert image.mode == mode
    pixels = read_xray(path)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, RAMP)


def test_transparency_does_not_change_the_grey(tmp_path):
    pixels = np.stack([RAMP, RAMP, RAMP, np.zeros_like(RAMP)], axis=-1)
    Image.fromarray(pixels, "RGBA").save(tmp_path / "image.png")
    np.testing.assert_array_equal(read_xray(tmp_path / "image.png"), RAMP)


@pytest.mark.parametrize(("bits", "factor"), [(16, 257), (14, 16383 / 255), (12, 4095 / 255)])
def test_sixteen_bit_grey_is_scaled_by_the_depth_that_holds_it(tmp_path, bits, factor):
    deep = np.rint(RAMP.astype(float) * factor).astype(np.uint16)
    assert deep.max() == 2**bits - 1
    Image.fromarray(deep).save(tmp_path / "image.png")
    with Image.open(tmp_path / "image.png") as image:
        assert image.mode == "I;16"
        white = (np.asarray(image.convert("L")) == 255).mean()
    assert white > 0.9  # what Pillow alone would make of it
    np.testing.assert_array_equal(read_xray(tmp_path / "image.png"), RAMP)


def with_channels(grey, channels):
    """The grey in every channel of colour; what is transparent does not depend on it."""
    pixels = np.repeat(grey[..., None], channels, axis=-1).astype(np.uint16)
    if channels in (2, 4):
        pixels[..., -1] = np.linspace(0, 65535, pixels.shape[1])
    return pixels


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("largest", [4080, 4095, 16383, 65535])
def test_sixteen_bit_colour_and_transparency_read_as_the_same_grey(tmp_path, channels, largest):
    grey = np.random.default_rng(channels).integers(0, largest, (24, 24), endpoint=True)
    grey[0, 0] = largest
    save_deep_png(tmp_path / "grey.png", with_channels(grey, 1))
    save_deep_png(tmp_path / "deep", with_channels(grey, channels))
    with Image.open(tmp_path / "grey.png") as image:
        np.testing.assert_array_equal(np.asarray(image), grey)  # another decoder agrees with the file
    expected = read_xray(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_xray(tmp_path / "deep"), expected)
    np.testing.assert_array_equal(read_resized(tmp_path / "deep", 24), expected)


def test_sixteen_bit_colour_keeps_both_bytes_of_each_channel_in_its_place(tmp_path):
    """A blue of 14 bits is 14 bits deep, though its grey would fit into 12."""
    colours = np.array([[[4097, 515, 0], [258, 772, 16383]]], np.uint16)
    save_deep_png(tmp_path / "image.png", colours)
    with opened(tmp_path / "image.png") as image:
        np.testing.assert_array_equal(deep_values(image, tmp_path / "image.png"), colours)
    scaled = np.rint(colours * (255 / 16383)).astype(np.uint8)
    np.testing.assert_array_equal(read_xray(tmp_path / "image.png"), np.asarray(Image.fromarray(scaled).convert("L")))


def test_black_and_white_images(tmp_path):
    Image.fromarray(RAMP > 127).save(tmp_path / "image.png")
    np.testing.assert_array_equal(read_xray(tmp_path / "image.png"), np.where(RAMP > 127, 255, 0))


def encoded(kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.99])
def test_a_truncated_file_is_an_error(tmp_path, kind, share):
    data = encoded(kind)
    path = tmp_path / "image"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(FileProblem, match=r"image: unreadable: .*copy it again"):
        read_xray(path)


def test_a_png_with_one_wrong_byte_is_an_error(tmp_path):
    data = bytearray(encoded("PNG"))
    data[len(data) // 2] ^= 0x10
    (tmp_path / "image.png").write_bytes(data)
    with pytest.raises(FileProblem, match=r"image\.png: unreadable"):
        read_xray(tmp_path / "image.png")


def test_files_that_are_no_images(tmp_path):
    for name, data, reason in (
        ("empty.png", b"", "empty file: it has 0 bytes"),
        ("text.png", b"not an image", "neither PNG nor JPEG"),
        ("gif.png", None, "neither PNG nor JPEG"),
    ):
        if data is None:
            Image.fromarray(RAMP).save(tmp_path / name, "GIF")
        else:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(FileProblem, match=f"{name}: .*{reason}"):
            read_xray(tmp_path / name)
    with pytest.raises(FileProblem, match="missing: no such file"):
        read_xray(tmp_path / "nowhere.png")
    with pytest.raises(FileProblem, match="wrong file: it is a folder"):
        read_xray(tmp_path)


def test_resizing_is_antialiased_and_fits_the_whole_image_into_the_square(tmp_path):
    stripes = np.tile(
        np.array([0, 255], np.uint8), (32, 64)
    )  # width 128, height 32: sampling alone would give 0 or 255
    Image.fromarray(stripes).save(tmp_path / "image.png")
    small = read_resized(tmp_path / "image.png", 16)
    assert small.shape == (16, 16)
    assert np.abs(small.astype(float) - 127.5).max() < 20
    halves = np.repeat(np.array([[0, 255]], np.uint8), 64, axis=1).repeat(32, axis=0)
    Image.fromarray(halves).save(tmp_path / "halves.png")
    small = read_resized(tmp_path / "halves.png", 16)
    assert small[:, :7].max() == 0
    assert small[:, 9:].min() == 255


def test_resizing_to_the_own_size_changes_nothing(tmp_path):
    square = np.random.default_rng(1).integers(0, 256, (20, 20), dtype=np.uint8)
    Image.fromarray(square).save(tmp_path / "image.png")
    np.testing.assert_array_equal(read_resized(tmp_path / "image.png", 20), square)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_large_jpeg_decoded_small_is_the_same_picture(tmp_path, mode):
    coarse = np.random.default_rng(2).integers(0, 256, (12, 12), dtype=np.uint8)
    Image.fromarray(coarse).resize((600, 480), Image.Resampling.BICUBIC).convert(mode).save(
        tmp_path / "a.jpg", quality=95
    )
    whole = Image.fromarray(read_xray(tmp_path / "a.jpg")).resize((32, 32), Image.Resampling.BILINEAR)
    difference = np.abs(read_resized(tmp_path / "a.jpg", 32).astype(float) - np.asarray(whole))
    assert difference.max() < 8
    assert difference.mean() < 1.5


def test_a_folder_named_like_an_image_and_a_link_to_itself_are_an_error(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(FileProblem, match="wrong file: it is a folder, not an image; remove it"):
        read_xray(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "b.png")
    with pytest.raises(FileProblem, match="wrong file: a link that leads back to itself or nowhere; remove it"):
        read_xray(tmp_path / "b.png")
