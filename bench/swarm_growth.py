"""`make bench-swarm_growth`: larger swarms beside C(docker stack deploy), and the mode edge.

    python -m bench.swarm_growth [--quick] [--output FILE]

README.md beside this file says what is measured, and how.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench import report
from bench.lab import Size, lab
from bench.report import Row, spread
from bench.swarm import (
    FULL,
    LAB,
    QUICK,
    Lab,
    Measured,
    Ours,
    Scale,
    changed,
    lost,
    measure,
    promised,
    steps,
)


def edge(scale: Scale) -> Measured:
    """The role with HAProxy as a service of the swarm, where a node runs any number of tasks."""
    size = Size(web=0, workers=2, containers=0, edge=True)
    measured = Measured()
    with lab(size, LAB | {"swarm_ingress_mode": "edge"}) as inventory:
        machines = Lab(inventory)
        machines.play("site.yml")
        role = Ours(machines, name="role, edge")
        role.deploy(2, 200)
        changed(machines, role, measured, scale, load=True, most=10)
        lost(machines, role, measured, scale)
    return measured


def bench(quick: bool) -> tuple[Sequence[Row], Mapping[str, str]]:
    """The mode edge under load, then each step on each size."""
    scale = QUICK if quick else FULL
    # No default, so a quarter of the requests will do.
    fewer = replace(scale, requests=scale.requests // 4)
    found = edge(fewer)
    rows = [
        *promised(found, fewer.requests, "edge, "),
        *(Row(f"edge, {step}", found.median(step), f"s, {spread(found.seconds[step])}")
          for step in ("scale", "update", "drain")),
    ]  # fmt: skip
    for nodes in (4,) if quick else (5, 7):
        rows += steps(nodes, *measure(nodes, scale, load=False))
    return rows, {}


if __name__ == "__main__":
    sys.exit(report.run("swarm_growth", bench))
