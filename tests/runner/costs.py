"""What a run cost: its steps and tests, in a file and at the end of the output."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.runner.execute import Ended

DEAREST = 20


def busy_seconds(stat: str, ticks: int) -> float:
    """What all processors together have worked since the machine started, by C(/proc/stat).

    User, nice, system, interrupts and stolen time; neither idle nor waiting for a disk.
    """
    user, nice, system, _idle, _iowait, irq, softirq, *rest = map(int, stat.split()[1:])
    # Of a guest is in user, too.
    return (user + nice + system + irq + softirq + sum(rest[:1])) / ticks


@dataclass(frozen=True)
class Clock:
    """The time, and how much this machine has worked."""

    seconds: float
    busy: float

    @classmethod
    def now(cls) -> Clock:
        stat = Path("/proc/stat").read_text().partition("\n")[0]
        return cls(time.monotonic(), busy_seconds(stat, os.sysconf("SC_CLK_TCK")))


def as_data(done: Sequence[Ended], begin: Clock, end: Clock, processors: int) -> dict[str, Any]:
    """What C(logs/durations.json) holds."""
    first = min((ended.began for ended in done), default=0.0)
    return {
        "seconds": round(end.seconds - begin.seconds, 1),
        # Of the whole machine: of containers, and of whatever else ran on it.
        "busy_seconds": round(end.busy - begin.busy, 1),
        "processors": processors,
        "steps": [
            {
                "step": ended.step.name,
                "began": round(ended.began - first, 1),
                "seconds": round(ended.seconds, 1),
                "cpu_seconds": round(ended.cpu_seconds, 1),
                "phases": [
                    {"phase": name, "seconds": round(seconds, 1)} for name, seconds in ended.phases
                ],
            }
            for ended in done
        ],
        "tests": [
            {"test": case.name, "outcome": case.outcome, "seconds": round(case.seconds, 3)}
            for ended in done
            for case in sorted(ended.cases, key=lambda case: -case.seconds)
        ],
    }


def as_text(data: dict[str, Any]) -> str:
    """Every step and phase, the dearest tests, and the whole."""
    tests = sorted(data["tests"], key=lambda test: -test["seconds"])[:DEAREST]
    lines = ["The longest tests:"] if tests else []
    lines += [f"{test['seconds']:8.1f} s  {test['test']}" for test in tests]
    lines.append("Steps, from when they began, with the CPU time of their own processes:")
    for step in sorted(data["steps"], key=lambda step: (step["began"], -step["seconds"])):
        lines.append(
            f"{step['seconds']:8.1f} s {step['cpu_seconds']:7.1f} s CPU"
            f"  from {step['began']:6.1f} s  {step['step']}"
        )
        lines += [f"{phase['seconds']:14.1f} s  {phase['phase']}" for phase in step["phases"]]
    share = data["busy_seconds"] / (data["seconds"] * data["processors"] or 1)
    lines.append(
        f"{data['seconds'] / 60:.1f} minutes, {data['busy_seconds'] / 60:.1f} minutes of CPU on the"
        f" whole machine: {share:.0%} of {data['processors']} processors"
    )
    return "\n".join(lines)
