# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of a cloud as hosts of an inventory, and its last answer for when it has none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import (
    MARK,
    Names,
    hold_in,
)


def in_order(servers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """By name. Nova lists the newest first: the first host of a group would change with each."""
    return sorted(servers, key=lambda server: (server["name"], server["id"]))


def holds(addresses: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """The floating addresses that are held at a machine. C(addresses): each and its description."""
    return [
        {
            "platform": hold.platform,
            "at": hold.machine,
            "address": address,
            "of": Names(hold.platform).machine_of(description),
            "since": hold.since,
        }
        for address, description in addresses
        if (hold := hold_in(description))
    ]


def host_variables(
    server: Mapping[str, Any], held: Iterable[Mapping[str, str]] = ()
) -> dict[str, Any]:
    """The variables of a host. An address of version 4 is preferred. C(held): from holds()."""
    entries = [entry for entries in (server["addresses"] or {}).values() for entry in entries]

    def first(kind: str) -> str:
        found = [entry for entry in entries if entry.get("OS-EXT-IPS:type") == kind]
        return str(min(found, key=lambda entry: entry["version"])["addr"]) if found else ""

    here = ((server.get("metadata") or {}).get(MARK), server["name"])
    return {
        "openstack": dict(server),
        "bookface_address": first("fixed"),
        "openstack_floating_address": first("floating"),
        "openstack_holds": [
            {key: one[key] for key in ("address", "of", "at", "since")}
            for one in held
            if (one["platform"], one["at"]) == here
        ],
    }


def kept(question: Mapping[str, Any], answer: Mapping[str, Any], now: float) -> dict[str, Any]:
    """An answer of the cloud, to be used when it does not answer."""
    return {"question": dict(question), "answer": dict(answer), "time": int(now)}


def age(entry: object, question: Mapping[str, Any], now: float) -> int | None:
    """How many seconds old a kept answer is, or none if it is no answer to this question."""
    if not isinstance(entry, Mapping) or entry.get("question") != question:
        return None
    time = entry.get("time")
    if not isinstance(time, int) or not isinstance(entry.get("answer"), Mapping):
        return None
    # A clock that was set back makes no answer new: 0 means that the cloud has answered.
    return max(1, int(now) - time)


def duration(seconds: int) -> str:
    """Seconds for people."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}s"
    return f"{seconds} seconds"
