"""What each error means that Ray gives in place of a worker's answer, and why, in a few words.

    meaning = meaning_of(error)
    meaning.end, meaning.reason        # (End.MEMORY, "the memory of its machine ran out (23.3 of 23.5 GB used)")

RAISED is an error of the farm's own code, or of a library, in the worker, which lives on. All others are losses:

    LOST     this worker, or its answer, is gone: another worker begins its task again
    MEMORY   so it is, and it was killed because the memory of its machine ran out
    NODE     its whole machine is gone, so that the task is not to blame
    HERE     the Ray of this process is gone, and no worker can be had any more
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from ray import exceptions
from ray.exceptions import RayError, RayTaskError

from farm.cluster.reasons import one_line
from farm.errors import first_line, last_line


class End(Enum):
    """How a call ended, see the module."""

    RAISED = auto()
    LOST = auto()
    MEMORY = auto()
    NODE = auto()
    HERE = auto()


@dataclass(frozen=True)
class Meaning:
    """What an error means, and its reason in one line."""

    end: End
    reason: str


OWN_WORDS = ""
"""In MEANINGS: the reason is the last line of Ray's own text, where Ray says what happened."""

MEANINGS: Mapping[type[RayError], tuple[End, str]] = {
    RayTaskError: (End.RAISED, OWN_WORDS),
    exceptions.OutOfMemoryError: (End.MEMORY, "the memory of its machine ran out"),
    exceptions.NodeDiedError: (End.NODE, "its node was lost"),
    exceptions.LocalRayletDiedError: (End.HERE, "Ray on this machine has died"),
    exceptions.AuthenticationError: (End.HERE, "the cluster refuses the token"),
    exceptions.RpcError: (End.HERE, "the cluster's head does not answer"),
    # the worker's process
    exceptions.ActorDiedError: (End.LOST, "its worker died"),
    exceptions.ActorUnavailableError: (End.LOST, "its worker cannot be reached"),
    exceptions.WorkerCrashedError: (End.LOST, "its worker died"),
    exceptions.AsyncioActorExit: (End.LOST, "its worker ended itself"),
    exceptions.TaskCancelledError: (End.LOST, "its call was cancelled"),
    exceptions.ActorHandleNotFoundError: (End.LOST, "its worker is not there any more"),
    # the start of a worker
    exceptions.RuntimeEnvSetupError: (End.LOST, OWN_WORDS),
    exceptions.ActorUnschedulableError: (End.LOST, "no node can take its worker"),
    exceptions.TaskUnschedulableError: (End.LOST, "no node can take it"),
    exceptions.ActorPlacementGroupRemoved: (End.LOST, "the room for its worker was taken away"),
    exceptions.TaskPlacementGroupRemoved: (End.LOST, "the room for it was taken away"),
    # its answer
    exceptions.ObjectLostError: (End.LOST, "its answer was lost"),
    exceptions.OwnerDiedError: (End.LOST, "its answer was lost"),
    exceptions.ObjectStoreFullError: (End.LOST, "Ray's object store is full on its machine"),
    exceptions.OutOfDiskError: (End.LOST, "Ray's disk is full on its machine"),
    exceptions.PlasmaObjectNotAvailable: (End.LOST, "its answer was lost"),
    exceptions.UnserializableException: (End.LOST, "it raised an error that cannot be sent"),
    exceptions.GetTimeoutError: (End.LOST, "it does not answer"),
    # Anything else, such as a RaySystemError while a node goes down. The attempts of a task end it in any case.
    RayError: (End.LOST, OWN_WORDS),
}
"""The table: an error means what the nearest of its classes does."""
USED = re.compile(r"was ([\d.]+)\s*GB used / ([\d.]+)\s*GB limit")
"""The memory of the machine, in Ray's text about a worker that it killed."""


def meaning_of(error: RayError) -> Meaning:
    """What `error` means. A RayTaskError that only passes an error of Ray itself on means what that one does."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, RayError):
        return meaning_of(error.cause)
    end, reason = next(MEANINGS[base] for base in type(error).__mro__ if base in MEANINGS)
    if end is End.MEMORY and (used := USED.search(str(error))):
        reason = f"{reason} ({float(used[1]):.1f} of {float(used[2]):.1f} GB used)"
    if reason is OWN_WORDS:
        reason = one_line(first_line(error) if end is End.RAISED else last_line(error))
    return Meaning(end, reason)
