"""How several jobs share the workers of one cluster. Pure: nodes and claims in, workers for each job out.

    >>> share_workers({"one": 2, "two": 2}, [Claim("film", wanted=9), Claim("clip", wanted=1)])
    {'film': 3, 'clip': 1}

The rule is weighted max-min fairness: the next worker goes to the job that holds least for its priority, as long as
that job has work for one. Where there are more jobs than workers, short jobs come first, then those of higher priority,
then those that came first. They take no turns: a worker that changed hands would have to start anew.

Workers that no job has work for now stay with jobs that may use them later, because starting a worker costs seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

DEFAULT_PRIORITY = 50
"""Priority of a job that asks for none; 1 to 1000 are allowed."""


Kind = Literal["cpu", "gpu"]
"""What a worker has booked: cores, or one GPU and a core that feeds it."""


@dataclass(frozen=True)
class Claim:
    """What a job asks for: `wanted` workers now and `limit` at the most, each of `size` cores (or GPUs).

    `priority` is its weight against the other jobs. It came at `came`, by any clock, and `short` is whether it may pass
    longer jobs. `kind` is what each worker has booked. `unusable` are the names of nodes where the job cannot work, as
    they do not see its files.
    """

    job: str
    wanted: int
    limit: int | None = None
    size: float = 1
    priority: int = DEFAULT_PRIORITY
    came: float = 0.0
    short: bool = False
    kind: Kind = "cpu"
    unusable: frozenset[str] = frozenset()


def share_workers(nodes: Mapping[str, float], claims: Sequence[Claim]) -> dict[str, int]:
    """Number of workers for each job, by its name.

    `nodes` are the cores (or GPUs) of each node, by its name. `claims` are all of one kind. Of two that came at the
    same time the first is served first.
    """
    free = dict(sorted(nodes.items(), key=lambda node: -node[1]))
    held = {claim.job: 0 for claim in claims}
    for ceilings in (
        {claim.job: claim.wanted for claim in claims},
        {claim.job: claim.wanted if claim.limit is None else max(claim.limit, claim.wanted) for claim in claims},
    ):
        hungry = list(claims)
        while hungry:
            claim = min(hungry, key=lambda claim: _turn(claim, held[claim.job]))
            node = next((n for n, room in free.items() if room >= claim.size and n not in claim.unusable), None)
            if node is None or held[claim.job] >= ceilings[claim.job]:
                hungry.remove(claim)
                continue
            free[node] -= claim.size
            held[claim.job] += 1
    return held


def room_for(
    kind: Kind, cores: Mapping[str, float], gpus: Mapping[str, float], *, gpus_claimed: bool
) -> dict[str, float]:
    """The cores, or the GPUs, of each node that workers of this kind may have, by the node's name.

    A worker with a GPU also takes a core, so a node has no more of them than cores. Where jobs claim GPUs, as many
    cores are kept from the workers without one: otherwise these could hold the last core of a node whose GPU is free.

    >>> room_for("gpu", {"a": 4, "b": 4}, {"b": 8}, gpus_claimed=True)
    {'a': 0.0, 'b': 4.0}
    >>> room_for("cpu", {"a": 4, "b": 4}, {"b": 1}, gpus_claimed=True)
    {'a': 4.0, 'b': 3.0}
    """
    with_gpu = {node: float(min(count, gpus.get(node, 0.0))) for node, count in cores.items()}
    if kind == "gpu":
        return with_gpu
    return {node: count - (with_gpu[node] if gpus_claimed else 0.0) for node, count in cores.items()}


def bundle_of(claim: Claim) -> dict[str, float]:
    """What one worker of a claim books, by Ray's names of resources."""
    return {"CPU": 1, "GPU": 1} if claim.kind == "gpu" else {"CPU": claim.size}


def _turn(claim: Claim, held: int) -> tuple[float, tuple[bool, int, float]]:
    """Sorting key: the smallest is served next. A job that holds less for its priority comes before all others."""
    return held * claim.size / claim.priority, _order(claim)


def _order(claim: Claim) -> tuple[bool, int, float]:
    """Sorting key of jobs that hold equally much: short ones, then by priority, then first come first served."""
    return not claim.short, -claim.priority, claim.came
