from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from farm.errors import FlowFileError
from farm.flow import (
    decode_flow,
    encode_flow,
    external_flow_name,
    read_external_flow,
    read_flow,
    read_mask,
    resize_flow,
    warp,
    write_flow,
    write_mask,
)

F = np.float32


@pytest.fixture
def flow():
    return np.random.default_rng(0).normal(0, 20, (7, 11, 2)).astype(F)


def test_the_bytes_of_a_flo_file(tmp_path):
    write_flow(tmp_path / "a.flo", np.array([[[1, 2], [3, 4], [-0.5, 1e-20]]], F))
    assert (tmp_path / "a.flo").read_bytes() == b"PIEH" + struct.pack("<2i6f", 3, 1, 1, 2, 3, 4, -0.5, 1e-20)


def test_flo_round_trip_to_the_bit(flow, tmp_path):
    write_flow(tmp_path / "a.flo", flow)
    again = read_flow(tmp_path / "a.flo")
    assert again.dtype == F
    np.testing.assert_array_equal(again.view(np.uint32), flow.view(np.uint32))
    again += 1  # what was read is one's own


def test_opencv_reads_and_writes_the_same(flow, tmp_path):
    write_flow(tmp_path / "farm.flo", flow)
    np.testing.assert_array_equal(cv2.readOpticalFlow(str(tmp_path / "farm.flo")), flow)
    cv2.writeOpticalFlow(str(tmp_path / "cv2.flo"), flow)
    np.testing.assert_array_equal(read_flow(tmp_path / "cv2.flo"), flow)


@pytest.mark.parametrize("unknown", [np.nan, np.inf, -np.inf, 1.7e9, -1e10])
def test_unknown_flow_in_a_flo_file(flow, unknown, tmp_path):
    height, width = flow.shape[:2]
    values = flow.copy()
    values[2, 3, 1] = unknown
    (tmp_path / "a.flo").write_bytes(b"PIEH" + struct.pack("<2i", width, height) + values.tobytes())
    again = read_flow(tmp_path / "a.flo")
    assert np.isnan(again[2, 3]).all()
    again[2, 3] = flow[2, 3]
    np.testing.assert_array_equal(again, flow)


def test_unknown_flow_is_written_as_the_format_has_it(flow, tmp_path):
    flow[1, 1, 0] = np.nan
    write_flow(tmp_path / "a.flo", flow)
    raw = np.frombuffer((tmp_path / "a.flo").read_bytes(), "<f4", offset=12).reshape(flow.shape)
    assert (raw[1, 1] > 1e9).all()
    assert np.isfinite(raw).all()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not a .flo file"),
        (b"PIEH\x01\x00", "is not a .flo file"),
        (b"\x89PNG" + bytes(40), "is not a .flo file"),
        (b"PIEH" + struct.pack(">2i", 2, 1) + bytes(16), "says it is"),
        (b"PIEH" + struct.pack("<2i", 0, 5), "says it is 0x5"),
        (b"PIEH" + struct.pack("<2i", 4, -1), "says it is 4x-1"),
        (b"PIEH" + struct.pack("<2i", 2, 2) + bytes(31), "is truncated"),
        (b"PIEH" + struct.pack("<2i", 2, 2) + bytes(33), "is too long"),
    ],
)
def test_files_that_are_no_flo(content, problem, tmp_path):
    path = tmp_path / "bad.flo"
    path.write_bytes(content)
    with pytest.raises(FlowFileError, match=problem) as caught:
        read_flow(path)
    assert "bad.flo" in str(caught.value)


def test_files_that_are_not_there(tmp_path):
    for read in (read_flow, read_mask):
        with pytest.raises(FlowFileError, match="cannot be read: No such file"):
            read(tmp_path / "none")
        with pytest.raises(FlowFileError, match="cannot be read: Is a directory"):
            read(tmp_path)
    with pytest.raises(FlowFileError, match="cannot be written"):
        write_flow(tmp_path / "no" / "a.flo", np.zeros((2, 2, 2), F))


def test_the_bytes_of_a_mask(tmp_path):
    mask = np.array([[0, 1, 2], [253, 254, 255]], np.uint8)
    write_mask(tmp_path / "m.pgm", mask)
    assert (tmp_path / "m.pgm").read_bytes() == b"P5\n3 2\n255\n\x00\x01\x02\xfd\xfe\xff"
    np.testing.assert_array_equal(read_mask(tmp_path / "m.pgm"), mask)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "m.pgm"), cv2.IMREAD_UNCHANGED), mask)


@pytest.mark.parametrize("header", [b"P5 2 1 255\n", b"P5\n# made by hand\n2 1\n255\n", b"P5\n2\n1\n# note\n255\n"])
def test_masks_of_other_writers(header, tmp_path):
    (tmp_path / "m.pgm").write_bytes(header + b"\x0a\x23")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.pgm"), [[0x0A, 0x23]])


