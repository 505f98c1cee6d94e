"""HAProxy as a service of the swarm: what the role is told, and what it does."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.filter.swarm_edge import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.web.swarm import Node

FILTERS = FilterModule().filters()
BINDS = {"haproxy_bind": "*:80", "haproxy_tls_bind": "", "haproxy_stats_bind": "127.0.0.1:1936"}
SERVICE, LABEL = "bookface-edge", "bookface.edge.bookface"
EDGES = {"swarm1": ("192.0.2.1", ""), "swarm2": ("192.0.2.2", "2001:DB8::2")}


def problems(host: str = "swarm1", **changes: Any) -> list[str]:
    given: dict[str, Any] = {"nodes": ["swarm1"], "binds": BINDS}
    found: list[str] = FILTERS["swarm_edge_problems"](
        host, **{**given, "page_cache": "false", "fallback": "", **changes}
    )
    return found


def test_what_the_node_s_loopback_has_is_not_published() -> None:
    assert problems() == []
    assert FILTERS["swarm_edge_ports"](BINDS) == [80]
    public = {**BINDS, "haproxy_stats_bind": "*:1936", "haproxy_tls_bind": ":443,:::443"}
    assert problems(binds=public) == []
    assert FILTERS["swarm_edge_ports"](public) == [80, 443, 1936]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"host": "lb1"}, "the load balancer lb1 is no node of the swarm"),
        (
            {"binds": {"haproxy_bind": "192.0.2.1:80"}},
            "haproxy_bind is 192.0.2.1:80; expected *:80",
        ),
        ({"binds": {"haproxy_bind": "*"}}, "haproxy_bind: '*' has no port"),
        ({"page_cache": "yes"}, "haproxy_page_cache is true, but"),
        ({"fallback": "swarm"}, "haproxy_fallback_backend is swarm, whose servers"),
    ],
)
def test_what_cannot_be(changes: dict[str, Any], said: str) -> None:
    [problem] = problems(**changes)
    assert said in problem


def node(number: int, edge: str = "", state: str = "ready") -> dict[str, Any]:
    labels = {f"node.labels.{edge}": "true"} if edge else {}
    return {"addresses": [f"192.0.2.{number}"], "attributes": labels, "state": state}


def plan(members: dict[str, Any], host: str = "swarm1", **changes: Any) -> dict[str, Any]:
    lead = replace(
        Node("active", "a", True, managers={"a": True}, ready={"a": True}, members=members),
        **changes,
    )
    worker = {**asdict(Node()), "msg": "no answer"}
    found: dict[str, Any] = FILTERS["swarm_edge_plan"](
        {"swarm3": worker, "swarm1": asdict(lead)},
        edges=EDGES,
        service=SERVICE,
        ports=[80],
        label=LABEL,
        host=host,
    )
    return found


def test_nodes_are_labelled_as_the_inventory_says() -> None:
    other = node(4, edge="bookface.edge.shop")
    members = {"a": node(1, LABEL), "b": node(2), "c": node(3, LABEL), "d": other}
    found = plan(members)
    assert found == {
        "lead": "swarm1",
        "label": {"swarm2": "b"},
        "unlabel": ["c"],
        "missing": "",
        "errors": [],
    }


def test_a_machine_that_was_made_again_is_its_new_node() -> None:
    found = plan({"old": node(2, state="down"), "a": node(1), "b": node(2)})
    assert (found["label"], found["errors"]) == ({"swarm1": "a", "swarm2": "b"}, [])


def test_a_node_is_known_by_the_address_that_it_has_in_the_swarm() -> None:
    other = {**node(3), "addresses": ["2001:db8:0::2"]}
    assert plan({"a": node(1), "b": other})["label"] == {"swarm1": "a", "swarm2": "b"}


def test_a_load_balancer_that_has_not_joined_is_named() -> None:
    for members in ({"a": node(1)}, {"a": node(1), "b": node(2, state="down")}):
        found = plan(members, host="swarm2")
        assert found["missing"].startswith("swarm2 is to run HAProxy, but no node of the swarm")
        # The others do not wait for it.
        assert plan(members) == {**found, "missing": "", "label": {"swarm1": "a"}, "errors": []}


def test_ports_of_other_services() -> None:
    taken = [{"port": 80, "mode": "ingress", "service": name} for name in ("shop", SERVICE)]
    [error] = plan({"a": node(1), "b": node(2)}, ports=taken)["errors"]
    assert "port 80, which the service shop of this swarm publishes" in error


def test_no_manager_answers() -> None:
    none = FILTERS["swarm_edge_plan"](
        {"swarm1": {"failed": True}}, EDGES, SERVICE, [80], LABEL, "swarm1"
    )
    assert none.pop("missing").startswith("None of swarm1 manages a swarm at present")
    assert none == {"lead": "", "label": {}, "unlabel": [], "errors": []}
    [error] = plan({}, managers={})["errors"]
    assert error.startswith("The swarm has no leader: swarm1 answers")


def test_a_service_of_somebody_else_s() -> None:
    foreign = FILTERS["swarm_edge_foreign"]
    assert foreign(None, SERVICE) == foreign({"platform.bookface.made": "swarm"}, SERVICE) == []
    assert "which is not ours: it lacks the label" in foreign({}, SERVICE)[0]
    further = {"platform.bookface.made": "swarm", "platform.bookface.stack": "bookface"}
    assert "which is one of swarm_services" in foreign(further, SERVICE)[0]


SOCKETS = """
LISTEN 0 4096  *:{port}   *:*  users:(("{process}",pid=1,fd=4))
LISTEN 0 4096  127.0.0.1:22   *:*  users:(("sshd",pid=2,fd=4))
"""


@pytest.mark.parametrize(
    ("process", "port", "here", "said"),
    [
        ("haproxy", 80, False, "haproxy listens on port 80, which HAProxy in the swarm"),
        ("haproxy", 80, True, "systemctl disable --now haproxy"),
        ("apache2", 80, False, "apache2 listens on port 80"),
        ("docker-proxy", 80, False, "another container listens on port 80"),
        ("docker-proxy", 80, True, ""),
        ("apache2", 81, False, ""),
    ],
)
def test_ports_in_use(process: str, port: int, here: bool, said: str) -> None:
    sockets = SOCKETS.format(process=process, port=port)
    found = FILTERS["swarm_edge_busy"](sockets, [80, 1936], here, "swarm1")
    assert (said in found[0]) if said else found == []
