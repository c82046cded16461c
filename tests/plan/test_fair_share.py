"""Who gets how many workers: a table."""

import pytest

from farm.plan.fair_share import Claim, share_workers


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
    ],
)
def test_shares(nodes, claims, shares):
    assert share_workers(nodes, claims) == shares
