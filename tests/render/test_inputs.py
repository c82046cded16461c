"""Every input is opened, checked and hashed once, and the film is scanned once, however many steps ask."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from farm.errors import PictureError, VideoError
from farm.media import scan
from farm.paint.features import architectures
from farm.paint.features.architectures import built_in_is_known, built_in_path
from farm.plan.pace import NoProgress
from farm.render import inputs as reading
from farm.render.inputs import Inputs, file_hash
from farm.render.network_for_film import film_training, with_network
from farm.render.prepare import prepare_job
from farm.spec import build_spec
from tests.conftest import small_vgg
from tests.paint.training.conftest import network_file

__all__ = ["network_file"]

_counting: list[Counter[str]] = []


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _counting:
        _counting[-1][str(arguments[0])] += 1


sys.addaudithook(_note)


@contextmanager
def opened() -> Iterator[Counter[str]]:
    """How often Python opens each file meanwhile, by path."""
    _counting.append(Counter())
    yield _counting[-1]
    _counting.pop()


@contextmanager
def scans_counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The films that are scanned in this process meanwhile, whichever module asks."""
    scans: list[str] = []
    walk = scan.walk_video

    def counted(path: str, *arguments: object, **options: object) -> object:
        scans.append(path)
        return walk(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(scan, "walk_video", counted)
        yield scans


@pytest.fixture
def mask(tmp_path) -> Path:
    picture = np.zeros((64, 96), np.uint8)
    picture[:, 48:] = 255
    Image.fromarray(picture).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


def test_pictures_and_masks_are_opened_once_to_be_checked_and_hashed(clip, style, mask, tmp_path):
    values = {"styles": [str(style)], "init": str(style), "regions": [f"{mask}@static={style}"]}
    spec = build_spec({"video": str(clip), "output": str(tmp_path / "out.mp4"), **values})
    inputs = Inputs()
    with opened() as opens:
        hashes = inputs.hashes(spec)
        assert inputs.hashes(spec) == hashes
    assert (opens[str(style)], opens[str(mask)]) == (1, 1)
    assert hashes == {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in (style, mask)}


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_network_and_weights_are_opened_once_to_be_checked_and_hashed(
    clip, style, network_file, tmp_path, monkeypatch, suffix
):
    """Each file is gone as soon as it was read: a second opening, by whatever library, would fail."""
    features, flow, network = (tmp_path / name for name in (f"vgg{suffix}", f"raft{suffix}", "net.safetensors"))
    store = save_file if suffix == ".safetensors" else torch.save
    store(small_vgg(), features)
    store({"some.weight": torch.ones(2)}, flow)
    shutil.copyfile(network_file, network)
    files = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in (features, flow, network)}
    reads, read = Counter(), Path.read_bytes

    def read_once(path: Path) -> bytes:
        data = read(path)
        if str(path) in files:
            reads[str(path)] += 1
            path.unlink()
        return data

    monkeypatch.setattr(Path, "read_bytes", read_once)
    values = {"video": str(clip), "output": str(tmp_path / "out.mp4")}
    weights = {"features": str(features), "flow": "raft", "flow_weights": str(flow)}
    painted = build_spec({**values, **weights, "styles": [str(style)]})
    instant = build_spec({**values, "method": "instant", "network": str(network)})
    inputs = Inputs()
    for _ in range(2):
        hashes = inputs.hashes(painted) | inputs.hashes(instant)
    assert reads == dict.fromkeys(files, 1)
    assert {path: hashes[path] for path in files} == files


def test_a_command_scans_the_film_once(clip, style, tmp_path, monkeypatch):
    spec = build_spec({"video": str(clip), "styles": [str(style)], "output": str(tmp_path / "out.mp4")})
    inputs = Inputs()
    with scans_counted(monkeypatch) as scans, opened() as opens:
        assert with_network(spec, str(tmp_path / "out.farm"), inputs, NoProgress()) == spec
        prepared = prepare_job(spec, str(tmp_path / "out.farm"), inputs)
        assert prepare_job(spec, str(tmp_path / "other.farm"), inputs).scan is prepared.scan
    assert scans == [str(clip)]
    assert opens[str(style)] == 1


class Shown(NoProgress):
    def __init__(self) -> None:
        self.shares: list[tuple[str, float]] = []

    def share(self, phase: str, done: float) -> None:
        self.shares.append((phase, done))


