"""What is wrong with a machine, and what would mend it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.health.judge import (
    ACTIVATED,
    DOWN,
    INTERRUPTED,
    RESUMED,
    STARTED,
    UNKNOWN,
    UP,
    Part,
    judge,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.support.health import HOSTS, looks, server, unit

Change = Callable[[dict[str, Any]], object]


def parts(host: str, change: Change = lambda _seen: None) -> dict[str, Part]:
    look = looks()[host]
    change(look["seen"])
    found = judge(look["want"], look["seen"])
    assert len({part.id for part in found}) == len(found)
    return {part.id: part for part in found}


def wrong(host: str, change: Change) -> dict[str, tuple[str, str, str]]:
    """ID → state, action, target of what is not up."""
    return {
        part.id: (part.state, part.action, part.target)
        for part in parts(host, change).values()
        if part.state != UP
    }


@pytest.mark.parametrize("host", HOSTS)
def test_on_a_machine_that_is_well_all_is_up(host: str) -> None:
    found = parts(host)
    assert f"{host}/machine/{host}" in found
    assert len(found) > 1
    assert all((part.state, part.action) == (UP, "") for part in found.values())


def stopped(name: str) -> Change:
    return lambda seen: seen["units"].update({name: unit(name, "inactive", "dead")})


def silent(seen: dict[str, Any]) -> None:
    seen["ports"] = dict.fromkeys(seen["ports"], "Connection refused")
    if seen["haproxy"]:
        seen["haproxy"]["error"] = "no socket"


@pytest.mark.parametrize(
    ("host", "name", "part"),
    [
        ("lb1", "haproxy.service", "haproxy"),
        ("web1", "apache2.service", "apache2"),
        ("cache1", "memcached.service", "memcached"),
        ("db1", "postgresql@15-main.service", "postgresql@15-main"),
    ],
)
def test_a_stopped_service_is_started(host: str, name: str, part: str) -> None:
    def change(seen: dict[str, Any]) -> None:
        stopped(name)(seen)
        silent(seen)

    assert wrong(host, change)[f"{host}/service/{part}"] == (DOWN, STARTED, name)
    # Another one serves: of a container, say.
    if host in ("lb1", "web1"):
        assert not wrong(host, stopped(name))


def test_a_service_that_was_disabled_is_left_alone() -> None:
    def disabled(name: str) -> Change:
        return lambda seen: seen["units"].update(
            {name: unit(name, "inactive", "dead", UnitFileState="disabled")}
        )

    part = parts("cache1", disabled("memcached.service"))["cache1/service/memcached"]
    assert (part.state, part.action) == (DOWN, "")
    assert "disabled" in part.cause
    # postgresql.service starts its instances.
    part = parts("db1", disabled("postgresql@15-main.service"))["db1/service/postgresql@15-main"]
    assert part.action == STARTED


def test_of_an_engine_that_is_stopped_nothing_else_is_known() -> None:
    def change(seen: dict[str, Any]) -> None:
        stopped("docker.service")(seen)
        seen["engine"] = None

    assert wrong("docker1", change) == {"docker1/service/docker": (DOWN, STARTED, "docker.service")}


@pytest.mark.parametrize(
    ("changed", "action", "moving"),
    [
        ({"ActiveState": "failed", "Result": "exit-code"}, STARTED, False),
        ({"ActiveState": "activating", "SubState": "auto-restart"}, "", True),
        ({"ActiveState": "inactive", "LoadState": "masked"}, "", False),
        ({"ActiveState": "inactive", "LoadState": "not-found"}, "", False),
    ],
)
def test_a_service_that_is_not_stopped(changed: dict[str, str], action: str, moving: bool) -> None:
    name = "memcached.service"
    found = parts("cache1", lambda seen: seen["units"].update({name: {**unit(name), **changed}}))
    part = found["cache1/service/memcached"]
    assert (part.state, part.action, part.moving) == (DOWN, action, moving)


def test_another_web_server_than_apache_is_known_by_its_port() -> None:
    def change(seen: dict[str, Any]) -> None:
        seen["units"]["apache2.service"] |= {"LoadState": "not-found", "ActiveState": "inactive"}

    assert not wrong("web1", change)

    def gone(seen: dict[str, Any]) -> None:
        change(seen)
        seen["ports"] = dict.fromkeys(seen["ports"], "Connection refused")

    assert wrong("web1", gone) == {
        "web1/service/apache2": (DOWN, "", ""),
        "web1/service/port 80": (DOWN, "", ""),
    }


def test_systemd_that_does_not_answer_is_not_green() -> None:
    found = wrong("lb1", lambda seen: seen.update(units={}))
    assert found == {"lb1/service/haproxy": (UNKNOWN, "", "")}


def contained(**changed: str) -> Change:
    return lambda seen: seen["engine"]["containers"][0].update(changed)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (contained(state="exited", status="Exited (137) 2 minutes ago"), (DOWN, STARTED)),
        (contained(state="created", status="Created"), (DOWN, STARTED)),
        (contained(state="paused", status="Up 2 minutes (Paused)"), (DOWN, RESUMED)),
        (contained(state="dead", status="Dead"), (DOWN, "")),
        (contained(status="Up 2 minutes (unhealthy)"), (DOWN, "")),
        (contained(state="restarting", status="Restarting (1)"), (DOWN, "")),
        (contained(name="bookface-web-1-before", state="exited"), (DOWN, "")),
        (lambda seen: seen["engine"]["containers"].pop(0), (DOWN, "")),
        (contained(status="Up 1 second (health: starting)"), (UP, "")),
    ],
)
def test_a_container(change: Change, expected: tuple[str, str]) -> None:
    part = parts("docker1", change)["docker1/container/bookface-web-1"]
    assert (part.state, part.action) == expected


def test_an_engine_that_refuses_is_unknown_and_says_nothing_of_containers() -> None:
    found = wrong("docker1", lambda seen: seen["engine"].update(error="timed out"))
    assert found == {"docker1/service/docker API": (UNKNOWN, "", "")}


def test_a_drained_node_is_on_purpose() -> None:
    def change(seen: dict[str, Any]) -> None:
        seen["engine"]["swarm"]["nodes"][1]["availability"] = "drain"

    part = parts("swarm1", change)["swarm/swarm_node/swarm2"]
    assert (part.state, part.action) == (UP, "")
    assert "drained on purpose" in part.cause


@pytest.mark.parametrize(
    ("age", "state", "action"),
    [(INTERRUPTED - 1, UP, ""), (INTERRUPTED, DOWN, ACTIVATED)],
)
def test_a_machine_that_an_update_has_left_drained(age: int, state: str, action: str) -> None:
    note = {"age": age, "error": ""}
    part = parts("swarm2", lambda seen: seen.update(note=note))["swarm2/machine/update"]
    assert (part.state, part.action) == (state, action)


def test_managers_without_a_majority_are_not_green() -> None:
    def change(seen: dict[str, Any]) -> None:
        seen["engine"]["swarm"] |= {"nodes": [], "services": [], "error": "no leader"}

    assert wrong("swarm1", change) == {"swarm/swarm_service/bookface": (UNKNOWN, "", "")}


@pytest.mark.parametrize("state", ["inactive", "locked", "pending", "error"])
def test_a_node_that_is_none(state: str) -> None:
    found = wrong("swarm2", lambda seen: seen["engine"]["swarm"].update(state=state))
    assert found == {"swarm2/swarm_node/swarm2": (DOWN, "", "")}


def test_a_service_without_all_of_its_tasks() -> None:
    def change(seen: dict[str, Any]) -> None:
        seen["engine"]["swarm"]["services"][0] |= {"running": 1, "why": "no suitable node"}

    part = parts("swarm1", change)["swarm/swarm_service/bookface"]
    assert (part.state, part.moving) == (DOWN, True)
    assert part.cause == "1 of 2 tasks run: no suitable node"


def balanced(backend: str, name: str, **changed: Any) -> Change:
    return lambda seen: seen["haproxy"]["backends"][backend]["servers"].update(
        {name: server(**changed)}
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (balanced("docker", "docker1-32001", passed=False, status="DOWN"),
         {"lb1/backend/docker/docker1-32001": (DOWN, "", "")}),
        (balanced("docker", "docker1-32001", passed=False, status="DRAIN"), {}),
        (balanced("docker", "docker1-32001", passed=False, status="MAINT"), {}),
        (balanced("docker", "docker1-32001", passed=False, status="MAINT (resolution)"),
         {"lb1/backend/docker/docker1-32001": (DOWN, "", "")}),
        (balanced("docker", "docker1-32001", passed=False, undecided=True),
         {"lb1/backend/docker/docker1-32001": (UNKNOWN, "", "")}),
        # In the swarm a node need not run a task.
        (balanced("swarm", "swarm1", passed=False, status="DOWN"), {}),
        (lambda seen: seen["haproxy"]["backends"].pop("swarm"),
         {"lb1/backend/swarm": (DOWN, "", "")}),
        (lambda seen: seen["haproxy"]["frontends"].update(bookface="PAUSED"),
         {"lb1/service/frontend bookface": (DOWN, "", "")}),
        (lambda seen: seen["haproxy"].update(error="no answer"),
         {"lb1/service/HAProxy's socket": (UNKNOWN, "", "")}),
    ],
)  # fmt: skip
def test_haproxy(change: Change, expected: dict[str, tuple[str, str, str]]) -> None:
    assert wrong("lb1", change) == expected


def test_a_backend_without_a_server_is_down() -> None:
    def change(seen: dict[str, Any]) -> None:
        for name in ("docker1-32001", "docker1-32002"):
            balanced("docker", name, passed=False, status="DOWN")(seen)

    assert wrong("lb1", change)["lb1/backend/docker"] == (DOWN, "", "")


def test_maintenance_is_no_outage() -> None:
    def change(seen: dict[str, Any]) -> None:
        seen["haproxy"]["active"] = "maintenance"
        seen["haproxy"]["backends"]["maintenance"] = {"seconds": 900, "servers": {}}

    part = parts("lb1", change)["lb1/backend/maintenance"]
    assert (part.state, part.cause.partition(";")[0]) == (UP, "a page without servers")


def test_a_backend_that_has_lost_its_servers_is_no_page() -> None:
    found = wrong("lb1", lambda seen: seen["haproxy"]["backends"]["docker"].update(servers={}))
    assert found["lb1/backend/docker"] == (DOWN, "", "")


@pytest.mark.parametrize(("active", "state"), [("docker", UP), ("swarm", DOWN)])
@pytest.mark.parametrize("status", ["DRAIN", "MAINT"])
def test_a_backend_that_is_drained(status: str, active: str, state: str) -> None:
    """On purpose, unless it has the traffic."""

    def change(seen: dict[str, Any]) -> None:
        seen["haproxy"]["active"] = active
        for name in ("swarm1", "swarm2"):
            balanced("swarm", name, passed=False, status=status)(seen)

    part = parts("lb1", change)["lb1/backend/swarm"]
    assert part.state == state
    assert part.cause


def test_a_server_that_is_drained_need_not_serve() -> None:
    look = looks()["lb1"]
    look["want"]["haproxy"]["tasks"] = 2
    balanced("swarm", "swarm1", passed=False, status="MAINT")(look["seen"])
    assert all(part.state == UP for part in judge(look["want"], look["seen"]))


def test_an_haproxy_of_the_swarm_does_not_run_on_a_drained_node() -> None:
    def found(drained: list[str], unit_: bool = False) -> Part:
        look = looks()["lb1"]
        look["seen"]["engine"] = {"swarm": {"id": "n2", "nodes": []}}
        look["seen"]["haproxy"]["error"] = "no socket"
        look["want"]["haproxy"]["drained"] = drained
        if not unit_:
            look["seen"]["units"] = {}
            look["want"]["services"] = []
        judged = {part.id: part for part in judge(look["want"], look["seen"])}
        return judged["lb1/service/HAProxy's socket"]

    part = found(["n2"])
    assert (part.state, part.moving) == (UP, False)
    assert "drained" in part.cause
    part = found(["n1"])
    assert (part.state, part.moving) == (UNKNOWN, True)
    # One of systemd does not stop for that.
    assert found(["n2"], unit_=True).state == UNKNOWN


class Once(dict[str, Any]):
    """What Ansible gives to a filter: views of it can be read once."""

    def values(self) -> Any:
        return (value for value in super().values())


def test_views_are_read_once() -> None:
    def change(seen: dict[str, Any]) -> None:
        for backend in seen["haproxy"]["backends"].values():
            backend["servers"] = Once(backend["servers"])

    assert not wrong("lb1", change)


def test_a_timer_s_last_run_counts() -> None:
    def change(seen: dict[str, Any]) -> None:
        timer, service = "bookface-backup.timer", "bookface-backup.service"
        seen["timers"] = [timer]
        seen["units"] |= {
            timer: unit(timer, sub="waiting", Unit=service),
            service: unit(service, "failed", "failed", Result="exit-code", ExecMainStatus="3"),
        }

    part = parts("db1", change)["db1/timer/bookface-backup"]
    # Another backup is not made just because one has failed.
    assert (part.state, part.action) == (DOWN, "")
    assert "exit-code, status 3" in part.cause


def test_a_database_of_another_kind_is_started_by_the_command_of_the_site() -> None:
    look = looks()["db1"]
    look["want"]["database_command"] = "port 5432"
    look["seen"] |= {"clusters": [], "ports": dict.fromkeys(look["seen"]["ports"], "refused")}
    found = {part.id: part for part in judge(look["want"], look["seen"])}
    part = found["db1/database/port 5432"]
    assert (part.action, part.how) == (STARTED, "database")
    # Not one elsewhere.
    look["want"]["ports"] = [{**look["want"]["ports"][0], "name": "192.0.2.9:5432"}]
    parts_ = {part.id: part for part in judge(look["want"], look["seen"])}
    assert parts_["db1/database/192.0.2.9:5432"].action == ""


STATES = st.sampled_from(["active", "inactive", "failed", "activating", "odd", ""])


@given(data=st.data())
def test_whatever_is_seen_only_what_is_down_is_mended(data: st.DataObject) -> None:
    """And nobody is told that all is well of a machine where something differs."""
    look = copy.deepcopy(looks()[data.draw(st.sampled_from(HOSTS))])
    seen = look["seen"]
    for one in seen["units"].values():
        one["ActiveState"] = data.draw(STATES)
        one["LoadState"] = data.draw(st.sampled_from(["loaded", "masked", "not-found", ""]))
    for one in (seen["engine"] or {}).get("containers") or ():
        one["state"] = data.draw(st.sampled_from(["running", "exited", "dead", "odd"]))
    for where in seen["ports"]:
        seen["ports"][where] = data.draw(st.sampled_from(["", "refused"]))
    for backend in (seen["haproxy"] or {"backends": {}})["backends"].values():
        for one in backend["servers"].values():
            one["passed"] = data.draw(st.booleans())
            one["status"] = data.draw(st.sampled_from(["UP", "DOWN", "UP 1/2", "MAINT", ""]))
    found = judge(look["want"], seen)
    for part in found:
        assert part.state in (UP, DOWN, UNKNOWN)
        assert not part.action or part.state == DOWN
        assert bool(part.action) == bool(part.how) == bool(part.target)
        assert part.state == UP or part.cause
