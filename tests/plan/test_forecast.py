"""The forecast plays the real schedule through: exact where each step takes a second."""

import pytest

from farm.errors import StorageError
from farm.job import JobDirectory
from farm.job.forecast import load_forecast, save_forecast
from farm.plan import plan_render, plan_tasks
from farm.plan.estimates import estimate_work
from farm.plan.forecast import (
    Costs,
    Forecast,
    floor_seconds,
    forecast_rows,
    render_seconds,
    storage_bytes,
    task_seconds,
    working_seconds,
)
from farm.plan.tasks import longest_chain
from farm.spec import build_spec
from tests.plan.test_render_plan import make_probe

NOTHING = dict.fromkeys(Costs.model_fields, 0.0)


def planned(frames=120, cuts=(40, 50), **options):
    spec = build_spec({"video": "v.mp4", "styles": ["s.png"], "output": "o.mp4", "chunk_frames": 16, **options})
    return spec, plan_render(spec, make_probe(frames), cuts)


def costs_of(plan, **more):
    """A second for each planned step."""
    steps = plan.steps
    seconds = {"first": steps.first, "sequential": steps.sequential, "refine": steps.refine}
    return Costs(**{**NOTHING, **seconds, **more})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"passes": 1},
        {"chunk_start": "scratch", "overlap": 8},
        {"chunk_frames": 200},
        {"frames": 700, "cuts": (100,), "chunk_frames": 48},
    ],
)
def test_with_a_second_a_step_it_is_the_plans_own_work(options):
    spec, plan = planned(**options)
    work = estimate_work(plan, spec.iterations)
    seconds = task_seconds(plan, spec, costs_of(plan))
    tasks = plan_tasks(plan)
    assert {task.id: task.steps for task in tasks} == pytest.approx(seconds)
    assert working_seconds(tasks, seconds, 1) == pytest.approx(work.steps)
    assert longest_chain(tasks, lambda task: seconds[task.id]) == pytest.approx(work.longest_chain_steps)


def test_more_workers_are_quicker_down_to_the_longest_chain():
    spec, plan = planned(frames=600, cuts=range(60, 600, 60))
    costs = costs_of(plan, start=7.0, load=3.0, stitch=0.5, finish=2.0)
    rows = [render_seconds(plan, spec, costs, workers) for workers in (1, 2, 8, 64, 1000)]
    assert rows == sorted(rows, reverse=True)
    assert rows[0] == pytest.approx(estimate_work(plan, spec.iterations).steps + 7 + 3 + 600 * 0.5 + 2)
    assert rows[1] < 0.55 * rows[0]
    assert rows[-1] == pytest.approx(floor_seconds(plan, spec, costs))


def test_ties_over_longer_distances_cost_extra():
    spec, plan = planned(frames=12, cuts=(), passes=1, long_term="4,8", chunk_frames=48)
    costs = Costs(**{**NOTHING, "sequential": 1.0, "tie": 10.0})
    # frames 4..11 have one of 4 back, 8..11 one of 8 back
    assert sum(task_seconds(plan, spec, costs).values()) == pytest.approx(11 + 10 * (8 + 4))


def test_in_a_long_shot_they_begin_at_its_middle():
    spec, plan = planned(frames=480, cuts=(), passes=2, long_term="4", chunk_frames=48)
    costs = Costs(**{**NOTHING, "first": 100.0, "sequential": 1.0, "tie": 10.0})
    # from frame 240 on: 244..479 have one of 4 back, 0..236 one of 4 ahead
    assert sum(task_seconds(plan, spec, costs).values()) == pytest.approx(100 + 479 + 10 * (236 + 237))


def test_frames_of_a_network_cost_the_same_whatever_the_chunk():
    spec, plan = planned(method="identity")
    costs = Costs(**{**NOTHING, "sequential": 0.25})
    assert render_seconds(plan, spec, costs, 1) == pytest.approx(120 * 0.25)


def test_every_worker_is_paid_for_from_start_to_end():
    spec, plan = planned()
    rows = forecast_rows(plan, spec, costs_of(plan), [8, 1, 8], price_per_hour=2.0)
    assert [row.workers for row in rows] == [1, 8]
    for row in rows:
        assert row.money == pytest.approx(row.workers * row.seconds / 3600 * 2)
    assert forecast_rows(plan, spec, costs_of(plan), [1], None)[0].money is None


def test_storage_counts_frames_of_every_pass_and_flow_between_neighbours():
    _, plan = planned(frames=20, cuts=(10,), passes=2, chunk_frames=48)
    costs = Costs(**{**NOTHING, "frame_bytes": 1000.0, "flow_bytes": 10.0})
    assert storage_bytes(plan, costs) == 2 * 20 * 1000 + 2 * 9 * 10


def test_a_forecast_is_kept_with_the_job(tmp_path):
    spec, plan = planned()
    job = JobDirectory(str(tmp_path))
    assert load_forecast(job) is None
    forecast = Forecast(spec=spec, made=1.5, workers=2, costs=costs_of(plan))
    save_forecast(job, forecast)
    assert load_forecast(JobDirectory(str(tmp_path))) == forecast
    (tmp_path / "forecast.json").write_text("{")
    assert load_forecast(job) is None


def test_storage_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    spec, plan = planned()
    forecast = Forecast(spec=spec, made=0, workers=1, costs=costs_of(plan))
    with pytest.raises(StorageError):
        save_forecast(JobDirectory(str(tmp_path / "file")), forecast)
