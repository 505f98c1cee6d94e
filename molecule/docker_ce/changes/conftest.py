"""The machines, and what is done on all of them at once: it takes as long as on one."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

from tests.support import commands
from tests.support.commands import Run, failures

ROOT = Path(__file__).resolve().parents[3]
SCENARIO = ROOT / "molecule/docker_ce"
# As the inventory names them.
LAB, MACHINES = "bookface-docker-ce", ("ce12", "ce13")
MIRROR = "http://127.0.0.1:8090"
# Keys of daemon.json that the role sets by default.
DEFAULTS = {"icc", "no-new-privileges", "log-driver", "log-opts", "live-restore"}


def ansible(*command: str) -> Run:
    """A command of Ansible's on the machines of this scenario."""
    done = Run.of(commands.ansible(*command))
    print(done.output)
    return done


def role(*options: str, playbook: str = "converge.yml", **variables: Any) -> Run:
    """The role on both machines."""
    return ansible(
        "ansible-playbook", str(SCENARIO / playbook), "-e", json.dumps(variables), *options
    )


def module(name: str, /, *options: str, **arguments: Any) -> Run:
    """One module of the collection on both machines."""
    return ansible(
        *("ansible", "engines", "--become", "-m", f"bookface.platform.{name}"),
        *("-a", json.dumps(arguments), *options),
    )


class Node:
    """A machine, and what the tests ask of it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.container = str(host.backend.get_hostname())
        self.name = self.container.removeprefix(f"{LAB}-")

    def sh(self, command: str) -> str:
        return str(self.host.check_output(command))

    def write(self, path: str, text: str) -> None:
        command = ["docker", "exec", "--interactive", self.container, "tee", path]
        subprocess.run(command, input=text, text=True, check=True, stdout=subprocess.DEVNULL)

    def reboot(self) -> None:
        command = ["docker", "restart", self.container]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    @property
    def engine(self) -> str:
        """The engine's process: another one after a restart."""
        return self.sh("systemctl show --property=MainPID --value docker")

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(self.sh("cat /etc/docker/daemon.json"))
        return config

    @property
    def record(self) -> dict[str, Any]:
        """What the role knows to be its own there."""
        record: dict[str, Any] = json.loads(self.sh("cat /etc/docker/daemon.json.record.json"))
        return record

    @property
    def survivor(self) -> str:
        """State and start of the container that has to outlive it all."""
        return self.sh('docker inspect --format "{{.State.Status}} {{.State.StartedAt}}" survivor')

    @property
    def survives(self) -> bool:
        state = self.host.run("docker inspect --format {{.State.Status}} survivor")
        return str(state.stdout).strip() == "running"

    @property
    def packages(self) -> list[str]:
        """The engine's packages, with those that are removed and not purged."""
        show = "dpkg-query --show --showformat '${db:Status-Status} ${Package}\\n'"
        # It is an error to dpkg if it knows none of them.
        lines = self.sh(f"{show} 'docker*' 'containerd*' runc || true").splitlines()
        return [line for line in lines if not line.startswith("not-installed ")]

    @property
    def data(self) -> str:
        """Where the engine keeps images, volumes and containers, what is there."""
        return self.sh("ls -A /var/lib/docker")

    @property
    def version(self) -> str:
        return self.sh("dpkg-query --show --showformat '${Version}' docker-ce")

    def key(self, repository: str = ".") -> str:
        """Fingerprint of the key of one of its repositories."""
        return self.sh(f"cat /srv/docker/{repository}/fingerprint")

    @property
    def versions(self) -> list[str]:
        """The two versions in its repository, the older one first, as people write them."""
        packages = self.sh("cd /srv/docker/pool; ls docker-ce_* | sort --version-sort")
        return [name.split("_")[1].split("-")[0] for name in packages.splitlines()]

    @property
    def state(self) -> str:
        """All that a refused run must not touch."""
        return self.sh(
            "cat /etc/apt/sources.list.d/* /etc/docker/daemon.json; ls -R /etc/apt /etc/docker;"
            ' dpkg-query --list "docker*" "containerd*"; systemctl show --property=MainPID docker'
        )


def refusals(nodes: list[Node], cases: Mapping[str, Callable[[Node], Any]]) -> dict[str, list[str]]:
    """Messages by case, of one play in which every case is a host on each machine."""
    hosts = {
        f"{case}.{node.name}": {
            "ansible_connection": "community.docker.docker",
            "ansible_host": node.container,
            "ansible_pipelining": True,
            "ansible_python_interpreter": "/usr/bin/python3",
            "docker_ce_origin": "mirror",
            "docker_ce_mirror": MIRROR,
            "docker_ce_key_fingerprint": node.key(),
            **variables(node),
        }
        for case, variables in cases.items()
        for node in nodes
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as inventory:
        json.dump({"cases": {"hosts": hosts}}, inventory)
        inventory.flush()
        done = ansible("ansible-playbook", str(SCENARIO / "refusals.yml"), "-i", inventory.name)
    found: dict[str, list[str]] = {case: [] for case in cases}
    for host, message in failures(done.output):
        found[host.partition(".")[0]].append(message)
    return found


def at_once(nodes: list[Node], do: Callable[[Node], object]) -> None:
    """The same on all machines at the same time."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(do, nodes))


@pytest.fixture(scope="session")
def nodes() -> list[Node]:
    """Both machines, by the engine that they are containers of: quicker than SSH, and root."""
    return [Node(testinfra.get_host(f"docker://{LAB}-{name}")) for name in MACHINES]


@pytest.fixture
def engines(nodes: list[Node]) -> list[Node]:
    """Machines with the engine of the mirror, whatever an earlier test has left."""
    installed = [node.host.package("docker-ce").is_installed for node in nodes]
    if not all(installed) or not all(node.host.service("docker").is_running for node in nodes):
        role().ok()
    return nodes


@pytest.fixture
def converged(engines: list[Node]) -> list[Node]:
    """Such machines with nothing but the defaults of the role."""
    if any(node.config.keys() != DEFAULTS or node.sh("apt-mark showhold") for node in engines):
        role().ok()
    return engines


@pytest.fixture
def survivors(engines: list[Node]) -> list[Node]:
    """Machines with an engine and a container that is to survive."""
    for node in engines:
        if not node.survives:
            node.host.run("docker rm --force survivor")
            node.sh(
                "docker run --detach --name survivor --restart unless-stopped"
                " bookface/proof:busybox /busybox sleep 100000"
            )
    return engines


@pytest.fixture
def bare(nodes: list[Node]) -> list[Node]:
    """Machines without an engine and its data, and without an account in its group."""
    if any(node.packages or node.data for node in nodes):
        role(docker_ce_state="absent", docker_ce_remove_data=True).ok()
    for node in nodes:
        node.host.run("gpasswd --delete debian docker")
        assert not node.packages
        assert not node.data
    return nodes
