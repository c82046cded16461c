"""The command line: every command in a few lines, and the only place where an error becomes an exit code.

Exit codes: 0 done, 1 the job failed, 2 wrong usage or bad input, 3 cancelled, 4 timed out.
Nothing heavy is imported before a command needs it, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from farm.cli.arguments import (
    AsJson,
    JobDirectory,
    JobThreads,
    KeepFiles,
    Mixed,
    Overwrite,
    RayAddress,
    SaveStorage,
    Threads,
    Workers,
    is_closed,
    print_result,
    print_unless_closed,
    with_current_spellings,
)
from farm.cli.corrected import correcting
from farm.cli.flow import flow_app
from farm.cli.keys import keys_app
from farm.cli.live import living
from farm.cli.measure import measuring
from farm.cli.options import FILM, PAINT, STEADY, STILL, film_spec, steady_spec, still_spec, takes
from farm.cli.pages import seeing
from farm.cli.service import service
from farm.cli.train import training
from farm.errors import FarmError, UsageError
from farm.spec import RenderSpec
from farm.spec.load import absolute_path

TYPER_INTERRUPTED = 130
"""What Typer returns in place of a KeyboardInterrupt that a command raised."""

app = typer.Typer(
    name="farm",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
"""All commands: those of this module, and those of the others in farm.cli."""

app.add_typer(flow_app, name="flow")
app.add_typer(keys_app, name="keys")
for commands in (service, correcting, training, living, seeing, measuring):
    app.add_typer(commands)


def _print_version(wanted: bool) -> None:
    if wanted:
        from farm.cli.version import version_line

        print(version_line())
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and the commit."),
    ] = False,
) -> None:
    """A render farm that repaints long videos in the style of a painting."""


@app.command()
@takes(FILM, PAINT)
def render(
    options: Mapping[str, Any],
    job: JobDirectory = None,
    workers: Workers = None,
    threads: JobThreads = None,
    address: RayAddress = None,
    save_storage: SaveStorage = False,
    keep: KeepFiles = "all",
    mixed: Mixed = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Repaint a film.

    The same command again continues a render that was interrupted.
    """
    launch = {"workers": workers, "threads": threads, "address": address, "overwrite": overwrite, "mixed": mixed}
    _render(film_spec(options), job, {**launch, "save_storage": save_storage, "keep": keep}, as_json)


