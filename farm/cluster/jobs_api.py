"""Submit jobs to a Ray cluster, list and stop them, and read their logs: Ray's Jobs API, over HTTP with a token.

cluster = Cluster("http://head:8265")
cluster.submit("farm-clip-1a2b", [*DRIVER_COMMAND, ...], metadata)

Ray itself is not imported: `farm.cluster.dashboard_http` sends the requests.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from farm.cluster.dashboard_http import REQUEST_SECONDS, Answer, dashboard_url, request
from farm.errors import RenderError
from farm.plan.queue import HEAD

STOP_SECONDS = 30
"""Seconds that a driver has between the request to stop and Ray's SIGKILL.

It ends its workers in that time and writes the job's state. Ray's default is 3.
"""
AGENT_SECONDS = 60.0
"""Seconds for which `Cluster.submit` tries again where no agent is up that could start the job.

Why: the agent of a new head comes up later than its dashboard.
"""
SUBMIT_SECONDS = 60.0
"""Longest time of the request that starts a job. A busy head takes tens of seconds for it."""

DRIVER_BYTES = 256 << 20
"""Bytes of the head's memory that Ray books for a driver and for the process that watches it.

A driver holds some 120 MiB of its own, the process that watches it some 70 MiB.
"""

RayState = Literal["PENDING", "RUNNING", "STOPPED", "SUCCEEDED", "FAILED"]
ENDED = ("STOPPED", "SUCCEEDED", "FAILED")
"""States of a job whose driver has ended."""
NO_AGENT_HELP = (
    "another Ray on the head's machine may have its agent's port: start the head with --dashboard-agent-listen-port"
)


@dataclass(frozen=True)
class SubmittedJob:
    """A job as Ray describes it.

    `message` is Ray's reason for the state: its own words and the last lines of the driver's log, up to 20,000
    characters; see `farm.cluster.reasons`. `metadata` is what `Cluster.submit` was given. `started` and `ended` are in
    seconds since 1970, and 0 where Ray does not know the time.
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

    Every method raises NoAnswerError where nothing answers at the address in time, UsageError where the token is
    missing or refused, and RenderError where the cluster answers with an error. `seconds` bounds each request.
    """

    def __init__(self, address: str | None = None, seconds: float = REQUEST_SECONDS) -> None:
        self.dashboard = dashboard_url(address)
        self.seconds = seconds

    def check(self) -> None:
        """Make sure that a cluster answers and takes the token."""
        self._send("GET", "/api/jobs/none")

    def submit(self, submission: str, command: Sequence[str], metadata: dict[str, str]) -> bool:
        """Start `command` on the cluster as the job with the id `submission`.

        Returns False where the cluster has a job of this id already, because another process submitted it in the
        meantime. `metadata` is shown in Ray's dashboard. Raises RenderError where the cluster refuses the job.
        """
        job = {
            "entrypoint": shlex.join(command),  # Ray gives it to a shell
            "submission_id": submission,
            "metadata": metadata,
            "runtime_env": {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}},
            "entrypoint_memory": DRIVER_BYTES,
            "entrypoint_resources": {HEAD: 0.001},  # Ray runs a job that books memory on any node otherwise
        }
        began = time.monotonic()
        while True:
            answer = request(self.dashboard, "POST", "/api/jobs/", job, seconds=SUBMIT_SECONDS)
            if answer.status == 200:
                return True
            if "already" in answer.text and submission in answer.text:
                return False
            without_agent = "No available agent" in answer.text
            if not without_agent or time.monotonic() - began > AGENT_SECONDS:
                remedy = NO_AGENT_HELP if without_agent else ""
                raise RenderError(f"the cluster refused the job: {_short(answer)}", remedy)
            time.sleep(1.0)

    def jobs(self) -> list[SubmittedJob]:
        """The jobs that the farm has submitted, the latest first. Other jobs of the cluster are left out."""
        answer = self._accepted(self._send("GET", "/api/jobs/"))
        described = [_describe(job) for job in self._parse(answer) if job.get("submission_id")]
        farm_jobs = [job for job in described if "farm_job" in job.metadata]
        return sorted(farm_jobs, key=lambda job: job.started, reverse=True)

    def job(self, submission: str) -> SubmittedJob | None:
        """The farm's job with the id `submission`. None where the cluster has no such job."""
        answer = self._send("GET", f"/api/jobs/{quote(submission, safe='')}")
        if answer.status == 404:
            return None
        described = _describe(self._parse(self._accepted(answer)))
        return described if "farm_job" in described.metadata else None

    def stop(self, submission: str) -> None:
        """Ask a job to end, and return at once; the driver has STOP_SECONDS. A job that is not there is no error."""
        answer = self._send("POST", f"/api/jobs/{quote(submission, safe='')}/stop")
        if answer.status != 404:
            self._accepted(answer)

    def logs(self, submission: str) -> str | None:
        """All that the job's driver has printed so far, stdout and stderr together. None where the job is not there."""
        answer = self._send("GET", f"/api/jobs/{quote(submission, safe='')}/logs")
        return None if answer.status == 404 else str(self._parse(self._accepted(answer)).get("logs", ""))

    def _send(self, method: str, path: str) -> Answer:
        return request(self.dashboard, method, path, seconds=self.seconds)

    def _accepted(self, answer: Answer) -> Answer:
        """The answer, where it is none of trouble. Raises RenderError of one line for any other."""
        if answer.status != 200:
            raise RenderError(f"the cluster at {self.dashboard} says: {_short(answer)}")
        return answer

    def _parse(self, answer: Answer) -> Any:
        try:
            return answer.json()
        except ValueError:
            raise RenderError(f"what answers at {self.dashboard} is no Ray dashboard", "check --address") from None


def _short(answer: Answer) -> str:
    """The last line of an answer of trouble: where Ray sends a traceback, that line has the reason."""
    lines = [line.strip() for line in answer.text.splitlines() if line.strip()]
    return f"{lines[-1][:300]} (HTTP {answer.status})" if lines else f"HTTP {answer.status}"


def _describe(job: Mapping[str, Any]) -> SubmittedJob:
    return SubmittedJob(
        id=job["submission_id"],
        state=job["status"],
        message=job.get("message") or "",
        metadata=dict(job.get("metadata") or {}),
        started=(job.get("start_time") or 0) / 1000,
        ended=(job.get("end_time") or 0) / 1000,
    )
