"""Leases on a cluster's workers; the rule of sharing itself is in tests/plan/test_fair_share.py."""

import pytest

from farm.plan.fair_share import Claim

pytestmark = pytest.mark.cluster  # the import of ray binds a socket


@pytest.fixture
def clock(monkeypatch):
    from farm.cluster import broker

    now = [1000.0]
    monkeypatch.setattr(broker.time, "monotonic", lambda: now[0])
    return now


class Autoscaler:
    """What a broker asks for. `rooms` are the cores, or GPUs, of the nodes, by kind."""

    def __init__(self, **rooms):
        self.rooms, self.requests, self.answers = rooms, [], True

    def room(self, kind, gpus_claimed):
        return {f"{kind}-{number}": room for number, room in enumerate(self.rooms.get(kind, []))}

    def request(self, bundles):
        if not self.answers:
            raise RuntimeError("the GCS does not answer")
        self.requests.append(list(bundles))


def make_broker(autoscaler):
    from farm.cluster.broker import Broker

    return Broker(room=autoscaler.room, request=autoscaler.request)


def test_a_lone_job_has_it_all_and_gives_half_to_a_second_one(clock):
    broker = make_broker(Autoscaler(cpu=[2.0]))
    assert broker.renew(Claim("film", 9)) == 2
    assert broker.renew(Claim("clip", 1)) == 1
    assert broker.renew(Claim("film", 9)) == 1
    broker.leave("clip")
    assert broker.renew(Claim("film", 9)) == 2


def test_a_job_that_is_not_heard_of_loses_its_share(clock):
    from farm.cluster.broker import LEASE_SECONDS

    broker = make_broker(Autoscaler(cpu=[2.0]))
    broker.renew(Claim("gone", 9))
    clock[0] += LEASE_SECONDS + 1
    assert broker.renew(Claim("film", 9)) == 2


def test_jobs_of_two_kinds_take_nothing_from_each_other(clock):
    broker = make_broker(Autoscaler(cpu=[8.0], gpu=[1.0, 1.0]))
    assert broker.renew(Claim("cores", 8)) == 8
    assert broker.renew(Claim("gpus", 2, kind="gpu")) == 2
    assert broker.renew(Claim("cores", 8)) == 8


def test_all_kinds_are_asked_for_in_one_request_and_only_when_it_changes(clock):
    autoscaler = Autoscaler(cpu=[8.0], gpu=[1.0])
    broker = make_broker(autoscaler)
    for _ in range(3):
        broker.renew(Claim("cores", 2, size=2))
        broker.renew(Claim("gpus", 1, kind="gpu"))
    cores, gpu = {"CPU": 2}, {"CPU": 1, "GPU": 1}
    assert autoscaler.requests == [[cores, cores], [cores, cores, gpu]]
    broker.leave("cores")
    assert autoscaler.requests[-1] == [gpu]


def test_nodes_of_a_job_that_fell_silent_are_given_back_though_nobody_asks(clock):
    from farm.cluster.broker import LEASE_SECONDS

    autoscaler = Autoscaler()
    broker = make_broker(autoscaler)
    broker.renew(Claim("killed", 1, kind="gpu"))
    clock[0] += LEASE_SECONDS - 1
    broker.check()
    assert autoscaler.requests == [[{"CPU": 1, "GPU": 1}]]
    clock[0] += 2
    broker.check()
    assert autoscaler.requests[-1] == []


def test_a_broker_that_was_lost_with_its_leases_takes_back_what_it_had_asked_for(clock):
    from farm.cluster.broker import LEASE_SECONDS

    autoscaler = Autoscaler()
    broker = make_broker(autoscaler)
    broker.check()
    assert autoscaler.requests == [], "jobs that are at work have not asked yet"
    clock[0] += LEASE_SECONDS
    broker.check()
    broker.check()
    assert autoscaler.requests == [[]]


def test_an_autoscaler_that_does_not_answer_is_asked_again_and_fails_no_job(clock):
    autoscaler = Autoscaler(cpu=[1.0])
    broker = make_broker(autoscaler)
    autoscaler.answers = False
    assert broker.renew(Claim("film", 1)) == 1
    autoscaler.answers = True
    broker.check()
    assert autoscaler.requests == [[{"CPU": 1}]]


def test_three_jobs_on_two_workers_are_served_as_they_came_and_nobody_is_moved(clock):
    broker, shares = make_broker(Autoscaler(cpu=[2.0])), {}
    claims = [Claim(job, 9, came=came) for job, came in (("a", 1.0), ("b", 2.0), ("c", 3.0))]
    for _ in range(200):
        clock[0] += 3.0
        for claim in claims:
            shares[claim.job] = broker.renew(claim)
    assert shares == {"a": 1, "b": 1, "c": 0}
    broker.leave("a")
    assert [broker.renew(claim) for claim in claims[1:]] == [1, 1]
