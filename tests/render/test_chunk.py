"""One worker's walk through its frames, without Ray: a synthetic clip whose optical flow is known exactly."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from farm.errors import JobMismatchError
from farm.flow import external_flow_name, write_flow
from farm.job import FrameRecord, JobDirectory
from farm.paint.color.matching import YIQ_FROM_RGB
from farm.plan import Runtime, plan_tasks
from farm.plan import render_plan as planning
from farm.render.chunk import ChunkRenderer
from farm.render.committed import frame_of_pass
from farm.render.light import lit_alike
from farm.render.prepare import prepare_job
from farm.render.source_frames import SourceFrames
from farm.render.temporal import painted_alike
from farm.spec import build_spec
from tests.conftest import small_vgg
from tests.media.clips import LOSSLESS, write_clip

SIDE = 64
FRAMES = 18
DOOR_SPEED = 8
LONG_TERM = (6, 12)
HIDDEN = slice(24, 40)
"""Columns that the door covers from frame 4 to frame 13: ten frames."""


def door(frame: int) -> tuple[int, int]:
    """Columns [left, right) that the door covers: it comes from the right, stands, and leaves to the right."""
    left = {3: 48, 4: 24, 13: 24, 14: 48}.get(frame, 24 if 4 <= frame <= 13 else SIDE)
    return left, SIDE


def smooth_noise(seed: int, blur: float) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(SIDE, SIDE, 3)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), blur)
    return np.clip(128 + 60 * noise / noise.std(), 0, 255).astype(np.uint8)


def picture(frame: int) -> np.ndarray:
    background, panel = smooth_noise(1, 3.0), smooth_noise(2, 1.0)
    left, right = door(frame)
    painted = background.copy()
    painted[:, left:right] = panel[:, : right - left]
    return painted


def exact_flow(source: int, target: int) -> np.ndarray:
    """The background stands still; the door's pixels move with its left edge."""
    flow = np.zeros((SIDE, SIDE, 2), np.float32)
    left, right = door(source)
    flow[:, left:right, 0] = door(target)[0] - left
    return flow


@pytest.fixture(scope="module")
def hidden_clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("hidden")
    write_clip(folder / "clip.mkv", [picture(frame) for frame in range(FRAMES)], *LOSSLESS)
    (folder / "flow").mkdir()
    for source in range(FRAMES):
        for distance in (1, *LONG_TERM):
            for target in (source - distance, source + distance):
                if 0 <= target < FRAMES:
                    write_flow(folder / "flow" / external_flow_name(source, target), exact_flow(source, target))
    return folder / "clip.mkv", folder / "flow"


def render_here(spec, job: Path) -> JobDirectory:
    prepared = prepare_job(spec, str(job))
    record = prepared.begin(Runtime(device="cpu", precision="fp32", threads=1))
    renderer = ChunkRenderer(str(job))
    for task in plan_tasks(record.plan):
        assert len(list(renderer.render(task))) == len(task.frames)
    return prepared.job


def short_spec(video: Path, style: Path, output: Path, **options: object):
    """Two chunks and two passes of a few frames, seen through a shallow network."""
    short = {"frames": "0-3", "iterations": "4,2", "passes": 2, "chunk_frames": 2, "overlap": 1, "long_term": []}
    short |= {"style_layers": "relu1_1,relu2_1", "content_layers": "relu2_1"}
    return build_spec({"video": str(video), "styles": [str(style)], "output": str(output), **short, **options})


def look(job: JobDirectory, frame: int) -> np.ndarray:
    record = job.load_record()
    return frame_of_pass(job, record, record.plan.passes, frame)[:, HIDDEN].astype(np.float32)


def change_while_hidden(hidden_clip, style, job: Path, long_term) -> float:
    """Mean squared difference, grey levels, of the hidden columns just before and just after the door."""
    video, flow = hidden_clip
    spec = build_spec(
        {
            "video": str(video),
            "styles": [str(style)],
            "output": str(job.with_suffix(".mp4")),
            "iterations": "15,5",
            "style_layers": "relu1_1,relu2_1",
            "content_layers": "relu2_1",
            "passes": 1,
            "chunk_frames": FRAMES,
            "flow_dir": str(flow),
            "long_term": list(long_term),
        }
    )
    done = render_here(spec, job)
    return float(((look(done, 15) - look(done, 2)) ** 2).mean())


