"""An inventory of machines in the cloud of tests/lab/openstack, used as a user does."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openstack

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

    def run(
        self, program: str, *arguments: str, **variables: Any
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(program, *arguments, **variables),
            cwd=ROOT,
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=400,
        )

    def provision(self, *arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        return self.run("ansible-playbook", "provision.yml", *arguments, **variables)

    def deprovision(self, *arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        return self.run("ansible-playbook", "deprovision.yml", *arguments, **variables)

    def cloud(self, name: str = "lab") -> openstack.connection.Connection:
        """The cloud itself, for looking and for what others do in it."""
        known = openstack.config.OpenStackConfig(config_files=[str(self.lab.clouds)])
        return openstack.connection.Connection(config=known.get_one(name))

    def group_vars(self, group: str, variables: dict[str, Any]) -> None:
        """Variables of a group of the inventory."""
        file = self.directory / f"inventory/group_vars/{group}.yml"
        file.write_text(json.dumps(variables))  # JSON is YAML

    def servers(self) -> dict[str, Any]:
        return {server.name: server for server in self.cloud().compute.servers()}
