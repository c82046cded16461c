"""Leases on a cluster's workers; the rule of sharing itself is in tests/plan/test_fair_share.py."""

import pytest

from farm.plan.fair_share import Claim

pytestmark = pytest.mark.usefixtures("ray_here")  # the broker imports ray, which the session has to do first


@pytest.fixture
def clock(monkeypatch):
    from farm.cluster import broker

    now = [1000.0]
    monkeypatch.setattr(broker.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(broker, "_room", lambda gpu: [2.0])
    monkeypatch.setattr(broker.Broker, "_request_nodes", lambda self, gpu: None)
    return now


def test_a_lone_job_has_it_all_and_gives_half_to_a_second_one(clock):
    from farm.cluster.broker import Broker

    broker = Broker()
    assert broker.renew(Claim("film", 9), 1, False) == 2
    assert broker.renew(Claim("clip", 1), 1, False) == 1
    assert broker.renew(Claim("film", 9), 1, False) == 1
    broker.leave("clip", False)
    assert broker.renew(Claim("film", 9), 1, False) == 2


def test_a_job_that_is_not_heard_of_loses_its_share(clock):
    from farm.cluster.broker import LEASE_SECONDS, Broker

    broker = Broker()
    broker.renew(Claim("gone", 9), 1, False)
    clock[0] += LEASE_SECONDS + 1
    assert broker.renew(Claim("film", 9), 1, False) == 2


def test_three_jobs_on_two_workers_are_served_as_they_came_and_nobody_is_moved(clock):
    from farm.cluster.broker import Broker

    broker, shares = Broker(), {}
    claims = [Claim(job, 9, came=came) for job, came in (("a", 1.0), ("b", 2.0), ("c", 3.0))]
    for _ in range(200):
        clock[0] += 3.0
        for claim in claims:
            shares[claim.job] = broker.renew(claim, shares.get(claim.job, 0), False)
    assert shares == {"a": 1, "b": 1, "c": 0}
    broker.leave("a", False)
    assert [broker.renew(claim, 0, False) for claim in claims[1:]] == [1, 1]
