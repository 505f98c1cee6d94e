"""The platform once more, with everything that relieves its database."""

from __future__ import annotations

import os
import re
from typing import Any

import killed
import pytest
import testinfra
from testinfra.host import Host

from tests.support.commands import ansible, inventory, recap


class Platform:
    """The lab whose inventory BOOKFACE_INVENTORY names, with the settings of that inventory."""

    def __init__(self) -> None:
        shown = inventory(os.environ["BOOKFACE_INVENTORY"])
        self.hostvars: dict[str, dict[str, Any]] = shown["_meta"]["hostvars"]
        facts = self.hostvars["lb1"]
        self.name: str = facts["lab_name"]
        self.password: str = facts["bookface_db_password"]
        self.network: str = facts["lab_network"]

    def address(self, name: str) -> str:
        """Address of a machine on the lab's network."""
        return f"{self.network}.{self.hostvars[name]['lab_node_number']}"

    def machine(self, name: str) -> Host:
        """A machine of the lab, as root."""
        return testinfra.get_host(f"docker://{self.name}-{name}")

    def web_server(self, kind: str) -> tuple[str, str]:
        """Machine and address of a web server of this backend."""
        if kind == "legacy":
            return "web1", f"{self.address('web1')}:80"
        if kind == "docker":
            return "docker1", f"{self.address('docker1')}:32001"
        tasks = self.machine("swarm1").check_output(
            "docker service ps bookface --filter desired-state=running"
            " --format '{{.Node}} {{.CurrentState}}'"
        )
        node = re.findall(r"^(\S+) Running ", tasks, re.MULTILINE)[0]
        return node, f"{self.address(node)}:8080"

    def switch(self, *arguments: str) -> str:
        """Move the traffic; what the playbook printed."""
        done = ansible("ansible-playbook", "switch_backend.yml", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def platform() -> Platform:
    """The platform, changed by site.yml on all machines; traffic goes to the virtual machines.

    That run finds what killed ones have left, see test_killed.py.
    """
    killed.leave_runs(Platform())
    done = ansible("ansible-playbook", "site.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(counts["changed"] for counts in recap(done.stdout).values()) > 0
    found = Platform()
    found.switch("-e", "target=legacy")
    return found


@pytest.fixture(params=["legacy", "docker", "swarm"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each way to serve."""
    return str(request.param)
