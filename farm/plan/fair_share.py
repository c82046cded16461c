"""How several jobs share the workers of one cluster. Pure: nodes and claims in, workers for each job out.

    >>> share_workers([2, 2], [Claim("film", wanted=9), Claim("clip", wanted=1)])
    {'film': 3, 'clip': 1}

The rule is weighted max-min fairness: the next worker goes to the job that holds least for its priority, as long as
that job has work for one. Where there are more jobs than workers, short jobs come first, then those of higher priority,
then those that came first. They take no turns: a worker that changed hands would have to start anew.

Workers that no job has work for now stay with jobs that
may use them later, because starting a worker costs seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DEFAULT_PRIORITY = 50
"""Priority of a job that asks for none; 1 to 1000 are allowed."""


@dataclass(frozen=True)
class Claim:
    """What a job asks for: `wanted` workers now and `limit` at the most, each of `size` cores (or GPUs).

    `priority` is its weight against the other jobs. It came at `came`, by any clock, and `short` is whether it may pass
    longer jobs.
    """

    job: str
    wanted: int
    limit: int | None = None
    size: float = 1
    priority: int = DEFAULT_PRIORITY
    came: float = 0.0
    short: bool = False


def share_workers(nodes: Sequence[float], claims: Sequence[Claim]) -> dict[str, int]:
    """Number of workers for each job, by its name.

    `nodes` are the cores (or GPUs) of each node. Of two claims that came at the same time the first is served first.
    """
    free = sorted(nodes, reverse=True)
    held = {claim.job: 0 for claim in claims}
    for ceilings in (
        {claim.job: claim.wanted for claim in claims},
        {claim.job: claim.wanted if claim.limit is None else max(claim.limit, claim.wanted) for claim in claims},
    ):
        hungry = list(claims)
        while hungry:
            claim = min(hungry, key=lambda claim: _turn(claim, held[claim.job]))
            node = next((i for i, room in enumerate(free) if room >= claim.size), None)
            if node is None or held[claim.job] >= ceilings[claim.job]:
                hungry.remove(claim)
                continue
            free[node] -= claim.size
            held[claim.job] += 1
    return held


def _turn(claim: Claim, held: int) -> tuple[float, tuple[bool, int, float]]:
    """Sorting key: the smallest is served next. A job that holds less for its priority comes before all others."""
    return held * claim.size / claim.priority, _order(claim)


def _order(claim: Claim) -> tuple[bool, int, float]:
    """Sorting key of jobs that hold equally much: short ones, then by priority, then first come first served."""
    return not claim.short, -claim.priority, claim.came
