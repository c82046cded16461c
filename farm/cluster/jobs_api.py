"""Submit jobs to a Ray cluster, list and stop them, and read their logs: Ray's Jobs API, over HTTP with a token.

cluster = Cluster("http://head:8265")
cluster.submit("farm-clip-1a2b", [*DRIVER_COMMAND, ...], metadata)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from farm.errors import RenderError, UsageError, first_line

DEFAULT_DASHBOARD = "http://127.0.0.1:8265"
"""Where the Jobs API of a cluster answers on its head, as Ray has it."""
ADDRESS_VARIABLE = "RAY_API_SERVER_ADDRESS"
"""Ray's environment variable with the address of a cluster's Jobs API."""
STOP_SECONDS = 30
"""Seconds that a driver has between the request to stop and Ray's SIGKILL.

It ends its workers in that time and writes the job's state. Ray's default is 3.
"""
AGENT_SECONDS = 60.0
"""Seconds for which `Cluster.submit` tries again where no agent is up that could start the job.

Why: the agent of a new head comes up later than its dashboard.
"""

RayState = Literal["PENDING", "RUNNING", "STOPPED", "SUCCEEDED", "FAILED"]
ENDED = ("STOPPED", "SUCCEEDED", "FAILED")
"""States of a job whose driver has ended."""
T = TypeVar("T")


@dataclass(frozen=True)
class SubmittedJob:
    """A job as Ray describes it.

    `message` is Ray's reason for the state, in one line. `metadata` is what `Cluster.submit` was given. `started` and
    `ended` are in seconds since 1970, and 0 where Ray does not know the time.
    """

    id: str
    state: RayState
    message: str
    metadata: dict[str, str]
    started: float
    ended: float

    @property
    def active(self) -> bool:
        """Whether the driver of the job runs, or is still to be started."""
        return self.state not in ENDED


class Cluster:
    """The Jobs API of one cluster. `address` is as for `dashboard_url`, and `dashboard` the URL that came of it.

    Every method, and the constructor, raise UsageError where nothing answers at the address, and where the token is
    missing or refused. They raise RenderError where the cluster answers with an error.
    """

    def __init__(self, address: str | None = None) -> None:
        self.dashboard = dashboard_url(address)
        _need_token()
        from ray.job_submission import JobSubmissionClient

        logging.getLogger("ray.dashboard.modules.job.sdk").setLevel(logging.WARNING)
        with _address_in_environment(self.dashboard):
            self._client = self._call(lambda: JobSubmissionClient(self.dashboard))

    def submit(self, submission: str, command: Sequence[str], metadata: dict[str, str]) -> bool:
        """Start `command` on the cluster as the job with the id `submission`.

        Returns False where the cluster has a job of this id already, because another process submitted it in the
        meantime. `metadata` is shown in Ray's dashboard. Raises RenderError where the cluster refuses the job.
        """
        runtime = {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}}
        entrypoint = shlex.join(command)  # Ray gives it to a shell
        began = time.monotonic()
        while True:
            try:
                self._client.submit_job(
                    entrypoint=entrypoint, submission_id=submission, metadata=metadata, runtime_env=runtime
                )
                return True
            except RuntimeError as error:
                if "already" in str(error) and submission in str(error):
                    return False
                without_agent = "No available agent" in str(error)
                if not without_agent or time.monotonic() - began > AGENT_SECONDS:
                    remedy = NO_AGENT_HELP if without_agent else ""
                    raise RenderError(f"the cluster refused the job: {first_line(error)}", remedy) from None
                time.sleep(1.0)

    def jobs(self) -> list[SubmittedJob]:
        """The jobs that the farm has submitted, the latest first. Other jobs of the cluster are left out."""
        jobs = [_describe(job) for job in self._call(self._client.list_jobs) if job.submission_id]
        farm_jobs = [job for job in jobs if "farm_job" in job.metadata]
        return sorted(farm_jobs, key=lambda job: job.started, reverse=True)

    def job(self, submission: str) -> SubmittedJob | None:
        """The farm's job with the id `submission`. None where the cluster has no such job."""
        return next((job for job in self.jobs() if job.id == submission), None)

    def stop(self, submission: str) -> None:
        """Ask a job to end. Returns at once; the driver has STOP_SECONDS."""
        self._call(lambda: self._client.stop_job(submission))

    def logs(self, submission: str) -> str:
        """All that the job's driver has printed so far, stdout and stderr together."""
        return self._call(lambda: self._client.get_job_logs(submission))

    def follow(self, submission: str) -> Iterator[str]:
        """What the job's driver prints, from the beginning, piece by piece, until the job ends."""
        with contextlib.closing(asyncio.new_event_loop()) as loop:
            pieces = self._client.tail_job_logs(submission)
            while True:
                try:
                    yield self._call(lambda: loop.run_until_complete(pieces.__anext__()))  # type: ignore[attr-defined]
                except StopAsyncIteration:
                    return

    def _call(self, call: Any) -> Any:
        """Call Ray's client, and turn its exceptions into FarmErrors of one line."""
        from ray.exceptions import AuthenticationError

        try:
            return call()
        except AuthenticationError:
            raise UsageError(f"the cluster at {self.dashboard} refused the token", NO_ACCESS_HELP) from None
        except OSError:  # ConnectionError of Ray, of requests and of aiohttp
            raise UsageError(f"no cluster answers at {self.dashboard}", "check --address and that it runs") from None
        except RuntimeError as error:
            raise RenderError(f"the cluster at {self.dashboard} says: {first_line(error)}") from None


NO_AGENT_HELP = (
    "another Ray on the head's machine may have its agent's port: start the head with --dashboard-agent-listen-port"
)
NO_ACCESS_HELP = "give the cluster's token in RAY_AUTH_TOKEN, a file named by RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token"


def dashboard_url(address: str | None) -> str:
    """The URL of a cluster's dashboard, without a slash at its end.

    It is `address`, else the value of RAY_API_SERVER_ADDRESS, else DEFAULT_DASHBOARD. An address without a scheme gets
    `http://`. Raises UsageError where the scheme is neither http nor https.

    >>> dashboard_url("head:8265/")
    'http://head:8265'
    """
    url = address or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_DASHBOARD
    url = url if "://" in url else f"http://{url}"
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url} is no dashboard address", f"write it as {DEFAULT_DASHBOARD}")
    return url.rstrip("/")


@contextlib.contextmanager
def _address_in_environment(address: str) -> Iterator[None]:
    """Set RAY_API_SERVER_ADDRESS to `address` inside the block.

    Why: Ray's client prefers this variable, and then RAY_ADDRESS, to the address that it is given.
    """
    before = os.environ.get(ADDRESS_VARIABLE)
    os.environ[ADDRESS_VARIABLE] = address
    try:
        yield
    finally:
        if before is None:
            del os.environ[ADDRESS_VARIABLE]
        else:
            os.environ[ADDRESS_VARIABLE] = before


def _need_token() -> None:
    """Raise UsageError where Ray is to send a token and finds none."""
    if os.environ.get("RAY_AUTH_MODE") != "token":
        return
    from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]

    if not AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
        raise UsageError("there is no token to show the cluster", NO_ACCESS_HELP)


def _describe(job: Any) -> SubmittedJob:
    return SubmittedJob(
        id=job.submission_id,
        state=str(getattr(job.status, "value", job.status)),  # type: ignore[arg-type]
        message=" ".join((job.message or "").split()),
        metadata=dict(job.metadata or {}),
        started=(job.start_time or 0) / 1000,
        ended=(job.end_time or 0) / 1000,
    )
