"""The commands for optical flow: flow estimate, flow check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farm.errors import UsageError
from farm.spec.choices import FlowMethod

flow_app = typer.Typer(
    help="Measure optical flow between two pictures, and find out where it can be trusted.", no_args_is_help=True
)
"""The group `farm flow`."""


@flow_app.command("estimate")
def flow_estimate(
    first: Annotated[str, typer.Argument(metavar="A", help="Picture that the motion starts from.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Picture that the motion leads to.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write the flow to, .flo.")],
    method: Annotated[FlowMethod, typer.Option("--method", "-m", help="Estimator of the flow.")] = "dis",
    weights: Annotated[
        str | None, typer.Option(metavar="FILE", help="State dict file of the network of --method raft.")
    ] = None,
) -> None:
    """Write the flow from picture A to picture B: A at x looks like B at x + flow(x)."""
    from farm.flow import create_estimator, write_flow
    from farm.media.pictures import read_picture

    a, b = read_picture(first), read_picture(second)
    if a.shape != b.shape:
        raise UsageError(f"{first} and {second} differ in size", "flow needs two frames of one film")
    write_flow(output, create_estimator(method, weights=weights).estimate(a, b))


@flow_app.command("check")
def flow_check(
    backward: Annotated[Path, typer.Argument(metavar="BACKWARD.flo", help="Flow from a frame to the one before it.")],
    forward: Annotated[Path, typer.Argument(metavar="FORWARD.flo", help="Flow from that earlier frame to the frame.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write the result to, .pgm.")],
) -> None:
    """Write where a backward flow can be trusted, as a picture.

    By the rules of Ruder 2016, a pixel is 255 where the flow can be trusted, and 0 where the pixel was hidden or
    outside before, or lies on a motion boundary.
    """
    from farm.flow import read_flow, reliability, write_mask

    write_mask(output, reliability(read_flow(backward), read_flow(forward)))
