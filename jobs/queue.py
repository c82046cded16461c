"""Starts the queue of the cluster that this machine belongs to, and prints what it knows: python -m jobs.queue

For the head, after its restart: the queue goes on with the jobs that FARM_QUEUE names. A submitted job does it too.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Start the queue where there is none. Returns the exit code of the process."""
    import ray

    from farm.cluster.queue import ANSWER_SECONDS, queue_actor
    from farm.cluster.session import ray_session
    from farm.errors import FarmError

    try:
        with ray_session("auto"):
            table = ray.get(queue_actor().table.remote(), timeout=ANSWER_SECONDS)
    except FarmError as error:
        print(f"farm: {error}", file=sys.stderr)
        return error.exit_code
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
