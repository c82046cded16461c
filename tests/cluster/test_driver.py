"""The driver beside a fake pool and a fake clock: all that it does, in order, without Ray and without waiting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from farm.cluster.driver import Driver, DriverSettings, JobEvents, TaskRun
from farm.cluster.workers import RenderFailed, TaskEnded, WorkerGone
from farm.errors import ChunkFailedError, DamagedError, UsageError, VideoError
from farm.job import FrameRecord
from farm.plan import Task
from farm.plan.schedule import Schedule, Window
from farm.render.frame_report import FrameReport

START_SECONDS = 0.5
"""From a fake worker's start to its first answer."""
ENDED = TaskEnded()


@dataclass(frozen=True)
class Frame:
    """A worker's answer: the report of this frame of the task that it has, two seconds of work."""

    number: int
    reused: bool = False
    notes: tuple[str, ...] = ()
    software: str = ""


def committed_before(number: int) -> Frame:
    """A frame that was committed before the task was begun."""
    return Frame(number, reused=True)


@dataclass
class Farm:
    """A fake of all that the driver has to do with. `calls` are those that change something, in order.

    `script` gives the answers of each worker over all of its tasks: seconds after the one before, and the answer. A
    worker whose script is at its end is silent. `share` is the job's share of the workers at a time.
    """

    script: dict[str, list[tuple[float, Any]]]
    share: Callable[[float], int] = lambda now: 1
    nodes: dict[str, str] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    differs: dict[str, str] = field(default_factory=dict)
    came: dict[str, float] = field(default_factory=dict)
    interrupted_at: float = float("inf")
    listening_takes: float = 0.0
    now: float = 100.0

    def __post_init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.history: list[tuple[Any, ...]] = []
        self.counted: Counter[str] = Counter()
        self.shares: list[tuple[float, int, int]] = []
        self.facts: dict[str, SimpleNamespace] = {}
        self.starting: dict[str, str] = {}
        self.actors: set[str] = set()
        self.due: dict[str, float] = {}
        self.tasks: dict[str, Task] = {}
        self.spawned = 0

    # as the pool ------------------------------------------------------------------------------------

    def follow_quota(self, wanted: int) -> int:
        share = self.share(self.now)
        self.shares.append((self.now, wanted, share))
        while len(self.actors) < share:
            self.spawned += 1
            worker = f"w{self.spawned}"
            self.actors.add(worker)
            self.starting[f"start {worker}"] = worker
            self.due[f"start {worker}"] = self.now + START_SECONDS
        return share

    def answered(self, source: str) -> str | None:
        worker = self.starting.pop(source)
        if worker in self.refused:
            self.remove(worker)
            return None
        node = self.nodes.get(worker, "n1")
        self.facts[worker] = SimpleNamespace(node=node, host="here", differs=self.differs.get(worker, ""), ahead=0.0)
        return worker

    def since_node_came(self, node: str) -> float | None:
        return self.came.get(node)

    def begin(self, worker: str, job_url: str, task: Task, *, alone: bool) -> str:
        assert job_url == "job"
        self.calls.append(("begin", worker, task.id))
        source = f"{worker} {task.id}"
        self.tasks[source] = task
        self._next(worker, source)
        return source

    def wait(self, sources: list[str]) -> list[str]:
        first = min(sources, key=lambda source: self.due[source], default=None)
        if first is None or self.due[first] > self.now + 1.0:
            self.now += 1.0
            return []
        self.now = max(self.now, self.due[first])
        return [first]

    def has_answer(self, source: str) -> bool:
        return self.due[source] <= self.now

    def next_report(self, worker: str, source: str) -> Any:
        answer = self.script[worker].pop(0)[1]
        self._next(worker, source)
        if not isinstance(answer, Frame):
            return answer
        record = FrameRecord(
            frame=answer.number,
            sha256="",
            steps=3,
            restarts=1,
            seconds=2.0,
            notes=answer.notes,
            software=answer.software,
        )
        return FrameReport(self.tasks[source].id, answer.number, record, reused=answer.reused)

    def remove(self, worker: str) -> None:
        self.calls.append(("remove", worker))
        self.actors.discard(worker)
        self.facts.pop(worker, None)

    def end_process(self, worker: str) -> None:
        self.calls.append(("end_process", worker))

    def avoid(self, node: str) -> None:
        self.calls.append(("avoid", node))

    def _next(self, worker: str, source: str) -> None:
        script = self.script[worker]
        self.due[source] = self.now + script[0][0] if script else float("inf")

    # driving ----------------------------------------------------------------------------------------

    def drive(
        self, tasks: list[Task], finished: tuple[str, ...] = (), window: Window | None = None, **settings: Any
    ) -> TaskRun:
        fixed = {"metrics": Metrics(self), "history": History(self)}
        settings = {"patience": 5.0, "clock": lambda: self.now, **fixed, **settings}
        schedule = Schedule(tasks, finished, window=window)
        return Driver(self, "job", schedule, Events(self), DriverSettings(**settings)).run()

    @property
    def notes(self) -> list[str]:
        return [call[1] for call in self.calls if call[0] == "note"]

    @property
    def deeds(self) -> list[tuple[Any, ...]]:
        """The calls without the notes."""
        return [call for call in self.calls if call[0] != "note"]


