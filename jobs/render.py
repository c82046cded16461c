"""Entry point of a submitted render, run by Ray on the cluster: python -m jobs.render JOB SUBMISSION

Reads JOB/request.json and calls the package. The exit codes are those of the command line, and
`farm.plan.queue.TURNED_AWAY` where the job waits in the cluster's queue, which runs this again.
"""

from __future__ import annotations

import signal
import sys


def main(job_url: str, submission: str) -> int:
    """Render the job and return the exit code of the process."""
    from farm.cli.progress import JobProgress
    from farm.cluster.render_job import summary
    from farm.cluster.service import run_submitted
    from farm.errors import FarmError
    from farm.plan.queue import TURNED_AWAY

    try:
        with JobProgress() as progress:
            report = run_submitted(job_url, submission, progress)
    except FarmError as error:
        print(f"farm: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    if report is None:
        print("farm: waits in the queue", flush=True)
        return TURNED_AWAY
    print(f"{summary(report)}\nfarm: done", flush=True)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(3)
