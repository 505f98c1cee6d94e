# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of one look at the platform, as playbooks/heal.yml writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# Exit status of the playbook by what it found.
STATUSES = {"healthy": 0, "mended": 1, "broken": 2}
# Ansible's own, of a run that did not reach a machine: the report says more of it.
UNREACHABLE = 4
STATES = ("up", "down", "unknown")
# Parts that others of the same host depend on.
MACHINES = ("server", "machine")
# Seconds by which a report may seem older than its run: its time may be rounded.
ROUNDED = 2.0


class ReportError(ValueError):
    """There is no report that can be believed."""


@dataclass(frozen=True)
class Part:
    """Something that is up or down."""

    id: str
    host: str
    kind: str
    name: str


# What looks is a part itself.
WATCH = Part("watch", "", "watch", "watch")


@dataclass(frozen=True)
class Seen:
    """A part as one look found, or left, it."""

    part: Part
    state: str
    cause: str = ""
    # What was done about it in this look.
    action: str = ""
    # What has to be done that heal.yml does not do.
    wanted: str = ""
    tries: int = 0


@dataclass(frozen=True)
class Report:
    """One look at all parts."""

    time: float
    seconds: float
    status: str
    # The backend that each load balancer serves from.
    active: Mapping[str, str]
    parts: tuple[Seen, ...]


def parse(text: str, code: int, began: float) -> Report:
    """The report of a run that began then and ended with this exit status."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ReportError(f"the report is no JSON: {error}") from error
    try:
        report = _report(found)
        exit_status = int(found["exit_status"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReportError(
            f"the report is not one of version 1: {type(error).__name__}: {error}"
        ) from error
    believed = STATUSES[report.status] if code == UNREACHABLE and exit_status == 2 else code
    if exit_status != believed or STATUSES[report.status] != believed:
        raise ReportError(
            f"the run ended with exit status {code}, but its report says {report.status}"
            f" ({exit_status})"
        )
    if report.time < began - ROUNDED:
        raise ReportError("the report is of an earlier run")
    if not report.parts:
        raise ReportError("the report names no part of the platform")
    return report


def _report(found: Any) -> Report:
    if found["version"] != 1:
        raise ValueError(f"version {found['version']}")
    parts = tuple(_seen(one) for one in found["parts"])
    names = [one.part.id for one in parts]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} twice")
    if found["status"] not in STATUSES:
        raise ValueError(f"status {found['status']}")
    time = datetime.fromisoformat(str(found["time"]).replace("Z", "+00:00"))
    if time.tzinfo is None:
        raise ValueError(f"time {found['time']} has no zone")
    active = {str(host): str(backend) for host, backend in found["active"].items() if backend}
    return Report(time.timestamp(), float(found["seconds"]), found["status"], active, parts)


def _seen(one: Any) -> Seen:
    part = Part(*(_text(one[key]) for key in ("id", "host", "kind", "name")))
    if not part.id or part.id == WATCH.id:
        raise ValueError(f"a part with the id {part.id!r}")
    if one["state"] not in STATES:
        raise ValueError(f"state {one['state']} of {part.id}")
    cause, action, wanted = (_text(one.get(key)) for key in ("cause", "action", "wanted"))
    return Seen(part, one["state"], cause, action, wanted, int(one.get("tries") or 0))


def _text(value: object) -> str:
    """One line of text; empty for null."""
    return " ".join(str(value).split()) if value is not None else ""
