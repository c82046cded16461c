"""A job as a render leaves it, without rendering: three shots, several chunks, two passes, one lost worker."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from farm.job import FrameRecord, JobDirectory, JobRecord
from farm.job.history import Happening
from farm.job.state import JobState, save_state
from farm.media.scan import scan_video
from farm.plan import JobRuntime, plan_render, plan_tasks
from farm.spec import build_spec
from tests.conftest import make_clip

CUTS = (12, 20)
FRAMES = 30
BEGAN = 1_760_000_000.0
ODD = 17
"""From this frame on, in the middle of a shot, the paint is another."""


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("film") / "film <one>.mp4", frames=FRAMES, size="96x64", audio=False)


def make_record(film: Path, folder: Path, style: Path, **options: object) -> JobRecord:
    values = {"chunk_frames": 5, "passes": 2, "size": 96, "iterations": "8,4", "long_term": "none", **options}
    spec = build_spec({"video": str(film), "styles": [str(style)], "output": str(folder / "out & about.mp4"), **values})
    scan = scan_video(spec.video)
    return JobRecord(
        spec=spec,
        input_hashes={spec.video: scan.probe.content_hash},
        probe=scan.probe,
        cuts=CUTS,
        plan=plan_render(spec, scan.probe, CUTS),
        runtime=JobRuntime(precision="fp32"),
        versions={"farm": "0.1.0"},
    )


def paint(frame: int) -> np.ndarray:
    rng = np.random.default_rng(7 if frame < ODD else 8)
    return rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)


def make_job(film: Path, style: Path, folder: Path, upto: int = 2, state: JobState | None = None) -> JobDirectory:
    """Every task of the passes up to `upto`; two workers, the second lost in the end. Without a `state` it is done."""
    job = JobDirectory(str(folder / "out.farm"))
    record = make_record(film, folder, style)
    job.save_record(record)
    clock = BEGAN + 5
    for number, task in enumerate(task for task in plan_tasks(record.plan) if task.pass_index <= upto):
        for frame in task.frames:
            losses = {"style": 1000.0, "content": 500.0, "total": 1500.0}
            worker = "worker-1" if number % 2 else "worker-2"
            row = FrameRecord(frame=frame, sha256="", steps=4, losses=losses, seconds=0.5, worker=worker)
            job.commit_frame(task.id, paint(frame), row)
            clock += 0.5
            ledger = job.ledger(task.id)
            ledger[frame] = ledger[frame].model_copy(update={"committed": clock})
        job._save_ledger(task.id, ledger)
    happened = [
        Happening(at=BEGAN, kind="run"),
        Happening(at=BEGAN + 4, kind="joined", worker="worker-1", host="here"),
        Happening(at=BEGAN + 5, kind="joined", worker="worker-2", host="there"),
        Happening(at=clock + 1, kind="lost", worker="worker-2", task="pass-1/00001", text="its worker died"),
    ]
    rows = [one.model_dump_json(exclude_defaults=True) for one in happened]
    job.storage.write("history.json", f"[{','.join(rows)}]".encode())
    save_state(job, state or JobState(state="SUCCEEDED"))
    if state is None:
        job.save_report({"seconds": clock - BEGAN, "workers": 2, "lost_workers": 1, "output": record.spec.output})
    return JobDirectory(job.url)


@pytest.fixture
def painted_job(film: Path, style: Path, tmp_path: Path) -> Callable[..., JobDirectory]:
    return partial(make_job, film, style, tmp_path)
