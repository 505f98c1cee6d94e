"""A description and a cloud compared: every difference, and what may never happen by itself."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from ansible_collections.bookface.platform.plugins.filter.openstack_plan import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.openstack.plan import (
    digest,
    user_data,
)
from hypothesis import given
from hypothesis import strategies as st

FILTERS = FilterModule().filters()
Data = dict[str, Any]
MARK = "bookface_platform=p"
KEY = "ssh-ed25519 AAAA me@here"
RULES = {
    "p": [{"direction": "egress", "ether_type": "IPv4"}],
    "p-loadbalancers": [
        {"direction": "ingress", "ether_type": "IPv4", "protocol": "tcp", "port_range_min": 80,
         "port_range_max": 80, "remote_ip_prefix": "0.0.0.0/0"},
    ],
    "p-swarm_managers": [
        {"direction": "ingress", "ether_type": "IPv4", "protocol": "tcp", "port_range_min": 8080,
         "port_range_max": 8080, "remote_group": "p-loadbalancers"},
    ],
}  # fmt: skip
DESCRIBED: list[Data] = [
    {"name": "lb1", "groups": ["loadbalancers"], "floating_ip": True},
    {"name": "swarm1", "groups": ["swarm_managers"]},
]
SETTINGS: Data = {
    "network": "",
    "cidr": "192.0.2.0/24",
    "external": "public",
    "nameservers": [],
    "public_key": KEY,
    "swarm_policy": "soft-anti-affinity",
    "rules": RULES,
    "user_data": {"swarm1": "#cloud-config\n"},
    "disk": "/dev/vdb at /data",
}
PUBLIC = {"id": "n0", "name": "public", "project_id": "op", "description": "", "external": True}
EMPTY: Data = {
    "project_id": "me",
    "block_storage": False,
    "limits": {"instances": (0, 10), "cores": (0, 20), "ram": (0, 51200)},
    "images": {"debian-12": ["i12"], "debian-13": ["i13"]},
    "flavors": {"small": {"vcpus": 1, "ram": 2048}, "large": {"vcpus": 8, "ram": 16384}},
    "networks": [PUBLIC],
    **{key: [] for key in ("subnets", "routers", "security_groups", "server_groups", "keypairs",
                           "servers", "floating_ips", "ports", "volumes")},
}  # fmt: skip


def thing(name: str, **more: Any) -> Data:
    return {"id": f"id-{name}", "name": name, "project_id": "me", "description": MARK} | more


def server(name: str, group: str, text: str = "") -> Data:
    return {
        "id": f"id-{name}",
        "name": name,
        "status": "ACTIVE",
        "fault": "",
        "metadata": {
            "bookface_platform": "p",
            "bookface_groups": group,
            "bookface_image": "debian-12",
            "bookface_user_data": digest(text),
            "bookface_disk": "none",
        },
        "image_id": "i12",
        "flavor": "small",
        "networks": ["p"],
        "addresses": ["192.0.2.5"],
    }


def port(device: str, *groups: str, **more: Any) -> Data:
    """On our network."""
    return {
        "id": f"port-{device}",
        "name": "",
        "device_id": device,
        "device_owner": "compute:nova",
        "network_id": "net",
        "network": "p",
        "security_group_ids": [f"id-{group}" for group in groups],
        "subnets": ["sub"],
    } | more


def made() -> Data:
    """The cloud after the description was carried out."""
    by_name = {"remote_group_id": "id-p-loadbalancers", "remote_group": None}
    rules = copy.deepcopy(RULES)
    rules["p-swarm_managers"][0] |= by_name  # as a cloud tells it
    return copy.deepcopy(EMPTY) | {
        "networks": [PUBLIC, thing("p", id="net", external=False)],
        "subnets": [thing("p", id="sub", cidr="192.0.2.0/24", dns_nameservers=[])],
        "routers": [thing("p", id="rtr", subnets=["sub"])],
        "security_groups": [thing(name, rules=own) for name, own in rules.items()],
        "server_groups": [{"id": "sg", "name": "bookface_platform-p-swarm",
                           "policy": "soft-anti-affinity"}],
        "keypairs": [{"name": "bookface_platform-p", "public_key": KEY}],
        "servers": [server("lb1", "loadbalancers"),
                    server("swarm1", "swarm_managers", "#cloud-config\n")],
        "floating_ips": [thing("203.0.113.9", id="fip", port_id="port-id-lb1",
                               description=f"{MARK} machine=lb1", address="203.0.113.9")],
        "ports": [port("id-lb1", "p", "p-loadbalancers"),
                  port("id-swarm1", "p", "p-swarm_managers"),
                  port("rtr", device_owner="network:router_interface")],
    }  # fmt: skip


def plan(cloud: Data, described: list[Data] = DESCRIBED, **settings: Any) -> Data:
    found = FILTERS["openstack_machines"](
        described, "p", image="debian-12", flavor="small", suite="bookworm"
    )
    return dict(FILTERS["openstack_plan"](found, "p", SETTINGS | settings, cloud))


def told(cloud: Data, *more: Any, **settings: Any) -> list[str]:
    """The steps of a plan without faults, in words."""
    whole = plan(cloud, *more, **settings)
    assert whole["faults"] == []
    return [line for line in whole["lines"] if not line.startswith("leave")]


def faults(cloud: Data, *more: Any, **settings: Any) -> str:
    found = plan(cloud, *more, **settings)["faults"]
    assert len(found) == 1, found
    return str(found[0])


def test_everything_is_made_in_the_order_in_which_it_is_needed() -> None:
    assert [" ".join(line.split()) for line in told(EMPTY)] == [
        "create keypair bookface_platform-p",
        "create network p",
        "create subnet p: 192.0.2.0/24",
        "create router p: to public",
        "create security group p: nothing may come in",
        "create security group p-loadbalancers: tcp 80 from 0.0.0.0/0",
        "create security group p-swarm_managers: tcp 8080 from p-loadbalancers",
        "create server group bookface_platform-p-swarm: soft-anti-affinity",
        "create floating address lb1: from public",
        "create server lb1: debian-12, small",
        "create server swarm1: debian-12, small",
    ]


def test_nothing_is_to_be_done_twice() -> None:
    assert plan(made())["lines"] == []


def test_what_a_server_is_made_from() -> None:
    lb1 = plan(EMPTY)["servers"]["lb1"]
    assert lb1["security_groups"] == ["p", "p-loadbalancers"]
    assert lb1["metadata"] == server("lb1", "loadbalancers")["metadata"]


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
    assert told(cloud) == ["change  router p: the subnet is missing"]


def test_an_address_that_was_not_yet_attached_is() -> None:
    cloud = made()
    cloud["floating_ips"][0]["port_id"] = None
    assert told(cloud) == ["change  floating address lb1: is to be attached"]


def test_a_server_that_is_being_made_is_waited_for() -> None:
    cloud = made()
    cloud["servers"][1] |= {"status": "BUILD", "networks": []}
    del cloud["ports"][1]
    assert told(cloud) == []


def test_rules_are_set_right() -> None:
    cloud = made()
    cloud["security_groups"][1]["rules"][0] |= {"port_range_min": 22, "port_range_max": 22}
    assert told(cloud) == [
        "change  security group p-loadbalancers: + tcp 80 from 0.0.0.0/0; - tcp 22 from 0.0.0.0/0"
    ]


def test_what_can_be_changed_while_a_server_runs_is() -> None:
    cloud = made()
    cloud["servers"][0]["metadata"]["bookface_groups"] = "caches"
    cloud["ports"][0]["security_group_ids"] = ["theirs", "id-p"]
    cloud["servers"][1]["status"] = "SHUTOFF"
    assert told(cloud) == [
        "change  server lb1: groups caches -> loadbalancers;"
        " security groups p, theirs -> p, p-loadbalancers",
        "start   server swarm1: it is shut off",
    ]


@pytest.mark.parametrize(
    ("described", "settings", "why"),
    [
        ({"image": "debian-13"}, {}, "image debian-12 -> debian-13"),
        ({"flavor": "large"}, {}, "flavor small -> large"),
        ({"flavor": "large"}, {"user_data": {}}, "flavor small -> large; other user data"),
    ],
)
def test_a_server_is_made_anew_only_by_its_name(described: Data, settings: Data, why: str) -> None:
    wanted = [DESCRIBED[0], DESCRIBED[1] | described]
    refused = faults(made(), wanted, **settings)
    assert f"destroying and making anew: swarm1 ({why})" in refused
    assert "-e confirm_replace=swarm1" in refused
    assert "confirm_replace=swarm1" in faults(made(), wanted, **settings, confirm_replace=["lb1"])
    assert told(made(), wanted, **settings, confirm_replace=["swarm1"]) == [
        f"replace server swarm1: {why}"
    ]


def test_a_server_with_another_first_boot_stays_until_it_is_named() -> None:
    # site.yml does the same on a machine that runs.
    other = {"user_data": {"swarm1": "#cloud-config\nusers: []\n"}}
    assert told(made(), **other) == []
    assert plan(made(), **other)["left"] == [
        "server swarm1: its first boot was another; site.yml brings it up to date;"
        " -e confirm_replace=swarm1 makes it anew"
    ]
    assert told(made(), **other, confirm_replace=["swarm1"]) == [
        "replace server swarm1: other user data"
    ]
    assert told(made(), confirm_replace=["swarm1"]) == []  # it has been


def test_a_change_of_groups_leaves_the_marks_of_the_first_boot() -> None:
    wanted = [DESCRIBED[0], DESCRIBED[1] | {"groups": ["swarm_managers", "caches"]}]
    whole = plan(made(), wanted, user_data={})
    assert whole["servers"]["swarm1"]["group_mark"] == {"bookface_groups": "swarm_managers,caches"}
    assert len(whole["left"]) == 1


@pytest.mark.parametrize("mark", ["none", "/dev/vdb at /elsewhere"])
def test_a_disk_that_the_first_boot_did_not_mount_wants_another_machine(mark: str) -> None:
    cloud = made() | {"block_storage": True, "volumes": [VOLUME]}
    cloud["servers"][1]["metadata"]["bookface_disk"] = mark
    assert f"swarm1 (volume {mark} -> /dev/vdb at /data)" in faults(cloud, WITH_VOLUME)
    cloud["servers"][1]["metadata"]["bookface_disk"] = SETTINGS["disk"]
    assert told(cloud, WITH_VOLUME) == []
    new = plan(EMPTY, WITH_VOLUME)["servers"]["swarm1"]["metadata"]
    assert new["bookface_disk"] == SETTINGS["disk"]


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


def test_a_machine_that_is_made_anew_keeps_its_address() -> None:
    wanted = [DESCRIBED[0] | {"flavor": "large"}, DESCRIBED[1]]
    assert told(made(), wanted, confirm_replace=["lb1"]) == [
        "change  floating address lb1: is to be attached",
        "replace server lb1: flavor small -> large",
    ]


def test_another_network_means_another_server() -> None:
    cloud = made()
    cloud["networks"].append(PUBLIC | {"id": "n9", "name": "course", "external": False})
    assert "lb1 (network p -> course); swarm1" in faults(cloud, network="course")


def test_a_network_that_somebody_has_added_is_theirs() -> None:
    cloud = made()
    cloud["servers"][0]["networks"] = ["a", "p"]
    cloud["ports"].append(port("id-lb1", "default", network="a", network_id="n7"))
    assert plan(cloud)["lines"] == []


def test_a_newer_image_of_the_same_name_changes_nothing() -> None:
    assert told(made() | {"images": {"debian-12": ["i12-of-may"]}}) == []


def test_a_server_in_error_says_why() -> None:
    cloud = made()
    cloud["servers"][0] |= {"status": "ERROR", "fault": "No valid host was found."}
    assert "lb1 (it is in ERROR: No valid host was found.)" in faults(cloud)


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


def test_a_server_of_somebody_else_stops_the_run() -> None:
    cloud = made()
    cloud["servers"][0]["metadata"] = {}
    assert any("the server lb1 is not ours (id-lb1)" in fault for fault in plan(cloud)["faults"])


def test_two_of_a_kind_stop_the_run() -> None:
    cloud = made()
    cloud["servers"].append(cloud["servers"][0] | {"id": "second"})
    assert "the server lb1 is there 2 times (id-lb1, second)" in faults(cloud)


def test_things_of_other_projects_do_not_count() -> None:
    cloud = copy.deepcopy(EMPTY)
    cloud["networks"].append(thing("p", project_id="them", external=False))
    assert "create  network p" in told(cloud)


@pytest.mark.parametrize(
    ("described", "says"),
    [
        (
            {"image": "nosuch"},
            "there is no image nosuch, which swarm1 would boot; the cloud has deb",
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
    assert "openstack_external_network is out; the cloud has public" in faults(
        EMPTY, external="out"
    )
    assert any("openstack_network is nosuch, of which the cloud has none" in fault
               for fault in plan(EMPTY, network="nosuch")["faults"])  # fmt: skip


def test_an_existing_network_is_used_and_none_is_made() -> None:
    cloud = copy.deepcopy(EMPTY)
    cloud["networks"].append(PUBLIC | {"id": "n9", "name": "course", "external": False})
    assert not [line for line in told(cloud, network="course") if "network p" in line]


@pytest.mark.parametrize(
    ("what", "limit", "says"),
    [
        ("instances", (9, 10), "the quota is 10 instances, 9 are in use, and 2 more are wanted"),
        ("cores", (0, 1), "the quota is 1 cores, 0 are in use, and 2 more"),
        ("ram", (0, 4095), "the quota is 4095 MB of RAM, 0 are in use, and 4096 more"),
        ("floating addresses", (5, 5), "the quota is 5 floating addresses"),
    ],
)
def test_a_quota_is_told_before_anything_is_made(
    what: str, limit: tuple[int, int], says: str
) -> None:
    assert says in faults(EMPTY | {"limits": EMPTY["limits"] | {what: limit}})
    enough = EMPTY["limits"] | {what: (limit[0], -1)}
    assert told(EMPTY | {"limits": enough})


def test_what_is_made_anew_counts_only_by_the_difference() -> None:
    wanted = [DESCRIBED[0], DESCRIBED[1] | {"flavor": "large"}]
    limits = {"instances": (2, 2), "cores": (2, 9), "ram": (4096, 51200)}
    assert told(made() | {"limits": limits}, wanted, confirm_replace=["swarm1"])
    limits["cores"] = (2, 8)
    refused = faults(made() | {"limits": limits}, wanted, confirm_replace=["swarm1"])
    assert "the quota is 8 cores, 2 are in use, and 7 more" in refused


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"cidr": "198.51.100.0/24"}, "but the subnet has 192.0.2.0/24"),
        ({"public_key": "ssh-ed25519 BBBB me"}, "holds another key than openstack_public_key_file"),
        ({"swarm_policy": "anti-affinity"}, "the server group was made with soft-anti-affinity"),
    ],
)
def test_what_cannot_be_changed_is_refused(settings: Data, says: str) -> None:
    assert says in faults(made(), **settings)


def test_name_servers_can_be_changed() -> None:
    assert told(made(), nameservers=["192.0.2.53"]) == ["change  subnet p: name servers 192.0.2.53"]


WITH_VOLUME = [DESCRIBED[0], DESCRIBED[1] | {"volume": 10}]
VOLUME = {"id": "v", "name": "p-swarm1", "size": 10, "platform": "p"}


def test_volumes_are_made_and_kept() -> None:
    # The disk's part of the user data belongs to the machine's first boot.
    storage = EMPTY | {"block_storage": True}
    assert "create  volume swarm1: 10 GB" in told(storage, WITH_VOLUME)
    there = storage | {"volumes": [VOLUME]}
    assert not [line for line in told(there, WITH_VOLUME) if "volume" in line]
    assert plan(there)["left"] == ["volume p-swarm1 (10 GB): no longer described"]


@pytest.mark.parametrize(
    ("volume", "says"),
    [({"size": 20}, "has 20 GB, described are 10"), ({"platform": ""}, "is not ours; rename it")],
)
def test_a_volume_is_never_changed(volume: Data, says: str) -> None:
    cloud = EMPTY | {"block_storage": True, "volumes": [VOLUME | volume]}
    assert says in faults(cloud, WITH_VOLUME)


def test_user_data_of_docker_stays_as_it_is_without_a_disk() -> None:
    assert user_data("#cloud-config\nx: 1\n", False, "/dev/vdb", "/data") == "#cloud-config\nx: 1\n"
    assert user_data("", False, "/dev/vdb", "/data") == ""


@given(st.sampled_from(["", "#cloud-config\nruncmd: [[a]]\n", "#cloud-config\nruncmd: [[a]]"]))
def test_a_disk_is_added_to_what_docker_needs(docker: str) -> None:
    text = user_data(docker, True, "/dev/vdb", "/data")
    assert text.startswith("#cloud-config\n")
    read = yaml.safe_load(text)
    assert read["mounts"][0][:2] == ["/dev/vdb", "/data"]
    assert read["fs_setup"][0]["overwrite"] is False
    assert read.get("runcmd") == ([["a"]] if docker else None)


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
