"""Why a submitted job ended, in one line, out of what Ray says of it: up to 20,000 characters of log. Pure."""

from __future__ import annotations

import re

LONGEST_REASON = 300
"""Characters of a reason. What is longer is cut, because it is one line on a terminal."""
FARM_ERROR = "farm: "
"""How the driver begins the line that says why the job failed."""
MEMORY_KILL = re.compile(r"running low on memory|low on memory|OutOfMemory|memory usage threshold", re.IGNORECASE)
NOISE = re.compile(
    r"^(\[?[\w.]*ActorDiedError|.*\bray\.kill\b|Unhandled error|\s*class_name:|\s*actor_id:|\s*pid:|\s*namespace:|"
    r"\s*ip:|\(pid=|\[\d{4}-\d\d-\d\d |\d{4}-\d\d-\d\d [\d:,.]+\s+(INFO|WARNING|ERROR)\b|Traceback \(|  File |    )"
)
"""Lines of Ray and of Python that name no cause: what a worker that was ended on purpose leaves, and stacks."""


def short_reason(message: str) -> str:
    """The cause of a job's end in one line of at most LONGEST_REASON characters; empty where nothing is known.

    `message` is Ray's. The driver's own last `farm: ...` line is preferred, then a signal or a lack of memory, then the
    last line of the log that is no noise of Ray's.
    """
    if not message.strip():
        return ""
    lines = [line.rstrip() for line in message.splitlines() if line.strip()]
    own = [line.partition(FARM_ERROR)[2] for line in lines if line.lstrip().startswith(FARM_ERROR)]
    own = [line for line in own if line.strip() != "done"]
    if own:
        return with_plain_cause(one_line(own[-1]))
    if MEMORY_KILL.search(message):
        return "the head's memory ran out, and Ray's memory monitor ended the driver"
    exit_code = re.search(r"failed with exit code (-?\d+)", message)
    if exit_code and int(exit_code[1]) in (-9, 137):
        return "its driver was killed by SIGKILL, as the system does where memory runs out"
    if exit_code and int(exit_code[1]) < 0:
        return f"its driver was ended by signal {-int(exit_code[1])}"
    telling = [line.strip() for line in lines if not NOISE.match(line)]
    if exit_code and len(telling) > 1:
        return with_plain_cause(one_line(f"its driver ended with exit code {exit_code[1]}: {telling[-1]}"))
    return with_plain_cause(one_line((telling or lines)[0].strip()))


def with_plain_cause(reason: str) -> str:
    """A reason that says that the disk is full, where that is meant.

    >>> with_plain_cause("/jobs/a.farm/state.json cannot be written: No space left on device")
    'the disk is full: /jobs/a.farm/state.json cannot be written: No space left on device'
    """
    full = "No space left on device" in reason or "Disk quota exceeded" in reason
    return f"the disk is full: {reason}" if full and "the disk is full" not in reason else reason


def one_line(line: str) -> str:
    """A text as one line of at most LONGEST_REASON characters."""
    line = " ".join(line.split())
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 3]}..."
