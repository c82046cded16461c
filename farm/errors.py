"""Every error that the farm raises on purpose.

    FarmError                   1  something the farm was asked to do did not work
    ├── UsageError              2  wrong options, or a spec that does not say what it must
    │   ├── JobMismatchError    2  the job directory holds a render of another spec or input
    │   └── NoAnswerError       2  no cluster answers at the address, or not in time
    ├── InputError              2  a file that the user brought cannot be used
    │   ├── VideoError          2
    │   ├── PictureError        2
    │   ├── FlowFileError       2
    │   └── WeightsError        2
    ├── OutputError             2  the output cannot be written, found before rendering began
    ├── RenderError             1  the work could not be finished, or Ray could not be started for it
    │   ├── OptimizationError   1  a frame came out non-finite or unoptimised, from every start tried
    │   ├── ChunkFailedError    1  a chunk failed as often as it may
    │   ├── StorageError        1  the job directory cannot be read or written
    │   │   ├── DiskFullError   1  there is no room for what is written
    │   │   └── DamagedError    1  a committed frame or a segment that is needed is gone or damaged
    │   └── EncodeError         1  ffmpeg or the check of the finished film failed
    ├── CancelledError          3  the user stopped it
    └── TimedOutError           4  it took longer than the user allowed

The number is the exit code of the command line. An error says what is wrong, then what to do:
`VideoError("clip.mp4 has no video stream", "give a file with pictures in it")`. All of them survive pickling, because
they cross process boundaries.
"""

from __future__ import annotations


class FarmError(Exception):
    """What the farm was asked to do did not work. Exit code 1, unless a subclass has another.

    `problem` says in one line what went wrong, and `remedy` what the user can do about it.
    """

    exit_code = 1
    """Exit code of the command line."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}" if self.remedy else self.problem


class UsageError(FarmError):
    """Options are wrong or do not fit together, a spec lacks something, or no job or cluster is there. Exit code 2.

    Raised before any rendering.
    """

    exit_code = 2


class JobMismatchError(UsageError):
    """The job directory, or a training's folder, was begun with another spec or with other input files. Exit code 2.

    The frames in it would not fit those to come, so the user chooses another directory, or removes this one.
    """


class NoAnswerError(UsageError):
    """No cluster answers at the address, or not in time. Exit code 2.

    Commands that can do without the cluster catch it: the job's directory tells most of what it would.
    """


class InputError(FarmError):
    """A file, an address or a camera that the user named cannot be used. Exit code 2, as for all subclasses."""

    exit_code = 2


class VideoError(InputError):
    """A film cannot be opened or decoded, or is HDR or interlaced where the spec refuses that.

    A frame that turns out to be damaged in the middle of a render raises it too.
    """


class PictureError(InputError):
    """A picture, a mask or a folder of photographs is missing, empty, too large, or cannot be decoded."""


class FlowFileError(InputError):
    """A file of optical flow cannot be read or written, or `--flow-dir` lacks the flow between two neighbours."""


class WeightsError(InputError):
    """A file of network weights is missing, damaged, or of another network (VGG-19, RAFT, or a style network)."""


class OutputError(FarmError):
    """The output cannot be written where the user wants it. Exit code 2.

    The place is checked before rendering begins, so that no work is lost. A disk that fills up later raises it for a
    picture or a training's files, and StorageError or EncodeError for a film.
    """

    exit_code = 2


class RenderError(FarmError):
    """The work could not be finished, or Ray could not be started for it. Exit code 1, as for all subclasses.

    The same command continues from what is committed.
    """


class OptimizationError(RenderError):
    """The optimiser failed on a frame from every start that was tried, ran out of memory, or a training diverged."""


class ChunkFailedError(RenderError):
    """A chunk failed as often as it may, or no worker could be kept alive to render it."""


class StorageError(RenderError):
    """The job directory cannot be read or written, or a file in it is gone or damaged that the job needs.

    Causes are a full disk, storage that does not answer, and a directory that the cluster's nodes do not see.
    """


class DiskFullError(StorageError):
    """There is no room on the disk for what is written, or the user may have no more of it.

    To begin again does not help before there is room.
    """


class DamagedError(StorageError):
    """A committed frame or an encoded segment that is needed is gone, or is not what was written.

    A render that meets one reads all its files again, and makes anew what is damaged.
    """


class EncodeError(RenderError):
    """ffmpeg failed, or the check of the finished film found that it differs from what was to be written."""


class CancelledError(FarmError):
    """The user stopped the command by Ctrl-C or SIGTERM, or the job by `farm cancel`. Exit code 3.

    What is committed stays, and the same command continues.
    """

    exit_code = 3


class TimedOutError(FarmError):
    """A job had not ended when the time to wait for it was over. Exit code 4.

    After `farm wait --timeout` the job goes on. After `farm cancel` it has been asked to end, and may still do so.
    """

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
