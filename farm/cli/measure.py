"""The command farm measure: how steady a film of any tool is, and how much of it is painted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from farm.cli.arguments import AsJson, Overwrite, print_result
from farm.errors import OutputError

measuring = typer.Typer()
"""The commands of this module."""


@measuring.command()
def measure(
    film: Annotated[
        str, typer.Argument(metavar="FILM", help="Painted film of any tool: a video, or a folder of its frames.")
    ],
    source: Annotated[
        str, typer.Option(metavar="VIDEO", help="Film that it was painted from: a video, or a folder of its frames.")
    ],
    frames: Annotated[
        str | None,
        typer.Option(metavar="A-B", help="Frames of the source that the film shows; if left out, all of them."),
    ] = None,
    joins: Annotated[
        str | None,
        typer.Option(
            metavar="N|A,B,..",
            help="Where chunks or windows are joined: every N frames, or at the frames A, B and so on (a list of one "
            "ends with a comma); if left out, jumps are looked for.",
        ),
    ] = None,
    stills: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of frames painted by themselves, as 000024.png, to set the film's detail against; if left "
            "out, it is set against the source.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="HTML file to write; if left out, the film's name ending in .measure.html."
        ),
    ] = None,
    page: Annotated[bool, typer.Option(help="Write the HTML file.")] = True,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Measure a film of any tool beside its source: steadiness, flicker, seams, and how much is painted.

    The figures are the warp errors of Ruder et al. 2016 and of Lai et al. 2018, the temporal flickering of VBench, the
    seam ratio, and fine detail, middle detail, shape and content in what moves and in what rests.
    """
    from farm.cli.progress import JobProgress
    from farm.commands.measure_film import MeasureOptions, default_page, measure_film

    options = MeasureOptions(
        film=film,
        source=source,
        frames=frames,
        joins=joins,
        stills=stills,
        page=(output or default_page(film)) if page else None,
        overwrite=overwrite,
    )
    with JobProgress() as progress:
        report = measure_film(options, progress)
    print_result(report, as_json, "\n".join(_lines(report)))
    if options.page is not None and report["page"] is None:
        raise OutputError(f"{options.page} could not be written", "the figures are printed; give another -o")


def _lines(report: Mapping[str, Any]) -> list[str]:
    """The figures as they are printed."""
    ruder, lai, flickering = report["warp_error"], report["lai_warp_error"], report["temporal_flickering"]
    seams, detail = report["seams"], report["detail"]
    lines = [f"note: {note}" for note in report["notes"]]
    lines += [
        f"{'':<26}{'film':>11}{'source':>11}",
        f"{'warp error, Ruder, median':<26}{_small(ruder['median'])}{_small(ruder['source_median'])}",
        f"{'warp error, Lai, mean':<26}{_small(lai['mean'])}{_small(lai['source_mean'])}",
        f"{'temporal flickering':<26}{_share(flickering['score'])}{_share(flickering['source'])}",
    ]
    if seams["ratio"] is not None:
        word = "found at" if seams["found"] else "at"
        lines.append(f"{'seam ratio, largest':<26}{seams['ratio']:>11.2f}  {word} frame {seams['frame']}")
    elif seams["found"]:
        lines.append("no jumps were found")
    figures = list(detail["moving"])
    lines.append(f"{'detail, over the ' + detail['over']:<26}" + "".join(f"{figure:>11}" for figure in figures))
    for area in ("moving", "resting"):
        rows = [detail[area][figure] for figure in figures]
        values = "".join(f"{'-':>11}" if row is None else f"{row['median']:>11.3f}" for row in rows)
        lines.append(f"{'  ' + area:<26}{values}")
    return [*lines, *([report["page"]] if report["page"] else [])]


def _small(value: float | None) -> str:
    return f"{'-':>11}" if value is None else f"{value:>11.2e}"


def _share(value: float | None) -> str:
    return f"{'-':>11}" if value is None else f"{value:>11.4f}"
