"""The commands for painted keyframes: keys suggest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farm.cli.arguments import AsJson, print_result
from farm.spec.paint import SMALLEST_SIZE

keys_app = typer.Typer(help="Choose the frames of a film to paint on, for farm render --keys.", no_args_is_help=True)
"""The group `farm keys`."""


@keys_app.command("suggest")
def keys_suggest(
    film: Annotated[str, typer.Argument(metavar="VIDEO", help="Film whose frames are to be painted.")],
    count: Annotated[int, typer.Option(min=1, help="How many frames: one for each shot at least.")] = 12,
    folder: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to write the frames to, as 000120.png and so on.")
    ] = Path("keys"),
    size: Annotated[
        int | None,
        typer.Option(min=SMALLEST_SIZE, help="Longest side of the pictures in pixels; if left out, as the film's."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the frames of a film that show most of what it shows, to paint on.

    Paint on these pictures and save them under the same names. Then farm render VIDEO --keys FOLDER carries the paint
    through the film.
    """
    from farm.cli.progress import ReadingProgress
    from farm.commands.suggest_keys import suggest_keys

    with ReadingProgress() as progress:
        report = suggest_keys(film, folder, count, size, progress.show)
    frames = ", ".join(str(frame) for frame in report["frames"])
    lines = [
        f"{report['folder']}: frames {frames}",
        f"They show {report['covered']:.0%} of the film; least of frame {report['least_covered_frame']}, "
        f"of which {report['least_covered']:.0%}.",
    ]
    print_result(report, as_json, "\n".join(lines))
