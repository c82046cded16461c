"""Events in, instructions out: no cluster, no clock."""

import pytest

from farm.plan import Task
from farm.plan.schedule import (
    Assign,
    Avoid,
    FilmedUpTo,
    GiveUp,
    Release,
    Retry,
    Schedule,
    TaskFailed,
    TaskState,
    TaskSucceeded,
    Window,
    WorkerJoined,
    WorkerLost,
    WorkersAllowed,
)


def task(name: str, *needs: str, steps: int = 1) -> Task:
    return Task(id=name, pass_index=1, chunk=0, start=0, stop=1, needs=needs, steps=steps)


def assigned(instructions):
    return [(one.worker, one.task.id) for one in instructions if isinstance(one, Assign)]


def test_longest_first():
    schedule = Schedule([task("short", steps=1), task("long", steps=9), task("middle", steps=5)])
    assert assigned(schedule.handle(WorkerJoined("w1"))) == [("w1", "long")]
    assert assigned(schedule.handle(WorkerJoined("w2"))) == [("w2", "middle")]
    assert assigned(schedule.handle(TaskSucceeded("w1"))) == [("w1", "short")]


def test_the_critical_path_goes_before_a_longer_single_task():
    chain = [task("a", steps=3), task("b", "a", steps=3), task("c", "b", steps=3)]
    schedule = Schedule([task("alone", steps=8), *chain])
    assert assigned(schedule.handle(WorkerJoined("w1"))) == [("w1", "a")]


def test_a_task_waits_for_all_it_needs():
    schedule = Schedule([task("a"), task("b"), task("c", "a", "b")])
    schedule.handle(WorkerJoined("w1"))
    schedule.handle(WorkerJoined("w2"))
    assert schedule.handle(TaskSucceeded("w1")) == []
    assert schedule.state["c"] is TaskState.PENDING
    assert assigned(schedule.handle(TaskSucceeded("w2"))) == [("w1", "c")]


def alone(instructions):
    return [one.task.id for one in instructions if isinstance(one, Assign) and one.alone]


def test_a_task_is_alone_where_nothing_else_can_run_before_it_ends():
    """`first` opens the way for `left` and `right`, of which one ends before the other."""
    tasks = [task("first"), task("left", "first"), task("right", "first", steps=2), task("last", "left", "right")]
    schedule = Schedule(tasks)
    assert alone(schedule.handle(WorkerJoined("w1"))) == ["first"]
    assert schedule.handle(WorkerJoined("w2")) == []
    assert alone(schedule.handle(TaskSucceeded("w1"))) == []
    assert alone(schedule.handle(TaskSucceeded("w1"))) == []
    assert alone(schedule.handle(TaskSucceeded("w2"))) == ["last"]


def test_a_task_is_not_alone_where_another_waits_for_a_worker():
    schedule = Schedule([task("a"), task("b")])
    assert alone(schedule.handle(WorkerJoined("w1"))) == []


def test_a_task_is_not_alone_where_another_is_held_back_until_more_of_the_film_is_there():
    schedule = Schedule([task("a"), task("b")], window=Window({"a": 0, "b": 1}, ahead=1))
    assert alone(schedule.handle(WorkerJoined("w1"))) == []
    assert assigned(schedule.handle(WorkerJoined("w2"))) == []


def test_finished_tasks_are_not_run_again():
    schedule = Schedule([task("a"), task("b", "a")], finished={"a"})
    assert assigned(schedule.handle(WorkerJoined("w1"))) == [("w1", "b")]
    schedule.handle(TaskSucceeded("w1"))
    assert schedule.done


def test_a_lost_workers_task_goes_to_another():
    schedule = Schedule([task("a")])
    schedule.handle(WorkerJoined("w1"))
    (retry,) = schedule.handle(WorkerLost("w1", "killed"))
    assert retry == Retry(task("a"), "killed", 1, 3)
    assert schedule.state["a"] is TaskState.INTERRUPTED
    assert not schedule.done
    assert assigned(schedule.handle(WorkerJoined("w2"))) == [("w2", "a")]


def test_preemption_uses_up_no_attempt():
    schedule = Schedule([task("a")], attempts=1)
    for number in range(5):
        assert assigned(schedule.handle(WorkerJoined(f"w{number}"))) == [(f"w{number}", "a")]
        (retry,) = schedule.handle(WorkerLost(f"w{number}", "preempted", preempted=True))
        assert retry.attempt == 0


def test_an_idle_worker_may_be_lost_without_harm():
    schedule = Schedule([task("a")], finished={"a"})
    schedule.handle(WorkerJoined("w1"))
    assert schedule.handle(WorkerLost("w1", "gone")) == []
    assert schedule.done


def test_after_the_last_attempt_followers_are_skipped_and_the_rest_goes_on():
    schedule = Schedule([task("a", steps=5), task("b", "a"), task("c", "b"), task("other")], attempts=2)
    schedule.handle(WorkerJoined("w1"))
    instructions = schedule.handle(TaskFailed("w1", "broken"))
    assert isinstance(instructions[0], Retry)
    instructions = schedule.handle(TaskFailed("w1", "broken"))
    assert instructions[0] == GiveUp(task("a", steps=5), "broken", skipped=2)
    assert assigned(instructions) == [("w1", "other")]
    schedule.handle(TaskSucceeded("w1"))
    assert schedule.done
    assert schedule.failed == ["a"]
    assert schedule.state["c"] is TaskState.SKIPPED


