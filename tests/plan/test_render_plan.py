"""Shots, chunks and tasks: exact tables."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.errors import UsageError
from farm.plan import VideoProbe, plan_render, plan_tasks, task_id
from farm.plan import render_plan as planning
from farm.plan.estimates import estimate_work
from farm.plan.reads import frames_in_order, relay_reads
from farm.plan.render_plan import LONG_SHOT, output_size, pass_steps, split_evenly
from farm.plan.video import ColorTags
from farm.spec import build_spec
from farm.spec.render import Iterations


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
    assert all(task.pass_index == 1 for task in plan_tasks(plan))


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
    assert {task.pass_name for task in tasks.values()} == {"pass 1", "pass 2"}


def test_a_chunk_needs_all_chunks_that_it_looks_back_to():
    plan = plan_render(make_spec(chunk_frames=10, long_term="10,25"), make_probe(70), (20,))
    needs = {task.start: [int(need[-5:]) for need in task.needs] for task in plan_tasks(plan) if task.pass_index == 1}
    assert needs == {0: [], 10: [0], 20: [], 30: [2], 40: [2, 3], 50: [2, 3, 4], 60: [3, 4, 5]}
    alone = plan_render(make_spec(chunk_frames=10, long_term=()), make_probe(30), ())
    assert [task.needs for task in plan_tasks(alone) if task.pass_index == 1] == [
        (),
        (task_id(1, 0),),
        (task_id(1, 1),),
    ]


def first_pass(plan):
    return [task for task in plan_tasks(plan) if task.pass_index == 1]


def test_a_long_shots_relay_goes_from_its_middle_both_ways():
    plan = plan_render(make_spec(chunk_frames=100, long_term="10,120"), make_probe(520), cuts=(20,))
    assert [(shot.start, shot.begins, shot.stop) for shot in plan.shots] == [(0, (), 20), (20, (270,), 520)]
    following = plan.steps.sequential
    assert [
        (f"{task.start}-{task.stop}", [int(need[-5:]) for need in task.needs], task.steps, task.backwards)
        for task in first_pass(plan)
    ] == [
        ("0-20", [], 200 + 19 * following, False),
        ("270-353", [], 200 + 82 * following, False),
        ("353-436", [4], 83 * following, False),
        ("436-520", [4, 5], 84 * following, False),
        ("186-270", [4], 84 * following, True),
        ("103-186", [3, 4], 83 * following, True),
        ("20-103", [2, 3], 83 * following, True),
    ]
    assert [task.id for task in first_pass(plan)] == [f"pass-1/{at:05d}" for at in (0, 4, 5, 6, 3, 2, 1)]
    second = {task.chunk: task for task in plan_tasks(plan) if task.pass_index == 2}
    assert second[3].needs == tuple(task_id(1, chunk) for chunk in (2, 3, 4))
    assert not second[3].backwards
    (back,) = (task for task in first_pass(plan) if task.chunk == 3)
    assert frames_in_order(make_spec(), back) == list(range(269, 185, -1))
    assert frames_in_order(make_spec(), second[3]) == list(range(186, 270))


@pytest.mark.parametrize(
    ("frames", "sequential_frames"), [(LONG_SHOT - 1, LONG_SHOT - 2), (LONG_SHOT, LONG_SHOT // 2 + 47)]
)
def test_from_the_middle_the_longest_chain_is_half_as_long(frames, sequential_frames):
    """The chunk that a long shot's relay begins with, of 48 frames, is in the chain of both its halves."""
    plan = plan_render(make_spec(passes=2), make_probe(frames), ())
    end: dict[str, int] = {}
    for task in first_pass(plan):
        end[task.id] = task.steps + max((end[need] for need in task.needs), default=0)
    assert max(end.values()) == 200 + sequential_frames * plan.steps.sequential
    work = estimate_work(plan, make_spec().iterations)
    longest = max(len(chunk.frames) for chunk in plan.chunks)
    assert work.longest_chain_steps == max(end.values()) + longest * plan.steps.refine
    assert work.steps == 200 + (frames - 1) * plan.steps.sequential + frames * plan.steps.refine
    assert work.chunking_overhead == 0


@pytest.mark.parametrize(
    "options",
    [{"passes": 1}, {"sweep": "alternating"}, {"chunk_start": "scratch"}, {"method": "identity", "styles": []}],
    ids=str,
)
def test_what_is_sequential_by_intention_goes_forwards_however_long_the_shot(options):
    plan = plan_render(make_spec(**options), make_probe(1000), ())
    assert plan.shots[0].begins == ()
    assert [chunk.start for chunk in plan.chunks] == split_evenly(0, 1000, 48)
    assert not any(task.backwards for task in plan_tasks(plan))


def test_a_shot_that_is_not_long_is_cut_as_before():
    plan = plan_render(make_spec(), make_probe(2 * LONG_SHOT - 2), (LONG_SHOT - 1,))
    starts = split_evenly(0, LONG_SHOT - 1, 48) + split_evenly(LONG_SHOT - 1, 2 * LONG_SHOT - 2, 48)
    assert [chunk.start for chunk in plan.chunks] == starts
    assert [task.chunk for task in first_pass(plan)] == list(range(len(starts)))
    assert not any(task.backwards for task in plan_tasks(plan))


def test_a_plan_that_was_kept_before_long_shots_had_a_middle_goes_forwards():
    kept = plan_render(make_spec(passes=1), make_probe(600), ()).model_dump(mode="json")
    for shot in kept["shots"]:
        del shot["begins"]
    plan = planning.RenderPlan.model_validate(kept)
    assert plan.shots[0].begin == 0
    assert not any(task.backwards for task in plan_tasks(plan))


