#!/usr/bin/env python3
"""`make test`: every check, two at a time, lines of progress for each, all output in logs/.

    run.py [--only NAME[,NAME...]] [--list]

Ends with `N passed, N failed, N skipped`: tests as pytest counts them, and one for each other step.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "logs"
JUNIT = LOGS / "junit"
BUILD = ROOT / "build"


@dataclass(frozen=True)
class Step:
    """One command. C(group) is what `make lint` and `make test-fast` choose by.

    C(reports) matches the names of what its pytest leaves in JUNIT.
    """

    name: str
    group: str
    command: list[str]
    reports: str = ""


@dataclass
class Count:
    """Tests by how they ended: C(failures) by name, C(reasons) why those were skipped."""

    passed: int = 0
    skipped: int = 0
    reasons: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, other: Count) -> None:
        self.passed += other.passed
        self.skipped += other.skipped
        self.reasons += other.reasons
        self.failures += other.failures

    def __str__(self) -> str:
        return f"{self.passed} passed, {len(self.failures)} failed, {self.skipped} skipped"


def pytest(name: str, group: str, path: str, *options: str) -> Step:
    """A step that runs pytest on a directory or a file."""
    report = f"--junit-xml={JUNIT / name}.xml"
    command = [sys.executable, "-m", "pytest", "--color=no", report, path, *options]
    return Step(name, group, command, f"{name}.xml")


def molecule(scenario: str, group: str = "molecule") -> Step:
    """A step that runs one molecule scenario, from bare machines to their removal."""
    command = ["molecule", "test", "-s", scenario]
    return Step(f"molecule-{scenario}", group, command, f"{scenario}-*.xml")


# Logs are read in an editor: no colours, long lines.
PLAIN = {"NO_COLOR": "1", "ANSIBLE_FORCE_COLOR": "0", "PY_COLORS": "0", "COLUMNS": "160"}

IMAGE_BENCH = "tests/integration/bench/test_image_quick.py"
# A step waits for its machines half of the time: beside another one the whole takes little more
# than half as long. The longest comes first, so that the others find room beside it.
AT_ONCE = 2
STEPS = [
    molecule("platform"),
    Step("yamllint", "lint", ["yamllint", "--strict", "."]),
    Step("ruff", "lint", ["ruff", "check", "."]),
    Step("ruff-format", "lint", ["ruff", "format", "--check", "."]),
    Step("mypy", "lint", ["mypy", "plugins", "bench", "scripts", "tests/support", "tests/run.py"]),
    Step("role-tables", "lint", [sys.executable, "scripts/role_tables.py", "--check"]),
    Step("ansible-lint", "lint", ["ansible-lint"]),
    pytest("unit", "unit", "tests/unit"),
    Step("build", "build", ["bash", "tests/build.sh", str(BUILD)]),
    Step("sanity", "build", ["bash", "tests/sanity.sh", str(BUILD)]),
    pytest("integration", "integration", "tests/integration", f"--ignore={IMAGE_BENCH}"),
    molecule("haproxy"),
    molecule("docker_ce"),
    molecule("performance"),
    pytest("openstack", "openstack", "tests/openstack"),
    molecule("vm_first_boot", "vm"),
]
# What is run only if it is asked for: it takes many minutes.
ON_DEMAND = [
    pytest("bench-image", "bench", IMAGE_BENCH),
    molecule("vm", "vm"),
]


def read_reports(step: Step, since: float) -> Count:
    """What pytest counted in the step's reports written since then."""
    count = Count()
    for report in JUNIT.glob(step.reports) if step.reports else ():
        if report.stat().st_mtime < since:
            continue
        for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  (our own files)
            if case.find("failure") is not None or case.find("error") is not None:
                count.failures.append(f"{report.stem}: {case.get('classname')}::{case.get('name')}")
            elif (skip := case.find("skipped")) is not None:
                count.skipped += 1
                count.reasons.append(f"{case.get('name')}: {skip.get('message')}")
            else:
                count.passed += 1
    return count


def run(step: Step) -> Count:
    """Run one step; a step that fails counts at least one failure."""
    log = LOGS / f"{step.name}.log"
    print(f"{step.name:<20} began", flush=True)
    began = time.time()
    with log.open("wb") as output:
        done = subprocess.run(
            step.command,
            cwd=ROOT,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | PLAIN,
        )
    count = read_reports(step, began)
    if "pytest" not in step.command:
        # The tool itself, beside the tests that it may have run.
        if done.returncode == 0:
            count.passed += 1
        else:
            count.failures.append(step.name)
    elif done.returncode != 0 and not count.failures:
        count.failures.append(f"{step.name}: ended with {done.returncode}")
    told = [f"{step.name:<20} {time.time() - began:6.1f} s  {count}"]
    told += [f"    skipped: {reason}" for reason in count.reasons]
    if done.returncode != 0:
        told += [f"    failed: the end of {log.relative_to(ROOT)} says"]
        lines = log.read_text(errors="replace").splitlines()
        told += [f"    | {line}" for line in lines[-60:]]
    # As one text: the lines of the step beside it do not come between.
    print("\n".join(told), flush=True)
    return count


def main() -> int:
    """Choose the steps, run them all, sum up."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="names or groups of steps, by commas")
    parser.add_argument("--list", action="store_true", help="print the steps")
    options = parser.parse_args()
    if options.list:
        for step in STEPS + ON_DEMAND:
            print(f"{step.name:<20} {step.group:<12} {' '.join(step.command)}")
        return 0
    wanted = set(options.only.split(",")) if options.only else None
    known = {name for step in STEPS + ON_DEMAND for name in (step.name, step.group)}
    if wanted and wanted - known:
        parser.error(f"unknown: {', '.join(wanted - known)}; known: {', '.join(sorted(known))}")
    JUNIT.mkdir(parents=True, exist_ok=True)
    total = Count()
    began = time.time()
    chosen = (
        [step for step in STEPS + ON_DEMAND if {step.name, step.group} & wanted]
        if wanted
        else STEPS
    )
    with ThreadPoolExecutor(AT_ONCE) as runs:
        for count in runs.map(run, chosen):
            total.add(count)
    print(f"{(time.time() - began) / 60:.1f} minutes")
    for failure in total.failures:
        print(f"failed: {failure}")
    print(total)
    return 1 if total.failures or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
