"""One step, run to its end and measured."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.runner import reports
from tests.runner.reports import Case, Count
from tests.runner.steps import JUNIT, LOGS, ROOT, Step

# Logs are read in an editor: no colours, long lines.
PLAIN = {"NO_COLOR": "1", "ANSIBLE_FORCE_COLOR": "0", "PY_COLORS": "0", "COLUMNS": "160"}
# With this, Python reads a module that Ansible pipes to it byte by byte, in half a million system
# calls, which take as long again as the module itself.
UNWANTED = ("PYTHONUNBUFFERED",)
# Programs of the virtual environment that runs this, whether or not it is activated.
PROGRAMS = Path(sys.executable).parent
# How often the log is read, for the phases.
SECONDS = 0.2
# What molecule prints when one of its phases begins.
PHASE = re.compile(r"^INFO +\[\S+ > (\w+)\] Executing$", re.MULTILINE)
LAST_LINES = 60


@dataclass
class Ended:
    """How a step ended, and what it cost."""

    step: Step
    status: int
    began: float
    seconds: float
    # Of its processes and those that they waited for. What runs in containers is not among them.
    cpu_seconds: float
    phases: list[tuple[str, float]] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    count: Count = field(default_factory=Count)

    def text(self) -> str:
        """What is printed about it: as one text, since other steps print, too."""
        name = self.step.name
        lines = [f"{name:<22} {self.seconds:6.1f} s {self.cpu_seconds:6.1f} s CPU  {self.count}"]
        lines += [f"    skipped: {test}" for test in self.count.skipped]
        lines += [f"    flaky: {test}" for test in self.count.flaky]
        lines += [f"    failed: {test}" for test in self.count.failed]
        if self.status:
            log = log_of(self.step)
            lines.append(f"    the last lines of {log.relative_to(ROOT)}:")
            last = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
            lines += [f"    | {line}" for line in last]
        return "\n".join(lines)


def log_of(step: Step) -> Path:
    """Where its output goes."""
    return LOGS / f"{step.name}.log"


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """What a step runs with, also if Make has not set it."""
    return {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        **{name: value for name, value in given.items() if name not in UNWANTED},
        **PLAIN,
        "PATH": f"{PROGRAMS}{os.pathsep}{given.get('PATH', os.defpath)}",
        # Half of what Ansible costs the tests is to build and compile the same modules.
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests" / "runner" / "ansible"),
        # On this machine as on others: a module is one process, not five.
        "ANSIBLE_PIPELINING": "1",
    }


def count(step: Step, status: int, cases: Sequence[Case]) -> Count:
    """What the step adds to the sum: its tests, and itself if it is more than a pytest.

    A step that failed has at least one failure; one that should have tests and has none, too.
    """
    found = Count.of(cases)
    if step.reports and not cases and not status:
        found.failed.append(f"{step.name}: reported no test")
    elif status and (not step.only_tests or not found.failed):
        found.failed.append(f"{step.name}: ended with {status}")
    elif not step.only_tests:
        found.passed += 1
    return found


def durations(marks: Sequence[tuple[str, float]], end: float) -> list[tuple[str, float]]:
    """Seconds of each phase, from when each began."""
    ends = [began for _, began in marks[1:]] + [end]
    return [(name, end - began) for (name, began), end in zip(marks, ends)]


def run(step: Step) -> Ended:
    """Run it to its end."""
    log = log_of(step)
    began, start = time.time(), time.monotonic()
    marks: list[tuple[str, float]] = []
    with log.open("wb") as output, log.open(errors="replace") as written:
        process = subprocess.Popen(
            step.command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(os.environ),
        )
        rest, ended = "", 0
        while not ended:
            # This wait, and no other, says what the process and its descendants have used.
            ended, state, usage = os.wait4(process.pid, os.WNOHANG)
            lines, _, rest = (rest + written.read()).rpartition("\n")
            marks += [(name, time.monotonic() - start) for name in PHASE.findall(lines)]
            if not ended:
                time.sleep(SECONDS)
    status = process.returncode = os.waitstatus_to_exitcode(state)
    seconds = time.monotonic() - start
    cases = [
        case
        for report in sorted(JUNIT.glob(step.reports) if step.reports else ())
        # An older one is another run's.
        if not report.stem.endswith(reports.AGAIN) and report.stat().st_mtime >= began
        for case in reports.read(report)
    ]
    return Ended(
        step,
        status,
        began,
        seconds,
        usage.ru_utime + usage.ru_stime,
        durations(marks, seconds),
        cases,
        count(step, status, cases),
    )
