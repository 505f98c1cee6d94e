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


YUGABYTE = {"heal_database_command": "/opt/yugabyte/bin/yugabyted start", "bookface_db_port": 5433}


def with_yugabyte(variables: dict[str, Any]) -> dict[str, Any]:
    """The look at a node of YugabyteDB, which must not be in the group databases."""
    groups = {**GROUPS, "databases": [], "all": [*HOSTVARS, "yb1"]}
    hostvars = {
        host: {**known, "bookface_db_host": "192.0.2.99"} for host, known in HOSTVARS.items()
    }
    hostvars["yb1"] = {"ansible_host": "192.0.2.99"}
    for host in variables:
        hostvars[host] |= YUGABYTE
    return expected(groups, hostvars)


@pytest.mark.parametrize("hosts", [["yb1"], [*HOSTVARS, "yb1"]])
def test_a_database_with_a_command_need_not_be_in_the_group(hosts: list[str]) -> None:
    """Also if the variable is set for all, as on a command line."""
    found = with_yugabyte(dict.fromkeys(hosts))
    want = found["yb1"]
    assert (want["database_command"], want["postgresql"]) == ("port 5433", None)
    assert [one["port"] for one in want["ports"]] == [5433]
    kinds = [
        one["kind"] for host, other in found.items() if host != "yb1" for one in other["ports"]
    ]
    assert "database" not in kinds
    assert [host for host, other in found.items() if other["database_command"]] == ["yb1"]


def test_a_database_with_a_command_in_the_group_has_no_units_of_debian() -> None:
    hostvars = {**HOSTVARS, "db1": {**HOSTVARS["db1"], "heal_database_command": "db start"}}
    want = expected(GROUPS, hostvars)["db1"]
    assert (want["database_command"], want["postgresql"]) == ("port 5432", None)


def test_a_cache_that_is_a_service_of_the_swarm_has_no_address() -> None:
    groups = {**GROUPS, "caches": []}
    hostvars = {
        host: {**known, "bookface_cache_host": "memcached"} for host, known in HOSTVARS.items()
    }
    for host in ("swarm1", "swarm2"):
        hostvars[host]["swarm_services"] = [{"name": "memcached", "image": "memcached:1.6"}]
    found = expected(groups, hostvars)
    assert not [one for want in found.values() for one in want["ports"] if one["kind"] == "cache"]


def test_each_group_of_web_servers_may_have_a_cache_of_its_own() -> None:
    groups = {**GROUPS, "caches": []}
    hostvars = {host: {**known, "bookface_cache_host": "c1"} for host, known in HOSTVARS.items()}
    hostvars["swarm1"]["bookface_cache_host"] = hostvars["swarm2"]["bookface_cache_host"] = "c2"
    found = expected(groups, hostvars)
    asked = {
        host: [one["address"] for one in want["ports"] if one["kind"] == "cache"]
        for host, want in found.items()
    }
    assert {host: hosts for host, hosts in asked.items() if hosts} == {
        "web1": ["c1"],
        "swarm1": ["c2"],
    }


def test_the_engine_s_socket() -> None:
    hostvars = {
        **HOSTVARS,
        "docker1": {**HOSTVARS["docker1"], "bookface_docker_host": "unix:///run/d"},
    }
    found = expected(GROUPS, hostvars)
    assert (found["docker1"]["socket"], found["swarm1"]["socket"]) == (
        "/run/d",
        "/var/run/docker.sock",
    )


class Marker:
    """What Ansible gives for a variable that refers to one that is not defined."""

    def __bool__(self) -> bool:
        raise LookupError("'bookface_backends' is undefined")


class Vars(dict[str, Any]):
    """Variables of a host in Ansible."""

    def get(self, name: str, default: Any = None) -> Any:
        found = super().get(name, default)
        return Marker() if isinstance(found, str) and "bookface_backends" in found else found


def test_an_haproxy_adopted_as_documented() -> None:
    text = (ROOT / "docs/adopting.md").read_text()
    variables = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])
    hostvars = {**HOSTVARS, "lb1": Vars({**HOSTVARS["lb1"], **variables})}
    found = expected(GROUPS, hostvars)["lb1"]["haproxy"]
    assert (list(found["backends"]), found["frontends"]) == (["docker"], ["www"])


def test_backends_that_cannot_be_read_are_named() -> None:
    variables = {"haproxy_backends": "{{ bookface_backends }}"}
    hostvars = {**HOSTVARS, "lb1": Vars({**HOSTVARS["lb1"], **variables})}
    with pytest.raises(ValueError, match="haproxy_backends of lb1 cannot be read"):
        expected(GROUPS, hostvars)


def test_an_adopted_haproxy_has_only_the_backends_that_were_added() -> None:
    hostvars = {**HOSTVARS, "lb1": {**HOSTVARS["lb1"], "haproxy_mode": "adopt"}}
    assert list(expected(GROUPS, hostvars)["lb1"]["haproxy"]["backends"]) == ["docker"]


def test_a_wrong_inventory_is_an_error() -> None:
    hostvars = {**HOSTVARS, "docker1": {**HOSTVARS["docker1"], "bookface_container_count": "two"}}
    with pytest.raises(ValueError, match="bookface_container_count of docker1 is two"):
        expected(GROUPS, hostvars)


def test_no_host_no_part() -> None:
    assert expected({}, {}) == {}