@given(
    st.integers(1, 90),
    st.sets(st.integers(1, 89), max_size=4),
    st.integers(2, 30),
    st.sets(st.integers(2, 40), max_size=3),
    st.integers(2, 60),
)
@settings(max_examples=150, deadline=None)
def test_a_task_needs_the_chunks_that_its_frames_read(frames, cuts, chunk_frames, long_term, long_shot):
    spec = make_spec(chunk_frames=chunk_frames, long_term=sorted(long_term))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "LONG_SHOT", long_shot)
        plan = plan_render(spec, make_probe(frames), sorted(cut for cut in cuts if cut < frames))
    passed: set[int] = set()
    finished: set[str] = set()
    from_nothing = []
    for task in first_pass(plan):
        assert set(task.needs) <= finished
        read: set[str] = set()
        for frame in frames_in_order(spec, task):
            numbers = relay_reads(plan, spec.long_term, plan.chunks[task.chunk], frame)
            assert set(numbers) <= passed
            assert plan.look_back >= max((abs(frame - number) for number in numbers), default=0)
            read |= {task_id(1, plan.chunk_of(number).index) for number in numbers}
            passed.add(frame)
            from_nothing += [] if numbers else [frame]
        assert read - {task.id} <= set(task.needs)
        for need in task.needs:  # the distances may leave one out that lies between
            other = plan.chunks[int(need[-5:])]
            assert other.shot == plan.chunks[task.chunk].shot
            assert max(task.start - other.stop, other.start - task.stop) < plan.look_back
        finished.add(task.id)
    assert passed == set(range(frames))
    assert sorted(from_nothing) == [shot.begin for shot in plan.shots]


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


def relays(plan):
    return [
        (f"{task.start}-{task.stop}", [int(need[-5:]) for need in task.needs], task.steps, task.backwards)
        for task in first_pass(plan)
    ]


def test_relays_go_from_each_key_both_ways_and_meet_half_way():
    spec = make_spec(chunk_frames=10, long_term=(), keys=["4=a.png", "16=b.png"])
    plan = plan_render(spec, make_probe(30), ())
    step = plan.steps.sequential
    assert plan.keys == (4, 16)
    assert relays(plan) == [
        ("4-11", [], 6 * step, False),
        ("16-23", [], 6 * step, False),
        ("23-30", [3], 7 * step, False),
        ("11-16", [3], 5 * step, True),
        ("0-4", [1], 4 * step, True),
    ]
    later = [task.steps for task in plan_tasks(plan) if task.pass_index == 2]
    assert later == [frames * plan.steps.refine for frames in (4, 6, 5, 6, 7)]


def test_with_keys_alone_each_relay_goes_on_to_the_next_key():
    plan = plan_render(make_spec(styles=[], chunk_frames=10, keys=["4=a.png", "16=b.png"]), make_probe(24), ())
    assert relays(plan) == [
        ("4-10", [], 0, False),
        ("10-16", [1], 0, False),
        ("16-24", [], 0, False),
        ("0-4", [1], 0, True),
    ]
    assert [plan.begin_of(frame) for frame in (0, 4, 15, 16, 23)] == [4, 4, 4, 16, 16]
    assert plan.look_back == 1


def test_a_shot_without_a_key_goes_forwards_and_a_key_next_to_a_key_ends_its_relay():
    plan = plan_render(make_spec(keys=["10=a.png", "11=b.png"]), make_probe(30), (20,))
    assert [shot.begins for shot in plan.shots] == [(10, 11), ()]
    assert [(chunk.start, chunk.stop) for chunk in plan.chunks] == [(0, 10), (10, 11), (11, 20), (20, 30)]


@pytest.mark.parametrize(
    ("begins", "frame", "begin"),
    [((), 5, 0), ((3,), 0, 3), ((3,), 9, 3), ((2, 8), 5, 2), ((2, 8), 6, 8), ((2, 7), 4, 2), ((2, 7), 5, 7)],
)
def test_a_frame_is_reached_from_the_nearest_begin(begins, frame, begin):
    shot = planning.Shot(index=0, start=0, stop=10, first_chunk=0, chunks=1, begins=begins)
    assert shot.begin_of(frame) == begin


def test_the_chunks_of_a_shot_with_keys_lie_within_one_relay():
    keys = [f"{frame}=k.png" for frame in (0, 7, 8, 31, 60)]
    plan = plan_render(make_spec(keys=keys, chunk_frames=5), make_probe(64), ())
    for chunk in plan.chunks:
        assert len({plan.begin_of(frame) for frame in chunk.frames}) == 1
    assert {chunk.start for chunk in plan.chunks} >= {0, 7, 8, 31, 60}


def test_keys_outside_of_the_rendered_frames_are_not_used_and_beyond_the_film_refused():
    plan = plan_render(make_spec(frames="5-20", keys=["2=a.png", "9=b.png"]), make_probe(30), ())
    assert plan.keys == (9,)
    with pytest.raises(UsageError, match=r"key 30 is no frame of .*, which has 30 \(0-29\)"):
        plan_render(make_spec(keys=["30=a.png"]), make_probe(30), ())


def test_without_a_style_every_shot_needs_a_key():
    spec = make_spec(styles=[], keys=["2=a.png"])
    assert (spec.method, plan_render(spec, make_probe(30), ()).passes) == ("keys", 1)
    with pytest.raises(UsageError, match="no key is in the 2 shots of frames 10-19, 20-29, and no style is given"):
        plan_render(spec, make_probe(30), (10, 20))
