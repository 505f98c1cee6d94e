"""A description compared with a cloud: every difference, and what never happens by itself."""

from __future__ import annotations

import copy

import pytest

from .cloud import (
    COURSE,
    DESCRIBED,
    EMPTY,
    FILTERS,
    RULES,
    VOLUME,
    WITH_VOLUME,
    Data,
    faults,
    made,
    plan,
    port,
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


@pytest.mark.parametrize(
    ("network", "says"),
    [
        ({"port_security": False}, "whose port security is off"),
        ({"subnets": []}, "which has no subnet"),
        ({"project_id": "me"}, "which no router connects to public: lb1 could get no"),
    ],
)
def test_a_network_on_which_machines_could_not_be_is_found_before(network: Data, says: str) -> None:
    cloud = copy.deepcopy(EMPTY)
    cloud["networks"].append(COURSE | network)
    assert says in faults(cloud, network="course")


def test_a_router_leads_to_the_external_network() -> None:
    cloud = copy.deepcopy(EMPTY)
    cloud["networks"].append(COURSE | {"project_id": "me"})
    cloud["routers"] = [thing("r", id="rtr", subnets=["s9"], gateway="elsewhere", description="")]
    way = port("rtr", device_owner="network:router_interface", network="course", network_id="n9")
    cloud["ports"] = [way]
    assert "no router connects to public" in faults(cloud, network="course")
    cloud["routers"][0]["gateway"] = "n0"
    assert plan(cloud, network="course")["faults"] == []
    # Without a floating address it does not matter.
    inside = [DESCRIBED[0] | {"floating_ip": False}, DESCRIBED[1]]
    assert plan(cloud | {"ports": []}, inside, network="course")["faults"] == []


def test_a_flavor_without_a_disk_needs_a_volume() -> None:
    cloud = copy.deepcopy(EMPTY)
    cloud["flavors"]["small"]["disk"] = 0
    assert "the flavor small of lb1, swarm1 has no disk" in faults(cloud)
    booting = [one | {"boot_from_volume": True} for one in DESCRIBED]
    assert "lb1, swarm1 would boot from a volume, but the" in faults(cloud, booting)
    assert "create  server lb1: debian-12, small, boot volume of 20 GB" in told(
        cloud | {"block_storage": True}, booting
    )
    assert plan(made() | {"flavors": cloud["flavors"]})["faults"] == []


def test_user_data_over_the_limit_is_found_before() -> None:
    fits, more = "x" * 49149, "x" * 49152
    assert plan(EMPTY, user_data={"swarm1": fits})["faults"] == []
    says = "the user data of swarm1 has 65536 bytes in base64; the cloud takes 65535"
    assert says in faults(EMPTY, user_data={"swarm1": more})


def test_an_availability_zone_has_to_exist() -> None:
    def described(zone: str) -> list[Data]:
        return [DESCRIBED[0] | {"availability_zone": zone}, DESCRIBED[1]]

    assert "create  server lb1: debian-12, small, in nova" in told(EMPTY, described("nova"))
    assert "no availability zone moon; the cloud has nova" in faults(EMPTY, described("moon"))
    # A cloud that does not show them is believed.
    assert plan(EMPTY | {"zones": []}, described("moon"))["faults"] == []


def test_quotas_that_a_cloud_does_not_show_are_not_checked() -> None:
    left = plan(EMPTY | {"limits": {}})
    assert left["faults"] == []
    assert left["left"] == [
        "quotas: the cloud does not show them to this account, so nobody checks them"
    ]
    assert plan(made() | {"limits": {}})["lines"] == []


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


def test_of_two_images_the_newest_is_used_and_named() -> None:
    cloud = EMPTY | {"images": {"debian-12": ["new", "old"]}}
    assert "create  server lb1: debian-12 (the newest of 2: new), small" in told(cloud)
    assert plan(cloud)["servers"]["lb1"]["image_id"] == "new"
    # A server of the older one is not replaced.
    cloud = made() | {"images": {"debian-12": ["i12-new", "i12"]}}
    cloud["servers"][0]["metadata"]["bookface_image"] = "another name"
    assert told(cloud) == []


def test_ids_are_taken_in_the_place_of_names() -> None:
    wanted = [DESCRIBED[0] | {"image": "i13", "flavor": "f2"}, DESCRIBED[1]]
    new = plan(EMPTY, wanted, external="n0")
    assert new["faults"] == []
    assert new["servers"]["lb1"]["image_id"] == "i13"
    # Both mean what the servers have.
    same = [one | {"image": "i12", "flavor": "f1"} for one in DESCRIBED]
    assert told(made(), same) == []
    limits = {"instances": (0, 9), "cores": (0, 8), "ram": (0, 51200)}
    assert "the plan needs 9 more" in faults(EMPTY | {"limits": limits}, wanted)


def test_a_network_is_chosen_by_id() -> None:
    cloud = copy.deepcopy(EMPTY)
    cloud["networks"] += [COURSE, COURSE | {"id": "n10"}]
    assert plan(cloud, network="n10")["network"] == "n10"
    assert plan(cloud, network="n10")["faults"] == []
    says = "the cloud has 2 networks of that name. Give the id of one: n9, n10"
    assert says in faults(cloud, network="course")


def test_an_image_that_is_gone_does_not_matter_to_what_runs() -> None:
    assert told(made() | {"images": {}}) == []


def test_networks_that_are_not_there() -> None:
    assert (
        "openstack_external_network is out; the external networks of the cloud: public"
        in faults(EMPTY, external="out")
    )
    says = "openstack_network is nosuch: the cloud has no network of that name or id"
    assert any(says in fault for fault in plan(EMPTY, network="nosuch")["faults"])


def test_an_existing_network_is_used_and_none_is_made() -> None:
    cloud = copy.deepcopy(EMPTY)
    cloud["networks"].append(COURSE)
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
