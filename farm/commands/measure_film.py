"""`farm measure`: how steady a film of any tool is beside its source, and how much of it is painted.

    report = measure_film(MeasureOptions("painted.mp4", "film.mp4", page="measured.html"), progress)

Film and source are decoded twice each: once to count frames and to find cuts, once to be measured. Memory holds a few
frames, whatever the length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farm.errors import PictureError, UsageError
from farm.files.atomic import check_can_write, write_atomically
from farm.files.numbered import numbered_pictures
from farm.files.output import without_secrets
from farm.media.pictures import read_picture
from farm.media.sequence import Frames, open_frames
from farm.pages.document import is_page
from farm.pages.measured import GENERATOR, PairPictures, measured_page
from farm.plan.pace import Progress
from farm.render.detail import FRAMES_BEFORE, Features, Picture, can_be_source
from farm.render.film_figures import FilmFigures
from farm.render.film_meter import FilmMeter, SourcePair
from farm.spec.frames import FrameRange, evenly

DETAILED = 48
"""Frames whose detail is measured without stills, evenly spread: what moves in each is found by twelve flows."""
LOOKED_AT = 12
"""Frames, evenly spread, by which it is decided whether a source can be the film's."""
WORST_PAIRS = 6
"""Pairs that the page shows."""
SMALLEST_SIDE = 16
"""Least side of a frame in pixels."""
ASPECT = 0.03
"""Share by which the shapes of film and source may differ before it is said."""


@dataclass(frozen=True)
class MeasureOptions:
    """What is measured. `film` and `source` are videos or folders of pictures.

    `frames` are those of the source that the film shows. `joins` are the first frames of later windows, `"40"` for
    every 40th or `"40,85"`; None looks for them. `stills` is a folder of frames painted by themselves, named by number.
    `page` is the HTML file to write; None writes none.
    """

    film: str
    source: str
    frames: str | None = None
    joins: str | None = None
    stills: Path | None = None
    page: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class _Ranges:
    """The frames to measure, as the film and as the source numbers them."""

    film: FrameRange
    source: FrameRange


class _Stills(Mapping[int, Picture]):
    """The stills of a folder by frame, read when they are asked for."""

    def __init__(self, folder: Path, film: Frames, frames: FrameRange) -> None:
        """Stills of frames of the film that are not in `frames` are passed over.

        Raises UsageError where none is left, or where one belongs to no frame of the film.
        """
        if not folder.is_dir():
            raise UsageError(f"--stills {folder} is no folder", "give a folder of pictures named by their frames")
        paths = numbered_pictures(folder)
        for frame, path in paths.items():
            if not 0 <= frame < film.frame_count:
                raise UsageError(
                    f"{path} is of no frame of the film, which has the frames 0-{film.frame_count - 1}", "take it away"
                )
        self._paths = {frame: path for frame, path in paths.items() if frame in frames}
        self._size = film.size
        if not self._paths:
            raise UsageError(f"--stills {folder} holds no picture of the frames {frames}", "name other --frames")

    def __getitem__(self, frame: int) -> Picture:
        path = self._paths[frame]
        still = read_picture(path)
        if (still.shape[1], still.shape[0]) != self._size:
            raise PictureError(
                f"{path} has {still.shape[1]}x{still.shape[0]} pixels, and the film {self._size[0]}x{self._size[1]}",
                "paint the still at the size of the film",
            )
        return still

    def __iter__(self) -> Iterator[int]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def measure_film(options: MeasureOptions, progress: Progress) -> dict[str, Any]:
    """Measure a film and write its page. Returns the figures, as JSON has them, and notes on what is odd.

    `page` is None there, and a note says why, where the page could not be written when all was measured.
    Raises UsageError where numbers of frames do not fit or the source cannot be the film's, VideoError and PictureError
    for what cannot be read, OutputError for a page that cannot be written.
    """
    if options.page is not None:
        check_can_write(options.page, overwrite=options.overwrite or is_page(options.page, GENERATOR))
    progress.note("reading the film and the source")
    with open_frames(options.film) as film, open_frames(options.source, film.size, find_shots=True) as source:
        if min(film.size) < SMALLEST_SIDE:
            raise UsageError(f"frames of {film.size[0]}x{film.size[1]} pixels are too small to be measured")
        ranges = frames_of_both(film.frame_count, source.frame_count, options.frames)
        joins = parse_joins(options.joins, ranges.film)
        stills = None if options.stills is None else _Stills(options.stills, film, ranges.film)
        _check_source(options, film, source, ranges)
        figures = _measure(film, source, ranges, joins, stills, progress)
        notes = _notes(options, film, source, figures)
        report = {
            "film": without_secrets(options.film),
            "source": without_secrets(options.source),
            "size": list(film.size),
            "source_first_frame": ranges.source.start,
            "notes": notes,
            "page": None if options.page is None else str(options.page),
            **figures.as_dict(),
        }
        if options.page is not None:
            shift = ranges.source.start - ranges.film.start
            pictures = (_pictures_of_pair(film, source, frame, shift) for frame in figures.worst_pairs(WORST_PAIRS))
            try:
                write_atomically(options.page, measured_page(report, figures, pictures).encode())
            except OSError as error:  # such as a full disk: the figures may have taken hours
                report["page"] = None
                notes.append(f"the page {options.page} could not be written ({error.strerror})")
    return report


def default_page(film: str) -> Path:
    """The page where none is named: beside a film on a disk, here for a film at a URL.

    >>> str(default_page("films/painted.mp4"))
    'films/painted.measure.html'
    """
    place = Path(without_secrets(film))
    folder = Path() if "://" in film else place.parent
    return folder / f"{place.stem if place.suffix and not place.is_dir() else place.name}.measure.html"


