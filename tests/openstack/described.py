"""An inventory of machines in the cloud of tests/lab/openstack, used as a user does."""

from __future__ import annotations

import base64
import copy
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openstack
import yaml

from tests.lab.openstack.lab import Lab
from tests.support.paths import ROOT

PLATFORM = "bookface"
VMS: list[dict[str, Any]] = [
    {"name": "lb1", "groups": ["loadbalancers"], "floating_ip": True},
    {"name": "db1", "groups": ["databases", "caches"]},
    {"name": "swarm1", "groups": ["swarm_managers"]},
]


# What the group says of its machines, before one of them is there.
LOADBALANCERS = {"haproxy_stats_bind": "*:1936", "haproxy_tls_bind": "*:8443"}

# What the roles of the platform read of the inventory, on each machine of it; and what docker_ce
# writes for swarm1's first boot.
QUESTIONS = [
    {
        "hosts": "all",
        "gather_facts": False,
        "roles": ["bookface.platform.bookface"],
        "tasks": [
            {
                "ansible.builtin.debug": {
                    "msg": {
                        "groups": "{{ groups }}",
                        "ansible_host": "{{ ansible_host }}",
                        "bookface_address": "{{ bookface_address }}",
                        "way": "{{ ansible_ssh_common_args }}",
                        "key": "{{ ansible_ssh_private_key_file }}",
                        "backends": "{{ bookface_backends }}",
                        "database": "{{ bookface_db_host }}",
                    }
                }
            }
        ],
    },
    {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
        "tasks": [
            {
                "ansible.builtin.include_role": {
                    "name": "bookface.platform.docker_ce",
                    "tasks_from": "first_boot.yml",
                }
            }
        ],
    },
]


@dataclass(frozen=True)
class Seen:
    """What the cloud holds at one moment. C(groups): security group → its rules."""

    servers: dict[str, Any]
    networks: list[str]
    subnets: list[str]
    routers: list[Any]
    ips: list[Any]
    groups: dict[str, list[Any]]
    group_ids: dict[str, str]
    server_groups: list[Any]
    keypairs: list[Any]
    ports: list[Any]

    def ids(self) -> dict[str, str]:
        """Name of each server → its id."""
        return {name: server.id for name, server in self.servers.items()}

    def address(self, name: str, kind: str = "fixed") -> str:
        """A machine's address in the network of the platform, or its floating one."""
        entries = self.servers[name].addresses[PLATFORM]
        return str(next(one["addr"] for one in entries if one["OS-EXT-IPS:type"] == kind))

    def groups_of(self, port: str) -> set[str]:
        """Security groups of a port."""
        names = {id_: name for name, id_ in self.group_ids.items()}
        ids = next(one for one in self.ports if one.id == port).security_group_ids
        return {names[id_] for id_ in ids}


