"""Networks of a swarm: what fits between its nodes, and what they hide."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.web.swarm import Node
from ansible_collections.bookface.platform.plugins.module_utils.web.swarm_networks import (
    Overhead,
    described,
    gateway,
    read_mtu,
    read_resolvers,
    read_routes,
)
from hypothesis import given
from hypothesis import strategies as st

from .test_swarm import BARE, LEAD, NETWORK, WORKER, plan

MTU = "com.docker.network.driver.mtu"
MESH = {"name": "ingress", "mtu": 1500, "encrypted": False, "subnets": ["10.0.0.0/24"]}
MESH |= {"services": []}


def cloud(node: Node, mtu: int = 1400, **changes: Any) -> Node:
    return replace(node, mtu=mtu, **changes)


def in_cloud(**changes: Any) -> dict[str, Node]:
    """A swarm whose network was made for larger interfaces."""
    return {"swarm1": cloud(LEAD, **changes), "swarm2": cloud(WORKER)}


def networks(nodes: dict[str, Node], **changes: Any) -> dict[str, Any]:
    found = plan(nodes, **changes)
    assert found["errors"] == []
    told: dict[str, Any] = found["networks"]
    return told


@pytest.mark.parametrize(
    ("interfaces", "settings", "options"),
    [
        ((1500, 1500), {}, {}),
        ((0, 0), {}, {}),
        # The smallest one counts.
        ((1500, 1400), {}, {MTU: "1400"}),
        ((9000, 8000), {}, {MTU: "8000"}),
        ((1500, 1500), {"mtu": 1300}, {MTU: "1350"}),
        ((1400, 1400), {"encrypted": True}, {MTU: "1400", "encrypted": "true"}),
        ((1400, 1400), {"mtu": 1324, "encrypted": True}, {MTU: "1400", "encrypted": "true"}),
        ((1400, 1400), {"mtu": 1330, "addresses": ["fd00::1"]}, {MTU: "1400"}),
    ],
)
def test_a_new_network_fits(
    interfaces: tuple[int, int], settings: dict[str, Any], options: dict[str, str]
) -> None:
    nodes = {f"swarm{n}": cloud(BARE, mtu, esp=True) for n, mtu in enumerate(interfaces, 1)}
    assert networks(nodes, **settings)["options"] == options


@given(st.integers(700, 9000), st.booleans(), st.booleans())
def test_what_tasks_get_fits_on_the_interface(mtu: int, ipv6: bool, encrypted: bool) -> None:
    overhead = Overhead(ipv6, encrypted)
    left = overhead.left(mtu)
    assert mtu - 3 <= left + overhead.size <= mtu
    assert overhead.left(left + overhead.size) == left


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"mtu": 1450},
            "swarm_mtu is 1450, but packets grow by 50 bytes between the nodes, and the interface"
            " of swarm2 has MTU 1400: large answers would get lost. Set it to at most 1350, or to"
            " 0, which means that.",
        ),
        ({"mtu": 1350, "encrypted": True}, "grow by 76 bytes"),
        ({"mtu": 575}, "swarm_mtu is 575; expected 576 or more, or 0 for what fits."),
    ],
)
def test_an_mtu_that_does_not_fit(settings: dict[str, Any], said: str) -> None:
    nodes = {"swarm1": cloud(BARE, 1500, esp=True), "swarm2": cloud(BARE, esp=True)}
    [error] = plan(nodes, **settings)["errors"]
    assert said in error
    assert "Set it to at most 1324" in error or "encrypted" not in settings


def test_encryption_requires_the_kernel_of_each_node() -> None:
    nodes = {"swarm1": replace(BARE, esp=True), "swarm2": BARE}
    [error] = plan(nodes, encrypted=True)["errors"]
    assert error.startswith("swarm_encrypted is true, but the kernel has no ESP")
    assert "on swarm2: tasks would not reach each other." in error


def test_a_network_that_is_too_large_stays_and_is_named() -> None:
    found = plan(in_cloud())
    assert found["errors"] == []
    [warning] = found["warnings"]
    assert warning == (
        "The network bookface-swarm has MTU 1450, but only 1350 fit between the nodes (MTU 1400"
        " on swarm1, swarm2): large answers from a task on another node may get lost. Docker cannot"
        " change that. Set swarm_network to a new name, such as bookface-swarm-1350: the role"
        " creates it, and moves the tasks by an update. Then run docker network rm bookface-swarm"
        " on a manager."
    )
    smaller = {**NETWORK, "mtu": 1300}
    assert plan(in_cloud(networks=(smaller,)))["warnings"] == []


@pytest.mark.parametrize(
    ("network", "settings", "said"),
    [
        ({}, {"mtu": 1300}, "swarm_mtu is 1300, but the network bookface-swarm has 1450."),
        ({"mtu": 1350}, {"mtu": 1300}, ""),
        ({}, {"encrypted": True}, "but the network bookface-swarm is not encrypted."),
        ({"mtu": 1400, "encrypted": True}, {"encrypted": True}, ""),
        # Docker makes it a multiple of four.
        ({"mtu": 1377, "encrypted": True}, {"mtu": 1301, "encrypted": True}, ""),
    ],
)
def test_what_docker_cannot_change_is_refused(
    network: dict[str, Any], settings: dict[str, Any], said: str
) -> None:
    nodes = {
        "swarm1": cloud(LEAD, esp=True, networks=({**NETWORK, **network},)),
        "swarm2": cloud(WORKER, esp=True),
    }
    errors = plan(nodes, **settings)["errors"]
    assert len(errors) == bool(said)
    assert not said or (said in errors[0] and "Set swarm_network to a new name" in errors[0])


def test_no_network_is_proposed_that_would_not_fit_either() -> None:
    [error] = plan(in_cloud(), mtu=9000)["errors"]
    assert error.startswith("swarm_mtu is 9000, but packets grow by 50 bytes")
    assert "new name" not in error


def test_encryption_that_is_no_longer_wanted_stays() -> None:
    sealed = {**NETWORK, "encrypted": True}
    nodes = {"swarm1": replace(LEAD, networks=(sealed,)), "swarm2": WORKER}
    [warning] = plan(nodes)["warnings"]
    assert warning.startswith("swarm_encrypted is false, but the network bookface-swarm is encry")
    theirs = {**sealed, "ours": False}
    nodes = {"swarm1": replace(LEAD, networks=(theirs,)), "swarm2": WORKER}
    assert plan(nodes, adopt=["network/bookface-swarm"])["warnings"] == []


def test_the_gateway_of_new_nodes_fits_their_interface() -> None:
    ipam = {"Config": [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.9"}]}
    large = gateway({"IPAM": ipam})
    nodes = {"swarm1": cloud(LEAD, 1500, gateway=large), "swarm2": cloud(BARE)}
    # At the addresses that it has on the others, for there tasks find their pooler.
    there = {
        "swarm2": {"mtu": 1400, "subnets": [{"subnet": "172.18.0.0/16", "gateway": "172.18.0.9"}]}
    }
    assert networks(nodes)["gateways"] == there
    unsaid = gateway({"IPAM": {"Config": [{"Subnet": "172.18.0.0/16"}]}})
    [place] = networks({**nodes, "swarm1": cloud(LEAD, 1500, gateway=unsaid)})["gateways"][
        "swarm2"
    ]["subnets"]
    assert place == {"subnet": "172.18.0.0/16", "gateway": "172.18.0.1"}
    elsewhere = {"swarm2": {"mtu": 1400, "subnets": []}}
    nodes["swarm2"] = cloud(BARE, routes=["172.16.0.0/12"])
    assert networks(nodes)["gateways"] == elsewhere
    nodes["swarm2"] = cloud(BARE)
    nodes["swarm3"] = cloud(WORKER, 1500, gateway={**large, "places": ["172.19.0.0/16"]})
    assert plan(nodes)["networks"]["gateways"] == elsewhere
    del nodes["swarm3"]
    nodes["swarm2"] = cloud(BARE, 1500)
    assert networks(nodes)["gateways"] == {}
    # One that is there stays.
    nodes["swarm2"] = cloud(BARE, gateway=large)
    found = plan(nodes)
    assert found["networks"]["gateways"] == {}
    assert any(
        "the interface of swarm2 (1500, the interface 1400): large packets depend on ICMP." in one
        for one in found["warnings"]
    )


def test_the_routing_mesh_is_recreated_only_before_it_is_used() -> None:
    bare = {"swarm1": cloud(BARE), "swarm2": cloud(BARE)}
    assert networks(bare, ingress_mode="mesh")["recreate_ingress"] is True
    assert networks(bare)["recreate_ingress"] is False
    assert networks({"swarm1": BARE, "swarm2": BARE}, ingress_mode="mesh") == {
        "options": {},
        "gateways": {},
        "mesh": "10.0.0.0/24",
        "recreate_ingress": False,
        "hides": [],
    }
    fits = {**NETWORK, "mtu": 1400}
    unused = in_cloud(networks=(fits,), ingress={**MESH, "subnets": ["10.9.0.0/24"]})
    found = networks(unused, ingress_mode="mesh")
    assert (found["recreate_ingress"], found["mesh"]) == (True, "10.9.0.0/24")
    used = in_cloud(networks=(fits,), ingress={**MESH, "services": ["shop"]})
    found = plan(used, ingress_mode="mesh")
    assert (found["errors"], found["networks"]["recreate_ingress"]) == ([], False)
    [warning] = found["warnings"]
    assert warning.startswith(
        "The ingress network has MTU 1450, but only 1350 fit between the nodes. Docker recreates"
        " it only while no service publishes through it (shop): move the traffic"
    )
    assert f"--ingress --opt {MTU}=1400 ingress on a manager" in warning
    assert plan(used)["warnings"] == []


def test_the_routing_mesh_of_others_is_not_recreated() -> None:
    cluster = {**LEAD.cluster, "ours": False}
    nodes = in_cloud(cluster=cluster, networks=({**NETWORK, "mtu": 1400},), ingress=MESH)
    found = plan(nodes, ingress_mode="mesh")
    assert (found["errors"], found["networks"]["recreate_ingress"]) == ([], False)
    assert "(none at present)" in found["warnings"][0]


def test_a_run_that_was_killed_between_the_two_ingress_networks() -> None:
    nodes = {"swarm1": replace(LEAD, mesh=False), "swarm2": WORKER}
    assert networks(nodes, ingress_mode="mesh")["recreate_ingress"] is True


def test_pools_of_a_new_swarm_are_apart_from_what_its_nodes_reach() -> None:
    site = replace(BARE, routes=["10.200.8.0/22", "192.0.2.0/24"])
    nodes = {"swarm1": BARE, "swarm2": site}
    [error] = plan(nodes)["errors"]
    assert error.startswith(
        "swarm_address_pools is 10.0.0.0/8, but the site has addresses or routes in there:"
        " 10.200.8.0/22 on swarm2."
    )
    assert error.endswith("such as [10.64.0.0/12].")
    assert plan(nodes, pools=["10.64.0.0/12"])["errors"] == []
    # What it serves with is not refused.
    assert plan({"swarm1": replace(LEAD, routes=site.routes), "swarm2": WORKER})["errors"] == []


def test_pools_are_apart_from_what_lies_behind_the_default_route() -> None:
    nodes = {"swarm1": replace(BARE, resolvers=["10.0.0.53", "10.64.0.53"]), "swarm2": BARE}
    reached = {"db1": "10.0.9.3", "lb1": "lb.example.org", "cache1": "", "web1": "fd00::1"}
    [error] = plan(nodes, neighbours=reached)["errors"]
    # Docker would have to make thousands of networks until one is where the other name server is.
    assert ": 10.0.9.3 (db1), 10.0.0.53 (name server of swarm1). Tasks could not" in error
    assert error.endswith("such as [10.192.0.0/12].")
    [error] = plan(nodes, neighbours={"db1": "10.192.0.3"}, pools=["10.64.0.0/12"])["errors"]
    assert ": 10.64.0.53 (name server of swarm1). Tasks could not" in error
    assert error.endswith("such as [192.168.192.0/18].")
    # Named once.
    nodes["swarm2"] = replace(BARE, routes=["10.0.0.0/8"])
    [error] = plan(nodes, neighbours=reached)["errors"]
    assert ": 10.0.0.0/8 on swarm2. Tasks" in error


def test_a_network_in_a_swarm_whose_pools_the_site_uses_too() -> None:
    lead = replace(LEAD, networks=(), routes=["10.212.8.0/22"])
    [error] = plan({"swarm1": lead, "swarm2": WORKER}, pools=["10.64.0.0/12"])["errors"]
    assert error.startswith("The swarm takes the addresses of new networks from 10.0.0.0/8, as it")
    assert (
        "--driver overlay --subnet SUBNET --label platform.bookface.made=swarm bookface-" in error
    )


@pytest.mark.parametrize("pool", ["10.0.0.1/8", "10.0.0.0/25", "fd00::/48", "ten"])
def test_pools_that_docker_does_not_take(pool: str) -> None:
    [error] = plan({"swarm1": BARE, "swarm2": BARE}, pools=[pool])["errors"]
    assert error.startswith(f"swarm_address_pools has {pool}; expected networks of IPv4")


def test_networks_that_exist_and_hide_something() -> None:
    """Named, but not refused: the tasks run with them."""
    ours = {**NETWORK, "subnets": ["10.0.1.0/24"]}
    lead = replace(LEAD, networks=(ours,), ingress=MESH, resolvers=["10.0.0.53"])
    found = plan({"swarm1": lead, "swarm2": WORKER}, neighbours={"db1": "10.0.1.9"})
    assert found["errors"] == []
    [warning] = found["warnings"]
    assert "network bookface-swarm has the addresses 10.0.1.0/24, in which lie 10.0.1.9" in warning
    nodes = {"swarm1": replace(lead, networks=({**NETWORK, "subnets": []},)), "swarm2": WORKER}
    assert plan(nodes)["warnings"] == []
    [warning] = plan(nodes, ingress_mode="mesh")["warnings"]
    assert "10.0.0.53 (name server of swarm1)" in warning


def test_a_gateway_that_hides_the_database_is_refused_before_tasks_run() -> None:
    bridge = gateway({"IPAM": {"Config": [{"Subnet": "172.18.0.0/16"}]}})
    reached = {"db1": "172.18.3.4"}
    nodes = {"swarm1": BARE, "swarm2": replace(BARE, gateway=bridge)}
    [error] = plan(nodes, neighbours=reached)["errors"]
    assert error.startswith("docker_gwbridge of swarm2 has the addresses 172.18.0.0/16, in which")
    assert "172.18.3.4 (db1)" in error
    assert plan(nodes, neighbours=reached)["networks"]["hides"] == [error]
    nodes = {"swarm1": LEAD, "swarm2": replace(WORKER, gateway=bridge)}
    found = plan(nodes, neighbours=reached)
    assert (found["errors"], len(found["warnings"])) == ([], 1)


def test_routes_that_lead_somewhere() -> None:
    told = [
        {"dst": "default", "gateway": "192.0.2.1"},
        {"dst": "0.0.0.0/1", "dev": "tun0"},
        {"dst": "10.0.0.0/16", "gateway": "10.0.0.1"},
        {"type": "local", "dst": "10.0.0.3", "table": "local"},
        {"type": "local", "dst": "10.9.0.3", "table": "local"},
        {"type": "local", "dst": "127.0.0.0/8", "table": "local"},
        {"type": "broadcast", "dst": "192.0.2.255", "table": "local"},
        {"type": "unreachable", "dst": "172.16.0.0/12"},
    ]
    assert read_routes(json.dumps(told)) == ["10.0.0.0/16", "10.9.0.3/32"]
    assert read_routes("") == []


def test_the_interface_with_an_address() -> None:
    told = json.dumps([
        {"mtu": 65536, "flags": ["LOOPBACK", "UP"], "addr_info": [{"local": "192.0.2.9"}]},
        {"mtu": 1450, "flags": ["UP"], "addr_info": [{"local": "fd00::1"}, {"local": "192.0.2.1"}]},
        {"mtu": 1500},
    ])  # fmt: skip
    assert [read_mtu(told, one) for one in ("192.0.2.1", "fd00::1", "192.0.2.9", "192.0.2.8")] == [
        1450, 1450, 0, 0,
    ]  # fmt: skip
    assert read_mtu("", "192.0.2.1") == 0


def test_name_servers_behind_the_stub() -> None:
    stub = "# stub\nnameserver 127.0.0.53\noptions edns0\nsearch example.org\nnameserver\n"
    real = "nameserver 10.0.0.2\nnameserver fd00::53\nnameserver 10.0.0.2\n"
    assert read_resolvers(stub, real) == ["10.0.0.2"]
    assert read_resolvers() == []


def test_what_docker_says_of_a_network() -> None:
    assert described({"Options": None, "IPAM": None}) == {
        "mtu": 1500, "encrypted": False, "subnets": [],
    }  # fmt: skip
    ipam = {"Config": [{"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1"}, {}]}
    assert described({"Options": {MTU: "1400", "encrypted": ""}, "IPAM": ipam}) == {
        "mtu": 1400, "encrypted": True, "subnets": ["10.0.1.0/24"],
    }  # fmt: skip
    assert described({"Options": {MTU: "0"}})["mtu"] == 1500
