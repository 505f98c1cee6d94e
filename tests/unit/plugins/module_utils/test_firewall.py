"""Rules of a host's firewall: whom a port is limited to, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.firewall_rules import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.firewall import collapsed, numbers
from hypothesis import given
from hypothesis import strategies as st

FILTER = FilterModule().filters()["firewall_rules"]
PORTS = {"legacy_port": 80, "container_count": 2, "container_first_port": 32001, "swarm_port": 8080}
DOORS = {"bind": "*:80", "tls_bind": "", "stats_bind": "*:1936", "database_port": "5432"}
GROUPS = {
    "loadbalancers": ["lb1"],
    "databases": ["db1"],
    "legacy_web": ["web1"],
    "docker_hosts": ["docker1"],
    "swarm_managers": ["swarm1"],
    "swarm_workers": ["swarm2"],
    "monitoring": ["watch1"],
}
HOSTS = [host for hosts in GROUPS.values() for host in hosts]
HOSTVARS = {host: {"ansible_host": f"192.0.2.{number}"} for number, host in enumerate(HOSTS, 1)}
LB1, DB1, WEB1, DOCKER1, SWARM1, SWARM2, WATCH1 = (f"192.0.2.{n}/32" for n in range(1, 8))


def rules(
    host: str,
    hostvars: Mapping[str, Mapping[str, Any]] | None = None,
    groups: Mapping[str, list[str]] | None = None,
    **settings: Any,
) -> dict[str, list[str]]:
    """Ports, with their protocol → who may reach them."""
    given = {
        "admin_sources": [], "ssh_port": "22", "ssh_sources": [], "extra": [], "connection": "",
    }  # fmt: skip
    known = {name: {**HOSTVARS[name], **(hostvars or {}).get(name, {})} for name in HOSTS}
    made = FILTER(host, {**GROUPS, **(groups or {})}, known, PORTS, DOORS, given | settings)
    return {
        " ".join([rule["protocol"], *rule["ports"]]): rule["ipv4"] + rule["ipv6"] for rule in made
    }


def test_the_whole_platform() -> None:
    assert rules("lb1") == {"tcp 1936": []}
    assert rules("web1") == {"tcp 80": [LB1]}
    assert rules("docker1") == {"tcp 32001-32002": [LB1]}
    assert rules("db1") == {"tcp 5432": ["192.0.2.3/32", "192.0.2.4/31", "192.0.2.6/32"]}
    nodes = ["192.0.2.5/32", "192.0.2.6/32"]
    assert rules("swarm2") == {
        "tcp 7946": nodes, "tcp 8080": [LB1, SWARM1], "udp 4789 7946": nodes,
    }  # fmt: skip
    assert rules("swarm1") == {
        "tcp 2377 7946": nodes, "tcp 8080": [LB1, SWARM1], "udp 4789 7946": nodes,
    }  # fmt: skip
    assert rules("watch1") == {}


def test_the_packets_of_an_encrypted_overlay_are_not_limited() -> None:
    """Other tunnels of the host may use ESP, too."""
    assert rules("swarm2", {"swarm1": {"swarm_encrypted": True}}) == rules("swarm2")


def test_a_port_that_everybody_may_reach_has_no_rule() -> None:
    """Also where another part of the platform on the same host would limit it."""
    assert rules("web1", groups={"loadbalancers": ["web1"]}) == {"tcp 1936": []}
    everybody = ["0.0.0.0/0", "::/0"]
    assert rules("web1", extra=[{"port": "80", "sources": everybody}]) == {}
    only_four = rules("web1", extra=[{"port": "80", "sources": everybody[:1]}])
    assert only_four == {"tcp 80": ["0.0.0.0/0"]}


def test_hosts_are_known_by_all_their_addresses() -> None:
    own = {"ansible_host": "gate.example.org", "bookface_address": "10.0.0.1"}
    assert rules("web1", {"lb1": own}) == {"tcp 80": ["10.0.0.1/32"]}
    assert rules("web1", {"lb1": {"bookface_address": "2001:db8::1"}}) == {
        "tcp 80": [LB1, "2001:db8::1/128"]
    }
    assert rules("web1", {"lb1": {"firewall_addresses": ["10.0.0.9"]}}) == {
        "tcp 80": ["10.0.0.9/32"]
    }


def test_a_host_without_an_address_is_refused_where_it_counts() -> None:
    own = {"lb1": {"ansible_host": "lb1.example.org"}}
    expected = "lb1 has no address to be recognized by: .* is lb1.example.org, expected an IP"
    with pytest.raises(AnsibleFilterError, match=f"{expected} address.*Nothing was changed"):
        rules("web1", own)
    assert rules("db1", own)


def test_doors_of_one_host_are_its_own() -> None:
    own = {
        "lb1": {"haproxy_stats_bind": "127.0.0.1:1936"},
        "db1": {"bookface_db_port": "6543", "database_client_groups": ["monitoring"],
                "database_owner_groups": ["legacy_web"]},
        "docker1": {"web_containers_list": [{"port": 33000}]},
    }  # fmt: skip
    assert rules("lb1", own) == {}
    assert rules("db1", own) == {"tcp 6543": [WEB1, WATCH1]}
    assert rules("docker1", own) == {"tcp 33000": [LB1]}


def test_a_cache_is_for_its_clients() -> None:
    caches = {"caches": ["db1"]}
    assert rules("db1", groups=caches)["tcp 5432 11211"] == rules("db1")["tcp 5432"]
    own = {"db1": {"cache_client_groups": ["legacy_web"]}}
    assert rules("db1", own, caches)["tcp 11211"] == [WEB1]


def test_sources_of_your_own_are_added() -> None:
    extra = [
        {"port": 80, "sources": ["monitoring", "198.51.100.0/24"]},
        {"port": "9100-9102", "protocol": "udp", "sources": ["2001:db8::/32"]},
    ]
    assert rules("web1", extra=extra) == {
        "tcp 80": [LB1, WATCH1, "198.51.100.0/24"], "udp 9100-9102": ["2001:db8::/32"],
    }  # fmt: skip
    assert rules("lb1", admin_sources=["198.51.100.0/24"]) == {"tcp 1936": ["198.51.100.0/24"]}


@pytest.mark.parametrize("port", ["0", "65536", "http", "90-80", "1-2-3", "", "-1"])
def test_what_is_no_port_is_refused(port: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"firewall_extra has the port {port}: expected"):
        rules("web1", extra=[{"port": port, "sources": []}])


def test_what_is_neither_network_nor_group_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="firewall_extra has 'nosuch'"):
        rules("web1", extra=[{"port": "80", "sources": ["nosuch"]}])
    with pytest.raises(AnsibleFilterError, match=r"admin_sources has '192\.0\.2\.1/24'"):
        rules("lb1", admin_sources=["192.0.2.1/24"])


def test_ssh_is_open_unless_it_is_limited() -> None:
    assert not [ports for host in HOSTS for ports in rules(host) if "22" in ports.split()]
    limited = rules("web1", ssh_port="2222", ssh_sources=["198.51.100.0/24"])
    assert limited["tcp 2222"] == ["198.51.100.0/24"]


def test_nobody_shuts_himself_out() -> None:
    here = "203.0.113.5 50000 192.0.2.3 22"
    allowed = {"ssh_sources": ["198.51.100.0/24"]}
    message = (
        r"connected from 203.0.113.5 to port 22.*open only to 198.51.100.0/24.*firewall_ssh_sour"
    )
    with pytest.raises(AnsibleFilterError, match=message):
        rules("web1", connection=here, **allowed)
    with pytest.raises(AnsibleFilterError, match="open only to nobody"):
        rules("web1", connection=here, extra=[{"port": "1-1024", "sources": []}])
    assert rules("web1", connection="198.51.100.9 5 192.0.2.3 22", **allowed)
    # By another port, and by no SSH at all.
    assert rules("web1", connection=here.replace(" 22", " 2222"), **allowed)
    assert rules("web1", connection="fe80::1%eth0 5 fe80::2%eth0 22")


NETWORKS = st.ip_addresses().flatmap(
    lambda ip: st.integers(0, ip.max_prefixlen).map(
        lambda length: ip_network(f"{ip}/{length}", strict=False)
    )
)


@given(st.lists(NETWORKS, max_size=12), st.ip_addresses())
def test_collapsed_networks_hold_the_same_addresses_and_do_not_overlap(
    networks: list[Any], address: Any
) -> None:
    found = collapsed(networks)
    assert any(address in one for one in networks) == any(address in one for one in found)
    pairs = [(a, b) for a in found for b in found if a is not b and a.version == b.version]
    assert not any(a.overlaps(b) for a, b in pairs)


@given(st.integers(1, 65535), st.integers(1, 65535))
def test_a_range_has_its_ends(one: int, other: int) -> None:
    first, last = sorted((one, other))
    assert numbers(f"{first}-{last}") == range(first, last + 1)
