from __future__ import annotations

import numpy as np
import pytest
import torch

from farm.errors import UsageError
from farm.paint.losses.functional import STYLE_LAYERS, gram_matrix
from farm.paint.losses.targets import BlendedTargets, Style, StyleTargets, TargetPart, TargetStore, matching_size
from farm.paint.tensors import image_to_tensor

LAYERS = ("relu1_1", "relu2_1")


@pytest.mark.parametrize(
    ("style", "content", "scale", "expected"),
    [
        ((100, 400), (50, 50), 1.0, (25, 100)),
        ((640, 1024), (144, 256), 1.0, (152, 243)),
        ((200, 200), (100, 100), 0.5, (50, 50)),
        ((50, 50), (100, 100), 2.0, (200, 200)),
        ((4000, 20), (64, 64), 1.0, (905, 16)),  # never too small for the network
    ],
)
def test_a_style_gets_the_contents_area_and_keeps_its_aspect(style, content, scale, expected):
    assert matching_size(style, content, scale) == expected


def test_targets_are_the_gram_matrices_of_the_resized_painting(features, painting):
    targets = StyleTargets.of(features, [Style(painting)], (96, 96))
    with torch.no_grad():
        found = features(image_to_tensor(painting), STYLE_LAYERS)
    assert set(targets.grams) == set(STYLE_LAYERS)
    for name, gram in targets.grams.items():
        assert torch.equal(gram, gram_matrix(found[name]))
        assert not gram.requires_grad


def test_several_styles_give_the_weighted_mean(features, painting, content):
    def grams(*styles):
        return StyleTargets.of(features, styles, (64, 64), layers=LAYERS).grams

    first, second = grams(Style(painting)), grams(Style(content))
    mixed = grams(Style(painting, 3), Style(content, 1))
    for name in LAYERS:
        assert torch.allclose(mixed[name], 0.75 * first[name] + 0.25 * second[name], rtol=1e-5)
    assert all(torch.equal(grams(Style(painting, 2), Style(content, 0))[name], first[name]) for name in LAYERS)


@pytest.mark.parametrize("shares", [[], [0.0], [1.0, -1.0], [float("nan")]])
def test_refuses_weights_without_a_meaning(features, painting, shares):
    with pytest.raises(UsageError, match="weights"):
        StyleTargets.of(features, [Style(painting, share) for share in shares], (64, 64))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_refuses_an_impossible_scale(features, painting, scale):
    with pytest.raises(UsageError, match="style scale"):
        StyleTargets.of(features, [Style(painting)], (64, 64), scale)


def test_a_picture_of_any_dtype_layout_is_accepted(features, painting):
    flipped = np.flip(painting, axis=1)  # negative strides
    assert StyleTargets.of(features, [Style(flipped)], (64, 64), layers=LAYERS).grams


def test_a_blend_of_single_paintings_is_the_targets_of_all_bit_for_bit(features, painting, content):
    store = TargetStore(features, LAYERS)
    parts = [TargetPart("a", lambda: painting, 1.0, 0.75), TargetPart("b", lambda: content, 1.0, 0.25)]
    mixed = StyleTargets.of(features, [Style(painting, 3), Style(content, 1)], (64, 64), layers=LAYERS)
    found = BlendedTargets(store, parts).at((64, 64))
    assert all(torch.equal(found.grams[name], mixed.grams[name]) for name in LAYERS)


def test_a_store_reads_a_painting_once_and_keeps_no_more_than_it_may(features, painting):
    reads = []

    def part(name, scale=1.0):
        return TargetPart(name, lambda: reads.append(name) or painting, scale, 1.0)

    store = TargetStore(features, LAYERS)
    for one in (part("a"), part("a"), part("a", 2.0), part("a")):
        store.at(one, (64, 64))
    assert reads == ["a", "a"]
    one_of_them = store.kept_bytes // 2
    small = TargetStore(features, LAYERS, most_bytes=2 * one_of_them)
    for number in range(5):
        small.at(part(number), (64, 64))
        assert small.kept_bytes <= 2 * one_of_them
    reads.clear()
    small.at(part(4), (64, 64))
    small.at(part(0), (64, 64))
    assert reads == [0]
