"""Jobs that exist: found by directory or id, looked at, waited for, cancelled, and their logs read.

handle = find_job("painted.farm", address=None)
handle.standing()                       # RUNNING, LOST, ...: what `farm status`, `list`, `wait` and `watch` show

Only the configured cluster is ever asked: `--address`, RAY_API_SERVER_ADDRESS, or Ray's own default. The address that
stands in a job's directory is compared with it and never followed, because whoever can write there would get the token.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from farm.cluster.dashboard_http import REQUEST_SECONDS, dashboard_url, same_dashboard
from farm.cluster.jobs_api import Cluster, SubmittedJob
from farm.cluster.queued import is_judged_soon, queue_has_begun, waits
from farm.cluster.reasons import short_reason, with_plain_cause
from farm.errors import (
    CancelledError,
    ChunkFailedError,
    FarmError,
    NoAnswerError,
    RenderError,
    StorageError,
    TimedOutError,
    UsageError,
)
from farm.job import JobDirectory
from farm.job.log import LAST_WORD, LogReader
from farm.job.registry import submitted_jobs
from farm.job.request import JobRequest, load_request
from farm.job.standing import ClusterWord, Standing, decide
from farm.job.state import BEAT_SECONDS, FINISHED, JobState, load_state, save_state
from farm.job.status import AskCluster, job_standing
from farm.spec.load import absolute_path

CANCEL_SECONDS = 60.0
"""Seconds that `cancel_job` waits for the job to end."""
SUMMARY_SECONDS = 20.0
"""Seconds that `wait_for_job` waits for a driver to end after it has written how its job ended.

In that time the driver prints its summary and releases its actors.
"""
QUEUE_SECONDS = 10.0
"""Longest wait, in seconds, for the queue to take out a job that was cancelled while it waited."""
POLL_SECONDS = 1.0
"""Seconds between two looks at a job's directory, while something is waited for."""
ASK_SECONDS = 3.0
"""Least seconds between two requests to a cluster, while something is waited for."""
PAUSE_SECONDS = 30.0
"""Seconds after which a cluster that did not answer is asked again. The directory is looked at meanwhile."""
STATUS_SECONDS = 3.0
"""Longest time of a request of a command that tells most without the cluster."""
RAY_LINES = 20
"""Lines of what Ray kept of a driver's output, shown where the driver could not write its last line itself."""


@dataclass(frozen=True)
class JobHandle:
    """A job that exists, and its place on a cluster.

    `submission` is the id that it was asked for by, or its latest one, and empty for a job that was never submitted.
    `request` is None for such a job. `address` is what `--address` said, None where it was not given.
    """

    job: JobDirectory
    request: JobRequest | None
    submission: str
    address: str | None

    def cluster(self, seconds: float = REQUEST_SECONDS) -> Cluster:
        """The configured cluster, each request to which takes at most `seconds`. No request is made here.

        Raises UsageError where the job was never submitted, and where its directory names another cluster than the
        configured one and no `--address` says which.
        """
        if not self.submission:
            raise UsageError(f"{self.job.url} was not submitted to a cluster", "it runs in its own shell")
        configured = dashboard_url(self.address)
        stored = self.request.dashboard if self.request else ""
        if self.address is None and stored and not _same(configured, stored):
            raise UsageError(
                f"{self.job.url} says that it was submitted to {stored}, and the cluster here is {configured}",
                f"give --address {configured} to ask this one, or the other if you trust it with the token",
            )
        return Cluster(configured, seconds)

    def word(self, seconds: float = STATUS_SECONDS) -> ClusterWord | None:
        """What the cluster says of the job. None where none is to be asked, or none answers within `seconds`."""
        try:
            cluster = self.cluster(seconds)
            submitted = cluster.job(self.submission)
            if submitted is None:
                return word_of_unlisted(cluster.jobs())
        except FarmError:
            return None
        return word_of(submitted, self.job, self.request)

    def standing(self) -> Standing:
        """What the job is now. The cluster is asked for a job that has not ended by its own word."""
        return job_standing(self.job, lambda *_: self.word(), self.submission)[1]


def word_of_unlisted(listed: Iterable[SubmittedJob]) -> ClusterWord:
    """What the cluster's list of the farm's jobs says of a job that is not in it."""
    return ClusterWord("ABSENT" if queue_has_begun(listed, time.time()) else "UNSTARTED")


