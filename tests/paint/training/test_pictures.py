"""What is trained on: crops that are a function of numbers, held-out pictures, pairs of a film."""

from __future__ import annotations

import numpy as np
import pytest

from farm.errors import PictureError
from farm.paint.training.pictures import Picture, Pictures, load_pictures, split
from farm.spec import TrainSpec
from farm.spec.load import validated


def make_spec(style, **options):
    return validated(
        TrainSpec,
        {"styles": [str(style)], "output": "net.safetensors", "size": 96, "crop": 48, "steps": 2, **options},
    )


def test_a_crop_is_a_function_of_its_numbers(style, photos):
    pictures = load_pictures(make_spec(style, photos=str(photos)))
    one, again, other = (pictures.sample(0, step, 48).frame for step in (1, 1, 2))
    assert one.shape == (48, 48, 3)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_tenth_is_held_out_and_never_trained_on():
    found = [Picture(np.full((8, 8, 3), i, np.uint8)) for i in range(40)]
    pictures = split(found)
    trained, held_out = ({int(one.frame[0, 0, 0]) for one in some} for some in (pictures.training, pictures.held_out))
    assert len(held_out) == 4
    assert trained | held_out == set(range(40))
    assert not trained & held_out
    assert split(found[:1]).held_out == found[:1]


def test_a_film_gives_pairs_of_neighbours(style, clip):
    pictures = load_pictures(make_spec(style, video=str(clip)))
    assert len(pictures.training) + len(pictures.held_out) == 11
    picture = pictures.training[0]
    assert picture.frame.shape == picture.following.shape == (64, 96, 3)
    assert 0 < np.abs(picture.frame.astype(int) - picture.following).mean() < 40
    crop = pictures.sample(0, 0, 48)
    assert crop.frame.shape == crop.following.shape == (48, 48, 3)
    untied = load_pictures(make_spec(style, video=str(clip), weights={"temporal": 0}))
    assert all(one.following is None for one in untied.training)


@pytest.mark.parametrize(
    ("shape", "crop"),
    [
        ((300, 400), (64, 64)),
        ((64, 64), (64, 64)),
        ((40, 90), (40, 90)),
        ((40, 200), (40, 102)),
        ((200, 40), (102, 40)),
    ],
)
def test_a_crop_of_a_low_picture_is_longer_and_never_enlarged(shape, crop):
    columns = np.broadcast_to(np.linspace(0, 255, shape[1]).astype(np.uint8)[None, :, None], (*shape, 3))
    pictures = Pictures([Picture(np.ascontiguousarray(columns))], [])
    for number in range(8):
        found = pictures.sample(0, number, 64).frame
        assert found.shape == (*crop, 3)
        if crop[1] == shape[1]:  # all of its columns
            assert (found[0, :, 0].min(), found[0, :, 0].max()) == (0, 255)


def test_a_crop_is_lighter_or_darker_and_black_and_white_stay():
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (64, 256, 3))
    pictures = Pictures([Picture(np.ascontiguousarray(ramp))], [])
    means = [pictures.sample(0, number, 128).frame.mean() for number in range(40)]
    assert min(means) == pytest.approx(255 / (1 + 1.6), abs=8)  # of x ** 1.6 over 0..1
    assert max(means) == pytest.approx(255 / (1 + 1 / 1.6), abs=8)


def test_photos_are_kept_larger_and_judged_at_their_size(style, photos):
    pictures = load_pictures(make_spec(style, photos=str(photos), size=48))
    assert {one.frame.shape for one in pictures.training} == {(54, 72, 3)}
    assert {one.frame.shape for one in pictures.held_out} == {(36, 48, 3)}
    small = load_pictures(make_spec(style, photos=str(photos), size=200))
    assert {one.frame.shape for one in small.training} == {(150, 200, 3)}


def test_a_film_keeps_its_aspect_however_large_the_crop(style, clip):
    pictures = load_pictures(make_spec(style, video=str(clip), size=48, crop=64))
    assert pictures.training[0].frame.shape == (48, 72, 3)
    assert pictures.sample(0, 0, 64).frame.shape == (48, 72, 3)
    assert pictures.held_out[0].frame.shape == (32, 48, 3)


def test_flat_crops_are_drawn_again():
    flat, noise = (
        np.zeros((64, 64, 3), np.uint8),
        np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8),
    )
    pictures = Pictures([Picture(flat), Picture(noise)], [])
    drawn = [pictures.sample(0, step, 32).frame.std() for step in range(20)]
    assert min(drawn) > 10
    assert Pictures([Picture(flat)], []).sample(0, 0, 32).frame.std() == 0


def test_a_folder_without_pictures_is_refused(style, tmp_path):
    with pytest.raises(PictureError, match="there is no picture in"):
        load_pictures(make_spec(style, photos=str(tmp_path)))
    with pytest.raises(PictureError, match="there is no folder"):
        load_pictures(make_spec(style, photos=str(tmp_path / "none")))
