from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from farm.errors import VideoError
from farm.media import scan as scanning
from farm.media.scan import SceneMeter, scan_video
from farm.media.shots import find_cuts
from tests.media.clips import write_clip

STILL = 0.002


def _film(*levels: int) -> np.ndarray:
    return np.stack([np.full((18, 32), level, np.uint8) for level in levels])


def _scores(frames: int, **at: float) -> list[float]:
    return [at.get(f"f{i}", STILL) for i in range(frames)]


@pytest.mark.parametrize(
    ("scores", "levels", "cuts"),
    [
        ([0.0], [50], ()),
        (_scores(8), [50] * 8, ()),
        (_scores(8, f4=0.6), [50] * 4 + [120] * 4, (4,)),
        (_scores(8, f1=0.6), [50] + [120] * 7, (1,)),
        (_scores(8, f7=0.6), [50] * 7 + [120], (7,)),
        # between two dark pictures: faint, but nothing else moves
        (_scores(24, f12=0.08), [10] * 12 + [20] * 12, (12,)),
        # as faint, in the middle of motion
        ([0.05] * 12 + [0.08] + [0.05] * 11, [10] * 12 + [20] * 12, ()),
        # flash of one frame, of three, and one that fades out
        (_scores(12, f5=0.8, f6=0.8), [50] * 5 + [250] + [50] * 6, ()),
        (_scores(12, f5=0.8, f8=0.8), [50] * 5 + [250] * 3 + [50] * 4, ()),
        (_scores(12, f5=0.8), [50] * 5 + [250, 180, 110, 60] + [50] * 3, ()),
        # a single black frame dropped in
        (_scores(12, f5=0.4, f6=0.4), [100] * 5 + [0] + [100] * 6, ()),
        # the other picture stays for longer than a flash: two cuts
        (_scores(30, f10=0.8, f20=0.8), [50] * 10 + [250] * 10 + [50] * 10, (10, 20)),
        # a flash that hides a change of shot
        (_scores(12, f5=0.8, f6=0.5), [50] * 5 + [250] + [140] * 6, (5, 6)),
        # luma score without a change of picture
        (_scores(8, f4=0.3), [50] * 4 + [52] * 4, ()),
    ],
)
def test_find_cuts(scores: list[float], levels: list[int], cuts: tuple[int, ...]) -> None:
    assert find_cuts(scores, _film(*levels)) == cuts


def test_scores_and_pictures_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="3 scores but 2 thumbnails"):
        find_cuts([0, 0, 0], _film(1, 2))


