"""The boundary at which errors of other libraries become the farm's own.

PyAV raises its own FFmpegError for most of what is wrong with a film. But where a file holds what PyAV has no name for,
it raises what Python does: ValueError, AttributeError, RuntimeError and others. So everything that it raises counts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import av

from farm.errors import FarmError, VideoError, first_line


@contextlib.contextmanager
def reading(name: str) -> Iterator[None]:
    """Whatever a library raises inside about the film `name` is raised as VideoError. The farm's errors pass."""
    try:
        yield
    except FarmError:
        raise
    except Exception as error:
        reason = error.strerror if isinstance(error, av.FFmpegError) else first_line(error)
        raise VideoError(f"{name} cannot be read: {reason}", "convert it to H.264 in MP4 first") from error
