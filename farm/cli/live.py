"""The command that paints in real time: live."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from farm.cli.arguments import AsJson, Overwrite, Threads, print_result
from farm.spec.choices import Precision, Steadiness

living = typer.Typer()
"""The command of this module."""


@living.command()
def live(
    source: Annotated[
        str, typer.Argument(metavar="FILM|camera[:N]", help="Film, or camera of this machine by its number from 0.")
    ],
    network: Annotated[str, typer.Option(metavar="FILE", help="Trained network that paints, a file of farm train.")],
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="Film to write, .mp4; if left out, a page in the browser shows the picture."
        ),
    ] = None,
    window: Annotated[bool, typer.Option("--window", help="Show the picture in a window instead of a page.")] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the page on 127.0.0.1; 0 takes one that is free.")
    ] = 0,
    size: Annotated[
        int | None,
        typer.Option(min=16, help="Longest side of the picture, in pixels; if left out, as large as the source."),
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0.1, max=1000, help="Most pictures shown in a second.")] = None,
    steady: Annotated[
        Steadiness,
        typer.Option(
            help="Hold each picture by the one before, against flicker; auto does so if there is time for it."
        ),
    ] = "auto",
    seconds: Annotated[float | None, typer.Option(min=0, help="Stop after so many seconds.")] = None,
    threads: Threads = None,
    precision: Annotated[
        Precision,
        typer.Option(help="Arithmetic of the network: bf16 is faster on some processors, fp32 is more exact."),
    ] = "auto",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Paint a film or a camera in real time.

    Frames that there is no time for are dropped. Ctrl-C ends it.
    """
    from farm.commands.live.run import LiveOptions, run_live, summary
    from farm.commands.live.ticker import LiveTicker

    options = LiveOptions(
        source=source,
        network=network,
        output=output,
        window=window,
        port=port,
        size=size,
        rate=rate,
        steady=steady,
        seconds=seconds,
        threads=threads,
        precision=precision,
        overwrite=overwrite,
    )
    with LiveTicker() as ticker:
        tally = run_live(options, ticker.address if as_json else lambda url: print(url, flush=True), ticker)
    print_result({**asdict(tally), "rate": round(tally.rate, 2)}, as_json, summary(tally))
