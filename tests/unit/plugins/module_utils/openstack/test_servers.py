"""The servers of a plan: what changes while they run, and what replaces them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.bookface.platform.plugins.module_utils.openstack.servers import (
    user_data,
)
from hypothesis import given
from hypothesis import strategies as st

from .cloud import (
    COURSE,
    DESCRIBED,
    EMPTY,
    FILTERS,
    RULES,
    SETTINGS,
    VOLUME,
    WITH_VOLUME,
    Data,
    faults,
    machines,
    made,
    plan,
    port,
    server,
    thing,
    told,
)


def test_what_a_server_is_created_with() -> None:
    lb1 = plan(EMPTY)["servers"]["lb1"]
    assert lb1["security_groups"] == ["p", "p-loadbalancers"]
    assert lb1["metadata"] == server("lb1", "loadbalancers")["metadata"]


def test_a_server_that_is_being_created_is_waited_for() -> None:
    cloud = made()
    cloud["servers"][1] |= {"status": "BUILD", "networks": []}
    del cloud["ports"][1]
    assert told(cloud) == []
    assert pending(cloud) == [{"name": "swarm1", "status": "BUILD", "fault": "", "adopted": False}]


def test_nobody_waits_for_servers_of_others_or_out_of_the_description() -> None:
    cloud = made()
    assert pending(cloud) == []
    cloud["servers"] += [
        server("swarm1", "x") | {"metadata": {}, "status": "ERROR"},
        server("web9", "legacy_web") | {"status": "ERROR"},
    ]
    assert pending(cloud) == []


def test_a_server_in_error_ends_the_wait_with_its_reason() -> None:
    cloud = made()
    cloud["servers"][0] |= {"status": "ERROR", "fault": "No valid host was found."}
    assert pending(cloud) == [
        {"name": "lb1", "status": "ERROR", "fault": "No valid host was found.", "adopted": False}
    ]


def unsound(cloud: Data, check: bool = False, **settings: Any) -> list[str]:
    """As at the end of a run that has changed nothing in the cloud."""
    whole = plan(cloud, **settings)
    waiting = [one for one in pending(cloud) if one["name"] not in whole["blocked"]]
    return list(FILTERS["openstack_unsound"](whole, waiting, check))


def test_the_end_of_a_run_says_what_is_wrong_and_only_what_helps() -> None:
    cloud = made()
    assert unsound(cloud) == []
    cloud["servers"][0] |= {"status": "SHUTOFF", "locked": True}
    locked, end = unsound(cloud)
    assert "The server lb1 was left as it is: it is locked" in locked
    assert end == "All else that was planned is done."
    # In ERROR since the plan was made.
    whole = plan(made())
    failed = {"name": "lb1", "status": "ERROR", "fault": "No valid host", "adopted": False}
    said = FILTERS["openstack_unsound"](whole, [failed], False)
    assert said[0].startswith("lb1 is in ERROR: no host of the cloud has room")
    assert said[-1].endswith(" is done. To replace what is in ERROR: -e confirm_replace=lb1")
    said = FILTERS["openstack_unsound"](whole, [failed | {"adopted": True}], False)
    assert said[-1] == "All else that was planned is done."


def test_a_check_of_a_replacement_is_content_with_the_server_in_error() -> None:
    cloud = made()
    cloud["servers"][0]["status"] = "ERROR"
    assert unsound(cloud, check=True)[-1] == "Nothing was changed."
    assert unsound(cloud, check=True, confirm_replace=["lb1"]) == []


def pending(cloud: Data) -> list[Data]:
    return list(FILTERS["openstack_pending"](machines(), "p", cloud))


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
        ({"flavor": "large"}, {"user_data": {}}, "flavor small -> large; user data has changed"),
    ],
)
def test_a_server_is_replaced_only_if_it_is_named(
    described: Data, settings: Data, why: str
) -> None:
    wanted = [DESCRIBED[0], DESCRIBED[1] | described]
    refused = faults(made(), wanted, **settings)
    assert f"these changes require replacing: swarm1 ({why})" in refused
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
        "server swarm1: its user data has changed; site.yml applies the same to a running machine,"
        " -e confirm_replace=swarm1 replaces it"
    ]
    assert told(made(), **other, confirm_replace=["swarm1"]) == [
        "replace server swarm1: user data has changed"
    ]
    assert told(made(), confirm_replace=["swarm1"]) == []  # it has been


@pytest.mark.parametrize(
    ("described", "change"),
    [
        ({"availability_zone": "east"}, "availability_zone nova -> east"),
        ({"boot_from_volume": 20}, "it boots from the flavor's disk -> a volume"),
    ],
)
def test_what_only_a_new_server_gets_is_listed(described: Data, change: str) -> None:
    cloud = made() | {"block_storage": True, "zones": ["nova", "east"]}
    wanted = [DESCRIBED[0] | described, DESCRIBED[1]]
    (line,) = plan(cloud, wanted)["lines"]
    assert line.startswith(f"leave   server lb1: {change}")
    assert line.endswith("is for a new machine, -e confirm_replace=lb1 replaces it")
    steps = told(cloud, wanted, confirm_replace=["lb1"])
    assert f"replace server lb1: {change}" in steps
    # As it is already.
    cloud["servers"][0] |= {
        "zone": "east",
        "image_id": "" if "boot_from_volume" in described else "i12",
    }
    assert plan(cloud, wanted)["lines"] == []


def test_a_server_that_boots_from_a_volume_is_not_said_to_have_a_disk() -> None:
    cloud = made()
    cloud["servers"][0]["image_id"] = ""
    (line,) = plan(cloud)["left"]
    assert "it boots from a volume -> the flavor's disk" in line


def test_the_volume_of_a_machine_that_was_made_by_hand_is_up_to_others() -> None:
    cloud = by_hand("bookface_platform", "bookface_groups") | {"block_storage": True}
    described = [DESCRIBED[0] | {"volume": 10}, DESCRIBED[1]]
    (line,) = plan(cloud, described)["left"]
    assert line.startswith("server lb1: a volume of 10 GB is described, but the machine was made")


def test_a_change_of_groups_leaves_the_marks_of_the_first_boot() -> None:
    wanted = [DESCRIBED[0], DESCRIBED[1] | {"groups": ["swarm_managers", "caches"]}]
    whole = plan(made(), wanted, user_data={})
    assert whole["servers"]["swarm1"]["group_mark"] == {"bookface_groups": "swarm_managers,caches"}
    assert len(whole["left"]) == 1


@pytest.mark.parametrize("mark", ["none", "/dev/vdb at /elsewhere"])
def test_a_volume_that_the_first_boot_did_not_mount_requires_a_replacement(mark: str) -> None:
    cloud = made() | {"block_storage": True, "volumes": [VOLUME]}
    cloud["servers"][1]["metadata"]["bookface_disk"] = mark
    assert f"swarm1 (volume {mark} -> /dev/vdb at /data)" in faults(cloud, WITH_VOLUME)
    cloud["servers"][1]["metadata"]["bookface_disk"] = SETTINGS["disk"]
    assert told(cloud, WITH_VOLUME) == []
    new = plan(EMPTY, WITH_VOLUME)["servers"]["swarm1"]["metadata"]
    assert new["bookface_disk"] == SETTINGS["disk"]


def test_another_network_means_another_server() -> None:
    cloud = made()
    cloud["networks"].append(COURSE)
    assert "lb1 (network p -> course); swarm1" in faults(cloud, network="course")


def test_a_network_that_somebody_has_added_is_theirs() -> None:
    cloud = made()
    cloud["servers"][0]["networks"] = ["a", "p"]
    cloud["ports"].append(port("id-lb1", "default", network="a", network_id="n7"))
    assert plan(cloud)["lines"] == []


def test_a_newer_image_of_the_same_name_changes_nothing() -> None:
    assert told(made() | {"images": {"debian-12": ["i12-of-may"]}}) == []


def test_a_fault_blocks_only_its_own_steps() -> None:
    cloud = made()
    cloud["servers"][0] |= {"status": "ERROR", "fault": "No valid host was found."}
    cloud["servers"][1]["status"] = "SHUTOFF"
    cloud["floating_ips"] = []
    whole = plan(cloud)
    assert whole["faults"] == []
    assert whole["lines"][0] == "start   server swarm1: it is shut off"
    (line,) = whole["lines"][1:]
    assert line.startswith(
        "skip    server lb1: it is in ERROR: No valid host was found. To replace"
    )
    assert "-e confirm_replace=lb1" in whole["blocked"]["lb1"]
    assert told(cloud, confirm_replace=["lb1"])[-2:] == [
        "replace server lb1: it is in ERROR: No valid host was found.",
        "start   server swarm1: it is shut off",
    ]


@pytest.mark.parametrize(
    ("status", "step"),
    [
        ("SHUTOFF", "start   server lb1: it is shut off"),
        ("PAUSED", "unpause server lb1: it is paused"),
        ("SUSPENDED", "resume  server lb1: it is suspended"),
        ("SHELVED", "unshelve server lb1: it is shelved"),
        ("SHELVED_OFFLOADED", "unshelve server lb1: it is shelved"),
    ],
)
def test_what_the_cloud_can_resume_is_resumed(status: str, step: str) -> None:
    cloud = made()
    cloud["servers"][0]["status"] = status
    assert told(cloud) == [step]
    # It is on its way.
    cloud["servers"][0]["task_state"] = "starting"
    assert told(cloud) == []


@pytest.mark.parametrize(
    ("server", "says"),
    [
        ({"status": "RESCUE"}, "openstack server unrescue id-lb1"),
        (
            {"status": "VERIFY_RESIZE"},
            "openstack server resize confirm id-lb1, or openstack server resize revert id-lb1",
        ),
        ({"status": "SOFT_DELETED"}, "it is SOFT_DELETED, expected ACTIVE"),
        ({"status": "SHUTOFF", "locked": True}, "changed: it is shut off. Unlock it"),
    ],
)
def test_what_people_have_to_decide_is_left_to_them(server: Data, says: str) -> None:
    cloud = made()
    cloud["servers"][0] |= server
    assert told(cloud) == ["skip    server lb1: " + plan(cloud)["blocked"]["lb1"]]
    assert says in plan(cloud)["blocked"]["lb1"]


def test_a_locked_server_that_needs_nothing_is_no_fault() -> None:
    cloud = made()
    cloud["servers"][0]["locked"] = True
    assert plan(cloud)["lines"] == []


@pytest.mark.parametrize("status", ["REBOOT", "MIGRATING", "RESIZE"])
def test_a_server_that_is_on_its_way_is_waited_for(status: str) -> None:
    cloud = made()
    cloud["servers"][0]["status"] = status
    assert plan(cloud)["lines"] == []
    assert [one["name"] for one in pending(cloud)] == ["lb1"]


def test_a_server_of_somebody_else_stops_the_run() -> None:
    cloud = made()
    cloud["servers"][0]["metadata"] = {}
    assert any(
        "the server lb1 is not ours (id-lb1). To make it part of the platform as it is" in fault
        and "-e confirm_adopt=lb1" in fault
        for fault in plan(cloud)["faults"]
    )


def test_a_locked_server_that_is_to_be_removed_blocks_only_itself_and_its_address() -> None:
    cloud = made()
    cloud["servers"][0]["locked"] = True
    without: Data = {
        "rules": {name: own for name, own in RULES.items() if name != "p-loadbalancers"},
        "confirm_remove": ["lb1"],
    }
    whole = plan(cloud, DESCRIBED[1:], **without)
    assert whole["blocked"] == {"lb1": "it is locked: openstack server unlock id-lb1"}
    assert [step for kind in whole["remove"].values() for step in kind] == []
    cloud["servers"][0]["locked"] = False
    assert len(plan(cloud, DESCRIBED[1:], **without)["remove"]["floating_address"]) == 1
    # One that was made by hand, in a state in which the cloud would not release it.
    cloud["servers"][0] |= {"status": "RESCUE", "metadata": {"bookface_platform": "p"}}
    assert "it is RESCUE, and" in plan(cloud, DESCRIBED[1:], **without)["blocked"]["lb1"]


# Machines that were made by hand.


def by_hand(*marks: str) -> Data:
    """A cloud in which lb1 was made by hand, on a network of the university's."""
    cloud = made()
    lb1 = cloud["servers"][0]
    whole = {"bookface_platform": "p", "bookface_groups": "loadbalancers", "owner": "them"}
    lb1["metadata"] = {mark: whole[mark] for mark in marks}
    lb1 |= {"image_id": "theirs", "flavor": "theirs"}
    cloud["security_groups"].append(thing("default", rules=[], description="Default"))
    cloud["ports"][0]["security_group_ids"] = ["id-default"]
    cloud["floating_ips"][0]["description"] = "mine"
    return cloud


