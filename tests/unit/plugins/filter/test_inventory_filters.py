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


def test_wrong_ports_are_an_error_of_the_filter() -> None:
    with pytest.raises(AnsibleFilterError, match="without 80"):
        FILTERS["web_containers"](2, 80)
    with pytest.raises(AnsibleFilterError, match=r"^bookface_container_first_port .*without 80"):
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
