"""Every odd kind of picture, made here; and writing that leaves nothing half done."""

from __future__ import annotations

import io
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngImageFile, PngInfo

from farm.errors import OutputError, PictureError
from farm.media.pictures import read_picture, resize, to_16_bits, write_picture
from farm.paint.tensors import image_to_tensor, tensor_to_image

RED = (200, 30, 40)


def quadrants(height=24, width=32):
    """Four colours, so that turning and mirroring show."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = RED
    image[: height // 2, width // 2 :] = (20, 160, 60)
    image[height // 2 :, : width // 2] = (30, 60, 210)
    image[height // 2 :, width // 2 :] = (240, 240, 90)
    return image


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp", "gif", "ppm"])
def test_reads_lossless_formats_exactly(tmp_path, suffix):
    path = tmp_path / f"picture.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(quadrants()).save(path, **options)
    found = read_picture(path)
    assert found.dtype == np.uint8
    assert np.array_equal(found, quadrants())


TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_turns_as_exif_says(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(quadrants()).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_picture(tmp_path / "turned.png"), TURNS[orientation](quadrants()))


def half_transparent():
    alpha = np.full((24, 32, 1), 255, np.uint8)
    alpha[:12] = 0
    alpha[12:, :16] = 128
    return alpha


def over_white(colour, alpha):
    return np.round(np.asarray(colour) * (alpha / 255) + 255 * (1 - alpha / 255))


def test_transparency_is_laid_over_white(tmp_path):
    Image.fromarray(np.dstack([quadrants(), half_transparent()])).save(tmp_path / "rgba.png")
    found = read_picture(tmp_path / "rgba.png").astype(float)
    assert np.abs(found - over_white(quadrants(), half_transparent())).max() <= 1
    assert (found[0] == 255).all()


def test_grey_with_alpha(tmp_path):
    grey = np.full((24, 32, 1), 80, np.uint8)
    Image.fromarray(np.dstack([grey, half_transparent()])).save(tmp_path / "la.png")
    found = read_picture(tmp_path / "la.png")
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[-1, -1].tolist() == [80, 80, 80]


@pytest.mark.parametrize(("mode", "suffix"), [("L", "png"), ("L", "jpg"), ("1", "png")])
def test_grey_becomes_three_channels(tmp_path, mode, suffix):
    Image.new("L", (20, 18), 255).convert(mode).save(tmp_path / f"grey.{suffix}")
    assert np.array_equal(read_picture(tmp_path / f"grey.{suffix}"), np.full((18, 20, 3), 255, np.uint8))


def test_palette_with_and_without_a_transparent_entry(tmp_path):
    palette = Image.fromarray(quadrants()).quantize(4)
    palette.save(tmp_path / "p.png")
    assert np.array_equal(read_picture(tmp_path / "p.png"), quadrants())
    palette.save(tmp_path / "pt.png", transparency=palette.getpixel((0, 0)))
    found = read_picture(tmp_path / "pt.png")
    assert found[0, 0].tolist() == [255, 255, 255]
    assert np.array_equal(found[12:], quadrants()[12:])


def test_rgb_with_a_transparent_colour(tmp_path):
    Image.fromarray(quadrants()).save(tmp_path / "keyed.png", transparency=RED)
    found = read_picture(tmp_path / "keyed.png")
    assert found[0, 0].tolist() == [255, 255, 255]
    assert np.array_equal(found[12:], quadrants()[12:])


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path, suffix):
    ramp = np.linspace(0, 65535, 32 * 24).reshape(24, 32).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / f"deep.{suffix}")
    found = read_picture(tmp_path / f"deep.{suffix}")
    assert np.abs(found[..., 1].astype(float) - ramp / 257).max() <= 1
    assert found.max() == 255


def test_16_bit_rgb(tmp_path):
    deep = quadrants().astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    assert np.abs(read_picture(tmp_path / "deep.png").astype(int) - quadrants()).max() <= 1


@pytest.mark.parametrize("suffix", ["png", "tiff", "ppm"])
def test_16_bit_rgb_in_every_container(tmp_path, suffix):
    deep = quadrants().astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / f"deep.{suffix}"), deep[..., ::-1])
    assert np.abs(read_picture(tmp_path / f"deep.{suffix}").astype(int) - quadrants()).max() <= 1


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bits_with_transparency(tmp_path, suffix):
    alpha = half_transparent().astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / f"deep.{suffix}"), np.dstack([quadrants()[..., ::-1].astype(np.uint16) * 257, alpha]))
    found = read_picture(tmp_path / f"deep.{suffix}").astype(float)
    assert np.abs(found - over_white(quadrants(), half_transparent())).max() <= 1


@pytest.mark.parametrize("scale", [1.0, 1 / 255])
def test_float_grey_may_hold_0_to_1_or_0_to_255(tmp_path, scale):
    grey = quadrants()[..., 1]
    Image.fromarray(grey.astype(np.float32) * np.float32(scale)).save(tmp_path / "float.tiff")
    assert np.array_equal(read_picture(tmp_path / "float.tiff")[..., 0], grey)


@pytest.mark.parametrize(
    ("mode", "suffix", "tolerance"), [("CMYK", "tiff", 0), ("CMYK", "jpg", 3), ("LAB", "tiff", 8), ("YCbCr", "tiff", 3)]
)
def test_other_colour_models(tmp_path, mode, suffix, tolerance):
    Image.fromarray(quadrants()).convert(mode).save(tmp_path / f"odd.{suffix}", quality=100)
    found = read_picture(tmp_path / f"odd.{suffix}").astype(int)
    assert np.abs(found - quadrants())[2:10, 2:14].max() <= tolerance


def test_palette_whose_entries_are_transparent_by_degrees(tmp_path):
    palette = Image.fromarray(quadrants()).quantize(4)
    palette.save(tmp_path / "pt.png", transparency=bytes([128] * 4))
    found = read_picture(tmp_path / "pt.png").astype(float)
    assert np.abs(found - over_white(quadrants(), np.full((24, 32, 1), 128))).max() <= 1


@pytest.mark.parametrize("suffix", ["webp", "png", "tiff"])
def test_first_frame_or_page_of_several(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    more = [Image.new("RGB", (32, 24))]
    Image.fromarray(quadrants()).save(tmp_path / f"several.{suffix}", save_all=True, append_images=more, **options)
    assert np.array_equal(read_picture(tmp_path / f"several.{suffix}"), quadrants())


def test_float_becomes_16_bits_of_the_same_brightness():
    levels = np.array([[[-3, 0, 0.5], [127.25, 255, 300]]], np.float32)
    assert to_16_bits(levels).tolist() == [[[0, 0, 128], [32703, 65535, 65535]]]


def test_cmyk_jpeg(tmp_path):
    Image.new("CMYK", (32, 32), (0, 255, 255, 0)).save(tmp_path / "print.jpg", quality=100)
    red = read_picture(tmp_path / "print.jpg")[16, 16]
    assert red[0] > 200
    assert max(red[1], red[2]) < 60


def wide_gamut_profile():
    """An ICC profile whose red and green are exchanged, built from sRGB's own tags."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack(">I", data[128:132])
    names = [bytes(data[132 + 12 * i : 136 + 12 * i]) for i in range(count)]
    red, green = 132 + 12 * names.index(b"rXYZ"), 132 + 12 * names.index(b"gXYZ")
    data[red : red + 4], data[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(data)


def test_icc_profile_is_converted_to_srgb(tmp_path):
    Image.fromarray(quadrants()).save(tmp_path / "plain.png", icc_profile=wide_gamut_profile())
    found = read_picture(tmp_path / "plain.png").astype(int)
    assert np.abs(found - quadrants()[..., [1, 0, 2]]).max() <= 3


def test_icc_profile_with_transparency(tmp_path):
    rgba = Image.fromarray(np.dstack([quadrants(), half_transparent()]))
    rgba.save(tmp_path / "rgba.png", icc_profile=wide_gamut_profile())
    found = read_picture(tmp_path / "rgba.png").astype(int)
    assert np.abs(found - over_white(quadrants()[..., [1, 0, 2]], half_transparent())).max() <= 3


@pytest.mark.parametrize("profile", [b"nonsense", b"\0" * 200])
def test_a_damaged_profile_is_ignored(tmp_path, profile):
    Image.fromarray(quadrants()).save(tmp_path / "damaged.png", icc_profile=profile)
    assert np.array_equal(read_picture(tmp_path / "damaged.png"), quadrants())


def test_a_cmyk_profile_on_an_rgb_picture_is_ignored(tmp_path):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.fromarray(quadrants()).save(tmp_path / "wrong.png", icc_profile=lab)
    assert np.array_equal(read_picture(tmp_path / "wrong.png"), quadrants())


@pytest.mark.parametrize("damage", ["text", "tag"])
def test_a_damaged_exif_is_ignored(tmp_path, damage):
    path = tmp_path / "exif.png"
    text = PngInfo()
    if damage == "text":
        text.add_text("Raw profile type exif", "\nexif\n      20\nthis is no hexadecimal\n")
    Image.fromarray(quadrants()).save(path, pnginfo=text, exif=b"Exif\0\0II*\0\xff\xff" if damage == "tag" else None)
    assert np.array_equal(read_picture(path), quadrants())


@pytest.mark.parametrize(("gamma", "middle"), [(1.0, 188), (0.45455, 128), (1 / 1.8, 146)])
def test_a_png_with_a_gamma_of_its_own_becomes_srgb(tmp_path, gamma, middle):
    path = tmp_path / "gamma.png"
    chunk = PngInfo()
    chunk.add(b"gAMA", struct.pack(">I", round(gamma * 100_000)))
    Image.fromarray(np.full((4, 4, 3), 128, np.uint8)).save(path, pnginfo=chunk)
    assert np.abs(read_picture(path).astype(int) - middle).max() <= 1


@pytest.mark.parametrize("alpha", [False, True])
def test_white_of_a_16_bit_jpeg_2000_stays_white(tmp_path, alpha):
    path = tmp_path / "deep.jp2"
    picture = np.full((32, 32, 4 if alpha else 3), 65535, np.uint16)
    picture[:, 16:, :3] = 65535 // 4
    cv2.imwrite(str(path), picture)
    found = read_picture(path)
    assert np.abs(found[:, :14].astype(int) - 255).max() <= 2
    assert np.abs(found[:, 18:].astype(int) - 64).max() <= 2


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_tiff_of_floating_point_in_colour(tmp_path, kind):
    path = tmp_path / "float.tiff"
    cv2.imwrite(str(path), (quadrants()[..., ::-1] / 255).astype(kind))
    assert np.array_equal(read_picture(path), quadrants())


def test_heic_is_read_with_the_extra_and_named_without(tmp_path):
    path = tmp_path / "phone.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    with pytest.raises(PictureError, match=r"HEIC picture; pip install 'farm\[heif\]'|cannot be decoded"):
        read_picture(path)
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    Image.fromarray(quadrants(64, 64)).save(path, format="HEIF", quality=95)
    assert np.abs(read_picture(path).astype(int) - quadrants(64, 64)).mean() < 6


def test_whatever_a_decoder_raises_is_said_in_a_line(tmp_path, monkeypatch):
    def fails(picture):
        raise RuntimeError("Failed to decode image: Invalid image grid\nand more")

    Image.fromarray(quadrants()).save(tmp_path / "style.png")
    monkeypatch.setattr(PngImageFile, "load", fails)
    with pytest.raises(PictureError, match=r"cannot be decoded .*Invalid image grid") as caught:
        read_picture(tmp_path / "style.png")
    assert "and more" not in str(caught.value)


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.fromarray(quadrants()), Image.new("RGB", (32, 24))]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert np.array_equal(read_picture(tmp_path / "moving.gif"), quadrants())


