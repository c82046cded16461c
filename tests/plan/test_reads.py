"""What must be made again when frames are dropped: a table, and a check against what a renderer really reads."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from farm.media.pictures import write_picture
from farm.plan import Runtime, plan_render, plan_tasks
from farm.plan import render_plan as planning
from farm.plan.reads import dependents, reads
from farm.render.chunk import ChunkRenderer
from farm.render.prepare import prepare_job
from farm.spec import FrameRange, build_spec
from tests.plan.test_render_plan import make_probe


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


def test_in_a_long_shot_what_lies_further_from_its_middle_on_the_same_side(monkeypatch):
    monkeypatch.setattr(planning, "LONG_SHOT", 12)
    # chunks 0-2, 3-5, 6-8, 9-11: the relay starts at frame 6
    assert dropped("4", passes=2) == {
        "pass-1/00001": [3, 4],
        "pass-1/00000": [0, 1, 2],
        "pass-2/00000": [0, 1, 2],
        "pass-2/00001": [3, 4, 5],
    }
    assert dropped("8", passes=2) == {
        "pass-1/00002": [8],
        "pass-1/00003": [9, 10, 11],
        "pass-2/00002": [7, 8],
        "pass-2/00003": [9, 10, 11],
    }
    everything = dropped("6", passes=2)
    assert sum(len(frames) for frames in everything.values()) == 2 * 12


class FakeStyler:
    """Paints nothing, in no time."""

    def of_shot(self, _):
        return self

    def first(self, content, steps, regions):
        return SimpleNamespace(image=content, losses={}, steps=0, work=0.0, stop="", restarts=0, notes=())

    def next(self, content, start, steps, ties, regions, average_last=1, warm=False):
        return self.first(content, steps, regions)


def key_pictures(tmp_path, frames):
    """Pictures of some frames, of any size."""
    for frame in frames:
        write_picture(tmp_path / f"{frame}.png", np.full((9, 16, 3), 20 * frame, np.uint8))
    return [f"{frame}={tmp_path / f'{frame}.png'}" for frame in frames]


def renderer_without_paint(clip, style, tmp_path, **options):
    files = {"video": str(clip), "styles": [str(style)], "output": str(tmp_path / "o.mp4")}
    spec = spec_of(**{**files, "size": 64, "resize_keys": True, **options})
    prepared = prepare_job(spec, str(tmp_path / "o.farm"))
    prepared.begin(Runtime(device="cpu", precision="fp32", threads=1))
    renderer = ChunkRenderer(prepared.job.url)
    renderer._styler = FakeStyler()
    return renderer


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunk_start": "scratch", "overlap": 2},
        {"long_term": []},
        {"passes": 1},
        {"sweep": "alternating"},
        {"long_shot": 12},
        {"long_shot": 12, "long_term": [2, 5], "passes": 2},
        {"keys": [3, 9], "long_term": [2, 5]},
        {"keys": [5], "passes": 1},
        {"keys": [2, 7], "styles": []},
    ],
)
def test_a_renderer_reads_exactly_what_it_is_said_to_read(clip, style, tmp_path, monkeypatch, options):
    monkeypatch.setattr(planning, "LONG_SHOT", options.get("long_shot", planning.LONG_SHOT))
    options = {name: value for name, value in options.items() if name != "long_shot"}
    pictures = key_pictures(tmp_path, options.pop("keys", []))
    options["keys"] = pictures
    renderer = renderer_without_paint(clip, style, tmp_path, **options)
    spec, record = renderer.spec, renderer.record
    seen: set[tuple[str, int]] = set()
    read_frame = renderer.job.read_frame

    def noted(name, frame):
        seen.add((name, frame))
        return read_frame(name, frame)

    monkeypatch.setattr(renderer.job, "read_frame", noted)
    for task in plan_tasks(record.plan):
        for report in renderer.render(task, wait=True):
            assert seen == set(reads(record.plan, spec, task, report.frame)), (task.id, report.frame)
            seen.clear()


class Tracing(FakeStyler):
    """Paints what a frame is started from."""

    def next(self, content, start, steps, ties, regions, average_last=1, warm=False):
        return self.first(np.rint(start).clip(0, 255).astype(np.uint8), steps, regions)


@pytest.mark.parametrize("frames", ["4", "8", "6"])
def test_what_another_paint_of_some_frames_changes_is_what_is_made_again(clip, style, tmp_path, monkeypatch, frames):
    """In a long shot, whose relay goes from frame 6 both ways, rendered twice."""
    monkeypatch.setattr(planning, "LONG_SHOT", 12)
    films = []
    for odd in ((), FrameRange.parse(frames)):
        renderer = renderer_without_paint(clip, style, tmp_path / str(len(odd)), passes=2)
        renderer._styler = Tracing()
        make = renderer._make

        def painted(task, chunk, frame, make=make, odd=odd):
            image, record = make(task, chunk, frame)
            return image // 2 if frame in odd else image, record

        monkeypatch.setattr(renderer, "_make", painted)
        tasks = plan_tasks(renderer.plan)
        for task in tasks:
            assert len(list(renderer.render(task))) == len(task.frames)
        films.append(
            {(task.id, frame): renderer.job.read_frame(task.id, frame) for task in tasks for frame in task.frames}
        )
    changed = {name for name, image in films[0].items() if not np.array_equal(image, films[1][name])}
    expected = dependents(renderer.plan, renderer.spec, FrameRange.parse(frames))
    assert changed == {(task, frame) for task, numbers in expected.items() for frame in numbers}


def test_what_follows_a_key_does_not_depend_on_what_came_before_it():
    keys = ["2=a.png", "9=b.png"]
    # relays: 2 down to 0, 2 to 5, 9 down to 6, 9 to 11
    assert dropped("3", passes=1, keys=keys) == {"pass-1/00001": [3, 4, 5]}
    assert dropped("7", passes=1, keys=keys) == {"pass-1/00002": [6, 7]}
    assert dropped("4", passes=2, keys=keys)["pass-2/00002"] == [6]
    assert dropped("9", passes=1, keys=keys) == {
        "pass-1/00002": [6, 7, 8],
        "pass-1/00003": [9, 10, 11],
    }


def test_a_key_is_held_in_every_pass(clip, style, tmp_path):
    renderer = renderer_without_paint(clip, style, tmp_path, keys=key_pictures(tmp_path, [3]), passes=3)
    for task in plan_tasks(renderer.plan):
        list(renderer.render(task))
    for pass_index in (1, 2, 3):
        held = renderer._committed(pass_index, 3)
        assert (held == 60).all()
        assert not (renderer._committed(pass_index, 4) == 60).all()
