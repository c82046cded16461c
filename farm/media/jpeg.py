"""Small JPEGs for pages."""

from __future__ import annotations

import base64

import cv2
import numpy as np

QUALITIES = (88, 78, 65, 50, 35, 20)


def jpeg(picture: np.ndarray, width: int, most_bytes: int | None = None) -> bytes:
    """At most `width` pixels wide, and of the best quality that stays below `most_bytes`, if there is one."""
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
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()
