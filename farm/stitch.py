"""The frames of the last pass become one film."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from farm.job import JobDirectory, JobRecord
from farm.media.encode import encode_film
from farm.media.tonemap import SDR
from farm.pipeline import ahead
from farm.render import stage_frame
from farm.spec import EncodeSettings, RenderSpec
from farm.video import VideoProbe

READ_AHEAD = 8


def encode_settings(spec: RenderSpec) -> EncodeSettings:
    """Beside a network the encoder is what takes long, and x264's quality is set by crf, not by its preset."""
    if spec.encode.preset or spec.method != "instant":
        return spec.encode
    return spec.encode.model_copy(update={"preset": "veryfast"})


def shown_probe(record: JobRecord) -> VideoProbe:
    """The source, coloured as its frames are handed out: a tone-mapped film is no HDR film any more."""
    probe = record.probe
    mapped = probe.color.is_hdr and "hdr" not in record.spec.as_stored
    return probe.model_copy(update={"color": SDR}) if mapped else probe


def stitch_film(
    job: JobDirectory, record: JobRecord, output: str | Path, progress: Callable[[int], None] | None = None
) -> tuple[str, ...]:
    """Write the film to `output`, checked by probing it, and return notes on what could not be kept.

    Raises StorageError where a frame is gone, EncodeError where ffmpeg or the check fails;
    an earlier file at `output` is then untouched.
    """
    job.forget()

    def read(frame: int) -> np.ndarray:
        return stage_frame(job, record, record.plan.passes, frame)

    return encode_film(
        ahead(record.plan.frames, read, READ_AHEAD),
        shown_probe(record),
        record.plan.frames,
        output,
        encode_settings(record.spec),
        progress,
    )
