"""The last lines that a worker wrote before its task failed, for the people who have to find out why."""

from __future__ import annotations

from typing import Any

from ray.exceptions import RayError, RayTaskError

LINES = 12
TIMEOUT_SECONDS = 5


def last_log_lines(actor: Any, error: RayError) -> list[str]:
    """The end of the task's traceback, or of the worker's own stderr where it died without one.

    Empty where there is nothing to be had: Ray without its dashboard serves no logs, and a lost node neither.
    """
    if isinstance(error, RayTaskError):
        return _tail(str(error))  # the traceback as the worker saw it
    from ray.util.state import get_log

    try:
        said = get_log(actor_id=actor._actor_id.hex(), tail=LINES, suffix="err", timeout=TIMEOUT_SECONDS)
        return _tail("".join(said))
    except Exception:  # Ray raises what its HTTP client raises, and the log is only there to help
        return []


def _tail(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()][-LINES:]
