"""A description compared with a cloud: every difference, and what never happens by itself."""

from __future__ import annotations

import copy

import pytest

from .cloud import (
    DESCRIBED,
    EMPTY,
    FILTERS,
    PUBLIC,
    RULES,
    VOLUME,
    WITH_VOLUME,
    Data,
    faults,
    made,
    plan,
    thing,
    told,
)


def test_everything_is_made_in_the_order_in_which_it_is_needed() -> None:
    assert [" ".join(line.split()) for line in told(EMPTY)] == [
        "create keypair bookface_platform-p",
        "create network p",
        "create subnet p: 192.0.2.0/24",
        "create router p: to public",
        "create security group p: nothing in",
        "create security group p-loadbalancers: tcp 80 from 0.0.0.0/0",
        "create security group p-swarm_managers: tcp 8080 from p-loadbalancers",
        "create server group bookface_platform-p-swarm: soft-anti-affinity",
        "create floating address lb1: from public",
        "create server lb1: debian-12, small",
        "create server swarm1: debian-12, small",
    ]


def test_nothing_is_to_be_done_twice() -> None:
    assert plan(made())["lines"] == []


@pytest.mark.parametrize(
    ("part", "step"),
    [
        ("keypairs", "create  keypair bookface_platform-p"),
        ("server_groups", "create  server group bookface_platform-p-swarm: soft-anti-affinity"),
        ("floating_ips", "create  floating address lb1: from public"),
        ("routers", "create  router p: to public"),
    ],
)
def test_what_an_interrupted_run_did_not_reach_is_made(part: str, step: str) -> None:
    assert told(made() | {part: []}) == [step]


def test_a_half_connected_router_is_connected() -> None:
    cloud = made()
    cloud["routers"][0]["subnets"] = []
    assert told(cloud) == ["change  router p: connect the subnet"]


def test_an_address_that_was_not_yet_attached_is() -> None:
    cloud = made()
    cloud["floating_ips"][0]["port_id"] = None
    assert told(cloud) == ["change  floating address lb1: attach"]


def test_rules_are_set_right() -> None:
    cloud = made()
    cloud["security_groups"][1]["rules"][0] |= {"port_range_min": 22, "port_range_max": 22}
    assert told(cloud) == [
        "change  security group p-loadbalancers: + tcp 80 from 0.0.0.0/0; - tcp 22 from 0.0.0.0/0"
    ]


def test_an_address_is_seen_when_the_server_shows_it() -> None:
    found = FILTERS["openstack_machines"](DESCRIBED, "p", image="i", flavor="f", suite="s")
    cloud = made()
    assert FILTERS["openstack_unseen"](found, "p", cloud) == ["lb1"]
    cloud["servers"][0]["addresses"].append("203.0.113.9")
    assert FILTERS["openstack_unseen"](found, "p", cloud) == []
    # Nobody waits for what is not attached, or for machines that are not there.
    cloud["servers"][0]["addresses"] = ["203.0.113.7"]
    cloud["floating_ips"][0]["port_id"] = None
    assert FILTERS["openstack_unseen"](found, "p", cloud) == []
    assert FILTERS["openstack_unseen"](found, "p", made() | {"servers": []}) == []


def test_a_machine_that_is_replaced_keeps_its_address() -> None:
    wanted = [DESCRIBED[0] | {"flavor": "large"}, DESCRIBED[1]]
    assert told(made(), wanted, confirm_replace=["lb1"]) == [
        "change  floating address lb1: attach",
        "replace server lb1: flavor small -> large",
    ]


def test_confirmations_of_strangers_are_mistakes() -> None:
    assert "confirm_replace names lb2" in faults(made(), confirm_replace=["lb2"])


def test_what_is_described_no_more_stays_until_it_is_named() -> None:
    without = DESCRIBED[1:]
    left = plan(made(), without, rules={k: v for k, v in RULES.items() if k != "p-loadbalancers"})
    assert left["faults"] == []
    told_of = "\n".join(left["left"])
    assert "server lb1 (ACTIVE): no longer described; -e confirm_remove=lb1" in told_of
    assert "floating address lb1 (203.0.113.9): no longer described" in told_of
    assert "security group p-loadbalancers: no machine is in its group" in told_of
    assert told(made(), without, confirm_remove=["lb1"]) == [
        "remove  floating address lb1: 203.0.113.9",
        "remove  server lb1: ACTIVE",
    ]


@pytest.mark.parametrize(
    ("part", "kind"),
    [("subnets", "subnet"), ("routers", "router"), ("security_groups", "security group")],
)
def test_what_has_our_name_and_not_our_mark_is_left_alone(part: str, kind: str) -> None:
    cloud = made()
    cloud[part][0]["description"] = "mine"
    assert any(f"the {kind} p (" in fault and "is not ours" in fault
               for fault in plan(cloud)["faults"])  # fmt: skip


