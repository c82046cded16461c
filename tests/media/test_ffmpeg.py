from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from farm.errors import EncodeError
from farm.media.ffmpeg import FfmpegProcess, ffmpeg_binary, ffmpeg_version, is_recent, reason_of_failure

WAITING = ["-loglevel", "error", "-f", "rawvideo", "-s", "16x16", "-pix_fmt", "gray", "-i", "pipe:0", "-f", "null", "-"]


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("7.1.1", True),
        ("5.1", True),
        ("n9.0.2-17-g2a571b6068-20260930", True),
        ("N-118193-g5f38c82536", True),
        ("git-2024-01-01-abcdef", True),
        ("5.0.3-0ubuntu1", False),
        ("4.4.2-0ubuntu0.22.04.1", False),
        ("", False),
        ("unknown", False),
    ],
)
def test_is_recent(version: str, expected: bool) -> None:
    assert is_recent(version) is expected


@pytest.mark.media
def test_the_binary_found_is_usable() -> None:
    assert is_recent(ffmpeg_version(ffmpeg_binary()))
    assert ffmpeg_version("/no/such/ffmpeg") == ""


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        ("", "no reason given"),
        ("[libx264 @ 0x55] width not divisible by 2 (95x63)\nError while opening encoder\nConversion failed!\n",
         "width not divisible by 2 (95x63)"),
        ("[out#0/mp4 @ 0x1] [aost#0:1 @ 0x2] No space left on device\nError writing trailer\n",
         "No space left on device"),
        ("Error opening output files: Invalid argument\n", "Error opening output files: Invalid argument"),
    ],
)  # fmt: skip
def test_reason_of_failure(stderr: str, expected: str) -> None:
    assert reason_of_failure(stderr) == expected


@pytest.mark.media
def test_a_failing_ffmpeg_says_why() -> None:
    command = [ffmpeg_binary(), "-loglevel", "error", "-i", "file:nowhere.mp4", "-f", "null", "-"]
    with FfmpegProcess(command) as process, pytest.raises(EncodeError, match=r"nowhere\.mp4|No such file") as raised:
        process.finish()
    assert "\n" not in str(raised.value)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.media
def test_a_killed_ffmpeg_says_so() -> None:
    with FfmpegProcess([ffmpeg_binary(), *WAITING]) as process:
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(EncodeError, match="killed by signal 9"):
            process.finish()


@pytest.mark.media
def test_leaving_early_ends_the_child() -> None:
    with pytest.raises(KeyError), FfmpegProcess([ffmpeg_binary(), *WAITING]) as process:
        raise KeyError
    assert not _runs(process.pid)


@pytest.mark.media
def test_the_child_dies_with_a_parent_that_is_killed() -> None:
    program = textwrap.dedent(f"""
        import time
        from farm.media.ffmpeg import FfmpegProcess, ffmpeg_binary
        process = FfmpegProcess([ffmpeg_binary(), *{WAITING!r}])
        print(process.pid, flush=True)
        time.sleep(60)
    """)
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert _runs(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    while _runs(child):  # as long as a test may take
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    """Alive, and not just a zombie that its new parent has not collected."""
    try:
        with Path(f"/proc/{pid}/stat").open() as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