def test_what_comes_back_after_ten_frames_looks_as_before_and_only_with_long_term(hidden_clip, style, tmp_path):
    remembered = change_while_hidden(hidden_clip, style, tmp_path / "on.farm", LONG_TERM)
    forgotten = change_while_hidden(hidden_clip, style, tmp_path / "off.farm", ())
    assert remembered < 0.35 * forgotten


GREYS = [0, 90, 150, 240]
BLEND = 0.5


TRUSTED = 254 / 255
"""What the rule of Ruder et al. leaves in the middle of a perfectly consistent area."""


def blended(own: float, *others: float) -> int:
    return round((own + BLEND * TRUSTED * sum(others)) / (1 + BLEND * TRUSTED * len(others)))


def two_sided(greys: list[int]) -> list[int]:
    """Every frame from both neighbours as they were."""
    return [blended(own, *greys[max(i - 1, 0) : i], *greys[i + 1 : i + 2]) for i, own in enumerate(greys)]


def travelled(greys: list[int]) -> list[int]:
    """Every frame from the one before it in the list as it is now."""
    made = greys[:1]
    for own in greys[1:]:
        made.append(blended(own, made[-1]))
    return made


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [("two-sided", two_sided(two_sided(GREYS))), ("alternating", travelled(travelled(GREYS[::-1])[::-1]))],
)
def test_later_passes_read_the_neighbours_of_their_sweep(hidden_clip, style, tmp_path, sweep, expected):
    """Four still frames without optimisation: passes 2 and 3 are blends of grey levels, exactly."""
    video, flow = hidden_clip
    spec = build_spec(
        {
            "video": str(video),
            "styles": [str(style)],
            "output": str(tmp_path / "out.mp4"),
            "frames": "5-8",  # the door stands still
            "iterations": "0,0",
            "sweep": sweep,
            "blend": BLEND,
            "flow_dir": str(flow),
        }
    )
    prepared = prepare_job(spec, str(tmp_path / "sweep.farm"))
    record = prepared.begin(Runtime(device="cpu", precision="fp32", threads=1))
    first, *later = plan_tasks(record.plan)
    for frame, grey in zip(first.frames, GREYS, strict=True):
        picture = np.full((SIDE, SIDE, 3), grey, np.uint8)
        prepared.job.commit_frame(first.id, picture, FrameRecord(frame=frame, sha256=""))
    renderer = ChunkRenderer(str(tmp_path / "sweep.farm"))
    for task in later:
        assert sum(1 for _ in renderer.render(task)) == len(task.frames)
    middle = [int(frame_of_pass(prepared.job, record, 3, frame)[20, 30, 0]) for frame in first.frames]
    assert middle == expected


def committed(job: JobDirectory) -> dict[str, np.ndarray]:
    record = job.load_record()
    pictures = {}
    for task in plan_tasks(record.plan):
        for frame in task.frames:
            pictures[f"{task.id} {frame}"] = job.read_frame(task.id, frame)
    return pictures


def test_luminance_only_every_committed_frame_has_the_colours_of_its_source(hidden_clip, style, tmp_path):
    spec = short_spec(hidden_clip[0], style, tmp_path / "y.mp4", color="luminance", flow_dir=str(hidden_clip[1]))
    frames = committed(render_here(spec, tmp_path / "y.farm"))
    assert len(frames) == 2 * 4
    for name, painted in frames.items():
        difference = painted.astype(float) - picture(int(name.split()[1]))
        assert np.abs(difference @ YIQ_FROM_RGB[1:].T).max() < 1e-9, name
        assert np.abs(difference @ YIQ_FROM_RGB[0]).mean() > 2, name


