"""The last lines that a worker wrote before its task failed, for people who have to find out why."""

from __future__ import annotations

from typing import Any

from ray.exceptions import RayError, RayTaskError

LINES = 12
"""Lines that are kept of a log."""
TIMEOUT_SECONDS = 5
"""For Ray's dashboard to serve the log."""


def last_log_lines(actor: Any, error: RayError) -> tuple[str, ...]:
    """The end of the task's traceback, or of the worker's own stderr where it died without a traceback.

    Empty where nothing can be had: Ray serves no logs without its dashboard, nor those of a lost node.
    """
    if isinstance(error, RayTaskError):
        return _tail(str(error))  # with the traceback as the worker saw it
    from ray.util.state import get_log

    try:
        pieces = get_log(actor_id=actor._actor_id.hex(), tail=LINES, suffix="err", timeout=TIMEOUT_SECONDS)
        return _tail("".join(pieces))
    except Exception:  # Ray raises what its HTTP client raises, and the log is only there to help
        return ()


def _tail(text: str) -> tuple[str, ...]:
    return tuple(line.rstrip() for line in text.splitlines() if line.strip())[-LINES:]
