"""A floating address that is held at another machine: moving, holding, giving back."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import (
    Hold,
    hold_in,
    with_hold,
    without_hold,
)

from .cloud import DESCRIBED, FILTERS, MARK, PUBLIC, Data, made, plan, port, server, thing
from .cloud import machines as read

NOW, LATER = "2026-11-30T22:00:00Z", "2026-12-01T08:00:00Z"
HELD = f"bookface_held=p/swarm1/{NOW}"
LB2: Data = {"name": "lb2", "groups": ["loadbalancers"], "floating_ip": True}


# What openstack_platform_info has of the subsets servers and network.
SUBSET = (
    "project_id", "user_id", "servers", "networks", "subnets", "routers", "security_groups",
    "floating_ips", "ports",
)  # fmt: skip


def move(cloud: Data, described: list[Data] = DESCRIBED, now: str = NOW, **asked: Any) -> Data:
    return dict(
        FILTERS["openstack_move"](
            read(described),
            "p",
            {key: cloud[key] for key in SUBSET},
            network="",
            external="public",
            now=now,
            **asked,
        )
    )


def after(cloud: Data, moved: Data, requests: int = 9) -> Data:
    """The cloud when so many requests of a plan are done, and the run was killed then."""
    assert moved["faults"] == []
    then = copy.deepcopy(cloud)
    steps = [*moved["before"], *moved["address"], *moved["after"]]
    for step in steps[:requests]:
        for one in then["ports"]:
            if one["id"] == step["id"]:
                one["security_group_ids"] = step["groups"]
        for one in then["floating_ips"]:
            if one["id"] == step["id"]:
                one |= step["attributes"]
    return then


def held(described: list[Data] = DESCRIBED) -> Data:
    return after(made(), move(made(), described, to="swarm1"))


def fault(cloud: Data, *more: Any, **asked: Any) -> str:
    """Why nothing is done, in one message."""
    moved = move(cloud, *more, **asked)
    assert (moved["steps"], len(moved["faults"])) == (0, 1), moved
    return str(moved["faults"][0])


@pytest.mark.parametrize("description", ["", MARK, f"{MARK} machine=lb1", "of the course,  mine"])
def test_a_hold_is_added_to_a_description_and_removed_again(description: str) -> None:
    hold = Hold("p", "swarm1", NOW)
    text = with_hold(with_hold(description, Hold("p", "lb2", LATER)), hold)
    assert text.split()[-1] == HELD
    assert hold_in(text) == hold
    assert without_hold(text) == description
    assert hold_in(description) is None


def test_one_request_moves_the_address_and_records_the_hold() -> None:
    moved = move(made(), to="swarm1")
    assert moved["address"] == [
        {
            "id": "fip",
            "address": "203.0.113.9",
            "moved": True,
            "attributes": {
                "id": "fip",
                "port_id": "port-id-swarm1",
                "description": f"{MARK} machine=lb1 {HELD}",
            },
        }
    ]
    assert moved["places"] == [{"address": "203.0.113.9", "at": "swarm1"}]
    # The same clients as before reach it there.
    assert moved["before"][0]["groups"] == ["id-p", "id-p-swarm_managers", "id-p-loadbalancers"]
    assert moved["lines"][:2] == [
        "change  security groups of server swarm1: + p-loadbalancers",
        "change  floating address lb1 (203.0.113.9): from lb1 to swarm1, held at swarm1 until"
        " floating_address.yml -e release=true",
    ]
    assert "it is not in loadbalancers" in moved["lines"][2]


def test_a_second_move_there_changes_nothing_and_keeps_the_time() -> None:
    again = move(held(), now=LATER, to="swarm1")
    assert again["steps"] == 0
    assert f"hold    floating address lb1 (203.0.113.9): at swarm1 since {NOW}" in again["lines"]


@pytest.mark.parametrize("requests", [0, 1, 2])
def test_a_move_that_was_killed_is_continued(requests: int) -> None:
    killed = after(made(), move(made(), to="swarm1"), requests)
    assert after(killed, move(killed, to="swarm1")) == held()
    if requests < 2:
        # Nothing is held: what it had added goes.
        assert after(killed, move(killed, release=True)) == made()


@pytest.mark.parametrize("requests", [0, 1, 2])
def test_a_release_that_was_killed_is_continued(requests: int) -> None:
    killed = after(held(), move(held(), release=True), requests)
    assert after(killed, move(killed, release=True)) == made()
    assert move(made(), release=True)["steps"] == 0


def test_back_to_its_own_machine_is_a_release() -> None:
    assert after(held(), move(held(), to="lb1")) == made()
    assert move(made(), to="lb1")["steps"] == 0


def test_from_one_holder_to_another() -> None:
    described = [*DESCRIBED, {"name": "web1", "groups": ["legacy_web"]}]
    cloud = held()
    cloud["servers"].append(server("web1", "legacy_web"))
    cloud["ports"].append(port("id-web1", "p"))
    then = after(cloud, move(cloud, described, LATER, to="web1"))
    assert then["floating_ips"][0]["description"].endswith(f"bookface_held=p/web1/{LATER}")
    groups = {one["device_id"]: one["security_group_ids"] for one in then["ports"]}
    assert groups["id-swarm1"] == ["id-p", "id-p-swarm_managers"]
    assert groups["id-web1"] == ["id-p", "id-p-loadbalancers"]


@pytest.mark.parametrize("given", [True, "203.0.113.9"])
def test_an_address_stays_held_where_it_serves_until_its_machine_can_have_it(given: Any) -> None:
    described = [DESCRIBED[0] | {"floating_ip": given}, DESCRIBED[1]]
    cloud = held(described)
    cloud["servers"][0]["status"] = "SHUTOFF"
    assert fault(cloud, described, release=True) == (
        "the floating address lb1 (203.0.113.9) cannot go back yet: lb1 is SHUTOFF, expected"
        " ACTIVE. It stays held at swarm1. Release it again when lb1 can take it"
    )
    assert fault(cloud, described, to="lb1").startswith("to is lb1, which is SHUTOFF, expected")
    cloud["servers"].pop(0)
    says = "lb1 does not exist; provision.yml makes it"
    assert says in fault(cloud, described, release=True)
    # Nothing stands in the way of that.
    whole = plan(cloud, described)
    assert (whole["faults"], [step["name"] for step in whole["steps"]]) == ([], ["lb1"])


def test_the_hold_of_a_machine_that_is_no_longer_described_ends() -> None:
    lb2 = [LB2, DESCRIBED[1]]
    cloud = held()
    moved = move(cloud, lb2, release=True)
    assert moved["lines"] == [
        "change  floating address lb1 (203.0.113.9): no longer held, stays at swarm1, because lb1"
        " is no longer described"
    ]
    then = after(cloud, moved)
    (address,) = then["floating_ips"]
    assert (address["port_id"], address["description"]) == ("port-id-swarm1", f"{MARK} machine=lb1")
    # Its clients still reach it.
    assert then["ports"] == cloud["ports"]
    cloud["floating_ips"][0]["port_id"] = None
    # None would arrive in the cloud as an empty string.
    assert "port_id" not in move(cloud, lb2, release=True)["address"][0]["attributes"]


def test_without_a_hold_a_release_says_so() -> None:
    says = ["leave   floating addresses: none is held"]
    assert move(made(), release=True)["lines"] == says
    says = ["leave   floating address lb1 (203.0.113.9): it is not held"]
    assert move(made(), release=True, of="lb1")["lines"] == says


def test_the_next_run_awaits_what_a_killed_one_has_moved() -> None:
    """The list of servers shows it later."""
    at_swarm1 = [{"address": "203.0.113.9", "at": "swarm1"}]
    killed = after(made(), move(made(), to="swarm1"))
    assert (move(killed, to="swarm1")["steps"], move(killed, to="swarm1")["places"]) == (
        0, at_swarm1,
    )  # fmt: skip
    assert move(held(), release=True)["places"] == [{"address": "203.0.113.9", "at": "lb1"}]
    assert move(made(), release=True)["places"] == [{"address": "203.0.113.9", "at": "lb1"}]


def test_a_machine_that_was_renamed_has_its_address() -> None:
    described = [DESCRIBED[0] | {"name": "lb9"}, DESCRIBED[1]]
    cloud = made()
    cloud["servers"][0]["name"] = "lb9"
    moved = after(cloud, move(cloud, described, to="swarm1"))
    assert moved["floating_ips"][0]["description"] == f"{MARK} machine=lb9 {HELD}"
    back = after(moved, move(moved, described, release=True))
    assert back["floating_ips"][0]["port_id"] == "port-id-lb1"


def test_a_holder_that_was_renamed_still_holds() -> None:
    described = [DESCRIBED[0], DESCRIBED[1] | {"name": "swarm9"}]
    cloud = held()
    cloud["servers"][1]["name"] = "swarm9"
    whole = plan(cloud, described)
    assert [line for line in whole["lines"] if "floating" in line] == [
        f"hold    floating address lb1 (203.0.113.9): held at swarm9 since {NOW}; to give it back:"
        " floating_address.yml -e release=true"
    ]
    assert "p-loadbalancers" in whole["servers"]["swarm9"]["security_groups"]


def test_an_address_whose_machine_is_no_longer_described_can_be_named() -> None:
    described = [LB2, DESCRIBED[1]]
    assert move(made(), described, to="swarm1", of="203.0.113.9")["address"][0]["id"] == "fip"


def test_only_security_groups_that_a_hold_has_added_are_taken_away() -> None:
    """provision.yml has not run yet since the description was changed."""
    cloud = made()
    cloud["servers"][1]["metadata"]["bookface_groups"] = "swarm_managers,loadbalancers,caches"
    cloud["security_groups"].append(thing("p-caches", rules=[]))
    cloud["ports"][1]["security_group_ids"] += ["id-p-loadbalancers", "id-p-caches"]
    moved = after(cloud, move(cloud, to="swarm1"))
    assert moved["ports"] == cloud["ports"]
    assert after(moved, move(moved, release=True)) == cloud


def test_security_groups_of_others_stay_on_the_ports() -> None:
    cloud = made()
    cloud["security_groups"].append(thing("theirs", description="", rules=[]))
    for one in cloud["ports"]:
        one["security_group_ids"].append("id-theirs")
    moved = after(cloud, move(cloud, to="swarm1"))
    assert [one for one in moved["ports"] if "id-theirs" not in one["security_group_ids"]] == []
    assert after(moved, move(moved, release=True)) == cloud


# What is refused.


def test_what_is_asked_for_has_to_be_clear() -> None:
    says = "expected either -e to=NAME, to move the address to one of lb1, swarm1, or -e release"
    assert says in fault(made())
    assert says in fault(made(), to="swarm1", release=True)
    assert fault(made(), to="swarm9") == (
        "to is swarm9, which is not described in openstack_vms. Machines that can take it: swarm1"
    )
    assert "of is web1, which is no floating address of the platform" in fault(
        made(), to="swarm1", of="web1"
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "other"}, "does not exist; provision.yml makes it"),
        ({"metadata": {}}, "does not exist"),
        ({"status": "ERROR"}, "is ERROR, expected ACTIVE"),
        ({"id": "on-another-network"}, "has no port on the network of the platform"),
    ],
)
def test_a_machine_that_cannot_take_it(change: Data, says: str) -> None:
    cloud = made()
    cloud["servers"][1] |= change
    assert f"to is swarm1, which {says}" in fault(cloud, to="swarm1")
    assert fault(cloud, to="swarm1").endswith("Machines that can take it: none")


def test_a_machine_has_one_floating_address() -> None:
    cloud = made()
    cloud["floating_ips"].append(
        thing("203.0.113.8", address="203.0.113.8", port_id="port-id-swarm1", description="")
    )
    assert "which has the floating address 203.0.113.8, and can have only one" in fault(
        cloud, to="swarm1"
    )


def test_a_network_has_to_have_a_way_out() -> None:
    cloud = made() | {"networks": [PUBLIC]}
    assert "the network p of the platform does not exist" in fault(cloud, to="swarm1")
    cloud = made()
    cloud["routers"][0]["gateway"] = ""
    assert "no router connects the network p to public" in fault(cloud, to="swarm1")


def test_of_several_addresses_that_of_the_load_balancer_is_meant_unless_named() -> None:
    described = [DESCRIBED[0], DESCRIBED[1], {"name": "db1", "groups": ["databases"]}]
    described[2] |= {"floating_ip": True}
    cloud = made()
    other = thing(
        "b", id="b", address="203.0.113.7", port_id=None, description=f"{MARK} machine=db1"
    )
    cloud["floating_ips"].append(other)
    assert move(cloud, described, to="swarm1")["address"][0]["id"] == "fip"
    for of in ("db1", "203.0.113.7"):
        assert move(cloud, described, to="swarm1", of=of)["address"][0]["id"] == "b"
    described[2] = LB2
    other["description"] = f"{MARK} machine=lb2"
    assert fault(cloud, described, to="swarm1") == (
        "the platform has several floating addresses. Name the one: -e of=lb1; -e of=lb2"
    )


# The addresses of others.


def test_an_address_that_somebody_has_attached_is_not_touched() -> None:
    cloud = made()
    cloud["floating_ips"][0]["description"] = "theirs"
    assert fault(cloud, to="swarm1").endswith(
        "lb1 has 203.0.113.9, which somebody has attached; to make it the one that is moved,"
        " describe it: floating_ip: 203.0.113.9"
    )


def test_a_described_address_keeps_its_description_and_stays_the_project_s() -> None:
    given = [DESCRIBED[0] | {"floating_ip": "203.0.113.9"}, DESCRIBED[1]]
    cloud = made()
    cloud["floating_ips"][0]["description"] = "of the course"
    then = after(cloud, move(cloud, given, to="swarm1"))
    assert then["floating_ips"][0]["description"] == f"of the course {HELD}"
    assert plan(then, given)["steps"] == []
    # The removal of the platform takes the hold away, and leaves the address.
    removal = FILTERS["openstack_removal"](then, "p", False)
    assert "release floating address swarm1: 203.0.113.9, held there; it stays" in removal["lines"]
    assert removal["freed"]["addresses"] == [
        {"id": "fip", "name": "203.0.113.9", "description": "of the course"}
    ]
    assert after(then, move(then, given, release=True)) == cloud


def test_a_described_address_at_a_server_of_others_stays_there() -> None:
    given = [DESCRIBED[0] | {"floating_ip": "203.0.113.9"}, DESCRIBED[1]]
    cloud = made()
    cloud["servers"].append(server("vm9", "") | {"metadata": {}})
    cloud["ports"].append(port("id-vm9"))
    cloud["floating_ips"][0] |= {"description": "", "port_id": "port-id-vm9"}
    assert "is attached to the server vm9, which is not the platform's" in fault(
        cloud, given, to="swarm1"
    )


def test_a_description_that_is_too_long_is_refused() -> None:
    given = [DESCRIBED[0] | {"floating_ip": "203.0.113.9"}, DESCRIBED[1]]
    cloud = made()
    cloud["floating_ips"][0]["description"] = "x" * 240
    assert "and the cloud takes 255: shorten it" in fault(cloud, given, to="swarm1")


# What provision.yml and deprovision.yml make of it.


def test_provisioning_leaves_a_held_address_and_says_so() -> None:
    whole = plan(held())
    assert whole["steps"] == []
    assert whole["lines"] == [
        f"hold    floating address lb1 (203.0.113.9): held at swarm1 since {NOW}; to give it back:"
        " floating_address.yml -e release=true"
    ]


def test_a_load_balancer_that_is_gone_is_made_again_without_its_address() -> None:
    cloud = held()
    cloud["servers"].pop(0)
    steps = [line for line in plan(cloud)["lines"] if not line.startswith("hold")]
    assert steps == ["create  server lb1: debian-12, small"]


def test_a_replaced_load_balancer_does_not_get_it_either() -> None:
    whole = plan(held(), confirm_replace=["lb1"], user_data={"lb1": "other"})
    assert [step["kind"] for step in whole["steps"] if step["name"] == "lb1"] == ["server"]


def test_a_new_machine_in_the_place_of_the_holder_gets_it_again() -> None:
    cloud = held()
    cloud["servers"].pop(1)
    cloud["floating_ips"][0]["port_id"] = None
    whole = plan(cloud)
    assert whole["lines"][0] == (
        f"change  floating address swarm1: attach that of lb1, held since {NOW}"
    )
    assert whole["make"]["floating_address"][0]["id"] == "fip"
    assert whole["servers"]["swarm1"]["security_groups"] == [
        "p", "p-swarm_managers", "p-loadbalancers",
    ]  # fmt: skip


def test_a_holder_gets_no_second_address() -> None:
    """The cloud would refuse it, and end the run."""
    described = [DESCRIBED[0], DESCRIBED[1] | {"floating_ip": True}]
    whole = plan(held(), described)
    assert whole["steps"] == []
    assert whole["left"] == [
        "floating address swarm1: it holds that of another machine, and gets one of its own when"
        " that is given back"
    ]


def test_an_address_that_somebody_has_taken_is_not_taken_back() -> None:
    given = [DESCRIBED[0] | {"floating_ip": "203.0.113.9"}, DESCRIBED[1]]
    cloud = made()
    cloud["floating_ips"][0]["description"] = ""
    cloud = after(cloud, move(cloud, given, to="swarm1"))
    cloud["servers"].append(server("vm9", "") | {"metadata": {}})
    cloud["ports"].append(port("id-vm9"))
    cloud["floating_ips"][0]["port_id"] = "port-id-vm9"
    whole = plan(cloud, given)
    assert whole["faults"] == [
        f"the floating address lb1 (203.0.113.9): held at swarm1 since {NOW}, but is attached to"
        " the server vm9, which is not the platform's. Detach it there first"
    ]


def test_a_holder_that_has_another_address_is_refused_before_anything_changes() -> None:
    cloud = held()
    cloud["floating_ips"][0]["port_id"] = None
    cloud["floating_ips"].append(
        thing("b", address="203.0.113.8", port_id="port-id-swarm1", description="")
    )
    (fault,) = plan(cloud)["faults"]
    assert "which has 203.0.113.8, and can have only one. Detach that first, or give" in fault


def test_a_holder_that_is_gone_for_good_is_told() -> None:
    cloud = held()
    cloud["servers"].pop(1)
    cloud["floating_ips"][0]["port_id"] = None
    whole = plan(cloud, DESCRIBED[:1])
    assert [line for line in whole["lines"] if line.startswith("hold")] == [
        f"hold    floating address lb1 (203.0.113.9): held at swarm1 since {NOW}, which does not"
        " have it: nobody is served there. To give it back: floating_address.yml -e release=true"
    ]
    assert after(cloud, move(cloud, DESCRIBED[:1], release=True))["floating_ips"][0][
        "port_id"
    ] == "port-id-lb1"  # fmt: skip


def test_a_holder_is_not_removed_under_the_address() -> None:
    (fault,) = plan(held(), DESCRIBED[:1], confirm_remove=["swarm1"])["faults"]
    assert fault.startswith(
        "confirm_remove names swarm1, which holds the floating address lb1 (203.0.113.9). Give that"
    )


def test_an_address_whose_machine_is_no_longer_described_is_not_released_under_the_holder() -> None:
    whole = plan(held(), DESCRIBED[1:], confirm_remove=["lb1"])
    assert not [step for step in whole["steps"] if step["kind"] == "floating address"]
    assert "held at swarm1" in whole["lines"][-1]
    assert "lb1 is no longer described" in whole["lines"][-1]


def test_the_holds_of_another_platform_are_nothing_to_us() -> None:
    cloud = made()
    cloud["floating_ips"].append(
        thing("b", address="203.0.113.7", port_id=None,
              description=f"bookface_platform=q machine=lb1 bookface_held=q/swarm1/{NOW}")
    )  # fmt: skip
    assert plan(cloud)["lines"] == []
    assert move(cloud, release=True)["steps"] == 0


def test_removal_takes_a_held_address() -> None:
    removal = FILTERS["openstack_removal"](held(), "p", False)
    assert removal["faults"] == []
    assert "remove  floating address lb1: 203.0.113.9" in removal["lines"]


def test_a_new_place_is_awaited_in_the_list_of_servers() -> None:
    unseen = FILTERS["openstack_unseen"]
    assert unseen(read(), "p", held()) == ["swarm1"]
