"""One training on two workers of Ray Train, beside the same in one process."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from farm.cluster.train import train_on_ray
from farm.errors import CancelledError, PictureError, UsageError
from farm.media.scan import scan_video
from farm.paint.network.network import ARCHITECTURES, StyleNetwork
from farm.paint.training.course import CourseProgress, training_folder
from farm.paint.training.run import train_network
from farm.plan.video import VideoScan
from farm.spec import TrainSpec
from tests.cluster.commands import farm
from tests.paint.training.conftest import photos
from tests.paint.training.test_training import make_spec, same, weights

__all__ = ["photos"]

STEPS = 8


@pytest.fixture(scope="module")
def spec(style, photos, tmp_path_factory) -> TrainSpec:
    """Three crops a step: two for one worker, one for the other.

    Small steps: with the usual ones, what rounding tells apart paints differently after eight (0.4 % of the loss).
    """
    output = tmp_path_factory.mktemp("training") / "net.safetensors"
    return make_spec(style, output, photos=str(photos), batch=3, steps=STEPS, learning_rate=1e-4)


@pytest.fixture(scope="module")
def alone(spec):
    return train_network(spec, threads=1)


@pytest.fixture(scope="module")
def both(ray_here, spec, tmp_path_factory):
    return train_on_ray(elsewhere(spec, tmp_path_factory.mktemp("both")), 2, threads=1)


def elsewhere(spec: TrainSpec, folder: Path) -> TrainSpec:
    return spec.model_copy(update={"output": str(folder / "net.safetensors")})


def apart(one, other, spec) -> float:
    """The largest distance of a tensor in two networks, as a share of the way that training has moved it.

    Without the biases that the next normalisation takes out again: their gradient is nothing but rounding, and Adam,
    which divides it by its own size, makes whole steps of it. Those are a layer's, but for the head's, and what a
    residual block or the hourglass adds.
    """
    found, other = weights(one["output"]), weights(other["output"])
    torch.manual_seed(spec.seed)
    begun = StyleNetwork(ARCHITECTURES[spec.architecture]).state_dict()
    without = re.compile(r"(?!head).*convolution\.bias|trunk\.\d\.(blocks\.\d\.second|up)\.norm\.bias")
    names = [name for name in found if not without.fullmatch(name)]
    return max(float((found[name] - other[name]).norm() / (found[name] - begun[name]).norm()) for name in names)


class AtStep:
    """An `on_step` that does something once, when that step is told of; `steps` are all that were told of."""

    def __init__(self, step: int, act: Callable[[], None]) -> None:
        self.steps: list[int] = []
        self._step, self._act = step, act

    def __call__(self, told: CourseProgress) -> None:
        due = told.step >= self._step > max(self.steps, default=0)
        self.steps.append(told.step)
        if due:
            self._act()


def workers_of_ray() -> list[int]:
    """Process ids of the training workers that are alive."""
    from ray._private.state import state

    actors = state.actor_table(None, actor_state_name="ALIVE").values()
    return [actor["Pid"] for actor in actors if actor["ActorClassName"].startswith("RayTrainWorker")]


def listening(pid: int) -> set[str]:
    """The addresses, as /proc/net has them, where a process waits for connections."""
    sockets = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            sockets.add(str(file.readlink()))
    rows = [row.split() for kind in ("tcp", "tcp6") for row in Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets}


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


def test_two_workers_come_to_what_one_comes_to(spec, alone, both):
    assert (both["workers"], both["lost_workers"], both["steps"]) == (2, 0, STEPS)
    assert (both["pictures"], both["held_out"]) == (alone["pictures"], alone["held_out"])
    assert both["curve"][0]["training"] == pytest.approx(alone["curve"][0]["training"], rel=1e-5), "before any step"
    for one, other in zip(alone["curve"][:2], both["curve"][:2], strict=True):
        assert other["held_out"]["total"] == pytest.approx(one["held_out"]["total"], rel=1e-3)
    # From there on the few weights whose gradient was near nothing go their own ways: Muon's steps are as long along
    # all directions, and Adam's first ones are equal in size. Measured: 0.00015 of the loss and 0.04 of the way
    assert both["losses"]["total"] == pytest.approx(alone["losses"]["total"], rel=0.002)
    assert apart(alone, both, spec) < 0.1
    folder = training_folder(both["output"])
    assert {path.name for path in folder.iterdir()} == {
        *("train.json", "checkpoint.pt", "best.pt", "curve.png", "samples")
    }
    assert len(list((folder / "samples").iterdir())) == STEPS


@pytest.mark.slow
def test_the_film_is_scanned_once_and_not_by_the_workers(ray_here, style, clip, tmp_path, monkeypatch):
    """The workers are given a scan with more cuts than they would find: they have the pictures that it leaves."""
    scans: list[str] = []

    def scan_with_cuts(path: str) -> VideoScan:
        scans.append(path)
        scan = scan_video(path)
        assert scan.cuts == ()
        return replace(scan, cuts=tuple(range(5, scan.probe.frame_count)))

    monkeypatch.setattr("farm.cluster.train.scan_video", scan_with_cuts)
    spec = make_spec(style, tmp_path / "net.safetensors", video=str(clip), batch=2, steps=1)
    report = train_on_ray(spec, 2, threads=1)
    assert scans == [str(clip)]
    assert report["pictures"] + report["held_out"] == 4, "the pairs of the first five frames"


@pytest.mark.slow
def test_a_lost_worker_is_replaced_and_nothing_is_different(spec, both, tmp_path, monkeypatch):
    """To the bit, as a sum of two does not depend on their order."""
    found: list[set[str]] = []

    def kill_one() -> None:
        pids = workers_of_ray()
        found.extend(map(listening, pids))
        os.kill(pids[0], signal.SIGKILL)

    monkeypatch.setattr("farm.cluster.train.POLL_SECONDS", 0.02)
    at_two, notes = AtStep(2, kill_one), []
    report = train_on_ray(elsewhere(spec, tmp_path), 2, threads=1, on_step=at_two, note=notes.append)
    assert notes == ["a worker was lost; the training goes on from its last checkpoint"]
    assert (report["lost_workers"], report["steps"]) == (1, STEPS)
    assert at_two.steps.count(1) == 1, "it goes on from the checkpoint"
    assert same(weights(report["output"]), weights(both["output"]))
    assert [point["held_out"] for point in report["curve"]] == [point["held_out"] for point in both["curve"]]
    assert len(found) == 2
    assert all(found), "each worker has some port"
    assert set.union(*found) <= LOOPBACK


@pytest.mark.slow
def test_stopped_with_two_it_goes_on_with_one(ray_here, spec, alone, tmp_path, monkeypatch):
    stopped = elsewhere(spec, tmp_path)
    monkeypatch.setattr("farm.cluster.train.POLL_SECONDS", 0.02)
    at_two = AtStep(2, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(CancelledError, match=r"the training is kept in .*net.train; run the same command"):
        train_on_ray(stopped, 2, threads=1, on_step=at_two)
    assert not (tmp_path / "net.safetensors").exists()
    left = torch.load(training_folder(stopped.output) / "checkpoint.pt")["course"]["step"]
    assert 2 <= left < STEPS
    report = train_network(stopped, threads=1)
    assert report["steps"] == len(report["curve"]) == STEPS
    assert report["losses"]["total"] == pytest.approx(alone["losses"]["total"], rel=0.002)
    assert apart(alone, report, spec) < 0.1


@pytest.mark.slow
def test_what_a_worker_cannot_read_is_said_in_one_line(ray_here, spec, photos, tmp_path):
    broken = shutil.copytree(photos, tmp_path / "photos") / "03.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(PictureError, match=r"03.png") as said:
        train_on_ray(elsewhere(spec, tmp_path).model_copy(update={"photos": str(broken.parent)}), 2, threads=1)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "2", "--batch", "1"], "2 workers cannot share a batch of 1 crop; give --batch 2 or more"),
        (["--workers", "3", "--batch", "2"], "3 workers cannot share a batch of 2 crops; give --batch 3 or more"),
        (["--workers", "0"], "Invalid value for '--workers': Input should be greater than or equal to 1"),
    ],
)
def test_bad_input_is_refused_in_a_line(style, photos, tmp_path, options, said):
    given = ["--style", str(style), "--photos", str(photos), "--steps", "2", "-o", str(tmp_path / "net.safetensors")]
    done = farm("train", *given, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_more_than_the_cluster_has_is_refused(ray_here, spec, tmp_path):
    with pytest.raises(UsageError, match="2 workers of 4 threads need 8 cores, and there are 2"):
        train_on_ray(elsewhere(spec, tmp_path), 2, threads=4, address="auto")
