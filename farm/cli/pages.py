"""The commands to see a render with: preview before it, watch while it runs, report afterwards.

JOB is a job directory, its URL, or the id that `farm submit` printed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from farm.cli.options import FILM, PAINT, takes
from farm.cli.service import AsJson, Dashboard, Job, directory_of

seeing = typer.Typer()

PREVIEWED: Mapping[str, Any] = {
    **FILM,
    "frames": Annotated[
        str | None, typer.Option(metavar="A-B|A,B,..", help="of this part one frame of each shot; or these frames")
    ],
}
"""The options of a render, but that frames may be named one by one."""


@seeing.command()
@takes(PREVIEWED, PAINT)
def preview(
    given: Mapping[str, Any],
    folder: Annotated[Path | None, typer.Option(help="where it goes; default OUT or VIDEO with .preview")] = None,
    vary: Annotated[
        list[str] | None, typer.Option(metavar="OPTION=A,B,..", help="a grid to choose from, of one option or two")
    ] = None,
    moving: Annotated[bool, typer.Option("--moving", help="also the first second of every shot, as a film")] = False,
    preview_size: Annotated[int, typer.Option(min=16, help="longest side of the stills")] = 160,
    preview_steps: Annotated[int, typer.Option(min=0, help="optimiser steps of a still, at the most")] = 50,
    shots: Annotated[
        int | None, typer.Option(min=1, help="at the most, the longest first; default 24, 1 with --vary")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="painters at once")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of each")] = None,
    as_json: AsJson = False,
) -> None:
    """A frame of each shot, painted small and soon, on a contact sheet; with --vary a grid to choose from."""
    from farm.cli.preview import preview_film
    from farm.cli.progress import JobProgress

    with JobProgress() as progress:
        told = preview_film(
            given,
            vary=vary or [],
            folder=folder,
            size=preview_size,
            steps=preview_steps,
            shots=shots or (1 if vary else 24),
            moving=moving,
            workers=workers,
            threads=threads,
            progress=progress,
        )
    lines = [told["page"], told["sheet"], *([told["film"]] if told["film"] else [])]
    _print(told, as_json, "\n".join(lines))


@seeing.command()
def report(
    job: Job,
    output: Annotated[str | None, typer.Option("--output", "-o", help=".html; default JOB.html beside the job")] = None,
    measure: Annotated[bool, typer.Option(help="measure how steady the frames are")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace a file that is there already")] = False,
    address: Dashboard = None,
    as_json: AsJson = False,
) -> None:
    """All about a job as one HTML file: pictures, plots, seams, time, faults, settings."""
    from farm.cli.progress import ReadingProgress
    from farm.pages.report import write_report

    with ReadingProgress() as progress:
        told = write_report(directory_of(job, address), output, progress.show, overwrite=overwrite, measure=measure)
    _print(told, as_json, f"{told['report']}  ({told['bytes'] / 2**20:.1f} MiB)")


@seeing.command()
def watch(
    job: Job,
    port: Annotated[int, typer.Option(min=0, max=65535, help="on 127.0.0.1; default one that is free")] = 0,
    every: Annotated[float, typer.Option(min=0.5, help="seconds between looks at the job's storage")] = 3.0,
    address: Dashboard = None,
) -> None:
    """The report of a job while it renders, live on this machine; from its storage alone. End with Ctrl-C."""
    from farm.pages.watch import run_watch

    run_watch(directory_of(job, address), port, every, lambda address: print(address, flush=True))


def _print(told: Any, as_json: bool, text: str) -> None:
    print(json.dumps(told) if as_json else text)
