"""farm measure: what belongs to what, what is refused, and the page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from farm.commands.measure_film import MeasureOptions, default_page, frames_of_both, measure_film, parse_joins
from farm.errors import FarmError, OutputError, PictureError, UsageError
from farm.media.pictures import read_picture, resize, write_picture
from farm.media.sequence import open_frames
from farm.spec import FrameRange
from tests.conftest import make_clip


class Silent:
    """A `farm.plan.pace.Progress` that counts."""

    def __init__(self) -> None:
        self.done = self.total = 0

    def note(self, line: str) -> None:
        pass

    def phase(self, name: str, frames: int, steps: float) -> None:
        self.total = frames

    def advance(self, phase: str, planned_steps: float) -> None:
        self.done += 1

    def share(self, phase: str, done: float) -> None:
        pass


@pytest.mark.parametrize(
    ("film", "source", "wanted", "of_film", "of_source"),
    [
        (48, 48, None, FrameRange(0, 48), FrameRange(0, 48)),
        (48, 48, "10-19", FrameRange(10, 20), FrameRange(10, 20)),
        (48, 132, "10-57", FrameRange(0, 48), FrameRange(10, 58)),
    ],
)
def test_which_frames_belong_together(film, source, wanted, of_film, of_source):
    both = frames_of_both(film, source, wanted)
    assert (both.film, both.source) == (of_film, of_source)


@pytest.mark.parametrize(
    ("film", "source", "wanted", "message"),
    [
        (48, 50, None, "the film has 48 frames and the source 50; say which of the source it shows.*--frames 0-47"),
        (50, 48, None, "the film has 50 frames and the source 48"),
        (48, 50, "0-9", "--frames 0-9 are 10 frames, and the film has 48"),
        (48, 50, "10-57", "the source has 50 frames, not 58"),
        (1, 1, None, "two frames or more"),
    ],
)
def test_frames_that_do_not_fit_are_one_line(film, source, wanted, message):
    with pytest.raises(UsageError) as refused:
        frames_of_both(film, source, wanted)
    assert re.search(message, str(refused.value)), str(refused.value)


@pytest.mark.parametrize(
    ("text", "joins"),
    [
        (None, None),
        ("40", [40, 80]),
        ("40,", [40]),
        ("85, 40", [40, 85]),
    ],
)
def test_joins(text, joins):
    assert parse_joins(text, FrameRange(0, 100)) == joins


@pytest.mark.parametrize("text", ["", ",", "x", "4-8", "0", "100", "0,40", "40,100", "-3"])
def test_joins_that_are_none(text):
    with pytest.raises(UsageError, match="--joins"):
        parse_joins(text, FrameRange(0, 100))


def test_where_the_page_goes(tmp_path):
    (tmp_path / "v1.5").mkdir()
    assert default_page("a/b.mp4") == Path("a/b.measure.html")
    assert default_page(str(tmp_path / "v1.5")) == tmp_path / "v1.5.measure.html"
    assert default_page("https://host/a/b.mp4?key=secret") == Path("b.measure.html")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A source of 16 frames, and a folder with its frames at half the size, brighter from frame 8 on."""
    folder = tmp_path_factory.mktemp("measure")
    make_clip(folder / "source.mp4", frames=16, size="128x96", audio=False)
    (folder / "painted").mkdir()
    with open_frames(str(folder / "source.mp4"), (64, 48)) as source:
        for frame, shown in enumerate(source.read(FrameRange(0, 16))):
            painted = np.clip(shown.astype(int) * 0.7 + (40 if frame >= 8 else 0), 0, 255).astype(np.uint8)
            write_picture(folder / "painted" / f"{frame:04d}.png", painted)
    return folder


def options(place, **changes) -> MeasureOptions:
    return MeasureOptions(**{"film": str(place / "painted"), "source": str(place / "source.mp4"), **changes})


@pytest.mark.media
def test_a_folder_beside_a_video_of_another_size(place, tmp_path):
    progress = Silent()
    page = tmp_path / "page.html"
    report = measure_film(options(place, joins="8", page=page), progress)
    assert (progress.done, progress.total) == (16, 16)
    assert (report["frames"], report["size"]) == (16, [64, 48])
    assert report["seams"]["frame"] == 8
    assert report["seams"]["all"][0]["worst"] == 8
    assert report["by_pair"][8]["warp_error"] > 4 * report["warp_error"]["median"]
    assert report["warp_error"]["median"] < report["warp_error"]["source_median"]  # less contrast, less error
    assert not [note for note in report["notes"] if "in common" in note]
    assert json.loads(json.dumps(report))["by_pair"]["8"] == report["by_pair"][8]
    html = page.read_text()
    assert 'id="pair-8"' in html
    assert 'href="#pair-8"' in html
    assert not re.search(r'(src|href)="(?!data:|#)', html)


