"""How the farm stores a flow and its reliability: KITTI's 16-bit PNG, lossless but for rounding to 1/64 px.

R = `round(64 dx) + 32768`, G = `round(64 dy) + 32768`, and B is 0 where the flow is not known (Menze and Geiger
2015, the devkit of the KITTI flow benchmark). Where the flow is known, B is 1 plus the reliability in 0..255, which a
reader of KITTI's files takes for "known" whatever the number. So a stored flow differs from the estimated one by 1/128
px at the most, and encoding it again loses nothing. A motion of more than 511.98 px (32767 / 64) does not fit. No
estimator follows such a motion even in 4K; it is stored as unknown.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from farm.errors import FlowFileError
from farm.files.png import is_whole_png

STEPS_PER_PX = 64
"""Steps of the stored numbers in one pixel of motion."""
_ZERO = 32768


def round_flow(flow: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A flow (H, W, 2) float32, in pixels, as it comes back from storage.

    It is rounded to 1/64 px, and NaN in both components where it does not fit.
    """
    steps = np.rint(flow * np.float32(STEPS_PER_PX))
    fits = (np.abs(steps) < _ZERO).all(axis=-1, keepdims=True)
    return np.where(fits, steps / np.float32(STEPS_PER_PX), np.float32(np.nan))


def encode_flow(flow: npt.NDArray[np.float32], weight: npt.NDArray[np.float32] | None = None) -> bytes:
    """PNG bytes of a flow (H, W, 2) float32, in pixels, and its reliability (H, W) float32, 0..1, kept to 1/255.

    Raises FlowFileError where a side of the flow is 0.
    """
    steps = np.rint(flow * np.float32(STEPS_PER_PX))
    fits = (np.abs(steps) < _ZERO).all(axis=-1)
    codes = np.zeros((*flow.shape[:2], 3), np.uint16)  # B, G, R, as cv2 writes them
    codes[..., 0] = fits if weight is None else np.where(fits, 1 + np.rint(weight * 255), 0)
    codes[..., :0:-1] = np.where(fits[..., None], steps, -_ZERO) + _ZERO
    try:
        # A stronger compression saves a few per cent and takes several times as long.
        _, png = cv2.imencode(".png", codes, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    except cv2.error as error:
        raise FlowFileError(f"a flow of shape {flow.shape} cannot be stored") from error
    return png.tobytes()


def decode_flow(data: bytes) -> npt.NDArray[np.float32]:
    """The flow (H, W, 2) float32, in pixels, of a KITTI flow PNG; NaN where unknown. Raises FlowFileError."""
    return decode_match(data)[0]


def decode_match(data: bytes) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """(flow, reliability) of PNG bytes. The flow is as `decode_flow` gives it, the reliability (H, W) float32, 0..1.

    The reliability is 0 where the flow is unknown. Raises FlowFileError where the bytes are damaged.
    """
    codes = None
    # cv2 fills what is missing of a damaged PNG with zeros and says nothing.
    if is_whole_png(data):
        codes = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if codes is None or codes.dtype != np.uint16 or codes.shape[2:] != (3,):
        raise FlowFileError("a stored flow is damaged", "delete it, and it is estimated again")
    flow = codes[..., :0:-1].astype(np.float32)
    flow -= _ZERO
    flow /= STEPS_PER_PX
    flow[codes[..., 0] == 0] = np.nan
    weight = np.maximum(codes[..., 0].astype(np.float32) - 1, 0) / np.float32(255)
    return flow, weight
