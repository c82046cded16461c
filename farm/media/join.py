"""Films of one kind put one after the other, without encoding them again."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from farm.media.ffmpeg import FfmpegProcess, ffmpeg_binary


def join_films(films: Sequence[Path], output: Path) -> None:
    """Write `films`, which have the same size, codecs and rates, to `output`, without sound. Raises EncodeError."""
    with tempfile.TemporaryDirectory(prefix="farm-join-") as folder:
        listing = Path(folder) / "films.txt"
        listing.write_text("".join(f"file '{_quoted(film)}'\n" for film in films))
        command = [ffmpeg_binary(), "-v", "error", "-y", "-f", "concat", "-safe", "0", "-i", str(listing)]
        with FfmpegProcess([*command, "-map", "0:v:0", "-c", "copy", str(output)]) as process:
            process.finish()


def _quoted(film: Path) -> str:
    return str(film.absolute()).replace("'", "'\\''")
