"""Requests to object storage for each frame of a film, and what it costs that they take time.

    python -m benchmarks.storage                  96 frames, default passes, one worker
    python -m benchmarks.storage --workers 2      tasks dealt in turn to two workers, so most frames are another's
    python -m benchmarks.storage --delay 50       milliseconds added to each request of the second run

An S3-compatible server (moto) runs in a process of its own, counts requests and can delay them. The film is rendered
three times by the classes that a worker consists of, without Ray: on S3 as it is, on S3 with each request delayed, and
on a disk. Frames of 64 pixels with few optimiser steps: storage, not paint, is what is measured.

The first table has requests for each frame of the film, all passes and the stitching included, by kind (rows) and by
folder of the job (columns). GET of a name that is not there counts as GET. The second has seconds for each frame of the
film, of the tasks alone. Both are written to storage.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from benchmarks.identity import make_style
from farm.media.ffmpeg import ffmpeg_binary

ROOT = Path(__file__).parents[1]
FRAMES = 96
"""Frames of the film: two chunks of the default length, in one shot."""
STARTING_SECONDS = 300
"""Seconds that the server may take to answer: a busy machine imports moto for a minute."""
CONTROL = "/-/"
"""Paths below it are for this module: they are neither counted nor delayed."""


class CountingServer:
    """A WSGI application around moto's: it counts requests by kind and folder, and delays them."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._counts: Counter[str] = Counter()
        self._delay = 0.0
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
        if path.startswith(CONTROL):
            with self._lock:
                self._delay = float(parse_qs(query).get("ms", ["0"])[0]) / 1000
                body = json.dumps(self._counts).encode()
                self._counts.clear()
            start_response("200 OK", [("Content-Length", str(len(body)))])
            return [body]
        with self._lock:
            self._counts[f"{request_kind(environ['REQUEST_METHOD'], query)} {folder_of(path, query)}"] += 1
        time.sleep(self._delay)
        return self._application(environ, start_response)


def request_kind(method: str, query: str) -> str:
    """GET, PUT, HEAD, LIST, DELETE or POST.

    >>> request_kind("GET", "list-type=2&prefix=a.farm%2Fflow%2F")
    'LIST'
    """
    return "LIST" if method == "GET" and ("list-type" in query or "prefix=" in query) else method


def folder_of(path: str, query: str) -> str:
    """The folder of the job that a request is about: frames, ledger, flow, ..., or "other".

    >>> folder_of("/farm/a.farm/frames/pass-1/00000/000001.png", "")
    'frames'
    """
    prefix = parse_qs(query).get("prefix", [""])[0]
    parts = (prefix if prefix else path.strip("/").partition("/")[2]).split("/")
    return parts[1] if len(parts) > 2 and parts[1] in ("frames", "ledger", "flow", "segments", "masks") else "other"


def serve(port: int) -> None:
    """Run the server until the process is ended."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = CountingServer(DomainDispatcherApplication(create_backend_app))
    make_server("127.0.0.1", port, application, threaded=True).serve_forever()


def control(port: int, delay: float = 0.0) -> dict[str, int]:
    """Delay each request by `delay` milliseconds from now on. Returns the counts since the last call."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{CONTROL}?ms={delay}", timeout=30) as answer:
        counts: dict[str, int] = json.load(answer)
    return counts


def start_server() -> tuple[subprocess.Popen[bytes], int]:
    """The server's process and port, with the bucket `farm`. This process's environment then leads to it."""
    import fsspec

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", **keys}
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.storage", "--serve", str(port)], cwd=ROOT)
    for _ in range(STARTING_SECONDS):
        try:
            control(port)
            break
        except OSError:
            time.sleep(1)
    fsspec.filesystem("s3").mkdir("farm")
    return server, port


def make_clip(path: Path, frames: int) -> None:
    """Make a film of moving test pictures without a cut."""
    source = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=24", "-frames:v", str(frames)]
    coded = ["-c:v", "libx264", "-pix_fmt", "yuv420p", str(path)]
    subprocess.run([ffmpeg_binary(), "-v", "error", "-y", *source, *coded], check=True)