MARKED = ("bookface_platform", "bookface_groups", "owner")
ADOPT = (
    "adopt   server lb1: it was made by hand; security groups default -> default, p,"
    " p-loadbalancers"
)


def test_a_marked_machine_is_adopted_with_its_groups_and_its_address() -> None:
    cloud = by_hand(*MARKED)
    assert told(cloud) == [ADOPT]
    made_of = plan(cloud)["servers"]["lb1"]
    assert made_of["kept_groups"] == ["id-default"]
    assert made_of["adoption"] == {
        "bookface_platform": "p", "bookface_groups": "loadbalancers", "bookface_adopted": "true",
    }  # fmt: skip
    # After that there is nothing to do, whatever its image and flavor.
    cloud["servers"][0]["metadata"]["bookface_adopted"] = "true"
    cloud["ports"][0]["security_group_ids"] += ["id-p", "id-p-loadbalancers"]
    assert plan(cloud)["lines"] == []


def test_a_port_without_security_is_left_as_it_is() -> None:
    cloud = by_hand(*MARKED)
    cloud["servers"][0]["metadata"]["bookface_adopted"] = "true"
    cloud["ports"][0] |= {"port_security": False, "security_group_ids": []}
    assert told(cloud) == []
    assert plan(cloud)["left"] == [
        "security groups of server lb1: the port security of its port is off, so everybody reaches"
        " every port of it"
    ]


