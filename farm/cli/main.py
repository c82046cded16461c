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
from typing import Annotated, Any, get_args

import typer

from farm.cli.live import living
from farm.cli.options import FILM, PAINT, STILL, film_spec, still_spec, takes
from farm.cli.pages import seeing
from farm.cli.service import service
from farm.cli.train import training
from farm.errors import FarmError, UsageError
from farm.spec.choices import FlowMethod
from farm.spec.load import absolute_path
from farm.spec.render import RenderSpec

app = typer.Typer(
    name="farm",
    help="A render farm that repaints long videos in the style of a painting.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
flow_app = typer.Typer(help="Optical flow between two pictures, and what of it can be trusted.", no_args_is_help=True)
app.add_typer(flow_app, name="flow")
app.add_typer(service)
app.add_typer(training)
app.add_typer(living)
app.add_typer(seeing)


Job = Annotated[str | None, typer.Option(help="job directory: a path or URL; default OUT with .farm")]
Workers = Annotated[int | None, typer.Option(min=1, help="renderers at once; default one a GPU, or cores / threads")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads of a worker, the same for a whole job")]
Address = Annotated[str | None, typer.Option(help="Ray cluster to join; default: start Ray here")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace an output that is there already")]
Spare = Annotated[
    bool,
    typer.Option(
        "--save-storage", "--spare-storage", help="give up frames as soon as they are in the film: see farm plan"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object on stdout and nothing else")]


@app.command()
@takes(FILM, PAINT)
def render(
    given: Mapping[str, Any],
    job: Job = None,
    workers: Workers = None,
    threads: Threads = None,
    address: Address = None,
    save_storage: Spare = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Repaint a film. The same command again continues what was interrupted."""
    from farm.cli.progress import JobProgress
    from farm.cluster.render_job import default_job, render_job, summary
    from farm.cluster.sizing import LaunchOptions

    wanted = film_spec(given)
    options = LaunchOptions(
        job=absolute_path(job) if job else default_job(wanted.output),
        workers=workers,
        threads=threads,
        address=address,
        overwrite=overwrite,
        save_storage=save_storage,
    )
    with JobProgress() as progress:
        report = render_job(wanted, options, progress)
    _print(report, as_json, summary(report))


@app.command()
@takes(FILM, PAINT)
def plan(
    given: Mapping[str, Any],
    measure: Annotated[
        bool, typer.Option("--measure", help="render a few frames here: how long will it take?")
    ] = False,
    price_per_hour: Annotated[float | None, typer.Option(min=0, help="of one worker, with --measure")] = None,
    job: Job = None,
    workers: Workers = None,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Shots, chunks, work and storage of a render; with --measure time and money, from frames rendered here."""
    if not measure and (price_per_hour is not None or threads is not None or job is not None):
        raise UsageError("--price-per-hour, --threads and --job say how to measure", "add --measure")
    from farm.cli.plan_text import plan_lines
    from farm.media.scan import scan_video
    from farm.plan.estimates import estimate_storage, estimate_work
    from farm.plan.render_plan import plan_render

    wanted = film_spec(given, {"output": "out.mp4", "styles": ["style.png"]})
    scan = scan_video(wanted.video, allow_truncated=wanted.allow_truncated)
    made = plan_render(wanted, scan.probe, scan.cuts)
    work = estimate_work(made, wanted.iterations)
    storage = estimate_storage(made, wanted, workers or os.cpu_count() or 1)
    told = {
        **made.model_dump(mode="json"),
        "work": {**work.model_dump(), "chunking_overhead": work.chunking_overhead},
        "storage": storage.model_dump(),
    }
    lines = list(plan_lines(made, work, storage, scan.probe))
    if measure:
        from farm.cli.plan_text import forecast_lines
        from farm.cli.progress import JobProgress
        from farm.cluster.measure import forecast_render
        from farm.cluster.render_job import default_job
        from farm.cluster.sizing import LaunchOptions

        named = job is not None or "output" in given or "spec" in given
        where = absolute_path(job) if job else default_job(wanted.output)
        with JobProgress() as progress:
            options = LaunchOptions(job=where, workers=workers, threads=threads)
            forecast = forecast_render(wanted, options, price_per_hour, progress, keep=named)
        told["forecast"] = forecast
        lines += forecast_lines(forecast)
    _print(told, as_json, "\n".join(lines))


@app.command()
@takes(STILL, PAINT)
def stylize(
    given: Mapping[str, Any], threads: Threads = None, overwrite: Overwrite = False, as_json: AsJson = False
) -> None:
    """Repaint one picture."""
    from farm.cli.progress import StillProgress
    from farm.commands.stylize import stylize_file

    spec = still_spec(given)
    with StillProgress(spec.iterations) as progress:
        told = stylize_file(spec, threads=threads, overwrite=overwrite, progress=progress)
    for note in told["notes"]:
        print(f"farm: {note}", file=sys.stderr)
    _print(told, as_json, f"{told['output']}: {told['steps']} steps, loss {told['losses']['total']:.0f}")


@app.command()
def schema() -> None:
    """The JSON Schema of a render spec, for editors."""
    print(json.dumps(RenderSpec.model_json_schema(), indent=2))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """What this machine has, what is missing and how to get it."""
    from farm.commands.doctor import examine, report_lines

    found = examine()
    _print([check.as_dict() for check in found], as_json, "\n".join(report_lines(found)))
    if any(check.state == "missing" for check in found):
        raise typer.Exit(1)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--folder", "-o", help="where film and pictures go")] = Path("demo"),
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Paint a real clip end to end, in a few minutes on a laptop."""
    from farm.cli.progress import JobProgress
    from farm.commands.demo.run import run_demo

    with JobProgress() as progress:
        told = run_demo(folder, workers, progress)
    _print(told, as_json, f"film           {told['output']}\ncontact sheet  {told['contact_sheet']}")


@app.command()
@takes(FILM, PAINT)
def bench(
    given: Mapping[str, Any],
    folder: Annotated[Path, typer.Option(help="of jobs and figures; compared with those there")] = Path("bench"),
    workers: Annotated[int, typer.Option(min=1, help="above 1: also over Ray, with 1 and with so many")] = 1,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """How fast this machine paints a film: seconds a step and a frame by stage, frames an hour."""
    from farm.cli.progress import JobProgress
    from farm.commands.bench.report import bench_table, run_bench

    wanted = film_spec(given, {"output": str(folder / "film.mp4")})
    told = run_bench(wanted, folder.absolute(), workers, threads, JobProgress)
    _print(told, as_json, bench_table(told, told["last"]))


@flow_app.command("estimate")
def flow_estimate(
    first: Annotated[str, typer.Argument(metavar="A")],
    second: Annotated[str, typer.Argument(metavar="B")],
    output: Annotated[Path, typer.Option("--output", "-o", help=".flo file")],
    method: Annotated[str, typer.Option("--method", "-m", metavar="|".join(get_args(FlowMethod)))] = "dis",
    weights: Annotated[str | None, typer.Option(help="state dict for --method raft")] = None,
) -> None:
    """The flow from picture A to picture B: A(x) looks like B(x + flow(x))."""
    from farm.flow import create_estimator, write_flow
    from farm.media.pictures import read_picture

    a, b = read_picture(first), read_picture(second)
    if a.shape != b.shape:
        raise UsageError(f"{first} and {second} differ in size", "flow needs two frames of one film")
    estimator = create_estimator(method, weights=weights)  # type: ignore[arg-type]
    write_flow(output, estimator.estimate(a, b))


@flow_app.command("check")
def flow_check(
    backward: Annotated[Path, typer.Argument(metavar="BACKWARD.flo")],
    forward: Annotated[Path, typer.Argument(metavar="FORWARD.flo")],
    output: Annotated[Path, typer.Option("--output", "-o", help=".pgm file")],
) -> None:
    """Where a backward flow can be trusted (Ruder 2016): 255 yes, 0 hidden, outside, or a motion boundary."""
    from farm.flow import read_flow, reliability, write_mask

    write_mask(output, reliability(read_flow(backward), read_flow(forward)))


def main() -> None:
    """Run the command line; every FarmError becomes one line on stderr and its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app(standalone_mode=False)
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except FarmError as error:
        _complain(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _complain("stopped", 3)
    except Exception as error:
        _exit_for(error)


def _exit_for(error: Exception) -> None:
    """Typer's own complaints are usage errors; anything else is a fault of the farm, shown whole on request."""
    if hasattr(error, "format_message"):
        if type(error).__name__ == "NoArgsIsHelpError":  # the help has been printed
            sys.exit(2)
        _complain(error.format_message(), 2)
    if os.environ.get("FARM_DEBUG"):
        raise error
    _complain(f"unexpected {type(error).__name__}: {error} (FARM_DEBUG=1 shows where)", 1)


def _complain(line: str, code: int) -> None:
    # a file name may hold what a terminal would obey
    shown = "".join(letter if letter.isprintable() else "?" for letter in " ".join(line.split()))
    print(f"farm: {shown}", file=sys.stderr)
    sys.exit(code)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _print(told: Any, as_json: bool, text: str) -> None:
    print(json.dumps(told) if as_json else text)


if __name__ == "__main__":
    main()
