"""One driver of python -m benchmarks.chaos, in a process of its own: python -m benchmarks.chaos.driver OPTIONS.json

What `farm render` does, but without a dashboard, which takes seconds to start; with segments of a few frames, so that a
film of two seconds has several; and with less patience for renderers that are stuck. Exit codes are the command's.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from farm.cli.progress import JobProgress
from farm.cluster.render_job import render_job
from farm.cluster.sizing import LaunchOptions
from farm.errors import FarmError
from farm.plan import segments
from farm.spec.load import build_spec


def main(path: str) -> int:
    told = json.loads(Path(path).read_text())
    segments.SEGMENT_FRAMES = told["segment_frames"]
    options = LaunchOptions(dashboard=False, threads=1, **told["launch"])
    try:
        report = render_job(build_spec(told["spec"]), options, JobProgress())
    except FarmError as error:
        print(f"farm: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    except KeyboardInterrupt:
        return 3
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1]))
