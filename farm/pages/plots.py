"""The plots of a page, drawn by matplotlib as SVG that takes its colours from the page's style sheet.

    svg = frame_plot(facts, outliers, narrow=False)

Colours are drawn as placeholders and replaced by CSS variables, so that one drawing serves light, dark and print.
Text stays text. Outliers are links. Long films are thinned to what a screen can show, peaks kept.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from farm.pages.facts import JobFacts, Span
from farm.pages.findings import Outlier, WorkerTime
from farm.render.detail_figures import AREAS
from farm.render.film_figures import FilmFigures

INKS = {
    "ink": "#0a0b01",
    "muted": "#0a0b02",
    "grid": "#0a0b03",
    "cut": "#0a0b04",
    "flag": "#0a0b05",
    "paper": "#0a0b06",
    **{f"stage-{number}": f"#0a0c0{number}" for number in range(6)},
}
"""CSS variables of the page, each with the colour that stands for it until the drawing is done."""
FINE_TITLE = "fine detail where the film moves, over a frame painted from nothing"
NARROW_TITLES = {FINE_TITLE: "fine detail where the film moves"}
"""Shorter titles for the narrow drawing, past whose edge the others would run."""
COLUMNS = 900
"""Parts that a curve is thinned to: of each part the lowest and the highest value are drawn."""
MOST_LINES = 400
"""Cuts, or chunk boundaries, that are marked. More would be seen as nothing but grey."""
LEFT, RIGHT = {False: 0.065, True: 0.13}, {False: 0.995, True: 0.97}
"""Where the axes begin and end, as shares of the width, for the wide and the narrow drawing."""


@dataclass(frozen=True)
class Plot:
    """An SVG, and where its axes lie: from `left` to `right` (shares of its width) for frames `first` to `last`."""

    svg: str
    left: float
    right: float
    first: float
    last: float


@dataclass(frozen=True)
class _Panel:
    """One axis of the frame plot. `curves` maps pass names to values by frame; `stacked` ones add up."""

    title: str
    curves: Mapping[str, Mapping[int, float]]
    stacked: bool = False


def pass_ink(pass_index: int) -> str:
    """The CSS variable of a pass, `stage-1` for pass 1. Passes from the fifth on share the last one."""
    return f"stage-{min(max(pass_index, 0), 5)}"


def frame_plot(facts: JobFacts, outliers: Sequence[Outlier], *, narrow: bool) -> Plot | None:
    """Losses, warp error, fine detail, seconds and iterations by frame; None where nothing is committed yet."""
    record = facts.record
    if record is None or not facts.shown:
        return None
    plan = record.plan
    inks = {task.pass_name: INKS[pass_ink(task.pass_index)] for task in facts.tasks}
    panels = _panels(facts)
    figure, axes = _figure(len(panels), narrow)
    first, last = plan.start - 0.5, plan.stop - 0.5
    for axis, panel in zip(axes, panels, strict=True):
        _mark(axis, facts)
        if panel.stacked:
            _stack(axis, panel.curves, inks, range(plan.start, plan.stop))
        else:
            _lines(axis, panel.curves, inks)
        if panel.title in ("warp error", "style loss"):
            _flag(axis, panel, outliers)
        if panel.title == "warp error":
            _scale_by_tens(axis)
        else:
            axis.set_ylim(bottom=0)
            axis.yaxis.set_major_formatter(_short_number)
        axis.set_title(
            NARROW_TITLES.get(panel.title, panel.title) if narrow else panel.title,
            loc="left",
            fontsize=8,
            color=INKS["ink"],
            pad=3,
        )
        axis.set_xlim(first, last)
    axes[-1].set_xlabel("frame", color=INKS["muted"])
    return Plot(_svg(figure, f"frames-{'narrow' if narrow else 'wide'}"), LEFT[narrow], RIGHT[narrow], first, last)


def film_plot(figures: FilmFigures, worst: Sequence[int], *, narrow: bool) -> Plot:
    """Warp errors, change and fine detail of a film of any tool by frame, beside its source.

    The pairs of the frames in `worst` are links. Cuts are lines, and joins are dotted.
    """
    fine = {
        area: {
            frame: value
            for frame, row in figures.details.items()
            if (of_area := getattr(row, area)) is not None and (value := of_area.fine) is not None
        }
        for area in AREAS
    }
    panels = [
        _Panel(
            title,
            {
                curve: {frame: value * scale for frame, value in figures.values(prefix + name).items()}
                for curve, prefix in (("source", "source_"), ("film", ""))
            },
        )
        for title, name, scale in (
            ("warp error, Ruder et al., ten-thousandths", "warp_error", 1e4),
            ("warp error, Lai et al., ten-thousandths", "lai_warp_error", 1e4),
            ("mean absolute difference, grey levels", "change", 1.0),
        )
    ]
    over = "a still" if figures.over_stills else "the source"
    panels.append(_Panel(f"fine detail, over {over}", {"source": fine["resting"], "film": fine["moving"]}))
    panels = [panel for panel in panels if panel.curves["film"]]
    figure, axes = _figure(max(len(panels), 1), narrow)
    first, last = figures.shots[0].start - 0.5, figures.shots[-1].stop - 0.5
    for axis, panel in zip(axes, panels, strict=False):
        for shot in figures.shots[1 : MOST_LINES + 1]:
            axis.axvline(shot.start - 0.5, color=INKS["cut"], linewidth=0.9)
        for seam in figures.seams[:MOST_LINES]:
            axis.axvline(seam.frame - 0.5, color=INKS["cut"], linewidth=0.7, linestyle=(0, (1, 2)))
        _lines(axis, panel.curves, {"source": INKS["stage-1"], "film": INKS["stage-3"]})
        if "Ruder" in panel.title:
            values = panel.curves["film"]
            dots = axis.scatter(worst, [values[frame] for frame in worst], s=26, color=INKS["flag"], zorder=5)
            dots.set_urls([f"#pair-{frame}" for frame in worst])
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_formatter(_short_number)
        axis.set_title(panel.title, loc="left", fontsize=8, color=INKS["ink"], pad=3)
        axis.set_xlim(first, last)
    axes[-1].set_xlabel("frame", color=INKS["muted"])
    return Plot(_svg(figure, f"film-{'narrow' if narrow else 'wide'}"), LEFT[narrow], RIGHT[narrow], first, last)


def _scale_by_tens(axis: Any) -> None:
    """A logarithmic axis with plain numbers at 1, 2 and 5, as many as fit."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=5))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(_short_number)


