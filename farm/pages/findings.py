"""What of a job deserves a look: frames that stand out, and where its workers' time went. Pure.

find_outliers(facts)      frames to look at, each with the reasons
time_by_worker(facts)     seconds of every worker, at frames and waiting
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from farm.pages.facts import JobFacts, Span

MOST_OUTLIERS = 12
"""Outliers that a page shows."""
APART = 3
"""Frames that lie at least between two outliers: what spans several frames is shown once, where it is worst."""
UNSTEADY = 2.5
"""Ratio of a frame's warp error to the usual one around it from which on the frame stands out."""
ODD_STYLE = 2.0
"""Ratio of a frame's style loss to the usual one around it from which on the frame stands out."""
NEIGHBOURHOOD = 12
"""Frames to either side whose median is the usual value around a frame."""


@dataclass(frozen=True)
class Outlier:
    """A frame to look at, beside the one before it. `severity` orders outliers and has no unit."""

    frame: int
    severity: float
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class WorkerTime:
    """One worker of one run, there from `begin` to `end` (seconds since 1970), `lost` where it died.

    With `released` it was given back before the end of the run. It was `busy` for that many seconds, at `frames` frames
    in `spans`.
    """

    worker: str
    host: str
    begin: float
    end: float
    busy: float
    frames: int
    lost: bool
    released: bool
    spans: tuple[Span, ...]

    @property
    def waiting(self) -> float:
        """Seconds that the worker was there and not busy."""
        return max(self.end - self.begin - self.busy, 0.0)


def find_outliers(facts: JobFacts) -> list[Outlier]:
    """The frames that stand out most, at most MOST_OUTLIERS, in the film's order; none where nothing is planned yet."""
    if facts.record is None:
        return []
    reasons: dict[int, list[tuple[float, str]]] = {}
    for frame, severity, reason in (*_unusual_values(facts), *_noted_by_optimiser(facts)):
        reasons.setdefault(frame, []).append((severity, reason))
    outliers = [
        Outlier(frame, max(severity for severity, _ in rows), tuple(reason for _, reason in sorted(rows, reverse=True)))
        for frame, rows in reasons.items()
    ]
    return sorted(_worst_apart(outliers)[:MOST_OUTLIERS], key=lambda outlier: outlier.frame)


def _unusual_values(facts: JobFacts) -> Iterator[tuple[int, float, str]]:
    """(frame, severity, reason) of frames with a far higher warp error or style loss than the frames around them."""
    errors = {frame: error for frame, error in facts.errors.items() if error is not None}
    losses = {frame: shown.record.losses for frame, shown in facts.shown.items()}
    styles = {frame: loss["style"] for frame, loss in losses.items() if "style" in loss}
    for shot in facts.record.plan.shots if facts.record else ():
        for values, limit, name in ((errors, UNSTEADY, "warp error"), (styles, ODD_STYLE, "style loss")):
            of_shot = {frame: values[frame] for frame in range(shot.start, shot.stop) if frame in values}
            for frame, ratio in _against_neighbourhood(of_shot).items():
                if ratio >= limit:
                    yield frame, ratio / limit, f"{name} {ratio:.1f} times that of the frames around it"


def _noted_by_optimiser(facts: JobFacts) -> Iterator[tuple[int, float, str]]:
    """(frame, severity, reason) of frames that the optimiser had trouble with."""
    for frame, shown in facts.shown.items():
        if shown.record.restarts:
            restarts = shown.record.restarts
            yield frame, 1.0 + restarts, f"the optimiser was restarted {restarts} times"
        for note in shown.record.notes:
            yield frame, 1.0, note


def _worst_apart(outliers: Iterable[Outlier]) -> list[Outlier]:
    """The outliers, worst first, without those that lie within APART frames of a worse one."""
    worst: list[Outlier] = []
    for candidate in sorted(outliers, key=lambda outlier: outlier.severity, reverse=True):
        if all(abs(candidate.frame - other.frame) > APART for other in worst):
            worst.append(candidate)
    return worst


def _against_neighbourhood(values: Mapping[int, float]) -> dict[int, float]:
    """By frame: its value over the usual one, the median of the values around it without its own.

    A quarter of the median of all values is the least that counts as usual. Empty for fewer than 4 values.
    """
    if len(values) < 4:
        return {}
    floor = median(values.values()) / 4
    ratios = {}
    for frame, value in values.items():
        around = [values[other] for other in range(frame - NEIGHBOURHOOD, frame + NEIGHBOURHOOD + 1) if other in values]
        around.remove(value)
        usual = max(median(around), floor)
        if usual > 0:
            ratios[frame] = value / usual
    return ratios


def time_by_worker(facts: JobFacts) -> list[WorkerTime]:
    """Every worker that committed something or was lost, in the order in which they came."""
    by_worker: dict[str, list[Span]] = {}
    for span in facts.spans:
        by_worker.setdefault(span.worker, []).append(span)
    joined: dict[str, float] = {}
    host: dict[str, str] = {}
    lost: dict[str, float] = {}
    released: dict[str, float] = {}
    for happening in facts.history:
        if happening.worker:
            name = facts.worker_label(happening.worker, happening.at)
            if happening.kind == "joined":
                joined.setdefault(name, happening.at)
                host[name] = happening.host
            elif happening.kind == "lost":
                lost[name] = happening.at
            elif happening.kind == "released":
                released[name] = happening.at
    workers = []
    for name in {**dict.fromkeys(joined), **dict.fromkeys(by_worker)}:
        spans = tuple(by_worker.get(name, ()))
        if not spans and name not in lost:
            continue
        begin = min([joined.get(name, float("inf")), *(span.begin for span in spans)])
        left = lost.get(name) or released.get(name)
        end = max([left or _work_ended(facts, begin), *(span.end for span in spans)])
        workers.append(
            WorkerTime(
                worker=name,
                host=host.get(name, ""),
                begin=begin,
                end=end,
                busy=sum(span.busy for span in spans),
                frames=sum(span.frames for span in spans),
                lost=name in lost,
                released=name in released and name not in lost,
                spans=spans,
            )
        )
    return sorted(workers, key=lambda worker: worker.begin)


def _work_ended(facts: JobFacts, begin: float) -> float:
    """Seconds since 1970 of the last commit of the run under way at `begin`: its workers were there until then."""
    later_runs = [at for at in facts.runs if at > begin]
    until = later_runs[0] if later_runs else float("inf")
    return max((span.end for span in facts.spans if begin <= span.end <= until), default=begin)