def word_of(submitted: SubmittedJob, job: JobDirectory | None = None, request: JobRequest | None = None) -> ClusterWord:
    """What the cluster's list says of a job.

    QUEUED is a job that waits in the queue. It also is one whose driver has just ended without a word, because the
    queue is about to decide whether it is started again; `job` and `request` tell that.
    """
    if waits(submitted):
        return ClusterWord("QUEUED", short_reason(submitted.message))
    recorded = load_state(job) if job is not None and not submitted.active else None
    own = recorded is not None and recorded.submission == submitted.id
    if recorded is not None and own and is_judged_soon(submitted, recorded, request, time.time()):
        died = "its driver died, and is about to be started again"
        return ClusterWord("QUEUED", "" if recorded.state == "QUEUED" else died)
    return ClusterWord(submitted.state, short_reason(submitted.message))


def _same(one: str, other: str) -> bool:
    with contextlib.suppress(UsageError):
        return same_dashboard(one, other)
    return False


def ask_cluster(address: str | None) -> AskCluster:
    """How `job_status` asks the cluster: the configured one, and only for a job that was submitted to it.

    An answer holds for ASK_SECONDS, no answer for PAUSE_SECONDS, so that it can be called at every look at a job.
    """
    answers: dict[str, tuple[float, ClusterWord | None]] = {}

    def ask(job_url: str, recorded: JobState | None) -> ClusterWord | None:
        submission, now = recorded.submission if recorded else "", time.monotonic()
        holds_until, word = answers.get(submission, (0.0, None))
        if now >= holds_until:
            word = None
            with contextlib.suppress(FarmError):
                word = find_job(job_url, address).word()
            answers[submission] = (time.monotonic() + (ASK_SECONDS if word else PAUSE_SECONDS), word)
        return word

    return ask


def find_job(name: str, address: str | None) -> JobHandle:
    """The job whose directory, URL or submission id is `name`. `address` is what `--address` said.

    An id is looked up on the cluster, and where that does not know it or does not answer, in the registry. Raises
    UsageError where `name` is no path that exists and no submission that is known.
    """
    if "://" in name or Path(name).exists():
        job = JobDirectory(absolute_path(name))
        request = load_request(job)
        if request is None or not request.submissions:
            return JobHandle(job, request, "", address)
        return JobHandle(job, request, request.submissions[-1], address)
    if not name.startswith("farm-"):
        raise UsageError(f"{name} holds no job", "give the job directory or the id that farm submit printed")
    cluster = Cluster(address)
    trouble: FarmError | None = None
    try:
        submitted = cluster.job(name)
    except FarmError as error:
        submitted, trouble = None, error
    url = submitted.metadata["farm_job"] if submitted else _registered(name)
    if url is None:
        raise trouble or UsageError(f"the cluster at {cluster.dashboard} has no job {name}", "farm list shows its jobs")
    job = JobDirectory(url)
    return JobHandle(job, load_request(job), name, address)


def _registered(submission: str) -> str | None:
    """The directory of a job that the registry knows by this id, or by an earlier one of the same job."""
    for entry in submitted_jobs(os.environ):
        if entry.submission == submission:
            return entry.job
        if entry.submission.startswith(f"{submission}-"):
            return entry.job
    return None


# waiting --------------------------------------------------------------------------------------------


class Watcher:
    """Looks at a job again and again: its directory each time, its cluster now and then.

    Signs of life are followed on this machine's own steady clock: a job whose `state.json` changes is alive, whatever
    the clocks of other machines say.
    """

    def __init__(self, handle: JobHandle, now: Callable[[], float] = time.monotonic) -> None:
        self._handle, self._now = handle, now
        self._word: ClusterWord | None = None
        self._ask_at = -math.inf
        self._updated = -1.0
        self._changed = now()

    def look(self, seconds: float = REQUEST_SECONDS) -> tuple[JobState | None, Standing]:
        """What `state.json` says and what the job is now. A request to the cluster takes at most `seconds`."""
        recorded = load_state(self._handle.job)
        unsure = recorded is None or recorded.state not in FINISHED or recorded.submission != self._handle.submission
        if unsure and self._handle.submission and self._now() >= self._ask_at:
            self._word = self._handle.word(max(min(seconds, REQUEST_SECONDS), 0.1))
            self._ask_at = self._now() + (ASK_SECONDS if self._word else PAUSE_SECONDS)
            recorded = load_state(self._handle.job)  # again: a driver records its end before it ends
        now = time.time()
        if recorded is not None and recorded.updated != self._updated:
            self._updated, self._changed = recorded.updated, self._now()
        watched = self._now() - self._changed
        age = now - recorded.updated if recorded else 0.0
        # The clocks are compared only once two beats have failed to come while we watched.
        silent = max(watched, age) if watched > 2 * BEAT_SECONDS + POLL_SECONDS else 0.0
        report = self._handle.job.load_report() if recorded is None or recorded.state in FINISHED else None
        standing = decide(
            recorded, self._word, now=now, has_report=bool(report), asked=self._handle.submission, silent=silent
        )
        return recorded, standing


