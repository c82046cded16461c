"""Every error of Ray that can come in place of an answer: what it means, and what is done about it."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import pytest

from farm.errors import PictureError, RenderError

pytestmark = pytest.mark.cluster  # the import of ray binds a socket

KILLED = """1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 127.0.0.1) \
was 23.31GB used / 23.54GB limit (0.990000)
OOM kill reason: Memory usage 25023737856B exceeded threshold of 24012677120B (95.0% of 25276502016B limit)
Top 10 memory users: PID\tMEM(GB)\tCOMMAND
549\t0.84\tray::pass 4
"""

TABLE = {
    "OutOfMemoryError": ("MEMORY", "the memory of its machine ran out (23.3 of 23.5 GB used)"),
    "NodeDiedError": ("NODE", "its node was lost"),
    "LocalRayletDiedError": ("HERE", "Ray on this machine has died"),
    "AuthenticationError": ("HERE", "the cluster refuses the token"),
    "RpcError": ("HERE", "the cluster's head does not answer"),
    "ActorDiedError": ("LOST", "its worker died"),
    "RayActorError": ("LOST", "The actor experienced an error before finishing this task."),
    "ActorUnavailableError": ("LOST", "its worker cannot be reached"),
    "WorkerCrashedError": ("LOST", "its worker died"),
    "AsyncioActorExit": ("LOST", "its worker ended itself"),
    "TaskCancelledError": ("LOST", "its call was cancelled"),
    "ActorHandleNotFoundError": ("LOST", "its worker is not there any more"),
    "ActorAlreadyExistsError": ("LOST", "what Ray says"),
    "RuntimeEnvSetupError": ("LOST", "what Ray says"),
    "ActorUnschedulableError": ("LOST", "no node can take its worker"),
    "TaskUnschedulableError": ("LOST", "no node can take it"),
    "ActorPlacementGroupRemoved": ("LOST", "the room for its worker was taken away"),
    "TaskPlacementGroupRemoved": ("LOST", "the room for it was taken away"),
    "ObjectLostError": ("LOST", "its answer was lost"),
    "ObjectFetchTimedOutError": ("LOST", "its answer was lost"),
    "ReferenceCountingAssertionError": ("LOST", "its answer was lost"),
    "ObjectFreedError": ("LOST", "its answer was lost"),
    "ObjectReconstructionFailedError": ("LOST", "its answer was lost"),
    "OwnerDiedError": ("LOST", "its answer was lost"),
    "PlasmaObjectNotAvailable": ("LOST", "its answer was lost"),
    "ObjectStoreFullError": ("LOST", "Ray's object store is full on its machine"),
    "OutOfDiskError": ("LOST", "Ray's disk is full on its machine"),
    "UnserializableException": ("LOST", "it raised an error that cannot be sent"),
    "GetTimeoutError": ("LOST", "it does not answer"),
    "PendingCallsLimitExceeded": ("LOST", "what Ray says"),
    "ObjectRefStreamEndOfStreamError": ("LOST", "what Ray says"),
    "OufOfBandObjectRefSerializationException": ("LOST", "what Ray says"),
    "UserCodeException": ("LOST", "what Ray says"),
    "RaySystemError": ("LOST", "System error: what Ray says"),
    "StreamingGeneratorReplayInconsistentError": ("LOST", "System error: what Ray says"),
    "RayChannelError": ("LOST", "System error: what Ray says"),
    "RayChannelTimeoutError": ("LOST", "System error: what Ray says"),
    "RayCgraphCapacityExceeded": ("LOST", "System error: what Ray says"),
    "RayDirectTransportError": ("LOST", "System error: what Ray says"),
    "CrossLanguageError": ("LOST", "what Ray says"),
    "RayError": ("LOST", "what Ray says"),
}


def made(name: str) -> Exception:
    """An error of this class, as it is where Ray raises it: most need no arguments for their class to count."""
    from ray import exceptions

    kind = getattr(exceptions, name)
    if name in ("RayActorError", "ActorDiedError"):
        return kind()
    if name == "RaySystemError" or issubclass(kind, exceptions.RaySystemError):
        return kind("what Ray says")
    error = kind.__new__(kind, KILLED if name == "OutOfMemoryError" else "what Ray says")
    error.message = KILLED if name == "OutOfMemoryError" else "what Ray says"
    error.error_message = error.error_msg = "what Ray says"
    return error


@pytest.mark.parametrize("name", TABLE)
def test_what_it_means(name, monkeypatch):
    from ray import exceptions

    from farm.cluster.ray_errors import meaning_of

    error = made(name)
    if TABLE[name][1] == "what Ray says":
        monkeypatch.setattr(getattr(exceptions, name), "__str__", lambda _: "A paragraph.\n\nwhat Ray says\n")
    meaning = meaning_of(error)
    assert (meaning.end.name, meaning.reason) == TABLE[name]


def test_no_error_of_ray_is_left_out():
    from ray import exceptions

    known = {
        name for name, kind in inspect.getmembers(exceptions, inspect.isclass) if issubclass(kind, exceptions.RayError)
    }
    assert known - set(TABLE) <= {"RayTaskError"}


def test_what_a_worker_raised_is_no_loss_unless_it_is_an_error_of_ray():
    from ray.exceptions import RaySystemError, RayTaskError

    from farm.cluster.ray_errors import meaning_of

    own = meaning_of(RayTaskError("render", "trace", PictureError("there is no picture")))
    assert own.end.name == "RAISED"
    passed_on = meaning_of(RayTaskError("render", "trace", RaySystemError("the node went down")))
    assert (passed_on.end.name, passed_on.reason) == ("LOST", "System error: the node went down")


def test_a_reason_is_one_line_of_bounded_length():
    from ray.exceptions import RayError

    from farm.cluster.ray_errors import meaning_of

    assert len(meaning_of(RayError("long " * 500)).reason) == 300


class Pool:
    """A pool whose workers are called `a` and `b`, with a Ray that raises what it is given. Notes are in `lines`."""

    def __init__(self, monkeypatch):
        from farm.cluster import pool

        self.module, self.lines, self.now, self.started = pool, [], 1000.0, 0
        nodes = [{"NodeID": "n", "Alive": True, "Resources": {"CPU": 2}}]

        def get(source):
            if isinstance(source, BaseException):
                raise source
            return source

        monkeypatch.setattr(pool, "ray", SimpleNamespace(nodes=lambda: nodes, get=get, kill=lambda actor: None))
        monkeypatch.setattr(pool.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(pool, "last_log_lines", lambda actor, error: ("its last line",))
        monkeypatch.setattr(pool.WorkerPool, "_node_is_gone", lambda *_: False)
        facts = SimpleNamespace(remote=lambda *_: object())
        actor = SimpleNamespace(facts=SimpleNamespace(options=lambda **_: facts))
        kind = pool.WorkerKind(1, "auto", gpu=False, start=lambda *_, **__: actor)
        self.pool = pool.WorkerPool(
            pool.FixedQuota(2), kind, title="film", job_url="/job", inputs=(), on_note=self.lines.append
        )
        self.pool.follow_quota(2)

    def report(self, error):
        return self.pool.next_report(next(iter(self.pool.actors)), iter([error]))


@pytest.fixture
def farm(monkeypatch):
    return Pool(monkeypatch)


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row[0] in ("LOST", "NODE", "MEMORY")])
def test_a_task_goes_on_after_each_loss(farm, name, monkeypatch):
    from farm.cluster.workers import WorkerGone

    gone = farm.report(made(name))
    assert isinstance(gone, WorkerGone)
    assert gone.preempted == (TABLE[name][0] != "LOST"), "the task is not to blame"
    assert farm.lines == []


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row[0] == "HERE"])
def test_the_job_ends_in_one_line_where_ray_itself_is_gone(farm, name):
    with pytest.raises(RenderError, match=f"{TABLE[name][1]}; run the same command again"):
        farm.report(made(name))


def test_memory_that_runs_out_costs_a_pause_then_a_worker_and_at_last_the_job(farm):
    from farm.errors import ChunkFailedError
    from farm.plan.memory_losses import HOPELESS

    def lose() -> bool:
        worker = next(iter(farm.pool.actors))
        gone = farm.report(made("OutOfMemoryError"))
        farm.pool.remove(worker)
        return gone.preempted

    assert lose()
    assert (farm.pool.follow_quota(2), len(farm.pool.actors)) == (2, 1), "none is started in the pause"
    farm.now += 5
    assert (farm.pool.follow_quota(2), len(farm.pool.actors)) == (2, 2)
    farm.now += 100
    assert lose()
    assert farm.lines == ["the memory has run out again: the job goes on with 1 worker at most"]
    farm.now += 100
    assert (farm.pool.follow_quota(2), len(farm.pool.actors)) == (1, 1)
    blameless = []
    for _ in range(HOPELESS - 1):
        blameless.append(lose())
        farm.now += 100
        farm.pool.follow_quota(2)
    assert blameless == [True] * (HOPELESS - 2) + [False]
    assert len(farm.lines) == 1
    errors = [made("OutOfMemoryError") for _ in range(3)]
    farm.pool.starting |= dict.fromkeys(errors, "worker-1")
    assert [farm.pool.answered(error) for error in errors[:2]] == [None, None]
    with pytest.raises(ChunkFailedError, match="workers die while starting: the memory of its machine ran out"):
        farm.pool.answered(errors[2])


def test_a_worker_that_is_killed_while_it_starts_is_replaced_later_and_said(farm):
    error = made("OutOfMemoryError")
    farm.pool.starting[error] = "worker-2"
    assert farm.pool.answered(error) is None
    assert farm.lines == [
        "worker-2 was lost while it started: the memory of its machine ran out (23.3 of 23.5 GB used)"
    ]
    farm.pool.follow_quota(2)
    assert list(farm.pool.actors) == ["worker-1"]
    farm.now += 5
    farm.pool.follow_quota(2)
    assert list(farm.pool.actors) == ["worker-1", "worker-3"]


@pytest.fixture
def task(monkeypatch):
    """Runs a driver's task whose attempts end with these errors, then well. Returns its notes, and seconds waited."""
    from farm.cluster import driver_tasks

    def run(*errors):
        left, notes, now = list(errors), [], [1000.0]

        def one_attempt(*_, **__):
            if left:
                raise left.pop(0)
            return "done"

        def wait(seconds):
            now[0] += seconds

        monkeypatch.setattr(driver_tasks, "_run", one_attempt)
        monkeypatch.setattr(driver_tasks, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=wait))
        assert driver_tasks.run_driver_task("stitch", print, note=notes.append) == "done"
        return notes, round(now[0] - 1000)

    return run


