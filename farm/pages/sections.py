"""The page of a job at one moment, from its facts: sections rendered by Jinja, put together into one document.

Page(facts, pictures).html()                             the whole page
Page(facts, pictures, live=True).sections()              for a server, which sends only what has changed
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import yaml
from markupsafe import Markup

from farm.pages.document import ENVIRONMENT, asset, content_policy
from farm.pages.facts import JobFacts, Shown
from farm.pages.findings import Outlier, WorkerTime, find_outliers, time_by_worker
from farm.pages.plots import frame_plot, stage_ink, time_plot
from farm.plan import Shot
from farm.plan.forecast import render_seconds
from farm.render.steadiness import NEAR
from farm.spec import RenderSpec
from farm.spec.frames import evenly
from farm.spec.load import spec_differences
from farm.spec.units import format_seconds

SHOTS_SHOWN = 36
STRIP = 144
LATEST = 12
SHOT_WIDTH, PAIR_WIDTH, STRIP_WIDTH, LATEST_WIDTH = 640, 480, 128, 320
SEAM_SHOWS = 2.0
MOST_ROWS, MOST_SEAMS, MOST_FAULTS = 8000, 300, 500
"""Frames whose values can be read one by one, and rows of tables: a feature film has more than a page can hold."""

GENERATOR = "farm report"

SECTIONS = {
    "overview": ("Overview", "Overview"),
    "latest": ("Latest frames", "Latest"),
    "shots": ("Before and after", "Before and after"),
    "strip": ("The film", "Film"),
    "look": ("Deserve a look", "Deserve a look"),
    "curves": ("Frame by frame", "Frame by frame"),
    "seams": ("Seams", "Seams"),
    "time": ("Where the time went", "Time"),
    "faults": ("Faults and retries", "Faults"),
    "forecast": ("Forecast and fact", "Forecast"),
    "settings": ("Settings", "Settings"),
}
"""The page, top to bottom: heading, and name in the contents. `latest` is part of the live one only."""


WORDS = {
    "joined": "worker joined",
    "lost": "worker lost",
    "retry": "tried again",
    "failed": "given up",
    "avoided": "node avoided",
    "regained": "made up for",
    "note": "note",
}


class Pictures(Protocol):
    """Where the page finds a picture: `kind` is source, painted or flicker. None where it cannot be had."""

    def src(self, kind: str, frame: int, width: int) -> str | None: ...

    def src_of(self, shown: Shown, width: int) -> str | None:
        """A committed frame of any stage."""
        ...


@dataclass(frozen=True)
class Section:
    """`label` is its name in the contents; `version` changes with the content."""

    name: str
    title: str
    label: str
    html: Markup
    version: str


class Page:
    """The page of a job at one moment. Each section is rendered by itself."""

    def __init__(self, facts: JobFacts, pictures: Pictures | None, *, live: bool = False) -> None:
        self.facts, self._pictures, self.live = facts, pictures, live

    def sections(self, kept: Mapping[str, Section] | None = None) -> list[Section]:
        """Those that have something to show; `kept` ones are not rendered anew."""
        found = []
        for name, (title, label) in SECTIONS.items():
            if kept and name in kept:
                found.append(kept[name])
                continue
            html = (
                ENVIRONMENT.get_template(f"{name}.html").render(self._told(name), page=self, facts=self.facts).strip()
            )
            if html:
                version = hashlib.sha256(html.encode()).hexdigest()[:16]
                found.append(Section(name, title, label, Markup(html), version))  # noqa: S704 rendered with autoescape
        return found

    def html(self, sections: Sequence[Section] | None = None) -> str:
        """The whole document; `sections` where they are rendered already."""
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
        return self._pictures.src(kind, frame, width) if self._pictures else None

    # what the sections show --------------------------------------------------------------------------

    def _told(self, name: str) -> dict[str, Any]:
        tell = getattr(self, f"_tell_{name}", None)
        return tell() if tell else {}

    @property
    def title(self) -> str:
        record = self.facts.record
        return Path(record.spec.output).name if record else self.facts.url.rstrip("/").rpartition("/")[2]

    @property
    def size(self) -> tuple[int, int]:
        return (self.facts.record.plan.width, self.facts.record.plan.height) if self.facts.record else (16, 9)

    @property
    def seconds_left(self) -> float | None:
        return self.facts.seconds_left() if self.facts.doing == "RUNNING" else None

    @property
    def progress(self) -> tuple[int, int]:
        """Frames committed and frames in all, every stage counted."""
        counts = self.facts.stages.values()
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
        return find_outliers(self.facts)

    @cached_property
    def workers(self) -> list[WorkerTime]:
        return time_by_worker(self.facts)

    def ink(self, stage: str) -> str:
        numbers = {task.pass_name: task.pass_index for task in self.facts.tasks}
        return f"var(--{stage_ink(numbers.get(stage, 0))})"

    def _tell_overview(self) -> dict[str, Any]:
        report, plan = self.facts.report or {}, self.facts.record.plan if self.facts.record else None
        tiles: list[tuple[str, str, str]] = []
        if plan:
            tiles.append(("Frames", f"{len(plan.frames)}", f"{plan.width} × {plan.height}"))
            chunks = f"{len(plan.chunks)} chunk{'s' * (len(plan.chunks) > 1)}"
            tiles.append(("Shots", f"{len(plan.shots)}", f"{chunks}, {plan.passes} pass{'es' * (plan.passes > 1)}"))
        if "seconds" in report and plan:
            each = report["seconds"] / len(plan.frames)
            tiles.append(("Time", format_seconds(report["seconds"]), f"{each:.2g} s a frame, all passes"))
        if report.get("workers"):
            lost = report.get("lost_workers", 0)
            tiles.append(("Workers", f"{report['workers']}", f"{lost} lost on the way" if lost else "none lost"))
        errors = sorted(error for error in self.facts.errors.values() if error is not None)
        if errors:
            tiles.append(("Warp error", f"{errors[len(errors) // 2]:.2g}", "median of neighbours, lower is steadier"))
        ratios = [seam.ratio for seam in self.facts.seams if seam.ratio is not None]
        if ratios:
            tiles.append(("Worst seam", f"{max(ratios):.2f}", f"of {len(ratios)}; 1 is none"))
        return {"tiles": tiles}

    def _tell_latest(self) -> dict[str, Any]:
        if not self.live or self._pictures is None:
            return {"latest": []}
        found = [(one, self._pictures.src_of(one, LATEST_WIDTH)) for one in self.facts.latest(LATEST)]
        return {"latest": found}

    def _tell_shots(self) -> dict[str, Any]:
        plan = self.facts.record.plan if self.facts.record else None
        if plan is None:
            return {"shots": [], "left_out": 0}
        longest = sorted(plan.shots, key=lambda shot: shot.start - shot.stop)[:SHOTS_SHOWN]
        shots = [self._shot(shot) for shot in sorted(longest, key=lambda shot: shot.start)]
        return {"shots": shots, "left_out": len(plan.shots) - len(shots)}

    def _shot(self, shot: Shot) -> dict[str, Any]:
        middle = (shot.start + shot.stop) // 2
        there = [frame for frame in range(shot.start, shot.stop) if frame in self.facts.shown]
        frame = min(there, key=lambda frame: abs(frame - middle), default=middle)
        one = self.facts.shown.get(frame)
        return {
            "shot": shot,
            "frame": frame,
            "stage": one.task.pass_name if one else "",
            "before": self.src("source", frame, SHOT_WIDTH),
            "after": self.src("painted", frame, SHOT_WIDTH) if one else None,
        }

    def _tell_strip(self) -> dict[str, Any]:
        frames = list(self.facts.shown)
        picked = [frames[i] for i in evenly(STRIP, len(frames))] if frames else []
        starts = {shot.start for shot in self.facts.record.plan.shots} if self.facts.record else set()
        thumbs, before = [], -1
        for frame in picked:
            cut = any(start in range(before + 1, frame + 1) for start in starts)
            thumbs.append({"frame": frame, "src": self.src("painted", frame, STRIP_WIDTH), "cut": cut and before >= 0})
            before = frame
        return {"thumbs": thumbs}

    def _tell_look(self) -> dict[str, Any]:
        pairs = []
        for one in self.outliers:
            pictures = [
                (label, frame, self.src(kind, frame, PAIR_WIDTH))
                for label, kind, frame in (
                    ("painted", "painted", one.frame - 1),
                    ("painted", "painted", one.frame),
                    ("source", "source", one.frame - 1),
                    ("source", "source", one.frame),
                    ("changed", "flicker", one.frame),
                )
                if frame in self.facts.shown
            ]
            pairs.append({"outlier": one, "pictures": [row for row in pictures if row[2]]})
        return {"pairs": pairs}

    def _tell_curves(self) -> dict[str, Any]:
        plots = {name: frame_plot(self.facts, self.outliers, narrow=name == "narrow") for name in ("wide", "narrow")}
        stages = list(self.facts.stages)
        columns = [
            "frame",
            "shot",
            "chunk",
            "stage",
            "style loss",
            "content loss",
            "warp error",
            "seconds",
            "iterations",
        ]
        plan = self.facts.record.plan if self.facts.record else None
        seconds = {stage: self.facts.values("seconds", stage) for stage in stages}
        steps = {stage: self.facts.values("steps", stage) for stage in stages}
        rows = []
        frames = list(self.facts.shown)
        for frame in (frames[i] for i in evenly(MOST_ROWS, len(frames))):
            one = self.facts.shown[frame]
            chunk = plan.chunk_of(frame) if plan else None
            error = self.facts.errors.get(frame)
            losses = one.record.losses
            rows.append(
                [
                    frame,
                    chunk.shot + 1 if chunk else 0,
                    chunk.index + 1 if chunk else 0,
                    one.task.pass_name,
                    round(losses["style"]) if "style" in losses else None,
                    round(losses["content"]) if "content" in losses else None,
                    None if error is None else float(f"{error:.3g}"),
                    round(sum(values.get(frame, 0.0) for values in seconds.values()), 2),
                    int(sum(values.get(frame, 0) for values in steps.values())),
                ]
            )
        summary = [self._shot_summary(shot) for shot in plan.shots[:200]] if plan and plots["wide"] else []
        return {
            "plots": plots if plots["wide"] else {},
            "data": Markup(json.dumps({"columns": columns, "rows": rows}).replace("<", "\\u003c")),  # noqa: S704
            "stages": stages,
            "summary": summary,
        }

    def _shot_summary(self, shot: Shot) -> dict[str, Any]:
        shown = [self.facts.shown[frame] for frame in range(shot.start, shot.stop) if frame in self.facts.shown]
        errors = [
            error for frame in range(shot.start, shot.stop) if (error := self.facts.errors.get(frame)) is not None
        ]
        return {
            "shot": shot,
            "frames": len(shown),
            "style": _median([one.record.losses["style"] for one in shown if "style" in one.record.losses]),
            "content": _median([one.record.losses["content"] for one in shown if "content" in one.record.losses]),
            "error": _median(errors),
        }

    def _tell_seams(self) -> dict[str, Any]:
        worst = sorted(self.facts.seams, key=lambda seam: seam.ratio or 0.0, reverse=True)[:MOST_SEAMS]
        shown = sorted(worst, key=lambda seam: seam.frame)
        return {"seams": shown, "left_out": len(self.facts.seams) - len(shown), "near": NEAR, "shows": SEAM_SHOWS}

    def _tell_time(self) -> dict[str, Any]:
        stages = [
            (stage, sum(values.values()), len(values), sum(self.facts.values("steps", stage).values()))
            for stage in self.facts.stages
            if (values := self.facts.values("seconds", stage))
        ]
        plots = {name: time_plot(self.facts, self.workers, narrow=name == "narrow") for name in ("wide", "narrow")}
        return {
            "plots": plots if plots["wide"] else {},
            "stages": stages,
            "total": sum(seconds for _, seconds, _, _ in stages),
            "around": self._around(),
        }

    def _around(self) -> list[tuple[str, float]]:
        """Seconds of the last run before the first worker, at frames, and after them."""
        history = self.facts.history
        begun = [one.at for one in history if one.kind == "run"]
        if not begun:
            return []
        last = [one for one in history if one.at >= begun[-1]]
        first = next((one.at for one in last if one.kind == "joined"), None)
        stitch = next((one.at for one in last if one.kind == "stitch"), None)
        end = next((one.at for one in last if one.kind == "end"), None)
        parts = [
            ("starting Ray and workers", first - begun[-1] if first else 0.0),
            ("painting", stitch - first if first and stitch else 0.0),
            ("stitching the film", end - stitch if stitch and end else 0.0),
        ]
        return [(name, seconds) for name, seconds in parts if seconds]

    def _tell_faults(self) -> dict[str, Any]:
        kinds = ("joined", "lost", "retry", "failed", "avoided", "regained", "note")
        began = self.facts.history[0].at if self.facts.history else 0.0
        rows = [(one.at - began, one) for one in self.facts.history if one.kind in kinds]
        trouble = [one for _, one in rows if one.kind not in ("joined", "note")]
        restarted = sum(one.record.restarts > 0 for one in self.facts.shown.values())
        left_out = max(len(rows) - MOST_FAULTS, 0)
        rows = rows[left_out:]
        return {"rows": rows, "left_out": left_out, "trouble": len(trouble), "restarted": restarted, "words": WORDS}

    def _tell_forecast(self) -> dict[str, Any]:
        facts = self.facts
        if facts.forecast is None or facts.record is None:
            return {"forecast": None}
        spec = facts.record.spec
        differences = spec_differences(_without_output(facts.forecast.spec), _without_output(spec))
        report = facts.report or {}
        told: dict[str, Any] = {"forecast": facts.forecast, "differences": differences, "off": None}
        if differences:
            return told
        workers = report.get("workers") or facts.forecast.workers
        seconds = render_seconds(facts.record.plan, spec, facts.forecast.costs, workers)
        told |= {"workers": workers, "seconds": seconds, "actual": report.get("seconds"), "runs": len(facts.runs)}
        if report.get("seconds") and len(facts.runs) == 1:
            told["off"] = report["seconds"] / seconds - 1
        return told

    def _tell_settings(self) -> dict[str, Any]:
        record = self.facts.record
        if record is None:
            return {"record": None}
        spec = record.spec.model_dump(mode="json", exclude_none=True)
        return {
            "record": record,
            "yaml": yaml.safe_dump(spec, sort_keys=False, allow_unicode=True, width=100),
            "runtime": asdict_model(record.runtime),
        }


def _without_output(spec: RenderSpec) -> RenderSpec:
    return spec.model_copy(update={"output": "-"})


def asdict_model(model: Any) -> dict[str, Any]:
    return {name: value for name, value in model.model_dump().items() if value is not None}


def _median(values: Sequence[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None
