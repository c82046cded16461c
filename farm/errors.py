"""Every error that the farm raises on purpose.

    FarmError                   1  something the farm was asked to do did not work
    ├── UsageError              2  wrong options, or a spec that does not say what it must
    │   └── JobMismatchError    2  the job directory holds a render of another spec or input
    ├── InputError              2  a file that the user brought cannot be used
    │   ├── VideoError          2
    │   ├── PictureError        2
    │   ├── FlowFileError       2
    │   └── WeightsError        2
    ├── OutputError             2  the output cannot be written, found before rendering began
    ├── RenderError             1  rendering began and could not be finished
    │   ├── OptimizationError   1  a frame came out non-finite or unoptimised, from every start tried
    │   ├── ChunkFailedError    1  a chunk failed as often as it may
    │   ├── StorageError        1  the job directory cannot be read or written (disk full, say)
    │   └── EncodeError         1  ffmpeg or the check of the finished film failed
    ├── CancelledError          3  the user stopped it
    └── TimedOutError           4  it took longer than the user allowed

The number is the exit code of the command line. An error says what is wrong, then what to do:
`VideoError("clip.mp4 has no video stream", "give a file with pictures in it")`. All of them survive pickling, because
they cross process boundaries.
"""

from __future__ import annotations


class FarmError(Exception):
    """What went wrong (`problem`), in one line, and what the user can do about it (`remedy`)."""

    exit_code = 1
    """Exit code of the command line."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}" if self.remedy else self.problem


class UsageError(FarmError):
    """Options that are wrong or do not fit together, or a spec that does not say what it must."""

    exit_code = 2


class JobMismatchError(UsageError):
    """The job directory holds a render of another spec, or of inputs that have changed since."""


class InputError(FarmError):
    """A file that the user brought cannot be used."""

    exit_code = 2


class VideoError(InputError):
    """A film cannot be opened or decoded, or is of a kind that the spec refuses."""


class PictureError(InputError):
    """A picture or a mask cannot be read."""


class FlowFileError(InputError):
    """A file of optical flow cannot be read or written, or a field of flow is missing."""


class WeightsError(InputError):
    """A file of network weights is missing, damaged, or of another network."""


class OutputError(FarmError):
    """The output cannot be written there. Raised before any rendering."""

    exit_code = 2


class RenderError(FarmError):
    """Rendering began and could not be finished. The same command continues it."""


class OptimizationError(RenderError):
    """A frame came out non-finite or unoptimised, from every start that was tried."""


class ChunkFailedError(RenderError):
    """A chunk failed as often as it may."""


class StorageError(RenderError):
    """The job directory cannot be read or written: a full disk, say, or a network that is away."""


class EncodeError(RenderError):
    """ffmpeg failed, or the finished film is not what was meant."""


class CancelledError(FarmError):
    """The user stopped it."""

    exit_code = 3


class TimedOutError(FarmError):
    """It took longer than the user allowed."""

    exit_code = 4


def first_line(error: BaseException) -> str:
    r"""First line of an error's message that is not blank, or the name of the error's class where there is none.

    For messages of one line about errors of other libraries, which say first what went wrong.

    >>> first_line(OSError("no such host\n  at line 3 of the traceback"))
    'no such host'
    >>> first_line(MemoryError())
    'MemoryError'
    """
    return _lines(error)[0]


def last_line(error: BaseException) -> str:
    r"""Last line of an error's message that is not blank, or the name of the error's class where there is none.

    For errors of Ray about lost processes, which end with the reason.

    >>> last_line(RuntimeError("The actor died unexpectedly.\nThe node was out of memory.\n"))
    'The node was out of memory.'
    """
    return _lines(error)[-1]


def _lines(error: BaseException) -> list[str]:
    """At least one line, none of them blank."""
    return [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
