"""A head that is lost after this process has joined its cluster. No Ray is started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from farm.cluster import head_watch
from farm.cluster.head_watch import LOST_AT_WORK_SECONDS, LOST_SECONDS, HeadWatch, if_head_is_lost, work_begins
from farm.errors import RenderError
from tests.cluster.test_joining import head

ROOT = Path(__file__).parents[2]
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 64}


class Head:
    """A head that is asked once a second, and answers at the seconds in `answers`."""

    def __init__(self, answers: range) -> None:
        self.answers, self.now = answers, 0.0

    def ask(self) -> None:
        if self.now not in self.answers:
            raise RenderError("no Ray cluster answers")

    def lost_after(self, watch: HeadWatch, seconds: int) -> tuple[float, float] | None:
        """(time, silence) of the moment at which it is lost; None where it is not within `seconds`."""
        for now in range(1, seconds + 1):
            self.now = float(now)
            if (silence := watch.silence()) is not None:
                return self.now, silence
        return None


@pytest.mark.parametrize(
    ("answers", "at_work", "expected"),
    [
        (range(0), False, (LOST_SECONDS, LOST_SECONDS)),
        (range(0, 4), False, (3 + LOST_SECONDS, LOST_SECONDS)),
        (range(0, 100, 7), False, None),  # slow, but it answers
        (range(0), True, (LOST_AT_WORK_SECONDS, LOST_AT_WORK_SECONDS)),
        (range(0, 100, 40), True, None),  # started again twice
    ],
)
def test_when_a_head_is_lost(
    answers: range, at_work: bool, expected: tuple[float, float] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Head(answers)
    watch = HeadWatch(one.ask, lambda: one.now)
    monkeypatch.setattr(head_watch, "_watch", watch)
    if at_work:
        work_begins()
    assert one.lost_after(watch, 100) == expected


def test_what_is_kept_and_in_which_order(monkeypatch: pytest.MonkeyPatch) -> None:
    watch, lines = HeadWatch(lambda: None), []
    monkeypatch.setattr(head_watch, "_watch", watch)

    def broken(_: str) -> None:
        raise OSError("the storage is gone as well")

    with if_head_is_lost(lambda line: lines.append(f"outer {line}")):
        with if_head_is_lost(lambda line: lines.append("left again")):
            pass
        with if_head_is_lost(broken), if_head_is_lost(lambda line: lines.append(f"inner {line}")):
            watch.keep("lost")
    assert lines == ["inner lost", "outer lost"]
    assert watch.kept == []


def test_without_a_cluster_nothing_is_watched() -> None:
    with if_head_is_lost(pytest.fail):
        work_begins()


SCRIPT = """
import sys, time
from farm.cluster import head_watch
head_watch.ASK_SECONDS, head_watch.ANSWER_SECONDS, head_watch.LOST_SECONDS = 0.05, 1.0, 0.3
with head_watch.watched_head(sys.argv[1]), head_watch.if_head_is_lost(lambda line: print("kept:", line, flush=True)):
    print("watching", flush=True)
    {inside}
print("left", flush=True)
time.sleep(0.5)
"""


@pytest.mark.process
@pytest.mark.parametrize(
    ("inside", "out", "err", "code"),
    [
        ("time.sleep(600)", "kept: {line}\n", "farm: {line}\n", 1),
        ("pass", "left\n", "", 0),
    ],
)
def test_the_process_ends_with_one_line(
    inside: str, out: str, err: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it has to be where the main thread hangs in C++ code; outside the block the head may go."""
    for name, value in TOKEN.items():
        monkeypatch.setenv(name, value)
    with head(lambda _: None) as address:
        command = [sys.executable, "-c", SCRIPT.format(inside=inside), address]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "watching\n"
    # Not communicate(), which leaves out what readline() has read ahead.
    told, complained = process.stdout.read(), process.stderr.read()
    process.wait(timeout=60)
    line = f"the head of the cluster at {address} was lost: no answer for 0 s; run the same command again"
    assert (told, complained, process.returncode) == (out.format(line=line), err.format(line=line), code)