@pytest.mark.parametrize("color", ["match", "luminance"])
def test_colours_do_not_depend_on_who_renders(hidden_clip, style, tmp_path, color):
    spec = short_spec(hidden_clip[0], style, tmp_path / "a.mp4", color=color, flow_dir=str(hidden_clip[1]))
    together = committed(render_here(spec, tmp_path / "a.farm"))
    job = str(tmp_path / "b.farm")
    record = prepare_job(spec, job).begin(Runtime(device="cpu", precision="fp32", threads=1))
    for task in plan_tasks(record.plan):
        for _ in range(2):  # a worker that stops after a frame, and another that takes the task up
            steps = ChunkRenderer(job).render(task, wait=True)
            next(steps)
            steps.close()
        assert len(list(ChunkRenderer(job).render(task))) == len(task.frames)
    alone = committed(JobDirectory(job))
    assert together.keys() == alone.keys()
    assert all(np.array_equal(together[name], alone[name]) for name in together)


def films_of(hidden_clip, style, tmp_path, chunk_lengths, frames: int, passes: int) -> list[list[np.ndarray]]:
    films = []
    for chunk_frames in chunk_lengths:
        options = {"chunk_frames": chunk_frames, "frames": f"0-{frames - 1}", "passes": passes, "seed": 3}
        options |= {"long_term": [3], "flow_dir": str(hidden_clip[1])}
        spec = short_spec(hidden_clip[0], style, tmp_path / "a.mp4", **options)
        job = render_here(spec, tmp_path / f"{chunk_frames}.farm")
        record = job.load_record()
        films.append([frame_of_pass(job, record, passes, frame) for frame in range(frames)])
    return films


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("passes", [1, 2])
def test_the_film_does_not_depend_on_where_chunks_begin(hidden_clip, style, tmp_path, passes):
    films = films_of(hidden_clip, style, tmp_path, (2, 3, 48), 6, passes)
    assert all(same(films[0], film) for film in films[1:])
    assert not np.array_equal(films[0][4], films[0][5])


def test_nor_does_that_of_a_long_shot_whose_relay_starts_at_its_middle(hidden_clip, style, tmp_path, monkeypatch):
    (forwards,) = films_of(hidden_clip, style, tmp_path / "forwards", (48,), 9, 2)
    monkeypatch.setattr(planning, "LONG_SHOT", 9)
    films = films_of(hidden_clip, style, tmp_path, (2, 3, 48), 9, 2)
    assert all(same(films[0], film) for film in films[1:])
    assert not same(films[0], forwards)


def test_who_takes_up_a_backwards_task_goes_on_where_it_was(hidden_clip, style, tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "LONG_SHOT", 9)
    options = {"frames": "0-8", "chunk_frames": 48, "long_term": [3], "flow_dir": str(hidden_clip[1])}
    spec = short_spec(hidden_clip[0], style, tmp_path / "a.mp4", **options)
    undisturbed = committed(render_here(spec, tmp_path / "a.farm"))
    job = str(tmp_path / "b.farm")
    record = prepare_job(spec, job).begin(Runtime(device="cpu", precision="fp32", threads=1))
    orders = {}
    for task in plan_tasks(record.plan):
        made = []
        for _ in range(2):  # workers that stop after a frame of their own
            for report in ChunkRenderer(job).render(task, wait=True):
                if not report.reused:
                    made.append(report.frame)
                    break
        made += [report.frame for report in ChunkRenderer(job).render(task) if not report.reused]
        orders[task.id] = made
    assert orders["pass-1/00001"] == [4, 5, 6, 7, 8]
    assert orders["pass-1/00000"] == [3, 2, 1, 0]
    resumed = committed(JobDirectory(job))
    assert undisturbed.keys() == resumed.keys()
    assert all(np.array_equal(undisturbed[name], resumed[name]) for name in undisturbed)


def test_backwards_frames_of_the_source_are_the_same_and_decoded_by_the_block(clip, style, tmp_path):
    prepared = prepare_job(short_spec(clip, style, tmp_path / "a.mp4", frames="0-11"), str(tmp_path / "a.farm"))
    record = prepared.begin(Runtime(device="cpu", precision="fp32", threads=1))
    forwards, backwards = SourceFrames(record), SourceFrames(record)
    pictures = [forwards(frame) for frame in range(12)]
    backwards.backwards = True
    asked = []
    read = backwards._reader.read
    backwards._reader.read = lambda frames: asked.append(str(frames)) or read(frames)  # type: ignore[method-assign]
    for frame in reversed(range(12)):
        assert np.array_equal(backwards(frame), pictures[frame])
    assert asked == ["0-11"]
    backwards._fit = 8
    backwards._kept.clear()
    for frame in reversed(range(12)):
        assert np.array_equal(backwards(frame), pictures[frame])
    assert asked[1:] == ["10-11", "8-9", "6-7", "4-5", "2-3", "0-1"]


