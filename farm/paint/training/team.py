"""The processes that train one network together, each on its share of every batch. Usually there is one.

team = Team()                        # this process alone
team = TorchTeam()                   # those of torch.distributed's process group
seconds = team.led(clock)            # the first one's, for all of them
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import distributed, nn


class TeamEnded(Exception):  # noqa: N818 - nothing went wrong here
    """Another of the team stopped, for a reason that it tells of itself."""


class Team:
    """One process. What several do differently is all here; the first of them, `leads`, alone judges and writes."""

    rank = 0
    size = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def begin(self, network: nn.Module) -> None:
        """Give everyone the leader's weights. Raises TeamEnded where one of the others is not ready for work."""

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the team."""

    def total(self, values: Sequence[float]) -> list[float]:
        """The sums over the team."""
        return list(values)

    def led(self, compute: Callable[[], float]) -> float:
        """The leader's value of `compute`, which nobody else calls; what that raises ends the others with TeamEnded."""
        return compute()

    def all_agree(self, value: float) -> bool:
        """Whether every process has the value that the leader has."""
        differs = self.led(lambda: value) != value
        return not any(self.total([float(differs)]))


ALONE = Team()


class TorchTeam(Team):
    """All processes of the default process group; it has to have a backend for tensors in CPU memory."""

    def __init__(self) -> None:
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()

    def begin(self, network: nn.Module) -> None:
        self.meet(ready=True)
        for tensor in network.state_dict().values():
            whole = tensor.contiguous()
            distributed.broadcast(whole, 0)
            tensor.copy_(whole)

    def meet(self, *, ready: bool) -> None:
        """Wait for the others to `begin`, or end them there. Raises TeamEnded if one of them is not `ready`."""
        if any(self.total([float(not ready)])) and ready:
            raise TeamEnded

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """What DistributedDataParallel does by hooks in a backward pass, after it, however gradients were computed."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.size
        for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def total(self, values: Sequence[float]) -> list[float]:
        sums = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(sums)
        totals: list[float] = sums.tolist()
        return totals

    def led(self, compute: Callable[[], float]) -> float:
        message = torch.zeros(2, dtype=torch.float64)  # whether there is a value, and the value
        try:
            if self.leads:
                message = torch.tensor([1.0, compute()], dtype=torch.float64)
        finally:  # also where it raises: the others wait
            distributed.broadcast(message, 0)
        if not message[0]:
            raise TeamEnded
        return float(message[1])
