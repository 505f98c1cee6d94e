"""The servers of a plan: what changes while they run, and what replaces them."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.bookface.platform.plugins.module_utils.openstack.servers import (
    user_data,
)
from hypothesis import given
from hypothesis import strategies as st

from .cloud import (
    DESCRIBED,
    EMPTY,
    FILTERS,
    PUBLIC,
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
    assert pending(cloud) == [{"name": "swarm1", "status": "BUILD", "fault": ""}]


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
        {"name": "lb1", "status": "ERROR", "fault": "No valid host was found."}
    ]


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


def test_a_server_of_somebody_else_stops_the_run() -> None:
    cloud = made()
    cloud["servers"][0]["metadata"] = {}
    assert any("the server lb1 is not ours (id-lb1)" in fault for fault in plan(cloud)["faults"])


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