def test_files_that_a_render_reads_belong_to_its_job(hidden_clip, style, tmp_path):
    network, start = tmp_path / "faces.pth", tmp_path / "start.png"
    torch.save(small_vgg(), network)
    cv2.imwrite(str(start), picture(0))
    files = {"features": str(network), "init": str(start)}
    spec = short_spec(hidden_clip[0], style, tmp_path / "a.mp4", passes=1, frames="0-1", **files)
    job = render_here(spec, tmp_path / "a.farm")
    assert job.load_record().input_hashes.keys() == {str(network), str(start), str(style), spec.video}
    cv2.imwrite(str(start), picture(8))
    with pytest.raises(JobMismatchError, match=r"start.png: the file has changed"):
        prepare_job(spec, str(tmp_path / "a.farm"))


def test_over_many_frames_only_what_looks_alike_is_tied(hidden_clip, style, tmp_path):
    """Flow that says that nothing moves agrees with itself everywhere, also where a door has come."""
    flow = tmp_path / "flow"
    flow.mkdir()
    for source, target in itertools.permutations((0, 1, 2, 3, 4), 2):
        write_flow(flow / external_flow_name(source, target), np.zeros((SIDE, SIDE, 2), np.float32))
    values = {"video": str(hidden_clip[0]), "styles": [str(style)], "output": str(tmp_path / "o.mp4"), "frames": "0-4"}
    prepared = prepare_job(build_spec({**values, "flow_dir": str(flow)}), str(tmp_path / "o.farm"))
    prepared.begin(Runtime(device="cpu", precision="fp32", threads=1))
    renderer = ChunkRenderer(str(tmp_path / "o.farm"))
    painted = np.zeros((SIDE, SIDE, 3), np.uint8)
    # Light is compared in cells, which reach across the border of the two.
    background, covered = (slice(8, 56), slice(4, 14)), (slice(8, 56), slice(28, 60))
    assert renderer.flows.weights(4, 1)[covered].min() > 0.99
    far, near = (renderer.carried(4, other, painted, follow=1).tie for other in (1, 3))
    assert far.weight[background].min() > 0.99
    assert far.weight[covered].mean() < 0.4
    # A neighbour is asked for the same light only.
    light = lit_alike(renderer.source(4), renderer.source(3))
    np.testing.assert_array_equal(near.weight, renderer.flows.weights(4, 3) * light)
    # The door came between frames 1 and 4: paint that is carried takes it on as far as it is asked to.
    photograph = renderer.source(1)
    followed, kept = (renderer.carried(4, 1, photograph, follow).tie.image for follow in (1.0, 0.0))
    change = np.abs(renderer.source(4).astype(float) - photograph)[covered].mean()
    assert change > 20
    assert np.abs(followed - kept)[covered].mean() > 0.5 * change
    assert np.abs(followed - kept)[background].mean() < 1


def test_what_the_door_uncovers_starts_as_paint_not_as_the_photograph(hidden_clip, style, tmp_path):
    video, flow = hidden_clip
    options = {"frames": "13-14", "iterations": "30,0", "passes": 1, "flow_dir": str(flow)}
    done = render_here(short_spec(video, style, tmp_path / "out.mp4", **options), tmp_path / "job")
    record = done.load_record()
    before, after = (frame_of_pass(done, record, 1, frame) for frame in (13, 14))
    uncovered = slice(28, 44)  # columns, away from the soft border of what is reliable
    content, old = picture(14), picture(13)
    alike = painted_alike(content, old, before, exact_flow(14, 13))
    assert np.abs(after.astype(int) - alike)[:, uncovered].max() <= 3
    assert np.abs(after.astype(int) - content)[:, uncovered].mean() > 10