@pytest.mark.parametrize(("max_side", "shape"), [(16, (12, 16, 3)), (31, (23, 31, 3)), (500, (24, 32, 3))])
def test_max_side_shrinks_and_never_enlarges(tmp_path, max_side, shape):
    Image.fromarray(quadrants()).save(tmp_path / "picture.png")
    assert read_picture(tmp_path / "picture.png", max_side).shape == shape


def test_max_side_holds_for_turned_jpegs_that_decode_smaller(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(quadrants(480, 640)).save(tmp_path / "big.jpg", exif=exif, quality=95)
    found = read_picture(tmp_path / "big.jpg", 64)
    assert found.shape == (64, 48, 3)
    expected = TURNS[6](quadrants(48, 64))
    assert np.abs(found.astype(int) - expected)[4:28, 4:20].max() < 12


def png_header(width, height):
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


def bad_picture(kind, path):
    encoded = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(encoded, "JPEG" if kind == "truncated jpeg" else "PNG")
    if kind == "directory":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("not a picture")
    elif kind.startswith("truncated"):
        path.write_bytes(encoded.getvalue()[: len(encoded.getvalue()) // 2])
    elif kind == "broken":
        data = bytearray(encoded.getvalue())
        data[60:90] = bytes(30)
        path.write_bytes(bytes(data))
    elif kind == "huge":
        path.write_bytes(png_header(16_000, 15_000) + encoded.getvalue()[33:])
    elif kind == "bomb":
        path.write_bytes(png_header(60_000, 60_000) + encoded.getvalue()[33:])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "there is no picture"),
        ("directory", "is a directory"),
        ("empty", "is empty"),
        ("text", "is not a picture"),
        ("truncated png", "cannot be decoded"),
        ("truncated jpeg", "cannot be decoded"),
        ("broken", "cannot be decoded"),
        ("huge", "more than 200 million pixels"),
        ("bomb", "more than 200 million pixels"),
    ],
)
def test_refuses_with_the_files_name_and_a_remedy(tmp_path, kind, message):
    path = tmp_path / "content.png"
    bad_picture(kind, path)
    with pytest.raises(PictureError, match=message) as caught:
        read_picture(path)
    assert "content.png" in caught.value.problem
    assert caught.value.remedy


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".jpg", ".jpeg"])
def test_writes_by_suffix(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    write_picture(path, quadrants())
    with Image.open(path) as written:
        assert written.format == ("PNG" if suffix.lower() == ".png" else "JPEG")
    assert np.abs(read_picture(path).astype(int) - quadrants())[2:10, 2:14].max() <= 3
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_writes_16_bits(tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (20, 24, 3), dtype=np.uint16)
    write_picture(tmp_path / "deep.png", deep)
    assert np.array_equal(cv2.imread(str(tmp_path / "deep.png"), cv2.IMREAD_UNCHANGED)[..., ::-1], deep)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "out.png"
    write_picture(path, quadrants())
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write_picture(path, quadrants()[::-1])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "dtype", "message"),
    [
        ("out.gif", np.uint8, "written as .png or .jpg"),
        ("out.jpg", np.uint16, "uint16 cannot be written as JPEG"),
        ("out.png", np.float32, "float32 cannot be written"),
        ("nowhere/out.png", np.uint8, "there is no directory"),
    ],
)
def test_refuses_what_it_cannot_write(tmp_path, name, dtype, message):
    with pytest.raises(OutputError, match=message):
        write_picture(tmp_path / name, np.zeros((4, 4, 3), dtype))


def test_resize_keeps_the_mean_and_does_not_ring_into_overflow():
    image = quadrants(64, 64)
    assert np.array_equal(resize(image, (64, 64)), image)
    assert np.allclose(resize(image, (16, 16)).mean((0, 1)), image.mean((0, 1)), atol=0.6)
    assert resize(image, (96, 100)).shape == (96, 100, 3)
    assert resize(image.astype(np.float32), (96, 100)).dtype == np.float32


def test_tensors_and_back():
    tensor = image_to_tensor(quadrants())
    assert tensor.shape == (1, 3, 24, 32)
    assert np.array_equal(tensor_to_image(tensor), quadrants())
    assert tensor_to_image(tensor * 0 + 254.5).max() == 254
    assert tensor_to_image(tensor * 0 - 20).max() == 0
