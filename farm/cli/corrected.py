"""The commands for frames that a person corrected: accept, versions, restore."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from farm.cli.arguments import AsJson, Dashboard, Job, directory_of, print_result
from farm.errors import UsageError
from farm.spec import FrameRange

DEFAULT_REACH = 48
"""Frames on either side that a correction is carried into where nobody says how many: two seconds of film."""

correcting = typer.Typer()
"""The commands of this module. `farm.cli.main` adds them to `farm`."""


@correcting.command()
def accept(
    job: Job,
    frames: Annotated[
        str,
        typer.Option(metavar="A-B", help="Frames whose edited pictures the film is to show; others are left alone."),
    ],
    folder: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="DIR",
            help="Folder or URL of the pictures, named by their frames, as 000120.png; if left out, the frames of the "
            "last pass that were edited in the job directory.",
        ),
    ] = None,
    propagate: Annotated[
        bool,
        typer.Option(
            "--propagate", help="Carry what was corrected into the frames around, along the motion of the film."
        ),
    ] = False,
    reach: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            help=f"Frames on either side, inside the shot, that --propagate carries it into; {DEFAULT_REACH} if left "
            "out. All other frames stay as they are.",
        ),
    ] = None,
    address: Dashboard = None,
    as_json: AsJson = False,
) -> None:
    """Have the film show frames that a person edited, and stitch it again.

    Without --propagate, no other frame changes. Earlier pictures are kept: farm versions lists them, and farm restore
    goes back to one.
    """
    if reach is not None and not propagate:
        raise UsageError("--reach says how far a correction is carried", "add --propagate")
    wanted = FrameRange.parse(frames)
    url = _at_rest(job, address)
    from farm.cli.progress import ReadingProgress
    from farm.render.correct_frames import accept_frames

    far = (reach or DEFAULT_REACH) if propagate else 0
    with ReadingProgress() as progress:
        report = accept_frames(url, wanted, folder=folder, reach=far, note=_note, show=progress.show)
    accepted = len(report["accepted"])
    carried = f", {len(report['carried'])} more follow" if propagate else ""
    print_result(report, as_json, f"{_film_of(report)}: {accepted} frame{'s' * (accepted != 1)} accepted{carried}")


@correcting.command()
def versions(
    job: Job,
    frame: Annotated[int | None, typer.Option(min=0, help="Only this frame.")] = None,
    address: Dashboard = None,
    as_json: AsJson = False,
) -> None:
    """List every picture that corrected frames have had."""
    from farm.job.versions import list_versions, version_lines

    listed = list_versions(directory_of(job, address), frame)
    print_result(listed, as_json, "\n".join(version_lines(listed["frames"])))


@correcting.command()
def restore(
    job: Job,
    frame: Annotated[int, typer.Option(min=0, help="Frame that is to go back to an earlier picture.")],
    version: Annotated[
        int, typer.Option(min=1, help="Number of the picture, as farm versions lists it; 1 is what was painted.")
    ] = 1,
    address: Dashboard = None,
    as_json: AsJson = False,
) -> None:
    """Have the film show an earlier picture of a frame, and stitch it again.

    What was carried from the picture that it shows now goes back with it, bit for bit.
    """
    url = _at_rest(job, address)
    from farm.cli.progress import ReadingProgress
    from farm.render.correct_frames import restore_frame

    with ReadingProgress() as progress:
        report = restore_frame(url, frame, version, note=_note, show=progress.show)
    others = f", {len(report['carried'])} more follow" if report["carried"] else ""
    print_result(report, as_json, f"{_film_of(report)}: frame {frame} shows picture {version}{others}")


def _at_rest(job: str, address: str | None) -> str:
    """Directory of a job that is not at work on a cluster. Raises UsageError for one that is."""
    from farm.cluster.handles import find_job, refuse_while_running

    handle = find_job(job, address)
    refuse_while_running(handle)
    return handle.job.url


def _film_of(report: dict[str, Any]) -> str:
    return str(report["output"] or report["job"])


def _note(line: str) -> None:
    typer.echo(f"farm: {line}", err=True)
