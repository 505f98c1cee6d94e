"""A lab as its users see it: Ansible as they run it, and the front door."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.commands import Run, inventory
from tests.support.engine import docker
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True)
class Platform:
    """The lab under test."""

    inventory: str
    url: str
    name: str
    # Its hosts by group.
    groups: Mapping[str, Sequence[str]]
    # The address of each host on the lab's network.
    addresses: Mapping[str, str]

    @classmethod
    def of(cls, source: str) -> Self:
        """The lab of an inventory."""
        shown = inventory(source)
        hosts: dict[str, dict[str, Any]] = shown["_meta"]["hostvars"]
        facts = hosts["lb1"]
        return cls(
            source,
            f"http://127.0.0.1:{facts['lab_http_port']}/",
            facts["lab_name"],
            {name: group["hosts"] for name, group in shown.items() if "hosts" in group},
            {
                name: f"{of_host['lab_network']}.{of_host['lab_node_number']}"
                for name, of_host in hosts.items()
            },
        )

    def command(self, name: str, *arguments: str) -> list[str]:
        """ansible-playbook with a playbook of the project's root on this lab."""
        return ["ansible-playbook", "-i", self.inventory, name, *arguments]

    def playbook(self, name: str, *arguments: str) -> Run:
        """Run a playbook to its end."""
        command = self.command(name, *arguments)
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        return Run.of(done)

    def switch(self, target: str, *arguments: str) -> Run:
        """ansible-playbook switch_backend.yml -e target=..."""
        return self.playbook("switch_backend.yml", "-e", f"target={target}", *arguments)

    def backend(self) -> str:
        """Name of the backend that answers at the front door."""
        with urllib.request.urlopen(self.url, timeout=30) as answer:  # noqa: S310  (http, our lab)
            return str(answer.headers["X-Bookface-Backend"])

    def node(self, host: str, command: str) -> str:
        """All that a shell command prints on a machine of the lab, as root."""
        return docker("exec", f"{self.name}-{host}", "sh", "-c", f"exec 2>&1; {command}")

    def config(self) -> str:
        """Text and file facts of the load balancer's configuration."""
        return self.node(
            "lb1", "cat /etc/haproxy/haproxy.cfg && stat -c %a:%U:%G:%Y /etc/haproxy/haproxy.cfg"
        )