def test_a_machine_without_a_mark_is_adopted_by_its_name() -> None:
    cloud = by_hand("owner")
    assert told(cloud, confirm_adopt=["lb1"]) == [ADOPT.replace(
        "by hand;", "by hand; groups None -> loadbalancers;"
    )]  # fmt: skip


def test_a_machine_of_another_platform_is_not_adopted() -> None:
    cloud = by_hand("owner")
    cloud["servers"][0]["metadata"]["bookface_platform"] = "other"
    assert faults(cloud, confirm_adopt=["lb1"]) == (
        "the server lb1 (id-lb1) belongs to the platform other. Rename one of them"
    )


def test_a_machine_that_has_lost_our_mark_becomes_one_that_was_made_by_hand() -> None:
    cloud = made()
    del cloud["servers"][0]["metadata"]["bookface_platform"]
    cloud["servers"][0]["flavor"] = "large"
    (line,) = told(cloud, confirm_adopt=["lb1"])
    assert line.startswith("adopt   server lb1: it was made by hand")


def test_what_is_adopted_has_to_be_there() -> None:
    wanted = [*DESCRIBED, {"name": "web4", "groups": ["legacy_web"]}]
    refused = faults(made(), wanted, confirm_adopt=["web4"])
    assert "confirm_adopt names web4, but the cloud has no server of that name" in refused
    assert "openstack server set --name web4 ID" in refused
    assert "confirm_adopt names web4, which openstack_vms does not" in faults(
        made(), confirm_adopt=["web4"]
    )
    # It has been.
    assert plan(made(), confirm_adopt=["lb1"])["lines"] == []


