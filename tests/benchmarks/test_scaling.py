"""The virtual clock of the scaling benchmark, against schedules that can be worked out by hand."""

from __future__ import annotations

import pytest

from benchmarks.scaling import TimedSchedule, film, film_tasks, sleeper_tasks
from benchmarks.virtual import Chances, simulate
from farm.plan import Task
from farm.plan.schedule import Schedule, TaskSucceeded, WorkerJoined

CERTAIN = Chances(step=1.0, dispatch=0.0, noise=0.0, slow_share=0.0, between_losses=1e15, failure_chance=0.0)


def task(name, steps, needs=(), frames=10):
    return Task(id=name, pass_index=1, chunk=0, start=0, stop=frames, needs=needs, steps=steps)


def test_equal_tasks_fill_all_gpus():
    found = simulate([task(str(i), 100) for i in range(12)], 4, CERTAIN)
    assert found.makespan == pytest.approx(300)
    assert found.efficiency == pytest.approx(1)


def test_a_chain_keeps_one_gpu_busy_and_is_named_as_the_bound():
    tasks = [task("0", 50)]
    tasks += [task(str(i), 50, (str(i - 1),)) for i in range(1, 5)]
    found = simulate(tasks, 5, CERTAIN)
    assert found.makespan == found.bound == pytest.approx(250)
    assert found.efficiency == pytest.approx(0.2)
    assert found.lost_shares["waiting"] == pytest.approx(0.8)


def test_slow_gpus_dispatch_and_losses_are_told_apart():
    tasks = [task(str(i), 100) for i in range(8)]
    slow = simulate(tasks, 2, Chances(**{**vars(CERTAIN), "slow_share": 1.0, "slow_factor": 2.0}))
    assert slow.makespan == pytest.approx(800)
    assert slow.lost_shares["slow"] == pytest.approx(0.5)
    busy = simulate(tasks, 2, Chances(**{**vars(CERTAIN), "dispatch": 25.0}))
    assert busy.makespan == pytest.approx(500)
    assert busy.lost_shares["dispatch"] == pytest.approx(0.2)
    mortal = Chances(**{**vars(CERTAIN), "between_losses": 150.0, "rejoin": 10.0})
    lost = simulate(tasks, 2, mortal, seed=3)
    assert lost.losses > 0
    # at the most the frame that was at work, a tenth of a task, is done again
    assert 0 < lost.spent["redone"] <= lost.losses * 10
    assert lost.efficiency < 1
    failing = simulate(tasks, 2, Chances(**{**vars(CERTAIN), "failure_chance": 0.3}), seed=2)
    assert failing.failures > 0
    assert failing.makespan > 400


def test_the_film_is_cut_as_stated_and_the_same_every_time():
    probe, cuts = film(3600, 1)
    assert len(probe.pts) == 3600 * 24
    assert 3 < 3600 / (len(cuts) + 1) < 5  # seconds a shot
    assert film(3600, 1)[1] == cuts
    assert {task.pass_index for task in film_tasks(60, 1)} >= {1, 2, 3}


def test_a_timed_schedule_decides_as_the_farm_does():
    timed, plain = (kind(sleeper_tasks(3, 2)) for kind in (TimedSchedule, Schedule))
    for event in (WorkerJoined("a"), WorkerJoined("b"), TaskSucceeded("b"), TaskSucceeded("a"), TaskSucceeded("b")):
        assert timed.handle(event) == plain.handle(event)
    assert timed.done
    assert 0 < timed.seconds < 1
