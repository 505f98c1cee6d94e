"""`make bench-docker_ce`: the role docker_ce and the same steps by plain modules, side by side.

    python -m bench.docker_ce [--quick] [--output FILE]

README.md beside this file says what is measured, and how.
"""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible.release import __version__ as ansible_version

from bench import report
from bench.report import BenchError, Row, spread
from tests.support.paths import ROOT

HERE = ROOT / "bench/docker_ce_lab"
SCENARIO = ROOT / "molecule/docker_ce"
LAB = ROOT / "playbooks/lab.yml"
WAYS = {"role": SCENARIO / "converge.yml", "plain modules": HERE / "plain.yml"}
# One program started on the machine, as Ansible shows it with -vvv: with pipelining, one module.
ROUND_TRIP = re.compile(r"SSH: EXEC ssh .*/usr/bin/python3")


@dataclass
class Times:
    """Seconds of each run, and the round trips of one re-run."""

    first: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    round_trips: int = 0


def play(playbook: Path, *options: str) -> tuple[float, str]:
    """Seconds that a playbook took, and what it printed."""
    began = time.monotonic()
    done = subprocess.run(
        ["ansible-playbook", "-i", str(HERE / "inventory"), str(playbook), *options],
        cwd=ROOT,
        env=os.environ | {"NO_COLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    took = time.monotonic() - began
    if done.returncode:
        raise BenchError(f"{playbook.name} failed:\n{done.stdout[-3000:]}")
    return took, done.stdout


def changes(said: str) -> int:
    """How much a playbook changed."""
    found = re.search(r"ok=\d+ +changed=(\d+)", said)
    if not found:
        raise BenchError(f"No recap:\n{said[-3000:]}")
    return int(found[1])


def measure(way: str, times: Times, reruns: int, counted: bool) -> None:
    """One first run and its re-runs, on a machine without an engine."""
    playbook = WAYS[way]
    play(HERE / "reset.yml")
    took, said = play(playbook)
    if not changes(said):
        raise BenchError(f"{way}: the first run changed nothing")
    times.first.append(took)
    for _ in range(reruns):
        took, said = play(playbook)
        if changes(said):
            raise BenchError(f"{way}: the re-run changed something:\n{said}")
        times.again.append(took)
    if counted:
        times.round_trips = len(ROUND_TRIP.findall(play(playbook, "-vvv")[1]))
    print(f"{way}: first {times.first[-1]:.1f} s, again {times.again[-1]:.1f} s", flush=True)


def rows(ours: Times, other: Times) -> Sequence[Row]:
    """The table's rows. Medians; a unit's second half is least, most and number."""
    first, again = statistics.median(ours.first), statistics.median(ours.again)
    return [
        Row(
            "re-run / first run",
            again,
            f"s, {spread(ours.again)} / {spread(ours.first)}",
            other=first,
            target="<= 0.25",
        ),
        Row(
            "re-run: task round trips / plain modules",
            ours.round_trips,
            "modules run on the machine",
            other=other.round_trips,
            target="<= 0.7",
        ),
        Row(
            "re-run: seconds",
            again,
            f"s, other {spread(other.again)}",
            other=statistics.median(other.again),
        ),
        Row(
            "first run: seconds",
            first,
            f"s, other {spread(other.first)}",
            other=statistics.median(other.first),
        ),
    ]


def versions() -> dict[str, str]:
    """What was measured with."""
    found = play(HERE / "versions.yml")[1]
    told = re.findall(r"^ +(debian|docker-ce): '?([^'\s]+)'?$", found, re.MULTILINE)
    return dict(told) | {"ansible-core": ansible_version, "python": platform.python_version()}


def bench(quick: bool) -> tuple[Sequence[Row], dict[str, str]]:
    """Make the machine, measure the ways in turn, remove the machine."""
    rounds, reruns = (1, 1) if quick else (3, 3)
    times = {way: Times() for way in WAYS}
    try:
        play(LAB)
        play(SCENARIO / "prepare.yml")
        play(WAYS["role"])  # fills apt's cache
        for number in range(rounds):
            for way in WAYS if number % 2 == 0 else reversed(WAYS):
                measure(way, times[way], reruns, counted=number == 0)
        return rows(times["role"], times["plain modules"]), versions()
    finally:
        play(LAB, "-e", "lab_state=absent")


if __name__ == "__main__":
    sys.exit(report.run("docker_ce", bench))