@pytest.mark.parametrize(
    "content",
    [b"", b"P2\n1 1\n255\n7", b"P5\n2 2\n255\nabc", b"P5\n1 1\n65535\nab", b"P5\n0 0\n255\n", b"P5\n1 1\n255\nab"],
)
def test_files_that_are_no_mask(content, tmp_path):
    (tmp_path / "m.pgm").write_bytes(content)
    with pytest.raises(FlowFileError):
        read_mask(tmp_path / "m.pgm")


@pytest.mark.parametrize(
    ("from_frame", "to_frame", "name"),
    [
        (0, 1, "forward_1_2.flo"),
        (1, 0, "backward_2_1.flo"),
        (9, 99, "forward_10_100.flo"),
        (40, 20, "backward_41_21.flo"),
    ],
)
def test_names_of_external_flows(from_frame, to_frame, name):
    assert external_flow_name(from_frame, to_frame) == name


def test_an_external_flow_of_another_size(tmp_path):
    flow = np.full((30, 40, 2), (8, 6), F)
    write_flow(tmp_path / "backward_6_5.flo", flow)
    np.testing.assert_array_equal(read_external_flow(tmp_path, 5, 4, (40, 30)), flow)
    np.testing.assert_allclose(read_external_flow(tmp_path, 5, 4, (20, 10)), np.full((10, 20, 2), (4, 2), F), rtol=1e-6)
    with pytest.raises(FlowFileError, match=r"forward_5_6\.flo cannot be read"):
        read_external_flow(tmp_path, 4, 5, (40, 30))


def test_a_resized_flow_fits_resized_pictures(textured_pair):
    """A zoom about the middle is the same zoom at any size."""
    small, large = textured_pair("zoom", 48, 64), textured_pair("zoom", 96, 128)
    for source, target in ((large, small), (small, large)):
        height, width = target.truth.shape[:2]
        resized = resize_flow(source.truth, (width, height))
        inner = np.s_[2:-2, 2:-2]
        np.testing.assert_allclose(resized[inner], target.truth[inner], atol=0.03)


def test_resizing_keeps_the_unknown_unknown():
    flow = np.zeros((8, 8, 2), F)
    flow[4, 4] = np.nan
    for size in ((4, 4), (16, 16)):
        unknown = np.isnan(resize_flow(flow, size)).any(axis=-1)
        assert unknown[size[1] // 2, size[0] // 2]
        assert not unknown[0].any()


@pytest.mark.parametrize("length_px", [0.01, 1, 30, 170])
def test_the_codec_is_right_to_half_a_step(length_px):
    flow = np.random.default_rng(0).normal(0, length_px, (40, 50, 2)).clip(-511, 511).astype(F)
    once = decode_flow(encode_flow(flow))
    assert once.dtype == F
    assert np.abs(once.astype(np.float64) - flow).max() <= 1 / 128 + 1e-5
    np.testing.assert_array_equal(decode_flow(encode_flow(once)), once)
    assert encode_flow(once) == encode_flow(flow)


def test_the_codec_at_the_ends_of_its_range():
    ends = np.array([[[511.984375, -511.984375], [0, -0.0], [1 / 64, -1 / 64]]], F)
    np.testing.assert_array_equal(decode_flow(encode_flow(ends)), ends)


@pytest.mark.parametrize("value", [512, -512, 1e20, np.nan, np.inf])
def test_what_the_codec_cannot_hold_is_unknown(value):
    flow = np.zeros((5, 6, 2), F)
    flow[2, 3, 0] = value
    again = decode_flow(encode_flow(flow))
    assert np.isnan(again[2, 3]).all()
    assert np.isnan(again).sum() == 2


def test_the_codec_is_kittis():
    """Its development kit: (R - 2^15) / 64 and (G - 2^15) / 64 pixels, valid where B is not 0."""
    image = cv2.imdecode(np.frombuffer(encode_flow(np.full((3, 4, 2), (1.5, -2), F)), np.uint8), cv2.IMREAD_UNCHANGED)
    blue, green, red = image[1, 2]
    assert (red, green, blue) == (32768 + 96, 32768 - 128, 1)


def test_a_stored_flow_moves_a_picture_like_the_estimated_one(smooth_flow, textured_pair):
    picture, flow = textured_pair("still", 40, 56).a, smooth_flow(5)
    assert np.abs(warp(picture, decode_flow(encode_flow(flow))) - warp(picture, flow)).max() < 1.0


def test_damaged_flows_are_noticed(smooth_flow):
    data = encode_flow(smooth_flow(0))
    middle = len(data) // 2
    damaged = [b"", b"PIEH", data[:-1], data[:middle], data[:middle] + bytes([data[middle] ^ 64]) + data[middle + 1 :]]
    for content in damaged:
        with pytest.raises(FlowFileError, match="damaged"):
            decode_flow(content)
    _, photo = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(FlowFileError, match="damaged"):
        decode_flow(photo.tobytes())


def test_nothing_cannot_be_stored():
    with pytest.raises(FlowFileError, match="cannot be stored"):
        encode_flow(np.zeros((0, 4, 2), F))
