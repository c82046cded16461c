"""The command that paints in real time: live."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from farm.cli.options import choice
from farm.spec.choices import Precision, Steadiness

living = typer.Typer()


@living.command()
def live(
    source: Annotated[str, typer.Argument(metavar="FILM|camera[:N]", help="a film, or a camera of this machine")],
    network: Annotated[str, typer.Option(metavar="FILE", help="a file of farm train")],
    output: Annotated[str | None, typer.Option("--output", "-o", help="into a file, .mp4; default a page")] = None,
    window: Annotated[bool, typer.Option("--window", help="into a window")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="of the page, on 127.0.0.1; default a free one")] = 0,
    size: Annotated[int | None, typer.Option(min=16, help="longest side, pixels; default the source's")] = None,
    rate: Annotated[float | None, typer.Option(min=0.1, max=1000, help="pictures a second at most")] = None,
    steady: choice(Steadiness, "hold pictures by the one before, along flow; default auto, if it fits the time") = None,  # type: ignore[valid-type]
    seconds: Annotated[float | None, typer.Option(min=0, help="stop after so long")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default all cores")] = None,
    precision: choice(Precision, "of the network; default auto") = None,  # type: ignore[valid-type]
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace a file that is there already")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout and nothing else")] = False,
) -> None:
    """Paint a film or a camera in real time; frames that there is no time for are dropped. End with Ctrl-C."""
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
        steady=getattr(steady, "value", "auto"),
        seconds=seconds,
        threads=threads,
        precision=getattr(precision, "value", "auto"),
        overwrite=overwrite,
    )
    with LiveTicker() as ticker:
        tally = run_live(options, ticker.address if as_json else lambda url: print(url, flush=True), ticker)
    print(json.dumps({**asdict(tally), "rate": round(tally.rate, 2)}) if as_json else summary(tally))