def wait_for_job(
    handle: JobHandle,
    timeout: float | None,
    on_look: Callable[[JobState | None, Standing], None],
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Standing:
    """Return when the job has succeeded and its driver has printed its summary.

    `timeout` is in seconds, None for any time; it also bounds requests to a cluster that hangs. `on_look` is called
    about once a second. `now` and `sleep` are the clock, in seconds. Raises what `raise_end` raises, TimedOutError
    after `timeout`, and UsageError at the beginning where the cluster may not be asked or refuses the token.
    """
    deadline = math.inf if timeout is None else now() + timeout
    if handle.submission:
        with contextlib.suppress(NoAnswerError):  # the directory tells what a cluster that is gone cannot
            handle.cluster(_within(deadline - now())).job(handle.submission)
    watcher = Watcher(handle, now)
    while True:
        recorded, standing = watcher.look(_within(deadline - now()))
        on_look(recorded, standing)
        if standing.state in FINISHED:
            _wait_for_summary(handle, deadline, now, sleep)
        if standing.state == "SUCCEEDED":
            return standing
        raise_end(handle, standing)
        left = deadline - now()
        if left <= 0:
            raise TimedOutError(
                f"{handle.job.url} is {standing.state} after {timeout:g} seconds", "it goes on all the same"
            )
        sleep(min(POLL_SECONDS, left))


def raise_end(handle: JobHandle, standing: Standing) -> None:
    """Raise for a job that has ended badly.

    ChunkFailedError where it failed, CancelledError where it was cancelled, RenderError where it is LOST.
    """
    reason = with_plain_cause(" ".join(standing.reason.split()))
    if standing.state == "FAILED":
        raise ChunkFailedError(f"{handle.job.url} failed: {reason or 'no reason is known'}", "farm logs tells more")
    if standing.state == "CANCELLED":
        raise CancelledError(f"{handle.job.url} was cancelled", "farm resume continues it")
    if standing.state == "LOST":
        raise RenderError(f"{handle.job.url} is lost: {reason}")


def _within(left: float) -> float:
    return max(min(left, REQUEST_SECONDS), 0.1)


def _wait_for_summary(
    handle: JobHandle, deadline: float, now: Callable[[], float], sleep: Callable[[float], None]
) -> None:
    """Wait until the driver has ended, for SUMMARY_SECONDS at most.

    A driver records how its job ended before it prints its summary. Why to wait: the same command right afterwards
    finds no driver at work. A cluster that does not answer is no error here, as the job has ended.
    """
    deadline = min(deadline, now() + SUMMARY_SECONDS)
    while handle.submission and now() < deadline:
        word = handle.word(_within(deadline - now()))
        if word is None or word.state not in ("PENDING", "RUNNING"):
            return
        sleep(POLL_SECONDS)


# logs -----------------------------------------------------------------------------------------------


def read_logs(handle: JobHandle) -> Iterator[str]:
    """What the driver of the job's latest run wrote, from the job's directory; what Ray kept where it has none.

    Raises UsageError where there is no log anywhere, and what `Cluster` raises.
    """
    text = LogReader(handle.job, handle.submission).news()
    if text:
        yield text
        if handle.submission and handle.standing().state in ("FAILED", "LOST") and not _has_last_word(text):
            yield from _kept_by_ray(handle)
        return
    if not handle.submission:
        raise UsageError(f"{handle.job.url} has no log yet")
    kept = handle.cluster().logs(handle.submission)
    if kept is None:
        raise UsageError(
            f"no driver has written a log in {handle.job.url}, and the cluster does not know {handle.submission}",
            "farm resume continues the job",
        )
    yield kept


def follow_logs(
    handle: JobHandle, *, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> Iterator[str]:
    """What the driver writes, from the beginning, piece by piece, until the job ends; then raises as `raise_end` does.

    Raises UsageError where the cluster may not be asked.
    """
    if handle.submission:
        handle.cluster()
    reader, watcher, written = LogReader(handle.job, handle.submission), Watcher(handle, now), ""
    while True:
        _, standing = watcher.look()
        news = reader.news()
        if news:
            written = (written + news)[-2000:]
            yield news
        if standing.state in (*FINISHED, "LOST"):
            break
        sleep(POLL_SECONDS)
    if standing.state in FINISHED and written and not _has_last_word(written):
        sleep(2 * POLL_SECONDS)  # the driver writes its state just before its last line
        if news := reader.news():
            written += news
            yield news
    if standing.state in ("FAILED", "LOST") and handle.submission and not _has_last_word(written):
        yield from _kept_by_ray(handle)
    raise_end(handle, standing)


def _has_last_word(text: str) -> bool:
    """Whether the last line of a log is that of a driver that ended by itself; a time of 21 characters is before it."""
    lines = text.rstrip("\n").rsplit("\n", 1)
    return lines[-1][21:].startswith(LAST_WORD)


def _kept_by_ray(handle: JobHandle) -> Iterator[str]:
    """The last lines that Ray kept of a driver's output; nothing where no cluster has them."""
    kept = None
    with contextlib.suppress(FarmError):
        kept = handle.cluster(STATUS_SECONDS).logs(handle.submission)
    if kept:
        yield "\n".join(["what Ray kept of the driver's output:", *kept.splitlines()[-RAY_LINES:]]) + "\n"


# cancelling -----------------------------------------------------------------------------------------


def cancel_job(handle: JobHandle) -> Standing:
    """Stop a submitted job, wait for its end, and return what it is then. Its frames stay, so it can be resumed.

    A job that has ended already keeps its state, and so does the directory where `handle` is an earlier submission than
    the one at work there. Raises TimedOutError where the job has not ended after CANCEL_SECONDS, and UsageError where
    it was never submitted, or where the cluster has the id for a job in another directory.
    """
    cluster = handle.cluster()
    submitted = cluster.job(handle.submission)
    if submitted is not None and submitted.metadata["farm_job"] != handle.job.url:
        raise UsageError(
            f"{handle.submission} is the job in {submitted.metadata['farm_job']}, not in {handle.job.url}",
            "give the id to cancel that one",
        )
    if submitted is not None and waits(submitted):
        # The queue reads this, takes the job out, and has Ray list it as stopped; unless it has just begun.
        save_state(handle.job, JobState(state="CANCELLED", submission=handle.submission))
        left = time.monotonic() + QUEUE_SECONDS
        while submitted is not None and waits(submitted) and time.monotonic() < left:
            time.sleep(POLL_SECONDS)
            submitted = cluster.job(handle.submission)
        if submitted is None or waits(submitted):
            return handle.standing()
    if submitted is not None and submitted.active:
        cluster.stop(handle.submission)
    deadline = time.monotonic() + CANCEL_SECONDS
    while submitted is not None and submitted.active:
        if time.monotonic() > deadline:
            raise TimedOutError(f"{handle.submission} has not ended after {CANCEL_SECONDS:g} seconds")
        time.sleep(POLL_SECONDS)
        submitted = cluster.job(handle.submission)
    recorded = load_state(handle.job)
    standing = handle.standing()
    if recorded is None or recorded.submission not in ("", handle.submission):
        return standing
    if recorded.state not in FINISHED and standing.state != "SUCCEEDED":
        ended = standing if standing.state in ("FAILED", "CANCELLED") else Standing("CANCELLED")
        fields = {"state": ended.state, "reason": ended.reason}
        with contextlib.suppress(StorageError):  # of a full disk: the job is stopped all the same
            save_state(handle.job, recorded.model_copy(update=fields))
        return ended
    return standing


def refuse_while_running(handle: JobHandle) -> None:
    """Raise UsageError where the job is running on a cluster. A job that runs elsewhere is refused by its lease."""
    if handle.submission and handle.standing().state == "RUNNING":
        raise UsageError(f"{handle.job.url} is running", "farm cancel it first")
