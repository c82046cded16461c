"""The command line: every command in a few lines, and the only place where an error becomes an exit code.

Exit codes: 0 done, 1 the job failed, 2 wrong usage or bad input, 3 cancelled, 4 timed out.
Nothing heavy is imported before a command needs it, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from farm.cli_service import add_submit
from farm.errors import FarmError, UsageError
from farm.spec import RenderSpec, absolute_path, build_spec, load_spec

app = typer.Typer(
    name="farm",
    help="A render farm that repaints long videos in the style of a painting.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
flow_app = typer.Typer(help="Optical flow between two pictures, and what of it can be trusted.", no_args_is_help=True)
app.add_typer(flow_app, name="flow")


class MethodChoice(str, Enum):
    optimize = "optimize"
    identity = "identity"


class FlowChoice(str, Enum):
    dis = "dis"
    deepflow = "deepflow"
    epicflow = "epicflow"
    farneback = "farneback"
    raft = "raft"


class PrecisionChoice(str, Enum):
    auto = "auto"
    bf16 = "bf16"
    fp32 = "fp32"


Video = Annotated[str | None, typer.Argument(metavar="VIDEO", help="the film to repaint")]
SpecFile = Annotated[Path | None, typer.Option("--spec", help="YAML file; options given here override it")]
Styles = Annotated[
    list[str] | None, typer.Option("--style", metavar="IMG[:WEIGHT]", help="a painting; several are blended")
]
Output = Annotated[str | None, typer.Option("--output", "-o", help=".mp4, .mov, .mkv or .webm")]
Job = Annotated[str | None, typer.Option(help="job directory: a path or URL [default: OUT with .farm]")]
Size = Annotated[int | None, typer.Option(help="longest side of the output, pixels [default: the source's]")]
Frames = Annotated[str | None, typer.Option(metavar="A-B", help="only these frames, both included, from 0")]
Method = Annotated[MethodChoice | None, typer.Option(help="identity copies the frames: it tests a pipeline")]
Iterations = Annotated[str | None, typer.Option(metavar="FIRST,NEXT", help="optimiser steps of a frame [200,50]")]
Passes = Annotated[int | None, typer.Option(help="1: one-sided only; further passes tie both neighbours [3]")]
ChunkFrames = Annotated[int | None, typer.Option(help="frames that a worker renders in sequence, at the most")]
Overlap = Annotated[int | None, typer.Option(help="frames over which a chunk passes into the next [8]")]
Flow = Annotated[FlowChoice | None, typer.Option(help="optical flow estimator [dis]")]
FlowWeights = Annotated[str | None, typer.Option(help="state dict for --flow raft")]
FlowDir = Annotated[str | None, typer.Option(help="use given flows: forward_1_2.flo, backward_2_1.flo, ...")]
LongTerm = Annotated[str | None, typer.Option(metavar="A,B,..|none", help="frames back to look [10,20,40]")]
Precision = Annotated[PrecisionChoice | None, typer.Option(help="arithmetic of the features [auto]")]
Seed = Annotated[int | None, typer.Option(help="of everything random")]
StyleScale = Annotated[float | None, typer.Option(help="stroke size; 1: the painting has the frame's area")]
StyleWeight = Annotated[float | None, typer.Option(help="of the Gram loss [100]")]
ContentWeight = Annotated[float | None, typer.Option(help="of the content loss [5]")]
TemporalWeight = Annotated[float | None, typer.Option(help="of the temporal loss [1000]")]
AllowTruncated = Annotated[bool, typer.Option("--allow-truncated", help="render what decodes of a broken file")]
Codec = Annotated[str | None, typer.Option(help="video codec, ffmpeg's name [libx264]")]
Crf = Annotated[int | None, typer.Option(help="quality of the encoder, lower is better [18]")]
PixelFormat = Annotated[str | None, typer.Option(help="ffmpeg's name [yuv420p]")]
Workers = Annotated[int | None, typer.Option(min=1, help="renderers at once [one a GPU, or cores / threads]")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads of a worker, the same for a whole job")]
Address = Annotated[str | None, typer.Option(help="Ray cluster to join [start Ray here]")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace an output that is there already")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object on stdout and nothing else")]


@app.command()
def render(
    video: Video = None,
    spec: SpecFile = None,
    style: Styles = None,
    output: Output = None,
    job: Job = None,
    size: Size = None,
    frames: Frames = None,
    method: Method = None,
    iterations: Iterations = None,
    passes: Passes = None,
    chunk_frames: ChunkFrames = None,
    overlap: Overlap = None,
    flow: Flow = None,
    flow_weights: FlowWeights = None,
    flow_dir: FlowDir = None,
    long_term: LongTerm = None,
    precision: Precision = None,
    seed: Seed = None,
    style_scale: StyleScale = None,
    style_weight: StyleWeight = None,
    content_weight: ContentWeight = None,
    temporal_weight: TemporalWeight = None,
    allow_truncated: AllowTruncated = False,
    codec: Codec = None,
    crf: Crf = None,
    pixel_format: PixelFormat = None,
    workers: Workers = None,
    threads: Threads = None,
    address: Address = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Repaint a film. The same command again continues what was interrupted."""
    from farm.cluster.launch import LaunchOptions, default_job, render_job, summary
    from farm.progress import JobProgress

    wanted = _spec_from_options(spec, locals())
    options = LaunchOptions(
        job=absolute_path(job) if job else default_job(wanted.output),
        workers=workers,
        threads=threads,
        address=address,
        overwrite=overwrite,
    )
    with JobProgress() as progress:
        report = render_job(wanted, options, progress)
    _print(report, as_json, summary(report))


