"""The Ray Jobs API of one cluster, over HTTP with a token: submit, look, stop, read logs.

cluster = Cluster("http://head:8265")
cluster.submit("farm-clip-1a2b", ["python", "-m", "jobs.render", ...], metadata)
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
ADDRESS_VARIABLE = "RAY_API_SERVER_ADDRESS"
STOP_SECONDS = 30
"""For the driver to end its workers and say so, before Ray kills it; Ray's own default is 3."""

AGENT_SECONDS = 60.0

RayState = Literal["PENDING", "RUNNING", "STOPPED", "SUCCEEDED", "FAILED"]
ENDED = ("STOPPED", "SUCCEEDED", "FAILED")
T = TypeVar("T")


@dataclass(frozen=True)
class SubmittedJob:
    """A job as the cluster has it. Times are in seconds since 1970, 0 where unknown."""

    id: str
    state: RayState
    message: str
    metadata: dict[str, str]
    started: float
    ended: float

    @property
    def active(self) -> bool:
        return self.state not in ENDED


class Cluster:
    """Raises UsageError where nothing answers at the address or the token is missing or refused."""

    def __init__(self, address: str | None = None) -> None:
        self.dashboard = dashboard_url(address)
        _need_token()
        from ray.job_submission import JobSubmissionClient

        logging.getLogger("ray.dashboard.modules.job.sdk").setLevel(logging.WARNING)
        with _address_in_environment(self.dashboard):
            self._client = self._told(lambda: JobSubmissionClient(self.dashboard))

    def submit(self, submission: str, command: Sequence[str], metadata: dict[str, str]) -> bool:
        """False where this id is there already: somebody was quicker."""
        # the entry point of a Ray job is a shell command, so every word of it is quoted
        runtime = {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}}
        began = time.monotonic()
        while True:
            try:
                self._client.submit_job(
                    entrypoint=shlex.join(command), submission_id=submission, metadata=metadata, runtime_env=runtime
                )
                return True
            except RuntimeError as error:
                if "already" in str(error) and submission in str(error):
                    return False
                # a head that has just started has nobody yet to run the job
                nobody = "No available agent" in str(error)
                if not nobody or time.monotonic() - began > AGENT_SECONDS:
                    help_ = NO_AGENT_HELP if nobody else ""
                    raise RenderError(f"the cluster refused the job: {first_line(error)}", help_) from None
                time.sleep(1.0)

    def jobs(self) -> list[SubmittedJob]:
        """The farm's jobs, latest first."""
        found = [_describe(job) for job in self._told(self._client.list_jobs) if job.submission_id]
        farm = [job for job in found if "farm_job" in job.metadata]
        return sorted(farm, key=lambda job: job.started, reverse=True)

    def job(self, submission: str) -> SubmittedJob | None:
        return next((job for job in self.jobs() if job.id == submission), None)

    def stop(self, submission: str) -> None:
        """Ask it to end; returns at once."""
        self._told(lambda: self._client.stop_job(submission))

    def logs(self, submission: str) -> str:
        return self._told(lambda: self._client.get_job_logs(submission))

    def follow(self, submission: str) -> Iterator[str]:
        """The log from its beginning, in pieces as they are written, until the job ends."""
        with contextlib.closing(asyncio.new_event_loop()) as loop:
            pieces = self._client.tail_job_logs(submission)
            while True:
                try:
                    yield self._told(lambda: loop.run_until_complete(pieces.__anext__()))  # type: ignore[attr-defined]
                except StopAsyncIteration:
                    return

    def _told(self, call: Any) -> Any:
        """Do it, and say in one line why it cannot be done."""
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
    """The HTTP address of a cluster: as given, from RAY_API_SERVER_ADDRESS, or Ray's own default on this machine."""
    found = address or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_DASHBOARD
    found = found if "://" in found else f"http://{found}"
    if not found.startswith(("http://", "https://")):
        raise UsageError(f"{found} is no dashboard address", f"write it as {DEFAULT_DASHBOARD}")
    return found.rstrip("/")


@contextlib.contextmanager
def _address_in_environment(address: str) -> Iterator[None]:
    """Ray prefers this variable, and RAY_ADDRESS, to the address that it is given."""
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