def test_a_task_of_the_driver_goes_on_after_memory_ran_out(task):
    notes, seconds = task(*[made("OutOfMemoryError") for _ in range(5)])
    assert (
        notes == ["stitch was ended, and is begun again: the memory of its machine ran out (23.3 of 23.5 GB used)"] * 5
    )
    assert seconds == 5 + 5 + 10 + 20 + 40


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row[0] in ("LOST", "NODE")])
def test_a_task_of_the_driver_is_begun_three_times(task, name):
    assert task(made(name), made(name)) == ([], 0)
    with pytest.raises(RenderError, match=r"stitch could not be run: .*; run the same command again"):
        task(made(name), made(name), made(name))


def test_a_task_of_the_driver_ends_where_memory_is_never_free_again(task):
    with pytest.raises(RenderError, match="stitch could not be run: the memory of its machine ran out"):
        task(*[made("OutOfMemoryError") for _ in range(20)])


def test_a_task_of_the_driver_raises_what_it_raised_and_no_more_where_ray_is_gone(task):
    from ray.exceptions import RayTaskError

    with pytest.raises(PictureError, match="there is no picture"):
        task(RayTaskError("stitch", "trace", PictureError("there is no picture")))
    with pytest.raises(RenderError, match="Ray on this machine has died; run the same command again"):
        task(made("LocalRayletDiedError"))
