"""Tasks that wait for each other."""

import pytest

from farm.plan import Task
from farm.plan.tasks import longest_chain, longest_chains


def task(name: str, steps: int, *needs: str) -> Task:
    return Task(id=name, pass_index=1, chunk=0, start=0, stop=1, needs=needs, steps=steps)


DIAMOND = [task("a", 2), task("b", 5, "a"), task("c", 1, "a"), task("d", 3, "b", "c"), task("e", 7)]


def test_a_chain_is_as_long_as_its_costliest_way_to_the_end():
    chains = longest_chains(DIAMOND, lambda task: task.steps)
    assert chains == {"a": 10, "b": 8, "c": 4, "d": 3, "e": 7}


@pytest.mark.parametrize(
    ("tasks", "expected"), [([], 0), (DIAMOND, 10), (DIAMOND[-1:], 7), ([task("z", 0)], 0), (DIAMOND[:3], 7)]
)
def test_the_longest_chain_may_start_anywhere(tasks, expected):
    assert longest_chain(tasks, lambda task: task.steps) == expected


def test_a_chain_may_cost_seconds():
    assert longest_chain(DIAMOND, lambda task: task.steps / 4) == 2.5
