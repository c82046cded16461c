"""A spec on frames: colours per shot, starts, layers and networks of the user's choice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from farm.errors import UsageError, WeightsError
from farm.paint.color.matching import YIQ_FROM_RGB, color_statistics
from farm.paint.losses.targets import StyleTargets
from farm.paint.losses.ties import TemporalTie
from farm.paint.styler import SHOTS_KEPT, FrameStyler, optimize_settings
from farm.plan import Runtime
from farm.spec import build_spec
from tests.conftest import small_vgg

SIZE = (48, 40)
RUNTIME = Runtime(device="cpu", precision="fp32", threads=1)
LAYERS = {"content_layers": "relu2_1", "style_layers": "relu1_1,relu2_1"}
"""Shallow: these tests are of the wiring."""


def frame(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    noise = generator.normal(generator.integers(60, 190, 3), generator.integers(10, 40, 3), (SIZE[1], SIZE[0], 3))
    return noise.round().clip(0, 255).astype(np.uint8)


class Sample:
    """Frames of a shot, and which shots were asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, shot: int) -> Iterator[np.ndarray]:
        self.asked.append(shot)
        yield from (frame(10 * shot + i) for i in range(3))


def make_styler(style: Path, sample: Sample | None = None, **options: object) -> FrameStyler:
    spec = build_spec({"video": "v.mp4", "output": "o.mp4", "styles": [str(style)], **LAYERS, **options})
    return FrameStyler(spec, SIZE, RUNTIME, sample or Sample())


def test_colours_are_taken_once_per_shot_and_forgotten_in_the_end(style):
    sample = Sample()
    styler = make_styler(style, sample, color="match")
    first = styler.of_shot(0)
    assert styler.of_shot(1) is not first
    assert styler.of_shot(0) is first
    for shot in range(2, SHOTS_KEPT + 2):
        styler.of_shot(shot)
    assert sample.asked == list(range(SHOTS_KEPT + 2))
    styler.of_shot(0)
    assert sample.asked[-1] == 0


def test_without_colours_no_frame_is_read_and_all_shots_are_one(style):
    sample = Sample()
    styler = make_styler(style, sample)
    assert styler.of_shot(0) is styler.of_shot(7)
    assert sample.asked == []


@pytest.mark.parametrize("way", ["first", "next"])
def test_luminance_keeps_the_colours_of_each_frame(style, way):
    shot = make_styler(style, color="luminance").of_shot(0)
    content = frame(5)
    if way == "first":
        made = shot.first(content, 6)
    else:
        tie = TemporalTie(frame(6).astype(np.float32), np.ones((SIZE[1], SIZE[0]), np.float32))
        made = shot.next(content, frame(6).astype(np.float32), 6, [tie])
    assert np.abs((made.image.astype(float) - content) @ YIQ_FROM_RGB[1:].T).max() < 1e-9
    assert np.abs((made.image.astype(float) - content) @ YIQ_FROM_RGB[0]).mean() > 2


def test_a_tie_is_to_the_luminance_of_a_coloured_frame(style):
    """Colours of the neighbour must not matter, its luminance must."""
    shot = make_styler(style, color="luminance").of_shot(0)
    content, neighbour = frame(5), frame(6).astype(np.float32)
    grey = np.repeat((neighbour @ YIQ_FROM_RGB[0])[..., None], 3, axis=2).astype(np.float32)
    weight = np.ones((SIZE[1], SIZE[0]), np.float32)
    made = [
        shot.next(content, content, 4, [TemporalTie(image, weight)]).image for image in (neighbour, grey, 255 - grey)
    ]
    assert np.abs(made[0].astype(int) - made[1]).max() <= 1
    assert np.abs(made[0].astype(int) - made[2]).max() > 20


@pytest.mark.parametrize("content_weight", [5.0, 0.0])
def test_losses_are_by_the_usual_weights_whatever_a_frame_starts_from(style, content_weight):
    """Paint that was carried to a frame is held against it with more weight, which its report does not show."""
    shot = make_styler(style, weights={"content": content_weight}).of_shot(0)
    content, start = frame(5), frame(6).astype(np.float32)
    usual, warm = (shot.next(content, start, 0, [], warm=warm).losses for warm in (False, True))
    assert warm.keys() == usual.keys()
    assert (usual["content"] > 0) == (content_weight > 0)
    for name, loss in usual.items():
        assert warm[name] == pytest.approx(loss, rel=1e-6), name


def test_carried_paint_is_drawn_to_the_film_by_more(style):
    shot = make_styler(style).of_shot(0)
    content, start = frame(5), frame(9).astype(np.float32)
    usual, warm = (shot.next(content, start, 20, [], warm=warm).losses["content"] for warm in (False, True))
    assert warm < usual


def test_matched_colours_pull_the_result_to_the_contents(style):
    content = frame(5)
    distances = {}
    for color in ("none", "match"):
        styler = make_styler(style, lambda _: [content], color=color, weights={"content": 0})
        made = styler.of_shot(0).first(content, 25).image
        distances[color] = np.abs(color_statistics([made])[0] - color_statistics([content])[0]).max()
    assert distances["match"] < 0.5 * distances["none"]


