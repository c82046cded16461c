import cv2
import numpy as np
import pytest

from farm.files.png import is_whole_png

WHOLE = bytes(cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (9, 11, 3), np.uint8))[1])


def test_a_whole_one_is_whole():
    assert is_whole_png(WHOLE)


def test_every_single_flipped_bit_is_noticed():
    for at in range(len(WHOLE)):
        damaged = bytearray(WHOLE)
        damaged[at] ^= 1 << at % 8
        assert not is_whole_png(bytes(damaged)), at


@pytest.mark.parametrize("data", [b"", WHOLE[:-1], WHOLE[:20], WHOLE + b"x", bytes(len(WHOLE)), b"\xff\xd8" + WHOLE])
def test_what_is_cut_or_something_else(data):
    assert not is_whole_png(data)
