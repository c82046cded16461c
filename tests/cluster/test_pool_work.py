"""Pieces of work on a pool that answers at once: no Ray."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from farm.errors import ChunkFailedError, PictureError

if TYPE_CHECKING:
    from ray.exceptions import RayError

    from farm.cluster.ray_errors import Meaning


class Pool:
    """Worker `a` is up; `b` comes up when it is asked for. A reference is a (worker, piece)."""

    def __init__(self) -> None:
        self.allowed = 2
        self.actors = {"a": "actor a", "b": "actor b"}
        self.facts = {"a": None}
        self.starting = {"b starts": "b"}
        self.wanted: list[int] = []

    def follow_quota(self, wanted: int) -> int:
        self.wanted.append(wanted)
        return self.allowed

    def lost_to(self, worker: str, error: RayError) -> Meaning:
        from farm.cluster.ray_errors import meaning_of

        return meaning_of(error)

    def remove(self, worker: str) -> None:
        """Another worker of the same name comes up."""
        del self.facts[worker]
        self.starting[f"{worker} starts"] = worker

    def answered(self, source: str) -> str | None:
        name = self.starting.pop(source)
        self.facts[name] = None
        return name


@pytest.fixture
def work(monkeypatch):
    """The module, with a Ray whose references are done as soon as they are looked at, the latest first."""
    from farm.cluster import pool_work

    def get(reference: tuple[str, object]) -> object:
        if isinstance(reference[1], Exception):
            raise reference[1]
        return f"{reference[1]} by {reference[0]}"

    fake = SimpleNamespace(wait=lambda sources, **_: (sources[-1:], sources[:-1]), get=get)
    monkeypatch.setattr(pool_work, "ray", fake)
    return pool_work


def test_each_piece_goes_to_a_worker_that_is_idle(work):
    pool, checks = Pool(), []
    done = list(work.work_off(pool, [1, 2, 3], lambda actor, piece: (actor, piece), lambda: checks.append(1)))
    assert done == [(2, "2 by actor b"), (3, "3 by actor b"), (1, "1 by actor a")]
    assert pool.wanted == [3, 3, 2, 1]
    assert len(checks) == 4


def test_all_workers_are_waited_for_and_no_longer_than_they_may_take(work):
    pool = Pool()
    work.wait_for_all(pool, 60.0, lambda: None)
    assert list(pool.facts) == ["a", "b"]
    pool.allowed = 3
    work.wait_for_all(pool, 0.0, lambda: pytest.fail("it waited"))


@pytest.mark.parametrize(
    ("raised", "error", "message"),
    [
        ("farm", PictureError, "there is no picture"),
        ("other", ChunkFailedError, "frame 7 failed: "),
        ("dead", ChunkFailedError, "a worker died at frame 7: its worker died; run the same command again"),
    ],
)
def test_what_a_worker_raises_ends_the_work_in_one_line(work, raised, error, message):
    from ray.exceptions import RayTaskError, WorkerCrashedError

    causes = {"farm": PictureError("there is no picture"), "other": ValueError("odd")}
    problem = WorkerCrashedError() if raised == "dead" else RayTaskError("still", "trace", causes[raised])
    with pytest.raises(error, match=message):
        list(
            work.work_off(
                Pool(), [7], lambda actor, piece: (actor, problem), lambda: None, lambda piece: f"frame {piece}"
            )
        )


def test_a_piece_whose_worker_is_lost_goes_to_another_one(work):
    from ray.exceptions import WorkerCrashedError

    pool, begun = Pool(), []

    def call(actor: str, piece: int) -> tuple[str, object]:
        begun.append(piece)
        return actor, WorkerCrashedError() if begun.count(7) < 3 and piece == 7 else piece

    assert sorted(piece for piece, _ in work.work_off(pool, [7, 8], call, lambda: None)) == [7, 8]
    assert sorted(begun) == [7, 7, 7, 8]
