"""How many tasks follow from what load balancers count."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.filter.swarm_plan import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.web import autoscale
from ansible_collections.bookface.platform.plugins.module_utils.web.autoscale import (
    KEPT,
    Count,
    Look,
    Settings,
    decide,
    dump,
    load,
)

GIVEN = Settings(minimum=2, maximum=6, requests=20.0, response_ms=100.0)
EVERY = 10


class Service:
    """A service that is looked at every ten seconds and gets what was decided."""

    def __init__(self, given: Settings = GIVEN, replicas: int = 2) -> None:
        self.given = given
        self.replicas = replicas
        self.time = 1000.0
        self.requests = 0
        self.history: list[Look] = []
        self.look()

    def look(
        self, rate: float = 0, queued: int = 0, response: float = 0, partial: bool = False
    ) -> Look:
        """Ten seconds with so many requests per second."""
        self.time += EVERY
        self.requests += round(rate * EVERY)
        count = Count("1@1", self.time, self.requests, queued, response)
        look = decide(
            self.time, {"lb1/swarm": count}, self.replicas, self.history, self.given, partial
        )
        # What is written is read again.
        self.history = load(dump([*self.history, look]))
        self.replicas = look.chosen
        return look

    def looks(self, seconds: int, rate: float = 0, **measured: Any) -> list[int]:
        return [self.look(rate, **measured).chosen for _number in range(seconds // EVERY)]


def test_the_first_look_only_counts() -> None:
    service = Service()
    assert service.history[0].why == "the first look, which only counts"
    assert (service.history[0].rate, service.replicas) == (None, 2)


@pytest.mark.parametrize(
    ("rate", "replicas"), [(0, 2), (40, 2), (43, 2), (45, 3), (79, 4), (81, 5), (1000, 6)]
)
def test_tasks_follow_the_requests_within_bounds(rate: float, replicas: int) -> None:
    """Up to 10 % more than the target change nothing."""
    look = Service().look(rate)
    assert (look.chosen, look.rate) == (replicas, rate)
    assert look.why.startswith(f"{rate:.1f} requests/s, 20 per task")


def test_queued_requests_ask_for_one_more() -> None:
    look = Service().look(10, queued=3)
    assert (look.chosen, look.why) == (3, "3 requests are queued")


def test_slow_responses_ask_for_more_but_not_those_of_earlier() -> None:
    assert Service().look(10, response=250).chosen == 5
    # Without requests, HAProxy still shows the mean of those before.
    assert Service().look(0, response=250).chosen == 2
    assert Service(Settings(2, 6, 20.0)).look(10, response=250).chosen == 2


def test_more_tasks_wait_after_a_change() -> None:
    service = Service()
    assert service.look(60).chosen == 3
    look = service.look(120)
    assert look.chosen == 3
    assert "10 s since the last change, waiting 15 s" in look.why
    assert service.look(120).chosen == 6


def test_fewer_tasks_once_they_have_been_enough() -> None:
    """Four times the load and back: no number is left and chosen again."""
    service = Service()
    assert service.looks(60, 160)[-1] == 6
    quiet = service.looks(600, 40)
    assert quiet[: 300 // EVERY - 1] == [6] * (300 // EVERY - 1)
    assert quiet[-1] == 2
    assert sorted(quiet, reverse=True) == quiet
    # A short peak within the time keeps what it requires.
    service = Service()
    service.looks(60, 160)
    service.looks(200, 40)
    service.looks(EVERY, 90)
    assert set(service.looks(290, 40)) == {6, 5}


def test_without_a_history_no_task_is_stopped_yet() -> None:
    """As on another manager, which has not looked before."""
    quiet = Service(replicas=6).looks(310, 40)
    assert quiet == [6] * 30 + [2]


def test_an_unknown_load_stops_no_task() -> None:
    service = Service(replicas=4)
    chosen = service.looks(600, 10, partial=True)
    assert set(chosen) == {4}
    assert "a load balancer did not answer" in service.history[-1].why
    assert service.look(10).chosen == 2


def test_bounds_hold_at_once() -> None:
    assert Service(replicas=1).replicas == 2
    service = Service(replicas=6)
    service.given = Settings(2, 3, 20.0)
    assert service.look(100).chosen == 3


def test_a_reload_and_a_second_load_balancer_are_counted() -> None:
    old = {"a": Count("1@1", 50, 100, 0, 0), "b": Count("2@1", 50, 500, 0, 0)}
    new = {"a": Count("1@1", 60, 200, 0, 0), "b": Count("3@9", 5, 30, 0, 0)}
    history = [Look(1000.0, old, 2)]
    look = decide(1010.0, new, 2, history, GIVEN)
    assert look.rate == 13.0
    # One that has served for long before it was looked at.
    fresh = {**old, "c": Count("4@1", 1000, 10_000, 0, 0)}
    assert decide(1010.0, fresh, 2, history, GIVEN).rate == 10.0


def test_after_a_clock_went_back_a_new_history_is_started() -> None:
    history = [Look(2000.0, {}, 2)]
    assert decide(1000.0, {}, 2, history, GIVEN).rate is None


def test_an_old_history_is_not_used() -> None:
    """A mean of hours says nothing: no task is stopped at once."""
    service = Service()
    service.looks(60, 160)
    service.time += 3600
    look = service.look(0)
    assert (look.rate, look.chosen, look.why) == (None, 6, "the first look, which only counts")
    assert service.looks(290, 40) == [6] * 29


def test_an_idle_load_balancer_has_no_response_time_of_now() -> None:
    old = {"a": Count("1@1", 50, 100, 0, 20.0), "b": Count("2@1", 50, 500, 0, 900.0)}
    new = {"a": Count("1@1", 60, 200, 0, 20.0), "b": Count("2@1", 60, 500, 0, 900.0)}
    assert decide(1010.0, new, 2, [Look(1000.0, old, 2)], GIVEN).chosen == 2
    new["b"] = Count("2@1", 60, 510, 0, 900.0)
    assert decide(1010.0, new, 2, [Look(1000.0, old, 2)], GIVEN).chosen == 6


def test_the_history_is_bounded_and_other_text_is_refused() -> None:
    looks = [Look(float(number), {"a": Count("1@1", 1, 1, 0, 0)}, 2) for number in range(KEPT + 5)]
    assert load(dump(looks)) == looks[5:]
    assert load("") == []
    for text in ("{", "[1]", '[{"time": 1}]', '{"a": 1}'):
        with pytest.raises(ValueError, match=r"."):
            load(text)


def test_servers_of_the_service_alone_are_counted() -> None:
    def server(name: str, address: str, total: int, response: int, queued: int) -> dict[str, Any]:
        return {
            "passed": name != "swarm3",
            "name": name,
            "address": address,
            "sessions_total": total,
            "response_ms": response,
            "queued": queued,
        }

    filters = FilterModule().filters()
    servers = [
        server("swarm1", "10.0.0.1:8080", 10, 20, 1),
        server("swarm2", "10.0.0.2:8080", 0, 999, 0),
        # It is down, and keeps its last response time.
        server("swarm3", "10.0.0.3:8080", 5, 4000, 0),
        server("web1", "10.0.0.9:80", 500, 500, 9),
    ]
    lb1 = {"item": "lb1", "pid": 7, "started": 90, "uptime_seconds": 30}
    lb1["backends"] = {"swarm": {"queued": 2, "servers": servers}}
    results = [lb1, {"item": "lb2", "msg": "unreachable"}]
    found = [{"loadbalancer": "lb1", "backend": "swarm", "servers": ["swarm1", "swarm2", "swarm3"]}]
    assert filters["swarm_counts"](results, found) == {
        "lb1/swarm": {
            "worker": "7@90",
            "uptime": 30,
            "requests": 15,
            # Those of the backend may wait for web1.
            "queued": 1,
            "response_ms": 20.0,
        }
    }
    lb1["backends"]["swarm"]["servers"] = servers[:3]
    assert filters["swarm_counts"](results, found)["lb1/swarm"]["queued"] == 3
    assert autoscale.counts(results, []) == {}
