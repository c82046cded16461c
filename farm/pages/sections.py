"""The page of a job at one moment, from its facts: sections rendered by Jinja, put together into one document.

Page(facts, pictures).html()                         the whole page
Page(facts, pictures, live=True).sections()          for a server, which sends only what has changed
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import yaml
from markupsafe import Markup

from farm.job.history import Happening
from farm.job.state import FINISHED
from farm.pages.document import ENVIRONMENT, asset, content_policy
from farm.pages.facts import JobFacts, Shown
from farm.pages.findings import Outlier, WorkerTime, find_outliers, time_by_worker
from farm.pages.plots import frame_plot, pass_ink, time_plot
from farm.plan import JobRuntime, Shot
from farm.plan.film_looks import looks_of
from farm.plan.forecast import render_seconds
from farm.plan.timeline_drawing import timeline_rows
from farm.render.detail_figures import AREAS, FIGURES, median_at_rest, spread_of_fine
from farm.render.seams import NEAR
from farm.spec import RenderSpec
from farm.spec.frames import evenly, runs
from farm.spec.load import spec_differences
from farm.spec.units import format_seconds

SHOTS_SHOWN = 36
"""Shots that are shown before and after, the longest ones."""
STRIP = 144
"""Frames of the strip, evenly spread over the film."""
LATEST = 12
"""Latest frames of the live page."""
CORRECTED_SHOWN = 12
"""Accepted frames that are shown beside what was painted, the first ones."""
SHOT_WIDTH, PAIR_WIDTH, STRIP_WIDTH, LATEST_WIDTH = 640, 480, 128, 320
"""Widest picture of each section, in pixels."""
SEAM_SHOWS = 2.0
"""Ratio of the warp error at a seam to the usual one from which on the page marks it."""
MOST_ROWS, MOST_SEAMS, MOST_FAULTS = 8000, 300, 500
"""Frames whose values can be read one by one, and rows of tables: a feature film has more than a page can hold."""

TIMELINE_COLUMNS = 240
"""Frames of a timeline's curves, evenly spread over the film."""

GENERATOR = "farm report"
"""Name in the page's head by which an earlier report is known."""

SECTIONS = {
    "overview": ("Overview", "Overview"),
    "latest": ("Latest frames", "Latest"),
    "shots": ("Before and after", "Before and after"),
    "strip": ("The film", "Film"),
    "timeline": ("Style over time", "Style over time"),
    "look": ("Deserve a look", "Deserve a look"),
    "corrected": ("Corrected frames", "Corrected"),
    "paint": ("Paint where the film moves", "Paint"),
    "curves": ("Frame by frame", "Frame by frame"),
    "seams": ("Seams", "Seams"),
    "time": ("Where the time went", "Time"),
    "faults": ("Faults and retries", "Faults"),
    "forecast": ("Forecast and fact", "Forecast"),
    "settings": ("Settings", "Settings"),
}
"""Sections of the page, top to bottom: (heading, name in the contents). Only the live page has `latest`."""
WORDS = {
    "joined": "worker joined",
    "released": "worker given back",
    "lost": "worker lost",
    "refused": "machine refused",
    "retry": "tried again",
    "failed": "given up",
    "avoided": "node avoided",
    "regained": "made up for",
    "note": "note",
}
"""What a reader is told of each kind of happening."""
FAULTS = ("lost", "refused", "retry", "failed", "avoided", "regained")
"""Kinds of happenings that are no part of a render without faults."""
KINDS = ("source", "painted", "flicker", "moving-source", "moving-painted", "moving-still")
"""Kinds of pictures. `flicker` is how much a frame differs from its warped predecessor. Those of what moves are cut
out, and grey where the film rests; `moving-still` is of the frame painted by itself.
"""


class Pictures(Protocol):
    """Where the page finds its pictures. Each answer is a URL, or None where the picture cannot be read."""

    def src(self, kind: str, frame: int, width: int) -> str | None:
        """A picture of a frame, at most `width` pixels wide. `kind` is one of KINDS."""
        ...

    def src_of(self, shown: Shown, width: int) -> str | None:
        """A committed frame of any pass, at most `width` pixels wide."""
        ...


@dataclass(frozen=True)
class Section:
    """A rendered section. `label` is its name in the contents. `version` changes with the content."""

    name: str
    title: str
    label: str
    html: Markup
    version: str


