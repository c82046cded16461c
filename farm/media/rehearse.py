"""The film's pictures, coded and joined once before any is painted: three grey frames, all the way to a film.

What an encoder refuses only at a certain size, or a container only with certain times, is then found at the start.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from farm.errors import EncodeError, UsageError
from farm.media.encode import SUFFIX, encode_segment
from farm.media.film import join_segments
from farm.media.tracks import container_extension
from farm.plan import VideoProbe
from farm.spec import FrameRange
from farm.spec.render import EncodeSettings

FRAMES = 3


def rehearse_film(
    probe: VideoProbe, frames: FrameRange, size: tuple[int, int], output: str, settings: EncodeSettings
) -> None:
    """Make a film of the first frames of `frames`, of `size` (width, height) and all grey, and throw it away.

    Raises UsageError where that fails: the film could not be made of painted frames either.
    """
    part = FrameRange(frames.start, min(frames.start + FRAMES, frames.stop))
    grey = np.full((size[1], size[0], 3), 128, np.uint8)
    with tempfile.TemporaryDirectory(prefix="farm-rehearsal-") as folder:
        segment = Path(folder) / f"segment{SUFFIX}"
        film = Path(folder) / f"film{container_extension(output)}"
        # The segment stands in for the source: nothing beside the picture is asked of it here.
        alone = probe.model_copy(update={"path": str(segment), "audio": (), "subtitles": (), "attachments": ()})
        try:
            encode_segment((grey for _ in part), alone, part, segment, settings)
            join_segments([segment], alone, part, film, settings, ())
        except EncodeError as error:
            raise UsageError(
                f"{settings.codec} makes no {film.suffix} film of {size[0]}x{size[1]} in {settings.pixel_format}: "
                f"{error.problem}",
                "choose another --codec, --pixel-format or --size",
            ) from None
