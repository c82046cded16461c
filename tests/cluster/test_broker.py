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
    monkeypatch.setattr(broker, "TURN_SECONDS", 60.0)
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


def test_three_jobs_on_two_workers_take_turns(clock):
    from farm.cluster.broker import Broker

    broker, had, has = Broker(), {"a": 0, "b": 0, "c": 0}, {"a": 0, "b": 0, "c": 0}
    for _ in range(400):
        clock[0] += 3.0
        for job in had:
            has[job] = broker.renew(Claim(job, 9), has[job], False)
            had[job] += has[job]
    assert all(abs(count - 400 * 2 / 3) < 45 for count in had.values()), had


def test_a_turn_lasts_until_its_worker_has_come_up_and_worked(clock, monkeypatch):
    from farm.cluster import broker as module

    monkeypatch.setattr(module, "_room", lambda gpu: [1.0])
    broker = module.Broker()
    broker.renew(Claim("film", 9), 0, False)
    shares = []
    for second in range(0, 400, 2):
        clock[0] += 2.0
        film = broker.renew(Claim("film", 9), int(bool(shares and not shares[-1])), False)
        shares.append(broker.renew(Claim("clip", 9), int(bool(shares and shares[-1] and second > 300)), False))
        assert film + shares[-1] <= 1
    started = shares.index(1)
    assert shares[started:151] == [1] * (151 - started), "the clip keeps its turn for as long as its worker starts"
    assert 0 in shares[151:], "and gives it back when it has worked"
