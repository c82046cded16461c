"""Tiny films whose every frame says which one it is: eight bars, black or white, are its number in binary."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from farm.media.ffmpeg import ffmpeg_binary

WIDTH, HEIGHT = 96, 64
RATE = "30000/1001"
LOSSLESS = ("-c:v", "ffv1", "-pix_fmt", "bgr0")


def numbered(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """RGB picture: the number's bits, most significant first, as bars from top to bottom of the upper half."""
    picture = np.full((height, width, 3), 128, np.uint8)
    for bit in range(8):
        left, right = bit * width // 8, (bit + 1) * width // 8
        picture[: height // 2, left:right] = 224 if number >> (7 - bit) & 1 else 32
    picture[height // 2 :, : width // 4] = (200, 60, 40)  # the left is red, the right is not: shows turns and flips
    return picture


def read_number(picture: np.ndarray) -> int:
    height, width = picture.shape[:2]
    columns = [(2 * bit + 1) * width // 16 for bit in range(8)]
    bits = [picture[height // 8 : height // 3, c - 2 : c + 2].mean() > 128 for c in columns]
    return sum(int(bit) << (7 - place) for place, bit in enumerate(bits))


def run_ffmpeg(*arguments: str | Path, stdin: bytes | None = None) -> None:
    command = [ffmpeg_binary(), "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def write_clip(
    path: Path, pictures: Sequence[np.ndarray], *options: str, rate: str = RATE, inputs: Sequence[str] = ()
) -> Path:
    """Encode RGB pictures of one size with the given output options; `inputs` are further input arguments."""
    height, width = pictures[0].shape[:2]
    run_ffmpeg(
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", rate, "-i", "pipe:0"),
        *inputs,
        *options,
        path,
        stdin=b"".join(p.tobytes() for p in pictures),
    )
    return path


def write_numbered(path: Path, frames: int, *options: str, **more: object) -> Path:
    return write_clip(path, [numbered(i) for i in range(frames)], *options, **more)  # type: ignore[arg-type]


def tone(frequency: int, seconds: float) -> tuple[str, ...]:
    """Input arguments for a sine."""
    return ("-f", "lavfi", "-i", f"sine=frequency={frequency}:duration={seconds}:sample_rate=48000")
