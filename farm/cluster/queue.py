"""The queue of a cluster, and the watchdog of its drivers: one detached actor of Ray on the head.

    if enter_queue(Ticket("farm-film-1a2b", "/jobs/film.farm")) is None:    # in a driver, before it does anything
        sys.exit(TURNED_AWAY)                # the queue starts it again when there is a place

A waiting job has no process. Ray's list of jobs shows it as PENDING with its place, and the actor submits it again,
under the same id, when its turn has come. A job whose driver died waits in the same way. `farm.plan.queue` decides,
`farm.cluster.queue_table` remembers. The table is kept in Ray's key-value store, where the actor finds it after a
crash, and below the folder or URL in FARM_QUEUE, where it survives the head.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import threading
import time
import traceback
from typing import Any, Literal

from farm.cluster.jobs_api import DRIVER_BYTES, ENDED, Cluster
from farm.cluster.queue_table import Ended, Entry, QueueTable, Ticket
from farm.cluster.queued import QUEUE_FIELD, ticket_of, waiting_line
from farm.cluster.ray_jobs import (
    dashboard_address,
    farm_jobs,
    forget_job,
    keep,
    kept,
    ray_job,
    show_ended,
    show_waiting,
)
from farm.errors import FarmError, RenderError, StorageError, first_line
from farm.files import Storage
from farm.job import JobDirectory
from farm.job.request import load_request
from farm.job.state import FINISHED, JobState, load_state, save_state
from farm.plan.queue import HEAD, TURNED_AWAY, Place, driver_places

NAMESPACE = "farm"
"""Ray's namespace of the actor."""
NAME = "queue-1"
"""Name of the actor. Its number is raised when `Ticket` or the arguments of the actor's methods change."""
TABLE = "queue-table"
"""Name of the table in Ray's key-value store, and without its ending of the file below FARM_QUEUE."""
LOOK_SECONDS = 2.0
"""Seconds between two looks at the drivers and at the queue."""
ANSWER_SECONDS = 300.0
"""Longest wait, in seconds, for the actor's answer. Why so long: it may have to be started, on a busy head.

A head without cores starts its processes one after the other, and those of other submitted jobs may come first.
"""
BEGUN_AT_ONCE = 2
"""Most drivers that are started in one look. Why: each takes some seconds of the head's cores to load its modules."""
READ_AT_ONCE = 20
"""Most waiting jobs whose files are read again in one look. Why: on object storage a request takes 20 ms or more."""
LOOKS_BETWEEN_SWEEPS = 5
"""Looks between two searches of Ray's list for jobs that never reached the queue."""
SETTLE_SECONDS = 3.0
"""Seconds that Ray has to close its books on a driver that has ended, before its job is listed as waiting."""
ADOPTED_SECONDS = 300.0
"""Age, in seconds, up to which the end of a driver that the queue did not know is looked into."""
AGAIN_SECONDS = 10.0
"""Seconds before a job begins that lost its driver with the head, or that Ray refused to start."""


