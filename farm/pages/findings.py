"""What of a job deserves a look: frames that stand out, and where its workers' time went. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from farm.pages.facts import JobFacts, Span

MOST_OUTLIERS = 12
APART = 3
"""Frames between two outliers: what happens over several frames is shown once, where it is worst."""
UNSTEADY = 2.5
"""Times the warp error of its neighbourhood from which a pair stands out."""
ODD_STYLE = 2.0
NEIGHBOURHOOD = 12
"""Frames to either side whose median is what is usual there."""


@dataclass(frozen=True)
class Outlier:
    """A frame to look at, beside the one before it. `severity` only orders them."""

    frame: int
    severity: float
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class WorkerTime:
    """One worker of one run, seconds: `busy` at frames, `waiting` between joining and the end of its work.

    `begin` and `end` in seconds since 1970; `lost` where it died.
    """

    worker: str
    host: str
    begin: float
    end: float
    busy: float
    frames: int
    lost: bool
    spans: tuple[Span, ...]

    @property
    def waiting(self) -> float:
        return max(self.end - self.begin - self.busy, 0.0)


def find_outliers(facts: JobFacts) -> list[Outlier]:
    """The frames that stand out most, at most MOST_OUTLIERS, in the film's order."""
    plan = facts.record.plan if facts.record else None
    if plan is None:
        return []
    reasons: dict[int, list[tuple[float, str]]] = {}

    def tell(frame: int, severity: float, reason: str) -> None:
        reasons.setdefault(frame, []).append((severity, reason))

    errors = {frame: error for frame, error in facts.errors.items() if error is not None}
    styles = {frame: one.record.losses["style"] for frame, one in facts.shown.items() if "style" in one.record.losses}
    for shot in plan.shots:
        for values, limit, name in ((errors, UNSTEADY, "warp error"), (styles, ODD_STYLE, "style loss")):
            here = {frame: values[frame] for frame in range(shot.start, shot.stop) if frame in values}
            for frame, ratio in _against_neighbourhood(here).items():
                if ratio >= limit:
                    tell(frame, ratio / limit, f"{name} {ratio:.1f} times that of the frames around it")
    for frame, one in facts.shown.items():
        if one.record.restarts:
            tell(frame, 1.0 + one.record.restarts, f"the optimiser was restarted {one.record.restarts} times")
        for note in one.record.notes:
            tell(frame, 1.0, note)
    found = [
        Outlier(frame, max(severity for severity, _ in said), tuple(reason for _, reason in sorted(said, reverse=True)))
        for frame, said in reasons.items()
    ]
    worst: list[Outlier] = []
    for candidate in sorted(found, key=lambda outlier: outlier.severity, reverse=True):
        if all(abs(candidate.frame - other.frame) > APART for other in worst):
            worst.append(candidate)
    return sorted(worst[:MOST_OUTLIERS], key=lambda outlier: outlier.frame)


def _against_neighbourhood(values: Mapping[int, float]) -> dict[int, float]:
    """Each value over the median of those around it, itself left out. The least of all is usual where all are tiny."""
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
    for one in facts.history:
        if one.worker:
            name = facts.worker_label(one.worker, one.at)
            if one.kind == "joined":
                joined.setdefault(name, one.at)
                host[name] = one.host
            elif one.kind == "lost":
                lost[name] = one.at
    found = []
    for name in {**dict.fromkeys(joined), **dict.fromkeys(by_worker)}:
        spans = tuple(by_worker.get(name, ()))
        if not spans and name not in lost:
            continue
        begin = min([joined.get(name, float("inf")), *(span.begin for span in spans)])
        end = lost.get(name) or max((span.end for span in spans), default=begin)
        end = max([end, _work_ended(facts, begin) if name not in lost else end])
        found.append(
            WorkerTime(
                worker=name,
                host=host.get(name, ""),
                begin=begin,
                end=end,
                busy=sum(span.busy for span in spans),
                frames=sum(span.frames for span in spans),
                lost=name in lost,
                spans=spans,
            )
        )
    return sorted(found, key=lambda one: one.begin)


def _work_ended(facts: JobFacts, begin: float) -> float:
    """When the last frame of the run that began before `begin` was committed: until then its workers were there."""
    later_runs = [at for at in facts.runs if at > begin]
    until = later_runs[0] if later_runs else float("inf")
    return max((span.end for span in facts.spans if begin <= span.end <= until), default=begin)