class Events(JobEvents):
    def __init__(self, farm: Farm) -> None:
        self.farm, self.calls = farm, farm.calls

    def check(self) -> None:
        if self.farm.now >= self.farm.interrupted_at:
            raise KeyboardInterrupt

    def note(self, line: str) -> None:
        self.calls.append(("note", line))

    def frame(self, report: FrameReport) -> None:
        self.calls.append(("frame", report.task, report.frame))
        self.farm.now += self.farm.listening_takes

    def task_begun(self, task: Task, reports: Any) -> None:
        self.calls.append(("begun", task.id, reports))

    def task_done(self, task_id: str) -> None:
        self.calls.append(("done", task_id))

    def failures(self, failures: dict[str, list[str]]) -> None:
        self.calls.append(("failures", failures))


class Metrics:
    """Keeps the counters, and the latest value of every gauge."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm

    def tasks(self, *, queued: int, running: int, workers: int) -> None:
        self.farm.gauges = (queued, running, workers)

    def frame(self, report: FrameReport, pass_name: str) -> None:
        self.farm.counted[f"frame of {pass_name}"] += 1

    def time_lost(self, seconds: float) -> None:
        self.farm.counted["seconds lost"] += seconds

    def worker_lost(self) -> None:
        self.farm.counted["worker lost"] += 1

    def retry(self) -> None:
        self.farm.counted["retry"] += 1

    def task_failed(self) -> None:
        self.farm.counted["task failed"] += 1


class History:
    def __init__(self, farm: Farm) -> None:
        self.farm = farm

    def add(self, kind: str, **facts: Any) -> None:
        self.farm.history.append((kind, *filter(None, facts.values())))


def task(name: str, *needs: str, pass_index: int = 1, steps: int = 1) -> Task:
    return Task(id=name, pass_index=pass_index, chunk=0, start=0, stop=9, needs=needs, steps=steps)


def test_a_plain_run():
    farm = Farm(
        {"w1": [(1.0, Frame(0)), (1.0, Frame(1)), (0.0, ENDED), (2.0, Frame(0, notes=("dark",))), (0.5, ENDED)]}
    )
    run = farm.drive([task("a"), task("b", "a", pass_index=2)])
    assert farm.calls == [
        ("begin", "w1", "a"),
        ("begun", "a", "w1 a"),
        ("frame", "a", 0),
        ("frame", "a", 1),
        ("begin", "w1", "b"),
        ("begun", "b", "w1 b"),
        ("done", "a"),
        ("note", "frame 0: dark"),
        ("frame", "b", 0),
        ("done", "b"),
    ]
    assert run == TaskRun(rendered=3, steps=9, restarts=3, seconds=START_SECONDS + 4.5)
    assert farm.history == [("joined", "w1", "here")]
    assert farm.counted == {"frame of pass 1": 2, "frame of pass 2": 1}
    assert farm.gauges == (0, 1, 1), "tasks that wait, tasks at work, and workers"


def test_frames_of_a_worker_with_other_software_are_counted_and_told():
    torch = "torch 2.9 instead of 2.8"
    script = [(1.0, Frame(0, software=torch)), (1.0, Frame(1, reused=True, software=torch)), (1.0, Frame(2))]
    farm = Farm({"w1": [*script, (0.0, ENDED)]}, differs={"w1": torch})
    run = farm.drive([task("a")])
    assert run.mixed == {torch: 1}, "a frame of an earlier run is not one of this run"
    assert farm.history == [("joined", "w1", "here", torch)]
    assert farm.notes[0] == f"w1 on here paints with other software than the job: {torch}"


def test_what_an_earlier_run_finished_is_not_done_again():
    farm = Farm({"w1": [(0.1, committed_before(0)), (0.1, committed_before(1)), (10.0, Frame(2)), (0.0, ENDED)]})
    run = farm.drive([task("a"), task("b", "a")], finished=("a",))
    assert farm.calls == [
        ("begin", "w1", "b"),
        ("begun", "b", "w1 b"),
        ("frame", "b", 0),
        ("frame", "b", 1),
        ("frame", "b", 2),
        ("done", "b"),
    ]
    assert (run.rendered, run.reused, run.steps) == (1, 2, 3), "steps of frames that were there are not of this run"
    assert run.lost_workers == 0, "how soon those were reported says nothing of how long a frame may take"
    assert farm.counted == {"frame of pass 1": 1}


def test_workers_that_are_up_already_get_a_task_at_once():
    """As after `first_facts`, which waits for the first worker of a job."""
    farm = Farm({"w1": [(1.0, ENDED)], "w2": [(1.0, ENDED)]}, share=lambda now: 2)
    farm.follow_quota(2)
    assert [farm.answered(source) for source in list(farm.starting)] == ["w1", "w2"]
    run = farm.drive([task("a"), task("b")])
    assert [call for call in farm.calls if call[0] == "begin"] == [("begin", "w1", "a"), ("begin", "w2", "b")]
    assert run.seconds == 1.0


def test_with_nothing_to_do_no_worker_is_started():
    farm = Farm({})
    assert farm.drive([task("a")], finished=("a",)) == TaskRun()
    assert (farm.calls, farm.shares) == ([], [])


def test_a_silent_worker_is_killed_and_its_task_begun_again():
    again = [(0.1, committed_before(0)), (0.1, committed_before(1)), (2.0, Frame(2)), (0.0, ENDED)]
    farm = Farm({"w1": [(0.2, Frame(0)), (0.2, Frame(1))], "w2": again})
    run = farm.drive([task("a")])
    assert farm.calls == [
        ("begin", "w1", "a"),
        ("begun", "a", "w1 a"),
        ("frame", "a", 0),
        ("frame", "a", 1),
        ("note", "w1 has told of no frame for 6 s: it is ended, and its task begun again"),
        ("end_process", "w1"),
        ("remove", "w1"),
        ("note", "a: its worker told of no frame for 6 s; attempt 2 of 3"),
        ("begin", "w2", "a"),
        ("begun", "a", "w2 a"),
        ("note", "a goes on after a lost worker: 6.7 s lost"),
        ("frame", "a", 2),
        ("done", "a"),
    ]
    # last sign of life to the next frame, less the work on it: 6 s of silence, 0.5 s of starting, 0.2 s of reading
    assert run.lost_seconds == pytest.approx(6.0 + START_SECONDS + 0.2)
    assert (run.rendered, run.reused, run.lost_workers) == (3, 0, 1)
    assert run.retries == ["a: its worker told of no frame for 6 s; attempt 2"]
    assert farm.counted == {
        "frame of pass 1": 3,
        "worker lost": 1,
        "retry": 1,
        "seconds lost": pytest.approx(run.lost_seconds),
    }
    assert farm.history == [
        ("joined", "w1", "here"),
        ("lost", "w1", "a", "its worker told of no frame for 6 s"),
        ("retry", "a", "its worker told of no frame for 6 s"),
        ("joined", "w2", "here"),
        ("regained", "a", pytest.approx(run.lost_seconds)),
    ]


def test_a_worker_whose_report_was_not_read_yet_is_not_killed():
    """Whoever listens takes a minute for every frame: all workers seem silent, and their reports lie there."""
    script = {name: [(0.2, Frame(0)), (0.2, Frame(1)), (0.2, ENDED)] for name in ("w1", "w2")}
    farm = Farm(script, share=lambda now: 2, listening_takes=60.0)
    run = farm.drive([task("a"), task("b")])
    assert (farm.notes, run.lost_workers, run.rendered) == ([], 0, 4)
    assert [call for call in farm.calls if call[0] in ("remove", "end_process")] == []


def test_a_worker_without_a_task_may_be_silent():
    quick, slow = [(0.1, Frame(0)), (0.1, ENDED)], [(4.0, Frame(number)) for number in range(4)]
    farm = Farm({"w1": quick, "w2": [*slow, (0.0, ENDED)]}, share=lambda now: 2)
    run = farm.drive([task("a", steps=9), task("b", pass_index=2)])
    assert (farm.notes, run.lost_workers, run.rendered) == ([], 0, 5)


def test_a_lost_workers_task_goes_on_elsewhere_and_nothing_is_told_twice():
    """The first worker commits frame 1 and dies before it can report it."""
    first = [(2.0, Frame(0)), (3.0, WorkerGone("its worker died", log_lines=("Killed",)))]
    second = [
        (0.5, Frame(0)),
        (0.5, ENDED),
        (0.25, committed_before(0)),
        (0.25, committed_before(1)),
        (2.0, Frame(2)),
        (0.0, ENDED),
    ]
    farm = Farm({"w1": first, "w2": second}, share=lambda now: 2)
    run = farm.drive([task("a", steps=9), task("b")])
    assert farm.calls == [
        ("begin", "w1", "a"),
        ("begun", "a", "w1 a"),
        ("begin", "w2", "b"),
        ("begun", "b", "w2 b"),
        ("frame", "b", 0),
        ("done", "b"),
        ("frame", "a", 0),
        ("remove", "w1"),
        ("note", "a: its worker died; attempt 2 of 3"),
        ("begin", "w2", "a"),
        ("begun", "a", "w2 a"),
        ("frame", "a", 1),
        ("note", "a goes on after a lost worker: 3.5 s lost"),
        ("frame", "a", 2),
        ("done", "a"),
    ]
    assert (run.rendered, run.reused, run.steps) == (4, 0, 12), "frame 1 was made in this run, whoever reports it"
    assert (run.lost_workers, run.lost_seconds) == (1, 3.5)


def test_a_lost_node_uses_up_no_attempt():
    gone = [(1.0, WorkerGone("its node was lost", preempted=True))]
    farm = Farm({"w1": list(gone), "w2": list(gone), "w3": list(gone), "w4": [(1.0, Frame(0)), (0.0, ENDED)]})
    run = farm.drive([task("a")])
    assert farm.deeds == [
        *(
            deed
            for worker in ("w1", "w2", "w3")
            for deed in (("begin", worker, "a"), ("begun", "a", f"{worker} a"), ("remove", worker))
        ),
        ("begin", "w4", "a"),
        ("begun", "a", "w4 a"),
        ("frame", "a", 0),
        ("done", "a"),
    ]
    assert farm.notes[:3] == ["a: its node was lost; attempt 1 of 3"] * 3
    assert (run.lost_workers, len(run.retries)) == (3, 3)
    assert farm.shares == [(100.0, 1, 1), (101.5, 1, 1), (103.0, 1, 1), (104.5, 1, 1)], (
        "after a loss it is asked at once"
    )
    assert run.lost_seconds == 3.5, "from the first beginning at 100.5 to the frame at 106, less two seconds of work"


def test_a_worker_that_sees_no_files_gets_no_task():
    farm = Farm({"w2": [(1.0, Frame(0)), (0.0, ENDED)]}, refused=("w1",))
    farm.drive([task("a")])
    assert farm.calls == [
        ("remove", "w1"),
        ("begin", "w2", "a"),
        ("begun", "a", "w2 a"),
        ("frame", "a", 0),
        ("done", "a"),
    ]
    assert farm.history == [("joined", "w2", "here")]


def test_a_node_where_all_tasks_fail_gets_no_more_of_them():
    failure = RenderFailed(MemoryError())
    farm = Farm(
        {"w1": [(9.0, ENDED)] * 4, "w2": [(1.0, failure)] * 3},
        share=lambda now: 2 if now < 103 else 1,
        nodes={"w1": "node-one", "w2": "node-two-of-two"},
    )
    farm.drive([task("a", steps=4), task("b", steps=3), task("c", steps=2), task("d", steps=1)])
    assert farm.deeds == [
        ("begin", "w1", "a"),
        ("begun", "a", "w1 a"),
        ("begin", "w2", "b"),
        ("begun", "b", "w2 b"),
        ("begin", "w2", "c"),
        ("begun", "c", "w2 c"),
        ("begin", "w2", "d"),
        ("begun", "d", "w2 d"),
        ("avoid", "node-two-of-two"),
        ("remove", "w2"),
        ("begin", "w1", "b"),
        ("begun", "b", "w1 b"),
        ("done", "a"),
        ("begin", "w1", "c"),
        ("begun", "c", "w1 c"),
        ("done", "b"),
        ("begin", "w1", "d"),
        ("begun", "d", "w1 d"),
        ("done", "c"),
        ("done", "d"),
    ]
    assert farm.notes == [
        "b: MemoryError; attempt 2 of 3",
        "c: MemoryError; attempt 2 of 3",
        "node node-two gets no more tasks: 3 failed there",
        "d: MemoryError; attempt 2 of 3",
    ]
    assert farm.history == [
        ("joined", "w1", "here"),
        ("joined", "w2", "here"),
        ("retry", "b", "MemoryError"),
        ("retry", "c", "MemoryError"),
        ("avoided", "node node-two gets no more tasks: 3 failed there"),
        ("retry", "d", "MemoryError"),
        ("released", "w2"),
    ]


def test_a_share_that_grows_and_shrinks():
    def share(now: float) -> int:
        return 2 if 103 <= now < 106 else 1

    four = [(4.0, Frame(0)), (0.0, ENDED)]
    farm = Farm({"w1": [*four, *four], "w2": list(four)}, share=share)
    run = farm.drive([task("a"), task("b"), task("c")])
    assert farm.calls == [
        ("begin", "w1", "a"),
        ("begun", "a", "w1 a"),
        ("frame", "a", 0),
        ("begin", "w1", "b"),
        ("begun", "b", "w1 b"),
        ("done", "a"),
        ("begin", "w2", "c"),
        ("begun", "c", "w2 c"),
        ("frame", "b", 0),
        ("remove", "w1"),
        ("done", "b"),
        ("frame", "c", 0),
        ("done", "c"),
    ]
    assert farm.shares == [(100.0, 3, 1), (102.5, 3, 1), (104.5, 3, 2), (107.0, 2, 1), (109.0, 1, 1)]
    assert (run.rendered, run.lost_workers) == (3, 0), "to give a worker back is no loss"


def test_a_node_that_joins_is_told_of():
    farm = Farm({"w1": [(1.0, ENDED)]}, nodes={"w1": "0123456789"}, came={"0123456789": 4.26})
    run = farm.drive([task("a")])
    assert farm.notes == ["node 01234567 (here) joined; w1 is at work there after 4.3 s"]
    assert run.join_seconds == [4.3]


def test_damage_that_a_task_met_ends_the_run_at_once():
    """What another task made is damaged: to try this one again mends nothing."""
    damage = DamagedError("frame 3 of pass-1/00000 is gone or damaged in job")
    farm = Farm({"w1": [(1.0, RenderFailed(damage))]})
    with pytest.raises(DamagedError, match="frame 3"):
        farm.drive([task("a"), task("b")])
    assert sum(call[0] == "begun" for call in farm.calls) == 1


def test_a_task_that_fails_for_good_is_told_and_the_rest_is_finished():
    failures = [(1.0, RenderFailed(RuntimeError(f"\nno memory {number}\nmore"), ("E1", "E2"))) for number in (1, 2, 3)]
    farm = Farm({"w1": [*failures, (1.0, Frame(0)), (0.0, ENDED)]})
    with pytest.raises(ChunkFailedError) as raised:
        farm.drive([task("a", steps=9), task("b", "a"), task("c", "b"), task("other")])
    assert raised.value.problem == "1 task(s) failed and 2 could not follow; a: no memory 3"
    assert raised.value.remedy == "what was finished is kept; run the same command again once the cause is mended"
    assert farm.calls == [
        ("begin", "w1", "a"),
        ("begun", "a", "w1 a"),
        ("note", "a: no memory 1; attempt 2 of 3"),
        ("begin", "w1", "a"),
        ("begun", "a", "w1 a"),
        ("note", "a: no memory 2; attempt 3 of 3"),
        ("begin", "w1", "a"),
        ("begun", "a", "w1 a"),
        ("note", "a failed: no memory 3"),
        ("note", "  | E1"),
        ("note", "  | E2"),
        ("begin", "w1", "other"),
        ("begun", "other", "w1 other"),
        ("frame", "other", 0),
        ("done", "other"),
        ("failures", {"a": ["no memory 3", "E1", "E2"]}),
    ]
    assert farm.history[1:] == [
        ("retry", "a", "no memory 1"),
        ("retry", "a", "no memory 2"),
        ("failed", "a", "no memory 3"),
    ]
    assert farm.counted == {"retry": 2, "task failed": 1, "frame of pass 1": 1}


@pytest.mark.parametrize("kept", [(None, ["gone", "E1"]), ((), ["gone"]), (("Killed",), ["gone", "Killed"])])
def test_the_lines_of_a_lost_worker_replace_those_of_the_failure_before(kept):
    """None where they were lost with the worker's node."""
    log_lines, lines = kept
    failed, gone = RenderFailed(MemoryError(), ("E1",)), WorkerGone("gone", log_lines=log_lines)
    farm = Farm({"w1": [(1.0, failed), (1.0, gone)], "w2": [(1.0, gone)]})
    with pytest.raises(ChunkFailedError):
        farm.drive([task("a")])
    assert farm.calls[-1] == ("failures", {"a": lines})