class JobQueue:
    """The actor. `enter` is called by drivers.

    With `watch`, a thread of it looks at the drivers and at the queue every LOOK_SECONDS.
    """

    def __init__(self, *, watch: bool = True) -> None:
        self._lock = threading.Lock()
        self._table = _load_table()
        self._settled: set[str] = set()
        """Ended jobs that need no further look."""
        self._looks = 0
        if watch:
            threading.Thread(target=self._run, name="queue", daemon=True).start()

    def enter(self, ticket: Ticket) -> float | None:
        """When the job came, where its driver begins now. None where it waits; its process ends with TURNED_AWAY."""
        with self._lock:
            info = ray_job(ticket.job) or {}
            came = info["start_time"] / 1000 if info.get("start_time") else None
            begins = self._table.admit(ticket, _places(), time.time(), came)
            entry = self._table.entries[ticket.job]
            entry.info = info
            self._keep()
        return entry.came if begins else None

    def table(self) -> str:
        """The table as JSON, for people and tests."""
        with self._lock:
            return self._table.to_json()

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            try:
                self.look(time.time())
            except Exception:  # of one look: the next one may find the storage, or Ray, as it should be
                traceback.print_exc()

    def look(self, now: float) -> None:
        """See what became of the drivers, and begin jobs that have a place now. `now` is in seconds since 1970."""
        self._looks += 1
        for job, entry in list(self._table.entries.items()):
            if entry.state != "waiting":
                self._look_at_driver(job, entry, now)
        for job in self._some_waiting():
            self._read_again(job, now)
        if self._looks % LOOKS_BETWEEN_SWEEPS == 0:
            self._sweep(now)
        with self._lock:
            begin = self._table.next(_places(), now)[:BEGUN_AT_ONCE]
        for job in begin:
            self._begin(job, now)
        with self._lock:
            places = self._table.places(_places(), now)
        for job, place in places.items():
            self._show(job, place, now)

    # drivers ------------------------------------------------------------------------------------------

    def _look_at_driver(self, job: str, entry: Entry, now: float) -> None:
        info = ray_job(job)
        directory = JobDirectory(entry.ticket.url)
        if info is not None and info["status"] not in ENDED:
            state = load_state(directory) if self._looks % LOOKS_BETWEEN_SWEEPS == 0 else None
            if state is not None and state.submission == job:
                with self._lock:
                    self._table.progress(job, state.done, state.total, now)
            return
        state = load_state(directory)
        recorded = _is_over(job, state)
        if info is None and not recorded:
            self._wait(job, state, "the head was started again", now)
        elif info is None:
            self._drop(job)
        else:
            entry.info = info
            self._driver_ended(job, state, _end_of(info, recorded), now)

    def _driver_ended(self, job: str, state: JobState | None, end: Ended, now: float) -> None:
        with self._lock:
            entry = self._table.entries[job]
            judged = self._table.ended(job, end, now)
            self._keep()
        if judged == "over":
            return
        directory = JobDirectory(entry.ticket.url)
        doing = state or JobState(state="PENDING", submission=job)
        if judged == "again":
            _save(directory, doing.model_copy(update={"state": "QUEUED", "submission": job, "reason": entry.reason}))
            return
        died = f" after {entry.died} restarts" if entry.died else ""
        reason = f"its driver ended{died}: {end.message}"
        _save(directory, doing.model_copy(update={"state": "FAILED", "submission": job, "reason": reason}))

    def _sweep(self, now: float) -> None:
        """Take in jobs of Ray's list that never reached the queue: their driver died, or could not ask."""
        for job, info in farm_jobs().items():
            if job in self._table.entries or job in self._settled:
                continue
            ended = info["status"] in ENDED
            if ended and now - (info.get("end_time") or 0) / 1000 > ADOPTED_SECONDS:
                self._settled.add(job)
                continue
            waiting = QUEUE_FIELD in info["metadata"]
            self._adopt(job, info, waiting=waiting or info.get("driver_exit_code") == TURNED_AWAY, now=now)

    def _adopt(self, job: str, info: dict[str, Any], *, waiting: bool, now: float) -> None:
        directory = JobDirectory(info["metadata"]["farm_job"])
        request, state = load_request(directory), load_state(directory)
        if request is None or request.submissions[-1:] != (job,):
            self._settled.add(job)  # a later submission has taken its place
            return
        at_work = state is not None and (state.state, state.submission) == ("RUNNING", job)
        if info["status"] not in ENDED and not waiting and not at_work:
            return  # its driver starts, and is about to ask for a place
        came = (info.get("start_time") or now * 1000) / 1000
        place: Literal["waiting", "begun"] = "waiting" if waiting else "begun"
        entry = Entry(ticket_of(job, directory, request), came, state=place, began=came, info=info)
        with self._lock:
            if job in self._table.entries:
                return
            self._table.entries[job] = entry
            self._keep()
        if not waiting and info["status"] in ENDED:
            self._driver_ended(job, state, _end_of(info, _is_over(job, state)), now)
            self._settled.add(job)

    # the queue ----------------------------------------------------------------------------------------

    def _some_waiting(self) -> list[str]:
        """READ_AT_ONCE of the waiting jobs, others in each look."""
        waiting = [job for job, entry in list(self._table.entries.items()) if entry.state == "waiting"]
        if len(waiting) <= READ_AT_ONCE:
            return waiting
        first = self._looks * READ_AT_ONCE % len(waiting)
        return (waiting + waiting)[first : first + READ_AT_ONCE]

    def _read_again(self, job: str, now: float) -> bool:
        """Follow what the user did to a waiting job. False where it waits no more."""
        entry = self._table.entries[job]
        directory = JobDirectory(entry.ticket.url)
        state, request = load_state(directory), load_request(directory)
        later = request is not None and request.submissions[-1:] != (job,)
        if request is None or later or _is_over(job, state):
            how = "its directory is gone" if request is None else "cancelled while it waited"
            show_ended(job, entry.info, "STOPPED", how, now)
            self._drop(job)
            return False
        if request.priority != entry.ticket.priority:
            with self._lock:
                self._table.prioritise(job, request.priority)
                self._keep()
        return True

    def _begin(self, job: str, now: float) -> None:
        """Submit a waiting job to Ray once more, under its own id."""
        if not self._read_again(job, now):
            return
        entry = self._table.entries[job]
        metadata = {name: text for name, text in entry.info["metadata"].items() if name != QUEUE_FIELD}
        state = load_state(JobDirectory(entry.ticket.url)) or JobState(state="PENDING")
        starting = {"state": "PENDING", "submission": job, "reason": ""}
        _save(JobDirectory(entry.ticket.url), state.model_copy(update=starting))
        with self._lock:
            self._table.starting(job, now)
            self._keep()
        forget_job(job)
        try:
            submit_again(job, shlex.split(entry.info["entrypoint"]), metadata)
        except FarmError as error:
            show_waiting(job, entry.info, str(error), {})
            self._wait(job, state, f"Ray did not start its driver: {first_line(error)}", now)

    def _show(self, job: str, place: Place, now: float) -> None:
        """Write a waiting job's place where Ray lists it."""
        listed = ray_job(job)
        entry = self._table.entries.get(job)
        if entry is None or entry.state != "waiting":
            return
        if listed is not None and listed["status"] in ENDED and now - listed["end_time"] / 1000 < SETTLE_SECONDS:
            return
        message = waiting_line(place, entry.reason, now)
        if listed is None or listed["status"] != "PENDING" or listed.get("message") != message:
            row = {"number": place.number, "of": place.of, "begins": place.begins, "reason": entry.reason}
            show_waiting(job, listed or entry.info, message, row)

    def _wait(self, job: str, state: JobState | None, reason: str, now: float) -> None:
        """Let a job wait for AGAIN_SECONDS whose driver is gone through no fault of its own."""
        with self._lock:
            self._table.wait(job, reason, now, AGAIN_SECONDS)
            url = self._table.entries[job].ticket.url
            self._keep()
        doing = state or JobState(state="PENDING")
        _save(JobDirectory(url), doing.model_copy(update={"state": "QUEUED", "submission": job, "reason": reason}))

    def _drop(self, job: str) -> None:
        with self._lock:
            del self._table.entries[job]
            self._keep()

    def _keep(self) -> None:
        text = self._table.to_json()
        keep(TABLE, text)
        if url := os.environ.get("FARM_QUEUE"):
            try:
                Storage(url).write(f"{TABLE}.json", text.encode())
            except FarmError as error:
                print(f"FARM_QUEUE cannot be written: {error}", file=sys.stderr, flush=True)