def test_an_adopted_machine_leaves_the_platform_s_security_groups_with_its_groups() -> None:
    cloud = by_hand(*MARKED)
    cloud["servers"][0]["metadata"]["bookface_adopted"] = "true"
    cloud["ports"][0]["security_group_ids"] += ["id-p", "id-p-loadbalancers"]
    rules = {**RULES, "p-caches": []}
    cloud["security_groups"].append(thing("p-caches", rules=[]))
    whole = plan(cloud, [DESCRIBED[0] | {"groups": ["caches"]}, DESCRIBED[1]], rules=rules)
    (line,) = whole["lines"]
    assert line.endswith("security groups default, p, p-loadbalancers -> default, p, p-caches")
    assert whole["servers"]["lb1"]["kept_groups"] == ["id-default"]


def test_a_machine_that_was_made_by_hand_is_never_deleted() -> None:
    cloud = by_hand(*MARKED)
    refused = faults(cloud, confirm_replace=["lb1"])
    assert "confirm_replace names lb1, which was made by hand" in refused
    cloud["servers"][0]["status"] = "ERROR"
    assert "server reboot --hard" in plan(cloud)["blocked"]["lb1"]
    assert "confirm_replace" not in plan(cloud)["blocked"]["lb1"]
    cloud["servers"][0]["status"] = "ACTIVE"
    rules = {name: own for name, own in RULES.items() if name != "p-loadbalancers"}
    without = {"rules": rules}
    left = plan(cloud, DESCRIBED[1:], **without)["left"]
    assert any("it was made by hand, and -e confirm_remove=lb1 releases it" in one for one in left)
    released = told(cloud, DESCRIBED[1:], **without, confirm_remove=["lb1"])
    assert "release server lb1: it stays, without our marks and groups" in released


