"""The list of backends, from inventories of many shapes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml
from ansible_collections.bookface.platform.plugins.module_utils.web.backends import (
    Container,
    InventoryError,
    Ports,
    Server,
    address,
    as_data,
    backends,
    containers,
)

from tests.support.paths import ROLES

PORTS = Ports(legacy_port=80, container_count=2, container_first_port=32001, swarm_port=8080)
HOSTS: dict[str, dict[str, Any]] = {
    "web1": {"ansible_host": "10.0.0.11"},
    "web2": {"ansible_host": "203.0.113.9", "bookface_address": "10.0.0.12"},
    "docker1": {"ansible_host": "10.0.0.31"},
    "swarm1": {},
    "swarm2": {"bookface_swarm_port": 8081},
}


def test_each_group_makes_its_backend_in_order() -> None:
    groups = {
        "swarm_workers": ["swarm2"],
        "swarm_managers": ["swarm1"],
        "docker_hosts": ["docker1"],
        "legacy_web": ["web1", "web2"],
    }
    found = backends(groups, HOSTS, PORTS)
    assert [backend.name for backend in found] == ["legacy", "docker", "swarm"]
    assert found[0].servers == (
        Server("web1", "web1", "10.0.0.11", 80),
        Server("web2", "web2", "10.0.0.12", 80),
    )
    assert found[1].servers == (
        Server("docker1-32001", "docker1", "10.0.0.31", 32001),
        Server("docker1-32002", "docker1", "10.0.0.31", 32002),
    )
    assert [(server.address, server.port) for server in found[2].servers] == [
        ("swarm1", 8080),
        ("swarm2", 8081),
    ]


def test_a_node_that_is_manager_and_worker_serves_once() -> None:
    groups = {"swarm_managers": ["swarm1"], "swarm_workers": ["swarm1", "swarm2"]}
    (swarm,) = backends(groups, HOSTS, PORTS)
    assert [server.name for server in swarm.servers] == ["swarm1", "swarm2"]


def test_containers_that_are_named_one_by_one() -> None:
    listed = [{"name": "blue", "port": 32005}, {"name": "green", "port": "32007"}]
    hosts = {"docker1": {"ansible_host": "10.0.0.31", "web_containers_list": listed}}
    (docker,) = backends({"docker_hosts": ["docker1"]}, hosts, PORTS)
    assert [(server.name, server.port) for server in docker.servers] == [
        ("docker1-32005", 32005),
        ("docker1-32007", 32007),
    ]


EDGE = {"swarm_ingress_mode": "edge", "swarm_service": "web"}
SWARM = {"swarm_managers": ["swarm1"], "swarm_workers": ["swarm2"]}


def test_with_mode_edge_the_swarm_has_places_for_tasks() -> None:
    (swarm,) = backends(SWARM, {"swarm1": EDGE, "swarm2": EDGE}, replace(PORTS, swarm_slots=2))
    assert as_data(swarm) == {
        "name": "swarm",
        "template": "web-",
        "servers": [
            {"name": f"web-{number}", "host": "", "address": "tasks.web", "port": 8080}
            for number in (1, 2)
        ],
    }
    (other,) = backends(SWARM, HOSTS, PORTS)
    assert "template" not in as_data(other)


def test_all_nodes_have_one_mode() -> None:
    with pytest.raises(InventoryError) as error:
        backends(SWARM, {"swarm1": EDGE, "swarm2": {}}, PORTS)
    assert "swarm_ingress_mode is edge on swarm1, host on swarm2; expected one" in str(error.value)


def test_what_the_role_swarm_has_as_defaults_is_known_here() -> None:
    """Hosts that do not say otherwise have them, and the inventory does not show them."""
    defaults = yaml.safe_load((ROLES / "swarm/defaults/main.yml").read_text())
    hosts = {"swarm1": {"swarm_ingress_mode": "edge"}}
    (swarm,) = backends({"swarm_managers": ["swarm1"]}, hosts, PORTS)
    assert swarm.servers[0].address == f"tasks.{defaults['swarm_service']}"
    assert defaults["swarm_ingress_mode"] == "host"
    slots = yaml.safe_load((ROLES / "bookface/defaults/main.yml").read_text())
    assert slots["bookface_swarm_slots"] == len(swarm.servers)


@pytest.mark.parametrize("groups", [{}, {"legacy_web": []}, {"loadbalancers": ["lb1"]}])
def test_empty_groups_make_no_backend(groups: dict[str, list[str]]) -> None:
    assert backends(groups, HOSTS, PORTS) == []


def test_a_host_may_have_ports_of_its_own() -> None:
    hosts = {
        "docker1": {"bookface_container_count": "1", "bookface_container_first_port": "40000"},
        "web1": {"bookface_legacy_port": 8000},
    }
    found = backends({"docker_hosts": ["docker1"], "legacy_web": ["web1"]}, hosts, PORTS)
    assert [server.port for backend in found for server in backend.servers] == [8000, 40000]


def test_all_that_is_wrong_is_named_with_its_host() -> None:
    hosts = {
        "web1": {"bookface_legacy_port": "eighty"},
        "web2": {"bookface_legacy_port": 0},
        "docker1": {"bookface_container_count": "two"},
        "docker2": {"web_containers_list": [{"name": "a"}]},
        "docker3": {"web_containers_list": [{"name": "a", "port": "b"}]},
        "swarm1": {},
    }
    groups = {
        "legacy_web": ["web1", "web2"],
        "docker_hosts": ["docker1", "docker2", "docker3"],
        "swarm_managers": ["swarm1"],
    }
    with pytest.raises(InventoryError) as error:
        backends(groups, hosts, replace(PORTS, swarm_port=None))  # type: ignore[arg-type]
    for sentence in (
        "bookface_legacy_port of web1 is eighty; expected a port from 1 to 65535.",
        "bookface_legacy_port of web2 is 0; expected a port from 1 to 65535.",
        "bookface_container_count of docker1 is two; expected a number from 1.",
        "web_containers_list of docker2 has {'name': 'a'}; expected entries with name and port",
        "port in web_containers_list of docker3 is b; expected a port from 1 to 65535.",
        "bookface_swarm_port is empty; expected a port from 1 to 65535.",
    ):
        assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ({}, "web1"),
        ({"ansible_host": "10.0.0.1"}, "10.0.0.1"),
        ({"ansible_host": "203.0.113.1", "bookface_address": "10.0.0.1"}, "10.0.0.1"),
        ({"ansible_host": "10.0.0.1", "bookface_address": ""}, "10.0.0.1"),
    ],
)
def test_address(host: dict[str, str], expected: str) -> None:
    assert address("web1", host) == expected


def test_containers_have_fixed_names_and_consecutive_ports() -> None:
    assert containers(2, 32001) == [
        Container("bookface-web-1", 32001),
        Container("bookface-web-2", 32002),
    ]


@pytest.mark.parametrize(
    ("count", "first", "words"),
    [
        (0, 32001, "bookface_container_count is 0"),
        (2, 80, "ports 80-81"),
        (2, 79, "ports 79-80"),
        (2, 65535, "ports 65535-65536"),
        (1, 0, "ports 0-0"),
    ],
)
def test_impossible_ports_are_named(count: int, first: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        containers(count, first)


def test_data_for_templates_is_plain() -> None:
    (legacy,) = backends({"legacy_web": ["web1"]}, HOSTS, PORTS)
    assert as_data(legacy) == {
        "name": "legacy",
        "servers": [{"name": "web1", "host": "web1", "address": "10.0.0.11", "port": 80}],
    }