def test_a_network_is_trained_on_the_scan_that_plans_the_render(clip, style, network_file, tmp_path, monkeypatch):
    from farm.paint.training import run
    from farm.paint.training.course import CourseProgress, input_hashes
    from farm.paint.training.pictures import load_pictures

    trained = []

    def train(training, *, threads, on_step, scan, hashes):
        trained.append(hashes)
        assert len(load_pictures(training, scan).training) > 0
        assert dict(hashes) == input_hashes(training)
        on_step(CourseProgress(3, 0.5, {"total": 1.0}, evaluated=True))
        shutil.copyfile(network_file, training.output)
        return {
            "output": "",
            "steps": 3,
            "seconds": 1.0,
            "pictures": 1,
            "best_step": 1,
            "losses": {"total": 1.0},
            "folder": "",
        }

    monkeypatch.setattr(run, "train_network", train)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    values = {"method": "instant", "styles": [str(style)], "size": 64}
    spec = build_spec({"video": str(clip), "output": str(tmp_path / "out.mp4"), **values})
    inputs, shown, job = Inputs(), Shown(), str(tmp_path / "out.farm")
    with scans_counted(monkeypatch) as scans:
        ready = with_network(spec, job, inputs, shown)
        prepared = prepare_job(ready, job, inputs)
        assert with_network(spec, job, inputs, shown) == ready
    assert scans == [str(clip)]
    assert len(trained) == 1, "the second time it is found in the job"
    assert shown.shares == [("train", 0.0), ("train", 0.5)]
    assert prepared.input_hashes[str(ready.network)] == file_hash(network_file)
    assert film_training(spec, inputs).key in str(ready.network)


def test_a_damaged_film_that_is_allowed_is_another_scan(clip, tmp_path):
    whole = clip.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[:200])
    spec = build_spec({"video": str(tmp_path / "cut.mp4"), "output": str(tmp_path / "out.mp4"), "method": "identity"})
    inputs = Inputs()
    for _ in range(2):
        with pytest.raises(VideoError):
            inputs.scan(spec)


def test_a_picture_file_too_large_to_be_one_is_not_read(tmp_path, style, monkeypatch):
    monkeypatch.setattr(reading, "MOST_BYTES", 100)
    with opened() as opens, pytest.raises(PictureError, match="has more than"):
        reading.read_bytes(style)
    assert opens[str(style)] == 0


def test_copies_are_named_by_the_bytes_that_were_checked(clip, style, tmp_path):
    spec = build_spec({"video": str(clip), "styles": [str(style)], "output": str(tmp_path / "out.mp4")})
    assert Inputs().for_copying(spec) == {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in (style, clip)
    }


@pytest.mark.process
def test_a_driver_prepares_a_render_without_torch(clip, style, tmp_path):
    """It takes seconds to load, and the workers load it meanwhile."""
    script = """if True:
        import sys
        from farm.cluster.render_job import LaunchOptions, logical_cpus, read_inputs
        from farm.plan.pace import NoProgress
        from farm.render.network_for_film import with_network
        from farm.render.prepare import prepare_job
        from farm.spec import build_spec
        video, style, output = sys.argv[1:]
        spec = build_spec({"video": video, "styles": [style], "output": output})
        inputs = read_inputs(spec)
        prepared = prepare_job(with_network(spec, output + ".farm", inputs, NoProgress()), output + ".farm", inputs)
        prepared.rehearse()
        print(len(prepared.plan.frames), prepared.with_tracks().tracks[0].kind, logical_cpus(LaunchOptions(job="")) > 0)
        print(sorted({"torch", "ray"} & set(sys.modules)))
    """
    words = [sys.executable, "-c", script, str(clip), str(style), str(tmp_path / "out.mp4")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "12 sound True\n[]\n"


@pytest.mark.parametrize(("known", "loaded"), [(True, []), (False, ["vgg19"])])
def test_a_built_in_network_of_an_unknown_release_is_loaded_to_be_checked(
    clip, style, tmp_path, monkeypatch, known, loaded
):
    loads = []
    monkeypatch.setattr(reading, "built_in_is_known", lambda: known)
    monkeypatch.setattr("farm.paint.styler.load_network", lambda spec, data: loads.append(spec.features))
    values = {"styles": [str(style)], "output": str(tmp_path / "out.mp4")}
    assert Inputs().features(build_spec({"video": str(clip), **values})) == {}
    assert loads == loaded


def test_the_built_in_network_that_is_installed_is_known(monkeypatch, tmp_path):
    assert built_in_is_known()
    damaged = tmp_path / "weights.bin"
    damaged.write_bytes(built_in_path().read_bytes()[:-1])
    monkeypatch.setattr(architectures, "built_in_path", lambda: damaged)
    assert not built_in_is_known()
