"""A machine that somebody has made by hand becomes part of a platform, and leaves it unharmed.

Beside it, machines in states that people bring them into.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from described import Seen, Site, credentials, inventory

from tests.lab.openstack.lab import Lab
from tests.support.commands import failures, recap
from tests.support.waiting import until

Done = subprocess.CompletedProcess[str]
BALANCER = {"name": "Balancer_1", "groups": ["loadbalancers"], "floating_ip": True}
DB1 = {"name": "db1", "groups": ["databases"]}
# No host has room for it.
HUGE1 = {"name": "huge1", "groups": ["databases"], "flavor": "m9.huge", "floating_ip": True}
CACHING = {"name": "db1", "groups": ["databases", "caches"]}
DB2 = {"name": "db2", "groups": ["databases"]}


def said(done: Done) -> str:
    """Why a run failed, without line breaks."""
    assert done.returncode != 0, done.stdout[-4000:]
    return " ".join(" ".join(text for _host, text in failures(done.stdout)).split())


def groups_of(seen: Seen, name: str) -> set[str]:
    return {one["name"] for one in seen.servers[name].security_groups}


@dataclass(frozen=True)
class Course:
    """The platform, and what was made by hand."""

    site: Site
    address: str

    def look(self) -> Seen:
        return self.site.look()


@pytest.fixture(scope="module")
def course(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    """The university's network and router, and a server with a floating address there."""
    site = inventory(lab, tmp_path_factory.mktemp("course"), "course")
    cloud = site.cloud()
    network = cloud.network
    theirs = network.create_network(name="university")
    subnet = network.create_subnet(network_id=theirs.id, ip_version=4, cidr="198.51.100.0/24")
    public = network.find_network("public").id
    router = network.create_router(name="theirs", external_gateway_info={"network_id": public})
    network.add_interface_to_router(router, subnet_id=subnet.id)
    network.create_security_group(name="of-the-course")
    server = cloud.create_server(
        BALANCER["name"], image="debian-12", flavor="m1.small", network="university",
        auto_ip=False, wait=True,
    )  # fmt: skip
    port = next(network.ports(device_id=server.id))
    address = network.create_ip(floating_network_id=public, port_id=port.id)
    try:
        yield Course(site, address.floating_ip_address)
    finally:
        for one in cloud.compute.servers():
            cloud.compute.unlock_server(one)
            cloud.delete_server(one.id, wait=True)
        for ip in network.ips():
            network.delete_ip(ip)
        network.remove_interface_from_router(router, subnet_id=subnet.id)
        network.delete_router(router)
        network.delete_network(theirs)
        for one in network.security_groups():
            if one.name != "default":
                network.delete_security_group(one)
        for key in cloud.compute.keypairs():
            cloud.compute.delete_keypair(key)


def variables(course: Course, **more: Any) -> dict[str, Any]:
    network = course.site.cloud().network.find_network("university").id
    return {
        "openstack_network": network,
        "openstack_extra_security_groups": ["of-the-course"],
        "openstack_vms": [BALANCER, DB1],
    } | more


@pytest.fixture(scope="module")
def adopted(course: Course) -> tuple[Done, Seen]:
    """Without its name, which is refused, and with it."""
    refused = course.site.provision(**variables(course))
    assert "-e confirm_adopt=Balancer_1. Otherwise rename it" in said(refused)
    assert [*course.look().servers] == ["Balancer_1"]
    done = course.site.provision(**variables(course, confirm_adopt="Balancer_1"))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    return done, course.look()


def test_groups_and_the_address_of_an_adopted_machine_stay(
    course: Course, adopted: tuple[Done, Seen]
) -> None:
    seen = adopted[1]
    assert groups_of(seen, "Balancer_1") == {
        "default", "course", "course-loadbalancers", "of-the-course",
    }  # fmt: skip
    assert [one.floating_ip_address for one in seen.ips] == [course.address]
    assert seen.servers["Balancer_1"].metadata == {
        "bookface_platform": "course",
        "bookface_groups": "loadbalancers",
        "bookface_adopted": "true",
    }
    # A machine that the platform has made is in the groups that were asked for, and in no other.
    assert groups_of(seen, "db1") == {"course", "course-databases", "of-the-course"}


