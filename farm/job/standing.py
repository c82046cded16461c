"""What a job is at this moment, from all that can be known: its directory, the time, and the cluster's word. Pure.

    standing = decide(recorded, word, now=time.time(), has_report=False)
    standing.state, standing.reason

`farm status`, `list`, `wait` and `watch` all ask `decide`, so that they agree. A job whose driver is gone, or never
began, is LOST: nothing works on it, and `farm resume` goes on with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from farm.job.state import FINISHED, SILENT_AFTER_SECONDS, JobState, State

SUBMITTING_SECONDS = 60.0
"""Age, in seconds, up to which a PENDING job that the cluster does not know counts as still being submitted.

`submit_job` writes the state to the job's directory before it calls the cluster.
"""
PENDING_SECONDS = 300.0
"""Age, in seconds, from which on a PENDING job counts as lost where no cluster can be asked. A driver gives signs of
life from its first seconds on.
"""
STATE_OF_RAY: dict[str, State] = {"STOPPED": "CANCELLED", "FAILED": "FAILED", "SUCCEEDED": "SUCCEEDED"}
"""The farm's word for each state in which Ray lists a job whose driver has ended."""

QUEUE_STARTS = (
    "the queue has not begun since the head did: the next farm submit or resume starts it, or python -m jobs.queue on "
    "the head"
)
"""Why a job waits whose cluster has a new head. The queue finds it in the table that FARM_QUEUE keeps."""

ShownState = Literal["QUEUED", "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "LOST", "UNFINISHED"]
"""The states that commands show. UNFINISHED is a directory that holds a job and no word of what it is doing."""


@dataclass(frozen=True)
class ClusterWord:
    """What a cluster says of a submission: Ray's state of it, QUEUED where it waits, ABSENT where it is not known.

    UNSTARTED is one that is not known either, on a cluster whose queue has not begun since its head did. `reason` is
    one line: why it ended, or how long it waits.
    """

    state: str
    reason: str = ""


@dataclass(frozen=True)
class Standing:
    """The state of a job as it is shown, and why, in one line; the line is empty where there is nothing to say."""

    state: ShownState
    reason: str = ""


def decide(
    recorded: JobState | None,
    word: ClusterWord | None,
    *,
    now: float,
    has_report: bool,
    asked: str = "",
    silent: float | None = None,
) -> Standing:
    """What the job is.

    `recorded` is its `state.json`, and `word` what its cluster said *before* that was read, None where none was asked
    or none answered. `now` is in seconds since 1970. `has_report`: its film is finished. `asked` is the submission that
    is asked about, where it may be an earlier one than the recorded one. `silent`: for how many seconds the caller has
    seen no sign of life (`farm.job.state.silent_seconds`); None compares the two clocks.
    """
    if has_report and (recorded is None or recorded.state in FINISHED):
        return Standing("SUCCEEDED")
    if recorded is None:
        ended = word is not None and word.state in STATE_OF_RAY
        return Standing(STATE_OF_RAY[word.state], word.reason) if word and ended else Standing("UNFINISHED")
    own = asked in ("", recorded.submission) or not recorded.submission
    if recorded.state in FINISHED and own:
        return Standing(recorded.state, recorded.reason)
    if word is not None and word.state in STATE_OF_RAY:
        return Standing(STATE_OF_RAY[word.state], word.reason or "its driver ended without a word")
    if word is not None and word.state == "QUEUED":
        return Standing("QUEUED", word.reason)
    if word is not None and word.state in ("PENDING", "RUNNING"):
        # Its own driver lives. What is recorded of another submission of the job says nothing of this one.
        return Standing(recorded.state) if own else Standing("RUNNING" if word.state == "RUNNING" else "PENDING")
    if not own:
        return Standing(recorded.state, recorded.reason if recorded.state in FINISHED else "")
    age = max(now - recorded.updated, 0.0)
    if word is not None and word.state == "UNSTARTED" and recorded.state == "QUEUED":
        return Standing("QUEUED", QUEUE_STARTS)
    if word is not None and recorded.submission:
        if recorded.state in ("QUEUED", "PENDING") and age < SUBMITTING_SECONDS:
            return Standing(recorded.state)
        return Standing("LOST", "the cluster does not know the job any more; farm resume continues it")
    return _by_silence(recorded, age, age if silent is None else silent)


def _by_silence(recorded: JobState, age: float, silent: float) -> Standing:
    """What a job is of which only the directory tells. `age` and `silent` are in seconds."""
    if recorded.state == "PENDING" and age > PENDING_SECONDS:
        return Standing("LOST", f"no driver has begun it for {age:.0f} s; farm resume submits it again")
    if recorded.state == "RUNNING" and silent > SILENT_AFTER_SECONDS:
        return Standing("LOST", f"no sign of life of its driver for {silent:.0f} s; farm resume continues it")
    return Standing(recorded.state)