class Page:
    """The page of a job at one moment. Each section is rendered by itself. Without `pictures` it has none."""

    def __init__(self, facts: JobFacts, pictures: Pictures | None, *, live: bool = False) -> None:
        self.facts, self._pictures, self.live = facts, pictures, live

    def sections(self, kept: Mapping[str, Section] | None = None) -> list[Section]:
        """The sections that have something to show, in order. `kept` ones, by name, are not rendered anew."""
        sections = []
        for name, (title, label) in SECTIONS.items():
            if kept and name in kept:
                sections.append(kept[name])
                continue
            template = ENVIRONMENT.get_template(f"{name}.html")
            html = template.render(self._values_of(name), page=self, facts=self.facts).strip()
            if html:
                version = hashlib.sha256(html.encode()).hexdigest()[:16]
                sections.append(Section(name, title, label, Markup(html), version))  # noqa: S704 it was escaped
        return sections

    def html(self, sections: Sequence[Section] | None = None) -> str:
        """The whole document. `sections` are given where they are rendered already."""
        script = asset("page.js")
        return ENVIRONMENT.get_template("page.html").render(
            page=self,
            facts=self.facts,
            sections=self.sections() if sections is None else sections,
            style=asset("page.css"),
            script=script,
            policy=content_policy(script, live=self.live),
            generator=GENERATOR,
        )

    def src(self, kind: str, frame: int, width: int) -> str | None:
        """URL of a picture; None on a page without pictures, or where it cannot be read."""
        return self._pictures.src(kind, frame, width) if self._pictures else None

    # what the sections show --------------------------------------------------------------------------

    def _values_of(self, name: str) -> dict[str, Any]:
        """Variables of a section's template, from the method of its name."""
        method = getattr(self, f"_section_{name}", None)
        return method() if method else {}

    @property
    def title(self) -> str:
        """Name of the film, or of the job where nobody says what it will be."""
        spec = self.spec
        return Path(spec.output).name if spec else self.facts.url.rstrip("/").rpartition("/")[2]

    @property
    def spec(self) -> RenderSpec | None:
        """What is rendered: the job's spec, or the submitted one where the job has not begun."""
        facts = self.facts
        return facts.record.spec if facts.record else facts.request.spec if facts.request else None

    @property
    def is_over(self) -> bool:
        """Whether the job has ended, so that a live page will not change any more."""
        return self.facts.doing in FINISHED

    @property
    def is_at_work(self) -> bool:
        """Whether the job is waited for: a driver works on it, or is to begin."""
        return self.facts.doing in ("QUEUED", "PENDING", "RUNNING")

    @property
    def lost_because(self) -> str:
        """Why a job is lost, as the beginning of a sentence, without what to do."""
        reason = self.facts.standing.reason.partition("; farm resume")[0]
        return reason[:1].upper() + reason[1:]

    @property
    def log_page(self) -> str:
        """Address of the job's log in the cluster's dashboard; empty where the job names no http(s) address."""
        request = self.facts.request
        if request is None or not request.submissions or not request.dashboard.startswith(("http://", "https://")):
            return ""
        return f"{request.dashboard}/#/jobs/{request.submissions[-1]}"

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames, for the place that pictures take; 16 to 9 where none is planned yet."""
        return (self.facts.record.plan.width, self.facts.record.plan.height) if self.facts.record else (16, 9)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all frames are committed; None where the job does not run or it is too early to tell."""
        return self.facts.seconds_left() if self.facts.doing == "RUNNING" else None

    @property
    def progress(self) -> tuple[int, int]:
        """(frames committed, frames in all), every pass counted."""
        counts = self.facts.passes.values()
        return sum(done for done, _ in counts), sum(total for _, total in counts)

    def when(self, frame: int) -> str:
        """A frame's time in the film, `m:ss.ss`."""
        record = self.facts.record
        if record is None:
            return ""
        probe = record.probe
        at = float((probe.pts[min(frame, len(probe.pts) - 1)] - probe.pts[0]) * probe.time_base)
        return f"{int(at // 60)}:{at % 60:05.2f}"

    @cached_property
    def outliers(self) -> list[Outlier]:
        """Frames that deserve a look."""
        return find_outliers(self.facts)

    @cached_property
    def workers(self) -> list[WorkerTime]:
        """Where the time of each worker went."""
        return time_by_worker(self.facts)

    def ink(self, pass_name: str) -> str:
        """CSS colour of a pass."""
        indices = {task.pass_name: task.pass_index for task in self.facts.tasks}
        return f"var(--{pass_ink(indices.get(pass_name, 0))})"

    def _section_overview(self) -> dict[str, Any]:
        report, plan = self.facts.report or {}, self.facts.record.plan if self.facts.record else None
        tiles: list[tuple[str, str, str]] = []
        if plan:
            tiles.append(("Frames", f"{len(plan.frames)}", f"{plan.width} × {plan.height}"))
            chunks = f"{len(plan.chunks)} chunk{'s' * (len(plan.chunks) > 1)}"
            tiles.append(("Shots", f"{len(plan.shots)}", f"{chunks}, {plan.passes} pass{'es' * (plan.passes > 1)}"))
        if "seconds" in report and plan:
            seconds_per_frame = report["seconds"] / len(plan.frames)
            tiles.append(("Time", format_seconds(report["seconds"]), f"{seconds_per_frame:.2g} s a frame, all passes"))
        if report.get("workers"):
            lost = report.get("lost_workers", 0)
            tiles.append(("Workers", f"{report['workers']}", f"{lost} lost on the way" if lost else "none lost"))
        errors = sorted(error for error in self.facts.errors.values() if error is not None)
        if errors:
            tiles.append(("Warp error", f"{errors[len(errors) // 2]:.2g}", "median of neighbours, lower is steadier"))
            fine = spread_of_fine(self.facts.details)
            about = (
                f"{fine.worst:.2f} in frame {fine.frame}; a blur has little" if fine else "nothing moves, or unknown"
            )
            tiles.append(("Fine detail, moving", f"{fine.median:.2f}" if fine else "–", about))
        ratios = [seam.ratio for seam in self.facts.seams if seam.ratio is not None]
        if ratios:
            tiles.append(("Worst seam", f"{max(ratios):.2f}", f"of {len(ratios)}; 1 is none"))
        return {"tiles": self._tiles_of_run() + tiles, "faults": self._faults_of_run(), "words": WORDS}

    def _tiles_of_run(self) -> list[tuple[str, str, str]]:
        """(name, value, what it means) of a job that runs: when it began, how fast it is, and who is at work."""
        facts = self.facts
        if facts.doing != "RUNNING" or not facts.runs:
            return []
        began, rate, here = facts.runs[-1], facts.frames_per_second(), facts.workers_here
        again = f"run {len(facts.runs)}, " if len(facts.runs) > 1 else ""
        at = datetime.fromtimestamp(began, timezone.utc)
        tiles = [
            ("Began", f"{at:%H:%M} UTC", f"{again}{format_seconds(max(facts.now - began, 0.0))} ago, on {at:%d %B}")
        ]
        if rate is not None:
            value = f"{rate:.2g} / s" if rate >= 1 else f"{60 * rate:.2g} / min"
            tiles.append(("Pace", value, "frames, those of every pass counted"))
        hosts = ", ".join(sorted({host for host in here.values() if host}))
        tiles.append(("Workers at work", f"{len(here)}", f"on {hosts}" if hosts else "none is up"))
        return tiles

    def _faults_of_run(self) -> list[Happening]:
        """What went wrong in the run at work, the latest first."""
        kinds = set(FAULTS) - {"regained"}
        return [one for one in self.facts.this_run if one.kind in kinds][::-1] if not self.is_over else []

    def _section_latest(self) -> dict[str, Any]:
        if not self.live or self._pictures is None:
            return {"latest": []}
        frames = self.facts.latest(LATEST)
        return {"latest": [(shown, self._pictures.src_of(shown, LATEST_WIDTH)) for shown in frames]}

    def _section_shots(self) -> dict[str, Any]:
        plan = self.facts.record.plan if self.facts.record else None
        if plan is None:
            return {"shots": [], "left_out": 0}
        longest = sorted(plan.shots, key=lambda shot: shot.start - shot.stop)[:SHOTS_SHOWN]
        shots = [self._shot(shot) for shot in sorted(longest, key=lambda shot: shot.start)]
        return {"shots": shots, "left_out": len(plan.shots) - len(shots)}

    def _shot(self, shot: Shot) -> dict[str, Any]:
        middle = (shot.start + shot.stop) // 2
        painted = [frame for frame in range(shot.start, shot.stop) if frame in self.facts.shown]
        frame = min(painted, key=lambda frame: abs(frame - middle), default=middle)
        shown = self.facts.shown.get(frame)
        return {
            "shot": shot,
            "frame": frame,
            "pass_name": shown.task.pass_name if shown else "",
            "before": self.src("source", frame, SHOT_WIDTH),
            "after": self.src("painted", frame, SHOT_WIDTH) if shown else None,
        }

    def _section_strip(self) -> dict[str, Any]:
        frames = list(self.facts.shown)
        picked = [frames[i] for i in evenly(STRIP, len(frames))] if frames else []
        starts = {shot.start for shot in self.facts.record.plan.shots} if self.facts.record else set()
        thumbs, before = [], -1
        for frame in picked:
            cut = any(start in range(before + 1, frame + 1) for start in starts)
            thumbs.append({"frame": frame, "src": self.src("painted", frame, STRIP_WIDTH), "cut": cut and before >= 0})
            before = frame
        return {"thumbs": thumbs}

    def _section_timeline(self) -> dict[str, Any]:
        record = self.facts.record
        looks = looks_of(record.spec, record.probe, record.cuts) if record else None
        if record is None or looks is None:
            return {"rows": []}
        frames = record.plan.frames
        rows = []
        for row in timeline_rows(looks, frames, TIMELINE_COLUMNS):
            last = max(len(row.values) - 1, 1)
            curve = " ".join(f"{100 * i / last:.2f},{20 * (1 - value):.2f}" for i, value in enumerate(row.values))
            rows.append((row, curve))
        points = [frame for frame in looks.frames if frame in frames]
        span = max(len(frames) - 1, 1)
        marks = [100 * (frame - frames.start) / span for frame in points]
        return {"rows": rows, "points": points, "marks": marks, "shots": sorted(looks.per_shot), "frames": frames}

    def _section_corrected(self) -> dict[str, Any]:
        rows: list[tuple[int, str, str, str]] = []
        accepted: list[tuple[int, list[tuple[str, str]]]] = []
        for one in self.facts.corrections:
            pictures = [f"{version.number} {version.origin}" for version in one.versions]
            reach = f"{one.current.reach} frames" if one.current.reach else ""
            rows.append((one.frame, f"{one.shown} {one.current.origin}", reach, ", ".join(pictures)))
            painted = self.facts.shown.get(one.frame)
            if one.current.origin == "accepted" and painted is not None and len(accepted) < CORRECTED_SHOWN:
                before = self._pictures.src_of(painted, PAIR_WIDTH) if self._pictures else None
                now = self.src("painted", one.frame, PAIR_WIDTH)
                accepted.append(
                    (one.frame, [(label, src) for label, src in (("painted", before), ("shown", now)) if src])
                )
        return {"rows": rows[:MOST_ROWS], "left_out": len(rows) - len(rows[:MOST_ROWS]), "accepted": accepted}

    def _section_look(self) -> dict[str, Any]:
        pairs = []
        for outlier in self.outliers:
            pictures = [
                (label, frame, self.src(kind, frame, PAIR_WIDTH))
                for label, kind, frame in (
                    ("painted", "painted", outlier.frame - 1),
                    ("painted", "painted", outlier.frame),
                    ("source", "source", outlier.frame - 1),
                    ("source", "source", outlier.frame),
                    ("changed", "flicker", outlier.frame),
                )
                if frame in self.facts.shown
            ]
            heading = f"Frame {outlier.frame}"
            if outlier.frame - 1 in self.facts.shown:
                heading = f"Frames {outlier.frame - 1} and {outlier.frame}"
            pairs.append({"outlier": outlier, "heading": heading, "pictures": [row for row in pictures if row[2]]})
        return {"pairs": pairs}

    def _section_paint(self) -> dict[str, Any]:
        fine = spread_of_fine(self.facts.details)
        if fine is None:
            return {"fine": None}
        frames = sorted({*self.facts.stills, fine.frame})
        rows = []
        for frame in frames:
            kinds = ("source", "painted", *(["still"] if frame in self.facts.stills else []))
            pictures = [(kind, self.src(f"moving-{kind}", frame, PAIR_WIDTH)) for kind in kinds]
            rows.append({"frame": frame, "pictures": [row for row in pictures if row[1]]})
        return {
            "fine": fine,
            "resting": median_at_rest(self.facts.details),
            "measured": len(self.facts.details),
            "rows": rows,
            "areas": AREAS,
            "figures": FIGURES,
        }

    def _section_curves(self) -> dict[str, Any]:
        plots = {name: frame_plot(self.facts, self.outliers, narrow=name == "narrow") for name in ("wide", "narrow")}
        passes = list(self.facts.passes)
        columns = [
            "frame",
            "shot",
            "chunk",
            "pass",
            "style loss",
            "content loss",
            "warp error",
            "fine detail, moving",
            "seconds",
            "iterations",
            *(["painted with"] if self._mixed else []),
        ]
        plan = self.facts.record.plan if self.facts.record else None
        seconds = {pass_name: self.facts.values("seconds", pass_name) for pass_name in passes}
        steps = {pass_name: self.facts.values("steps", pass_name) for pass_name in passes}
        rows = []
        frames = list(self.facts.shown)
        for frame in (frames[i] for i in evenly(MOST_ROWS, len(frames))):
            shown = self.facts.shown[frame]
            chunk = plan.chunk_of(frame) if plan else None
            error = self.facts.errors.get(frame)
            fine = self.facts.details[frame].moving if frame in self.facts.details else None
            losses = shown.record.losses
            rows.append(
                [
                    frame,
                    chunk.shot + 1 if chunk else 0,
                    chunk.index + 1 if chunk else 0,
                    shown.task.pass_name,
                    round(losses["style"]) if "style" in losses else None,
                    round(losses["content"]) if "content" in losses else None,
                    None if error is None else float(f"{error:.3g}"),
                    None if fine is None else round(fine, 2),
                    round(sum(values.get(frame, 0.0) for values in seconds.values()), 2),
                    int(sum(values.get(frame, 0) for values in steps.values())),
                    *([self._mixed.get(frame, "the job's software")] if self._mixed else []),
                ]
            )
        summary = [self._shot_summary(shot) for shot in plan.shots[:200]] if plan and plots["wide"] else []
        return {
            "plots": plots if plots["wide"] else {},
            "data": Markup(json.dumps({"columns": columns, "rows": rows}).replace("<", "\\u003c")),  # noqa: S704
            "passes": passes,
            "summary": summary,
        }

    def _shot_summary(self, shot: Shot) -> dict[str, Any]:
        shown = [self.facts.shown[frame] for frame in range(shot.start, shot.stop) if frame in self.facts.shown]
        errors = [
            error for frame in range(shot.start, shot.stop) if (error := self.facts.errors.get(frame)) is not None
        ]
        within = [row for frame, row in self.facts.details.items() if shot.start <= frame < shot.stop]
        fine = [row.moving for row in within if row.moving is not None]
        return {
            "shot": shot,
            "frames": len(shown),
            "style": _median([frame.record.losses["style"] for frame in shown if "style" in frame.record.losses]),
            "content": _median([frame.record.losses["content"] for frame in shown if "content" in frame.record.losses]),
            "error": _median(errors),
            "fine": _median(fine),
        }

    def _section_seams(self) -> dict[str, Any]:
        worst = sorted(self.facts.seams, key=lambda seam: seam.ratio or 0.0, reverse=True)[:MOST_SEAMS]
        shown = sorted(worst, key=lambda seam: seam.frame)
        return {"seams": shown, "left_out": len(self.facts.seams) - len(shown), "near": NEAR, "shows": SEAM_SHOWS}

    def _section_time(self) -> dict[str, Any]:
        passes = [
            (
                pass_name,
                sum(values.values()),
                len(values),
                sum(self.facts.values("steps", pass_name).values()),
                sum(self.facts.values("work", pass_name).values()),
            )
            for pass_name in self.facts.passes
            if (values := self.facts.values("seconds", pass_name))
        ]
        plots = {name: time_plot(self.facts, self.workers, narrow=name == "narrow") for name in ("wide", "narrow")}
        return {
            "plots": plots if plots["wide"] else {},
            "passes": passes,
            "total": sum(seconds for _, seconds, *_ in passes),
            "around": self._around(),
        }

    def _around(self) -> list[tuple[str, float]]:
        """Seconds of the last run before the first worker, at frames, and after them."""
        history = self.facts.history
        if not self.facts.runs:
            return []
        begun = self.facts.runs[-1]

        def first_of(kind: str) -> float | None:
            return next((event.at for event in history if event.at >= begun and event.kind == kind), None)

        first, stitch, end = first_of("joined"), first_of("stitch"), first_of("end")
        parts = [
            ("starting Ray and workers", first - begun if first else 0.0),
            ("painting", stitch - first if first and stitch else 0.0),
            ("stitching the film", end - stitch if stitch and end else 0.0),
        ]
        return [(name, seconds) for name, seconds in parts if seconds]

    def _section_faults(self) -> dict[str, Any]:
        kinds = ("joined", "released", "note", *FAULTS)
        began = self.facts.history[0].at if self.facts.history else 0.0
        rows = [(happening.at - began, happening) for happening in self.facts.history if happening.kind in kinds]
        trouble = [happening for _, happening in rows if happening.kind in FAULTS]
        restarted = sum(shown.record.restarts > 0 for shown in self.facts.shown.values())
        left_out = max(len(rows) - MOST_FAULTS, 0)
        rows = rows[left_out:]
        return {"rows": rows, "left_out": left_out, "trouble": len(trouble), "restarted": restarted, "words": WORDS}

    def _section_forecast(self) -> dict[str, Any]:
        facts = self.facts
        if facts.forecast is None or facts.record is None:
            return {"forecast": None}
        spec = facts.record.spec
        differences = spec_differences(_without_output(facts.forecast.spec), _without_output(spec))
        report = facts.report or {}
        values: dict[str, Any] = {"forecast": facts.forecast, "differences": differences, "off": None}
        if differences:
            return values
        workers = report.get("workers") or facts.forecast.workers
        seconds = render_seconds(facts.record.plan, spec, facts.forecast.costs, workers)
        values |= {"workers": workers, "seconds": seconds, "actual": report.get("seconds"), "runs": len(facts.runs)}
        if report.get("seconds") and len(facts.runs) == 1:
            values["off"] = report["seconds"] / seconds - 1
        return values

    def _section_settings(self) -> dict[str, Any]:
        record = self.facts.record
        if record is None:
            return {"record": None}
        spec = record.spec.model_dump(mode="json", exclude_none=True)
        return {
            "record": record,
            "mixed": self._mixed_rows(),
            "yaml": yaml.safe_dump(spec, sort_keys=False, allow_unicode=True, width=100),
            "runtime": self._runtime(record.runtime),
        }

    @staticmethod
    def _runtime(runtime: JobRuntime) -> dict[str, Any]:
        """What all workers have in common, by name; the device of the memory only where the memory is limited."""
        limited = (
            {} if runtime.max_memory is None else {"memory_of": runtime.memory_of, "max_memory": runtime.max_memory}
        )
        return {"precision": runtime.precision, **limited}

    @cached_property
    def _mixed(self) -> dict[int, str]:
        """By frame: how what it was painted with differs from the job's software, in the passes where it does."""
        told: dict[int, list[str]] = {}
        for task in self.facts.tasks:
            for frame, row in self.facts.ledgers.get(task.id, {}).items():
                if row.software:
                    told.setdefault(frame, []).append(f"{task.pass_name}: {row.software}")
        return {frame: "; ".join(texts) for frame, texts in told.items()}

    def _mixed_rows(self) -> list[tuple[str, str, str, str]]:
        """(pass, frames, workers, how their software differs from the job's) of the frames where it differs."""
        frames: dict[tuple[str, str], set[int]] = {}
        workers: dict[tuple[str, str], set[str]] = {}
        for task in self.facts.tasks:
            for frame, row in self.facts.ledgers.get(task.id, {}).items():
                if row.software:
                    host = self.facts.host_of(row)
                    key = (task.pass_name, row.software)
                    frames.setdefault(key, set()).add(frame)
                    workers.setdefault(key, set()).add(f"{row.worker} on {host}" if host else row.worker)
        return [
            (pass_name, ", ".join(map(str, runs(numbers))), ", ".join(sorted(workers[pass_name, text])), text)
            for (pass_name, text), numbers in frames.items()
        ]


def _without_output(spec: RenderSpec) -> RenderSpec:
    return spec.model_copy(update={"output": "-"})


def _median(values: Sequence[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None
