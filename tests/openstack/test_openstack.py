"""From nothing to machines and back, on a real cloud. Each test goes on after the last one."""

from __future__ import annotations

import base64
import copy
import json
import re
import subprocess
from collections.abc import Iterator
from itertools import dropwhile
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.filter.openstack_plan import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.openstack.rules import seen
from described import LOADBALANCERS, PLATFORM, ROOT, VMS, Site

from tests.support.commands import failures, kill_tree, recap

FILTERS = FilterModule().filters()
PORTS = {"legacy_port": 80, "container_count": 2, "container_first_port": 32001, "swarm_port": 8080}
Done = subprocess.CompletedProcess[str]


def said(done: Done) -> str:
    """Why a run failed, without line breaks."""
    assert done.returncode != 0, done.stdout[-4000:]
    words = [json.dumps(text) for _host, text in failures(done.stdout)]
    return " ".join(" ".join(words).split()) or done.stdout[-3000:] + done.stderr[-1000:]


def changed(done: Done) -> int:
    """How many tasks of a good run have changed something."""
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    return recap(done.stdout)["localhost"]["changed"]


# Before the first machine: everything that is told without one change.


@pytest.mark.parametrize(
    ("cloud", "says"),
    [
        ("nosuch", "nosuch: clouds.yaml has no such cloud"),
        ("wrong", "wrong: the cloud refused the credentials"),
        ("expired", "a token that has expired"),
        ("away", "away: the cloud's endpoint cannot be reached"),
    ],
)
def test_a_cloud_that_does_not_let_us_in(
    site: Site, strange_clouds: None, cloud: str, says: str
) -> None:
    module = "bookface.platform.openstack_platform_info"
    assert says in said(site.run("ansible", "localhost", "-m", module, "-a", f"cloud={cloud}"))


def test_wrong_credentials_end_a_run(site: Site, strange_clouds: None) -> None:
    told = said(site.provision(openstack_cloud="wrong"))
    assert "a wrong user or password, or a token that has expired" in told


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        (
            {"openstack_vms": [VMS[0], VMS[0], {"name": "a", "groups": ["web"]}]},
            ["a is in the unknown group web; known: loadb", "openstack_vms has lb1 more than once"],
        ),
        (
            {
                "openstack_image": "nosuch",
                "openstack_flavor": "m1.nosuch",
                "openstack_external_network": "out",
                "openstack_vms": [VMS[0], {**VMS[1], "volume": 10}],
            },
            [
                "there is no image nosuch, which lb1, db1 would boot; the cloud has debian-12, d",
                "there is no flavor m1.nosuch; the cloud has m1.medium, m1.small",
                "openstack_external_network is out; the cloud has public to the outside",
                "db1 wants a volume of 10 GB, but the cloud has no block storage",
            ],
        ),
    ],
)
def test_all_mistakes_are_told_before_anything_is_made(
    site: Site, variables: dict[str, Any], says: list[str]
) -> None:
    told = said(site.provision(**variables))
    assert [words for words in says if words not in told] == []
    assert "Nothing was changed." in told
    assert site.servers() == {}
    assert [one.name for one in site.cloud().network.networks()] == ["public"]


def test_a_first_boot_that_cannot_be_written_down_orders_no_machine(site: Site) -> None:
    """Not even those whose own is: a machine would come up without its Docker."""
    site.group_vars("docker_hosts", {"docker_ce_daemon": {"debug": "perhaps"}})
    try:
        told = said(
            site.provision(openstack_vms=[*VMS, {"name": "docker1", "groups": ["docker_hosts"]}])
        )
    finally:
        site.group_vars("docker_hosts", {})
    assert 'debug is "perhaps"; wanted is true or false' in told.replace("\\", "")
    assert [one.name for one in site.cloud().network.networks()] == ["public"]
    # Nor does a run that leaves this out.
    told = said(site.provision("--limit", "localhost"))
    assert "What swarm1 shall do at the first boot is not known" in told
    assert [one.name for one in site.cloud().network.networks()] == ["public"]