def _panels(facts: JobFacts) -> list[_Panel]:
    """The panels that have something to show, top to bottom. The curves of each come in the order of passes."""

    def curves(name: str) -> dict[str, dict[int, float]]:
        return {pass_name: facts.values(name, pass_name) for pass_name in facts.passes}

    panels = []
    if any(curves("style").values()):
        panels += [_Panel("style loss", curves("style")), _Panel("content loss", curves("content"))]
    errors = {frame: error for frame, error in facts.errors.items() if error is not None}
    if errors:
        panels.append(_Panel("warp error", {list(facts.passes)[-1]: errors}))
    fine = {frame: row.moving for frame, row in facts.details.items() if row.moving is not None}
    if fine:
        panels.append(_Panel(FINE_TITLE, {list(facts.passes)[-1]: fine}))
    panels.append(_Panel("seconds", curves("seconds"), stacked=True))
    if any(curves("steps").values()):
        panels.append(_Panel("iterations", curves("steps"), stacked=True))
    return panels


def _lines(axis: Any, curves: Mapping[str, Mapping[int, float]], inks: Mapping[str, str]) -> None:
    """A line for each pass, that of the last pass the strongest."""
    for pass_name, values in curves.items():
        if values:
            x, y = thinned(values)
            final = pass_name == list(curves)[-1]
            axis.plot(x, y, color=inks[pass_name], linewidth=1.3 if final else 0.9, alpha=1 if final else 0.55)


def _flag(axis: Any, panel: _Panel, outliers: Sequence[Outlier]) -> None:
    """A dot on the last pass's line for each outlier that has the panel's value as a reason: a link to its pictures."""
    values = panel.curves[list(panel.curves)[-1]]
    flagged = [
        outlier.frame
        for outlier in outliers
        if outlier.frame in values and any(reason.startswith(panel.title) for reason in outlier.reasons)
    ]
    dots = axis.scatter(flagged, [values[frame] for frame in flagged], s=26, color=INKS["flag"], zorder=5)
    dots.set_urls([f"#pair-{frame}" for frame in flagged])


