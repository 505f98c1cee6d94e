"""The machines, and the role on all of them at once: a run costs the same for one and for two."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

from tests.support import commands
from tests.support.commands import failures, recap

ROOT = Path(__file__).resolve().parents[3]
SCENARIO = ROOT / "molecule/docker_ce"
# As the inventory names them.
LAB, MACHINES = "bookface-docker-ce", ("ce12", "ce13")


@dataclass(frozen=True)
class Run:
    """How a command of Ansible's ended."""

    code: int
    output: str

    @property
    def changed(self) -> list[int]:
        """Number of changes on each machine."""
        return [counts["changed"] for counts in recap(self.output).values()]

    @property
    def changes(self) -> set[str]:
        """Names of the tasks that changed something."""
        names, task = set(), ""
        for line in self.output.splitlines():
            if found := re.match(r"TASK \[(?:\S+ : )?(.*)\] \*", line):
                task = found[1]
            elif line.startswith("changed: "):
                names.add(task)
        return names

    @property
    def messages(self) -> list[str]:
        """What the failed tasks said, one for each machine."""
        return [message for _host, message in failures(self.output)]


def ansible(*command: str) -> Run:
    """A command of Ansible's on this scenario's machines."""
    done = commands.ansible(*command)
    output = done.stdout + done.stderr
    print(output)
    return Run(done.returncode, output)


def role(*options: str, playbook: str = "converge.yml", **variables: Any) -> Run:
    """The role on both machines."""
    return ansible(
        "ansible-playbook", str(SCENARIO / playbook), "-e", json.dumps(variables), *options
    )


def module(name: str, **arguments: Any) -> Run:
    """One module of the collection on both machines."""
    return ansible(
        *("ansible", "engines", "--become", "-m", f"bookface.platform.{name}"),
        *("-a", json.dumps(arguments)),
    )


class Node:
    """One machine and what the tests ask of it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.container = str(host.backend.get_hostname())
        self.name = self.container.removeprefix(f"{LAB}-")

    def sh(self, command: str) -> str:
        return str(self.host.check_output(command))

    def write(self, path: str, text: str) -> None:
        """A file of that text."""
        command = ["docker", "exec", "--interactive", self.container, "tee", path]
        subprocess.run(command, input=text, text=True, check=True, stdout=subprocess.DEVNULL)

    @property
    def engine(self) -> str:
        """The engine's process: another one after a restart."""
        return self.sh("systemctl show --property=MainPID --value docker")

    @property
    def survivor(self) -> str:
        """State and start of the container that has to outlive it all."""
        return self.sh('docker inspect --format "{{.State.Status}} {{.State.StartedAt}}" survivor')

    @property
    def version(self) -> str:
        return self.sh("dpkg-query --show --showformat '${Version}' docker-ce")

    @property
    def state(self) -> str:
        """All that a refused run must not touch."""
        return self.sh(
            "cat /etc/apt/sources.list.d/* /etc/docker/daemon.json; ls -R /etc/apt /etc/docker;"
            ' dpkg-query --list "docker*" "containerd*"; systemctl show --property=MainPID docker'
        )


@pytest.fixture(scope="session")
def nodes() -> list[Node]:
    """Both machines, by the engine that they are containers of: quicker than SSH, and root."""
    return [Node(testinfra.get_host(f"docker://{LAB}-{name}")) for name in MACHINES]