@pytest.mark.parametrize("error", [VideoError("clip.mp4 is cut short", "mend it"), UsageError("no such style")])
def test_what_the_user_has_to_mend_is_not_tried_again(error):
    farm = Farm({"w1": [(1.0, RenderFailed(error)), (1.0, ENDED)]})
    with pytest.raises(ChunkFailedError) as raised:
        farm.drive([task("a", steps=9), task("other")])
    assert raised.value.problem == f"1 task(s) failed and 0 could not follow; a: {error}"
    assert farm.calls == [
        ("begin", "w1", "a"),
        ("begun", "a", "w1 a"),
        ("note", f"a failed: {error}"),
        ("begin", "w1", "other"),
        ("begun", "other", "w1 other"),
        ("done", "other"),
        ("failures", {"a": [str(error)]}),
    ]


def test_an_interruption_passes_through_and_leaves_the_workers_alone():
    farm = Farm({"w1": [(1.0, Frame(0)), (1.0, Frame(1)), (1.0, ENDED)]}, interrupted_at=101.5)
    with pytest.raises(KeyboardInterrupt):
        farm.drive([task("a")])
    assert farm.calls == [("begin", "w1", "a"), ("begun", "a", "w1 a"), ("frame", "a", 0)]
    assert farm.actors == farm.facts.keys() == {"w1"}


def test_tasks_wait_for_the_film_when_storage_is_saved():
    """At most two segments of three are begun before the first is encoded, and that is at second 105."""
    script = {name: [(1.0, Frame(0)), (0.0, ENDED)] for name in ("w1", "w2")}
    script["w1"] += [(1.0, Frame(0)), (0.0, ENDED)]
    farm = Farm(script, share=lambda now: 2)
    window = Window({"a": 0, "b": 1, "c": 2}, ahead=2)
    order = [task("c", steps=9), task("b"), task("a")]
    farm.drive(order, window=window, filmed_up_to=lambda: int(farm.now >= 105))
    begun = [call[1:] for call in farm.calls if call[0] == "begin"]
    assert begun == [("w1", "a"), ("w2", "b"), ("w1", "c")]
    assert [call for call in farm.calls if call[0] in ("frame", "done")] == [
        *(("frame", "a", 0), ("done", "a"), ("frame", "b", 0), ("done", "b")),
        *(("frame", "c", 0), ("done", "c")),
    ]
    assert {wanted for now, wanted, _ in farm.shares if now < 105} == {2, 0}, "tasks that are held need no worker"
    assert farm.now == 106.5, "a second of work, from when the loop next comes round"
