"""The estimate of memory: by hand, against a real process, and the way that is chosen by it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from farm.errors import OptimizationError
from farm.paint.optimizer.frame import OptimizeSettings
from farm.paint.optimizer.memory import HEADROOM, SMALLEST_TILE, MemoryModel, MemoryPlan, plan_memory, usable_tiles

GIB = 1024**3
UHD, HD = (2160, 3840), (1080, 1920)


@pytest.fixture(scope="module")
def model(features):
    return MemoryModel.of(features, OptimizeSettings())


def test_feature_maps_are_counted_down_to_the_deepest_layer(features):
    shallow = MemoryModel.of(features, OptimizeSettings(style_layers={"relu1_1": 1.0}, content_layers={"relu2_1": 1.0}))
    # relu1_1 and relu1_2; the pooled map with its indices; relu2_1; one map of gradients.
    assert shallow.feature_bytes(1) == (64 + 64) * 4 + 64 // 4 * (4 + 8) + 128 // 4 * 4 + 64 * 4


def test_bfloat16_and_average_pooling_take_less(features, model):
    half = MemoryModel.of(features.with_dtype(torch.bfloat16), OptimizeSettings())
    assert half.feature_bytes(1000) < 0.6 * model.feature_bytes(1000)


def test_adam_keeps_no_pairs(features, model):
    adam = MemoryModel.of(features, OptimizeSettings(optimizer="adam"))
    assert model.estimate(HD) - adam.estimate(HD) == 2 * 19 * 12 * 1080 * 1920


def test_without_a_limit_or_within_it_a_picture_is_painted_whole(model):
    assert plan_memory(UHD, model, None) == MemoryPlan(None, 20, model.estimate(UHD))
    assert plan_memory((540, 960), model, 3 * GIB).tile is None


def test_4k_within_6_gib(model):
    plan = plan_memory(UHD, model, 6 * GIB)
    assert plan.tile >= 512
    assert plan.history >= 8
    assert plan.bytes <= HEADROOM * 6 * GIB


def test_less_memory_means_smaller_tiles_never_larger(model):
    tiles = [plan_memory(HD, model, round(limit * GIB)).tile for limit in (2, 2.5, 3, 4, 6)]
    assert tiles == sorted(tiles)
    assert tiles[0] < tiles[-1]


def test_a_picture_beyond_all_tiles_is_refused_with_what_it_takes(model):
    with pytest.raises(
        OptimizationError, match=r"3840x2160 needs \d\.\d GiB of memory and may take 2\.0 GiB"
    ) as caught:
        plan_memory(UHD, model, 2 * GIB)
    assert "--max-memory" in caught.value.remedy


def test_tiles_that_are_tried_cut_the_picture():
    assert usable_tiles((500, 700)) == [512, 384, 256, 128, 64]
    assert usable_tiles((500, 700), below=256) == [128, 64]
    assert usable_tiles((40, 64)) == []
    assert usable_tiles((4000, 4000), below=SMALLEST_TILE) == []


MEASURE = """
import json, re, sys
from pathlib import Path
import numpy as np
from farm.paint.optimizer.memory import MemoryModel
from farm.paint.optimizer.frame import FrameOptimizer, OptimizeSettings
from farm.paint.losses.targets import Style, StyleTargets
from farm.paint.features.vgg import VGGFeatures
from farm.paint.features.weights import load_weights
height, width, tile = map(int, sys.argv[1:])
noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
features, settings = VGGFeatures(load_weights()), OptimizeSettings(history=2)
targets = StyleTargets.of(features, [Style(noise)], (64, 64))
FrameOptimizer(features, targets, settings, tile or None).stylize(noise, noise, 1)
# not ru_maxrss: that begins at the size of the process that started this one
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
estimate = MemoryModel.of(features, settings).estimate((height, width), tile or None)
print(json.dumps({"peak": peak, "estimate": estimate}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the peak")
@pytest.mark.parametrize(("height", "width", "tile"), [(384, 512, 0), (256, 512, 64)])
@pytest.mark.slow
@pytest.mark.process
def test_the_estimate_is_near_a_real_process(height, width, tile):
    arguments = [sys.executable, "-c", MEASURE, str(height), str(width), str(tile)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert 0.7 < found["estimate"] / found["peak"] < 1.4
