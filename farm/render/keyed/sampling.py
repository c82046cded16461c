"""Pictures resampled once, as sharp as they were: Lanczos' window of eight taps (Duchon 1979). Pure."""

from __future__ import annotations

import cv2
import numpy as np


def lanczos(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """`picture(x + flow(x))` at every pixel x: float32 (H, W, 3), clipped to 0..255.

    `picture` is (H, W, 3) in 0..255, and `flow` float32 (H, W, 2), in pixels. A flow of 0 gives the picture itself.
    Beyond its edges the picture is repeated. Positions are rounded to 1/32 of a pixel.
    """
    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float32) + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    sampled = cv2.remap(picture.astype(np.float32), x, y, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
    return np.clip(sampled, 0, 255)
