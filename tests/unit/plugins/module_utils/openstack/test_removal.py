"""Removing a platform: only what carries its mark, and what stands in the way."""

from __future__ import annotations

import pytest

from .cloud import EMPTY, FILTERS, VOLUME, Data, made, port, server, thing


def removal(cloud: Data, volumes: bool = False) -> Data:
    return dict(FILTERS["openstack_removal"](cloud, "p", volumes))


def test_only_what_is_ours_goes() -> None:
    cloud = made()
    cloud["volumes"] = [VOLUME, VOLUME | {"name": "other", "platform": ""}]
    cloud["servers"].append(server("other", "x") | {"metadata": {}})
    cloud["networks"].append(thing("other", description=""))
    cloud["floating_ips"].append(thing("1", id="f2", description="bookface_platform=p2 machine=x",
                                       port_id=None, address="203.0.113.1"))  # fmt: skip
    found = removal(cloud)
    assert found["faults"] == []
    assert found["left"] == ["volume p-swarm1 (10 GB): -e remove_volumes=true removes it"]
    assert [(step["kind"], step["id"]) for step in found["steps"]] == [
        ("server", "id-lb1"),
        ("server", "id-swarm1"),
        ("floating address", "fip"),
        ("server group", "sg"),
        ("router", "rtr"),
        ("subnet", "sub"),
        ("network", "net"),
        ("security group", "id-p"),
        ("security group", "id-p-loadbalancers"),
        ("security group", "id-p-swarm_managers"),
        ("keypair", ""),
    ]
    assert removal(cloud, True)["steps"][-1]["id"] == "v"
    assert FILTERS["openstack_existing"](cloud, "p")[0] == "server lb1 (ACTIVE)"


def test_nothing_is_left_of_nothing() -> None:
    assert removal(EMPTY)["lines"] == []


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"name": "theirs"}, "the port theirs is on the network p"),
        ({"device_id": "vm9"}, "of compute:nova vm9 is on the netw"),
        ({"network_id": "n0", "security_group_ids": ["id-p"]}, "uses the security group p"),
    ],
)
def test_what_others_have_on_our_network_stands_in_the_way(more: Data, says: str) -> None:
    cloud = made()
    cloud["ports"].append(port("", **more))
    assert says in str(removal(cloud)["faults"])


@pytest.mark.parametrize("owner", ["dhcp", "distributed", "floatingip_agent_gateway"])
def test_ports_that_neutron_takes_with_the_network_do_not(owner: str) -> None:
    cloud = made()
    own = port("agent", "p", device_owner=f"network:{owner}")
    cloud["ports"] += [own, own | {"network_id": "n0"}]
    assert removal(cloud)["faults"] == []


def test_a_machine_that_was_made_by_hand_is_released() -> None:
    """By the mark of the role, or, before its first run, because it has none of a creation."""
    for mark in ({"bookface_adopted": "true"}, {}):
        cloud = made()
        cloud["servers"][0]["metadata"] = {"bookface_platform": "p"} | mark
        cloud["ports"][0] |= {"network_id": "n0"}
        cloud["ports"][0]["security_group_ids"].append("id-default")
        found = removal(cloud)
        assert found["faults"] == []
        assert found["lines"][0] == "release server lb1: made by hand, so it stays"
        assert [step["name"] for step in found["remove"]["server"]] == ["swarm1"]
        assert found["freed"]["ports"] == [{"id": "port-id-lb1", "groups": ["id-default"]}]
        (server,) = found["freed"]["servers"]
        assert server["id"] == "id-lb1"
        assert {*server["metadata"]} == {"bookface_platform", "bookface_groups", "bookface_adopted"}


def test_one_on_our_own_network_stands_in_the_way_of_the_network() -> None:
    cloud = made()
    cloud["servers"][0]["metadata"] = {"bookface_platform": "p"}
    assert "of compute:nova id-lb1 is on the network p" in str(removal(cloud)["faults"])


def test_a_locked_server_is_found_before_anything_is_removed() -> None:
    cloud = made()
    cloud["servers"][1]["locked"] = True
    assert removal(cloud)["faults"] == [
        "the server swarm1 is locked: openstack server unlock id-swarm1"
    ]


@pytest.mark.parametrize("status", ["ERROR", "RESCUE", "SHELVED_OFFLOADED", "VERIFY_RESIZE"])
def test_a_server_that_the_cloud_would_not_release_is_found_before_anything_is_removed(
    status: str,
) -> None:
    cloud = made()
    cloud["servers"][0] |= {"status": status, "metadata": {"bookface_platform": "p"}}
    cloud["servers"][1]["status"] = status  # one of ours is deleted in any state
    cloud["ports"][0] |= {"network_id": "n0"}
    (fault,) = removal(cloud)["faults"]
    assert fault.startswith(f"the server lb1 is {status}, and the cloud takes our metadata only")
    cloud["servers"][0]["status"] = "SHUTOFF"
    assert removal(cloud)["faults"] == []
