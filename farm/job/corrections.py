"""Frames of a film that a person corrected, and what was made from them: `corrections.json`. Pure.

    corrections.json                 for each corrected frame, every picture that it ever had, and which one is shown
    corrected/000120/0002.png        the second picture of frame 120; the first is the one that the last pass painted

The frames of the passes stay what they are: a correction lies over them, and the film shows it. So whatever is painted,
lost and painted again is the same, bit for bit, with corrections or without. A picture is never overwritten, and going
back is to show another one. All pictures that one command adds are shown by one write of `corrections.json`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from farm.errors import StorageError
from farm.files.checked_json import seal, unseal
from farm.spec import Model

CORRECTIONS = "corrections.json"
"""Name of the file in the job directory."""

Origin = Literal["painted", "accepted", "carried"]
"""Where a picture comes from: the last pass, a person, or an accepted neighbour that it was carried from."""


class Version(Model):
    """One picture of a frame. `number` counts from 1, which is the picture that the last pass painted.

    `sha256` is that of its file, as is `edited` that of the file which a person gave, before it was brought to 8 bits.
    An accepted picture is carried into as many frames on either side as `reach` says. `added` is when it came, in
    seconds since 1970.
    """

    number: int
    origin: Origin
    sha256: str
    edited: str = ""
    reach: int = 0
    added: float = 0.0


class CorrectedFrame(Model):
    """A frame, its pictures in the order in which it had them, and the number of the one that the film shows.

    What is `held` was chosen by a person, and nothing that is carried from a neighbour replaces it.
    """

    frame: int
    versions: tuple[Version, ...]
    shown: int
    held: bool = False

    @property
    def current(self) -> Version:
        """The picture that the film shows."""
        return self.versions[self.shown - 1]

    @property
    def is_corrected(self) -> bool:
        """Whether the film shows another picture than the one that was painted."""
        return self.current.origin != "painted"

    def showing(self, version: Version, *, held: bool) -> CorrectedFrame:
        """The frame with `version` shown. It is added under the next number unless the frame has had it already."""
        for earlier in self.versions:
            same = {"number": earlier.number, "added": earlier.added}
            if earlier == version.model_copy(update=same):
                return self.model_copy(update={"shown": earlier.number, "held": held})
        added = version.model_copy(update={"number": len(self.versions) + 1})
        update = {"versions": (*self.versions, added), "shown": added.number, "held": held}
        return self.model_copy(update=update)


class Corrections:
    """The corrected frames of one job, by frame, ascending. Immutable: `with_frames` returns others."""

    def __init__(self, frames: Iterable[CorrectedFrame] = ()) -> None:
        self._frames = {one.frame: one for one in sorted(frames, key=lambda one: one.frame)}

    def __iter__(self) -> Iterator[CorrectedFrame]:
        return iter(self._frames.values())

    def get(self, frame: int) -> CorrectedFrame | None:
        """What is kept of a frame; None where it was never corrected."""
        return self._frames.get(frame)

    def shown(self, frame: int) -> Version | None:
        """The corrected picture that the film shows of a frame. None where it shows what was painted."""
        one = self._frames.get(frame)
        return one.current if one is not None and one.is_corrected else None

    @property
    def sources(self) -> dict[int, int]:
        """By frame, ascending: how many frames an accepted picture is carried into on either side."""
        return {one.frame: one.current.reach for one in self if one.current.reach}

    @property
    def held(self) -> set[int]:
        """Frames whose picture a person chose."""
        return {one.frame for one in self if one.held}

    @property
    def digest(self) -> str:
        """Hash of all corrected pictures that the film shows. Empty where it shows none."""
        rows = [f"{one.frame} {one.current.sha256}" for one in self if one.is_corrected]
        return hashlib.sha256("\n".join(rows).encode()).hexdigest() if rows else ""

    def with_frames(self, frames: Iterable[CorrectedFrame]) -> Corrections:
        """These, with some of them replaced or added."""
        return Corrections({**self._frames, **{one.frame: one for one in frames}}.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Corrections) and self._frames == other._frames

    __hash__ = None  # type: ignore[assignment]

    def as_bytes(self) -> bytes:
        """The contents of `corrections.json`, with their own checksum."""
        return seal({"frames": [one.model_dump(mode="json") for one in self]}, indent=1)


def parse_corrections(data: bytes | None, job_url: str) -> Corrections:
    """The corrections in the bytes of `corrections.json`; none where there is no such file.

    Raises StorageError where it is damaged. Why not none: the film would then silently lose what a person painted.
    """
    if data is None:
        return Corrections()
    try:
        return Corrections(CorrectedFrame.model_validate(row) for row in unseal(data)["frames"])
    except (ValueError, LookupError, TypeError):
        raise StorageError(
            f"{job_url}/{CORRECTIONS} is damaged",
            "put it back from a copy; without it the film shows what was painted, and the pictures stay in corrected/",
        ) from None


def version_name(frame: int, number: int) -> str:
    """Name of a corrected picture in the job directory: `corrected/000120/0002.png`."""
    return f"corrected/{frame:06d}/{number:04d}.png"


def with_painted(frame: int, sha256: str) -> CorrectedFrame:
    """A frame that was not corrected yet; `sha256` is that of the picture that was painted."""
    return CorrectedFrame(frame=frame, versions=(Version(number=1, origin="painted", sha256=sha256),), shown=1)


def carried_from(
    sources: Mapping[int, int], held: Iterable[int], shots: Sequence[tuple[int, int]]
) -> dict[int, tuple[int | None, int | None]]:
    """By frame: the accepted frames before and after it, in its shot, whose pictures are carried into it.

    `sources` maps accepted frames to their reach, `held` are the frames that nothing is carried into, `shots` are
    (start, stop), half-open. Only the nearest accepted frame on each side counts.

    >>> carried_from({2: 1, 6: 2}, [2, 6], [(0, 6), (6, 9)])
    {1: (None, 2), 3: (2, None), 7: (6, None), 8: (6, None)}
    """
    kept = set(held) | set(sources)
    found: dict[int, tuple[int | None, int | None]] = {}
    for start, stop in shots:
        in_shot = [source for source in sorted(sources) if start <= source < stop]
        for at, source in enumerate(in_shot):
            before = in_shot[at - 1] + 1 if at else start
            after = in_shot[at + 1] if at + 1 < len(in_shot) else stop
            reach = sources[source]
            for frame in range(max(before, source - reach), source):
                found[frame] = (found.get(frame, (None, None))[0], source)
            for frame in range(source + 1, min(after, source + reach + 1)):
                found[frame] = (source, None)
    return {frame: found[frame] for frame in sorted(found) if frame not in kept}
