"""What is done about parts that are not up, and what is waited for."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.health.judge import (
    DOWN,
    RESUMED,
    STARTED,
    UNKNOWN,
    UP,
    Part,
)
from ansible_collections.bookface.platform.plugins.module_utils.health.plan import (
    RESUMES,
    Rules,
    informed,
    parts_of,
    server_parts,
    switch_target,
    tasks_running,
    todo,
    unwell,
    view,
)
from ansible_collections.bookface.platform.plugins.module_utils.health.report import report
from hypothesis import given
from hypothesis import strategies as st

from tests.support.health import HOSTS, looks, server, unit

HAPROXY = "lb1/service/haproxy"


def stopped() -> dict[str, Any]:
    """A load balancer whose HAProxy is stopped."""
    look = looks()["lb1"]
    look["seen"]["units"]["haproxy.service"] = unit("haproxy.service", "inactive", "dead")
    look["seen"]["haproxy"]["error"] = "no socket"
    return look


def ids(found: dict[str, Any]) -> list[str]:
    return [one["id"] for one in found["actions"]]


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_to_do_where_all_is_well(host: str) -> None:
    assert todo(host, looks()[host], Rules()) == {"actions": [], "await": []}


def test_what_is_stopped_is_started_and_waited_for() -> None:
    found = todo("lb1", stopped(), Rules())
    assert found == {
        "actions": [
            {
                "id": HAPROXY,
                "name": "haproxy",
                "action": STARTED,
                "how": "service",
                "target": "haproxy.service",
            }
        ],
        "await": [HAPROXY],
    }


@pytest.mark.parametrize("never", ["lb1", "haproxy", "haproxy.service", HAPROXY])
def test_heal_never(never: str) -> None:
    assert not ids(todo("lb1", stopped(), Rules(never=[never])))


@given(tried=st.integers(0, 6), tries=st.integers(0, 6))
def test_after_so_many_tries_it_is_only_reported(tried: int, tries: int) -> None:
    found = todo("lb1", stopped(), Rules(tries=tries, history={HAPROXY: tried}))
    assert bool(ids(found)) == (tried < tries)


def test_nothing_is_tried_twice_in_a_run_but_waited_for() -> None:
    found = todo("lb1", stopped(), Rules(), {HAPROXY: False})
    assert (ids(found), found["await"]) == ([], [HAPROXY])
    # Unless it has failed already.
    found = todo("lb1", stopped(), Rules(), {HAPROXY: True})
    assert (ids(found), found["await"]) == ([], [])


def test_check_mode_does_nothing_and_waits_for_nothing() -> None:
    assert todo("lb1", stopped(), Rules(check=True)) == {"actions": [], "await": []}


@pytest.mark.parametrize(("age", "touched"), [(60, False), (7200, True)])
def test_a_machine_that_is_being_updated_is_not_touched(age: int, touched: bool) -> None:
    look = looks()["docker1"]
    look["seen"]["note"] = {"age": age, "error": ""}
    look["seen"]["engine"]["containers"][0]["state"] = "exited"
    found = ids(todo("docker1", look, Rules()))
    expected = ["docker1/machine/update", "docker1/container/bookface-web-1"]
    assert found == (expected if touched else [])


def test_what_an_update_has_stopped_is_no_fault() -> None:
    found = looks()
    found["docker1"]["seen"]["note"] = {"age": 60, "error": ""}
    found["docker1"]["seen"]["engine"]["containers"][0]["state"] = "exited"
    told = report(found, {}, [], [], Rules(), 0, 0, "")
    part = next(one for one in told["parts"] if one["id"] == "docker1/container/bookface-web-1")
    assert (told["status"], part["state"]) == ("healthy", UP)
    assert "update.yml is at work" in part["cause"]


@pytest.mark.parametrize(
    "look",
    [
        None,
        {},
        {"unreachable": True, "msg": "no route to host"},
        {"failed": True, "msg": "no Python"},
        {"failed": True, "seen": looks()["lb1"]["seen"], "want": looks()["lb1"]["want"]},
    ],
)
def test_a_machine_that_was_not_seen_is_unknown(look: dict[str, Any] | None) -> None:
    parts = parts_of("lb1", look)
    assert [(part.id, part.state, part.action) for part in parts] == [
        ("lb1/machine/lb1", UNKNOWN, "")
    ]
    assert todo("lb1", look, Rules()) == {"actions": [], "await": []}


def test_a_database_port_follows_its_service() -> None:
    look = looks()["db1"]
    name = "postgresql@15-main.service"
    look["seen"]["units"][name] = unit(name, "failed", "failed")
    look["seen"]["ports"] = dict.fromkeys(look["seen"]["ports"], "refused")
    found = todo("db1", look, Rules())
    assert ids(found) == ["db1/service/postgresql@15-main"]
    assert found["await"] == ["db1/service/postgresql@15-main", "db1/database/port 5432"]


def test_the_managers_wait_for_the_engine_of_a_worker() -> None:
    look = looks()["swarm1"]
    look["seen"]["engine"]["swarm"]["nodes"][1] |= {"state": "down", "message": "lost"}
    found = todo("swarm1", look, Rules())
    assert (ids(found), found["await"]) == ([], ["swarm/swarm_node/swarm2"])


def test_the_managers_look_again_if_something_is_mended_in_their_swarm() -> None:
    """They need some seconds to miss a node."""
    found = looks()
    assert unwell(found, Rules()) == []
    found["swarm2"]["seen"]["units"]["docker.service"] = unit("docker.service", "inactive", "dead")
    found["swarm2"]["seen"]["engine"] = None
    assert unwell(found, Rules()) == ["swarm1", "swarm2"]
    assert unwell(found, Rules(check=True)) == []
    found = looks()
    found["docker1"]["seen"]["engine"]["containers"][0]["state"] = "exited"
    assert unwell(found, Rules()) == ["docker1"]
    # What only moves is waited for if something is mended, here or before.
    found["docker1"]["seen"]["engine"]["containers"][0]["state"] = "restarting"
    assert unwell(found, Rules()) == []
    assert unwell(found, Rules(), mended=True) == ["docker1"]
    assert unwell({"swarm1": None, "swarm2": {}}, Rules()) == []


SERVER = {"id": "u", "status": "ACTIVE", "task_state": None, "is_locked": False}


@pytest.mark.parametrize(
    ("changed", "state", "action"),
    [
        ({}, UP, ""),
        ({"status": "SHUTOFF"}, DOWN, STARTED),
        ({"status": "PAUSED"}, DOWN, RESUMED),
        ({"status": "SUSPENDED"}, DOWN, RESUMED),
        ({"status": "RESCUE"}, DOWN, RESUMED),
        ({"status": "SHUTOFF", "is_locked": True}, DOWN, ""),
        ({"status": "SHUTOFF", "task_state": "powering-on"}, DOWN, ""),
        ({"status": "ERROR", "fault": {"message": "No valid host"}}, DOWN, ""),
        ({"status": "SHELVED_OFFLOADED"}, DOWN, ""),
        ({"status": "DELETED"}, DOWN, ""),
        ({"status": None}, DOWN, ""),
    ],
)
def test_a_server_of_the_cloud(changed: dict[str, Any], state: str, action: str) -> None:
    part = server_parts({"web1": {**SERVER, **changed}}, ["web1"])[0]
    assert (part.id, part.state, part.action) == ("web1/server/web1", state, action)
    assert bool(part.cause) == (state != UP)


def test_a_server_that_is_gone_is_named() -> None:
    parts = server_parts({"web1": SERVER}, ["web1", "web2"])
    assert [(part.id, part.state, part.action) for part in parts] == [
        ("web1/server/web1", UP, ""),
        ("web2/server/web2", DOWN, ""),
    ]


def test_nothing_stops_or_removes_a_server() -> None:
    assert {method for _action, method in RESUMES.values()} == {
        "start_server",
        "unpause_server",
        "resume_server",
        "unrescue_server",
    }


def late(backend: str, *names: str, **changed: Any) -> dict[str, Any]:
    found = looks()
    servers = found["lb1"]["seen"]["haproxy"]["backends"][backend]["servers"]
    for name in names:
        servers[name] = server(**{"passed": False, "status": "DOWN", **changed})
    return found


def test_checks_of_a_machine_that_is_whole_are_waited_for() -> None:
    found = late("docker", "docker1-32001")
    assert view("lb1", found, mended=True)["await"] == ["lb1/backend/docker/docker1-32001"]
    # If nothing was done, nothing will change.
    assert view("lb1", found, mended=False)["await"] == []


def test_checks_of_a_machine_that_is_not_whole_are_not() -> None:
    found = late("docker", "docker1-32001", "docker1-32002")
    found["docker1"] = {"unreachable": True}
    assert view("lb1", found, mended=True)["await"] == []


def test_first_checks_are_waited_for() -> None:
    found = late("docker", "docker1-32001", status="UP", undecided=True)
    assert view("lb1", found, mended=False)["await"] == ["lb1/backend/docker/docker1-32001"]


def test_as_many_servers_of_the_swarm_must_serve_as_nodes_run_a_task() -> None:
    found = late("swarm", "swarm2")
    assert tasks_running(found.values()) == 2
    seen = view("lb1", found, mended=True)
    assert (seen["await"], seen["haproxy"]["tasks"]) == (["lb1/backend/swarm"], 2)
    parts = {p.id: p for p in parts_of("lb1", informed(found)["lb1"])}
    assert parts["lb1/backend/swarm"].state == DOWN
    assert parts["lb1/backend/swarm"].cause.startswith("1 of 2 servers")


def test_the_managers_say_which_nodes_are_drained() -> None:
    found = looks()
    nodes = found["swarm1"]["seen"]["engine"]["swarm"]["nodes"]
    # One that is paused runs its tasks on.
    nodes[0]["availability"], nodes[1]["availability"] = "pause", "drain"
    look = informed(found)["lb1"]
    assert look
    assert look["want"]["haproxy"]["drained"] == ["n2"]


def switched(found: dict[str, Any], balancers: list[str], seconds: int) -> dict[str, str]:
    return switch_target(found, balancers, seconds, Rules())


def dead(seconds: int = 100) -> dict[str, Any]:
    found = late("docker", "docker1-32001", "docker1-32002")
    found["lb1"]["seen"]["haproxy"]["backends"]["docker"]["seconds"] = seconds
    return found


def test_the_traffic_may_leave_a_backend_that_is_dead_for_long() -> None:
    # The swarm has two servers, legacy one.
    assert switched(dead(), ["lb1"], 60)["target"] == "swarm"
    found = switched(dead(59), ["lb1"], 60)
    assert (found["target"], found["from"]) == ("", "docker")


@pytest.mark.parametrize("balancers", [["lb1", "lb2"], []])
def test_it_stays_if_not_all_load_balancers_agree(balancers: list[str]) -> None:
    """Of an lb2 nothing is known."""
    assert switched(dead(), balancers, 60)["target"] == ""


def test_it_stays_if_one_load_balancer_still_reaches_the_backend() -> None:
    found = dead()
    found["lb2"] = looks()["lb1"]
    assert switched(found, ["lb1", "lb2"], 60)["target"] == ""


def test_it_stays_if_no_other_backend_serves() -> None:
    found = dead()
    for name in ("legacy", "swarm"):
        for one in found["lb1"]["seen"]["haproxy"]["backends"][name]["servers"].values():
            one["passed"] = False
    assert switched(found, ["lb1"], 60)["target"] == ""


def test_it_stays_at_maintenance() -> None:
    found = looks()
    balancer = found["lb1"]["seen"]["haproxy"]
    balancer["active"] = "maintenance"
    balancer["backends"]["maintenance"] = {"seconds": 900, "servers": {}}
    assert switched(found, ["lb1"], 60) == {"target": "", "why": "", "from": ""}


@pytest.mark.parametrize(
    "rules",
    [
        Rules(never=["docker"]),
        Rules(never=["lb1"]),
        Rules(never=["swarm"]),
        Rules(history={"lb1/backend/docker": 3}),
    ],
)
def test_a_switch_is_refused_as_any_other_action(rules: Rules) -> None:
    found = switch_target(dead(), ["lb1"], 60, rules)
    assert found["target"] == ""
    assert rules.refusal(Part("lb1", "backend", "docker", target="swarm")) in found["why"]


def test_it_stays_while_one_server_serves() -> None:
    found = late("docker", "docker1-32001")
    assert switched(found, ["lb1"], 0)["target"] == ""