def test_starts(style, tmp_path):
    content = frame(5)
    Image.fromarray(frame(6)).save(tmp_path / "start.png")
    starts = {
        name: make_styler(style, init=init, seed=seed).of_shot(0).first(content, 0).image
        for name, init, seed in [
            ("content", "content", 0),
            ("style", "style", 0),
            ("noise", "noise", 0),
            ("again", "noise", 0),
            ("other", "noise", 1),
            ("picture", str(tmp_path / "start.png"), 0),
        ]
    }
    assert np.array_equal(starts["content"], content)
    assert np.array_equal(starts["picture"], frame(6))
    assert np.array_equal(starts["noise"], starts["again"])
    different = [starts[name] for name in ("content", "style", "noise", "other", "picture")]
    for number, one in enumerate(different):
        assert all(np.abs(one.astype(int) - other).mean() > 5 for other in different[:number])


def test_settings_are_the_specs():
    spec = build_spec(
        {
            "video": "v.mp4",
            "output": "o.mp4",
            "styles": ["a"],
            "content_layers": "relu3_2:2",
            "style_layers": "relu1_1:3",
            "optimizer": "adam",
            "learning_rate": 4,
            "weights": {"content": 1, "style": 2, "temporal": 3, "tv": 4},
        }
    )
    found = optimize_settings(spec, 7)
    assert (found.content_layers, found.style_layers) == ({"relu3_2": 2}, {"relu1_1": 3})
    assert (found.optimizer, found.learning_rate, found.window) == ("adam", 4, 7)
    assert (found.content_weight, found.style_weight, found.temporal_weight, found.tv_weight) == (1, 2, 3, 4)


@pytest.mark.parametrize(
    "options",
    [
        {"style_layers": "relu1_1:1,relu2_1:9"},
        {"content_layers": "relu1_2"},
        {"optimizer": "adam"},
        {"pooling": "avg"},
        {"weights": {"tv": 50}},
    ],
)
def test_every_option_changes_the_picture(style, options):
    content = frame(5)
    plain, changed = (make_styler(style, **some).of_shot(0).first(content, 6).image for some in ({}, options))
    assert not np.array_equal(plain, changed)


def test_a_network_from_a_file(style, tmp_path):
    torch.save(small_vgg(), tmp_path / "faces.pth")
    content = frame(5)
    built_in = make_styler(style).of_shot(0).first(content, 6).image
    pictures = [
        make_styler(style, features=str(tmp_path / "faces.pth"), features_input=given).of_shot(0).first(content, 6)
        for given in ("torchvision", "caffe")
    ]
    assert not np.array_equal(pictures[0].image, built_in)
    assert not np.array_equal(pictures[0].image, pictures[1].image)
    with pytest.raises(UsageError, match="vgg11 has no layer 'relu3_3'; it has relu1_1, relu2_1, relu3_1"):
        make_styler(style, features=str(tmp_path / "faces.pth"), style_layers="relu3_3")
    with pytest.raises(UsageError, match="vgg19 has no layer 'relu1_3'"):
        make_styler(style, style_layers="relu1_3")
    with pytest.raises(WeightsError, match="there is no weights file"):
        make_styler(style, features=str(tmp_path / "none.pth"))


@pytest.mark.heavy
def test_style_targets_are_computed_once_for_each_size_of_a_shot(tmp_path, monkeypatch):
    """Coarse to fine asks for two sizes of a first frame; the frames that follow ask for the larger one again.

    A region has a style of its own, and targets of its own; one that keeps the photograph has none.
    """
    computed = []
    compute = StyleTargets.of.__func__

    def watched(cls, features, styles, content_size, *rest):
        computed.append((content_size, int(styles[0].image[0, 0, 0])))
        return compute(cls, features, styles, content_size, *rest)

    monkeypatch.setattr(StyleTargets, "of", classmethod(watched))
    for name, level in (("whole", 10), ("region", 20)):
        Image.fromarray(np.full((40, 40, 3), level, np.uint8)).save(tmp_path / f"{name}.png")
    content = np.full((384, 400, 3), 90, np.uint8)  # two levels: the shorter side is twice the coarsest one
    left, right = np.zeros((2, 384, 400), np.float32)
    left[:, :100], right[:, 300:] = 1, 1
    spec = build_spec(
        {
            "video": "v.mp4",
            "output": "o.mp4",
            "styles": [str(tmp_path / "whole.png")],
            "regions": [
                {"mask": "left.png", "styles": [str(tmp_path / "region.png")]},
                {"mask": "right.png", "styles": []},
            ],
            **LAYERS,
        }
    )
    shot = FrameStyler(spec, (400, 384), RUNTIME, Sample()).of_shot(0)
    shot.first(content, 0, [left, right])
    shot.first(content, 0, [left, right])
    shot.next(content, content.astype(np.float32), 0, (), [left, right])
    shot.losses(content, content)
    assert computed == [((192, 200), 10), ((192, 200), 20), ((384, 400), 10), ((384, 400), 20)]
