"""`make bench-autoscale`: the number of tasks follows the load, and rests when the load does.

    python -m bench.autoscale [--quick] [--output FILE]

README.md beside this file says what is measured, and how.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import report
from bench.lab import Size, lab
from bench.report import BenchError, Row
from bench.swarm import PAGE, SERVICE, Lab, say
from tests.support.load import Load, percentile, read_log
from tests.support.paths import ROOT

LAB = {
    "lab_name": "bookface-bench-autoscale",
    "lab_network": "172.28.94",
    "lab_http_port": 8094,
    "lab_stats_port": 1994,
    "bookface_initial_backend": "swarm",
    "swarm_replicas": 1,
    "swarm_replicas_max": 4,
    "swarm_autoscale_requests": 25,
    # Tasks are kept for minutes by default; what is measured is whether they go as they came.
    "swarm_autoscale_down_after": 15,
}
# Requests per second: one task's share, and four times as much.
LOW, HIGH = 20, 80


@dataclass(frozen=True)
class Phases:
    """Seconds of each load: low, high, and low again, which is the quiet time."""

    low: float
    high: float
    quiet: float


FULL = Phases(low=90, high=150, quiet=690)
QUICK = Phases(low=30, high=60, quiet=60)


@dataclass
class Watch:
    """The number of tasks that run, seen once a second: (time, tasks), where it changed."""

    lab: Lab
    seen: list[tuple[float, int]] = field(default_factory=list)

    def run(self, over: threading.Event) -> None:
        while not over.wait(1):
            tasks = len(self.lab.serving(SERVICE))
            if not self.seen or self.seen[-1][1] != tasks:
                self.seen.append((time.time(), tasks))
                say(f"{time.strftime('%T')}: {tasks} tasks")

    def first(self, tasks: int, after: float) -> float:
        """Seconds from a moment until so many ran."""
        found = [at for at, number in self.seen if number == tasks and at >= after]
        if not found:
            raise BenchError(f"there were never {tasks} tasks; seen: {self.seen}")
        return found[0] - after

    def changes(self, after: float) -> int:
        """How often the number changed after a moment."""
        return sum(1 for at, _ in self.seen if at > after)


@contextmanager
def autoscaling(inventory: Path, watch: Watch) -> Iterator[None]:
    """The playbook looks again and again, and we at the tasks."""
    over = threading.Event()
    watching = threading.Thread(target=watch.run, args=(over,))
    with tempfile.TemporaryFile("w+") as output:
        looking = subprocess.Popen(
            ["ansible-playbook", "-i", str(inventory), "playbooks/autoscale.yml",
             "-e", json.dumps({"looks": 10_000, "every": 5})],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        watching.start()
        try:
            yield
            if looking.poll() is not None:
                output.seek(0)
                raise BenchError(f"autoscale.yml has ended:\n{output.read()[-3000:]}")
        finally:
            over.set()
            watching.join()
            looking.terminate()
            looking.wait()


def asked(url: str, rate: int, seconds: float, log: Path) -> int:
    """Ask at a rate for so long; how many requests failed."""
    with Load(
        [url], clients=32, rate=rate, requests=int(rate * seconds), expect=PAGE, timeout=30, log=log
    ) as load:
        load.wait_for(int(rate * seconds), seconds=seconds * 3)
    say(f"{rate}/s: {load.summary.as_text()}")
    return load.summary.failed


def p95(log: Path, begin: float = 0, end: float = math.inf) -> float:
    """Of the good answers to what was asked between two moments, in milliseconds."""
    taken = [one.seconds for one in read_log(log) if begin <= one.sent < end and not one.failed]
    return 1000 * percentile(sorted(taken), 95)


def bench(quick: bool) -> tuple[Sequence[Row], Mapping[str, str]]:
    """One load after the other, on one lab."""
    phases = QUICK if quick else FULL
    with (
        lab(Size(web=0, workers=3, containers=0), LAB) as inventory,
        tempfile.TemporaryDirectory() as directory,
    ):
        machines = Lab(inventory)
        machines.play("site.yml")
        watch = Watch(machines)
        logs = [Path(directory) / name for name in ("low", "high", "quiet")]
        url = f"http://{machines.address}/"
        with autoscaling(inventory, watch):
            failed = asked(url, LOW, phases.low, logs[0])
            rise = time.time()
            failed += asked(url, HIGH, phases.high, logs[1])
            fall = time.time()
            failed += asked(url, LOW, phases.quiet, logs[2])
        up, down = watch.first(4, rise), watch.first(1, fall)
        requests = int(LOW * (phases.low + phases.quiet) + HIGH * phases.high)
        return [
            Row("4 x the load: s until four tasks run", up, "s", target="<= 30"),
            Row("1 x the load: s until one task runs", down, "s", target="<= 30"),
            Row("failed requests", failed, f"of {requests}", target="<= 0"),
            Row("ten quiet minutes: changes", watch.changes(fall + down), "changes",
                target="<= 0"),
            Row("p95 of 4 x before four tasks run / of 1 x", p95(logs[1], rise, rise + up), "ms",
                p95(logs[0])),
            Row("p95 of 4 x once four tasks run / of 1 x", p95(logs[1], rise + up + 10), "ms",
                p95(logs[0]), "<= 2"),
        ], {}  # fmt: skip


if __name__ == "__main__":
    sys.exit(report.run("autoscale", bench))
