"""Small JPEGs for pages."""

from __future__ import annotations

import base64

import cv2
import numpy as np

QUALITIES = (88, 78, 65, 50, 35, 20)
"""Qualities that are tried, best first."""


def jpeg(picture: np.ndarray, width: int, most_bytes: int | None = None) -> bytes:
    """JPEG bytes of a picture (H, W, 3) uint8 RGB, shrunk to at most `width` pixels.

    The quality is the best one that stays below `most_bytes`, else the worst.
    """
    height, wide = picture.shape[:2]
    if wide > width:
        size = (width, max(1, round(height * width / wide)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    pixels = np.ascontiguousarray(picture[..., ::-1])
    data = b""
    for quality in QUALITIES:
        data = bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])
        if most_bytes is None or len(data) <= most_bytes:
            break
    return data


def data_url(data: bytes) -> str:
    """JPEG bytes as the URL of a picture inside a page."""
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()
