"""Flow and mask files that other programs write and read: Middlebury `.flo` and binary PGM.

External flows, for `--flow-dir`, have the names that artistic-videos gives them, with frames counted from 1:
`forward_1_2.flo` leads from the first frame to the second, `backward_2_1.flo` from the second to the first.
"""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from farm.errors import FlowFileError

# Baker et al., "A Database and Evaluation Methodology for Optical Flow" (2011): the bytes "PIEH", which are the
# little-endian float 202021.25; then width and height as int32; then dx, dy as float32, row by row.
_TAG = np.array([202021.25], "<f4").tobytes()
_HEADER_BYTES = 12
_UNKNOWN_ABOVE = 1e9
_UNKNOWN = np.float32(1e10)
_LARGEST_SIDE = 100_000
_PGM_HEADER = re.compile(
    rb"P5\s(?:\s*#[^\n]*\n)*\s*(\d{1,9})\s(?:\s*#[^\n]*\n)*\s*(\d{1,9})\s(?:\s*#[^\n]*\n)*\s*(\d{1,9})\s"
)


def read_flow(path: str | Path) -> npt.NDArray[np.float32]:
    """The flow (H, W, 2) float32, in pixels, of a `.flo` file; NaN where it is larger than 1e9, or NaN, in the file.

    Raises FlowFileError where the file is missing, is not a .flo, or is shorter or longer than its size says.
    """
    data = _read_bytes(path)
    if len(data) < _HEADER_BYTES or data[:4] != _TAG:
        raise FlowFileError(f"{path} is not a .flo file", "give a Middlebury flow file, which begins with PIEH")
    width, height = (int(side) for side in np.frombuffer(data, "<i4", count=2, offset=4))
    if not (0 < width <= _LARGEST_SIDE and 0 < height <= _LARGEST_SIDE):
        raise FlowFileError(f"{path} says it is {width}x{height} pixels", "write it again")
    expected = _HEADER_BYTES + 8 * width * height
    if len(data) != expected:
        state = "truncated" if len(data) < expected else "too long"
        raise FlowFileError(
            f"{path} is {state}: {width}x{height} pixels take {expected} bytes, and it has {len(data)}",
            "write or copy it again",
        )
    flow = np.frombuffer(data, "<f4", offset=_HEADER_BYTES).reshape(height, width, 2).astype(np.float32)
    flow[~(np.abs(flow) <= _UNKNOWN_ABOVE).all(axis=-1)] = np.nan
    return flow


def write_flow(path: str | Path, flow: npt.NDArray[np.float32]) -> None:
    """Write a flow (H, W, 2), in pixels, as `.flo`; NaN becomes the format's mark of unknown. Raises FlowFileError."""
    height, width = flow.shape[:2]
    values = np.where(np.isfinite(flow).all(axis=-1, keepdims=True), flow, _UNKNOWN).astype("<f4")
    _write_bytes(path, _TAG + np.array([width, height], "<i4").tobytes() + values.tobytes())


def read_mask(path: str | Path) -> npt.NDArray[np.uint8]:
    """The mask (H, W) uint8 in a binary PGM (P5, 8 bits). Raises FlowFileError."""
    data = _read_bytes(path)
    header = _PGM_HEADER.match(data)
    if not header or int(header[3]) != 255:
        raise FlowFileError(f"{path} is not an 8-bit binary PGM", "give a file that begins with P5 and has maxval 255")
    width, height = int(header[1]), int(header[2])
    if len(data) - header.end() != width * height or not width * height:
        raise FlowFileError(f"{path} does not hold the {width}x{height} pixels that it promises", "write it again")
    return np.frombuffer(data, np.uint8, offset=header.end()).reshape(height, width).copy()


def write_mask(path: str | Path, mask: npt.NDArray[np.uint8]) -> None:
    """Write a mask (H, W) uint8 as binary PGM. Raises FlowFileError."""
    height, width = mask.shape
    _write_bytes(path, b"P5\n%d %d\n255\n" % (width, height) + np.ascontiguousarray(mask, np.uint8).tobytes())


def external_flow_name(from_frame: int, to_frame: int) -> str:
    """Name of an external flow file. Frames are counted from 0 here, and from 1 in the name.

    >>> external_flow_name(0, 1), external_flow_name(1, 0)
    ('forward_1_2.flo', 'backward_2_1.flo')
    """
    direction = "forward" if from_frame < to_frame else "backward"
    return f"{direction}_{from_frame + 1}_{to_frame + 1}.flo"


def read_external_flow(
    directory: str | Path, from_frame: int, to_frame: int, size: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """The flow (H, W, 2) float32, in pixels, between two frames, counted from 0, from a directory of external files.

    It is brought to `size`, (width, height). Raises FlowFileError, which names the file that is looked for.
    """
    return resize_flow(read_flow(Path(directory) / external_flow_name(from_frame, to_frame)), size)


def resize_flow(flow: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """The flow (H, W, 2) of the same motion in pictures of `size`, (width, height): resampled, and its vectors scaled.

    It is averaged where it shrinks, bilinear where it grows, and unknown wherever an unknown pixel takes part.
    """
    height, width = flow.shape[:2]
    if size == (width, height):
        return flow
    # INTER_AREA averages only when both sides shrink.
    shrinks = size[0] <= width and size[1] <= height
    resized = cv2.resize(flow, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return resized * np.array([size[0] / width, size[1] / height], np.float32)


def _read_bytes(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise FlowFileError(f"{path} cannot be read: {error.strerror}", "check the path") from error


def _write_bytes(path: str | Path, data: bytes) -> None:
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise FlowFileError(f"{path} cannot be written: {error.strerror}", "check the path") from error
