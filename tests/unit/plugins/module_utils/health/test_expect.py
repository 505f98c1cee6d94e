"""What should be on each machine follows from the inventory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.bookface.platform.plugins.module_utils.health.expect import (
    DEFAULTS,
    FIREWALL,
    expected,
)

from tests.support.health import GROUPS, HOSTVARS, wants

ROOT = Path(__file__).resolve().parents[5]


def test_the_defaults_are_those_of_the_roles() -> None:
    """The playbook loads no role of theirs."""
    found: dict[str, Any] = {}
    for path in ROOT.glob("roles/*/defaults/main.yml"):
        found |= yaml.safe_load(path.read_text()) or {}
    assert {name: found[name] for name in DEFAULTS} == DEFAULTS


def test_the_firewall_and_the_note_are_called_as_elsewhere() -> None:
    text = (ROOT / "roles/firewall/vars/main.yml").read_text()
    assert f"__firewall_unit: {FIREWALL}\n" in text
    look = (ROOT / "plugins/module_utils/health/look.py").read_text()
    note = yaml.safe_load((ROOT / "playbooks/vars/drained.yml").read_text())["update_note"]
    assert f'NOTE = "{note}"' in look


def test_each_group_has_its_parts() -> None:
    found = wants()
    assert found["lb1"]["services"] == ["haproxy"]
    assert found["lb1"]["haproxy"]["backends"] == {
        "legacy": [{"name": "web1", "host": "web1"}],
        "docker": [
            {"name": "docker1-32001", "host": "docker1"},
            {"name": "docker1-32002", "host": "docker1"},
        ],
        "swarm": [{"name": "swarm1", "host": "swarm1"}, {"name": "swarm2", "host": "swarm2"}],
    }
    assert found["docker1"]["containers"] == ["bookface-web-1", "bookface-web-2"]
    assert (found["docker1"]["engine"], found["docker1"]["swarm"]) == (True, None)
    assert found["swarm1"]["swarm"] == {"service": "bookface", "manager": True}
    assert found["swarm2"]["swarm"] == {"service": "bookface", "manager": False}
    assert (found["db1"]["postgresql"], found["db1"]["services"]) == ("", [])
    assert [one["port"] for one in found["db1"]["ports"]] == [5432]
    assert found["cache1"]["services"] == ["memcached"]
    assert found["web1"]["services"] == ["apache2"]


@pytest.mark.parametrize(
    ("host", "variables", "services"),
    [
        ("lb1", {"bookface_page_cache": True}, ["haproxy", "varnish"]),
        ("lb1", {"firewall_state": "present"}, [FIREWALL, "haproxy"]),
        ("lb1", {"firewall_state": "absent"}, ["haproxy"]),
        ("docker1", {"bookface_pooler": "yes"}, ["pgbouncer"]),
        ("db1", {"bookface_pooler": True}, []),
    ],
)
def test_what_is_switched_on_is_looked_at(
    host: str, variables: dict[str, Any], services: list[str]
) -> None:
    hostvars = {**HOSTVARS, host: {**HOSTVARS[host], **variables}}
    assert expected(GROUPS, hostvars)[host]["services"] == services


def test_an_haproxy_in_the_swarm_is_no_service_of_systemd() -> None:
    groups = {"loadbalancers": ["swarm1"], "swarm_managers": ["swarm1"]}
    hostvars = {"swarm1": {**HOSTVARS["swarm1"], "swarm_ingress_mode": "edge"}}
    found = expected(groups, hostvars)["swarm1"]
    assert found["services"] == []
    assert [one["name"] for one in found["haproxy"]["backends"]["swarm"]][:2] == [
        "bookface-1",
        "bookface-2",
    ]


def test_a_database_outside_of_the_inventory_is_asked_from_one_web_server() -> None:
    groups = {name: hosts for name, hosts in GROUPS.items() if name != "databases"}
    hostvars = {
        host: {**known, "bookface_db_host": "db.example.org", "bookface_db_port": 5433}
        for host, known in HOSTVARS.items()
    }
    found = expected(groups, hostvars)
    ports = {host: [p["port"] for p in want["ports"]] for host, want in found.items()}
    assert ports == {
        "lb1": [],
        "web1": [5433, 80],
        "docker1": [],
        "swarm1": [],
        "swarm2": [],
        "cache1": [11211],
    }


def test_an_adopted_haproxy_has_only_the_backends_that_were_added() -> None:
    hostvars = {**HOSTVARS, "lb1": {**HOSTVARS["lb1"], "haproxy_mode": "adopt"}}
    assert list(expected(GROUPS, hostvars)["lb1"]["haproxy"]["backends"]) == ["docker"]


def test_a_wrong_inventory_is_an_error() -> None:
    hostvars = {**HOSTVARS, "docker1": {**HOSTVARS["docker1"], "bookface_container_count": "two"}}
    with pytest.raises(ValueError, match="bookface_container_count of docker1 is two"):
        expected(GROUPS, hostvars)


def test_no_host_no_part() -> None:
    assert expected({}, {}) == {}
