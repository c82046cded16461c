"""Where live frames come from. Both kinds yield `Moment`s in time and skip what there was no time for.

source = open_source("film.mp4", longest=640, interval=0.0)      or "camera", "camera:1"
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
    """A frame, (H, W, 3) uint8, when it was due (seconds from the start), and how many before it were dropped."""

    due: float
    picture: NDArray[np.uint8]
    dropped: int


@dataclass
class Clock:
    """Seconds since the first question. Tests have one of their own."""

    began: float | None = None

    def now(self) -> float:
        self.began = time.monotonic() if self.began is None else self.began
        return time.monotonic() - self.began

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Source(Protocol):
    interval: float
    """Seconds between two of its frames."""

    def moments(self) -> Iterator[Moment]: ...

    def close(self) -> None: ...


class FilmSource:
    """A film at its own pace."""

    def __init__(self, film: LiveFilm, interval: float = 0.0, clock: Clock | None = None) -> None:
        self._film, self._clock = film, clock or Clock()
        self._pacer = Pacer(interval)
        self.interval = max(1 / film.rate, interval)

    def moments(self) -> Iterator[Moment]:
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
        self._film.close()


@dataclass
class Newest:
    """One place for the newest item; who comes late finds that one, and how many have come in all."""

    item: Any = None
    count: int = 0
    closed: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def put(self, item: Any) -> None:
        with self._changed:
            self.item, self.count = item, self.count + 1
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def after(self, count: int, timeout: float) -> tuple[Any, int] | None:
        """The newest item once more than `count` have come; None where it was closed, or took longer."""
        with self._changed:
            self._changed.wait_for(lambda: self.count > count or self.closed, timeout)
            return (self.item, self.count) if self.count > count else None


class CameraSource:
    """The newest picture of a camera. A thread takes every picture from the driver, whose queue would lag."""

    def __init__(self, capture: Any, name: str, longest: int | None, interval: float = 0.0) -> None:
        self._capture, self._name, self._longest = capture, name, longest
        self._pacer = Pacer(interval)
        self.interval = max(1 / (capture.get(5) or 30.0), interval)  # 5: CAP_PROP_FPS, 0 where unknown
        self._newest = Newest()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._take, daemon=True, name="camera")

    def moments(self) -> Iterator[Moment]:
        clock, seen = Clock(), 0
        clock.now()
        self._thread.start()
        dropped = 0
        while found := self._newest.after(seen, CAMERA_WAIT):
            picture, count = found
            dropped += count - seen - 1
            seen, due = count, clock.now()
            # the newest there is: a later one is not known, but there will be one
            if self._pacer.decide(due, due + self.interval, due).kind == "drop":
                dropped += 1
                continue
            yield Moment(due, self._fitted(picture), dropped)
            dropped = 0
        if not seen:
            raise InputError(f"{self._name} gives no pictures", "is another program using it?")

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(CAMERA_WAIT)
        self._capture.release()

    def _take(self) -> None:
        while not self._stop.is_set():
            there, picture = self._capture.read()
            if not there:
                break
            self._newest.put(picture)
        self._newest.close()

    def _fitted(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """OpenCV's BGR as RGB, at the size wanted."""
        height, width = picture.shape[:2]
        scale = min(1.0, (self._longest or max(height, width)) / max(height, width))
        size = (max(16, round(height * scale)), max(16, round(width * scale)))
        found: NDArray[np.uint8] = np.ascontiguousarray(resize(picture, size)[..., ::-1])
        return found


def open_source(
    name: str, longest: int | None, interval: float, open_camera: Callable[[int], Any] | None = None
) -> Source:
    """A film by its path or URL, a camera as `camera` or `camera:NUMBER`. Raises InputError, VideoError."""
    found = re.fullmatch(r"camera(?::(\d{1,3}))?", name)
    if not found:
        return FilmSource(LiveFilm(name, longest), interval)
    number = int(found[1] or 0)
    capture = (open_camera or _camera)(number)
    if not capture.isOpened():
        raise InputError(f"there is no camera {number} here, or it is in use", "try camera:1, or give a film")
    return CameraSource(capture, f"camera {number}", longest, interval)


def _camera(number: int) -> Any:
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # of every backend that has no such camera
    return cv2.VideoCapture(number)
