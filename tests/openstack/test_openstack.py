"""From nothing to machines and back, on a real cloud. Each test goes on after the last one."""

from __future__ import annotations

import base64
import copy
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.filter.openstack_plan import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.openstack_rules import seen
from commands import failures, recap
from described import PLATFORM, ROOT, VMS, Site

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
    """A run that gets SIGKILL when its first machine has been ordered."""
    process = subprocess.Popen(
        site.command("ansible-playbook", "provision.yml"),
        cwd=ROOT, env=site.environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + 300
    while not site.servers():
        assert process.poll() is None, "the run was quicker than its killer"
        assert time.monotonic() < end
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert len(site.servers()) < len(VMS)


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
    address = next(site.cloud().network.ips())
    entries = site.servers()["lb1"].addresses[PLATFORM]
    assert address.floating_ip_address in [entry["addr"] for entry in entries]


def test_the_rules_in_the_cloud_are_those_of_the_filter(site: Site, made: Done) -> None:
    found = FILTERS["openstack_machines"](VMS, PLATFORM, image="i", flavor="f", suite="s")
    doors = {
        "front": ["*:80"], "stats": "*:1936", "ssh_cidrs": ["192.0.2.0/24"],
        "admin_cidrs": ["192.0.2.0/24"], "database_port": 5432,
    }  # fmt: skip
    hostvars: dict[str, dict[str, Any]] = {machine["name"]: {} for machine in found}
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


def test_the_inventory_has_our_machines_in_their_groups(site: Site, made: Done) -> None:
    cloud = site.cloud()
    foreign = cloud.create_server(
        "stranger", image="debian-12", flavor="m1.small", network=PLATFORM, auto_ip=False, wait=True
    )
    try:
        done = site.run("ansible-inventory", "--list")
    finally:
        cloud.delete_server(foreign.id, wait=True)
    told = json.loads(done.stdout)
    hosts = {group: sorted(told[group]["hosts"]) for group in told if "hosts" in told[group]}
    assert hosts == {
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
        for host, own in told["_meta"]["hostvars"].items()
    }  # fmt: skip
    address = next(cloud.network.ips()).floating_ip_address
    assert variables["lb1"]["ansible_host"] == address
    assert variables["lb1"]["bookface_address"].startswith("192.168.91.")
    assert variables["db1"]["ansible_host"] == variables["db1"]["bookface_address"]


def test_machines_without_an_address_are_reached_through_the_one_that_has_one(
    site: Site, made: Done
) -> None:
    options = "{{ ansible_ssh_common_args }}"
    done = site.run("ansible", "openstack_platform", "-m", "debug", "-a", f"msg='{options}'")
    told = {part.split(" ")[0]: part for part in done.stdout.split("\n}\n") if part}
    address = next(site.cloud().network.ips()).floating_ip_address
    assert "ProxyCommand" not in told["lb1"]
    assert f"debian@{address}" in told["db1"]


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
    before, address = site.servers(), next(site.cloud().network.ips())
    larger = {"openstack_vms": [{**VMS[0], "flavor": "m1.medium"}, *VMS[1:]]}
    told = said(site.provision(**larger))
    assert "destroying and making anew: lb1 (flavor m1.small -> m1.medium)" in told
    assert "-e confirm_replace=lb1" in told
    assert {name: one.id for name, one in site.servers().items()} == {
        name: one.id for name, one in before.items()
    }
    assert changed(site.provision(**larger, confirm_replace="lb1")) > 0
    after = site.servers()
    assert after["lb1"].id != before["lb1"].id
    assert after["lb1"].flavor.original_name == "m1.medium"
    assert after["db1"].id == before["db1"].id
    # Whoever knew the site's address still does.
    assert address.floating_ip_address in str(after["lb1"].addresses)
    site.vms[0] = larger["openstack_vms"][0]


def test_machines_come_into_the_description_and_leave_it(site: Site, made: Done) -> None:
    more = [*site.vms, {"name": "web1", "groups": ["legacy_web"]}]
    cloud = site.cloud()
    cloud.compute.stop_server(site.servers()["db1"])
    assert changed(site.provision(openstack_vms=more)) > 0
    assert {one.status for one in site.servers().values()} == {"ACTIVE"}  # db1 again
    assert "web1" in site.servers()
    done = site.provision()
    assert changed(done) > 0  # rules no longer name the group of web1
    assert "server web1 (ACTIVE): no longer described; -e confirm_remove=web1" in done.stdout
    assert "web1" in site.servers()
    assert changed(site.provision(confirm_remove=["web1"])) == 1
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
    told = said(site.deprovision())
    assert "if that is wanted: -e confirm=bookface" in told
    assert len(site.servers()) == 4  # nothing has gone so far
    assert changed(site.deprovision(confirm=PLATFORM)) > 0
    assert [*site.servers()] == ["stranger"]
    assert sorted(one.name for one in cloud.network.networks()) == ["other", "public"]
    assert [*cloud.network.ips(), *cloud.network.routers(), *cloud.compute.keypairs()] == []
    assert [*cloud.compute.server_groups()] == []
    assert {one.name for one in cloud.network.security_groups()} == {"default"}
    assert changed(site.deprovision()) == 0
