"""`make bench-ansible`: what the platform's playbooks cost, on 8 hosts and on 24.

    python -m bench.ansible [--quick] [--output FILE]

BASELINE=DIR names a checkout of the commit that round trips are compared with; without it, one is
taken from Git. README.md beside this file says what is measured, and how.
"""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.release import __version__ as ansible_version

from bench import report
from bench.report import BenchError, Row, spread
from tests.support.paths import ROOT

# What re-runs did before their cost was looked at.
BASELINE_COMMIT = "bac083f"
BUILD = ROOT / "build" / "bench"
LAB = {
    "lab_name": "bookface-bench-ansible",
    "lab_network": "172.28.99",
    "lab_http_port": 8099,
    "lab_stats_port": 1999,
}
LINK = Path(".ansible/collections/ansible_collections/bookface/platform")
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

    @property
    def hosts(self) -> int:
        """With the load balancer and the database."""
        return 2 + self.web + self.workers + self.managers + self.containers


@dataclass(frozen=True)
class Scale:
    """How much is measured: sizes of the lab, re-runs of each, switches there and back."""

    small: Size
    large: Size
    reruns: int
    switches: int


FULL = Scale(Size(web=2, workers=2), Size(web=9, workers=11), reruns=3, switches=3)
QUICK = Scale(
    Size(web=1, workers=0, managers=0), Size(web=2, workers=0, managers=0), reruns=1, switches=1
)


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
    groups = {
        "loadbalancers": {"hosts": {"lb1": {"lab_node_number": 10, "lab_node_ports": ports}}},
        "databases": numbered("db", 1, 21),
        "legacy_web": numbered("web", size.web, 101),
        "docker_hosts": numbered("docker", size.containers, 31),
        "swarm_managers": numbered("swarm", size.managers, 41),
        "swarm_workers": numbered("swarm", size.workers, 42, start=2),
        "caches": {"hosts": {}},
    }
    return {"lab": {"children": {name: group for name, group in groups.items() if group["hosts"]}}}


def write_inventory(directory: Path, size: Size) -> None:
    """Write it, with the settings of inventories/lab and a name of its own."""
    variables = directory / "group_vars" / "lab"
    variables.mkdir(parents=True)
    (directory / "hosts.yml").write_text(json.dumps(hosts(size)))
    lab = (ROOT / "inventories/lab/group_vars/lab.yml").read_text()
    (variables / "00-lab.yml").write_text(lab)
    (variables / "10-bench.yml").write_text(json.dumps(LAB))


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
def lab(size: Size) -> Iterator[Path]:
    """The machines, from bare to removed; yields their inventory."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="ansible-") as name:
        inventory = Path(name)
        write_inventory(inventory, size)
        try:
            play(ROOT, inventory, "playbooks/lab.yml")
            yield inventory
        finally:
            play(ROOT, inventory, "playbooks/lab.yml", "-e", "lab_state=absent")


def rerun(checkout: Path, inventory: Path, *options: str) -> Run:
    """A run of C(site.yml) that has nothing to change, or else there is nothing to measure."""
    run = play(checkout, inventory, "site.yml", *options)
    if run.changed:
        raise BenchError(f"a re-run changed something:\n{run.output[-6000:]}")
    return run


@dataclass
class Cost:
    """What was measured on a lab of one size."""

    first: Run
    again: list[Run] = field(default_factory=list)
    counted: int = 0
    switches: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Of a re-run: the median."""
        return statistics.median(run.seconds for run in self.again)


def measure(size: Size, reruns: int, switches: int) -> Cost:
    """A first run, re-runs, and switches there and back, each proved by the playbook itself."""
    with lab(size) as inventory:
        cost = Cost(play(ROOT, inventory, "site.yml"))
        say(f"{size.hosts} hosts: first run {cost.first.seconds:.1f} s")
        for _ in range(reruns):
            cost.again.append(rerun(ROOT, inventory))
            say(f"{size.hosts} hosts: re-run {cost.again[-1].seconds:.1f} s")
        cost.counted = rerun(ROOT, inventory, "-vvv").round_trips
        for target in ["docker", "legacy"] * switches:
            run = play(ROOT, inventory, "switch_backend.yml", "-e", f"target={target}")
            if not run.changed:
                raise BenchError(f"expected a switch to {target}, but nothing changed")
            cost.switches.append(run.seconds)
            say(f"{size.hosts} hosts: switch to {target} {run.seconds:.1f} s")
    return cost