@app.command()
def plan(
    video: Video = None,
    spec: SpecFile = None,
    style: Styles = None,
    output: Output = None,
    size: Size = None,
    frames: Frames = None,
    method: Method = None,
    iterations: Iterations = None,
    passes: Passes = None,
    chunk_frames: ChunkFrames = None,
    overlap: Overlap = None,
    flow: Flow = None,
    flow_weights: FlowWeights = None,
    allow_truncated: AllowTruncated = False,
    as_json: AsJson = False,
) -> None:
    """Shots, chunks, work and storage of a render, without rendering anything."""
    from farm.media.scan import scan_video
    from farm.plan import estimate_work, plan_render
    from farm.planview import plan_lines

    wanted = _spec_from_options(spec, locals(), output_default="out.mp4", style_default="style.png")
    scan = scan_video(wanted.video, allow_truncated=wanted.allow_truncated)
    made = plan_render(wanted, scan.probe, scan.cuts)
    work = estimate_work(made, wanted.iterations)
    told = {**made.model_dump(mode="json"), "work": {**work.model_dump(), "chunking_overhead": work.chunking_overhead}}
    _print(told, as_json, "\n".join(plan_lines(made, work, scan.probe)))


@app.command()
def stylize(
    image: Annotated[str, typer.Argument(metavar="IMAGE")],
    style: Styles = None,
    output: Output = None,
    size: Size = None,
    iterations: Annotated[int, typer.Option(min=0, help="optimiser steps")] = 300,
    style_scale: Annotated[float, typer.Option(min=0.01, help="stroke size")] = 1.0,
    style_weight: Annotated[float, typer.Option(min=0, help="of the Gram loss")] = 100.0,
    content_weight: Annotated[float, typer.Option(min=0, help="of the content loss")] = 5.0,
    precision: Annotated[PrecisionChoice, typer.Option(help="arithmetic of the features")] = PrecisionChoice.auto,
    threads: Threads = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Repaint one picture."""
    from farm.still import StillOptions, stylize_file

    options = StillOptions(iterations, size, style_scale, style_weight, content_weight, precision.value, threads)
    told = stylize_file(image, style or [], _needed(output, "-o OUT.png"), options, overwrite=overwrite)
    _print(told, as_json, f"{told['output']}: {told['steps']} steps, loss {told['losses']['total']:.0f}")


@app.command()
def schema() -> None:
    """The JSON Schema of a render spec, for editors."""
    print(json.dumps(RenderSpec.model_json_schema(), indent=2))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """What this machine has, what is missing and how to get it."""
    from farm.doctor import examine, report_lines

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
    from farm.demo import run_demo
    from farm.progress import JobProgress

    with JobProgress() as progress:
        told = run_demo(folder, workers, progress)
    _print(told, as_json, f"film           {told['output']}\ncontact sheet  {told['contact_sheet']}")


@flow_app.command("estimate")
def flow_estimate(
    first: Annotated[str, typer.Argument(metavar="A")],
    second: Annotated[str, typer.Argument(metavar="B")],
    output: Annotated[Path, typer.Option("--output", "-o", help=".flo file")],
    method: Annotated[FlowChoice, typer.Option("--method", "-m")] = FlowChoice.dis,
    weights: FlowWeights = None,
) -> None:
    """The flow from picture A to picture B: A(x) looks like B(x + flow(x))."""
    from farm.flow import create_estimator, write_flow
    from farm.style.picture import read_picture

    a, b = read_picture(first), read_picture(second)
    if a.shape != b.shape:
        raise UsageError(f"{first} and {second} differ in size", "flow needs two frames of one film")
    write_flow(output, create_estimator(method.value, weights=weights).estimate(a, b))


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
    print(f"farm: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(code)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _print(told: Any, as_json: bool, text: str) -> None:
    print(json.dumps(told) if as_json else text)


def _needed(value: str | None, option: str) -> str:
    if value is None:
        raise UsageError(f"{option} is missing")
    return value


WEIGHT_OPTIONS = {"style_weight": "style", "content_weight": "content", "temporal_weight": "temporal"}
ENCODE_OPTIONS = {"codec": "codec", "crf": "crf", "pixel_format": "pixel_format"}


def _spec_from_options(
    file: Path | None, options: dict[str, Any], output_default: str | None = None, style_default: str | None = None
) -> RenderSpec:
    """The options that were given, over the spec file if there is one."""
    given: dict[str, Any] = {}
    for name, value in options.items():
        if value is None or value is False:
            continue
        value = value.value if isinstance(value, Enum) else value
        if name in WEIGHT_OPTIONS:
            given.setdefault("weights", {})[WEIGHT_OPTIONS[name]] = value
        elif name in ENCODE_OPTIONS:
            given.setdefault("encode", {})[ENCODE_OPTIONS[name]] = value
        elif name == "style":
            given["styles"] = [absolute_path(style) for style in value]
        elif name in ("video", "output", "flow_weights", "flow_dir"):
            given[name] = absolute_path(value)
        elif name in RenderSpec.model_fields:
            given[name] = value
    if file is not None:
        return load_spec(file, given)
    if style_default and "styles" not in given:
        given["styles"] = [style_default]
    if output_default:
        given.setdefault("output", absolute_path(output_default))
    if "video" not in given:
        raise UsageError("no video is given", "farm render VIDEO --style PICTURE -o OUT.mp4")
    if "output" not in given:
        raise UsageError("no output is given", "add -o OUT.mp4")
    return build_spec(given)


add_submit(app, render, _spec_from_options)


if __name__ == "__main__":
    main()
