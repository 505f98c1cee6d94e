"""Floating addresses: ours, those that somebody has attached, and those that are described."""

from __future__ import annotations

import copy

from .cloud import DESCRIBED, EMPTY, FILTERS, Data, faults, made, plan, port, thing, told

ADDRESS = "203.0.113.9"
GIVEN = [DESCRIBED[0] | {"floating_ip": ADDRESS}, DESCRIBED[1]]


def theirs(address: str = ADDRESS, **more: object) -> Data:
    return thing(address, description="", address=address, port_id=None) | more


def test_an_address_that_somebody_has_attached_is_used() -> None:
    cloud = made()
    cloud["floating_ips"] = [theirs(port_id="port-id-lb1")]
    assert plan(cloud)["lines"] == []
    # A second one would be refused by the cloud.
    cloud["floating_ips"].append(
        theirs("203.0.113.8", description="bookface_platform=p machine=lb1")
    )
    assert plan(cloud)["left"] == [
        "floating address lb1 (203.0.113.8): the machine already has 203.0.113.9; release it if"
        " nobody needs it"
    ]
    assert told(cloud) == []


def test_a_machine_on_another_network_gets_none() -> None:
    cloud = made() | {"floating_ips": []}
    cloud["servers"][0] |= {"networks": ["a"]}
    cloud["servers"][0]["metadata"] = {
        "bookface_platform": "p", "bookface_groups": "loadbalancers", "bookface_adopted": "true",
    }  # fmt: skip
    cloud["ports"][0] |= {"network_id": "n7"}
    assert "lb1 has floating_ip, but is not on the network of the platform (a inst" in faults(cloud)
    # One that somebody has attached there is used.
    cloud["floating_ips"] = [theirs(port_id="port-id-lb1")]
    assert plan(cloud)["faults"] == []


def test_a_replaced_machine_keeps_its_own_address() -> None:
    assert told(made(), confirm_replace=["lb1"], user_data={"lb1": "other"})[0] == (
        "change  floating address lb1: attach"
    )


def test_an_address_that_somebody_has_attached_is_described_before_a_replacement() -> None:
    """A run after one that was cut off could not know whose it was."""
    replace: Data = {"confirm_replace": ["lb1"], "user_data": {"lb1": "other"}}
    cloud = made()
    cloud["floating_ips"] = [theirs(port_id="port-id-lb1")]
    assert faults(cloud, **replace) == (
        f"lb1 has {ADDRESS}, which is not the platform's; to keep it while the machine is replaced,"
        f" describe it: floating_ip: {ADDRESS}"
    )
    assert told(cloud, GIVEN, **replace)[0] == "change  floating address lb1: attach"
    cloud["floating_ips"][0]["description"] = "bookface_platform=p machine=balancer"
    assert "which is marked as that of balancer; to keep it" in faults(cloud, **replace)


def test_a_named_address_is_attached_and_stays_the_project_s() -> None:
    cloud = copy.deepcopy(EMPTY) | {"floating_ips": [theirs()]}
    steps = plan(cloud, GIVEN)["make"]["floating_address"]
    assert [(step["do"], step["id"]) for step in steps] == [("change", f"id-{ADDRESS}")]
    cloud = made() | {"floating_ips": [theirs(port_id="port-id-lb1")]}
    assert plan(cloud, GIVEN)["lines"] == []
    assert not [step for step in _removed(cloud) if step["kind"] == "floating address"]


def _removed(cloud: Data) -> list[Data]:
    return list(FILTERS["openstack_removal"](cloud, "p", False)["steps"])


def test_a_named_address_has_to_be_free() -> None:
    cloud = made() | {"floating_ips": []}
    says = f"lb1 has the floating_ip {ADDRESS}, which is not allocated to the project; its"
    assert says in faults(cloud, GIVEN)
    cloud["floating_ips"] = [theirs(port_id="port-id-swarm1")]
    assert "which is attached to swarm1; detach it first" in faults(cloud, GIVEN)
    cloud["floating_ips"] = [theirs(), theirs("203.0.113.8", port_id="port-id-lb1")]
    assert "but has 203.0.113.8; detach that first" in faults(cloud, GIVEN)
    cloud["floating_ips"] = [theirs(port_id="port-x")]
    cloud["ports"].append(port("vm9", id="port-x"))
    assert "which is attached to the port port-x" in faults(cloud, GIVEN)


def test_the_address_of_a_renamed_machine_is_not_given_away() -> None:
    cloud = made()
    cloud["floating_ips"][0]["description"] = "bookface_platform=p machine=balancer"
    assert plan(cloud, confirm_remove=["balancer"])["lines"] == []
    cloud["floating_ips"][0]["port_id"] = None
    assert "remove  floating address balancer: 203.0.113.9" in told(
        cloud, confirm_remove=["balancer"]
    )


def test_a_machine_with_the_old_name_of_another_gets_an_address_of_its_own() -> None:
    cloud = made()
    cloud["servers"][0]["name"] = "lb9"
    described = [*DESCRIBED, DESCRIBED[0] | {"name": "lb9"}]
    asked: Data = {"confirm_create": ["lb1"]}
    assert told(cloud, described, **asked)[0] == "create  floating address lb1: from public"
    # A run that was cut off after that has left one: it is taken.
    old = cloud["floating_ips"][0]
    cloud["floating_ips"] = [old | {"id": "new", "address": "203.0.113.8", "port_id": None}, old]
    (step, *_) = plan(cloud, described, **asked)["make"]["floating_address"]
    assert (step["do"], step["name"], step["id"]) == ("change", "lb1", "new")


def test_a_named_address_that_the_platform_has_allocated_goes_with_it_unless_its_mark_goes() -> (
    None
):
    (line,) = plan(made(), GIVEN)["left"]
    assert line == (
        f"floating address lb1 ({ADDRESS}): it is the platform's and is released with it; to keep"
        " it: openstack floating ip set --description '' fip"
    )
    # Not attached yet, it is no surplus.
    cloud = made()
    cloud["floating_ips"][0]["port_id"] = None
    assert told(cloud, GIVEN, confirm_remove=["lb1"]) == ["change  floating address lb1: attach"]
