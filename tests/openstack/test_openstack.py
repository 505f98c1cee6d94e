"""From nothing to machines, through changes, and back, on a real cloud.

Each stage is a fixture that goes on from the one before it and keeps what it saw; the tests only
read that, so any of them can run alone.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.filter.openstack_plan import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.openstack.rules import seen
from described import LOADBALANCERS, PLATFORM, ROOT, VMS, Seen, Site

from tests.support.commands import failures, kill_tree, recap

FILTERS = FilterModule().filters()
PORTS = {"legacy_port": 80, "container_count": 2, "container_first_port": 32001, "swarm_port": 8080}
Done = subprocess.CompletedProcess[str]
Answers = dict[str, dict[str, Any]]


def said(done: Done) -> str:
    """Why a run failed, without line breaks."""
    assert done.returncode != 0, done.stdout[-4000:]
    words = [text for _host, text in failures(done.stdout)]
    return " ".join(" ".join(words).split()) or done.stdout[-3000:] + done.stderr[-1000:]


def changed(done: Done) -> int:
    """How many tasks of a good run have changed something."""
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    return recap(done.stdout)["localhost"]["changed"]


@dataclass(frozen=True)
class Stage:
    """A run, and what the cloud held and the inventory answered after it."""

    done: Done
    seen: Seen
    told: Answers


# From nothing to the described machines, by way of a run that fails and one that is killed.


@pytest.fixture(scope="module")
def checked(site: Site) -> Stage:
    """A check on a cloud that has nothing."""
    return Stage(site.provision("--check", "--diff"), site.look(), {})


@pytest.fixture(scope="module")
def short(site: Site, checked: Stage) -> Stage:
    """A run that finds the pool of addresses empty."""
    cloud = site.cloud()
    public = cloud.network.find_network("public").id
    # Six addresses: five for others, one for our router.
    taken = [cloud.network.create_ip(floating_network_id=public) for _number in range(5)]
    try:
        done = site.provision()
    finally:
        for address in taken:
            cloud.network.delete_ip(address.id)
    return Stage(done, site.look(), {})


@pytest.fixture(scope="module")
def killed(site: Site, short: Stage) -> Seen:
    """A run that is killed when its first server is ordered, and the second order begins."""
    process = subprocess.Popen(
        site.command("ansible-playbook", "provision.yml"),
        # Each line at once, or the run is far ahead of what is read here.
        cwd=ROOT, env={**site.environment, "PYTHONUNBUFFERED": "1"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout
    orders = dropwhile(lambda line: ": Create the servers]" not in line, process.stdout)
    assert any("(item=create lb1)" in line for line in orders)
    kill_tree(process)
    process.stdout.close()
    return site.look()


@pytest.fixture(scope="module")
def made(site: Site, killed: Seen) -> Stage:
    """The run after it, to its end. There is also a server that somebody else has made."""
    done = site.provision()
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    seen = site.look()
    cloud = site.cloud()
    stranger = cloud.create_server(
        "stranger", image="debian-12", flavor="m1.small", network=PLATFORM, auto_ip=False, wait=True
    )
    try:
        told = site.ask()
    finally:
        cloud.delete_server(stranger.id, wait=True)
    return Stage(done, seen, told)


def test_a_check_on_an_empty_cloud_shows_the_plan_and_makes_nothing(checked: Stage) -> None:
    assert changed(checked.done) == 1
    for line in (
        "create  network bookface",
        "create  floating address lb1: from public",
        "create  server swarm1: debian-12, m1.small",
    ):
        assert line in checked.done.stdout
    assert checked.seen.servers == {}
    assert checked.seen.networks == ["public"]


def test_an_empty_pool_of_addresses_is_found_before_a_server_is_made(short: Stage) -> None:
    told = said(short.done)
    assert "Allocate the floating addresses: the pool of addresses is empty" in told
    assert "Run this again to continue from here. In the cloud: server group" in told
    assert "router bookface; subnet bookface; network bookface; security group bookface" in told
    assert short.seen.servers == {}


def test_the_killed_run_has_ordered_one_server(killed: Seen) -> None:
    assert [*killed.servers] == ["lb1"]


def test_after_a_killed_run_there_is_one_of_each(made: Stage) -> None:
    there = made.seen
    assert sorted(there.servers) == ["db1", "lb1", "swarm1"]
    assert {server.status for server in there.servers.values()} == {"ACTIVE"}
    assert len(there.routers) == len(there.ips) == there.subnets.count(PLATFORM) == 1
    assert there.networks == [PLATFORM, "public"]
    assert len(there.groups) == len(there.group_ids) == 5
    assert len(there.server_groups) == len(there.keypairs) == 1


def test_the_node_of_the_swarm_is_in_the_server_group(made: Stage) -> None:
    group = made.seen.server_groups[0]
    assert group.policy == "soft-anti-affinity"
    assert group.member_ids == [made.seen.servers["swarm1"].id]


def test_the_floating_address_leads_to_the_load_balancer(made: Stage) -> None:
    assert made.seen.ips[0].floating_ip_address == made.seen.address("lb1", "floating")


def test_the_rules_in_the_cloud_are_those_of_the_filter(made: Stage) -> None:
    found = FILTERS["openstack_machines"](VMS, PLATFORM, image="i", flavor="f", suite="s")
    doors = {
        "bind": "*:80", "tls_bind": "", "stats_bind": "127.0.0.1:1936", "database_port": 5432,
        "ssh_cidrs": ["192.0.2.0/24"], "admin_cidrs": ["192.0.2.0/24"],
    }  # fmt: skip
    hostvars: dict[str, dict[str, Any]] = {machine["name"]: {} for machine in found}
    hostvars["lb1"] = LOADBALANCERS
    wanted = FILTERS["openstack_rules"](found, PLATFORM, hostvars, PORTS, doors)
    names = {id_: name for name, id_ in made.seen.group_ids.items()}
    there = {
        name: {seen({**rule, "ether_type": rule["ethertype"]}, names) for rule in rules}
        for name, rules in made.seen.groups.items()
    }
    assert there == {name: {seen(rule, {}) for rule in rules} for name, rules in wanted.items()}
    assert {one["name"] for one in made.seen.servers["db1"].security_groups} == {
        "bookface", "bookface-databases", "bookface-caches",
    }  # fmt: skip


def test_the_user_data_is_what_docker_ce_writes(site: Site, made: Stage) -> None:
    # A later stage replaces lb1, and leaves swarm1 and its user data.
    assert site.user_data("swarm1") == (site.directory / "user_data.yml").read_bytes()
    assert site.user_data("lb1") == b""


def test_the_inventory_has_our_machines_in_their_groups(made: Stage) -> None:
    groups = {name: sorted(hosts) for name, hosts in made.told["lb1"]["groups"].items()}
    assert groups.pop("all") == groups["openstack_platform"] == ["db1", "lb1", "swarm1"]
    assert groups.pop("ungrouped") == []
    assert groups == {
        "loadbalancers": ["lb1"],
        "databases": ["db1"],
        "caches": ["db1"],
        "swarm_managers": ["swarm1"],
        "openstack_platform": ["db1", "lb1", "swarm1"],
    }
    there = {
        name: (own["ansible_host"], own["bookface_address"]) for name, own in made.told.items()
    }
    address = made.seen.address
    assert there == {
        "lb1": (made.seen.ips[0].floating_ip_address, address("lb1")),
        "db1": (address("db1"), address("db1")),
        "swarm1": (address("swarm1"), address("swarm1")),
    }


def test_the_roles_find_each_other_in_it(made: Stage) -> None:
    address = made.seen.address
    server = {"name": "swarm1", "host": "swarm1", "address": address("swarm1"), "port": 8080}
    assert made.told["lb1"]["backends"] == [{"name": "swarm", "servers": [server]}]
    assert made.told["lb1"]["database"] == address("db1")


def test_machines_without_an_address_are_reached_through_the_one_that_has_one(
    site: Site, made: Stage
) -> None:
    key = f"{site.directory}/id"
    assert "ProxyCommand" not in made.told["lb1"]["way"]
    jump = f"-i {key} debian@{made.seen.address('lb1', 'floating')}"
    assert jump in made.told["db1"]["way"]
    assert {own["key"] for own in made.told.values()} == {key}


# With nothing to change.


@pytest.fixture(scope="module")
def again(site: Site, made: Stage) -> tuple[Done, str]:
    """A second run that waits for guests, of which the cloud boots none; and site.yml's hosts.

    The servers are of a time before keys were noted, and db1 is reached: it is this machine.
    """
    compute = site.cloud().compute
    for id_ in made.seen.ids().values():
        compute.delete_server_metadata(id_, ["bookface_key_1"])
    programs = site.directory / "programs"
    programs.mkdir()
    (programs / "cloud-init").symlink_to("/bin/true")
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    site.group_vars("databases", here)
    try:
        command = site.command(
            "ansible-playbook", "provision.yml",
            openstack_wait_for_guest=True, openstack_boot_timeout=3,
        )  # fmt: skip
        done = site.execute(command, PATH=f"{programs}:{os.environ['PATH']}")
    finally:
        site.group_vars("databases", {})
    return done, site.run("ansible-playbook", "site.yml", "--list-hosts").stdout


def test_a_second_run_changes_nothing(again: tuple[Done, str]) -> None:
    counts = recap(again[0].stdout)["localhost"]
    assert (counts["changed"], counts["failed"]) == (0, 0)


def test_keys_are_noted_where_somebody_could_log_in(site: Site, again: tuple[Done, str]) -> None:
    """And not before: the runs of others rely on it."""
    noted = {
        one.name: [mark for mark in one.metadata if mark.startswith("bookface_key")]
        for one in site.look().servers.values()
    }
    assert noted == {"lb1": [], "db1": ["bookface_key_1"], "swarm1": []}, again[0].stdout[-4000:]


def test_a_machine_that_does_not_boot_shows_its_console(again: tuple[Done, str]) -> None:
    told = said(again[0])
    assert "lb1 (203.0.113." in told
    assert "has not booted: Wait for SSH" in told
    assert "FAKE CONSOLE OUTPUT" in told


def test_the_platform_is_made_of_these_machines(again: tuple[Done, str]) -> None:
    plays = re.findall(r"pattern: \['(.*)'\]\n +hosts \(\d+\):((?:\n {6}\S+)*)", again[1])
    hosts = {pattern: names.split() for pattern, names in plays}
    assert hosts["databases"] == hosts["caches"] == ["db1"]
    assert hosts["swarm_managers:swarm_workers"] == ["swarm1"]
    assert hosts["loadbalancers"] == ["lb1"]
    assert hosts["legacy_web"] == hosts["docker_hosts"] == []


# One change of each kind.

LARGER = {**VMS[0], "flavor": "m1.medium"}
# One group more, one less.
REGROUPED = {**VMS[1], "groups": ["databases", "loadbalancers"]}
# By its name it would be the first with an address.
EXTRA = {"name": "extra1", "groups": ["legacy_web"], "floating_ip": True}


@dataclass(frozen=True)
class Changed:
    """What others had put on db1, the refusal without confirmation, and the run with it."""

    port: str
    refused: Done
    before: Seen
    after: Stage
    known_hosts: str


@pytest.fixture(scope="module")
def altered(site: Site, again: tuple[Done, str]) -> Changed:
    """lb1 larger, db1 in other groups, swarm1 shut off, extra1 new.

    Others have put a mark, a tag and a second network on db1.
    """
    cloud, ids = site.cloud(), site.look().ids()
    compute, network = cloud.compute, cloud.network
    compute.set_server_metadata(ids["db1"], owner="them")
    assert compute.put(f"/servers/{ids['db1']}/tags/theirs", microversion="2.26").ok
    second = network.create_network(name="a-second")
    network.create_subnet(network_id=second.id, ip_version=4, cidr="198.51.100.0/24")
    port = compute.create_server_interface(ids["db1"], net_id=second.id).port_id
    compute.stop_server(ids["swarm1"])
    compute.wait_for_server(compute.get_server(ids["swarm1"]), status="SHUTOFF")

    before = site.look()
    site.vms[:] = [LARGER, REGROUPED, VMS[2], EXTRA]
    refused = site.provision()
    middle = site.look()
    assert middle.ids() == before.ids()
    assert middle.servers["db1"].metadata == before.servers["db1"].metadata

    addresses = {before.address("lb1", "floating"): "gone", before.address("db1"): "stays"}
    key = (site.directory / "id.pub").read_text().split()[1]
    hosts = site.directory / "known_hosts"
    hosts.write_text(
        "".join(f"{one} ssh-ed25519 {key} {word}\n" for one, word in addresses.items())
    )
    done = site.provision(confirm_replace="lb1")
    made = Changed(port, refused, before, Stage(done, site.look(), site.ask()), hosts.read_text())

    compute.delete_server_interface(port, server=ids["db1"])
    network.wait_for_delete(network.get_port(port))
    network.delete_network(second)
    return made


def test_a_replacement_needs_the_name_of_the_machine(altered: Changed) -> None:
    told = said(altered.refused)
    assert "these changes require replacing: lb1 (flavor m1.small -> m1.medium)" in told
    assert "-e confirm_replace=lb1" in told
    assert "Nothing was changed." in told


def test_a_confirmed_replacement_keeps_the_address(altered: Changed) -> None:
    assert changed(altered.after.done) > 0
    # The new machine has another key than the one that was known there.
    assert [line.split()[-1] for line in altered.known_hosts.splitlines()] == ["stays"]
    before, after = altered.before, altered.after.seen
    assert after.ids()["lb1"] != before.ids()["lb1"]
    assert after.servers["lb1"].flavor.original_name == "m1.medium"
    # Whoever knew the site's address still does.
    assert after.address("lb1", "floating") == before.address("lb1", "floating")


def test_groups_change_while_the_machine_runs(altered: Changed) -> None:
    before, after = altered.before.servers["db1"], altered.after.seen.servers["db1"]
    assert after.id == before.id
    assert after.metadata == {**before.metadata, "bookface_groups": "databases,loadbalancers"}
    assert after.metadata["owner"] == "them"
    assert after.tags == ["theirs"]
    seen = altered.after.seen
    ours = next(
        one.id for one in seen.ports if one.device_id == after.id and one.id != altered.port
    )
    assert seen.groups_of(ours) == {"bookface", "bookface-databases", "bookface-loadbalancers"}
    theirs = next(one for one in altered.before.ports if one.id == altered.port)
    now = next(one for one in seen.ports if one.id == altered.port)
    assert now.security_group_ids == theirs.security_group_ids
    told = altered.after.told
    assert sorted(told["db1"]["groups"]["loadbalancers"]) == ["db1", "lb1"]
    # The address in our network, not in the one that somebody has added.
    assert told["db1"]["bookface_address"] == seen.address("db1")


def test_what_is_shut_off_starts_and_what_is_new_is_made(altered: Changed) -> None:
    there = altered.after.seen.servers
    assert sorted(there) == ["db1", "extra1", "lb1", "swarm1"]
    assert {one.status for one in there.values()} == {"ACTIVE"}
    assert there["swarm1"].id == altered.before.ids()["swarm1"]


# Out of the description.


@dataclass(frozen=True)
class Left:
    """extra1 no longer described: a run that leaves it, one that takes it, and a check."""

    left: Stage
    taken: Stage
    checked: Done


@pytest.fixture(scope="module")
def left(site: Site, altered: Changed) -> Left:
    site.vms.remove(EXTRA)
    still = Stage(site.provision(), site.look(), site.ask())
    taken = Stage(site.provision(confirm_remove=["extra1"]), site.look(), {})
    # What swarm1 would do at its first boot is another thing now.
    return Left(still, taken, site.provision("--check", "--diff", docker_ce_hold=True))


def test_what_is_no_longer_described_stays_until_it_is_named(left: Left) -> None:
    done, there = left.left.done, left.left.seen
    assert changed(done) > 0  # rules no longer name the group of extra1
    assert "server extra1 (ACTIVE): no longer described; -e confirm_remove=extra1" in done.stdout
    assert "extra1" in there.servers
    # Nobody waits until it has booted, or goes through it: the rules let lb1 through.
    assert sorted(recap(done.stdout)) == ["db1", "lb1", "localhost", "swarm1"]
    assert f"debian@{there.address('lb1', 'floating')}" in left.left.told["db1"]["way"]
    assert changed(left.taken.done) == 2
    assert sorted(left.taken.seen.servers) == ["db1", "lb1", "swarm1"]


def test_another_first_boot_alone_neither_destroys_nor_counts_as_a_change(left: Left) -> None:
    assert changed(left.checked) == 0
    assert "leave   server swarm1: its user data has changed; site.yml" in left.checked.stdout


# The removal.


@pytest.fixture(scope="module")
def others(site: Site, left: Left) -> Iterator[None]:
    """A server and a network of somebody else."""
    cloud = site.cloud()
    network = cloud.network.create_network(name="other")
    cloud.network.create_subnet(network_id=network.id, ip_version=4, cidr="198.51.100.0/24")
    server = cloud.create_server(
        "stranger", image="debian-12", flavor="m1.small", network="other", auto_ip=False, wait=True
    )
    yield
    cloud.delete_server(server.id, wait=True)
    cloud.network.delete_network(network)


def test_removal_takes_what_is_ours_and_nothing_else(site: Site, others: None) -> None:
    assert changed(site.deprovision("--check")) == 1
    network = site.cloud().network
    port = network.create_port(network_id=network.find_network(PLATFORM).id, name="theirs")
    # What would end a real run ends a check, too.
    for arguments in ((), ("--check",)):
        told = said(site.deprovision(*arguments, confirm=PLATFORM))
        assert "the port theirs is on the network bookface" in told
    network.delete_port(port.id)
    # Neutron's own ports are not in the way, as where there is OVN or a distributed router.
    for owner in ("network:distributed", "network:floatingip_agent_gateway"):
        site.cloud("lab-admin").network.create_port(
            network_id=port.network_id, project_id=port.project_id, device_owner=owner,
            device_id="neutron's",
        )  # fmt: skip
    told = said(site.deprovision())
    assert "To go on: -e confirm=bookface" in told
    assert sorted(site.look().servers) == ["db1", "lb1", "stranger", "swarm1"]
    assert changed(site.deprovision(confirm=PLATFORM)) > 0
    there = site.look()
    assert [*there.servers] == ["stranger"]
    assert there.networks == ["other", "public"]
    assert [*there.ips, *there.routers, *there.keypairs, *there.server_groups] == []
    assert there.groups == {}
    assert changed(site.deprovision()) == 0