def time_plot(facts: JobFacts, workers: Sequence[WorkerTime], *, narrow: bool) -> Plot | None:
    """Tasks on a time axis, a row for each worker; None where no frame names its worker."""
    if not workers:
        return None
    began = min([worker.begin for worker in workers] + facts.runs[:1])
    ends = [happening.at for happening in facts.history if happening.kind == "end"]
    ended = max([worker.end for worker in workers] + ends)
    unit, name = (60.0, "minutes") if ended - began > 180 else (1.0, "seconds")
    rows = len(workers)
    figure, (axis,) = _figure(1, narrow, height=0.5 + 0.3 * rows)
    pass_of = {task.id: task.pass_index for task in facts.tasks}
    for row, worker in enumerate(workers):
        y = rows - 1 - row
        present = [((worker.begin - began) / unit, (worker.end - worker.begin) / unit)]
        axis.broken_barh(present, (y - 0.3, 0.6), facecolors=INKS["grid"], edgecolor="none")
        spans = joined(worker.spans, (ended - began) / 2000)
        bars = [((span.begin - began) / unit, (span.end - span.begin) / unit) for span in spans]
        inks = [INKS[pass_ink(pass_of[span.task])] for span in spans]
        axis.broken_barh(bars, (y - 0.3, 0.6), facecolors=inks, edgecolor=INKS["paper"], linewidth=0.6)
        if worker.lost:
            axis.plot(
                [(worker.end - began) / unit], [y], marker="x", color=INKS["flag"], markersize=7, mew=2, clip_on=False
            )
    for happening in facts.history:
        if happening.kind in ("run", "stitch") and began <= happening.at <= ended:
            axis.axvline((happening.at - began) / unit, color=INKS["cut"], linewidth=0.8, linestyle=(0, (2, 2)))
            late = happening.at - began > 0.9 * (ended - began)
            style = {"ha": "right" if late else "left", "fontsize": 6.5, "color": INKS["muted"]}
            axis.text((happening.at - began) / unit, rows - 0.45, f" {happening.kind} ", **style)
    axis.set_yticks(
        range(rows), [worker.worker.replace("worker-", "") if narrow else worker.worker for worker in workers[::-1]]
    )
    axis.set_ylim(-0.5, rows - 0.1)
    axis.set_xlim(0, max((ended - began) / unit, 1e-3))
    axis.grid(axis="y", visible=False)
    axis.set_xlabel(f"{name} since the job began" + (" (rows: workers)" if narrow else ""), color=INKS["muted"])
    return Plot(_svg(figure, f"time-{'narrow' if narrow else 'wide'}"), LEFT[narrow], RIGHT[narrow], 0, ended - began)


def joined(spans: Sequence[Span], shortest: float) -> list[Span]:
    """The spans, those of one pass that follow each other within less than `shortest` seconds as one.

    Apart they could not be seen.
    """
    merged: list[Span] = []
    for span in spans:
        last = merged[-1] if merged else None
        if last and last.pass_name == span.pass_name and span.end - last.begin < shortest:
            merged[-1] = replace(last, end=span.end, busy=last.busy + span.busy, frames=last.frames + span.frames)
        else:
            merged.append(span)
    return merged


def thinned(values: Mapping[int, float], columns: int = COLUMNS) -> tuple[list[int], list[float]]:
    """(frames, values) of a curve: all, or of each of `columns` parts the lowest and the highest value."""
    frames = list(values)
    if len(frames) <= 2 * columns:
        return frames, list(values.values())
    kept: list[int] = []
    for part in parts_of(frames, columns):
        low, high = min(part, key=values.__getitem__), max(part, key=values.__getitem__)
        kept += sorted({low, high})
    return kept, [values[frame] for frame in kept]


def parts_of(frames: Sequence[int], most: int) -> list[Sequence[int]]:
    """The frames in order, in at most `most` parts whose lengths differ by one at most.

    >>> parts_of(range(5), 2)
    [range(0, 2), range(2, 5)]
    """
    count = min(len(frames), most)
    edges = [len(frames) * i // count for i in range(count + 1)] if count else []
    return [frames[start:stop] for start, stop in itertools.pairwise(edges)]


def _mark(axis: Any, facts: JobFacts) -> None:
    """Cuts as lines, and boundaries between chunks as dotted lines, as long as they can be told apart."""
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
    """What each pass adds, one on the other. Of a long film these are means over as many parts as can be seen."""
    parts = parts_of(frames, COLUMNS)
    edges = [part[0] - 0.5 for part in parts] + [parts[-1][-1] + 0.5]
    base = [0.0] * len(parts)
    for pass_name, values in curves.items():
        heights = [sum(values.get(frame, 0.0) for frame in part) / len(part) for part in parts]
        top = [low + height for low, height in zip(base, heights, strict=True)]
        if any(heights):
            axis.stairs(top, edges, baseline=base, fill=True, color=inks[pass_name], linewidth=0)
        base = top


def _figure(panels: int, narrow: bool, height: float | None = None) -> tuple[Any, list[Any]]:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    width, panel_height, gap = (3.6, 0.85, 0.45) if narrow else (10.4, 1.05, 0.4)
    panel_height = panel_height if height is None else height
    total = panels * panel_height + (panels - 1) * gap + 0.75
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
        left=LEFT[narrow], right=RIGHT[narrow], top=1 - 0.28 / total, bottom=0.45 / total, hspace=gap / panel_height
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

    def own(match: re.Match[str]) -> str:
        return match[1] + (f"{name}-{match[2]}" if match[2] in idents else match[2])

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
