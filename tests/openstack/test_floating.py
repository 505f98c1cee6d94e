"""The load balancer is gone: its floating address moves to another machine, and the cloud goes too.

Each stage is a fixture that goes on from the one before it, as in test_openstack.py.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from described import PLATFORM, ROOT, Seen, Site, credentials
from openstack.connection import Connection

from tests.support.commands import failures, kill_tree, recap

Done = subprocess.CompletedProcess[str]
VMS: list[dict[str, Any]] = [
    {"name": "lb1", "groups": ["loadbalancers"], "floating_ip": True},
    {"name": "web1", "groups": ["legacy_web"]},
]
GROUPS = {"bookface", "bookface-legacy_web"}


def changed(done: Done) -> int:
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    return recap(done.stdout)["localhost"]["changed"]


def told(done: Done) -> str:
    return " ".join((done.stdout + done.stderr).split())


def host(done: Done) -> dict[str, Any]:
    """What ansible-inventory says of a host, whose strings are marked as no templates."""
    assert done.returncode == 0, done.stderr
    plain = json.loads(done.stdout, object_hook=lambda one: one.get("__ansible_unsafe", one))
    return dict(plain)


def holder(seen: Seen) -> str:
    """Name of the machine behind the floating address."""
    (address,) = seen.ips
    devices = {port.id: port.device_id for port in seen.ports}
    names = {id_: name for name, id_ in seen.ids().items()}
    return names[devices[address.port_id]]


def groups_of_web1(seen: Seen) -> set[str]:
    (port,) = [one for one in seen.ports if one.device_id == seen.ids()["web1"]]
    return seen.groups_of(port.id)


@dataclass(frozen=True)
class Stage:
    done: Done
    seen: Seen


@pytest.fixture(scope="module")
def made(site: Site) -> Iterator[Seen]:
    before = site.vms[:]
    site.vms[:] = VMS
    try:
        assert site.provision().returncode == 0
        yield site.look()
        assert site.deprovision(confirm=PLATFORM).returncode == 0
        assert site.look().servers == {}
    finally:
        site.vms[:] = before


def kill_at(site: Site, task: str, **variables: Any) -> Seen:
    """What is there of a run that was killed when a task began."""
    process = subprocess.Popen(
        site.command("ansible-playbook", "playbooks/floating_address.yml", **variables),
        cwd=ROOT, env={**site.environment, "PYTHONUNBUFFERED": "1"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout
    assert any(f": {task}" in line for line in process.stdout)
    kill_tree(process)
    process.stdout.close()
    return site.look()


@pytest.fixture(scope="module")
def killed(site: Site, made: Seen) -> Seen:
    """After the first request, before the one that moves the address."""
    return kill_at(site, "Attach the address, and record", to="web1")


@pytest.fixture(scope="module")
def moved(site: Site, killed: Seen) -> Stage:
    return Stage(site.floating_address(to="web1"), site.look())


@pytest.fixture(scope="module")
def shown(site: Site, moved: Stage) -> dict[str, Any]:
    """web1 in the inventory, which keeps this answer of the cloud."""
    return host(site.run("ansible-inventory", "--host", "web1"))


@pytest.fixture(scope="module")
def again(site: Site, shown: dict[str, Any]) -> Done:
    return site.floating_address(to="web1")


@pytest.fixture(scope="module")
def provisioned(site: Site, again: Done) -> Stage:
    """lb1 is gone for good, and made again."""
    cloud: Connection = site.cloud()
    cloud.delete_server(site.look().ids()["lb1"], wait=True)
    return Stage(site.provision(), site.look())


@pytest.fixture(scope="module")
def killed_again(site: Site, provisioned: Stage) -> Seen:
    """After the request that moves the address back."""
    address = provisioned.seen.ips[0].floating_ip_address
    key = (site.directory / "id.pub").read_text().split()[1]
    known = {address: "gone", "192.0.2.9": "stays"}
    (site.directory / "known_hosts").write_text(
        "".join(f"{one} ssh-ed25519 {key} {word}\n" for one, word in known.items())
    )
    return kill_at(site, "Take machines out of security groups", release=True)


@pytest.fixture(scope="module")
def released(site: Site, killed_again: Seen) -> Stage:
    return Stage(site.floating_address(release=True), site.look())


def test_a_run_that_was_killed_before_the_move_has_moved_nothing(killed: Seen) -> None:
    assert holder(killed) == "lb1"
    assert killed.ips[0].description == "bookface_platform=bookface machine=lb1"
    assert groups_of_web1(killed) == {*GROUPS, "bookface-loadbalancers"}


def test_the_next_run_moves_the_address_and_the_cloud_remembers(moved: Stage) -> None:
    assert changed(moved.done) == 1
    assert holder(moved.seen) == "web1"
    assert " bookface_held=bookface/web1/20" in moved.seen.ips[0].description
    assert groups_of_web1(moved.seen) == {*GROUPS, "bookface-loadbalancers"}


def test_a_second_run_changes_nothing(again: Done) -> None:
    assert changed(again) == 0
    assert ": at web1 since 20" in told(again)


def test_the_inventory_has_the_machine_behind_the_address(
    moved: Stage, shown: dict[str, Any]
) -> None:
    address = moved.seen.ips[0].floating_ip_address
    (hold,) = shown["openstack_holds"]
    assert (hold["address"], hold["of"], hold["at"]) == (address, "lb1", "web1")
    assert shown["openstack_floating_address"] == address
    assert shown["openstack_inventory_age"] == 0


def test_provisioning_makes_the_load_balancer_and_leaves_the_address(provisioned: Stage) -> None:
    assert changed(provisioned.done) > 0
    assert "held at web1 since 20" in told(provisioned.done)
    assert holder(provisioned.seen) == "web1"
    assert groups_of_web1(provisioned.seen) == {*GROUPS, "bookface-loadbalancers"}


def test_a_run_that_was_killed_after_the_move_has_left_no_outdated_host_key(
    site: Site, killed_again: Seen
) -> None:
    assert holder(killed_again) == "lb1"
    known = (site.directory / "known_hosts").read_text().splitlines()
    assert [line.split()[-1] for line in known] == ["stays"]


def test_a_release_gives_it_back(released: Stage) -> None:
    assert changed(released.done) == 1
    assert "- bookface-loadbalancers" in told(released.done)
    assert holder(released.seen) == "lb1"
    assert released.seen.ips[0].description == "bookface_platform=bookface machine=lb1"
    assert groups_of_web1(released.seen) == GROUPS


# The cloud is gone as well.


def test_a_cloud_that_is_down_leaves_an_inventory_that_says_its_age(
    site: Site, released: Stage
) -> None:
    nowhere = {"compute_endpoint_override": "http://127.0.0.1:1/v2.1"}
    with credentials(site, nowhere) as environment:
        listed = site.execute(site.command("ansible-inventory", "--host", "lb1"), **environment)
        refused = {
            playbook: site.execute(
                site.command("ansible-playbook", f"playbooks/{playbook}", to="web1"), **environment
            )
            for playbook in ("floating_address.yml", "deprovision.yml")
        }
    lb1 = host(listed)
    assert "the cloud's endpoint cannot be reached" in told(listed)
    assert "The inventory is what it said" in told(listed)
    assert lb1["openstack_inventory_age"] > 0
    assert lb1["openstack_floating_address"] == released.seen.ips[0].floating_ip_address
    for done in refused.values():
        assert done.returncode != 0
        (_host, message), *_ = failures(done.stdout)
        assert "The cloud did not answer, so the inventory is" in message
