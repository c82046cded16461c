"""What a job's directory tells, and what of it deserves a look."""

import pytest

from farm.errors import UsageError
from farm.job import FrameRecord
from farm.job.state import JobState
from farm.pages.facts import JobFacts, JobReader
from farm.pages.findings import find_outliers, time_by_worker
from farm.pages.measuring import measured
from farm.plan import plan_tasks
from tests.pages.conftest import BEGAN, FRAMES, ODD, paint


def test_every_frame_is_shown_as_the_latest_pass_left_it(painted_job):
    facts = JobReader(painted_job(upto=1).url).read()
    assert list(facts.shown) == list(range(FRAMES))
    assert {shown.task.pass_name for shown in facts.shown.values()} == {"pass 1"}
    assert facts.passes["pass 1"] == (FRAMES, FRAMES)
    assert facts.passes["pass 2"] == (0, FRAMES)


def test_a_frame_committed_later_is_seen_by_the_next_look(painted_job):
    job = painted_job(upto=1, state=JobState(state="RUNNING"))
    reader = JobReader(job.url)
    reader.read()
    task = next(task for task in plan_tasks(job.load_record().plan) if task.pass_index == 2)
    job.commit_frame(task.id, paint(task.start), FrameRecord(frame=task.start, sha256="", worker="worker-1"))
    facts = reader.read()
    assert facts.shown[task.start].task.id == task.id
    assert facts.latest(1)[0].frame == task.start


def test_the_frame_that_jumps_is_the_outlier(painted_job):
    reader = JobReader(painted_job().url)
    facts = reader.read()
    facts.errors = measured(reader, facts, {})
    outliers = find_outliers(facts)
    assert ODD in [outlier.frame for outlier in outliers]
    assert "warp error" in next(outlier for outlier in outliers if outlier.frame == ODD).reasons[0]
    assert not set(facts.errors) & {0, 12, 20}, "nothing is compared across a cut"


def test_time_by_worker_adds_up(painted_job):
    facts = JobReader(painted_job().url).read()
    workers = {one.worker: one for one in time_by_worker(facts)}
    assert set(workers) == {"worker-1", "worker-2"}
    assert workers["worker-2"].lost
    assert not workers["worker-1"].lost
    assert sum(one.frames for one in workers.values()) == sum(len(task.frames) for task in facts.tasks)
    assert sum(one.busy for one in workers.values()) == pytest.approx(
        0.5 * sum(len(task.frames) for task in facts.tasks)
    )
    assert workers["worker-1"].begin == BEGAN + 4
    ended = max(span.end for span in facts.spans)
    assert workers["worker-1"].waiting == pytest.approx(ended - BEGAN - 4 - workers["worker-1"].busy)


def test_the_time_left_goes_by_steps(painted_job):
    facts = JobReader(painted_job(upto=1, state=JobState(state="RUNNING")).url).read()
    recent = sorted(row.committed for rows in facts.ledgers.values() for row in rows.values())
    later = JobFacts(**{**vars(facts), "now": recent[-1]})
    steps = {task.id: task.steps / len(task.frames) for task in facts.tasks}
    left = sum(task.steps for task in facts.tasks if task.pass_index == 2)
    done = sorted((row.committed, steps[name]) for name, rows in facts.ledgers.items() for row in rows.values())
    rate = sum(weight for _, weight in done[1:]) / (done[-1][0] - done[0][0])
    assert later.seconds_left() == pytest.approx(left / rate)


def test_where_there_is_no_job_one_line_says_so(tmp_path):
    with pytest.raises(UsageError, match="holds no job"):
        JobReader(str(tmp_path)).read()
