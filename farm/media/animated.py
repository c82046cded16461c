"""Animated WebP, which no demuxer of PyAV reads: its pictures are decoded by Pillow and handed on as Matroska."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
from PIL import Image

MILLISECONDS = Fraction(1, 1000)


def is_animated_webp(head: bytes) -> bool:
    """Whether a file that begins with these 32 bytes is a WebP that says it is animated (bit 1 of the VP8X flags)."""
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) > 20 and bool(head[20] & 2)


def webp_as_matroska(data: bytes) -> bytes:
    """The pictures of an animated WebP, RGBA without loss, each as long as it is shown.

    Raises OSError, SyntaxError, ValueError or EOFError where Pillow cannot decode them.
    """
    written = io.BytesIO()
    with Image.open(io.BytesIO(data), formats=["WEBP"]) as picture, av.open(written, "w", format="matroska") as film:
        stream = film.add_stream("ffv1", rate=Fraction(1000))
        width, height = picture.size
        stream.width, stream.height, stream.pix_fmt = width, height, "bgra"
        stream.time_base = stream.codec_context.time_base = MILLISECONDS
        shown = 0
        for number in range(getattr(picture, "n_frames", 1)):
            picture.seek(number)
            picture.load()
            lasts = max(int(picture.info.get("duration", 0)), 1)
            frame = av.VideoFrame.from_ndarray(np.asarray(picture.convert("RGBA")), format="rgba")
            frame = frame.reformat(format="bgra")
            frame.pts, frame.time_base = shown, MILLISECONDS
            for packet in stream.encode(frame):
                packet.duration = lasts
                film.mux(packet)
            shown += lasts
        film.mux(stream.encode(None))
    return written.getvalue()
