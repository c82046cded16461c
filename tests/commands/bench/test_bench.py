"""The bench on a tiny clip: what it counts, and that it tells what changed since the last time."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from farm.commands.bench.clip import busy_shares, render_alone
from farm.commands.bench.report import AROUND, OPTIMISER, _last_report, bench_table, run_bench
from farm.commands.bench.step import bare_convolutions, measure_step
from farm.errors import InputError, UsageError
from farm.job import FrameRecord
from farm.paint.features.vgg import VGGFeatures
from farm.paint.features.weights import load_weights
from farm.paint.losses.objective import OptimizeSettings
from farm.paint.losses.targets import Style, StyleTargets
from farm.paint.stopwatch import taken
from farm.spec import build_spec


def rows(*frames: tuple[str, float, float]) -> list[FrameRecord]:
    """Frames as (worker, committed, seconds)."""
    return [
        FrameRecord(frame=at, sha256="", worker=worker, committed=committed, seconds=seconds)
        for at, (worker, committed, seconds) in enumerate(frames)
    ]


@pytest.mark.parametrize(
    ("frames", "shares"),
    [
        # from 3, the third commit, to 11
        ([("a", 1, 1), ("a", 2, 1), ("a", 3, 1), ("a", 7, 4), ("b", 11, 6)], {"a": 0.5, "b": 0.75}),
        # a frame that was begun before the third commit counts from there
        ([("a", 1, 1), ("a", 2, 1), ("a", 3, 1), ("b", 5, 4), ("a", 7, 4)], {"a": 1.0, "b": 0.5}),
        # one that was committed while the next was painted counts once
        ([("a", 0, 1), ("a", 1, 1), ("a", 2, 1), ("a", 5, 2), ("a", 6, 3)], {"a": 0.75}),
    ],
)
def test_how_busy_workers_were_from_the_third_frame_on(frames, shares):
    assert busy_shares(rows(*frames)) == shares


@pytest.fixture
def spec(clip, style, tmp_path):
    values = {"size": 64, "iterations": {"first": 3, "next": 2}, "passes": 2, "chunk_frames": 2, "overlap": 1}
    values |= {"style_layers": "relu1_1,relu2_1", "content_layers": "relu2_1"}
    paths = {"video": str(clip), "styles": [str(style)], "output": str(tmp_path / "film.mp4")}
    return build_spec({**paths, **values, "frames": "0-3", "precision": "fp32"})


def test_the_bare_convolutions_are_those_of_the_network_and_no_more(monkeypatch):
    features = VGGFeatures(load_weights())
    seen = []
    forward = torch.nn.functional.conv2d

    def counting(x, weight, bias, padding):
        seen.append((tuple(x.shape), tuple(weight.shape)))
        return forward(x, weight, bias, padding=padding)

    monkeypatch.setattr(torch.nn.functional, "conv2d", counting)
    bare_convolutions(features, {"relu1_1", "relu2_1"}, (38, 52))()
    assert seen == [
        ((1, 3, 38, 52), (64, 3, 3, 3)),
        ((1, 64, 38, 52), (64, 64, 3, 3)),
        ((1, 64, 19, 26), (128, 64, 3, 3)),
    ]


@pytest.mark.heavy
def test_a_step_is_measured_and_its_loss_falls():
    picture = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    features, settings = VGGFeatures(load_weights()), OptimizeSettings(style_layers={"relu1_1": 1.0, "relu2_1": 1.0})
    targets = StyleTargets.of(features, [Style(picture[::-1, :, ::-1])], (48, 64), layers=settings.style_layers)
    found, longer = (measure_step(features, targets, settings, picture, repeats) for repeats in (2, 8))
    assert found.loss > longer.loss > 0
    assert found.step > 0
    assert found.bare > 0
    assert set(found.parts) == {"forward", "backward", "losses", "optimizer"}
    assert sum(longer.parts.values()) == pytest.approx(longer.step, rel=0.5)


def test_the_clip_is_rendered_whole_and_every_second_has_a_stage(spec, tmp_path):
    taken()
    found = render_alone(spec, tmp_path, threads=1)
    assert found.frames == 4
    assert found.steps >= 4
    assert {*AROUND, *OPTIMISER} <= set(found.stages)
    assert sum(found.stages.values()) == pytest.approx(found.wall)
    assert found.stages["other"] > 0
    assert found.quality.loss > 0
    assert found.quality.fine_moving is None or found.quality.fine_moving > 0
    again = render_alone(spec, tmp_path, threads=1)
    assert again.steps == found.steps  # nothing of the first was found and taken
    assert again.quality == found.quality


def test_the_report_is_kept_and_compared(spec, tmp_path):
    first = run_bench(spec, tmp_path / "bench", threads=1)
    assert first["last"] is None
    kept = json.loads((tmp_path / "bench" / "bench.json").read_text())
    second = run_bench(spec, tmp_path / "bench", threads=1)
    assert second["last"] == kept
    alone, compared = bench_table(first, None), bench_table(second, second["last"])
    assert "clip.mp4: 4 frames of 64x43" in alone
    assert "times the bare convolutions" in alone
    assert "x\n" not in alone
    assert compared.count("x\n") > 8
    other = {**kept, "clip": {**kept["clip"], "frames": 5}}
    assert "x\n" not in bench_table(second, other)


def test_a_last_report_that_cannot_be_read_is_no_obstacle(tmp_path):
    kept = tmp_path / "bench.json"
    assert _last_report(kept) is None
    for text in ("", "[]", '{"clip": 1}', "\x00"):
        kept.write_text(text)
        assert _last_report(kept) is None


def test_a_film_that_is_not_there_leaves_nothing_behind(spec, tmp_path):
    with pytest.raises(InputError, match=r"none\.mp4"):
        run_bench(spec.model_copy(update={"video": str(tmp_path / "none.mp4")}), tmp_path / "bench")
    assert not (tmp_path / "bench").exists()


def test_a_method_without_an_optimiser_is_refused(spec, tmp_path):
    with pytest.raises(UsageError, match="no optimiser"):
        run_bench(spec.model_copy(update={"method": "identity"}), tmp_path)
