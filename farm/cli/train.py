"""The command that trains a network: train."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from farm.cli.options import TRAIN, takes, train_spec

training = typer.Typer()


@training.command()
@takes(TRAIN)
def train(
    given: Mapping[str, Any],
    workers: Annotated[int, typer.Option(min=1, help="processes that share each batch, on Ray; default 1")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of each; default all cores")] = None,
    address: Annotated[str | None, typer.Option(help="an existing Ray cluster; starts Ray here")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace a network that is there already")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout and nothing else")] = False,
) -> None:
    """Train a network that paints in one go. The same command again continues what was interrupted."""
    from farm.cli.progress import TrainingProgress
    from farm.paint.training.run import summary, train_network

    spec = train_spec(given)
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
    print(json.dumps(report) if as_json else summary(report))
