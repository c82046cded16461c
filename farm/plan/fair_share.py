"""How several jobs share the workers of one cluster. Pure: nodes and claims in, workers for each job out.

    >>> share_workers([2, 2], [Claim("film", wanted=9), Claim("clip", wanted=1)])
    {'film': 3, 'clip': 1}

The rule is weighted max-min fairness: the next worker goes to the job that holds least for its priority, as long as
that job has work for one. Where there are more jobs than workers, the job that was served least so far comes first, so
that they take turns and a short job never waits behind a film. Workers that no job has work for now stay with jobs that
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

    `served` is how many turns the job had so far. `priority` is its weight against the other jobs.
    """

    job: str
    wanted: int
    limit: int | None = None
    size: float = 1
    priority: int = DEFAULT_PRIORITY
    served: int = 0


def share_workers(nodes: Sequence[float], claims: Sequence[Claim]) -> dict[str, int]:
    """Number of workers for each job, by its name.

    `nodes` are the cores (or GPUs) of each node. `claims` are in the order in which the jobs came.
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


def _turn(claim: Claim, held: int) -> tuple[float, float]:
    """Sorting key: the smallest is served next. Jobs without a worker take turns; the others go by what they hold."""
    served = claim.served / claim.priority if held == 0 else 0.0
    return held * claim.size / claim.priority, served