def test_things_of_other_projects_do_not_count() -> None:
    cloud = copy.deepcopy(EMPTY)
    cloud["networks"].append(thing("p", project_id="them", external=False))
    assert "create  network p" in told(cloud)


@pytest.mark.parametrize(
    ("described", "says"),
    [
        (
            {"image": "nosuch"},
            "there is no image nosuch for swarm1; the cloud has debian-12, debian-13",
        ),
        ({"flavor": "huge"}, "there is no flavor huge; the cloud has large, small"),
        ({"volume": 10}, "the cloud has no block storage"),
    ],
)
def test_what_the_cloud_does_not_have(described: Data, says: str) -> None:
    assert says in faults(EMPTY, [DESCRIBED[0], DESCRIBED[1] | described])


def test_an_image_that_is_there_twice() -> None:
    assert "there are 2 images debian-12 (a, b)" in faults(
        EMPTY | {"images": {"debian-12": ["a", "b"]}}
    )


def test_an_image_that_is_gone_does_not_matter_to_what_runs() -> None:
    assert told(made() | {"images": {}}) == []


def test_networks_that_are_not_there() -> None:
    assert (
        "openstack_external_network is out; the external networks of the cloud: public"
        in faults(EMPTY, external="out")
    )
    says = "openstack_network is nosuch: expected one network of that name, the cloud has 0"
    assert any(says in fault for fault in plan(EMPTY, network="nosuch")["faults"])


def test_an_existing_network_is_used_and_none_is_made() -> None:
    cloud = copy.deepcopy(EMPTY)
    cloud["networks"].append(PUBLIC | {"id": "n9", "name": "course", "external": False})
    assert not [line for line in told(cloud, network="course") if "network p" in line]


@pytest.mark.parametrize(
    ("what", "limit", "says"),
    [
        (
            "instances",
            (9, 10),
            "the quota is 10 instances, 9 are in use, and the plan needs 2 more",
        ),
        ("cores", (0, 1), "the quota is 1 cores, 0 are in use, and the plan needs 2 more"),
        (
            "ram",
            (0, 4095),
            "the quota is 4095 MB of RAM, 0 are in use, and the plan needs 4096 more",
        ),
        ("floating addresses", (5, 5), "the quota is 5 floating addresses"),
    ],
)
def test_a_quota_is_told_before_anything_is_made(
    what: str, limit: tuple[int, int], says: str
) -> None:
    assert says in faults(EMPTY | {"limits": EMPTY["limits"] | {what: limit}})
    enough = EMPTY["limits"] | {what: (limit[0], -1)}
    assert told(EMPTY | {"limits": enough})


def test_what_is_replaced_counts_only_by_the_difference() -> None:
    wanted = [DESCRIBED[0], DESCRIBED[1] | {"flavor": "large"}]
    limits = {"instances": (2, 2), "cores": (2, 9), "ram": (4096, 51200)}
    assert told(made() | {"limits": limits}, wanted, confirm_replace=["swarm1"])
    limits["cores"] = (2, 8)
    refused = faults(made() | {"limits": limits}, wanted, confirm_replace=["swarm1"])
    assert "the quota is 8 cores, 2 are in use, and the plan needs 7 more" in refused


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"cidr": "198.51.100.0/24"}, "but the subnet has 192.0.2.0/24"),
        ({"public_key": "ssh-ed25519 BBBB me"}, "holds another key than openstack_public_key_file"),
        ({"swarm_policy": "anti-affinity"}, "the server group has soft-anti-affinity"),
    ],
)
def test_what_cannot_be_changed_is_refused(settings: Data, says: str) -> None:
    assert says in faults(made(), **settings)


def test_name_servers_can_be_changed() -> None:
    assert told(made(), nameservers=["192.0.2.53"]) == ["change  subnet p: name servers 192.0.2.53"]


def test_volumes_are_made_and_kept() -> None:
    # The disk's part of the user data belongs to the machine's first boot.
    storage = EMPTY | {"block_storage": True}
    assert "create  volume swarm1: 10 GB" in told(storage, WITH_VOLUME)
    there = storage | {"volumes": [VOLUME]}
    assert not [line for line in told(there, WITH_VOLUME) if "volume" in line]
    assert plan(there)["left"] == ["volume p-swarm1 (10 GB): no longer described"]


@pytest.mark.parametrize(
    ("volume", "says"),
    [({"size": 20}, "has 20 GB, expected 10 GB"), ({"platform": ""}, "is not ours; rename it")],
)
def test_a_volume_is_never_changed(volume: Data, says: str) -> None:
    cloud = EMPTY | {"block_storage": True, "volumes": [VOLUME | volume]}
    assert says in faults(cloud, WITH_VOLUME)