def render(folder: Path, job_url: str, frames: int, workers: int) -> float:
    """Render the film in `folder` into a job, as `workers` workers would one after the other, and stitch it.

    Flow is computed ahead by a thread, as a flow worker does. Returns the seconds of the tasks.
    """
    from farm.job import JobDirectory
    from farm.plan import Runtime, plan_tasks
    from farm.render.chunk import ChunkRenderer
    from farm.render.prepare import prepare_job
    from farm.render.source_frames import SourceFrames, open_flow_store
    from farm.render.stitch import stitch_film
    from farm.spec import build_spec

    layers = {"style_layers": "relu1_1", "content_layers": "relu1_2"}
    files = {"video": str(folder / "clip.mp4"), "styles": [str(folder / "style.png")]}
    spec = build_spec({**files, **layers, "output": str(folder / "out.mp4"), "size": 64, "iterations": "2,1"})
    prepared = prepare_job(spec, job_url)
    record = prepared.begin(Runtime(device="cpu", precision="fp32", threads=1))

    def fill() -> None:
        store = open_flow_store(JobDirectory(job_url), record, SourceFrames(record))
        for frame in range(1, frames):
            store.ensure(frame, frame - 1)

    ahead = threading.Thread(target=fill)
    began = time.perf_counter()
    ahead.start()
    renderers = [ChunkRenderer(job_url, worker=f"worker-{number}") for number in range(workers)]
    for number, task in enumerate(plan_tasks(record.plan)):
        for _ in renderers[number % workers].render(task):
            pass
    seconds = time.perf_counter() - began
    ahead.join()
    stitch_film(prepared.job, record, spec.output)
    return seconds


def request_table(counts: dict[str, int], frames: int) -> str:
    """Requests for each frame of the film, by kind and folder, and their sums."""
    folders = sorted({name.partition(" ")[2] for name in counts})
    kinds = sorted({name.partition(" ")[0] for name in counts})
    lines = [f"{'':8}" + "".join(f"{folder:>10}" for folder in [*folders, "all"])]
    for kind in kinds:
        row = [counts.get(f"{kind} {folder}", 0) / frames for folder in folders]
        lines.append(f"{kind:8}" + "".join(f"{value:10.2f}" for value in [*row, sum(row)]))
    columns = [sum(counts.get(f"{kind} {folder}", 0) for kind in kinds) / frames for folder in folders]
    lines.append(f"{'all':8}" + "".join(f"{value:10.2f}" for value in [*columns, sum(columns)]))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--delay", type=float, default=20.0, help="milliseconds added to each request")
    parser.add_argument("-o", "--output", type=Path, default=Path("storage.json"), help="file of the figures")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
    import torch

    torch.set_num_threads(1)
    server, port = start_server()
    try:
        with tempfile.TemporaryDirectory(prefix="farm-storage-") as name:
            folder, seconds = Path(name), {}
            make_clip(folder / "clip.mp4", options.frames)
            make_style(folder / "style.png")
            run = (options.frames, options.workers)
            seconds["disk"] = render(folder, str(folder / "out.farm"), *run)
            control(port)
            seconds["s3"] = render(folder, "s3://farm/plain.farm", *run)
            counts = control(port, options.delay)
            print(request_table(counts, options.frames), flush=True)
            delayed = f"s3 + {options.delay:g} ms"
            seconds[delayed] = render(folder, "s3://farm/delayed.farm", *run)
    finally:
        server.kill()
    seconds = {where: value / options.frames for where, value in seconds.items()}
    print("\n".join(f"{where:12}{value:8.3f} s a frame" for where, value in seconds.items()))
    per_frame = {name: count / options.frames for name, count in sorted(counts.items())}
    options.output.write_text(json.dumps({"requests_per_frame": per_frame, "seconds_per_frame": seconds}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
