# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live map entries of a frontend: the mirror of its default_backend, and a gradual shift.

The entry ``FRONTEND`` names the backend for all clients. Clients are divided into one hundred
cohorts by a hash of their address; while N percent of them go to another backend, the entries
``FRONTEND/0`` to ``FRONTEND/(N-1)`` name it. So a client that has been moved stays moved while N
grows. The frontend's rules assign clients to cohorts only while ``FRONTEND/0`` exists.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

COHORTS = 100
# (key, value) as in the map.
Entries = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Shift:
    """This percentage of the clients goes to the backend, the others to the default."""

    backend: str
    percent: int

    def as_dict(self) -> dict[str, str | int]:
        return {"backend": self.backend, "percent": self.percent}


@dataclass(frozen=True)
class Step:
    """One command to the map: ``add``, ``set`` or ``del``."""

    verb: str
    key: str
    value: str = ""


def _cohort(key: str, frontend: str) -> int | None:
    """The number in FRONTEND/NUMBER; None for any other key."""
    name, slash, number = key.partition("/")
    if name != frontend or not slash or not number.isdecimal() or str(int(number)) != number:
        return None
    return int(number) if int(number) < COHORTS else None


def own(entries: Iterable[tuple[str, str]], frontend: str) -> Entries:
    """The entries of a frontend and its cohorts."""
    return tuple(
        (key, value)
        for key, value in entries
        if key == frontend or _cohort(key, frontend) is not None
    )


def wanted_entries(frontend: str, default: str, shift: Shift | None = None) -> Entries:
    """The desired entries."""
    mirror = ((frontend, default),)
    if shift is None:
        return mirror
    return (*mirror, *((f"{frontend}/{n}", shift.backend) for n in range(shift.percent)))


def mirror(entries: Entries, frontend: str) -> tuple[str, ...]:
    """The backend for all clients: one value, or none, or several if others wrote them."""
    return tuple(dict.fromkeys(value for key, value in entries if key == frontend))


def under_way(entries: Entries, frontend: str, default: str | None) -> Shift | None:
    """The shift that the entries describe. One to the default moves nobody: it has ended."""
    cohorts = {_cohort(key, frontend): value for key, value in entries if key != frontend}
    backend = cohorts.get(0)
    if backend is None or backend == default:
        return None
    return Shift(backend, sum(value == backend for value in cohorts.values()))


def steps(now: Entries, target: Entries) -> tuple[Step, ...]:
    """The commands from one state to another, in an order that is safe for traffic in between.

    The mirror comes first, so the first command completes a switch. Cohort 0 starts and ends a
    shift: it is added last and deleted first, so that all cohorts move at the same moment.
    """
    found: dict[str, set[str]] = {}
    for key, value in now:
        found.setdefault(key, set()).add(value)

    def order(key: str) -> int:
        number = key.partition("/")[2]
        return (int(number) or COHORTS) if number else -1

    unwanted = found.keys() - dict(target).keys()
    deleted = [Step("del", key) for key in sorted(unwanted, key=order, reverse=True)]
    written = [
        Step("set" if key in found else "add", key, value)
        for key, value in sorted(target, key=lambda entry: order(entry[0]))
        if found.get(key) != {value}
    ]
    mirrored = [step for step in written if order(step.key) < 0]
    return (*mirrored, *deleted, *(step for step in written if step not in mirrored))


def shown(entries: Entries) -> str:
    """The entries for a reader, cohorts of one backend on one line: ``FRONTEND/0-29 BACKEND``."""
    everybody = [f"{key} {value}\n" for key, value in entries if "/" not in key]
    cohorts = sorted(
        (int(number), frontend, value)
        for frontend, number, value in (
            (*key.split("/"), value) for key, value in entries if "/" in key
        )
    )
    lines = []
    # Neighbours keep the distance between their number and their place.
    for _distance, run in groupby(enumerate(cohorts), lambda at: (at[1][0] - at[0], at[1][1:])):
        members = [cohort for _place, cohort in run]
        (first, frontend, value), last = members[0], members[-1][0]
        numbers = f"{first}-{last}" if last > first else f"{first}"
        lines.append(f"{frontend}/{numbers} {value}\n")
    return "".join(everybody + lines)


def listed(entries: Entries) -> str:
    """The same within a sentence."""
    return ", ".join(shown(entries).splitlines()) or "no entry"