def test_what_cannot_succeed_is_not_tried_again():
    schedule = Schedule([task("a")])
    schedule.handle(WorkerJoined("w1"))
    (instructions,) = schedule.handle(TaskFailed("w1", "no such file", retryable=False))
    assert isinstance(instructions, GiveUp)
    assert schedule.done


@pytest.mark.parametrize("workers", [1, 3, 7])
def test_whatever_the_number_of_workers_each_task_runs_once_and_in_order(workers):
    tasks = [task(f"k{i}", *([f"k{i - 1}"] if i else []), steps=2) for i in range(10)]
    tasks += [task(f"p{i}", f"k{i}", steps=20) for i in range(10)]
    schedule = Schedule(tasks)
    running, ran = {}, []
    for number in range(workers):
        running |= dict(assigned(schedule.handle(WorkerJoined(f"w{number}"))))
    while running:
        worker = min(running)
        ran.append(running.pop(worker))
        running |= dict(assigned(schedule.handle(TaskSucceeded(worker))))
    assert sorted(ran) == sorted(one.id for one in tasks)
    assert all(ran.index(f"k{i}") < ran.index(f"p{i}") for i in range(10))
    assert schedule.done


def test_a_task_that_failed_on_a_node_goes_to_another_one():
    schedule = Schedule([task("bad", steps=9), task("b"), task("c")])
    assert assigned(schedule.handle(WorkerJoined("w1", "n1"))) == [("w1", "bad")]
    assert assigned(schedule.handle(TaskFailed("w1", "broken"))) == [("w1", "bad")], "there is no other node"
    assert assigned(schedule.handle(WorkerJoined("w2", "n2"))) == [("w2", "b")]
    assert assigned(schedule.handle(TaskFailed("w1", "broken"))) == [("w1", "c")]
    assert assigned(schedule.handle(TaskSucceeded("w1"))) == []
    assert assigned(schedule.handle(TaskSucceeded("w2"))) == [("w2", "bad")]
    assert assigned(schedule.handle(WorkerLost("w2", "node died", preempted=True))) == [("w1", "bad")]


def test_a_node_where_everything_fails_is_avoided():
    schedule = Schedule([task(f"t{i}") for i in range(6)])
    schedule.handle(WorkerJoined("good", "n1"))
    schedule.handle(WorkerJoined("bad", "n2"))
    for _ in range(2):
        instructions = schedule.handle(TaskFailed("bad", "no memory"))
        assert [type(one) for one in instructions] == [Retry, Assign]
    instructions = schedule.handle(TaskFailed("bad", "no memory"))
    assert instructions[0] == Avoid("n2", 3)
    assert instructions[2:] == [Release("bad")]
    ran = ["t0"]
    while not schedule.done:
        ran += [name for _, name in assigned(schedule.handle(TaskSucceeded("good")))]
    assert sorted(ran) == [f"t{i}" for i in range(6)]
    assert schedule.failed == []


def test_one_bad_chunk_does_not_condemn_the_only_node():
    schedule = Schedule([task("a", steps=3), task("b")], attempts=3)
    schedule.handle(WorkerJoined("w1", "n1"))
    instructions = [one for _ in range(3) for one in schedule.handle(TaskFailed("w1", "broken"))]
    assert not any(isinstance(one, Avoid) for one in instructions)
    assert instructions[-1] == Assign("w1", task("b"), alone=True)


def test_workers_above_the_allowance_are_given_back_when_their_task_is_done():
    schedule = Schedule([task(f"t{i}") for i in range(4)])
    for number in range(3):
        schedule.handle(WorkerJoined(f"w{number}", "n"))
    assert schedule.handle(WorkersAllowed(1)) == []
    assert schedule.handle(TaskSucceeded("w0")) == [Release("w0")]
    assert schedule.handle(TaskSucceeded("w2")) == [Release("w2")]
    assert assigned(schedule.handle(TaskSucceeded("w1"))) == [("w1", "t3")]
    assert schedule.worker_names == {"w1"}


def test_idle_workers_are_given_back_at_once_and_the_last_ones_first():
    schedule = Schedule([task("a"), task("b", "a")])
    for number in range(3):
        schedule.handle(WorkerJoined(f"w{number}", "n"))
    assert schedule.handle(WorkersAllowed(2)) == [Release("w2")]
    assert schedule.handle(WorkersAllowed(0)) == [Release("w1")]
    assert schedule.handle(TaskSucceeded("w0")) == [Release("w0")]
    assert not schedule.done
    schedule.handle(WorkersAllowed(1))
    assert assigned(schedule.handle(WorkerJoined("w3", "n"))) == [("w3", "b")]


def test_in_a_window_tasks_go_out_by_segment_and_none_too_far_ahead():
    tasks = [task("late", steps=9), task("first", steps=1), task("second", steps=5)]
    window = Window({"first": 0, "second": 1, "late": 2}, ahead=2)
    schedule = Schedule(tasks, window=window)
    assert assigned(schedule.handle(WorkerJoined("w1"))) == [("w1", "first")]
    assert assigned(schedule.handle(WorkerJoined("w2"))) == [("w2", "second")]
    assert schedule.handle(WorkerJoined("w3")) == []
    assert (schedule.width, schedule.queued, schedule.done) == (2, 1, False)
    assert schedule.handle(TaskSucceeded("w1")) == []
    assert assigned(schedule.handle(FilmedUpTo(1))) == [("w3", "late")]
    assert schedule.width == 2
