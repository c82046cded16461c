"""`farm keys suggest`: the frames of a film that show most of what it shows, as pictures to paint on.

    report = suggest_keys(film, Path("keys"), count=12, size=1024)

A frame's paint reaches another frame of its shot as far as flow carries it there. So every few frames of a film are
candidates; for each it is measured how much of the frames around it shows what it shows; and frames are chosen one by
one, each time the one that adds most to what some chosen frame covers. First every shot gets one. This is greedy
maximum coverage, which is within 1 - 1/e of the best choice (Nemhauser, Wolsey and Fisher 1978).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from farm.errors import UsageError
from farm.flow import Match, create_matcher, warp
from farm.media.decode import FrameReader
from farm.media.pictures import write_picture
from farm.media.scan import scan_video
from farm.plan.render_plan import output_size
from farm.plan.video import VideoProbe
from farm.spec import FrameRange

LOOKED_AT_SIZE = 96
"""Longest side in pixels of the frames that are compared. Larger ones change the choice little."""
CANDIDATES = 400
"""Frames of a film that are considered at most, evenly spread over its shots."""
FARTHEST = 120
"""Frames to each side of a candidate that its paint is followed to."""
LEAST_COVERED = 0.02
"""Share of a frame below which a candidate is not followed any further."""


@dataclass(frozen=True)
class Candidate:
    """A frame that may be painted, and which share of the frames `start..` of its shot shows what it shows."""

    frame: int
    shot: int
    start: int
    covered: np.ndarray


def suggest_keys(
    film: str,
    folder: Path,
    count: int,
    size: int | None = None,
    progress: Callable[[str, int, int], None] = lambda label, done, total: None,
) -> dict[str, Any]:
    """Write `count` frames of a film as PNG into a folder, named by their numbers. `size` is their longest side.

    Returns the frames, and the share of the film that they show. Raises UsageError for fewer keys than shots or a
    folder that has pictures already, VideoError for a film that cannot be read.
    """
    if folder.exists() and any(folder.glob("*.png")):
        raise UsageError(f"{folder} has pictures already", "give another folder with -o")
    progress("scanning", 0, 1)
    scan = scan_video(film)
    probe = scan.probe
    edges = [0, *scan.cuts, probe.frame_count]
    shots = [FrameRange(start, stop) for start, stop in itertools.pairwise(edges)]
    if count < len(shots):
        raise UsageError(f"{film} has {len(shots)} shots, and each needs a key", f"give --count {len(shots)} or more")
    chosen = choose(measure(probe, shots, progress), count, probe.frame_count)
    folder.mkdir(parents=True, exist_ok=True)
    with FrameReader(probe, output_size(probe.width, probe.height, size)) as reader:
        for done, candidate in enumerate(chosen):
            progress("writing", done, len(chosen))
            for picture in reader.read(FrameRange(candidate.frame, candidate.frame + 1)):
                write_picture(folder / f"{candidate.frame:06d}.png", picture)
    shown = covered_by(chosen, probe.frame_count)
    return {
        "folder": str(folder),
        "frames": [candidate.frame for candidate in chosen],
        "shots": len(shots),
        "covered": round(float(shown.mean()), 3),
        "least_covered_frame": int(shown.argmin()),
        "least_covered": round(float(shown.min()), 3),
    }


def measure(
    probe: VideoProbe, shots: Sequence[FrameRange], progress: Callable[[str, int, int], None]
) -> list[Candidate]:
    """How far each of about CANDIDATES frames of a film covers the frames around it. Raises VideoError.

    The flow of one shot at a time is held in memory.
    """
    every = max(probe.frame_count // CANDIDATES, 1)
    found: list[Candidate] = []
    done = 0
    with FrameReader(probe, output_size(probe.width, probe.height, LOOKED_AT_SIZE)) as reader:
        for number, shot in enumerate(shots):
            flows = _Flows()
            for frame, picture in zip(shot, reader.read(shot), strict=True):
                flows.add(frame, picture)
                progress("frames", done := done + 1, probe.frame_count)
            middle = shot.start + len(shot) // 2
            offset = (middle - shot.start) % every
            found += [
                Candidate(frame, number, *flows.covered(frame))
                for frame in range(shot.start + offset, shot.stop, every)
            ]
    return found


def choose(candidates: Sequence[Candidate], count: int, frames: int) -> list[Candidate]:
    """`count` of the candidates, ascending: one of each shot, then always the one that adds most to what is covered.

    Fewer where nothing more is added. Among equals the earliest is taken.
    """
    chosen: list[Candidate] = []
    shown = np.zeros(frames)
    left = {candidate.shot for candidate in candidates}
    while len(chosen) < count:
        gains = [_gain(one, shown) if not left or one.shot in left else -1.0 for one in candidates]
        best = int(np.argmax(gains))
        if gains[best] <= 0 and not left:
            break
        chosen.append(candidates[best])
        left.discard(candidates[best].shot)
        shown = covered_by(chosen, frames)
    return sorted(chosen, key=lambda candidate: candidate.frame)


def covered_by(candidates: Sequence[Candidate], frames: int) -> np.ndarray:
    """For each frame of a film, the largest share of it that one of the candidates covers: (frames,) float64."""
    shown = np.zeros(frames)
    for one in candidates:
        part = slice(one.start, one.start + len(one.covered))
        shown[part] = np.maximum(shown[part], one.covered)
    return shown


def _gain(candidate: Candidate, shown: np.ndarray) -> float:
    part = shown[candidate.start : candidate.start + len(candidate.covered)]
    return float(np.maximum(candidate.covered - part, 0).sum())


class _Flows:
    """Flow between the neighbouring frames of a shot, both ways, and where it can be trusted.

    Kept in 16 and 8 bits: a shot of ten thousand frames takes half a gigabyte.
    """

    def __init__(self) -> None:
        self._matcher = create_matcher("dis")
        self._pairs: list[tuple[_Kept, _Kept]] = []  # of the frames i and i + 1 of the shot: (there, back)
        self._first: int | None = None
        self._before: np.ndarray | None = None

    def add(self, frame: int, picture: np.ndarray) -> None:
        """Take in the next frame of the shot, (H, W, 3) uint8."""
        if self._before is None:
            self._first = frame
        else:
            there, back = self._matcher.match(self._before, picture)
            self._pairs.append((_Kept.of(there), _Kept.of(back)))
        self._before = picture

    def covered(self, frame: int) -> tuple[int, np.ndarray]:
        """(first frame, share of it and of those after it that show what `frame` shows)."""
        assert self._first is not None
        at = frame - self._first
        back = _followed(there for there, _ in reversed(self._pairs[max(at - FARTHEST, 0) : at]))
        forth = _followed(back for _, back in self._pairs[at : at + FARTHEST])
        return frame - len(back), np.array([*back[::-1], 1.0, *forth])


@dataclass(frozen=True)
class _Kept:
    """A match in few bits: `flow` in pixels, `weight` in 255ths."""

    flow: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, match: Match) -> _Kept:
        return cls(match.flow.astype(np.float16), np.rint(match.weight * 255).astype(np.uint8))


def _followed(matches: Iterable[_Kept]) -> list[float]:
    """The share of frame after frame that shows what the first one does, as far as it is worth following.

    Each of `matches` leads from a frame to the one before it on the way.
    """
    shares: list[float] = []
    weight: np.ndarray | None = None
    for match in matches:
        trusted = match.weight.astype(np.float32) / 255
        weight = trusted if weight is None else trusted * warp(weight, match.flow.astype(np.float32))
        shares.append(float(weight.mean()))
        if shares[-1] < LEAST_COVERED:
            break
    return shares
