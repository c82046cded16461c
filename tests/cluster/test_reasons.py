"""Why a job ended is one line that names the cause."""

from __future__ import annotations

import pytest

from farm.cluster.reasons import LONGEST_REASON, short_reason

FAILED = "Job entrypoint command failed with exit code 1, last available logs (truncated to 20,000 chars):\n"
NOISE = """Unhandled error (suppress with 'RAY_IGNORE_UNHANDLED_ERRORS=1'): The actor died unexpectedly
ray.exceptions.ActorDiedError: The actor died because it was killed by `ray.kill`.
\tclass_name: RenderWorker
\tactor_id: 3a
"""
FULL = (
    "farm: 1 task(s) failed and 0 could not follow; pass-1/00000: /j/x.png cannot be written: No space left on device"
)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("", ""),
        (
            f"{FAILED}pass 1 begins\nfarm: film.mp4 does not exist; check it\n{NOISE}",
            "film.mp4 does not exist; check it",
        ),
        (f"{FAILED}{NOISE}{FULL}\n", f"the disk is full: {FULL[6:]}"),
        (
            "Job entrypoint command failed with exit code -9, last available logs (truncated to 20,000 chars):\npass 1",
            "its driver was killed by SIGKILL, as the system does where memory runs out",
        ),
        ("Job entrypoint command failed with exit code -15. No logs available.", "its driver was ended by signal 15"),
        (
            "Job supervisor actor died: The actor died. Task was killed due to the node running low on memory",
            "the head's memory ran out, and Ray's memory monitor ended the driver",
        ),
        (
            f'{FAILED}Traceback (most recent call last):\n  File "x.py", line 1\nImportError: No module named "f"\n',
            'its driver ended with exit code 1: ImportError: No module named "f"',
        ),
        (
            "Job supervisor actor could not be scheduled: no node",
            "Job supervisor actor could not be scheduled: no node",
        ),
    ],
)
def test_the_reason_of(message, reason):
    assert short_reason(message) == reason


def test_a_reason_is_never_a_page():
    long = short_reason(FAILED + "x" * 20_000)
    assert len(long) <= LONGEST_REASON + len("the disk is full: ")
    assert "\n" not in short_reason("a\nb\n" * 5000)