def reached(course: Course, source: str, reach: str, **environment: str) -> dict[str, str]:
    """Machine → its address and its way, from an inventory named as a user may."""
    way = "{{ 'ProxyCommand' in ansible_ssh_common_args }}"
    question = json.dumps({"msg": "{{ ansible_host }} {{ bookface_address }} " + way})
    given = json.dumps(course.site.variables | variables(course, openstack_reach=reach))
    command = ["ansible", "-i", str(course.site.directory / source), "all", "-e", given]
    done = course.site.execute([*command, "-m", "debug", "-a", question], **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    answers = r'^(\S+) \| SUCCESS => \{[^}]*"msg": "(.*)"'
    return dict(re.findall(answers, done.stdout, re.MULTILINE))


def test_a_controller_inside_the_network_goes_straight_to_the_machines(
    course: Course, adopted: tuple[Done, Seen]
) -> None:
    db1, balancer = (
        adopted[1].servers[name].addresses["university"][0]["addr"]
        for name in ("db1", "Balancer_1")
    )
    # The directory and its file are the same inventory.
    assert reached(course, "inventory", "floating") == {
        "Balancer_1": f"{course.address} {balancer} False",
        "db1": f"{db1} {db1} True",
    }
    assert reached(course, "inventory/openstack.yml", "fixed") == {
        "Balancer_1": f"{balancer} {balancer} False",
        "db1": f"{db1} {db1} False",
    }


def test_credentials_of_an_openrc_file(course: Course, adopted: tuple[Done, Seen]) -> None:
    """As sourcing one sets them, with the cloud's region in the inventory."""
    auth = json.loads(course.site.lab.clouds.read_text())["clouds"]["lab"]["auth"]
    environment = {f"OS_{name.upper()}": value for name, value in auth.items()}
    inventory = course.site.directory / "inventory/openstack.yml"
    before = inventory.read_text()
    told = yaml.safe_load(before) | {"only_clouds": ["envvars"], "region": "RegionOne"}
    inventory.write_text(yaml.safe_dump(told))
    environment["OS_CLIENT_CONFIG_FILE"] = "/nosuch"
    try:
        assert {*reached(course, "inventory", "floating", **environment)} == {"Balancer_1", "db1"}
        # A second run, which has nothing to do.
        given = json.dumps(course.site.variables | variables(course))
        command = [
            "ansible-playbook",
            "-i",
            str(inventory),
            "provision.yml",
            "--check",
            "-e",
            given,
        ]
        again = course.site.execute(command, **environment)
        assert again.returncode == 0, again.stdout + again.stderr
        assert recap(again.stdout)["localhost"]["changed"] == 0
        inventory.write_text(yaml.safe_dump(told | {"region": "Moon"}))
        nowhere = course.site.execute(command, **environment)
        assert nowhere.returncode != 0
        assert "Moon" in nowhere.stdout + nowhere.stderr
    finally:
        inventory.write_text(before)


@pytest.fixture(scope="module")
def resumed(course: Course, adopted: tuple[Done, Seen]) -> tuple[Done, Seen]:
    """A run when db1 is paused, the other one is shut off and locked, and a third finds no room.

    db1 gets another group, and somebody has switched off the port security of its port.
    """
    cloud = course.site.cloud()
    operator = course.site.cloud("lab-admin").compute
    flavor = operator.create_flavor(name="m9.huge", ram=2048, vcpus=1, disk=9000000)
    ids = course.look().ids()
    port = next(cloud.network.ports(device_id=ids["db1"]))
    cloud.network.update_port(port, port_security_enabled=False, security_group_ids=[])
    cloud.compute.pause_server(ids["db1"])
    cloud.compute.stop_server(ids["Balancer_1"])
    until(
        lambda: (
            {one.name: (one.status, one.task_state) for one in cloud.compute.servers()}
            == {"db1": ("PAUSED", None), "Balancer_1": ("SHUTOFF", None)}
        ),
        "one server is paused and one shut off",
    )
    cloud.compute.lock_server(ids["Balancer_1"])
    done = course.site.provision(**variables(course, openstack_vms=[BALANCER, CACHING, HUGE1]))
    seen = course.look()
    cloud.compute.unlock_server(ids["Balancer_1"])
    operator.delete_flavor(flavor)
    return done, seen


def test_a_fault_of_one_machine_blocks_no_other(resumed: tuple[Done, Seen]) -> None:
    done, seen = resumed
    assert seen.servers["db1"].status == "ACTIVE"
    assert seen.servers["db1"].metadata["bookface_groups"] == "databases,caches"
    assert seen.servers["Balancer_1"].status == "SHUTOFF"
    told = said(done)
    assert "The server Balancer_1 was left as it is: it is locked, and has to be changed" in told
    assert "openstack server unlock" in told
    assert "huge1 is in ERROR: no host of the cloud has room for this flavor" in told
    assert "To replace what is in ERROR: -e confirm_replace=huge1" in told
    # The others are waited for, before that is said.
    assert "PLAY [Wait for the guests]" in done.stdout
    assert seen.servers["huge1"].status == "ERROR"
    # Neither groups nor addresses of the others change in a second run.
    plan = done.stdout.partition(": Show the plan]")[2].partition("TASK")[0]
    assert re.findall(r'^ +"(\w+ +[\w ]+)', plan, re.MULTILINE) == [
        "create  security group course",
        "create  floating address huge1",
        "change  server db1",
        "unpause server db1",
        "create  server huge1",
        "leave   security groups of server db1",
        "skip    server Balancer_1",
    ]


def test_a_database_with_another_name_is_no_new_one(
    course: Course, resumed: tuple[Done, Seen]
) -> None:
    done = course.site.provision("--check", **variables(course, openstack_vms=[BALANCER, DB2]))
    told = said(done)
    assert "the server db2 does not exist, but there is db1 (" in told
    assert "A new one would be empty, and the site would use it as its database." in told
    assert "openstack server set --name db2" in told


@pytest.fixture
def mate(course: Course) -> Iterator[dict[str, str]]:
    """The environment of somebody with an account of their own in the same project."""
    who = course.site.cloud("lab-admin").identity
    password = "mates-only"  # noqa: S105
    user = who.create_user(name="mate", password=password, domain_id="default")
    project, role = who.find_project("demo"), who.find_role("member")
    who.assign_project_role_to_user(project, user, role)
    with credentials(course.site, {"auth": {"username": "mate", "password": password}}) as made:
        yield made
    who.delete_user(user)


def test_a_team_mate_is_told_whose_key_the_machines_have(
    course: Course, resumed: tuple[Done, Seen], mate: dict[str, str]
) -> None:
    """Their own keypair is another one, and the cloud shows nobody the keypair of others."""
    mine = course.site.directory / "id.pub"
    theirs = mine.read_text().split()
    other = course.site.directory / "mate.pub"
    other.write_text(f"{theirs[0]} {theirs[1][:-4]}AAAA mate@there\n")
    given = course.site.variables | variables(course, openstack_public_key_file=str(other))
    command = ["ansible-playbook", "-i", str(course.site.directory / "inventory"), "provision.yml"]
    done = course.site.execute([*command, "--check", "-e", json.dumps(given)], **mate)
    told = said(done)
    assert "db1 have the key SHA256:" in told
    assert theirs[2] in told
    assert "mate@there: you could not log in" in told
    assert "Balancer_1" not in told


def test_a_removal_spares_what_was_made_by_hand(course: Course, resumed: tuple[Done, Seen]) -> None:
    done = course.site.deprovision(confirm="course")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    seen = course.look()
    assert [*seen.servers] == ["Balancer_1"]
    assert seen.servers["Balancer_1"].metadata == {}
    assert groups_of(seen, "Balancer_1") == {"default", "of-the-course"}
    # The address of the one that found no room has gone with the platform.
    assert [one.floating_ip_address for one in seen.ips] == [course.address]
    assert [*seen.groups] == ["of-the-course"]
    assert seen.keypairs == []
