"""Renders whose steps follow the change: what rests before a camera that stands still stays the same paint."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from farm.job import JobDirectory
from farm.plan import Runtime, plan_tasks
from farm.render import chunk
from farm.render.change import REST_STEPS
from farm.render.chunk import ChunkRenderer
from farm.render.cost_sample import full_steps, with_work
from farm.render.prepare import prepare_job
from farm.spec import build_spec
from tests.media.clips import write_clip

RUNTIME = Runtime(device="cpu", precision="fp32", threads=1)
pytestmark = pytest.mark.media

WIDTH, HEIGHT, FRAMES = 128, 64, 4
STEPS = {"iterations": "4,10", "passes": 2}  # 3 steps in pass 1, 7 in pass 2


def scene(frame: int, pan: int) -> np.ndarray:
    """A rough wall, and a bright disc that crosses it."""
    wall = np.random.default_rng(5).integers(40, 200, (HEIGHT // 4, WIDTH, 3)).astype(np.uint8)
    wall = cv2.resize(wall, (4 * WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    picture = wall[:, 40 + pan * frame : 40 + pan * frame + WIDTH].copy()
    cv2.circle(picture, (20 + 4 * frame, 32), 10, (250, 240, 60), -1)
    return picture


def film(path: Path, pan: int) -> Path:
    return write_clip(path, [scene(frame, pan) for frame in range(FRAMES)], "-c:v", "ffv1")


def rendered(folder: Path, video: Path, style: Path, **options: object) -> tuple[ChunkRenderer, JobDirectory]:
    given = {"video": str(video), "styles": [str(style)], "output": str(folder / "out.mkv"), **STEPS, **options}
    prepared = prepare_job(build_spec(given), str(folder / "job.farm"))
    prepared.begin(RUNTIME)
    renderer = ChunkRenderer(prepared.job.url)
    for task in plan_tasks(renderer.plan):
        list(renderer.render(task))
    return renderer, prepared.job


def painted(job: JobDirectory, pass_index: int) -> list[np.ndarray]:
    pictures = [job.read_frame(f"pass-{pass_index}/00000", frame) for frame in range(FRAMES)]
    return [picture for picture in pictures if picture is not None]


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory, style: Path) -> tuple[ChunkRenderer, JobDirectory]:
    folder = tmp_path_factory.mktemp("still")
    return rendered(folder, film(folder / "still.mkv", pan=0), style)


def test_what_rests_is_carried_and_what_moves_is_painted(still):
    _, job = still
    for pass_index in (1, 2):
        frames = painted(job, pass_index)
        for before, after in itertools.pairwise(frames):
            change = np.abs(before.astype(int) - after)
            assert change[:, 112:].max() <= 4  # the disc never comes near; the flow is not exactly 0
            assert change[24:40, 16:40].mean() > 4 * change[:, 112:].mean()


def test_the_work_of_a_frame_is_what_was_expected_of_it(still):
    renderer, job = still
    for frame in range(1, FRAMES):
        works = [job.ledger(f"pass-{pass_index}/00000")[frame].work for pass_index in (1, 2)]
        assert works == pytest.approx(renderer.expected_work(frame), abs=1e-3)
        assert 0 < works[0] < 3
        assert 0 < works[1] < 7
    assert job.ledger("pass-1/00000")[0].work == 4


def test_before_a_camera_that_moves_the_first_steps_are_everywhere(tmp_path, style):
    _, job = rendered(tmp_path, film(tmp_path / "pan.mkv", pan=1), style)
    assert job.ledger("pass-1/00000")[2].work == 3  # there are no more than REST_STEPS
    refined = job.ledger("pass-2/00000")[2]
    assert REST_STEPS < refined.work < refined.steps == 7
    assert refined.losses["total"] > refined.losses["style"] > 0


def test_everything_is_painted_everywhere_if_asked(tmp_path, still, style):
    renderer, _ = still
    whole, job = rendered(tmp_path, Path(renderer.record.spec.video), style, repaint="everywhere")
    assert [job.ledger("pass-2/00000")[frame].work for frame in range(FRAMES)] == [7] * FRAMES
    assert whole.expected_work(2) == (3, 7)


def test_now_and_then_a_frame_is_painted_everywhere(still, monkeypatch):
    renderer, _ = still
    monkeypatch.setattr(chunk, "REFRESHED_EVERY", 2)
    assert renderer.expected_work(2)[0] == 3
    assert renderer.expected_work(3)[0] < 3


@pytest.mark.parametrize(
    ("seconds", "work", "expected", "step", "result"),
    [
        ([5.0], [4.0], [2.0, 6.0, 7.0], 1.0, (6.0,)),
        ([5.0, 3.0], [4.0, 2.0], [0.0], 1.0, (1.0, 1.0)),
        ([5.0], [9.0], [2.0], 1.0, (2.0,)),  # a slow first frame makes no negative time
        ([5.0], [4.0], [], 1.0, (5.0,)),
        ([], [], [3.0], 1.0, ()),
    ],
)
def test_seconds_are_those_of_the_expected_work(seconds, work, expected, step, result):
    assert with_work(seconds, work, expected, step) == pytest.approx(result)


def test_coarse_steps_of_a_first_frame_cost_less(still):
    plan = still[0].plan
    assert full_steps(plan) == plan.steps.first == 4
    assert full_steps(plan.model_copy(update={"width": 1024, "height": 576})) == pytest.approx(2 + 2 / 4)
