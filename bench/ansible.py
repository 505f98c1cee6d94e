"""`make bench-ansible`: what the platform's playbooks cost, on 8 hosts and on 24.

    python -m bench.ansible [--quick] [--output FILE]

BASELINE=DIR names a checkout of the commit that round trips are compared with; without it, one is
taken from Git. README.md beside this file says what is measured, and how.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible.release import __version__ as ansible_version

from bench import report
from bench.lab import BUILD, Run, Size, lab, play
from bench.report import BenchError, Row, spread
from tests.support.paths import ROOT

# What re-runs did before their cost was looked at.
BASELINE_COMMIT = "bac083f"
LAB = {
    "lab_name": "bookface-bench-ansible",
    "lab_network": "172.28.99",
    "lab_http_port": 8099,
    "lab_stats_port": 1999,
}
LINK = Path(".ansible/collections/ansible_collections/bookface/platform")


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
    with lab(size, LAB) as inventory:
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
    with lab(size, LAB) as inventory:
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
