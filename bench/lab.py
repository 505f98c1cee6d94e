"""Labs of any size for benches, on networks and ports of their own, and playbooks run on them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.report import BenchError
from tests.support.paths import ROOT

BUILD = ROOT / "build" / "bench"
# One program started on a machine, as Ansible shows it with -vvv: with pipelining, one module.
ROUND_TRIP = re.compile(r"SSH: EXEC ssh .*/usr/bin/python3")
TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[", re.MULTILINE)
RECAP = re.compile(r"^\S+ +: ok=\d+ +changed=(\d+) ", re.MULTILINE)


@dataclass(frozen=True)
class Size:
    """How many hosts there are of each group whose number changes."""

    web: int
    workers: int
    managers: int = 1
    containers: int = 1
    # The load balancer is a node of the swarm, the first manager, instead of a machine of its own.
    edge: bool = False

    @property
    def hosts(self) -> int:
        """With the load balancer and the database."""
        return (1 if self.edge else 2) + self.web + self.workers + self.managers + self.containers


@dataclass(frozen=True)
class Run:
    """One run of a playbook: seconds of the clock and of the controller's processors."""

    seconds: float
    cpu: float
    output: str

    @property
    def tasks(self) -> int:
        return len(TASK.findall(self.output))

    @property
    def changed(self) -> int:
        """How much it changed, on all hosts."""
        found = RECAP.findall(self.output)
        if not found:
            raise BenchError(f"expected a recap, got:\n{self.output[-3000:]}")
        return sum(map(int, found))

    @property
    def round_trips(self) -> int:
        """Modules run on machines, of a run with -vvv."""
        return len(ROUND_TRIP.findall(self.output))


def hosts(size: Size) -> dict[str, Any]:
    """The lab's inventory: that of inventories/lab, with as many hosts as wished."""

    def numbered(name: str, number: int, first: int, start: int = 1) -> dict[str, Any]:
        return {
            "hosts": {f"{name}{start + n}": {"lab_node_number": first + n} for n in range(number)}
        }

    ports = ["127.0.0.1:{{ lab_http_port }}:80", "127.0.0.1:{{ lab_stats_port }}:1936"]
    own = {"lb1": {"lab_node_number": 10, "lab_node_ports": ports}}
    groups = {
        "loadbalancers": {"hosts": {"swarm1": {}} if size.edge else own},
        "databases": numbered("db", 1, 21),
        "legacy_web": numbered("web", size.web, 101),
        "docker_hosts": numbered("docker", size.containers, 31),
        "swarm_managers": numbered("swarm", size.managers, 41),
        "swarm_workers": numbered("swarm", size.workers, 42, start=2),
        "caches": {"hosts": {}},
    }
    return {"lab": {"children": {name: group for name, group in groups.items() if group["hosts"]}}}


def write_inventory(directory: Path, size: Size, settings: Mapping[str, Any]) -> None:
    """Write it, with the settings of inventories/lab and what is its own."""
    variables = directory / "group_vars" / "lab"
    variables.mkdir(parents=True)
    (directory / "hosts.yml").write_text(json.dumps(hosts(size)))
    lab = (ROOT / "inventories/lab/group_vars/lab.yml").read_text()
    (variables / "00-lab.yml").write_text(lab)
    (variables / "10-bench.yml").write_text(json.dumps(settings))


def play(checkout: Path, inventory: Path, playbook: str, *options: str) -> Run:
    """Run a playbook of a checkout."""
    with tempfile.TemporaryFile("w+") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            ["ansible-playbook", "-i", str(inventory), playbook, *options],
            cwd=checkout,
            env=os.environ
            | {
                "ANSIBLE_CONFIG": str(checkout / "ansible.cfg"),
                "NO_COLOR": "1",
                "ANSIBLE_FORCE_COLOR": "0",
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        # This wait, and no other, says what the process and its children have used.
        _, state, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(state)
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise BenchError(f"{playbook} failed:\n{text[-3000:]}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, text)


@contextmanager
def lab(size: Size, settings: Mapping[str, Any]) -> Iterator[Path]:
    """The machines, from bare to removed; yields their inventory.

    The C(settings) give the lab a name, a network and ports of its own.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="lab-") as name:
        inventory = Path(name)
        write_inventory(inventory, size, settings)
        try:
            play(ROOT, inventory, "playbooks/lab.yml")
            yield inventory
        finally:
            play(ROOT, inventory, "playbooks/lab.yml", "-e", "lab_state=absent")
