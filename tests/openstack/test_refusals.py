"""What is refused before anything exists in the cloud: the role once, with a host for each case."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from described import VMS, Site
from openstack.connection import Connection

from tests.support.commands import failures

LB1, DB1, SWARM1 = VMS
WEB1 = {"name": "web1", "groups": ["legacy_web"]}
# Not on the controller's own name, so that no host has run user_data.yml.
PLAY = [
    {
        "hosts": "all",
        "connection": "local",
        "gather_facts": False,
        "tasks": [
            {"ansible.builtin.include_role": {"name": "bookface.platform.openstack", **more}}
            for more in ({"tasks_from": "describe.yml"}, {})
        ],
    }
]
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "unrendered": (
        {"openstack_vms": [LB1, DB1, SWARM1, WEB1]},
        ["The user data of swarm1 is missing", "Nothing was changed."],
    ),
    "nosuch": (
        {"openstack_cloud": "nosuch"},
        ["nosuch: clouds.yaml has no such cloud"],
    ),
    "wrong": (
        {"openstack_cloud": "wrong"},
        [
            "wrong: the cloud refused the credentials",
            "a wrong user or password, or an expired token",
        ],
    ),
    "expired": ({"openstack_cloud": "expired"}, ["an expired token"]),
    "lapsed": (
        {"openstack_cloud": "lapsed"},
        ["lapsed: the cloud refused the credentials", "an expired token or application credential"],
    ),
    "removed": (
        {"openstack_cloud": "removed"},
        ["removed: the cloud refused the credentials"],
    ),
    "away": (
        {"openstack_cloud": "away"},
        ["away: the cloud's endpoint cannot be reached"],
    ),
    "key": (
        {"openstack_public_key_file": "/nosuch.pub"},
        ["openstack_public_key_file is /nosuch.pub", "ssh-keygen", "Nothing was changed."],
    ),
    "description": (
        {"openstack_vms": [LB1, LB1, {"name": "a", "groups": ["web"]}]},
        [
            "a is in the unknown group web; known: loadb",
            "openstack_vms has lb1 more than once",
            "Nothing was changed.",
        ],
    ),
    "cloud": (
        {
            "openstack_image": "nosuch",
            "openstack_flavor": "m1.nosuch",
            "openstack_external_network": "out",
            "openstack_vms": [LB1, {**DB1, "volume": 10}],
        },
        [
            "there is no image nosuch for lb1, db1; the cloud has debian-12, d",
            "there is no flavor m1.nosuch; the cloud has m0.volume, m1.medium, m1.small",
            "openstack_external_network is out; the external networks of the cloud: public",
            "db1 requires a volume of 10 GB, but the cloud has no block storage",
            "Nothing was changed.",
        ],
    ),
    "disk": (
        {"openstack_flavor": "m0.volume"},
        ["the flavor m0.volume of lb1, db1 has no disk", "Set boot_from_volume", "Nothing was ch"],
    ),
    "unsecured": (
        {"openstack_network": "unsecured", "openstack_vms": [DB1]},
        ["openstack_network is unsecured, whose port security is off", "Nothing was changed."],
    ),
    "island": (
        {"openstack_network": "island"},
        ["which no router connects to public: lb1 could get no floating", "Nothing was changed."],
    ),
    "bare": (
        {"openstack_network": "bare"},
        ["openstack_network is bare, which has no subnet", "Nothing was changed."],
    ),
    "zone": (
        {"openstack_vms": [{**DB1, "availability_zone": "moon"}]},
        ["there is no availability zone moon; the cloud has nova", "Nothing was changed."],
    ),
    "quota": (
        {"openstack_vms": [LB1, DB1, WEB1]},
        [
            "the quota is 2 cores, 0 are in use, and the plan needs 3 more",
            "Nothing was changed.",
        ],
    ),
}


def application_credential(cloud: Connection, name: str) -> dict[str, Any]:
    """The login by one that has expired, or that somebody has removed."""
    end = datetime.now(timezone.utc) + timedelta(seconds=1 if name == "lapsed" else 600)
    made = cloud.identity.create_application_credential(
        cloud.current_user_id, name, expires_at=end.strftime("%Y-%m-%dT%H:%M:%S")
    )
    if name == "removed":
        cloud.identity.delete_application_credential(cloud.current_user_id, made)
    while name == "lapsed" and datetime.now(timezone.utc) <= end:
        time.sleep(0.1)
    auth_url = cloud.config.get_auth_args()["auth_url"]
    return {
        "auth_type": "v3applicationcredential",
        "auth": {"auth_url": auth_url, "application_credential_id": made.id,
                 "application_credential_secret": made.secret},
    }  # fmt: skip


@contextmanager
def strange_clouds(site: Site) -> Iterator[None]:
    """More in clouds.yaml: a wrong password, an address where nobody is, dead tokens and others."""
    before = site.lab.clouds.read_text()
    known = json.loads(before)["clouds"]
    for name in ("wrong", "away", "expired"):
        known[name] = copy.deepcopy(known["lab"])
    # A token that was revoked is answered like one whose time is over.
    cloud = site.cloud()
    token = cloud.auth_token
    revoked = cloud.identity.delete("/auth/tokens", headers={"X-Subject-Token": token})
    assert revoked.status_code == 204
    known["wrong"]["auth"]["password"] = "not this one"  # noqa: S105
    known["away"]["auth"]["auth_url"] = "http://127.0.0.1:1/v3"
    known["expired"] |= {
        "auth_type": "v3token",
        "auth": {"token": token, "auth_url": known["lab"]["auth"]["auth_url"],
                 "project_name": "demo", "project_domain_name": "Default"},
    }  # fmt: skip
    for name in ("lapsed", "removed"):
        known[name] = known["lab"] | application_credential(cloud, name)
    site.lab.clouds.write_text(json.dumps({"clouds": known}))
    try:
        yield
    finally:
        site.lab.clouds.write_text(before)


@contextmanager
def strange_places(site: Site) -> Iterator[None]:
    """A flavor without a disk; networks without port security, a way out, or a subnet."""
    network, compute = site.cloud().network, site.cloud("lab-admin").compute
    flavor = compute.create_flavor(name="m0.volume", ram=2048, vcpus=1, disk=0)
    made = [
        network.create_network(name="island"),
        network.create_network(name="unsecured", port_security_enabled=False),
        network.create_network(name="bare"),
    ]
    for one in made[:2]:
        network.create_subnet(network_id=one.id, ip_version=4, cidr="198.51.100.0/24")
    try:
        yield
    finally:
        for one in made:
            network.delete_network(one)
        compute.delete_flavor(flavor)


@contextmanager
def small_quota(site: Site) -> Iterator[None]:
    admin = site.cloud("lab-admin")
    admin.set_compute_quotas("demo", cores=2, ram=51200, instances=10)
    try:
        yield
    finally:
        admin.delete_compute_quotas("demo")


@pytest.fixture(scope="module")
def refused(site: Site) -> dict[str, str]:
    """Case → why it failed."""
    directory = site.directory / "refused"
    directory.mkdir()
    play, inventory = directory / "play.yml", directory / "hosts.yml"
    play.write_text(json.dumps(PLAY))
    common = {"openstack_cloud": "lab", "openstack_vms": [LB1, DB1]} | {
        key: value for key, value in site.variables.items() if key != "openstack_vms"
    }
    common["ansible_python_interpreter"] = "{{ ansible_playbook_python }}"
    hosts = {case: common | variables for case, (variables, _says) in CASES.items()}
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    with strange_clouds(site), strange_places(site), small_quota(site):
        done = site.execute(["ansible-playbook", "-i", str(inventory), str(play)])
    return {host: " ".join(text.split()) for host, text in failures(done.stdout)}


@pytest.mark.parametrize("case", CASES)
def test_refusals_say_why(refused: dict[str, str], case: str) -> None:
    _variables, says = CASES[case]
    assert [words for words in says if words not in refused[case]] == [], refused[case]


def test_refused_runs_create_nothing(site: Site, refused: dict[str, str]) -> None:
    seen = site.look()
    assert seen.servers == {}
    assert seen.networks == ["public"]
    assert [*seen.ips, *seen.routers, *seen.keypairs, *seen.server_groups] == []


def test_a_repository_of_docker_s_that_cannot_be_reached_has_a_remedy(site: Site) -> None:
    """As from a controller without access to the internet."""
    mirror = {"docker_ce_origin": "mirror", "docker_ce_mirror": "http://127.0.0.1:1"}
    done = site.provision("--check", **mirror)
    assert done.returncode != 0
    ((host, text),) = failures(done.stdout)
    assert host == "swarm1"
    told = " ".join(text.split())
    assert "docker_ce_origin is mirror, and the key of that repository cannot be read" in told
    assert "Without access to the internet set docker_ce_origin to distribution" in told


def test_no_server_is_created_if_user_data_cannot_be_rendered(site: Site) -> None:
    """Not even those without Docker: a machine would come up without its Docker."""
    site.group_vars("docker_hosts", {"docker_ce_daemon": {"debug": "perhaps"}})
    try:
        done = site.provision(openstack_vms=[*VMS, {"name": "docker1", "groups": ["docker_hosts"]}])
    finally:
        site.group_vars("docker_hosts", {})
    assert done.returncode != 0
    (host, text), *_ = failures(done.stdout)
    assert host == "docker1"
    assert "debug" in text
    assert "perhaps" in text
    assert site.look().networks == ["public"]