@pytest.fixture
def strange_clouds(site: Site) -> Iterator[None]:
    """More in clouds.yaml: a wrong password, an address where nobody is, a dead token."""
    before = site.lab.clouds.read_text()
    known = json.loads(before)["clouds"]
    for name in ("wrong", "away", "expired"):
        known[name] = copy.deepcopy(known["lab"])
    # A token that was revoked is answered like one whose time is over.
    identity = site.cloud().identity
    token = site.cloud().auth_token
    revoked = identity.delete("/auth/tokens", headers={"X-Subject-Token": token})
    assert revoked.status_code == 204
    known["wrong"]["auth"]["password"] = "not this one"  # noqa: S105
    known["away"]["auth"]["auth_url"] = "http://127.0.0.1:1/v3"
    known["expired"] |= {
        "auth_type": "v3token",
        "auth": {"token": token, "auth_url": known["lab"]["auth"]["auth_url"],
                 "project_name": "demo", "project_domain_name": "Default"},
    }  # fmt: skip
    site.lab.clouds.write_text(json.dumps({"clouds": known}))
    yield
    site.lab.clouds.write_text(before)


def test_a_quota_is_told_before_anything_is_made(site: Site) -> None:
    admin = site.cloud("lab-admin")
    admin.set_compute_quotas("demo", cores=2, ram=51200, instances=10)
    try:
        told = said(site.provision())
    finally:
        admin.delete_compute_quotas("demo")
    assert "the quota is 2 cores, 0 are in use, and 3 more are wanted" in told
    assert "Nothing was changed." in told
    assert site.servers() == {}


def test_an_empty_pool_of_addresses_is_found_before_a_machine_is_made(site: Site) -> None:
    cloud = site.cloud()
    public = cloud.network.find_network("public").id
    # Six addresses: five for others, one for our router.
    taken = [cloud.network.create_ip(floating_network_id=public) for _number in range(5)]
    try:
        told = said(site.provision())
    finally:
        for address in taken:
            cloud.network.delete_ip(address.id)
    assert "Get the floating addresses: the pool of addresses is empty" in told
    assert "The next run goes on from here. There is: server group" in told
    assert "router bookface; subnet bookface; network bookface; security group bookface" in told
    assert site.servers() == {}
    assert changed(site.deprovision(confirm=PLATFORM)) > 0


# The first run, which is killed, and the second, which goes on.


@pytest.fixture(scope="module")
def checked(site: Site) -> Done:
    """A check on a cloud that has nothing."""
    done = site.provision("--check", "--diff")
    assert site.servers() == {}
    assert [one.name for one in site.cloud().network.networks()] == ["public"]
    return done