@dataclass
class Site:
    """An inventory like inventories/openstack, and the cloud that it describes."""

    directory: Path
    lab: Lab
    vms: list[dict[str, Any]] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, Any]:
        """What a user fills in; nobody boots there, so nobody waits for that."""
        return {
            "openstack_vms": self.vms,
            "openstack_ssh_cidrs": ["192.0.2.0/24"],
            "openstack_public_key_file": str(self.directory / "id.pub"),
            "openstack_known_hosts": str(self.directory / "known_hosts"),
            "openstack_wait_for_guest": False,
            "docker_ce_origin": "distribution",
        }

    def command(self, program: str, *arguments: str, **variables: Any) -> list[str]:
        """A program of Ansible's with this inventory; variables as -e gives them."""
        given = json.dumps(self.variables | variables)
        return [program, "-i", str(self.directory / "inventory"), *arguments, "-e", given]

    @property
    def environment(self) -> dict[str, str]:
        ours = {
            "OS_CLIENT_CONFIG_FILE": str(self.lab.clouds),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "NO_COLOR": "1",
        }
        return os.environ | ours

    def execute(
        self, command: Sequence[str], **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment | environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=400,
        )

    def run(
        self, program: str, *arguments: str, **variables: Any
    ) -> subprocess.CompletedProcess[str]:
        return self.execute(self.command(program, *arguments, **variables))

    def provision(self, *arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        return self.run("ansible-playbook", "provision.yml", *arguments, **variables)

    def deprovision(self, *arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        return self.run("ansible-playbook", "deprovision.yml", *arguments, **variables)

    def floating_address(
        self, *arguments: str, **variables: Any
    ) -> subprocess.CompletedProcess[str]:
        return self.run(
            "ansible-playbook", "playbooks/floating_address.yml", *arguments, **variables
        )

    def ask(self) -> dict[str, dict[str, Any]]:
        """Machine of the inventory → what the roles of the platform read there.

        docker_ce's user data for swarm1 is then in C(user_data.yml).
        """
        play = self.directory / "questions.yml"
        play.write_text(json.dumps(QUESTIONS))
        done = self.run(
            "ansible-playbook", str(play),
            docker_ce_cloud_init=str(self.directory / "user_data.yml"), docker_ce_boot_script="",
            docker_ce_suite="bookworm", docker_ce_swarm=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        decoder = json.JSONDecoder()
        return {
            found[1]: decoder.raw_decode(done.stdout, found.end())[0]["msg"]
            for found in re.finditer(r"^ok: \[(\S+)\] => (?=\{)", done.stdout, re.MULTILINE)
        }

    def cloud(self, name: str = "lab") -> openstack.connection.Connection:
        """The cloud itself, for looking and for what others do in it."""
        known = openstack.config.OpenStackConfig(config_files=[str(self.lab.clouds)])
        return openstack.connection.Connection(config=known.get_one(name))

    def look(self) -> Seen:
        """All that the tenant has."""
        cloud = self.cloud()
        network, compute = cloud.network, cloud.compute
        groups = [one for one in network.security_groups() if one.name != "default"]
        return Seen(
            servers={server.name: server for server in compute.servers()},
            networks=sorted(one.name for one in network.networks()),
            subnets=[one.name for one in network.subnets()],
            routers=list(network.routers()),
            ips=list(network.ips()),
            groups={one.name: one.security_group_rules for one in groups},
            group_ids={one.name: one.id for one in groups},
            server_groups=list(compute.server_groups()),
            keypairs=list(compute.keypairs()),
            ports=list(network.ports()),
        )

    def user_data(self, name: str) -> bytes:
        """As the cloud hands it to the machine; only its operator may read it."""
        compute = self.cloud("lab-admin").compute
        server = next(one for one in compute.servers(all_projects=True) if one.name == name)
        answer = compute.get(f"/servers/{server.id}", microversion="2.3").json()["server"]
        return base64.b64decode(answer["OS-EXT-SRV-ATTR:user_data"] or "")

    def group_vars(self, group: str, variables: dict[str, Any]) -> None:
        """Variables of a group of the inventory."""
        file = self.directory / f"inventory/group_vars/{group}.yml"
        file.write_text(json.dumps(variables))  # JSON is YAML


def inventory(lab: Lab, directory: Path, platform: str) -> Site:
    """The project's inventory for a platform of this name in the test's cloud, without machines."""
    shutil.copytree(ROOT / "inventories/openstack", directory / "inventory")
    file = directory / "inventory/openstack.yml"
    told = yaml.safe_load(file.read_text()) | {
        "only_clouds": ["lab"],
        "cache_connection": str(directory / "cache"),
    }
    told["server_filters"]["metadata"]["bookface_platform"] = platform
    file.write_text(yaml.safe_dump(told))
    subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", directory / "id"], check=True)
    return Site(directory, lab)


@contextmanager
def credentials(site: Site, changes: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """The environment of a user whose clouds.yaml says something else of the cloud."""
    known = json.loads(site.lab.clouds.read_text())
    lab = copy.deepcopy(known["clouds"]["lab"])
    auth = lab["auth"] | changes.get("auth", {})
    known["clouds"]["lab"] = lab | dict(changes) | {"auth": auth}
    file = site.directory / "other-clouds.yaml"
    file.write_text(json.dumps(known))
    try:
        yield {"OS_CLIENT_CONFIG_FILE": str(file)}
    finally:
        file.unlink()