def baseline(size: Size, checkout: Path) -> int:
    """Round trips of a re-run, as another checkout does it, on machines of its own."""
    with lab(size) as inventory:
        play(checkout, inventory, "site.yml")
        found = rerun(checkout, inventory, "-vvv").round_trips
    say(f"{size.hosts} hosts: {found} round trips of a re-run by {checkout}")
    return found


def baseline_checkout(given: str | None) -> Path:
    """The checkout to compare with, its collection in place."""
    checkout = Path(given).resolve() if given else BUILD / BASELINE_COMMIT
    if not given and not checkout.exists():
        archive = subprocess.run(
            ["git", "-C", str(ROOT), "archive", BASELINE_COMMIT], check=False, capture_output=True
        )
        if archive.returncode:
            raise BenchError(
                f"expected Git to know the commit {BASELINE_COMMIT}: {archive.stderr.decode()}"
                "Name a checkout of it: BASELINE=DIR"
            )
        checkout.mkdir(parents=True)
        subprocess.run(["tar", "-x", "-C", str(checkout)], input=archive.stdout, check=True)
    if not (checkout / "site.yml").exists():
        raise BenchError(f"expected a checkout of the project, got BASELINE={checkout}")
    link = checkout / LINK
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to("../../../..")
    return checkout


def say(text: str) -> None:
    """Progress."""
    print(text, flush=True)


def rows(small: Cost, large: Cost, before: int) -> Sequence[Row]:
    """The table. Medians; a unit's second half is least, most and number."""
    again = [run.seconds for run in small.again]
    unit = f"s, {spread(again)}"
    return [
        Row("re-run / first run, 8 hosts", small.seconds, unit, small.first.seconds, "<= 0.25"),
        Row("re-run, 8 hosts: s", small.seconds, unit, target="<= 60"),
        Row(
            f"re-run: round trips / {BASELINE_COMMIT}'s",
            small.counted,
            "modules run on machines",
            before,
            "<= 0.5",
        ),
        Row(
            "re-run, 24 hosts / 8 hosts",
            large.seconds,
            f"s, {spread([run.seconds for run in large.again])}",
            small.seconds,
            "<= 2.2",
        ),
        Row(
            "switch_backend.yml: s",
            statistics.median(small.switches),
            f"s, {spread(small.switches)}",
            target="<= 8",
        ),
        *told(8, small),
        *told(24, large),
    ]


def told(number: int, cost: Cost) -> Iterator[Row]:
    """Rows without a target."""
    cpu = [run.cpu for run in cost.again]
    yield Row(f"first run, {number} hosts: s", cost.first.seconds, "s")
    yield Row(f"first run, {number} hosts: CPU", cost.first.cpu, "s of the controller's processors")
    yield Row(f"first run, {number} hosts: tasks", cost.first.tasks, "task headers")
    yield Row(
        f"re-run, {number} hosts: CPU",
        statistics.median(cpu),
        f"s of the controller's processors, {spread(cpu)}",
    )
    yield Row(f"re-run, {number} hosts: tasks", cost.again[0].tasks, "task headers")
    yield Row(f"re-run, {number} hosts: round trips", cost.counted, "modules run on machines")


def bench(quick: bool) -> tuple[Sequence[Row], Mapping[str, str]]:
    """Measure the baseline and both sizes, each on new machines."""
    scale = QUICK if quick else FULL
    given = os.environ.get("BASELINE")
    # In little, a round trip is compared with itself unless another checkout is named.
    before = baseline(scale.small, baseline_checkout(given)) if given or not quick else None
    small = measure(scale.small, scale.reruns, scale.switches)
    large = measure(scale.large, scale.reruns, 0)
    versions = {"ansible-core": ansible_version, "python": platform.python_version()}
    return rows(small, large, small.counted if before is None else before), versions


if __name__ == "__main__":
    sys.exit(report.run("ansible", bench))