def enter_queue(ticket: Ticket) -> float | None:
    """Ask the cluster's queue whether a driver begins; start the queue where there is none.

    Returns when the job came, in seconds since 1970, and None where it has to wait. A queue that does not answer stops
    nobody: a job without a queue is better than none.
    """
    import ray
    from ray.exceptions import RayError

    from farm.cluster.ray_errors import meaning_of

    try:
        came: float | None = ray.get(queue_actor().enter.remote(ticket), timeout=ANSWER_SECONDS)
    except RayError as error:
        line = f"the queue does not answer ({meaning_of(error).reason}): the job begins without it"
        print(line, file=sys.stderr, flush=True)
        return time.time()
    return came


def queue_actor() -> Any:
    """The cluster's queue, which is started on the head where there is none."""
    import ray

    options: dict[str, Any] = {"name": NAME, "namespace": NAMESPACE, "lifetime": "detached", "get_if_exists": True}
    actor = ray.remote(JobQueue).options(num_cpus=0, resources={HEAD: 0.001}, max_restarts=-1, **options)
    return actor.remote()


def submit_again(job: str, command: list[str], metadata: dict[str, str]) -> None:
    """Start the driver of a job by the Jobs API of this cluster. Raises FarmError."""
    address = dashboard_address()
    if not address:  # never the default one: it may be another cluster's, which must not see the token
        raise RenderError("the cluster has no dashboard", "start its head with one")
    Cluster(f"http://{address}").submit(job, command, metadata)


def _load_table() -> QueueTable:
    """The table that an earlier queue of this cluster kept, or one before the head's restart; else an empty one."""
    texts = [kept(TABLE)]
    if texts[0] is None and (url := os.environ.get("FARM_QUEUE")):
        with contextlib.suppress(StorageError):
            data = Storage(url).read(f"{TABLE}.json")
            texts.append(data.decode() if data else None)
    for text in texts:
        if text is not None:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # of another version of the farm
                return QueueTable.from_json(text)
    return QueueTable()


def _places() -> int:
    """How many drivers the cluster runs at once, now."""
    import ray

    wanted = os.environ.get("FARM_DRIVERS", "")
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return driver_places(nodes, DRIVER_BYTES, int(wanted) if wanted.isdigit() and int(wanted) else None)


def _end_of(info: dict[str, Any], recorded: bool) -> Ended:
    lines = [line.strip() for line in (info.get("message") or "").splitlines() if line.strip()]
    last = lines[-1] if lines else info["status"]
    return Ended(info["status"], info.get("driver_exit_code"), recorded, last)


def _is_over(job: str, state: JobState | None) -> bool:
    """Whether the directory says that this submission has ended, or that a later one has taken its place.

    A job may be resumed before the queue has looked at how its driver ended: what is recorded there is not to be
    written over then.
    """
    return state is not None and (state.state in FINISHED if state.submission == job else bool(state.submission))


def _save(directory: JobDirectory, state: JobState) -> None:
    with contextlib.suppress(StorageError):  # storage that is full or gone cannot take it, and the queue goes on
        save_state(directory, state)
