"""How several jobs share the workers of one cluster. Pure: nodes and claims in, workers for each job out.

    >>> share_workers({"one": 2, "two": 2}, [Claim("film", wanted=9), Claim("clip", wanted=1)])
    {'film': 3, 'clip': 1}

The rule is weighted max-min fairness: the next worker goes to the job that holds least for its priority, as long as
that job has work for one. Where there are more jobs than workers, the job that was served least so far comes first, so
that they take turns and a short job never waits behind a film. Workers that no job has work for now stay with jobs that
may use them later, because starting a worker costs seconds.
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

    `served` is how many turns the job had so far. `priority` is its weight against the other jobs. `kind` is what each
    worker has booked. `unusable` are the names of nodes where the job cannot work, as they do not see its files.
    """

    job: str
    wanted: int
    limit: int | None = None
    size: float = 1
    priority: int = DEFAULT_PRIORITY
    served: int = 0
    kind: Kind = "cpu"
    unusable: frozenset[str] = frozenset()


def share_workers(nodes: Mapping[str, float], claims: Sequence[Claim]) -> dict[str, int]:
    """Number of workers for each job, by its name.

    `nodes` are the cores (or GPUs) of each node, by its name. `claims` are all of one kind, in the order in which the
    jobs came.
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


def _turn(claim: Claim, held: int) -> tuple[float, float]:
    """Sorting key: the smallest is served next. Jobs without a worker take turns; the others go by what they hold."""
    served = claim.served / claim.priority if held == 0 else 0.0
    return held * claim.size / claim.priority, served
