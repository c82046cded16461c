"""The ffmpeg program: where it is, and how it is run.

`ffmpeg_binary()` prefers a system ffmpeg, and falls back to the one that imageio-ffmpeg carries.
`FfmpegProcess` feeds one ffmpeg through its standard input and says in one line why it failed. When the
feeding process dies, however it dies, the pipe closes and ffmpeg sees the end of its input and stops.
"""

from __future__ import annotations

import contextlib
import functools
import re
import shutil
import subprocess
import tempfile
from types import TracebackType
from typing import IO

from farm.errors import EncodeError, FarmError

OLDEST_USABLE = (5, 1)
"""The first release with the option -fps_mode."""

_UNINFORMATIVE = re.compile(
    r"^(Error (opening|initializing|while|writing trailer|muxing|sending|submitting)|Conversion failed"
    r"|Nothing was written|Task finished|Terminating thread|Could not open encoder)",
    re.IGNORECASE,
)


@functools.cache
def ffmpeg_binary() -> str:
    """Path of a usable ffmpeg. Raises FarmError where there is none."""
    system = shutil.which("ffmpeg")
    if system and is_recent(ffmpeg_version(system)):
        return system
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise FarmError(
            "there is no usable ffmpeg on this machine", "install ffmpeg 5.1 or newer, or imageio-ffmpeg"
        ) from error


def ffmpeg_version(binary: str) -> str:
    """Version of an ffmpeg, such as `7.1.1` or `N-118193-g5f38c82536`; empty where it does not run."""
    try:
        done = subprocess.run([binary, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    match = re.match(r"ffmpeg version (\S+)", done.stdout)
    return match[1] if match else ""


def is_recent(version: str) -> bool:
    """Whether a version is one that the farm can use. A build from git (`N-...`) counts as recent.

    >>> is_recent("4.4.2"), is_recent("n5.1"), is_recent("N-118193-g5f38c82536")
    (False, True, True)
    """
    if re.match(r"(N-\d|git-)", version):
        return True
    match = re.match(r"n?(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) >= OLDEST_USABLE


def reason_of_failure(stderr: str) -> str:
    """The line of ffmpeg's log that names the cause: ffmpeg follows it with lines that say only that it failed."""
    lines = [re.sub(r"^(\[[^\]]*\]\s*)+", "", line).strip() for line in stderr.splitlines()]
    lines = [line for line in lines if line]
    telling = [line for line in lines if not _UNINFORMATIVE.match(line)]
    return (telling or lines or ["no reason given"])[-1]


class FfmpegProcess:
    """A running ffmpeg with these arguments, fed through `stdin`. A context manager, after which the child is gone.

    Raises EncodeError where ffmpeg does not start.
    """

    def __init__(self, arguments: list[str]) -> None:
        # A file and not a pipe: nobody has to drain it while frames are being written.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed in __exit__
        try:
            self._process = subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._log
            )
        except OSError as error:
            self._log.close()
            raise EncodeError(f"ffmpeg does not start: {error}", "run farm doctor") from error

    @property
    def stdin(self) -> IO[bytes]:
        """The pipe into ffmpeg."""
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def pid(self) -> int:
        """Ffmpeg's process id."""
        return self._process.pid

    def finish(self) -> None:
        """End the input and wait. Raises EncodeError with ffmpeg's reason where it failed."""
        broken = False
        try:
            self.stdin.close()
        except BrokenPipeError:
            broken = True
        code = self._process.wait()
        if code or broken:
            raise self.failure()

    def failure(self) -> EncodeError:
        """What ffmpeg's log and exit status say, once it has ended (it is ended here if it still runs)."""
        if self._process.poll() is None:
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        code = self._process.returncode
        if code < 0:
            return EncodeError(f"ffmpeg was killed by signal {-code}", "run it again")
        self._log.seek(0)
        reason = reason_of_failure(self._log.read().decode("utf-8", "replace"))
        return EncodeError(f"ffmpeg failed with exit status {code}: {reason}")

    def __enter__(self) -> FfmpegProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(OSError):  # what was still buffered has no reader any more
            self.stdin.close()
        self._log.close()