@app.command()
@takes(STEADY)
def steady(
    options: Mapping[str, Any],
    job: JobDirectory = None,
    workers: Workers = None,
    threads: JobThreads = None,
    address: RayAddress = None,
    save_storage: SaveStorage = False,
    keep: KeepFiles = "all",
    mixed: Mixed = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Make a film steady that another program painted frame by frame.

    The film keeps its look. Flicker goes, and so do jumps between parts that were painted apart. --source is the film
    that it was painted from. The same command again continues.
    """
    launch = {"workers": workers, "threads": threads, "address": address, "overwrite": overwrite, "mixed": mixed}
    _render(steady_spec(options), job, {**launch, "save_storage": save_storage, "keep": keep}, as_json)


def _render(spec: RenderSpec, job: str | None, launch: Mapping[str, Any], as_json: bool) -> None:
    """Render a film, and print its report. `launch` are fields of LaunchOptions beside the job."""
    from farm.cli.progress import JobProgress
    from farm.cluster.render_job import default_job, render_job, summary
    from farm.cluster.sizing import LaunchOptions

    directory = absolute_path(job) if job else default_job(spec.output)
    with JobProgress() as progress:
        report = render_job(spec, LaunchOptions(job=directory, **launch), progress)
    print_result(report, as_json, summary(report))


@app.command()
@takes(FILM, PAINT)
def plan(
    options: Mapping[str, Any],
    measure: Annotated[
        bool, typer.Option("--measure", help="Render a few frames here, to forecast how long the film will take.")
    ] = False,
    price_per_hour: Annotated[
        float | None, typer.Option(min=0, help="Price of one worker for an hour, for --measure to forecast the cost.")
    ] = None,
    job: JobDirectory = None,
    workers: Workers = None,
    threads: JobThreads = None,
    as_json: AsJson = False,
) -> None:
    """Show the shots, chunks, work and storage of a render without rendering it.

    With --measure, a few frames are rendered here to forecast time and money.
    """
    if not measure and (price_per_hour is not None or threads is not None or job is not None):
        raise UsageError("--price-per-hour, --threads and --job say how to measure", "add --measure")
    from farm.cli.plan_text import forecast_lines
    from farm.cli.planning import forecast_film, plan_film

    spec, report, lines = plan_film(options, workers)
    if measure:
        keep = job is not None or "output" in options or "spec" in options
        report["forecast"] = forecast_film(
            spec, job=job, workers=workers, threads=threads, price_per_hour=price_per_hour, keep=keep
        )
        lines += forecast_lines(report["forecast"])
    print_result(report, as_json, "\n".join(lines))


@app.command()
@takes(STILL, PAINT)
def stylize(
    options: Mapping[str, Any], threads: Threads = None, overwrite: Overwrite = False, as_json: AsJson = False
) -> None:
    """Repaint one picture."""
    from farm.cli.progress import StillProgress
    from farm.commands.stylize import stylize_file

    spec = still_spec(options)
    with StillProgress(spec.iterations) as progress:
        report = stylize_file(spec, threads=threads, overwrite=overwrite, progress=progress)
    for note in report["notes"]:
        print(f"farm: {note}", file=sys.stderr)
    print_result(report, as_json, f"{report['output']}: {report['steps']} steps, loss {report['losses']['total']:.0f}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a render spec, for editors of YAML files."""
    print(json.dumps(RenderSpec.model_json_schema(), indent=2))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Show what this machine has for the farm, what is missing, and how to get it."""
    from farm.commands.doctor import examine, report_lines

    checks = examine()
    print_result([check.as_dict() for check in checks], as_json, "\n".join(report_lines(checks)))
    if any(check.state == "missing" for check in checks):
        raise typer.Exit(1)


@app.command()
def demo(
    folder: Annotated[
        Path, typer.Option("--folder", "-o", help="Folder that the film and the pictures are written to.")
    ] = Path("demo"),
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Paint a real clip from beginning to end, in a few minutes on a laptop."""
    from farm.cli.progress import JobProgress
    from farm.commands.demo.run import run_demo

    with JobProgress() as progress:
        report = run_demo(folder, workers, progress)
    print_result(report, as_json, f"film           {report['output']}\ncontact sheet  {report['contact_sheet']}")


@app.command()
@takes(FILM, PAINT)
def bench(
    options: Mapping[str, Any],
    folder: Annotated[
        Path, typer.Option(help="Folder of the jobs and their figures; figures that are there are compared.")
    ] = Path("bench"),
    workers: Annotated[
        int,
        typer.Option(min=1, help="Workers; with more than 1, the film is also rendered by Ray with 1 and with all."),
    ] = 1,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Measure how fast this machine paints a film.

    The figures are seconds for a step, seconds for a frame by what they are spent on, and frames an hour.
    """
    from farm.cli.progress import JobProgress
    from farm.commands.bench.report import bench_table, run_bench

    spec = film_spec(options, {"output": str(folder / "film.mp4")})
    report = run_bench(spec, folder.absolute(), workers, threads, JobProgress)
    print_result(report, as_json, bench_table(report, report["last"]))


def main() -> None:
    """Run the command line; every FarmError becomes one line on stderr and its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = app(with_current_spellings(sys.argv[1:]), standalone_mode=False)
    except SystemExit:
        # Typer turns every broken pipe into an exit with 1. That of stdout, read by `head` for example, is no error.
        if type(sys.stdout).__name__ == "PacifyFlushWrapper" and is_closed(1):
            sys.exit(0)
        raise
    except FarmError as error:
        _complain(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _complain("stopped", 3)
    except Exception as error:
        _exit_for(error)
    else:
        if code == TYPER_INTERRUPTED:
            _complain("stopped", 3)
        if code:  # without standalone_mode, Typer returns the code of a typer.Exit in place of raising it
            sys.exit(code)


def _exit_for(error: Exception) -> None:
    """Exit with 2 for a complaint of Typer's, which is a usage error, and with 1 for a fault of the farm.

    With FARM_DEBUG in the environment, a fault of the farm is raised again and so shown whole.
    """
    if hasattr(error, "format_message"):
        if type(error).__name__ == "NoArgsIsHelpError":  # the help has been printed
            sys.exit(2)
        _complain(error.format_message(), 2)
    if os.environ.get("FARM_DEBUG"):
        raise error
    _complain(f"unexpected {type(error).__name__}: {error} (FARM_DEBUG=1 shows where)", 1)


def _complain(line: str, code: int) -> None:
    """Print one line on stderr and exit with `code`."""
    # The name of a file may contain control characters, which a terminal would obey.
    printable = "".join(letter if letter.isprintable() else "?" for letter in " ".join(line.split()))
    print_unless_closed(f"farm: {printable}", sys.stderr)
    sys.exit(code)


def _interrupt(*_: object) -> None:
    """Treat a SIGTERM as Ctrl-C."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
