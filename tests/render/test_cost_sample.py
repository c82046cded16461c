"""What a frame costs, and stills for previews: rendered by the renderer itself, in jobs of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from farm.job import JobDirectory
from farm.plan import Runtime, plan_tasks
from farm.plan import render_plan as planning
from farm.render.chunk import ChunkRenderer
from farm.render.cost_sample import REFINED, SEQUENTIAL, chunks_to_sample, sample_chunk
from farm.render.prepare import prepare_job
from farm.spec import build_spec

RUNTIME = Runtime(device="cpu", precision="fp32", threads=1)


@pytest.fixture
def renderer(clip: Path, style: Path, tmp_path: Path):
    def make(**options: object) -> ChunkRenderer:
        values = {"iterations": "3,2", "size": 48, "chunk_frames": 6, "passes": 2, "long_term": [2], **options}
        given = {"video": str(clip), "styles": [str(style)], "output": str(tmp_path / "out.mp4"), **values}
        prepared = prepare_job(build_spec(given), str(tmp_path / "scratch.farm"))
        prepared.begin(RUNTIME)
        return ChunkRenderer(prepared.job.url)

    return make


def test_a_sample_has_every_kind_of_frame(renderer):
    sample = sample_chunk(renderer(), 0)
    assert len(sample.first) == 1
    assert len(sample.sequential) == SEQUENTIAL
    assert len(sample.refine) == REFINED
    assert sample.load > 0
    assert sample.tie > 0
    assert sample.frame_bytes > 100
    assert sample.flow_bytes > 100
    assert sample.painted[0].shape == (32, 48, 3)


def test_a_sample_of_a_single_pass(renderer):
    sample = sample_chunk(renderer(chunk_frames=48, passes=1), 0)
    assert (len(sample.first), len(sample.sequential), len(sample.refine)) == (1, SEQUENTIAL, 0)


def test_frames_that_need_no_other_cost_one_thing(renderer):
    sample = sample_chunk(renderer(method="identity"), 0)
    assert len(sample.sequential) == 1
    assert sample.sequential[0] > 0
    assert (sample.first, sample.refine, sample.tie) == ((), (), 0.0)


def test_every_worker_samples_the_beginning_of_a_shot(renderer):
    plan = renderer().plan
    assert chunks_to_sample(plan, 3) == [0, 0, 0]
    assert plan.chunks[0].first_in_shot


def test_of_a_long_shot_the_chunk_that_its_relay_begins_with(renderer, monkeypatch):
    monkeypatch.setattr(planning, "LONG_SHOT", 12)
    one = renderer()
    assert chunks_to_sample(one.plan, 2) == [1, 1]
    sample = sample_chunk(one, 1)
    assert (len(sample.first), len(sample.sequential), len(sample.refine)) == (1, SEQUENTIAL, REFINED)
    assert one.job.ledger("pass-1/00001").keys() == {6, 7, 8, 9}


def test_a_still_is_painted_once_and_bit_for_bit(renderer):
    first = renderer()
    made = first.single_frame(4)
    assert (made.reused, made.record.steps) == (False, 3)
    again = ChunkRenderer(first.job.url).single_frame(4)
    assert again.reused
    assert again.record == made.record
    first.job.drop_frames(made.task, [4])
    anew = ChunkRenderer(first.job.url).single_frame(4)
    assert (anew.reused, anew.record.sha256) == (False, made.record.sha256)


def test_a_still_is_no_frame_of_the_render(renderer):
    one = renderer()
    one.single_frame(4)
    job = JobDirectory(one.job.url)
    assert job.finished_tasks(plan_tasks(one.plan)) == set()
    assert not np.array_equal(job.read_frame("still/000004", 4), one.source(4))
