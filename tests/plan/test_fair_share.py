"""Who gets how many workers: a table."""

import pytest

from farm.plan.fair_share import Claim, bundle_of, room_for, share_workers


def named(rooms):
    return {f"node-{number}": room for number, room in enumerate(rooms)}


@pytest.mark.parametrize(
    ("nodes", "claims", "shares"),
    [
        ([4], [Claim("a", 9)], {"a": 4}),
        ([4], [Claim("a", 3)], {"a": 3}),
        ([4], [], {}),
        ([], [Claim("a", 3)], {"a": 0}),
        ([2, 2], [Claim("film", 900), Claim("clip", 1)], {"film": 3, "clip": 1}),
        ([4], [Claim("a", 9), Claim("b", 9)], {"a": 2, "b": 2}),
        ([3], [Claim("a", 9), Claim("b", 9)], {"a": 2, "b": 1}),
        ([6], [Claim("a", 9, priority=100), Claim("b", 9)], {"a": 4, "b": 2}),
        ([8], [Claim("a", 9, size=2), Claim("b", 9)], {"a": 2, "b": 4}),
        # a worker does not fit across two machines
        ([3, 3], [Claim("a", 9, size=2)], {"a": 2}),
        ([1, 1], [Claim("a", 9, size=2), Claim("b", 9)], {"a": 0, "b": 2}),
        # spare workers stay with whoever may use them later, but yield to work
        ([4], [Claim("a", 1, limit=4)], {"a": 4}),
        ([4], [Claim("a", 1, limit=4), Claim("b", 3)], {"a": 1, "b": 3}),
        # more jobs than workers: short ones, then priority, then first come first served
        ([1], [Claim("a", 5, came=2), Claim("b", 5, came=1)], {"a": 0, "b": 1}),
        ([1], [Claim("a", 5, came=2, priority=60), Claim("b", 5, came=1)], {"a": 1, "b": 0}),
        ([1], [Claim("a", 5, came=2, short=True), Claim("b", 5, came=1, priority=60)], {"a": 1, "b": 0}),
        ([2], [Claim("a", 5), Claim("b", 5), Claim("c", 5)], {"a": 1, "b": 1, "c": 0}),
        # a node that does not see a job's files is room for the others only
        ([2, 2], [Claim("a", 9, unusable=frozenset({"node-0"}))], {"a": 2}),
        ([2, 2], [Claim("a", 9, unusable=frozenset({"node-0"})), Claim("b", 9)], {"a": 2, "b": 2}),
    ],
)
def test_shares(nodes, claims, shares):
    assert share_workers(named(nodes), claims) == shares


@pytest.mark.parametrize(
    ("kind", "gpus_claimed", "room"),
    [
        ("gpu", True, {"cpu-node": 0, "gpu-node": 2, "few-cores": 1}),
        ("cpu", True, {"cpu-node": 4, "gpu-node": 6, "few-cores": 0}),
        ("cpu", False, {"cpu-node": 4, "gpu-node": 8, "few-cores": 1}),
    ],
)
def test_room_of_a_kind_leaves_each_gpu_a_core(kind, gpus_claimed, room):
    cores, gpus = {"cpu-node": 4.0, "gpu-node": 8.0, "few-cores": 1.0}, {"gpu-node": 2.0, "few-cores": 4.0}
    assert room_for(kind, cores, gpus, gpus_claimed=gpus_claimed) == room


def test_a_worker_is_asked_for_with_all_that_it_books():
    assert bundle_of(Claim("a", 1, size=4)) == {"CPU": 4}
    assert bundle_of(Claim("a", 1, kind="gpu")) == {"CPU": 1, "GPU": 1}
