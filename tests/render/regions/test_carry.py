"""A mask carried along exactly known flow: a disc over a drifting background, and a bar that passes before it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from farm.files.storage import Storage
from farm.flow import match_both_ways
from farm.flow.store import FlowStore
from farm.render.regions.carry import View, carry, sources
from farm.render.regions.fill import fill_unknown

WIDTH, HEIGHT, FRAMES = 128, 96, 32
RADIUS = 24


def texture(seed: int, blur: float, colour: tuple[int, int, int]) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(HEIGHT * 2, WIDTH * 2, 3)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), blur)
    return np.clip(np.array(colour) + 20 * noise / noise.std(), 0, 255).astype(np.uint8)


TEXTURES = (texture(1, 3, (110, 110, 110)), texture(2, 2, (180, 90, 60)), texture(3, 2, (60, 90, 170)))


def places(frame: int) -> list[tuple[float, float]]:
    """Where background, disc and bar are: the bar covers a part of the disc in frames 5 to 20."""
    return [(0.5 * frame, 0), (32 + 1.25 * frame, 40 + 0.25 * frame), (120 - 6 * frame, 0)]


def labels(frame: int) -> np.ndarray:
    """0 background, 1 disc, 2 bar."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    _, (disc_x, disc_y), (bar_x, _) = places(frame)
    found = (np.hypot(x - disc_x, y - disc_y) < RADIUS).astype(int)
    found[(x >= bar_x) & (x < bar_x + 12)] = 2
    return found


def picture(frame: int) -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    painted = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for label, ((dx, dy), image) in enumerate(zip(places(frame), TEXTURES, strict=True)):
        moved = cv2.remap(image, x - np.float32(dx - 60), y - np.float32(dy - 48), cv2.INTER_LINEAR)
        painted[labels(frame) == label] = moved[labels(frame) == label]
    return painted


def exact_flow(source: int, target: int) -> np.ndarray:
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    for label, (here, there) in enumerate(zip(places(source), places(target), strict=True)):
        flow[labels(source) == label] = np.subtract(there, here)
    return flow


def exact_match(source: int, target: int):
    return match_both_ways([(exact_flow(source, target), exact_flow(target, source))])


class Carried:
    """Masks of the clip from the one drawn at `given`."""

    def __init__(self, storage: Storage, given: int) -> None:
        self.flows = FlowStore(storage, exact_match)
        self.given = given
        self.made = {given: (labels(given) == 1).astype(np.uint8) * 255}

    def __call__(self, frame: int) -> np.ndarray:
        if frame not in self.made:
            views = (
                View(self(source), picture(source), self.flows.flow(frame, source), self.flows.weights(frame, source))
                for source in sources(frame, self.given)
            )
            self.made[frame] = carry(picture(frame), views)
        return self.made[frame]


def overlap(mask: np.ndarray, frame: int) -> float:
    """Intersection over union with the part of the disc that is to be seen."""
    inside, true = mask > 127, labels(frame) == 1
    return (inside & true).sum() / (inside | true).sum()


@pytest.mark.parametrize(
    ("frame", "given", "expected"),
    [
        (0, 0, []),
        (1, 0, [0]),
        (8, 0, [0]),
        (9, 0, [8, 0]),
        (30, 0, [24, 16, 0]),
        (75, 100, [76, 84, 100]),
        (133, 100, [132, 124, 108, 100]),
    ],
)
def test_sources_depend_on_numbers_alone(frame, given, expected):
    assert sources(frame, given) == expected


@pytest.mark.parametrize("given", [0, 31])
@pytest.mark.heavy
def test_the_mask_follows_the_object_forwards_and_backwards_and_past_an_occluder(tmp_path, given):
    carried = Carried(Storage(str(tmp_path)), given)
    assert min(overlap(carried(frame), frame) for frame in range(FRAMES)) > 0.97


@pytest.mark.heavy
def test_the_mask_is_the_same_whoever_asks_for_it_first(tmp_path):
    one, other = Carried(Storage(str(tmp_path / "a")), 0), Carried(Storage(str(tmp_path / "b")), 0)
    forwards = [one(frame) for frame in range(12)]
    backwards = [other(frame) for frame in reversed(range(12))][::-1]
    assert np.array_equal(forwards, backwards)


def test_the_edge_of_what_is_unknown_comes_to_lie_on_an_edge_of_the_picture():
    image = np.full((40, 60, 3), 60, np.uint8)
    image[:, 23:] = 200
    true = (image[..., 0] > 100) * np.float32(255)
    known = np.ones((40, 60), np.float32)
    known[10:30, 20:26] = 0
    filled = fill_unknown(np.where(known > 0, true, 77), known, image)
    assert np.abs(filled - true).max() < 1


def test_something_new_of_the_regions_colour_does_not_belong_to_it():
    image = np.full((60, 160, 3), 60, np.uint8)
    image[:, 40:44] = 250
    known = np.zeros((60, 160), np.float32)
    known[:, :40] = 1
    values = known * 255
    filled = fill_unknown(values, known, image)
    assert filled[:, :40].min() == 255
    assert filled[:, 45:].max() == 0


def test_a_small_hole_in_a_region_is_closed_whatever_its_colour():
    image = np.full((60, 160, 3), 60, np.uint8)
    known = np.ones((60, 160), np.float32)
    image[30:33, 80:83], known[30:33, 80:83] = 220, 0
    assert fill_unknown(known * 255, known, image).min() > 250


def test_where_nothing_is_known_there_is_no_region():
    image = np.zeros((20, 30, 3), np.uint8)
    nothing = np.zeros((20, 30), np.float32)
    assert fill_unknown(nothing + 255, nothing, image).max() == 0
