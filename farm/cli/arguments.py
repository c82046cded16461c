"""Arguments and options that several commands have, each in one place, and how a command prints its result."""

from __future__ import annotations

import json
import os
import select
import sys
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from farm.spec.choices import Keep

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
"""Result for a program instead of a person; see `print_result`."""

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists already.")]
"""Leave to replace a file."""

JobDirectory = Annotated[
    str | None,
    typer.Option(
        help="Job directory, a path or URL, that keeps the work; if left out, the output's name ending in .farm."
    ),
]
"""Where a new render keeps its work."""

Job = Annotated[str, typer.Argument(metavar="JOB", help="Job directory, its URL, or the id that farm submit printed.")]
"""A job that exists; see `directory_of`."""

Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="Most workers that render at once; if left out, one for each GPU, or as many as the cores are for."
    ),
]
"""Upper bound of the workers of a render."""

JobThreads = Annotated[
    int | None,
    typer.Option(
        min=1, help="CPU threads of each worker, the same for a whole job; if left out, what suits the machine."
    ),
]
"""Threads of a worker. A job keeps what was asked for, because frames repeat exactly only with the same number."""

Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads to compute with; if left out, all cores.")]
"""Threads of a command that paints in its own process."""

RayAddress = Annotated[
    str | None, typer.Option("--address", help="Ray cluster to join; if left out, Ray is started on this machine.")
]
"""Cluster of a command that takes part in the work itself."""

Dashboard = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="Address of the cluster's dashboard; if left out, RAY_API_SERVER_ADDRESS, or this machine's.",
    ),
]
"""Cluster of a command that hands work over or asks for it."""

SaveStorage = Annotated[
    bool,
    typer.Option(
        "--save-storage", help="Delete frames as soon as they are in the film; farm plan says how much this saves."
    ),
]
"""Frames are given up for encoded segments of the film."""

KeepFiles = Annotated[
    Keep,
    typer.Option(
        "--keep",
        help="What stays in the job directory once the film is there: all, the frames of the last pass, or only the "
        "film's report and ledgers.",
    ),
]
"""Frames and flow are removed after success."""
Mixed = Annotated[
    bool,
    typer.Option(
        "--mixed",
        help="Let workers paint that have other software than the job was begun with: frames may differ, and the "
        "report says which.",
    ),
]
"""Leave to paint one film with several builds of the farm or of a library, or on other processors."""

OLD_SPELLINGS = {"--spare-storage": "--save-storage", "--stage": "--copy-inputs"}
"""Options that were renamed, and their names today. Help and documentation show only the names of today."""


def with_current_spellings(arguments: list[str]) -> list[str]:
    """A command line with the old names of options replaced, up to a `--` that ends the options.

    >>> with_current_spellings(["submit", "film.mp4", "--stage", "--", "--stage"])
    ['submit', 'film.mp4', '--copy-inputs', '--', '--stage']
    """
    stop = arguments.index("--") if "--" in arguments else len(arguments)
    return [OLD_SPELLINGS.get(word, word) for word in arguments[:stop]] + arguments[stop:]


def print_result(result: Any, as_json: bool, text: str) -> None:
    """Print `result` as one line of JSON, or `text`, on stdout. `result` has the values that JSON knows.

    Where nobody reads stdout any more, that is no error: the work is done.
    """
    print_unless_closed(json.dumps(result) if as_json else text, sys.stdout)


def print_unless_closed(text: str, stream: TextIO) -> None:
    """Print a line on stdout or stderr at once. If its reader has gone, such as `head`, all of it is discarded."""
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        discard(stream)


def is_closed(descriptor: int) -> bool:
    """Whether nobody reads the pipe any more that this process writes to."""
    look = select.poll()
    look.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLHUP | select.POLLNVAL) for _, event in look.poll(0))


def discard(stream: TextIO) -> None:
    """Discard what is written to stdout or stderr from now on, also what Python writes as it ends."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, stream.fileno())
    os.close(sink)


def directory_of(job: str, address: str | None) -> str:
    """Directory of the argument JOB; only for a submission id is the cluster at `address` asked.

    Raises UsageError where the cluster has no such job.
    """
    if "://" in job or Path(job).exists() or not job.startswith("farm-"):
        return job
    from farm.cluster.handles import find_job

    return find_job(job, address).job.url
