"""The sources of live frames: a film or a camera. Both yield each `Moment` when it is due, and drop late frames.

source = open_source("film.mp4", longest=640, interval=0.0)      # or "camera", "camera:1"
for moment in source.moments(): ...
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from farm.commands.live.pacing import Pacer
from farm.errors import InputError
from farm.media.pictures import resize
from farm.media.stream import LiveFilm

CAMERA_WAIT = 10.0
"""Seconds without a picture after which a camera counts as gone."""


class Moment(NamedTuple):
    """A frame that is to be shown now."""

    due: float
    """When the frame was due, in seconds from the start."""
    picture: NDArray[np.uint8]
    """(H, W, 3) uint8 RGB."""
    dropped: int
    """Frames that were dropped since the moment before."""


@dataclass
class Clock:
    """Seconds since it was first asked. Tests use one that does not sleep."""

    began: float | None = None
    """The time of the machine's clock at the first question."""

    def now(self) -> float:
        """Seconds since the first call, which returns 0."""
        self.began = time.monotonic() if self.began is None else self.began
        return time.monotonic() - self.began

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        time.sleep(seconds)


class Source(Protocol):
    """What `show` reads frames from."""

    interval: float
    """Seconds between two frames that are shown."""

    def moments(self) -> Iterator[Moment]:
        """Each frame that there is time for, when it is due."""
        ...

    def close(self) -> None:
        """Give up the film or the camera."""
        ...


class FilmSource:
    """A film that plays at its own pace."""

    def __init__(self, film: LiveFilm, interval: float = 0.0, clock: Clock | None = None) -> None:
        """Show at most one frame of `film` in `interval` seconds."""
        self._film, self._clock = film, clock or Clock()
        self._pacer = Pacer(interval)
        self.interval = max(1 / film.rate, interval)

    def moments(self) -> Iterator[Moment]:
        """The frames of the film, each when it is due; late ones are dropped, but never the last."""
        frames = self._film.frames()
        coming = next(frames, None)
        dropped = 0
        while coming is not None:
            (due, frame), coming = coming, next(frames, None)
            following = None if coming is None else coming[0]
            while (verdict := self._pacer.decide(due, following, self._clock.now())).kind == "wait":
                self._clock.sleep(verdict.seconds)
            if verdict.kind == "drop":
                dropped += 1
                continue
            yield Moment(due, self._film.picture(frame), dropped)
            dropped = 0

    def close(self) -> None:
        """Close the film's file."""
        self._film.close()


@dataclass
class Newest:
    """A place for the newest item, shared by two threads: a late reader gets the newest item and misses the others."""

    item: Any = None
    """The newest item."""
    count: int = 0
    """How many items were put here in all."""
    closed: bool = False
    """No more items will come."""
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def put(self, item: Any) -> None:
        """Replace the item, and wake the reader."""
        with self._changed:
            self.item, self.count = item, self.count + 1
            self._changed.notify_all()

    def close(self) -> None:
        """Say that no more items will come, and wake the reader."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def after(self, count: int, timeout: float) -> tuple[Any, int] | None:
        """The newest item and the number of all items, once that number is above `count`.

        None where no more items will come, or none came within `timeout` seconds.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.count > count or self.closed, timeout)
            return (self.item, self.count) if self.count > count else None


class CameraSource:
    """The newest picture of a camera. A thread takes every picture from the driver, because the driver queues them."""

    def __init__(self, capture: Any, name: str, longest: int | None, interval: float = 0.0) -> None:
        """Read from `capture`, an open `cv2.VideoCapture` that messages call `name`.

        Pictures are made smaller to `longest` pixels, and shown at most once in `interval` seconds.
        """
        self._capture, self._name, self._longest = capture, name, longest
        self._pacer = Pacer(interval)
        self.interval = max(1 / (capture.get(5) or 30.0), interval)  # 5: CAP_PROP_FPS, 0 where unknown
        self._newest = Newest()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._take, daemon=True, name="camera")

    def moments(self) -> Iterator[Moment]:
        """The newest picture whenever the show is ready for one. Raises InputError where there never was a picture."""
        clock, seen = Clock(), 0
        clock.now()
        self._thread.start()
        dropped = 0
        while newest := self._newest.after(seen, CAMERA_WAIT):
            picture, count = newest
            dropped += count - seen - 1
            seen, due = count, clock.now()
            # This is the newest picture. When the next one comes is not known; one interval later is the guess.
            if self._pacer.decide(due, due + self.interval, due).kind == "drop":
                dropped += 1
                continue
            yield Moment(due, self._fitted(picture), dropped)
            dropped = 0
        if not seen:
            raise InputError(f"{self._name} gives no pictures", "is another program using it?")

    def close(self) -> None:
        """Stop the thread and give up the camera."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(CAMERA_WAIT)
        self._capture.release()

    def _take(self) -> None:
        while not self._stop.is_set():
            success, picture = self._capture.read()
            if not success:
                break
            self._newest.put(picture)
        self._newest.close()

    def _fitted(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture, (H, W, 3) uint8, from OpenCV's BGR to RGB and no longer than asked for."""
        height, width = picture.shape[:2]
        scale = min(1.0, (self._longest or max(height, width)) / max(height, width))
        size = (max(16, round(height * scale)), max(16, round(width * scale)))
        rgb: NDArray[np.uint8] = np.ascontiguousarray(resize(picture, size)[..., ::-1])
        return rgb


def open_source(
    name: str, longest: int | None, interval: float, open_camera: Callable[[int], Any] | None = None
) -> Source:
    """Open a film by its path or URL, or a camera as `camera` or `camera:NUMBER`.

    `longest` is the longest side of the pictures in pixels (None: as they are), `interval` the least time between two
    of them in seconds. `open_camera` opens a camera by its number; tests have one without a device.
    Raises InputError, VideoError.
    """
    camera = re.fullmatch(r"camera(?::(\d{1,3}))?", name)
    if not camera:
        return FilmSource(LiveFilm(name, longest), interval)
    number = int(camera[1] or 0)
    capture = (open_camera or _camera)(number)
    if not capture.isOpened():
        raise InputError(f"there is no camera {number} here, or it is in use", "try camera:1, or give a film")
    return CameraSource(capture, f"camera {number}", longest, interval)


def _camera(number: int) -> Any:
    import cv2

    # Otherwise every backend of OpenCV that has no such camera prints a warning.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2.VideoCapture(number)
