"""What must be made again when frames are dropped: a table, and a check against what a renderer really reads."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from farm.dependents import dependents, reads
from farm.frames import FrameRange
from farm.job import Runtime
from farm.plan import plan_render, plan_tasks
from farm.prepare import prepare_job
from farm.render import ChunkRenderer
from farm.spec import build_spec
from tests.test_plan import make_probe


def spec_of(**options):
    values = {"video": "v.mp4", "output": "o.mp4", "styles": ["s.png"], "chunk_frames": 4, "long_term": [2]}
    return build_spec({**values, **options})


def dropped(frames: str, count: int = 12, cuts: tuple[int, ...] = (), **options):
    spec = spec_of(**options)
    plan = plan_render(spec, make_probe(count), cuts)
    found = dependents(plan, spec, FrameRange.parse(frames))
    return {name: sorted(numbers) for name, numbers in found.items()}


def test_in_a_copy_only_the_frames_themselves():
    assert dropped("5-6", method="identity") == {"pass-1/00001": [5, 6]}


def test_in_one_sequence_everything_after():
    assert dropped("2", count=4, passes=1) == {"pass-1/00000": [2, 3]}


def test_a_later_pass_reaches_one_frame_further_each_way():
    assert dropped("9", passes=2) == {"pass-1/00002": [9, 10, 11], "pass-2/00002": [8, 9, 10, 11]}


def test_in_a_relay_everything_after_in_the_shot_and_what_looks_back_to_it():
    assert dropped("8", passes=1, count=16, cuts=(14,)) == {
        "pass-1/00002": [8, 9],
        "pass-1/00003": [10, 11, 12, 13],
    }


def test_nothing_crosses_a_cut():
    found = dropped("0", cuts=(4,), passes=3)
    assert found == {f"pass-{number}/00000": [0, 1, 2, 3] for number in (1, 2, 3)}


class FakeStyler:
    """Paints nothing, in no time."""

    def of_shot(self, _):
        return self

    def first(self, content, steps, regions):
        return SimpleNamespace(image=content, losses={}, steps=0, stop="", restarts=0, notes=())

    def next(self, content, start, steps, ties, regions):
        return self.first(content, steps, regions)


def renderer_without_paint(clip, style, tmp_path, **options):
    spec = spec_of(video=str(clip), styles=[str(style)], output=str(tmp_path / "o.mp4"), size=64, **options)
    prepared = prepare_job(spec, str(tmp_path / "o.farm"))
    prepared.begin(Runtime(device="cpu", precision="fp32", threads=1))
    renderer = ChunkRenderer(prepared.job.url)
    renderer._styler = FakeStyler()
    return renderer


@pytest.mark.parametrize(
    "options",
    [{}, {"chunk_start": "scratch", "overlap": 2}, {"long_term": []}, {"passes": 1}, {"sweep": "alternating"}],
)
def test_a_renderer_reads_exactly_what_it_is_said_to_read(clip, style, tmp_path, monkeypatch, options):
    renderer = renderer_without_paint(clip, style, tmp_path, **options)
    spec, record = renderer.spec, renderer.record
    seen: set[tuple[str, int]] = set()
    read_frame = renderer.job.read_frame

    def noted(name, frame):
        seen.add((name, frame))
        return read_frame(name, frame)

    monkeypatch.setattr(renderer.job, "read_frame", noted)
    for task in plan_tasks(record.plan):
        for report in renderer.render(task):
            assert seen == set(reads(record.plan, spec, task, report.frame)), (task.id, report.frame)
            seen.clear()
