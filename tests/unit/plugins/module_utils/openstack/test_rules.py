"""Rules of security groups: each port for those who need it, and for nobody else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.openstack_plan import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.access import (
    AccessError,
    bound,
    ranges,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.rules import (
    in_words,
    seen,
)
from hypothesis import given
from hypothesis import strategies as st

FILTERS = FilterModule().filters()
PORTS = {"legacy_port": 80, "container_count": 2, "container_first_port": 32001, "swarm_port": 8080}
DOORS: dict[str, Any] = {
    "bind": "*:80",
    "tls_bind": "",
    "stats_bind": "127.0.0.1:1936",
    "ssh_cidrs": ["192.0.2.0/24"],
    "admin_cidrs": ["198.51.100.7/32"],
    "database_port": "5432",
}
GROUPS = ("loadbalancers", "databases", "legacy_web", "docker_hosts", "swarm_managers",
          "swarm_workers", "caches")  # fmt: skip


def rules(
    groups: Iterable[str] = GROUPS, floating: bool = True, hostvars: Any = None, **doors: Any
) -> dict[str, set[str]]:
    """Security group → its rules in words. One machine in each group, the first with an address."""
    described = [
        {"name": group.replace("_", "-"), "groups": [group], "floating_ip": floating and not number}
        for number, group in enumerate(groups)
    ]
    found = FILTERS["openstack_machines"](described, "p", image="i", flavor="f", suite="s")
    known = {machine["name"]: {} for machine in found} | (hostvars or {})
    made = FILTERS["openstack_rules"](found, "p", known, PORTS, DOORS | doors)
    return {name: {in_words(seen(rule, {})) for rule in own} for name, own in made.items()}


def test_the_whole_platform() -> None:
    nodes = ("p-swarm_managers", "p-swarm_workers")
    gossip = {
        f"{how} from {node}" for node in nodes for how in ("tcp 7946", "udp 7946", "udp 4789")
    }
    # The role swarm asks each node from a manager.
    serving = {f"tcp 8080 from {group}" for group in ("p-loadbalancers", "p-swarm_managers")}
    web = ("p-legacy_web", "p-docker_hosts", *nodes)
    assert rules() == {
        "p": {
            "tcp 22 from 192.0.2.0/24",
            "tcp 22 from p-loadbalancers",
            "all IPv4 to everywhere",
            "all IPv6 to everywhere",
        },
        "p-loadbalancers": {"tcp 80 from 0.0.0.0/0"},
        "p-databases": {f"tcp 5432 from {group}" for group in web},
        "p-caches": {f"tcp 11211 from {group}" for group in web},
        "p-legacy_web": {"tcp 80 from p-loadbalancers"},
        "p-docker_hosts": {"tcp 32001-32002 from p-loadbalancers"},
        "p-swarm_managers": gossip | serving | {f"tcp 2377 from {node}" for node in nodes},
        "p-swarm_workers": gossip | serving,
    }


@pytest.mark.parametrize("said", [True, "yes"])
def test_an_encrypted_overlay_opens_esp_between_the_nodes(said: Any) -> None:
    plain, sealed = rules(), rules(hostvars={"swarm-workers": {"swarm_encrypted": said}})
    nodes = ("p-swarm_managers", "p-swarm_workers")
    assert {name for name in plain if plain[name] != sealed[name]} == {*nodes}
    for name in nodes:
        assert sealed[name] - plain[name] == {f"esp from {node}" for node in nodes}
    off = rules(hostvars={"swarm-workers": {"swarm_encrypted": "false"}})
    assert off == plain


def test_statistics_are_for_administrators_unless_bound_to_the_loopback() -> None:
    assert rules()["p-loadbalancers"] == {"tcp 80 from 0.0.0.0/0"}
    for loopback in ("localhost:1936", "[::1]:1936", "127.0.0.2:1936"):
        assert rules(stats_bind=loopback) == rules()
    for bind in ("*:1937", "127.0.0.1:1936,*:1937"):
        opened = rules(stats_bind=bind)["p-loadbalancers"] - rules()["p-loadbalancers"]
        assert opened == {"tcp 1937 from 198.51.100.7/32"}


def test_https_is_open_where_haproxy_has_it() -> None:
    both = {"tcp 80 from 0.0.0.0/0", "tcp 443 from 0.0.0.0/0"}
    assert rules(tls_bind="*:443 ssl crt /etc/x.pem")["p-loadbalancers"] == both
    assert rules(bind="*:80,192.0.2.1:443,127.0.0.1:81")["p-loadbalancers"] == both


def test_doors_of_one_machine_are_what_its_group_says() -> None:
    own = {
        "loadbalancers": {"haproxy_bind": "*:8000", "haproxy_tls_bind": "*:8443",
                          "haproxy_stats_bind": "*:1937"},
        "databases": {"bookface_db_port": "6543"},
    }  # fmt: skip
    told = rules(hostvars=own)
    assert told["p-loadbalancers"] == {
        "tcp 8000 from 0.0.0.0/0", "tcp 8443 from 0.0.0.0/0", "tcp 1937 from 198.51.100.7/32",
    }  # fmt: skip
    assert {rule.split(" from ")[0] for rule in told["p-databases"]} == {"tcp 6543"}


def test_ssh_comes_from_the_group_of_the_first_machine_with_an_address() -> None:
    described = [
        {"name": "web1", "groups": ["legacy_web"], "floating_ip": True},
        {"name": "lb1", "groups": ["loadbalancers"], "floating_ip": True},
        {"name": "db1", "groups": ["databases"]},
    ]
    found = FILTERS["openstack_machines"](described, "p", image="i", flavor="f", suite="s")
    known = {machine["name"]: {} for machine in found}
    made = FILTERS["openstack_rules"](found, "p", known, PORTS, DOORS)
    told = {in_words(seen(rule, {})) for rule in made["p"]}
    assert "tcp 22 from p-legacy_web" in told
    assert "tcp 22 from p-loadbalancers" not in told
    # The inventory goes the same way.
    assert FILTERS["openstack_jump"](described) == FILTERS["openstack_jump"](found) == "web1"


def test_ports_of_one_host_are_its_own() -> None:
    own = {"docker-hosts": {"web_containers_list": [{"port": 33000}, {"port": 33002}]}}
    told = rules(hostvars=own)["p-docker_hosts"]
    assert told == {"tcp 33000 from p-loadbalancers", "tcp 33002 from p-loadbalancers"}


def test_a_port_of_one_host_is_not_opened_on_others_of_its_backend() -> None:
    told = rules(hostvars={"swarm-workers": {"bookface_swarm_port": 8081}})
    assert "tcp 8080 from p-loadbalancers" in told["p-swarm_managers"]
    assert "tcp 8081 from p-loadbalancers" in told["p-swarm_workers"]
    assert "tcp 8081 from p-loadbalancers" not in told["p-swarm_managers"]


def test_nothing_names_a_group_that_is_not_there() -> None:
    told = rules(["databases", "docker_hosts"], floating=False)
    assert told["p-databases"] == {"tcp 5432 from p-docker_hosts"}
    assert told["p-docker_hosts"] == set()  # no load balancer
    assert "tcp 22 from p-databases" not in told["p"]


def test_without_a_door_for_ssh_nothing_is_made() -> None:
    with pytest.raises(
        AnsibleFilterError, match="openstack_ssh_cidrs is empty: neither you nor Ansible could"
    ):
        rules(ssh_cidrs=[])


def test_a_network_that_is_none_is_named() -> None:
    with pytest.raises(AnsibleFilterError, match=r"openstack_ssh_cidrs has '192.0.2.1/24'"):
        rules(ssh_cidrs=["192.0.2.1/24"])
    with pytest.raises(AnsibleFilterError, match="openstack_admin_cidrs has 'home'"):
        rules(stats_bind="*:1936", admin_cidrs=["home"])


def test_version_6_is_open_where_version_4_is() -> None:
    described = [
        {"name": "lb1", "groups": ["loadbalancers"]},
        {"name": "w", "groups": ["legacy_web"]},
    ]
    found = FILTERS["openstack_machines"](described, "p", image="i", flavor="f", suite="s")
    known: dict[str, Any] = {"lb1": {}, "w": {}}
    made = FILTERS["openstack_rules"](found, "p", known, PORTS, DOORS, True)
    words = {name: {in_words(seen(rule, {})) for rule in own} for name, own in made.items()}
    assert words["p-loadbalancers"] == {"tcp 80 from 0.0.0.0/0", "tcp 80 from ::/0"}
    assert words["p-legacy_web"] == {
        "tcp 80 from p-loadbalancers", "tcp 80 from p-loadbalancers (IPv6)",
    }  # fmt: skip
    versions = {rule["ether_type"] for rule in made["p-loadbalancers"]}
    assert versions == {"IPv4", "IPv6"}


def test_networks_of_both_versions() -> None:
    assert "tcp 22 from 2001:db8::/32" in rules(ssh_cidrs=["2001:db8::/32"])["p"]


@pytest.mark.parametrize("bind", ["", "80", "*:http", ":", "/run/haproxy.sock", "*:80,"])
def test_an_address_without_a_port_is_refused(bind: str) -> None:
    with pytest.raises(AccessError, match="has no port: expected an address"):
        bound(bind)


@given(st.sets(st.integers(1, 65535), max_size=40))
def test_ranges_hold_the_same_ports(ports: set[int]) -> None:
    found = ranges(ports)
    assert {port for first, last in found for port in range(first, last + 1)} == ports
    assert all(second[0] > first[1] + 1 for first, second in zip(found, found[1:]))


def test_a_rule_of_the_cloud_equals_ours() -> None:
    theirs = {
        "direction": "ingress", "ether_type": "IPv4", "protocol": "tcp", "port_range_min": 80,
        "port_range_max": 80, "remote_group_id": "7", "remote_ip_prefix": None,
    }  # fmt: skip
    ours = {key: value for key, value in theirs.items() if value and key != "remote_group_id"}
    assert seen(theirs, {"7": "p-web"}) == seen(ours | {"remote_group": "p-web"}, {})
    assert seen(theirs, {}) != seen(ours | {"remote_group": "p-web"}, {})  # of another project