def _scene(seed: int, frames: int, first: int = 0) -> list[np.ndarray]:
    """A smooth random picture, panning by two pixels a frame."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 220, (5, 30, 3)).astype(np.uint8)
    wide = np.kron(coarse, np.ones((16, 16, 1), np.uint8))
    return [wide[:64, 2 * i : 2 * i + 96] for i in range(first, first + frames)]


def _blend(one: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    return (one * (1 - share) + other * share).astype(np.uint8)


@pytest.mark.media
def test_real_film_with_cuts_flash_fade_and_dissolve(tmp_path: Path) -> None:
    white, black = np.full((64, 96, 3), 255, np.uint8), np.zeros((64, 96, 3), np.uint8)
    one, two, three, four = (_scene(seed, 40) for seed in range(4))
    one[12], one[13] = white, _blend(one[13], white, 0.6)  # flash in the first shot
    fade = [_blend(p, black, i / 15) for i, p in enumerate(two[20:36])]
    dissolve = [_blend(a, b, i / 19) for i, (a, b) in enumerate(zip(three[20:], four[:20], strict=True))]
    film = one[:24] + two[:20] + fade + [black] * 3
    film += [_blend(black, p, i / 15) for i, p in enumerate(three[:16])] + three[16:20] + dissolve + four[20:]
    path = write_clip(tmp_path / "film.mp4", film, "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
    scan = scan_video(str(path))
    assert scan.cuts == (24,)
    assert scan.probe.frame_count == len(film)


@pytest.mark.media
def test_every_hard_cut_is_found(tmp_path: Path) -> None:
    lengths = (12, 5, 17, 9)
    film = [picture for seed, length in enumerate(lengths) for picture in _scene(seed + 10, length)]
    path = write_clip(tmp_path / "cuts.mkv", film, "-c:v", "ffv1")
    assert scan_video(str(path)).cuts == (12, 17, 34)


def _slides(seed: int, *lengths: int) -> list[np.ndarray]:
    """Thumbnails of pictures that have nothing in common, each for so many frames."""
    rng = np.random.default_rng(seed)
    slides = []
    for length in lengths:
        coarse = rng.integers(0, 256, (6, 8)).astype(np.uint8)
        slides += [np.kron(coarse, np.ones((3, 4), np.uint8))] * length
    return slides


def _scored(pictures: list[np.ndarray]) -> tuple[int, ...]:
    """The cuts of these thumbnails, with the scores that ffmpeg would give them."""
    steps = [0.0, *(float(np.abs(b.astype(int) - a).mean()) for a, b in itertools.pairwise(pictures))]
    scores = [min(step, abs(step - before)) / 100 for before, step in itertools.pairwise([0.0, *steps])]
    return find_cuts(scores, np.stack(pictures))


@pytest.mark.parametrize(
    ("lengths", "cuts"),
    [
        ((8, 1, 8), (8, 9)),
        ((8, 1, 1, 1, 8), (8, 9, 10, 11)),
        ((1, 1, 1, 1, 1, 1), (1, 2, 3, 4, 5)),
        ((8, 2, 1, 3), (8, 10, 11)),
    ],
)
def test_shots_of_one_frame_are_found(lengths: tuple[int, ...], cuts: tuple[int, ...]) -> None:
    assert _scored(_slides(1, *lengths)) == cuts


def test_a_black_frame_between_two_shots_is_a_shot() -> None:
    one, other = _slides(2, 8, 8)[:8], _slides(2, 8, 8)[8:]
    assert _scored([*one, np.zeros_like(one[0]), *other]) == (8, 9)


def test_a_strobe_a_quick_fade_and_a_fast_pan_are_no_cuts() -> None:
    still = _slides(3, 8)
    white, black = np.full_like(still[0], 255), np.zeros_like(still[0])
    assert _scored([*still, white, still[0], white, still[0], *still]) == ()
    shares = (0.08, 0.28, 0.52, 0.76, 1.0)
    fade = [(still[0] * (1 - share) + black * share).astype(np.uint8) for share in shares]
    assert _scored([*still, *fade, *[black] * 12]) == ()
    wide = np.kron(np.random.default_rng(4).integers(0, 256, (6, 40)).astype(np.uint8), np.ones((3, 4), np.uint8))
    assert _scored([wide[:, 6 * step : 6 * step + 32] for step in range(20)]) == ()


@pytest.mark.media
def test_a_slideshow_of_one_frame_each(tmp_path: Path) -> None:
    film = [picture for seed in range(6) for picture in _scene(seed + 20, 1)]
    path = write_clip(tmp_path / "slides.mkv", film, "-c:v", "ffv1")
    assert scan_video(str(path)).cuts == (1, 2, 3, 4, 5)


def test_a_film_of_one_frame(clips: dict[str, Path]) -> None:
    scan = scan_video(str(clips["one_frame"]))
    assert (scan.probe.frame_count, scan.cuts) == (1, ())


@pytest.mark.media
def test_the_file_of_thumbnails_is_closed_when_the_scan_ends(
    clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[SceneMeter] = []

    class Meter(SceneMeter):
        def close(self) -> None:
            super().close()
            closed.append(self)

    monkeypatch.setattr(scanning, "SceneMeter", Meter)
    scan_video(str(clips["faststart"]))
    assert len(closed) == 1
    with pytest.raises(VideoError):
        scan_video(str(clips["truncated"]))
    assert len(closed) == 3, "a damaged film is decoded twice"
    assert all(meter._thumbnails.closed for meter in closed)
