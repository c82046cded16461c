"""One run of `farm render`, in a process of its own: python -m benchmarks.chaos.driver OPTIONS.json

It differs from the command in three things. There is no dashboard, which takes seconds to start. Segments have a few
frames, so that a film of two seconds has several. There is less patience for renderers that are stuck. Exit codes
are the command's.

OPTIONS.json has `spec`, as build_spec takes it, `launch`, fields of LaunchOptions, and `segment_frames`.
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
from farm.plan.segments import segments_of
from farm.spec import build_spec


def main(path: str) -> int:
    settings = json.loads(Path(path).read_text())
    options = LaunchOptions(dashboard=False, threads=1, **settings["launch"])
    try:
        with segments_of(settings["segment_frames"]):
            report = render_job(build_spec(settings["spec"]), options, JobProgress())
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
