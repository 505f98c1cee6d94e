"""What every bench does with its figures: rows with targets, one table, one file of results."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.errors import HarnessError
from tests.support.files import write_json
from tests.support.paths import ROOT

RESULTS = ROOT / "bench" / "results"

_TARGET = re.compile(r"(<=|>=) (\d+(?:\.\d+)?)")


class BenchError(HarnessError):
    """The bench cannot go on; the message says why."""


@dataclass(frozen=True)
class Row:
    """One line of a table.

    ``other`` is what ``ours`` is compared with. ``target``, such as C(<= 0.25), judges their
    ratio; where there is no other it judges ``ours``; without a target the row is informative.
    """

    what: str
    ours: float
    unit: str
    other: float | None = None
    target: str | None = None

    def __post_init__(self) -> None:
        if self.target is not None and not _TARGET.fullmatch(self.target):
            raise ValueError(
                f"{self.what}: expected a target '<= NUMBER' or '>= NUMBER', got {self.target!r}"
            )

    @property
    def ratio(self) -> float | None:
        """ours / other, where that is a number."""
        return self.ours / self.other if self.other else None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a target."""
        if self.target is None:
            return None
        relation, number = self.target.split()
        # Multiplied instead of divided: none of none is as good, one of none is worse.
        bound = float(number) * (1 if self.other is None else self.other)
        return self.ours <= bound if relation == "<=" else self.ours >= bound

    def as_dict(self) -> dict[str, Any]:
        """The row as the file of results holds it."""
        return {
            "what": self.what,
            "ours": _short(self.ours),
            "other": _short(self.other),
            "unit": self.unit,
            "ratio": _short(self.ratio),
            "target": self.target,
            "met": self.met,
        }


def _short(number: float | None) -> float | None:
    return None if number is None else round(number, 3)


def table(rows: Sequence[Row]) -> str:
    """The rows as a table."""
    verdict = {True: "met", False: "MISSED", None: ""}
    lines: list[tuple[str, ...]] = [("what", "ours", "other", "ratio", "unit", "target", "")]
    for row in rows:
        told = row.as_dict()
        numbers = ("" if told[n] is None else f"{told[n]:.12g}" for n in ("ours", "other", "ratio"))
        lines.append((row.what, *numbers, row.unit, row.target or "", verdict[row.met]))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            text.rjust(width) if 1 <= column <= 3 else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def spread(values: Sequence[float]) -> str:
    """Least, most and number: the unit's second half, for a median alone hides how sure it is."""
    return f"{round(min(values), 3):g}-{round(max(values), 3):g} of {len(values)}"


def machine() -> str:
    """What the figures were measured on, and how busy it was."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        system = platform.system()
    return (
        f"{os.cpu_count()} CPUs ({_cpu()}), {memory:.0f} GiB, {system}, "
        f"Linux {platform.release()}, load {os.getloadavg()[0]:.1f} before"
    )


def _cpu() -> str:
    try:
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def commit() -> str:
    """The commit that was measured; a plus marks uncommitted changes."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--exclude=*", "--dirty=+"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return told.stdout.strip()


def write(path: Path, on: str, versions: Mapping[str, str], rows: Sequence[Row]) -> None:
    """Write the file of results; ``on`` is what machine() returned before the bench."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        path,
        {
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
            "commit": commit(),
            "machine": on,
            "versions": dict(versions),
            "rows": [row.as_dict() for row in rows],
        },
    )


def run(name: str, measure: Callable[[bool], tuple[Sequence[Row], Mapping[str, str]]]) -> int:
    """What the bench C(name) does on the command line: measure, write, print.

    C(measure) is given whether a quick trial run is wanted; it returns the rows and the versions
    of what was measured. A missed target is a result, not an error.
    """
    parser = ArgumentParser(description=f"`make bench-{name}`, see bench/README.md")
    parser.add_argument("--quick", action="store_true", help="a short trial run of everything")
    parser.add_argument("--output", type=Path, help="file of results")
    options = parser.parse_args()
    directory = ROOT / "build" / "bench" if options.quick else RESULTS
    output = options.output or directory / f"{name}.json"
    on = machine()
    try:
        rows, versions = measure(options.quick)
    except (HarnessError, OSError) as error:
        print(f"bench-{name}: {error}", file=sys.stderr)
        return 1
    write(output, on, versions, rows)
    print(table(rows))
    print(f"{on}\n{output}")
    return 0
