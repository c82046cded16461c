"""The commands to see a render with: preview before it, watch while it runs, report afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from farm.cli.arguments import AsJson, Dashboard, Job, JobThreads, Overwrite, Workers, directory_of, print_result
from farm.cli.options import FILM, PAINT, takes

seeing = typer.Typer()
"""The commands of this module."""

PREVIEWED: Mapping[str, Any] = {
    **FILM,
    "frames": Annotated[
        str | None,
        typer.Option(
            metavar="A-B|A,B,..",
            help="Show one frame of each shot between A and B only, or exactly the frames A, B and so on.",
        ),
    ],
}
"""The options of a render, except that frames may be named one by one."""


@seeing.command()
@takes(PREVIEWED, PAINT)
def preview(
    options: Mapping[str, Any],
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder to write to; if left out, the name of the output or the video ending in .preview."),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="OPTION=A,B,..", help="Make a grid to choose from, of the values of one option or two."),
    ] = None,
    moving: Annotated[
        bool, typer.Option("--moving", help="Also paint the first second of every shot, as a film.")
    ] = False,
    preview_size: Annotated[int, typer.Option(min=16, help="Longest side of the preview's pictures, in pixels.")] = 160,
    preview_steps: Annotated[int, typer.Option(min=0, help="Most optimiser steps of one picture of the preview.")] = 50,
    shots: Annotated[
        int | None,
        typer.Option(min=1, help="Most shots to show, the longest first; if left out, 24, or 1 with --vary."),
    ] = None,
    workers: Workers = None,
    threads: JobThreads = None,
    as_json: AsJson = False,
) -> None:
    """Paint a frame of each shot, small and soon, on a contact sheet.

    With --vary, the sheet is a grid of settings to choose from.
    """
    from farm.cli.preview import PreviewOptions, preview_film
    from farm.cli.progress import JobProgress

    wanted = PreviewOptions(
        vary=vary or [],
        folder=folder,
        size=preview_size,
        steps=preview_steps,
        shots=shots or (1 if vary else 24),
        moving=moving,
        workers=workers,
        threads=threads,
    )
    with JobProgress() as progress:
        report = preview_film(options, wanted, progress)
    lines = [report["page"], report["sheet"], *([report["film"]] if report["film"] else [])]
    print_result(report, as_json, "\n".join(lines))


@seeing.command()
def report(
    job: Job,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="HTML file to write; if left out, JOB.html beside the job directory."),
    ] = None,
    measure: Annotated[
        bool, typer.Option(help="Measure how steady the frames are, and how much is painted where the film moves.")
    ] = True,
    stills: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Paint N frames by themselves, those with the least fine detail where the film moves, and compare.",
        ),
    ] = 0,
    overwrite: Overwrite = False,
    address: Dashboard = None,
    as_json: AsJson = False,
) -> None:
    """Write all about a job into one HTML file: pictures, plots, seams, time, faults, settings."""
    from farm.cli.progress import ReadingProgress
    from farm.pages.report import write_report

    with ReadingProgress() as progress:
        result = write_report(
            directory_of(job, address),
            output,
            progress.show,
            overwrite=overwrite,
            measure=measure,
            stills=stills,
        )
    print_result(result, as_json, f"{result['report']}  ({result['bytes'] / 2**20:.1f} MiB)")


@seeing.command()
def watch(
    job: Job,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the page on 127.0.0.1; 0 takes one that is free.")
    ] = 0,
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between two looks at the job's storage.")] = 3.0,
    address: Dashboard = None,
) -> None:
    """Show the report of a job live, while it renders, on a page of this machine.

    The page is read from the job's storage; the cluster is asked only whether the driver is there. Ctrl-C ends it.
    """
    from farm.cluster.handles import ask_cluster
    from farm.pages.watch import run_watch

    ask = ask_cluster(address)
    run_watch(directory_of(job, address), port, every, lambda page: print(page, flush=True), ask)
