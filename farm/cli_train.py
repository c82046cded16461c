"""The command that trains a network: train."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from farm.options import TRAIN, takes, train_spec

training = typer.Typer()


@training.command()
@takes(TRAIN)
def train(
    given: Mapping[str, Any],
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default all cores")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace a network that is there already")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout and nothing else")] = False,
) -> None:
    """Train a network that paints in one go. The same command again continues what was interrupted."""
    from farm.instant.train import summary, train_network

    report = train_network(train_spec(given), threads=threads, overwrite=overwrite)
    print(json.dumps(report) if as_json else summary(report))