@pytest.fixture(scope="module")
def killed(site: Site, checked: Done) -> None:
    """A run that is killed when it has told of its first order, and the second one begins."""
    process = subprocess.Popen(
        site.command("ansible-playbook", "provision.yml"),
        cwd=ROOT, env=site.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout
    orders = dropwhile(lambda line: ": Order the servers]" not in line, process.stdout)
    assert any("(item=create lb1)" in line for line in orders)
    kill_tree(process)
    process.stdout.close()
    assert [*site.servers()] == ["lb1"]


@pytest.fixture(scope="module")
def made(site: Site, killed: None) -> Done:
    """The run after it, to its end."""
    done = site.provision()
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    return done


def test_a_check_on_an_empty_cloud_tells_all_and_makes_nothing(checked: Done) -> None:
    assert changed(checked) == 1
    for line in (
        "create  network bookface",
        "create  floating address lb1: from public",
        "create  server swarm1: debian-12, m1.small",
    ):
        assert line in checked.stdout


def test_after_a_killed_run_there_is_one_of_each(site: Site, made: Done) -> None:
    cloud = site.cloud()
    servers = list(cloud.compute.servers())
    assert sorted(server.name for server in servers) == ["db1", "lb1", "swarm1"]
    assert {server.status for server in servers} == {"ACTIVE"}
    network = cloud.network
    for things in (network.routers(), network.ips(), network.subnets(name=PLATFORM)):
        assert len(list(things)) == 1
    assert sorted(one.name for one in network.networks()) == [PLATFORM, "public"]
    groups = [one.name for one in network.security_groups() if one.name != "default"]
    assert len(groups) == len({*groups}) == 5
    assert len(list(cloud.compute.server_groups())) == len(list(cloud.compute.keypairs())) == 1


def test_the_node_of_the_swarm_is_in_the_server_group(site: Site, made: Done) -> None:
    group = next(site.cloud().compute.server_groups())
    assert group.policy == "soft-anti-affinity"
    assert group.member_ids == [site.servers()["swarm1"].id]


def test_the_floating_address_leads_to_the_load_balancer(site: Site, made: Done) -> None:
    told = next(site.cloud().network.ips()).floating_ip_address
    assert told == address(site, "lb1", "floating")


def test_the_rules_in_the_cloud_are_those_of_the_filter(site: Site, made: Done) -> None:
    found = FILTERS["openstack_machines"](VMS, PLATFORM, image="i", flavor="f", suite="s")
    doors = {
        "bind": "*:80", "tls_bind": "", "stats_bind": "127.0.0.1:1936", "database_port": 5432,
        "ssh_cidrs": ["192.0.2.0/24"], "admin_cidrs": ["192.0.2.0/24"],
    }  # fmt: skip
    hostvars: dict[str, dict[str, Any]] = {machine["name"]: {} for machine in found}
    hostvars["lb1"] = LOADBALANCERS
    wanted = FILTERS["openstack_rules"](found, PLATFORM, hostvars, PORTS, doors)
    groups = {one.id: one for one in site.cloud().network.security_groups()}
    names = {id_: one.name for id_, one in groups.items()}
    there = {
        one.name: {seen({**rule, "ether_type": rule["ethertype"]}, names)
                   for rule in one.security_group_rules}
        for one in groups.values() if one.name != "default"
    }  # fmt: skip
    assert there == {name: {seen(rule, {}) for rule in rules} for name, rules in wanted.items()}
    assert {one["name"] for one in site.servers()["db1"].security_groups} == {
        "bookface", "bookface-databases", "bookface-caches",
    }  # fmt: skip


def test_the_user_data_is_what_docker_ce_writes(site: Site, made: Done) -> None:
    file = site.directory / "docker.yml"
    options = {"docker_ce_cloud_init": str(file), "docker_ce_boot_script": "",
               "docker_ce_suite": "bookworm", "docker_ce_swarm": True}  # fmt: skip
    role = "name=bookface.platform.docker_ce tasks_from=first_boot.yml"
    module = "ansible.builtin.include_role"
    done = site.run("ansible", "localhost", "-m", module, "-a", role, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert user_data(site, "swarm1") == file.read_bytes()
    assert user_data(site, "lb1") == b""


def user_data(site: Site, name: str) -> bytes:
    """As the cloud hands it to the machine; only its operator may read it."""
    path = f"/servers/{site.servers()[name].id}"
    answer = site.cloud("lab-admin").compute.get(path, microversion="2.3").json()["server"]
    return base64.b64decode(answer["OS-EXT-SRV-ATTR:user_data"] or "")


def inventory(site: Site) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Group → its machines, and what is known of each."""
    told = json.loads(site.run("ansible-inventory", "--list").stdout)
    groups = {group: sorted(told[group]["hosts"]) for group in told if "hosts" in told[group]}
    return groups, told["_meta"]["hostvars"]


def address(site: Site, name: str, kind: str = "fixed") -> str:
    """A machine's address in the network of the platform, or its floating one."""
    entries = site.servers()[name].addresses[PLATFORM]
    return str(next(one["addr"] for one in entries if one["OS-EXT-IPS:type"] == kind))


def test_the_inventory_has_our_machines_in_their_groups(site: Site, made: Done) -> None:
    cloud = site.cloud()
    foreign = cloud.create_server(
        "stranger", image="debian-12", flavor="m1.small", network=PLATFORM, auto_ip=False, wait=True
    )
    try:
        groups, hostvars = inventory(site)
    finally:
        cloud.delete_server(foreign.id, wait=True)
    assert groups == {
        "loadbalancers": ["lb1"],
        "databases": ["db1"],
        "caches": ["db1"],
        "swarm_managers": ["swarm1"],
        "openstack_platform": ["db1", "lb1", "swarm1"],
    }
    variables = {
        # What a cloud says is marked as no template.
        host: {key: value["__ansible_unsafe"] for key, value in own.items()
               if key in ("ansible_host", "bookface_address")}
        for host, own in hostvars.items()
    }  # fmt: skip
    door = next(cloud.network.ips()).floating_ip_address
    assert variables["lb1"] == {"ansible_host": door, "bookface_address": address(site, "lb1")}
    for name in ("db1", "swarm1"):
        own = address(site, name)
        assert variables[name] == {"ansible_host": own, "bookface_address": own}


def test_the_platform_is_made_of_these_machines(site: Site, made: Done) -> None:
    told = site.run("ansible-playbook", "site.yml", "--list-hosts").stdout
    plays = re.findall(r"pattern: \['(.*)'\]\n +hosts \(\d+\):((?:\n {6}\S+)*)", told)
    hosts = {pattern: names.split() for pattern, names in plays}
    assert hosts["databases"] == hosts["caches"] == ["db1"]
    assert hosts["swarm_managers:swarm_workers"] == ["swarm1"]
    assert hosts["loadbalancers"] == ["lb1"]
    assert hosts["legacy_web"] == hosts["docker_hosts"] == []


def test_the_roles_find_each_other_in_it(site: Site, made: Done) -> None:
    play = site.directory / "facts.yml"
    facts = {"backends": "{{ bookface_backends }}", "database": "{{ bookface_db_host }}"}
    play.write_text(
        json.dumps(
            [
                {
                    "hosts": "loadbalancers",
                    "gather_facts": False,
                    "roles": ["bookface.platform.bookface"],
                    "tasks": [{"ansible.builtin.debug": {"msg": facts}}],
                }
            ]
        )
    )
    told = site.run("ansible-playbook", str(play)).stdout
    found = json.JSONDecoder().raw_decode(told.partition("ok: [lb1] => ")[2])[0]["msg"]
    server = {"name": "swarm1", "host": "swarm1", "address": address(site, "swarm1"), "port": 8080}
    assert found == {
        "backends": [{"name": "swarm", "servers": [server]}],
        "database": address(site, "db1"),
    }


def test_machines_without_an_address_are_reached_through_the_one_that_has_one(
    site: Site, made: Done
) -> None:
    told = ways(site)
    key = f"{site.directory}/id"
    assert "ProxyCommand" not in told["lb1"]
    assert f"-i {key} debian@{address(site, 'lb1', 'floating')}" in told["db1"]
    for way in told.values():
        assert f"with {key}" in way


def ways(site: Site) -> dict[str, str]:
    """Machine → how SSH gets there."""
    message = "msg='{{ ansible_ssh_common_args }} with {{ ansible_ssh_private_key_file }}'"
    done = site.run("ansible", "openstack_platform", "-m", "debug", "-a", message)
    return {part.split(" ")[0]: part for part in done.stdout.split("\n}\n") if part}


def test_a_second_run_changes_nothing(site: Site, made: Done) -> None:
    assert changed(site.provision()) == 0
    assert changed(site.provision("--check", "--diff")) == 0


def test_a_machine_that_does_not_boot_shows_its_console(site: Site, made: Done) -> None:
    # The cloud boots nothing: a boot that fails.
    done = site.provision(openstack_wait_for_guest=True, openstack_boot_timeout=3)
    told = said(done)
    assert "lb1 (203.0.113." in told
    assert "has not booted: Wait for SSH" in told
    assert "FAKE CONSOLE OUTPUT" in told


def test_a_change_that_destroys_wants_the_machine_s_name(site: Site, made: Done) -> None:
    before, door = site.servers(), address(site, "lb1", "floating")
    larger = {"openstack_vms": [{**VMS[0], "flavor": "m1.medium"}, *VMS[1:]]}
    told = said(site.provision(**larger))
    assert "destroying and making anew: lb1 (flavor m1.small -> m1.medium)" in told
    assert "-e confirm_replace=lb1" in told
    assert {name: one.id for name, one in site.servers().items()} == {
        name: one.id for name, one in before.items()
    }
    known = {door: "gone", address(site, "db1"): "stays"}
    hosts, key = site.directory / "known_hosts", (site.directory / "id.pub").read_text().split()[1]
    hosts.write_text("".join(f"{host} ssh-ed25519 {key} {word}\n" for host, word in known.items()))
    assert changed(site.provision(**larger, confirm_replace="lb1")) > 0
    # The new machine has another key than the one that was known there.
    assert [line.split()[-1] for line in hosts.read_text().splitlines()] == ["stays"]
    after = site.servers()
    assert after["lb1"].id != before["lb1"].id
    assert after["lb1"].flavor.original_name == "m1.medium"
    assert after["db1"].id == before["db1"].id
    # Whoever knew the site's address still does.
    assert address(site, "lb1", "floating") == door
    site.vms[0] = larger["openstack_vms"][0]


@pytest.fixture
def visited(site: Site, made: Done) -> Iterator[str]:
    """lb1 with what others have put on it: a mark, a tag, a second network, whose port it is."""
    cloud = site.cloud()
    lb1 = site.servers()["lb1"].id
    cloud.compute.set_server_metadata(lb1, owner="them")
    assert cloud.compute.put(f"/servers/{lb1}/tags/theirs", microversion="2.26").ok
    network = cloud.network.create_network(name="a-second")
    cloud.network.create_subnet(network_id=network.id, ip_version=4, cidr="198.51.100.0/24")
    port = cloud.compute.create_server_interface(lb1, net_id=network.id).port_id
    yield port
    cloud.compute.delete_server_interface(port, server=lb1)
    cloud.network.wait_for_delete(cloud.network.get_port(port))
    cloud.network.delete_network(network)


def test_groups_change_while_the_machine_runs(site: Site, visited: str) -> None:
    cloud = site.cloud()

    def groups(port: str) -> set[str]:
        ids = cloud.network.get_port(port).security_group_ids
        return {cloud.network.get_security_group(id_).name for id_ in ids}

    before, theirs = site.servers()["lb1"], groups(visited)
    site.vms[0] = {**site.vms[0], "groups": ["loadbalancers", "caches"]}
    assert changed(site.provision()) > 0
    after = site.servers()["lb1"]
    assert after.id == before.id
    assert after.metadata == {**before.metadata, "bookface_groups": "loadbalancers,caches"}
    assert after.tags == ["theirs"]
    ours = next(port.id for port in cloud.network.ports(device_id=after.id) if port.id != visited)
    assert groups(ours) == {"bookface", "bookface-loadbalancers", "bookface-caches"}
    assert groups(visited) == theirs
    hosts, hostvars = inventory(site)
    assert hosts["caches"] == ["db1", "lb1"]
    assert hostvars["lb1"]["bookface_address"]["__ansible_unsafe"] == address(site, "lb1")
    # Nor does a change of the first boot alone destroy a machine, or count as one.
    again = site.provision(docker_ce_hold=True)
    assert changed(again) == 0
    assert "leave   server swarm1: its first boot was another; site.yml brings it" in again.stdout


def test_machines_come_into_the_description_and_leave_it(site: Site, made: Done) -> None:
    # By its name it would be the first with an address.
    extra = {"name": "extra1", "groups": ["legacy_web"], "floating_ip": True}
    more = [*site.vms, extra]
    cloud = site.cloud()
    cloud.compute.stop_server(site.servers()["db1"])
    assert changed(site.provision(openstack_vms=more)) > 0
    assert {one.status for one in site.servers().values()} == {"ACTIVE"}  # db1 again
    assert "extra1" in site.servers()
    done = site.provision()
    assert changed(done) > 0  # rules no longer name the group of extra1
    assert "server extra1 (ACTIVE): no longer described; -e confirm_remove=extra1" in done.stdout
    assert "extra1" in site.servers()
    # Nobody waits until it has booted, or goes through it: the rules let lb1 through.
    assert sorted(recap(done.stdout)) == ["db1", "lb1", "localhost", "swarm1"]
    assert f"debian@{address(site, 'lb1', 'floating')}" in ways(site)["db1"]
    assert changed(site.provision(confirm_remove=["extra1"])) == 2
    assert sorted(site.servers()) == ["db1", "lb1", "swarm1"]


def test_removal_takes_what_is_ours_and_nothing_else(site: Site, made: Done) -> None:
    cloud = site.cloud()
    other = cloud.network.create_network(name="other")
    cloud.network.create_subnet(network_id=other.id, ip_version=4, cidr="198.51.100.0/24")
    cloud.create_server(
        "stranger", image="debian-12", flavor="m1.small", network="other", auto_ip=False, wait=True
    )
    assert changed(site.deprovision("--check")) == 1
    port = cloud.network.create_port(
        network_id=cloud.network.find_network(PLATFORM).id, name="theirs"
    )
    # What would end a real run ends a check, too.
    for arguments in ((), ("--check",)):
        told = said(site.deprovision(*arguments, confirm=PLATFORM))
        assert "the port theirs is on the network bookface" in told
    cloud.network.delete_port(port.id)
    # Neutron's own ports are not in the way, as where there is OVN or a distributed router.
    for owner in ("network:distributed", "network:floatingip_agent_gateway"):
        site.cloud("lab-admin").network.create_port(
            network_id=port.network_id, project_id=port.project_id, device_owner=owner,
            device_id="neutron's",
        )  # fmt: skip
    told = said(site.deprovision())
    assert "if that is wanted: -e confirm=bookface" in told
    assert sorted(site.servers()) == ["db1", "lb1", "stranger", "swarm1"]  # nothing has gone so far
    assert changed(site.deprovision(confirm=PLATFORM)) > 0
    assert [*site.servers()] == ["stranger"]
    assert sorted(one.name for one in cloud.network.networks()) == ["other", "public"]
    assert [*cloud.network.ips(), *cloud.network.routers(), *cloud.compute.keypairs()] == []
    assert [*cloud.compute.server_groups()] == []
    assert {one.name for one in cloud.network.security_groups()} == {"default"}
    assert changed(site.deprovision()) == 0
