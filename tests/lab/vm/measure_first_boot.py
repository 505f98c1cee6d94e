#!/usr/bin/env python3
"""How long until a new machine runs a container, with Docker on its disk and without.

    measure_first_boot.py [--rounds N] USER_DATA

USER_DATA is what the role docker_ce writes, configuration or script. One machine at a time, the
variants in turn. The packages' files are on the disk, so that the network has little part in it.
Prints each time, then median, shortest and longest.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from tests.lab.vm.virtual_machines import LABS, Lab
from tests.support.errors import HarnessError
from tests.support.waiting import until

NAME, MACHINE = "bookface-vm-measure", "new1"
LIMIT = 600
HELLO = (
    'test -n "$(sudo docker images --quiet hello)" ||'
    " tar -C /usr/bin -c busybox | sudo docker import - hello;"
    " sudo docker run --rm --network none hello /busybox echo hello"
)


def describe(directory: Path, tree: str, user_data: str) -> Path:
    """A lab of one machine."""
    directory.mkdir(parents=True, exist_ok=True)
    key = directory / "id_ed25519"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (directory / "user-data").write_text(user_data)
    lab = directory / "machines.json"
    machine = {"name": MACHINE, "number": 11, "tree": tree}
    if user_data:
        machine["user_data"] = str(directory / "user-data")
    lab.write_text(
        json.dumps(
            {
                "name": NAME,
                "network": "172.29.93",
                "user": "debian",
                "directory": str(directory),
                "logs": str(directory),
                "machines": [machine],
            }
        )
    )
    return lab


def says_hello(lab: Lab) -> bool:
    return "hello" in lab.ssh(MACHINE, HELLO, check=False).splitlines()


def measure(lab: Lab) -> tuple[float, float]:
    """Seconds from power on to SSH, and to a container."""
    try:
        lab.make()
        began = time.monotonic()
        lab.start(MACHINE)
        ssh = time.monotonic() - began
        until(lambda: says_hello(lab), "a container says hello", LIMIT)
        return ssh, time.monotonic() - began
    finally:
        lab.down()


def main() -> int:
    """Measure, and print a table."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("user_data", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    data = options.user_data.read_text()
    variants = {
        "user data installs Docker": ("plain", data),
        "Docker is on the disk": ("docker", ""),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    directory = LABS / NAME
    try:
        for count in range(1, options.rounds + 1):
            for name, (tree, user_data) in variants.items():
                ssh, container = measure(Lab(describe(directory, tree, user_data)))
                times[name].append((ssh, container))
                print(
                    f"round {count}: {name}: SSH {ssh:.1f} s, container {container:.1f} s",
                    flush=True,
                )
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{'seconds from power on to':32} {'SSH':>20} {'a container':>20}")
    for name, both in times.items():
        columns = [
            f"{statistics.median(column):.0f} ({min(column):.0f}-{max(column):.0f})"
            for column in zip(*both, strict=True)
        ]
        print(f"{name:32} {columns[0]:>20} {columns[1]:>20}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