def test_security_groups_of_others_are_added_where_they_are_asked_for() -> None:
    cloud = made()
    cloud["security_groups"].append(thing("ssh", rules=[], description="of the course"))
    extra = {"extra_groups": ["ssh"]}
    assert told(cloud, **extra) == [
        "change  server lb1: security groups p, p-loadbalancers -> p, p-loadbalancers, ssh",
        "change  server swarm1: security groups p, p-swarm_managers -> p, p-swarm_managers, ssh",
    ]
    for one in cloud["ports"][:2]:
        one["security_group_ids"].append("id-ssh")
    assert plan(cloud, **extra)["lines"] == []
    assert plan(cloud, extra_groups=["id-ssh"])["servers"]["lb1"]["kept_groups"] == ["id-ssh"]
    assert "openstack_extra_security_groups has web, which does not" in faults(
        cloud, extra_groups=["web", "ssh"]
    )


# The same machine under another name.

DB = {"name": "db2", "groups": ["databases", "caches"]}


def renamed(group: str = "databases") -> Data:
    cloud = made()
    cloud["servers"].append(server("db1", group))
    return cloud


@pytest.mark.parametrize("group", ["databases", "databases,caches"])
def test_a_database_that_exists_under_another_name_is_asked_about(group: str) -> None:
    wanted = [*DESCRIBED, DB]
    refused = faults(renamed(group), wanted)
    assert f"the server db2 does not exist, but there is db1 (id-db1, in {group}), which" in refused
    assert "A new one would be empty, and the site would use it as its database." in refused
    assert "openstack server set --name db2 id-db1" in refused
    assert "-e confirm_create=db2" in refused
    assert "create  server db2: debian-12, small" in told(
        renamed(group), wanted, confirm_create=["db2"]
    )
    assert "create  server db2: debian-12, small" in told(
        renamed(group), wanted, confirm_remove=["db1"]
    )


def test_a_second_one_of_a_group_is_not_asked_about() -> None:
    wanted = [*DESCRIBED, {"name": "db1", "groups": ["databases"]}, DB]
    assert plan(renamed(), wanted)["faults"] == []
    # Nor one that has nothing in common with what is no longer described.
    assert plan(renamed("legacy_web"), [*DESCRIBED, DB])["faults"] == []


def test_two_of_a_kind_stop_the_run() -> None:
    cloud = made()
    cloud["servers"].append(cloud["servers"][0] | {"id": "second"})
    assert "the server lb1 exists 2 times (id-lb1, second)" in faults(cloud)


def test_user_data_of_docker_is_unchanged_without_a_volume() -> None:
    assert user_data("#cloud-config\nx: 1\n", False, "/dev/vdb", "/data") == "#cloud-config\nx: 1\n"
    assert user_data("", False, "/dev/vdb", "/data") == ""


@given(st.sampled_from(["", "#cloud-config\nruncmd: [[a]]\n", "#cloud-config\nruncmd: [[a]]"]))
def test_a_volume_is_added_to_what_docker_needs(docker: str) -> None:
    text = user_data(docker, True, "/dev/vdb", "/data")
    assert text.startswith("#cloud-config\n")
    read = yaml.safe_load(text)
    assert read["mounts"][0][:2] == ["/dev/vdb", "/data"]
    assert read["fs_setup"][0]["overwrite"] is False
    assert read.get("runcmd") == ([["a"]] if docker else None)


def test_user_data_of_all_machines_leaves_out_those_without() -> None:
    described = [*WITH_VOLUME, {"name": "docker1", "groups": ["docker_hosts"]}]
    texts = FILTERS["openstack_user_data"](
        machines(described), {"docker1": "#cloud-config\n"}, "/dev/vdb", "/data"
    )
    assert texts == {
        "swarm1": user_data("", True, "/dev/vdb", "/data"),
        "docker1": "#cloud-config\n",
    }
