"""Probe and stitch in a process of their own: what they return, raise and leave behind."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from farm.cluster.driver_tasks import make_segment, run_driver_task
from farm.errors import EncodeError
from farm.plan import Runtime, plan_tasks
from farm.render.chunk import ChunkRenderer
from farm.render.film_in_progress import FilmMaker
from farm.render.prepare import prepare_job
from farm.render.stitch import stitch_film
from farm.spec import build_spec
from tests.conftest import make_clip

pytestmark = pytest.mark.usefixtures("ray_here")


def test_it_runs_in_another_process_and_its_result_comes_back():
    def where() -> int:
        return os.getpid()

    assert run_driver_task("where", where) != os.getpid()


def test_it_runs_where_renderers_hold_all_cores():
    import ray

    class Holder:
        def up(self) -> bool:
            return True

    cores = int(ray.cluster_resources()["CPU"])

    def two() -> int:
        return 2

    holder = ray.remote(Holder).options(num_cpus=cores).remote()
    assert ray.get(holder.up.remote())
    assert run_driver_task("two", two) == 2
    ray.kill(holder)


@pytest.mark.parametrize("error", [EncodeError("ffmpeg failed", "try mp4"), ValueError("a fault")])
def test_what_it_raises_is_raised(error):
    def fail():
        raise error

    with pytest.raises(type(error), match=str(error)) as raised:
        run_driver_task("fail", fail)
    assert getattr(raised.value, "remedy", "") == getattr(error, "remedy", "")


def test_one_whose_process_dies_is_begun_again(tmp_path):
    def die_once(note: Path) -> str:
        if not note.exists():
            note.write_text("was here")
            os.kill(os.getpid(), 9)
        return "done"

    assert run_driver_task("die", die_once, tmp_path / "note") == "done"


def test_one_that_is_not_wanted_any_more_cleans_up(tmp_path):
    def work(half: Path) -> None:
        half.write_bytes(b"half a film")
        try:
            for _ in range(600):
                time.sleep(0.05)
        finally:
            half.unlink()

    def interrupt_when_begun() -> None:
        if (tmp_path / "half").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_driver_task("work", work, tmp_path / "half", check=interrupt_when_begun)
    assert not (tmp_path / "half").exists()


def test_a_film_of_segments_made_elsewhere_is_the_same_to_the_byte(tmp_path):
    film = make_clip(tmp_path / "film.mp4", frames=450, size="64x48")
    values = {"video": str(film), "output": str(tmp_path / "out.mp4"), "method": "identity", "chunk_frames": 100}
    spec, job = build_spec(values), str(tmp_path / "out.farm")
    prepared = run_driver_task("probe", prepare_job, spec, job)
    assert prepared.plan == prepare_job(spec, job).plan
    record = prepared.begin(Runtime(device="cpu", precision="fp32", threads=1))
    tasks = plan_tasks(record.plan)
    renderer = ChunkRenderer(job)
    encoded = []

    def elsewhere(segment, check):
        run_driver_task("stitch", make_segment, job, segment, check=check)
        encoded.append(segment.index)

    with FilmMaker(job, record, tasks, (), (), make=elsewhere) as maker:
        for task in tasks:
            assert list(renderer.render(task))
            maker.task_done(task.id)
        maker.finish(str(tmp_path / "out.mp4"), lambda: None, lambda _: None)
        maker.tidy()
    assert encoded == [0, 1]
    stitch_film(prepared.job, record, tmp_path / "other.mp4")
    assert (tmp_path / "other.mp4").read_bytes() == (tmp_path / "out.mp4").read_bytes()


def test_leaving_in_the_middle_ends_the_encoder_elsewhere(tmp_path):
    def slowly(folder: Path) -> None:
        (folder / "begun").touch()
        try:
            for _ in range(600):
                time.sleep(0.1)
            (folder / "whole").touch()
        finally:
            (folder / "ended").touch()

    film = make_clip(tmp_path / "film.mp4", frames=12, size="64x48")
    values = {"video": str(film), "output": str(tmp_path / "out.mp4"), "method": "identity"}
    prepared = prepare_job(build_spec(values), str(tmp_path / "out.farm"))
    record = prepared.begin(Runtime(device="cpu", precision="fp32", threads=1))
    done = [task.id for task in plan_tasks(record.plan)]

    def elsewhere(segment, check):
        run_driver_task("stitch", slowly, tmp_path, check=check)

    with FilmMaker(prepared.job.url, record, plan_tasks(record.plan), (), done, make=elsewhere):
        while not (tmp_path / "begun").exists():
            time.sleep(0.1)
    assert (tmp_path / "ended").exists()
    assert not (tmp_path / "whole").exists(), "it is not waited for its end"


def test_a_render_on_a_cluster_is_that_of_one_here(tmp_path):
    from farm.cli.progress import JobProgress
    from farm.cluster.render_job import render_job
    from farm.cluster.sizing import LaunchOptions

    film = make_clip(tmp_path / "film.mp4", frames=24, size="64x48")
    films = []
    for name, address in (("here", None), ("there", "auto")):
        output = tmp_path / f"{name}.mp4"
        spec = build_spec({"video": str(film), "output": str(output), "method": "identity", "chunk_frames": 10})
        options = LaunchOptions(job=str(tmp_path / f"{name}.farm"), workers=1, threads=1, address=address)
        assert render_job(spec, options, JobProgress())["rendered"] >= 24
        films.append(output.read_bytes())
    assert films[0] == films[1]