def frames_of_both(film: int, source: int, wanted: str | None) -> _Ranges:
    """Which frames of the film and of the source belong together, given how many each has.

    Where both have as many frames, `wanted` is a part of both; otherwise it says which frames of the source the film
    shows. Raises UsageError where they do not fit.
    """
    if wanted is None:
        if film != source:
            raise UsageError(
                f"the film has {film} frames and the source {source}",
                f"say which of the source it shows, as in --frames 0-{film - 1}"
                if film < source
                else "give the source that it was painted from",
            )
        frames = FrameRange(0, film)
        both = _Ranges(frames, frames)
    else:
        part = FrameRange.parse(wanted)
        if part.stop > source:
            raise UsageError(f"the source has {source} frames, not {part.stop}", f"--frames ends at {source - 1}")
        if film != source and len(part) != film:
            raise UsageError(
                f"--frames {wanted} are {len(part)} frames, and the film has {film}", "name as many as the film has"
            )
        both = _Ranges(part if film == source else FrameRange(0, film), part)
    if len(both.film) < 2:
        raise UsageError("one frame cannot be steady or unsteady", "give a film of two frames or more")
    return both


def parse_joins(text: str | None, frames: FrameRange) -> list[int] | None:
    """The first frames of later windows: `"40"` is every 40th frame of the film, `"40,85"` or `"40,"` a list.

    None for None. Raises UsageError for anything else, and for frames that the film does not have.
    """
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words if word) or not any(words):
        raise UsageError(f"--joins {text!r} is neither a number nor a list", "write 40 for every 40th, or 40,85")
    numbers = sorted({int(word) for word in words if word})
    if len(words) == 1:
        if not 1 <= numbers[0] < frames.stop:
            raise UsageError(f"--joins {text}: a window of the film has 1 to {frames.stop - 1} frames")
        return [join for join in range(0, frames.stop, numbers[0]) if join > frames.start]
    if outside := [number for number in numbers if number not in frames or number == frames.start]:
        raise UsageError(f"--joins: the film cannot be joined at frame {outside[0]}", f"its frames are {frames}")
    return numbers


def _measure(
    film: Frames,
    source: Frames,
    ranges: _Ranges,
    joins: list[int] | None,
    stills: _Stills | None,
    progress: Progress,
) -> FilmFigures:
    first = ranges.film.start
    shift = first - ranges.source.start
    cuts = {cut + shift for cut in source.cuts or ()}
    if stills is not None:
        detailed = set(stills)
    else:  # in the first frame of a shot nothing moves yet
        later = [frame for frame in ranges.film if frame != first and frame not in cuts]
        detailed = {later[i] for i in evenly(DETAILED, len(later))}
    meter = FilmMeter(
        cuts=cuts,
        detailed=detailed,
        stills=stills,
        features=None if stills is None else _content_features(),
        first=first,
    )
    # A pair needs flow both ways, and detail the same for each of the frames before.
    cost = {frame: 1.0 + (FRAMES_BEFORE if frame in detailed else 0) for frame in ranges.film}
    progress.phase("measuring", len(cost), sum(cost.values()))
    for frame, painted, original in zip(ranges.film, film.read(ranges.film), source.read(ranges.source), strict=True):
        meter.add(original, painted)
        progress.advance("measuring", cost[frame])
    return meter.figures(joins)


def _check_source(options: MeasureOptions, film: Frames, source: Frames, ranges: _Ranges) -> None:
    """Raise UsageError where the film cannot be a painting of the source."""
    offsets = evenly(LOOKED_AT, len(ranges.film))
    pairs = ((source.one(ranges.source.start + i), film.one(ranges.film.start + i)) for i in offsets)
    if not can_be_source(pairs):
        raise UsageError(
            f"{without_secrets(options.film)} does not show what {without_secrets(options.source)} shows: their edges "
            "have next to nothing in common",
            "give the film that it was painted from, with --frames where it shows a part of it",
        )


def _content_features() -> Features:
    """The features relu4_2 of the built-in VGG-19. Raises WeightsError where it is not installed."""
    from farm.paint.features.vgg import VGGFeatures
    from farm.paint.features.weights import load_weights
    from farm.paint.styler import CONTENT_LAYER
    from farm.paint.tensors import image_to_tensor

    network = VGGFeatures(load_weights())

    def features(picture: Picture) -> Any:
        return network(image_to_tensor(picture, network.device), (CONTENT_LAYER,))[CONTENT_LAYER][0].numpy()

    return features


def _notes(options: MeasureOptions, film: Frames, source: Frames, figures: FilmFigures) -> list[str]:
    """Lines on what makes the figures doubtful."""
    notes = []
    shapes = [width / height for width, height in (film.own_size, source.own_size)]
    if abs(shapes[0] / shapes[1] - 1) > ASPECT:
        notes.append(
            f"the film is {film.own_size[0]}x{film.own_size[1]} and the source {source.own_size[0]}x"
            f"{source.own_size[1]}: their shapes differ, and the source was stretched to the film's"
        )
    if not figures.shows_its_source:
        notes.append(
            f"the edges of the film and of {without_secrets(options.source)} have almost nothing in common: is it the "
            "film's source, and are its frames the same ones?"
        )
    if not figures.values("warp_error"):
        notes.append("no pair of frames could be followed well enough to have a warp error")
    if options.stills is None:
        notes.append("without --stills, fine, middle and shape are told beside the source, and content is left out")
    return notes


def _pictures_of_pair(film: Frames, source: Frames, frame: int, shift: int) -> PairPictures:
    originals = [source.one(frame + shift - 1), source.one(frame + shift)]
    painted = [film.one(frame - 1), film.one(frame)]
    pair = SourcePair(*originals)
    return PairPictures(frame, originals, painted, pair.difference(*painted), pair.weight > 0)
