"""Training: it learns, it goes on bit for bit where it was stopped, and what it leaves is whole."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from farm.cli.options import train_spec
from farm.errors import JobMismatchError, OutputError, UsageError
from farm.media.pictures import read_picture
from farm.paint.losses.objective import Objective
from farm.paint.losses.targets import StyleTargets
from farm.paint.network.network_file import load_network_file
from farm.paint.network.painter import InstantPainter
from farm.paint.training.course import begin_training, run_course, training_folder
from farm.paint.training.pictures import load_pictures
from farm.paint.training.run import train_network
from farm.paint.training.step import GROWN, NEAR, TINY, Trainer, contributing_layers, rate_at, work_done
from farm.paint.training.team import Team, TeamEnded
from farm.plan import Runtime
from farm.spec import TrainSpec
from farm.spec.load import validated
from tests.cluster.commands import farm
from tests.paint.training.conftest import SHALLOW

EVALUATIONS = "farm.paint.training.course.EVALUATIONS"


@pytest.fixture(autouse=True)
def _few_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EVALUATIONS, 4)


RUNTIME = Runtime(device="cpu", precision="fp32", threads=1)


def make_spec(style, output, **options):
    values = {"size": 96, "crop": 32, "steps": 6, "precision": "fp32", **SHALLOW, **options}
    return validated(TrainSpec, {"styles": [str(style)], "output": str(output), **values})


def weights(path):
    return load_network_file(path)[0].state_dict()


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture(scope="module")
def learnt(style, photos, tmp_path_factory):
    """A training of 32 steps: its spec and its report."""
    output = tmp_path_factory.mktemp("learnt") / "net.safetensors"
    spec = make_spec(style, output, photos=str(photos), steps=32, learning_rate=5e-3, patience=16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EVALUATIONS, 4)
        return spec, train_network(spec, threads=1)


@pytest.mark.heavy
def test_it_learns(style, photos, learnt):
    spec, report = learnt
    untrained = Trainer(spec, load_pictures(spec), RUNTIME).held_out()["total"]
    losses = [point["held_out"]["total"] for point in report["curve"]]
    assert losses[-1] < 0.7 * untrained
    assert losses[-1] < losses[0]
    assert report["losses"]["total"] == pytest.approx(min(losses), rel=1e-5)
    folder = training_folder(spec.output)
    assert read_picture(folder / "curve.png").shape[1] > 400
    assert len(list((folder / "samples").iterdir())) == len(losses) == 4
    _, card = load_network_file(spec.output)
    assert card.styles == (style.name,)
    assert card.painted_shape == (72, 96)
    assert card.settings["photos"] == photos.name
    assert str(folder.parent) not in card.model_dump_json()


def test_a_film_is_tied_to_itself(style, clip, tmp_path):
    spec = make_spec(style, tmp_path / "net.safetensors", video=str(clip), crop=48)
    trainer = Trainer(spec, load_pictures(spec), RUNTIME)
    assert trainer.step(0, 0.0)["temporal"] > 0
    assert trainer.held_out()["temporal"] > 0


def test_crops_come_round_and_are_renewed(style, photos, tmp_path, monkeypatch):
    """Two are kept here, each for four rounds; which one it is depends on the number alone."""
    monkeypatch.setattr("farm.paint.training.step.KEPT_PIXELS", 2 * 32**2)
    spec = make_spec(style, tmp_path / "net.safetensors", photos=str(photos))
    trainer = Trainer(spec, load_pictures(spec), RUNTIME)
    first = trainer._crop(0)
    assert all(trainer._crop(number) is first for number in (2, 4, 6))
    assert not torch.equal(trainer._crop(1).frames, first.frames)
    second = trainer._crop(8)
    assert not torch.equal(second.frames, first.frames)
    assert len(trainer._kept) == 2
    again = Trainer(spec, load_pictures(spec), RUNTIME)
    assert torch.equal(again._crop(14).frames, second.frames)


def test_the_last_crops_are_whole_pictures(style, photos, tmp_path):
    """Resumed there or come there, the crop is the same."""
    spec = make_spec(style, tmp_path / "net.safetensors", photos=str(photos), batch=1)
    trainer = Trainer(spec, load_pictures(spec), RUNTIME)
    trainer.step(0, GROWN - 0.01)
    assert trainer._crop(0).frames.shape[2:] == (32, 32)
    trainer.step(1, GROWN)
    assert trainer._crop(1).frames.shape[2:] == trainer.painted_shape == (72, 96)
    assert list(trainer._kept) == [1]
    assert {one.frame.shape for one in trainer._held_out_crops()} == {(72, 96, 3)}
    again = Trainer(spec, load_pictures(spec), RUNTIME)
    again.step(1, GROWN)
    assert torch.equal(again._crop(1).frames, trainer._crop(1).frames)


@pytest.mark.heavy
def test_a_trained_network_learns_on(style, photos, learnt, tmp_path):
    """From where it was, with whole pictures from its first step."""
    first, report = learnt
    trained = report["losses"]["total"]
    spec = make_spec(style, tmp_path / "b.safetensors", photos=str(photos), network=first.output, steps=4)
    trainer = Trainer(spec, load_pictures(spec), RUNTIME)
    assert trainer.held_out()["total"] == pytest.approx(trained, rel=1e-4)
    trainer.step(0, 0.0)
    assert trainer._crop(0).frames.shape[2:] == (72, 96)
    assert train_network(spec, threads=1)["losses"]["total"] < trained
    card = load_network_file(spec.output)[1]
    assert card.settings["network"] == "net.safetensors"


def test_another_architecture_cannot_learn_on(style, photos, network_file, tmp_path):
    spec = make_spec(
        style, tmp_path / "b.safetensors", photos=str(photos), network=str(network_file), architecture="johnson"
    )
    with pytest.raises(UsageError, match="is no johnson network; give its --architecture"):
        train_network(spec, threads=1)


@pytest.mark.heavy
def test_stopped_and_continued_it_comes_to_the_same_bits(style, photos, tmp_path):
    undisturbed = train_network(make_spec(style, tmp_path / "a.safetensors", photos=str(photos)), threads=1)
    spec = make_spec(style, tmp_path / "b.safetensors", photos=str(photos))
    calls = iter(range(100))

    def stop_in_the_middle() -> None:
        if next(calls) == 4:
            raise KeyboardInterrupt

    begin_training(spec, overwrite=False)
    trainer = Trainer(spec, load_pictures(spec), RUNTIME)
    with pytest.raises(KeyboardInterrupt):
        run_course(spec, trainer, check_interruption=stop_in_the_middle)
    assert not (tmp_path / "b.safetensors").exists()
    continued = train_network(spec, threads=1)
    assert same(weights(tmp_path / "a.safetensors"), weights(tmp_path / "b.safetensors"))
    assert [one["held_out"] for one in continued["curve"]] == [one["held_out"] for one in undisturbed["curve"]]


@pytest.mark.heavy
def test_another_spec_is_refused_and_nothing_is_overwritten(style, photos, tmp_path):
    spec = make_spec(style, tmp_path / "net.safetensors", photos=str(photos), steps=2)
    train_network(spec, threads=1)
    with pytest.raises(OutputError, match="exists already"):
        train_network(spec, threads=1)
    (tmp_path / "net.safetensors").unlink()
    with pytest.raises(JobMismatchError, match="crop: 32 -> 48"):
        train_network(spec.model_copy(update={"crop": 48}), threads=1)
    assert train_network(spec, threads=1)["steps"] == 2
    (training_folder(spec.output) / "checkpoint.pt").write_bytes(b"broken")
    (tmp_path / "net.safetensors").unlink()
    with pytest.raises(OutputError, match=r"checkpoint.pt is damaged; remove .*net.train"):
        train_network(spec, threads=1)


def test_how_many_cores_work_changes_no_bit(style, photos, tmp_path):
    spec = make_spec(style, tmp_path / "net.safetensors", photos=str(photos))
    pictures = load_pictures(spec)
    told, states = [], []
    for threads in (1, 2):
        trainer = Trainer(spec, pictures, Runtime(device="cpu", precision="fp32", threads=threads))
        told.append([trainer.step(number, 0.5) for number in range(3)])
        states.append(trainer.network.state_dict())
    assert told[0] == told[1]
    assert same(*states)


def test_far_from_the_style_it_weighs_less_and_losses_are_told_by_the_weights_of_the_spec(style, photos, tmp_path):
    spec = make_spec(style, tmp_path / "net.safetensors", photos=str(photos))
    trainer = Trainer(spec, load_pictures(spec), RUNTIME)
    first = trainer.step(0, 0.5)
    share = trainer._distance.style_share()
    assert share == pytest.approx(NEAR * first["content"] / first["style"], rel=1e-3)
    assert share < 0.5
    second = trainer.step(1, 0.5)
    assert second["total"] == pytest.approx(sum(value for name, value in second.items() if name != "total"))
    assert second["style"] > 0.2 * first["style"]
    trainer._distance.style = 1.0
    assert trainer._distance.style_share() == 1.0


def noted_weights(monkeypatch):
    """The weights of style and temporal loss that every objective is told from now on."""
    weighed = []
    weigh = Objective.weigh

    def noted(objective, style, temporal):
        weighed.append((style, temporal))
        weigh(objective, style, temporal)

    monkeypatch.setattr(Objective, "weigh", noted)
    return weighed


@pytest.mark.parametrize(("weight", "told"), [(400, [100, 400]), (100, [100, 100]), (20, [20, 20])])
def test_a_heavy_style_waits_for_whole_pictures(style, photos, tmp_path, monkeypatch, weight, told):
    spec = make_spec(style, tmp_path / "net.safetensors", photos=str(photos), weights={"style": weight})
    trainer = Trainer(spec, load_pictures(spec), RUNTIME)
    trainer._distance.content = 1.0
    weighed = noted_weights(monkeypatch)
    for number, progress in enumerate((GROWN - 0.01, GROWN)):
        trainer._distance.style = TINY
        trainer.step(number, progress)
    assert [pair[0] for pair in weighed[:: spec.batch]] == pytest.approx(told)


def test_where_a_network_learns_on_a_heavy_style_does_not_wait(style, photos, network_file, tmp_path, monkeypatch):
    options = {"photos": str(photos), "network": str(network_file), "weights": {"style": 400}}
    spec = make_spec(style, tmp_path / "net.safetensors", **options)
    trainer = Trainer(spec, load_pictures(spec), RUNTIME)
    trainer._distance.content, trainer._distance.style = 1.0, TINY
    weighed = noted_weights(monkeypatch)
    trainer.step(0, 0.0)
    assert weighed[0][0] == pytest.approx(400)


def test_a_film_s_temporal_loss_weighs_less_with_its_style(style, clip, tmp_path, monkeypatch):
    """Else a film far from its style is best left as it is."""
    spec = make_spec(style, tmp_path / "net.safetensors", video=str(clip))
    trainer = Trainer(spec, load_pictures(spec), RUNTIME)
    trainer.step(0, 0.5)
    weighed = noted_weights(monkeypatch)
    told = trainer.step(1, 0.5)
    style, temporal = weighed[0]
    share = style / spec.weights.style
    assert share < 0.5
    assert temporal / spec.weights.temporal == pytest.approx(share**0.5)
    assert told["temporal"] > 0


def test_a_style_without_content_keeps_its_weight(style, photos, tmp_path):
    spec = make_spec(style, tmp_path / "net.safetensors", photos=str(photos), weights={"content": 0})
    trainer = Trainer(spec, load_pictures(spec), RUNTIME)
    trainer.step(0, 0.5)
    assert trainer._distance.style_share() == 1.0


def test_a_layer_without_a_say_is_left_out():
    layers = {"relu1_1": 1.0, "relu5_1": 1.0}
    targets = StyleTargets({"relu1_1": torch.full((4, 4), 100.0), "relu5_1": torch.full((4, 4), 1.0)})
    assert contributing_layers(layers, targets) == {"relu1_1": 1.0}
    assert contributing_layers({**layers, "relu5_1": 10.0}, targets) == {"relu1_1": 1.0, "relu5_1": 10.0}


class Follower(Team):
    """The second of two, as the first might lead it; when nothing more is told, that one stopped."""

    rank, size = 1, 2

    def __init__(self, told):
        self._told = iter(told)

    def led(self, compute):
        for value in self._told:
            return value
        raise TeamEnded


def followed(style, photos, tmp_path, told):
    spec = make_spec(style, tmp_path / "net.safetensors", photos=str(photos), batch=2, steps=None, budget=10)
    trainer = Trainer(spec, load_pictures(spec), RUNTIME, Follower(told))
    steps = []
    take = trainer.step
    trainer.step = lambda number, share: (steps.append((number, round(share, 3))), take(number, share))[1]
    return spec, trainer, steps


AT_STEP_0, GO_ON, ENOUGH = 0.0, 0.0, 1.0


@pytest.mark.heavy
def test_a_follower_goes_by_the_leaders_clock_and_writes_nothing(style, photos, tmp_path):
    told = [AT_STEP_0, 1.0, 3.0, GO_ON, 9.0, GO_ON, 11.0, ENOUGH]
    spec, trainer, steps = followed(style, photos, tmp_path, told)
    assert run_course(spec, trainer) == {}
    assert steps == [(0, 0.1), (1, 0.3), (2, 0.9), (3, 1.1)]
    spec, trainer, steps = followed(style, photos, tmp_path, told[:3])
    with pytest.raises(TeamEnded):
        run_course(spec, trainer)
    assert len(steps) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_team_that_sees_different_checkpoints_is_refused(style, photos, tmp_path):
    spec, trainer, steps = followed(style, photos, tmp_path, [40.0])
    with pytest.raises(OutputError, match="is not the same for all workers"):
        run_course(spec, trainer)
    assert steps == []


def test_the_rate_rises_then_falls():
    rates = [rate_at(i / 100) for i in range(101)]
    assert rates[0] < 0.1
    assert max(rates) == rates[2] > 0.99
    assert rates[2:] == sorted(rates[2:], reverse=True)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_painted_frames_do_not_depend_on_the_batch(network_file, precision):
    painter = InstantPainter(str(network_file), Runtime(device="cpu", precision=precision, threads=1))
    frames = [np.random.default_rng(i).integers(0, 255, (43, 64, 3), dtype=np.uint8) for i in range(5)]
    together = painter.paint(frames)
    assert all(np.array_equal(painter.paint([frame])[0], one) for frame, one in zip(frames, together, strict=True))
    assert together[0].shape == (43, 64, 3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"style": []}, "no style is given"),
        ({"photos": None}, "nothing to train on"),
        ({"steps": None}, "how long to train"),
        ({"budget": "10m"}, "one of them"),
        ({"steps": None, "budget": "soon"}, "no length of time"),
        ({"output": "net.pth"}, "must end in .safetensors"),
        ({"learning_rate": 3.0}, "learning_rate"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(options, said):
    given = {"style": ["a.png"], "photos": "p", "output": "n.safetensors", "steps": 3, **options}
    with pytest.raises(UsageError, match=said):
        train_spec({name: value for name, value in given.items() if value is not None})


@pytest.mark.heavy
def test_the_command(style, photos, tmp_path):
    command = ["train", "--style", str(style), "--photos", str(photos), "--steps", "2"]
    command += ["--size", "64", "--crop", "32", "--content-layers", "relu1_2", "--style-layers", "relu1_1"]
    command += ["-o", str(tmp_path / "net.safetensors"), "--threads", "1", "--json"]
    done = farm(*command)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 2
    again = farm(*command)
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1


def test_work_is_told_by_pixels():
    """A last crop has four times the pixels of a first: of 60 and 40 steps' work, 60 : 160."""
    shares = [work_done(progress, 100, (200, 200)) for progress in (0.0, 0.3, 0.6, 0.8, 1.0)]
    assert shares == pytest.approx([0.0, 30 / 220, 60 / 220, 140 / 220, 1.0])
