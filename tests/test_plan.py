"""Shots, chunks and tasks: exact tables."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.errors import UsageError
from farm.plan import estimate_work, output_size, pass_steps, plan_render, plan_tasks, split_evenly, task_id
from farm.spec import Iterations, build_spec
from farm.video import ColorTags, VideoProbe


def make_probe(frames: int, width: int = 640, height: int = 360) -> VideoProbe:
    return VideoProbe.model_validate(
        {
            "path": "clip.mp4",
            "container": "mov",
            "codec": "h264",
            "pixel_format": "yuv420p",
            "bit_depth": 8,
            "width": width,
            "height": height,
            "rotation": 0,
            "pixel_aspect": Fraction(1),
            "frame_rate": Fraction(25),
            "time_base": Fraction(1, 25),
            "pts": tuple(range(frames)),
            "last_duration": 1,
            "interlaced": False,
            "has_alpha": False,
            "color": ColorTags(),
            "audio": (),
            "subtitles": (),
            "missing_frames": 0,
            "content_hash": "0" * 64,
        }
    )


def make_spec(**options):
    return build_spec({"video": "clip.mp4", "styles": ["a.png"], "output": "out.mp4", **options})


@pytest.mark.parametrize(
    ("start", "stop", "longest", "starts"),
    [(0, 48, 24, [0, 24]), (0, 49, 24, [0, 16, 32]), (5, 6, 24, [5]), (10, 35, 24, [10, 22]), (0, 24, 24, [0])],
)
def test_split_evenly(start, stop, longest, starts):
    assert split_evenly(start, stop, longest) == starts


@given(st.integers(0, 1000), st.integers(1, 2000), st.integers(1, 60))
@settings(max_examples=200, deadline=None)
def test_split_covers_and_balances(start, count, longest):
    starts = split_evenly(start, start + count, longest)
    lengths = [b - a for a, b in zip(starts, [*starts[1:], start + count], strict=True)]
    assert starts[0] == start
    assert sum(lengths) == count
    assert max(lengths) <= longest
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(
    ("width", "height", "longest", "size"),
    [
        (1280, 720, 256, (256, 144)),
        (720, 1280, 256, (144, 256)),
        (294, 240, 128, (128, 104)),
        (640, 360, None, (640, 360)),
        (640, 360, 4096, (640, 360)),
        (321, 181, 320, (320, 180)),
    ],
)
def test_output_size(width, height, longest, size):
    assert output_size(width, height, longest) == size


def test_upscaling_only_when_asked():
    assert output_size(64, 32, 128, upscale=True) == (128, 64)


def test_too_small_a_picture_is_refused():
    with pytest.raises(UsageError, match="frames of 64x9 are too small"):
        output_size(640, 90, 64)


def test_nothing_crosses_a_cut():
    plan = plan_render(make_spec(chunk_frames=10, overlap=4), make_probe(51), cuts=(20, 23, 50))
    assert [(shot.start, shot.stop) for shot in plan.shots] == [(0, 20), (20, 23), (23, 50), (50, 51)]
    assert [(chunk.shot, chunk.start, chunk.stop) for chunk in plan.chunks] == [
        (0, 0, 10),
        (0, 10, 20),
        (1, 20, 23),
        (2, 23, 32),
        (2, 32, 41),
        (2, 41, 50),
        (3, 50, 51),
    ]
    assert all(chunk.reach == chunk.stop for chunk in plan.chunks)
    assert [task.id for task in plan_tasks(plan) if not task.needs] == [f"pass-1/{at:05d}" for at in (0, 2, 3, 6)]


def test_without_relay_chunks_overlap_within_their_shot():
    spec = make_spec(chunk_frames=10, overlap=4, passes=1, chunk_start="scratch")
    plan = plan_render(spec, make_probe(30), cuts=(20,))
    assert [(chunk.start, chunk.stop, chunk.reach) for chunk in plan.chunks] == [
        (0, 10, 14),
        (10, 20, 20),
        (20, 30, 30),
    ]
    assert all(task.number == 1 for task in plan_tasks(plan))


def test_a_range_of_frames_trims_the_shots():
    plan = plan_render(make_spec(frames="15-29", chunk_frames=48), make_probe(50), cuts=(10, 20, 40))
    assert [(shot.start, shot.stop) for shot in plan.shots] == [(15, 20), (20, 30)]


def test_frames_beyond_the_end_are_refused():
    with pytest.raises(UsageError, match=r"frames 40-50 are not all there: clip.mp4 has 50 \(0-49\)"):
        plan_render(make_spec(frames="40-50"), make_probe(50), ())


def test_tasks_of_a_shot_of_two_chunks():
    spec = make_spec(chunk_frames=12, overlap=2, passes=2, iterations="100,40")
    plan = plan_render(spec, make_probe(24), ())
    steps = pass_steps(Iterations(first=100, next=40), 2)
    tasks = {task.id: task for task in plan_tasks(plan)}
    assert {name: task.needs for name, task in tasks.items()} == {
        "pass-1/00000": (),
        "pass-1/00001": ("pass-1/00000",),
        "pass-2/00000": ("pass-1/00000", "pass-1/00001"),
        "pass-2/00001": ("pass-1/00000", "pass-1/00001"),
    }
    assert (tasks["pass-1/00000"].start, tasks["pass-1/00000"].stop) == (0, 12)
    assert tasks["pass-1/00000"].steps == 100 + 11 * steps.sequential
    assert tasks["pass-1/00001"].steps == 12 * steps.sequential
    assert tasks["pass-2/00001"].steps == 12 * steps.refine
    assert {task.stage for task in tasks.values()} == {"pass 1", "pass 2"}


def test_a_chunk_needs_all_chunks_that_it_looks_back_to():
    plan = plan_render(make_spec(chunk_frames=10, long_term="10,25"), make_probe(70), (20,))
    needs = {task.start: [int(need[-5:]) for need in task.needs] for task in plan_tasks(plan) if task.number == 1}
    assert needs == {0: [], 10: [0], 20: [], 30: [2], 40: [2, 3], 50: [2, 3, 4], 60: [3, 4, 5]}
    alone = plan_render(make_spec(chunk_frames=10, long_term=()), make_probe(30), ())
    assert [task.needs for task in plan_tasks(alone) if task.number == 1] == [(), (task_id(1, 0),), (task_id(1, 1),)]


@pytest.mark.parametrize(
    ("following", "passes", "sequential", "refine"),
    [(50, 1, 50, 0), (50, 3, 6, 22), (50, 2, 6, 44), (24, 3, 3, 11), (8, 3, 3, 3), (2, 3, 2, 1), (80, 4, 10, 24)],
)
def test_a_frames_steps_are_shared_out_over_the_passes(following, passes, sequential, refine):
    steps = pass_steps(Iterations(first=200, next=following), passes)
    assert (steps.first, steps.sequential, steps.refine) == (200, sequential, refine)


def test_one_pass_has_all_steps():
    tasks = plan_tasks(plan_render(make_spec(passes=1), make_probe(10), ()))
    assert [(task.id, task.needs) for task in tasks] == [("pass-1/00000", ())]
    assert tasks[0].steps == 200 + 9 * 50


def test_identity_is_one_pass_without_steps():
    plan = plan_render(make_spec(method="identity", styles=[], chunk_frames=4, overlap=0), make_probe(10), ())
    assert [task.id for task in plan_tasks(plan)] == ["pass-1/00000", "pass-1/00001", "pass-1/00002"]
    assert sum(task.steps for task in plan_tasks(plan)) == 0


def test_every_task_comes_after_what_it_needs():
    plan = plan_render(make_spec(chunk_frames=5, overlap=1), make_probe(100), cuts=(17, 60))
    seen = set()
    for task in plan_tasks(plan):
        assert set(task.needs) <= seen
        seen.add(task.id)


def test_chunk_of_finds_each_frame_among_its_own():
    plan = plan_render(make_spec(frames="10-99", chunk_frames=7, overlap=1), make_probe(100), cuts=(17, 60))
    for frame in plan.frames:
        chunk = plan.chunk_of(frame)
        assert chunk.start <= frame < chunk.stop


@pytest.mark.parametrize("chunk_frames", [7, 48, 1000])
def test_chunks_cost_nothing_and_default_passes_hardly_more_than_a_sequential_render(chunk_frames):
    spec = make_spec(chunk_frames=chunk_frames)
    plan = plan_render(spec, make_probe(480), ())
    work = estimate_work(plan, spec.iterations)
    assert work.sequential_steps == 200 + 479 * 50
    assert work.steps == sum(task.steps for task in plan_tasks(plan)) == 200 + 479 * 6 + 480 * 44
    assert work.chunking_overhead == 0


def test_starts_from_scratch_cost_what_they_take():
    spec = make_spec(chunk_frames=10, overlap=4, passes=1, chunk_start="scratch")
    plan = plan_render(spec, make_probe(30), ())
    work = estimate_work(plan, spec.iterations)
    assert work.steps == work.sequential_steps + work.start_steps + work.overlap_steps
    assert (work.start_steps, work.overlap_steps) == (2 * 150, 8 * 50)


def test_planning_a_long_film_is_quick_and_lazy_of_frames():
    plan = plan_render(make_spec(), make_probe(20_000), cuts=tuple(range(100, 20_000, 100)))
    assert len(plan.shots) == 200
    assert sum(len(chunk.frames) for chunk in plan.chunks) == 20_000
