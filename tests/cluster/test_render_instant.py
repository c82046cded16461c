"""Method instant on the farm: what it does to frames, and that who renders and how often makes no difference."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from farm.cli.progress import JobProgress
from farm.cluster.render_job import render_job
from farm.cluster.sizing import LaunchOptions
from farm.errors import UsageError, WeightsError
from farm.job import JobDirectory
from farm.media.probe import probe_video
from farm.paint.color.matching import YIQ_FROM_RGB
from farm.paint.color.treatment import color_treatment_after
from farm.paint.network.network_file import load_network_file, style_picture
from farm.paint.network.painter import InstantPainter
from farm.plan import Runtime, plan_tasks
from farm.plan.pace import NoProgress
from farm.render.chunk import COLOR_SAMPLE, ChunkRenderer
from farm.render.committed import frame_of_pass
from farm.render.inputs import Inputs
from farm.render.network_for_film import film_training
from farm.render.prepare import prepare_job
from farm.render.source_frames import SourceFrames
from farm.spec import RenderSpec, build_spec
from farm.spec.frames import evenly
from tests.paint.training.conftest import SHALLOW, network_file
from tests.render.test_inputs import scans_counted

__all__ = ["network_file"]


def make_spec(clip: Path, network: Path, output: Path, **options: object) -> RenderSpec:
    values = {"method": "instant", "network": str(network), "chunk_frames": 5, "size": 64, **options}
    return build_spec({"video": str(clip), "output": str(output), **values})


def render(spec: RenderSpec, workers: int = 1) -> dict:
    job = str(Path(spec.output).with_suffix(".farm"))
    return render_job(spec, LaunchOptions(job=job, workers=workers, threads=1, dashboard=False), JobProgress())


def frames_of(report: dict) -> list[np.ndarray]:
    job = JobDirectory(report["job"])
    record = job.load_record()
    return [frame_of_pass(job, record, 1, frame) for frame in record.plan.frames]


def paint_here(spec: RenderSpec, runtime: Runtime) -> dict:
    """The frames of a job painted in this process, one task after the other; `job` is its directory."""
    job = str(Path(spec.output).with_suffix(".farm"))
    record = prepare_job(spec, job).begin(runtime)
    renderer = ChunkRenderer(job)
    for task in plan_tasks(record.plan):
        assert list(renderer.render(task))
    return {"job": job}


@pytest.fixture(scope="module")
def reference(clip, network_file, tmp_path_factory, ray_here):
    return render(make_spec(clip, network_file, tmp_path_factory.mktemp("reference") / "out.mp4"))


def runtime_of(report: dict) -> Runtime:
    return Runtime.model_validate(report["runtime"])


def test_frames_are_those_of_the_network(reference, network_file):
    record = JobDirectory(reference["job"]).load_record()
    source = SourceFrames(record)
    painter = InstantPainter(str(network_file), runtime_of(reference))
    for frame, painted in enumerate(frames_of(reference)):
        assert np.array_equal(painted, painter.paint([source(frame)])[0])
    film = probe_video(reference["output"])
    assert (film.frame_count, len(film.audio)) == (12, 1)
    assert reference["chunks"] == 3


def test_two_workers_and_a_damaged_frame_change_nothing(reference, clip, network_file, tmp_path):
    spec = make_spec(clip, network_file, tmp_path / "two.mp4")
    report = render(spec, workers=2)
    assert all(np.array_equal(a, b) for a, b in zip(frames_of(report), frames_of(reference), strict=True))
    Path(report["output"]).unlink()
    frame = Path(report["job"]) / "frames/pass-1/00001/000006.png"
    frame.write_bytes(frame.read_bytes()[:-20])
    again = render(spec)
    assert (again["rendered"], again["reused"]) == (1, 11)
    assert all(np.array_equal(a, b) for a, b in zip(frames_of(again), frames_of(reference), strict=True))


def test_luminance_and_kept_regions(reference, clip, network_file, tmp_path):
    from PIL import Image

    mask = np.zeros((48, 64), np.uint8)
    mask[:, :20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    spec = make_spec(
        clip, network_file, tmp_path / "kept.mp4", color="luminance", regions=[f"{tmp_path / 'mask.png'}@static=none"]
    )
    report = paint_here(spec, runtime_of(reference))
    source = SourceFrames(JobDirectory(report["job"]).load_record())
    for frame, painted in enumerate(frames_of(report)):
        assert np.array_equal(painted[:, :16], source(frame)[:, :16])
        difference = (painted.astype(float) - source(frame))[:, 32:]
        assert np.abs(difference @ YIQ_FROM_RGB[0]).mean() > 3
        assert np.abs(np.median(difference @ YIQ_FROM_RGB[1:].T, axis=(0, 1))).max() < 3


@pytest.mark.parametrize("mode", ["match", "match-cholesky"])
def test_matched_colours_are_the_transform_of_the_painting_on_what_the_network_paints(
    reference, clip, network_file, tmp_path, mode
):
    report = paint_here(make_spec(clip, network_file, tmp_path / "matched.mp4", color=mode), runtime_of(reference))
    record = JobDirectory(report["job"]).load_record()
    source = SourceFrames(record)
    sample = [source(offset) for offset in evenly(COLOR_SAMPLE, 12)]
    colors = color_treatment_after(mode, style_picture(network_file), sample)
    for painted, plain in zip(frames_of(report), frames_of(reference), strict=True):
        assert np.array_equal(painted, colors.finish(plain, plain))
        assert not np.array_equal(painted, plain)


def test_a_network_that_is_none_is_found_before_rendering(clip, style, tmp_path):
    with pytest.raises(WeightsError, match="is not a safetensors file"):
        render(make_spec(clip, style, tmp_path / "out.mp4"))
    assert not (tmp_path / "out.farm").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"network": None}, "needs --network FILE"),
        ({"styles": ["a.png"]}, "leave out --style"),
        ({"regions": ["m.png=a.jpg"]}, "can only be none"),
        ({"method": "optimize", "styles": ["a.png"]}, "add --method instant"),
    ],
)
def test_what_a_network_cannot_do_is_said(options, said):
    with pytest.raises(UsageError, match=said):
        build_spec({"video": "v.mp4", "output": "o.mp4", "method": "instant", "network": "n.safetensors", **options})


@pytest.mark.slow
def test_without_a_network_one_is_trained_for_the_film_and_kept(clip, style, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    values = {"method": "instant", "styles": [str(style)], "train_budget": "3s", "size": 64, **SHALLOW}
    spec = build_spec({"video": str(clip), "output": str(tmp_path / "a.mp4"), **values})
    with scans_counted(monkeypatch) as scans:
        report = render(spec)
    assert scans == [str(clip)], "one command scans the film once: for the network's key, the training and the plan"
    (network,) = (tmp_path / "cache/farm/networks").glob("*.safetensors")
    card = load_network_file(network)[1]
    assert card.settings["video"] == clip.name
    assert card.settings["budget"] == 3
    assert card.steps > 0
    record = JobDirectory(report["job"]).load_record()
    assert record.spec.network == f"{report['job']}/inputs/network-{network.stem}.safetensors"
    Path(report["output"]).unlink()
    assert render(spec)["reused"] == 12
    made = network.stat().st_mtime_ns
    other = render(spec.model_copy(update={"output": str(tmp_path / "b.mp4")}))
    assert network.stat().st_mtime_ns == made
    assert all(np.array_equal(a, b) for a, b in zip(frames_of(other), frames_of(report), strict=True))
    keys = {film_training(spec, Inputs()).key for spec in (spec, spec.model_copy(update={"train_budget": 4.0}))}
    assert network.stem in keys
    assert len(keys) == 2


def test_a_job_of_a_cluster_leaves_the_users_cache_alone(clip, style, tmp_path, monkeypatch):
    from farm.render import network_for_film as onfilm

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    trained = []

    def train(path: Path, *_: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"network")
        trained.append(path)

    monkeypatch.setattr(onfilm, "_find_or_train", train)
    values = {"method": "instant", "styles": [str(style)], "train_budget": "3s", "size": 64, **SHALLOW}
    spec = build_spec({"video": str(clip), "output": str(tmp_path / "a.mp4"), **values})
    for job in (str(tmp_path / "a.farm"), f"memory://{tmp_path.name}/a.farm"):
        network = str(onfilm.with_network(spec, job, Inputs(), NoProgress(), use_cache=False).network)
        assert network.startswith(f"{job}/inputs/")
        assert JobDirectory(job).storage.read(network.removeprefix(f"{job}/")) == b"network"
    assert not (tmp_path / "cache").exists()
    assert trained[0].parent == tmp_path / "a.farm/inputs"
    assert not trained[1].parent.exists(), "what was not made within the job is not kept"


def test_a_network_in_the_plan_and_the_job(reference, network_file):
    record = json.loads((Path(reference["job"]) / "job.json").read_text())
    assert record["input_hashes"].keys() >= {str(network_file)}
    assert record["threads"] == runtime_of(reference).threads == 1
    assert "device" not in record["runtime"], "which is a worker's"
    assert reference["steps"] == 0