@pytest.mark.media
def test_a_part_is_measured_by_the_numbers_of_the_film(place):
    report = measure_film(options(place, frames="4-11"), Silent())
    assert (report["first_frame"], report["source_first_frame"]) == (4, 4)
    assert list(report["by_pair"]) == list(range(5, 12))


@pytest.mark.media
def test_another_film_is_refused_before_anything_is_measured(place, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    random = np.random.default_rng(5)
    for frame in range(16):
        write_picture(folder / f"{frame}.png", random.integers(0, 255, (48, 64, 3)).astype(np.uint8))
    progress, page = Silent(), tmp_path / "page.html"
    with pytest.raises(UsageError, match=r"other does not show what .*source\.mp4 shows"):
        measure_film(options(place, film=str(folder), page=page), progress)
    assert progress.total == 0
    assert not page.exists()


@pytest.mark.media
def test_a_film_of_another_shape_is_measured_and_it_is_said(place, tmp_path):
    folder = tmp_path / "wide"
    folder.mkdir()
    for path in (place / "painted").iterdir():
        write_picture(folder / path.name, resize(read_picture(path), (48, 96)))
    notes = measure_film(options(place, film=str(folder)), Silent())["notes"]
    assert any("their shapes differ" in note for note in notes)


@pytest.mark.media
@pytest.mark.parametrize(
    ("named", "size", "error"),
    [(None, None, UsageError), ("000099.png", (48, 64), UsageError), ("000004.png", (32, 32), PictureError)],
)
def test_stills_that_do_not_fit_are_refused_and_nothing_is_left(place, tmp_path, named, size, error):
    stills = tmp_path / "stills"
    stills.mkdir()
    if named:
        write_picture(stills / named, np.zeros((*size, 3), np.uint8))
    with pytest.raises(error):
        measure_film(options(place, stills=stills, page=tmp_path / "page.html"), Silent())
    assert not list(tmp_path.glob("page*"))


@pytest.mark.media
def test_stills_outside_the_part_are_passed_over(place, tmp_path):
    stills = tmp_path / "stills"
    stills.mkdir()
    for frame in (4, 12):
        write_picture(stills / f"{frame:06d}.png", read_picture(place / "painted" / f"{frame:04d}.png"))
    report = measure_film(options(place, frames="2-6", stills=stills), Silent())
    assert list(report["by_frame"]) == [4]
    with pytest.raises(UsageError, match="no picture of the frames 5-6"):
        measure_film(options(place, frames="5-6", stills=stills), Silent())


@pytest.mark.media
def test_figures_are_not_lost_where_the_page_cannot_be_written(place, tmp_path, monkeypatch):
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("farm.commands.measure_film.write_atomically", full)
    report = measure_film(options(place, frames="4-6", page=tmp_path / "page.html"), Silent())
    assert report["page"] is None
    assert any("No space left" in note for note in report["notes"])
    assert list(report["by_pair"]) == [5, 6]


@pytest.mark.media
def test_with_stills_content_is_told_too(place, tmp_path):
    stills = tmp_path / "stills"
    stills.mkdir()
    write_picture(stills / "000004.png", read_picture(place / "painted" / "0004.png"))
    report = measure_film(options(place, stills=stills), Silent())
    assert report["detail"]["over"] == "stills"
    areas = [report["detail"][area] for area in ("moving", "resting")]
    known = [row["median"] for area in areas for row in area.values() if row is not None]
    assert known == pytest.approx([1.0] * len(known))
    assert any(area["content"] is not None for area in areas)


def test_a_page_that_is_there_is_not_replaced(place, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        measure_film(options(place, page=page), Silent())
    with pytest.raises(FarmError):
        measure_film(options(place, film=str(tmp_path / "none.mp4")), Silent())
    assert page.read_text() == "mine"


@pytest.mark.media
def test_an_earlier_page_of_the_command_is_replaced(place, tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<meta name="generator" content="farm measure">')
    measure_film(options(place, frames="4-6", page=page), Silent())
    assert "3 frames" in page.read_text()
