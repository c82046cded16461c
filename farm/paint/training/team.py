"""The processes that train one network together, each on its share of every batch. Usually there is only one.

team = Team()                        # this process alone
team = TorchTeam()                   # the processes of torch.distributed's process group
seconds = team.led(clock)            # the leader's clock, for all of them
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import distributed, nn


class TeamEnded(Exception):  # noqa: N818 - nothing went wrong here
    """Another process of the team has stopped. It reports the reason itself."""


class Team:
    """A team of one process. TorchTeam overrides what several processes do differently."""

    rank = 0
    """Number of this process in the team."""
    size = 1
    """Number of processes."""

    @property
    def leads(self) -> bool:
        """Whether this process is the leader, which alone evaluates and writes."""
        return self.rank == 0

    def begin(self, network: nn.Module) -> None:
        """Give every process the leader's weights. Raises TeamEnded where one of the others is not ready for work."""

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the team."""

    def total(self, values: Sequence[float]) -> list[float]:
        """The sum of each value over the team."""
        return list(values)

    def led(self, compute: Callable[[], float]) -> float:
        """The leader's value of `compute`, which no other process calls.

        What it raises is raised for the leader; the others raise TeamEnded.
        """
        return compute()

    def all_agree(self, value: float) -> bool:
        """Whether every process has the value that the leader has."""
        differs = self.led(lambda: value) != value
        return not any(self.total([float(differs)]))


ALONE = Team()
"""The team of a process that trains by itself."""


class TorchTeam(Team):
    """All processes of torch.distributed's default process group."""

    def __init__(self) -> None:
        """The process group must exist, and have a backend for tensors in CPU memory."""
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()

    def begin(self, network: nn.Module) -> None:
        """See Team."""
        self.meet(ready=True)
        for tensor in network.state_dict().values():
            contiguous = tensor.contiguous()
            distributed.broadcast(contiguous, 0)
            tensor.copy_(contiguous)

    def meet(self, *, ready: bool) -> None:
        """Wait for the others to `begin`. A process that is not `ready` ends the others there.

        Raises TeamEnded if this process is ready and another is not.
        """
        if any(self.total([float(not ready)])) and ready:
            raise TeamEnded

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """See Team. DistributedDataParallel does this by hooks in a backward pass; here gradients come from
        elsewhere.
        """
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.size
        for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def total(self, values: Sequence[float]) -> list[float]:
        """See Team. Sums are float64."""
        sums = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(sums)
        totals: list[float] = sums.tolist()
        return totals

    def led(self, compute: Callable[[], float]) -> float:
        """See Team."""
        message = torch.zeros(2, dtype=torch.float64)  # whether there is a value, and the value
        try:
            if self.leads:
                message = torch.tensor([1.0, compute()], dtype=torch.float64)
        finally:  # also where it raises, because the others wait
            distributed.broadcast(message, 0)
        if not message[0]:
            raise TeamEnded
        return float(message[1])
