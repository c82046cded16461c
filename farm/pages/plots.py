"""The plots of a page, drawn by matplotlib as SVG that takes its colours from the page's style sheet.

    svg = frame_plot(facts, outliers, narrow=False)

Colours are drawn as placeholders and replaced by CSS variables, so that one drawing serves light, dark and print.
Text stays text. Outliers are links. Long films are thinned to what a screen can show, peaks kept.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from farm.pages.facts import JobFacts, Span
from farm.pages.findings import Outlier, WorkerTime

INKS = {
    "ink": "#0a0b01",
    "muted": "#0a0b02",
    "grid": "#0a0b03",
    "cut": "#0a0b04",
    "flag": "#0a0b05",
    "paper": "#0a0b06",
    **{f"stage-{number}": f"#0a0c0{number}" for number in range(6)},
}
"""CSS variable of the page, and the colour that stands for it until the drawing is done."""
COLUMNS = 900
"""Values a curve is thinned to: the lowest and the highest of each part."""
MOST_LINES = 400
"""Cuts, and boundaries, that are marked: of more, nothing but grey would be seen."""
LEFT, RIGHT = {False: 0.065, True: 0.13}, {False: 0.995, True: 0.97}
"""Where the axes begin and end, as shares of the width, for the wide and the narrow drawing."""


@dataclass(frozen=True)
class Plot:
    """An SVG, and where its axes lie: `left` and `right` as shares of its width, for frames `first` and `last`."""

    svg: str
    left: float
    right: float
    first: float
    last: float


def stage_ink(number: int) -> str:
    """The variable of a stage: 1 is pass 1; later passes share the last one."""
    return f"stage-{min(max(number, 0), 5)}"


def frame_plot(facts: JobFacts, outliers: Sequence[Outlier], *, narrow: bool) -> Plot | None:
    """Losses, warp error, seconds and iterations of every frame; None where nothing is committed yet."""
    record = facts.record
    if record is None or not facts.shown:
        return None
    plan = record.plan
    numbers = {task.pass_name: task.pass_index for task in facts.tasks}
    stages = sorted({task.pass_name for task in facts.tasks}, key=numbers.__getitem__)
    errors = {frame: error for frame, error in facts.errors.items() if error is not None}
    panels: list[tuple[str, Mapping[str, Mapping[int, float]], bool]] = []
    if any(facts.values("style", stage) for stage in stages):
        panels += [
            ("style loss", {stage: facts.values("style", stage) for stage in stages}, False),
            ("content loss", {stage: facts.values("content", stage) for stage in stages}, False),
        ]
    if errors:
        panels.append(("warp error", {stages[-1]: errors}, False))
    panels.append(("seconds", {stage: facts.values("seconds", stage) for stage in stages}, True))
    if any(facts.values("steps", stage) for stage in stages):
        panels.append(("iterations", {stage: facts.values("steps", stage) for stage in stages}, True))

    figure, axes = _figure(len(panels), narrow)
    first, last = plan.start - 0.5, plan.stop - 0.5
    for axis, (title, curves, stacked) in zip(axes, panels, strict=True):
        _mark(axis, facts)
        inks = {stage: INKS[stage_ink(numbers[stage])] for stage in curves}
        if stacked:
            _stack(axis, curves, inks, range(plan.start, plan.stop))
        else:
            for stage, values in curves.items():
                if values:
                    x, y = thinned(values)
                    final = stage == stages[-1]
                    axis.plot(x, y, color=inks[stage], linewidth=1.3 if final else 0.9, alpha=1 if final else 0.55)
        if title in ("warp error", "style loss"):
            values = curves[stages[-1]]
            told = (one.frame for one in outliers if any(reason.startswith(title) for reason in one.reasons))
            flagged = [frame for frame in told if frame in values]
            dots = axis.scatter(flagged, [values[frame] for frame in flagged], s=26, color=INKS["flag"], zorder=5)
            dots.set_urls([f"#pair-{frame}" for frame in flagged])
        if title == "warp error":
            axis.set_yscale("log")
        else:
            axis.set_ylim(bottom=0)
            axis.yaxis.set_major_formatter(_short_number)
        axis.set_title(title, loc="left", fontsize=8, color=INKS["ink"], pad=3)
        axis.set_xlim(first, last)
    axes[-1].set_xlabel("frame", color=INKS["muted"])
    return Plot(_svg(figure, f"frames-{'narrow' if narrow else 'wide'}"), LEFT[narrow], RIGHT[narrow], first, last)


def time_plot(facts: JobFacts, workers: Sequence[WorkerTime], *, narrow: bool) -> Plot | None:
    """Tasks on a time axis, a row for each worker; None where no frame says who made it."""
    if not workers:
        return None
    began = min([worker.begin for worker in workers] + facts.runs[:1])
    ended = max([worker.end for worker in workers] + [one.at for one in facts.history if one.kind == "end"])
    unit, name = (60.0, "minutes") if ended - began > 180 else (1.0, "seconds")
    rows = len(workers)
    figure, (axis,) = _figure(1, narrow, height=0.5 + 0.3 * rows)
    numbers = {task.id: task.pass_index for task in facts.tasks}
    for row, worker in enumerate(workers):
        y = rows - 1 - row
        here = [((worker.begin - began) / unit, (worker.end - worker.begin) / unit)]
        axis.broken_barh(here, (y - 0.3, 0.6), facecolors=INKS["grid"], edgecolor="none")
        spans = joined(worker.spans, (ended - began) / 2000)
        bars = [((span.begin - began) / unit, (span.end - span.begin) / unit) for span in spans]
        inks = [INKS[stage_ink(numbers[span.task])] for span in spans]
        axis.broken_barh(bars, (y - 0.3, 0.6), facecolors=inks, edgecolor=INKS["paper"], linewidth=0.6)
        if worker.lost:
            axis.plot([(worker.end - began) / unit], [y], marker="x", color=INKS["flag"], markersize=7, mew=2)
    for one in facts.history:
        if one.kind in ("run", "stitch") and began <= one.at <= ended:
            axis.axvline((one.at - began) / unit, color=INKS["cut"], linewidth=0.8, linestyle=(0, (2, 2)))
            late = one.at - began > 0.9 * (ended - began)
            where = {"ha": "right" if late else "left", "fontsize": 6.5, "color": INKS["muted"]}
            axis.text((one.at - began) / unit, rows - 0.45, f" {one.kind} ", **where)
    axis.set_yticks(
        range(rows), [worker.worker.replace("worker-", "") if narrow else worker.worker for worker in workers[::-1]]
    )
    axis.set_ylim(-0.5, rows - 0.1)
    axis.set_xlim(0, max((ended - began) / unit, 1e-3))
    axis.grid(axis="y", visible=False)
    axis.set_xlabel(f"{name} since the job began" + (" (rows: workers)" if narrow else ""), color=INKS["muted"])
    return Plot(_svg(figure, f"time-{'narrow' if narrow else 'wide'}"), LEFT[narrow], RIGHT[narrow], 0, ended - began)


def joined(spans: Sequence[Span], shortest: float) -> list[Span]:
    """Spans of one stage that follow each other as one where they are too short, in seconds, to be seen apart."""
    found: list[Span] = []
    for span in spans:
        last = found[-1] if found else None
        if last and last.pass_name == span.pass_name and span.end - last.begin < shortest:
            found[-1] = replace(last, end=span.end, busy=last.busy + span.busy, frames=last.frames + span.frames)
        else:
            found.append(span)
    return found


def thinned(values: Mapping[int, float], columns: int = COLUMNS) -> tuple[list[int], list[float]]:
    """The curve as it is, or the lowest and the highest value of each of `columns` parts."""
    frames = list(values)
    if len(frames) <= 2 * columns:
        return frames, list(values.values())
    kept: list[int] = []
    for part in np.array_split(np.asarray(frames), columns):
        low = min(part.tolist(), key=values.__getitem__)
        high = max(part.tolist(), key=values.__getitem__)
        kept += sorted({low, high})
    return kept, [values[frame] for frame in kept]


def _mark(axis: Any, facts: JobFacts) -> None:
    """Cuts as lines, boundaries between chunks as dotted ones, as long as they can be told apart."""
    plan = facts.record.plan  # type: ignore[union-attr]
    draw = axis.axvline
    if len(plan.shots) <= MOST_LINES:
        for shot in plan.shots[1:]:
            draw(shot.start - 0.5, color=INKS["cut"], linewidth=0.9 if len(plan.shots) <= 100 else 0.3)
    if len(plan.chunks) <= MOST_LINES:
        for chunk in plan.chunks:
            if not chunk.first_in_shot:
                draw(chunk.start - 0.5, color=INKS["cut"], linewidth=0.7, linestyle=(0, (1, 2)))


def _stack(axis: Any, curves: Mapping[str, Mapping[int, float]], inks: Mapping[str, str], frames: range) -> None:
    """What each stage adds, one on the other; of a long film the means of as many parts as can be seen."""
    parts = [part for part in np.array_split(np.asarray(frames), min(len(frames), COLUMNS)) if len(part)]
    edges = np.array([part[0] - 0.5 for part in parts] + [parts[-1][-1] + 0.5])
    base = np.zeros(len(parts))
    for stage, values in curves.items():
        heights = np.array([float(np.mean([values.get(int(frame), 0.0) for frame in part])) for part in parts])
        if heights.any():
            axis.stairs(base + heights, edges, baseline=base, fill=True, color=inks[stage], linewidth=0)
        base = base + heights


def _figure(panels: int, narrow: bool, height: float | None = None) -> tuple[Any, list[Any]]:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    width, each, gap = (3.6, 0.85, 0.45) if narrow else (10.4, 1.05, 0.4)
    each = each if height is None else height
    total = panels * each + (panels - 1) * gap + 0.75
    style = {
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 7.5,
        "axes.edgecolor": INKS["grid"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": INKS["grid"],
        "grid.linewidth": 0.6,
        "xtick.color": INKS["grid"],
        "ytick.color": INKS["grid"],
        "xtick.labelcolor": INKS["muted"],
        "ytick.labelcolor": INKS["muted"],
        "axes.labelcolor": INKS["muted"],
        "ytick.major.size": 0,
        "path.simplify": True,
    }
    with mpl.rc_context(style):
        figure, axes = plt.subplots(panels, 1, figsize=(width, total), sharex=True, squeeze=False)
        for axis in axes[:, 0]:
            axis.grid(axis="x", visible=False)
            axis.tick_params(labelsize=7)
            axis.yaxis.set_major_locator(mpl.ticker.MaxNLocator(3))
    figure.subplots_adjust(
        left=LEFT[narrow], right=RIGHT[narrow], top=1 - 0.28 / total, bottom=0.45 / total, hspace=gap / each
    )
    return figure, list(axes[:, 0])


def _svg(figure: Any, name: str) -> str:
    """The drawing as an element of the page: ids of its own, colours by variable, as wide as it may be."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    plt.close(figure)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    idents = set(re.findall(r'id="([^"]+)"', svg))

    def own(found: re.Match[str]) -> str:
        return found[1] + (f"{name}-{found[2]}" if found[2] in idents else found[2])

    svg = re.sub(r"""(\bid="|href="#|url\(#)([^")]+)""", own, svg)
    # matplotlib means its links for other pages
    svg = re.sub(r'href="#pair-(\d+)" target="_blank"', r'href="#pair-\1" aria-label="Look at frame \1"', svg)
    svg = re.sub(r"(\d\.\d\d)\d+", r"\1", svg)  # a hundredth of a point is finer than any screen
    for variable, color in INKS.items():
        svg = svg.replace(color, f"var(--{variable})")
    svg = re.sub(r"font: ([\d.]+)px '[^']*'(, [^;\"]*)?", r"font-size: \1px", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return svg.strip()


def _short_number(value: float, _: object = None) -> str:
    """1200000 as 1.2M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:g}{unit}"
    return f"{value:g}"
