"""The inventory's filters as Jinja calls them."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.backends import FilterModule

FILTERS = FilterModule().filters()


def test_backends_are_plain_data() -> None:
    found = FILTERS["backends"](
        {"legacy_web": ["web1"]},
        {"web1": {}},
        legacy_port=80,
        container_count=2,
        container_first_port=32001,
        swarm_port=8080,
    )
    assert found[0]["servers"][0]["address"] == "web1"


def test_backends_of_load_balancers_are_known_by_their_servers() -> None:
    def backend(**servers: str) -> dict[str, object]:
        return {"servers": [{"name": name, "address": at} for name, at in servers.items()]}

    results = [
        {"item": "lb1", "backends": {"web": backend(a="192.0.2.1:8080"), "x": backend(b="")}},
        {"item": "lb2", "backends": {"six": backend(c="[fd00::1]:8080"), "n": backend(node1="")}},
        {"item": "lb3", "backends": {"other": backend(a="192.0.2.1:80")}},
        {"item": "lb4", "failed": True, "msg": "HAProxy does not answer"},
    ]
    found = FILTERS["serving_backends"](results, ["node1"], ["192.0.2.1", "fd00::1"], [8080])
    assert [(one["loadbalancer"], one["backend"], one["servers"]) for one in found] == [
        ("lb1", "web", ["a"]),
        ("lb2", "six", ["c"]),
        ("lb2", "n", ["node1"]),
    ]


def test_wrong_ports_are_an_error_of_the_filter() -> None:
    with pytest.raises(AnsibleFilterError, match="without 80"):
        FILTERS["web_containers"](2, 80)
    with pytest.raises(
        AnsibleFilterError, match=r"^bookface_container_first_port is 79, .*without 80"
    ):
        FILTERS["backends"](
            {"docker_hosts": ["docker1"]},
            {"docker1": {}},
            legacy_port=80,
            container_count=2,
            container_first_port=79,
            swarm_port=8080,
        )


def test_addresses_of_hosts() -> None:
    hosts = [
        {"inventory_hostname": "db1", "ansible_host": "10.0.0.21"},
        {"inventory_hostname": "db2"},
    ]
    assert FILTERS["addresses"](hosts) == ["10.0.0.21", "db2"]
