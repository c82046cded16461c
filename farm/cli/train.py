"""The command that trains a network: train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from farm.cli.arguments import AsJson, Overwrite, RayAddress, Threads, print_result
from farm.cli.options import TRAIN, takes, train_spec

training = typer.Typer()
"""The command of this module."""


@training.command()
@takes(TRAIN)
def train(
    options: Mapping[str, Any],
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that share each batch; more than 1 are started by Ray.")
    ] = 1,
    threads: Threads = None,
    address: RayAddress = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Train a network that paints a frame in one go.

    The same command again continues a training that was interrupted.
    """
    from farm.cli.progress import TrainingProgress
    from farm.paint.training.run import summary, train_network

    spec = train_spec(options)
    with TrainingProgress() as bar:
        if workers == 1 and address is None:
            report = train_network(spec, threads=threads, overwrite=overwrite, on_step=bar)
        else:
            from farm.cluster.train import train_on_ray

            report = train_on_ray(
                spec,
                workers,
                threads=threads,
                address=address,
                overwrite=overwrite,
                on_step=bar,
                note=bar.note,
            )
    print_result(report, as_json, summary(report))
