"""The pictures that a person gives for frames of a job: edited in the job directory, or in a folder.

    edited_in_place(job, record, frames)             {120: GivenPicture(...)}
    given_in_folder(job, record, frames, "fixed")    the same, of files named by their frames

Nothing is written here. Raises UsageError for a picture that cannot be a frame of the film.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from farm.errors import PictureError, UsageError
from farm.files import Storage
from farm.files.numbered import PICTURES, frame_number
from farm.files.png import encode_png, is_whole_png
from farm.job import JobDirectory, JobRecord
from farm.job.versions import last_task
from farm.media.pictures import read_picture
from farm.plan import RenderPlan
from farm.spec import FrameRange

READ_AT_ONCE = 8
"""Frames that are read at the same time."""


@dataclass(frozen=True)
class GivenPicture:
    """A frame's picture as the job keeps it: the bytes of a PNG with 8 bits a channel, and their SHA-256.

    `edited` is the SHA-256 of the file in the place of the frame that it came from; empty for one from a folder.
    """

    data: bytes
    sha256: str
    edited: str = ""


def edited_frames(job: JobDirectory, record: JobRecord, frames: Collection[int] | FrameRange) -> dict[int, bytes]:
    """By frame, ascending: the files of the last pass that a person edited and nobody accepted. Reads all of them."""

    def read(frame: int) -> bytes | None:
        return job.edited_picture(last_task(record.plan, frame), frame)

    for frame in frames:
        job.ledger(last_task(record.plan, frame))  # read by one thread, before several ask for it
    job.corrections()
    with ThreadPoolExecutor(READ_AT_ONCE) as threads:
        found = zip(frames, threads.map(read, frames), strict=True)
        return {frame: data for frame, data in found if data is not None}


def put_edits_aside(job: JobDirectory, record: JobRecord, frames: Collection[int]) -> list[int]:
    """Copy those of `edited_frames` to `edited/` in the job directory, and return their numbers."""
    edited = edited_frames(job, record, frames)
    for frame, data in edited.items():
        job.put_aside(frame, data)
    return list(edited)


def put_aside_and_not_accepted(job: JobDirectory) -> list[int]:
    """Frames with a picture in `edited/` that were not accepted since, ascending."""
    names = (name.removeprefix("edited/") for name in job.storage.names("edited"))
    frames = sorted(int(name[:-4]) for name in names if name[:-4].isdigit())
    return [frame for frame in frames if job.corrections().shown(frame) is None]


def edited_in_place(job: JobDirectory, record: JobRecord, frames: FrameRange) -> dict[int, GivenPicture]:
    """The pictures of `edited_frames`. A file that was edited into something else than a frame is refused.

    A file that is no whole PNG is not taken for an edited one but for a damaged one.
    """
    given = {}
    for frame, data in edited_frames(job, record, frames).items():
        place = f"the edited frame {frame} of {job.url}"
        given[frame] = _checked(data, place, record.plan, hashlib.sha256(data).hexdigest())
    return given


def given_in_folder(job: JobDirectory, record: JobRecord, frames: FrameRange, folder: str) -> dict[int, GivenPicture]:
    """The pictures in a folder, a path or URL, that are named by the numbers of `frames`, such as `000120.png`.

    Pictures of other frames are left alone. Raises UsageError where there is none of these frames, or two of one.
    """
    storage = Storage(folder)
    if storage.local is not None and not storage.local.is_dir():
        raise UsageError(f"--from {folder} is no folder", "give the folder with the pictures, such as 000120.png")
    names = [name for name in (path.rpartition("/")[2] for path in storage.names("") if "/" not in path.strip("/"))]
    by_frame: dict[int, str] = {}
    for name in names:
        frame = frame_number(name)
        if frame is None or frame not in frames or name.startswith(".") or Path(name).suffix.lower() not in PICTURES:
            continue
        if frame in by_frame:
            raise UsageError(f"frame {frame} has two pictures in {folder}: {by_frame[frame]} and {name}")
        by_frame[frame] = name
    if not by_frame:
        raise UsageError(
            f"--from {folder} has no picture of the frames {frames}", "name them by their frames: 000120.png"
        )
    return {
        frame: _checked(storage.read(name) or b"", f"{folder}/{name}", record.plan)
        for frame, name in sorted(by_frame.items())
    }


def _checked(data: bytes, place: str, plan: RenderPlan, edited: str = "") -> GivenPicture:
    """The picture in the bytes of a file. Raises UsageError where it is no PNG, or not of the frames' size."""
    if not is_whole_png(data):
        raise UsageError(f"{place} is not a whole PNG", "save it as a PNG")
    image = _decoded(data, place)
    height, width = image.shape[:2]
    if (width, height) != (plan.width, plan.height):
        raise UsageError(f"{place} is {width}x{height}, and the frames are {plan.width}x{plan.height}")
    encoded = encode_png(image)
    return GivenPicture(encoded, hashlib.sha256(encoded).hexdigest(), edited)


def _decoded(data: bytes, place: str) -> np.ndarray:
    """The picture as it is meant to be seen, uint8 sRGB (H, W, 3)."""
    with tempfile.TemporaryDirectory(prefix="farm-accept-") as folder:
        path = Path(folder) / "frame.png"
        path.write_bytes(data)
        try:
            return read_picture(path)
        except PictureError as error:
            raise UsageError(f"{place} {error.problem.removeprefix(str(path)).strip()}", error.remedy) from None
