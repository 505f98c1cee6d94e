"""The machines of the platform, and its front door."""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException

import pytest

from tests.lab.vm.virtual_machines import Lab
from tests.support.figures import say

__all__ = ["say"]

# As the inventory names them.
FRONT, MANAGER, WORKER = "front1", "swarm1", "swarm2"
MACHINES = (FRONT, MANAGER, WORKER)


@dataclass(frozen=True)
class Answer:
    """What came for a request."""

    status: int
    body: str
    backend: str


@dataclass(frozen=True)
class Platform:
    """Three machines, and what tests ask of them."""

    lab: Lab

    @property
    def url(self) -> str:
        """The front door."""
        return f"http://{self.lab.address(FRONT)}/"

    def ask(self, url: str, seconds: float = 20) -> Answer:
        """One request; status 0 where nobody answers."""
        asked = urllib.request.Request(url, headers={"X-Bookface-Probe": "test"})  # noqa: S310
        try:
            with urllib.request.urlopen(asked, timeout=seconds) as answer:  # noqa: S310
                backend = str(answer.headers["X-Bookface-Backend"])
                return Answer(answer.status, answer.read().decode(), backend)
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read().decode(), "")
        except (OSError, HTTPException) as error:
            return Answer(0, str(error), "")

    def ready(self, name: str, port: int) -> bool:
        """Whether a web server on that port of a machine reaches its database."""
        url = f"http://{self.lab.address(name)}:{port}/platform/ready"
        return self.ask(url, 5).body == "ready\n"

    def docker(self, name: str, command: str) -> str:
        """Docker on a machine, or on the manager where the swarm is meant."""
        return self.lab.ssh(name, f"sudo docker {command}")

    def tasks(self) -> list[str]:
        """For each running task of the service its node, as the manager believes."""
        form = "'{{.Node}}:{{.CurrentState}}'"
        wanted = f"service ps bookface --filter desired-state=running --format {form}"
        lines = self.docker(MANAGER, wanted).splitlines()
        return sorted(line.partition(":")[0] for line in lines if ":Running " in line)

    def nodes(self) -> dict[str, str]:
        """Node → Ready or Down, as the manager believes."""
        lines = self.docker(MANAGER, "node ls --format '{{.Hostname}} {{.Status}}'").splitlines()
        return dict(line.split() for line in lines)


@pytest.fixture(scope="session")
def platform() -> Platform:
    """What site.yml has made."""
    return Platform(Lab.of("bookface-vm"))
