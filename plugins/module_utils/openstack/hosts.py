# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of a cloud as hosts of an inventory, and its last answer for when it has none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import (
    Names,
    hold_in,
)


def in_order(servers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """By name. Nova lists the newest first: the first host of a group would change with each."""
    return sorted(servers, key=lambda server: (server["name"], server["id"]))


def host_variables(
    server: Mapping[str, Any],
    floating: Sequence[Mapping[str, Any]] = (),
    held: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The variables of a host. An address of version 4 is preferred.

    C(floating): C(address), C(description) and C(device) of the project's floating addresses. The
    device is a server's id, empty if it is attached to nothing, and none if the cloud says nothing.
    C(held): from C(holds()).
    """
    entries = [entry for entries in (server["addresses"] or {}).values() for entry in entries]
    # Nova shows a moved address at its old server for a while, where Ansible would reach the new.
    mine = [one["address"] for one in floating if one["device"] == server["id"]]
    others = {one["address"] for one in floating if one["device"] not in (None, server["id"])}

    def first(kind: str) -> str:
        found = [entry for entry in entries if entry.get("OS-EXT-IPS:type") == kind]
        found = [entry for entry in found if entry["addr"] not in others]
        return str(min(found, key=lambda entry: entry["version"])["addr"]) if found else ""

    return {
        "openstack": dict(server),
        "bookface_address": first("fixed"),
        "openstack_floating_address": first("floating") or next(iter(mine), ""),
        "openstack_holds": [one for one in held if one["at"] == server["name"]],
    }


def holds(
    servers: Iterable[Mapping[str, Any]], floating: Iterable[Mapping[str, Any]], platform: str
) -> list[dict[str, Any]]:
    """The addresses that a platform holds: which, whose, at which machine, and since when.

    C(attached) is false if nobody has it. C(platform): empty if the inventory has those of all.
    """
    names = {one["id"]: one["name"] for one in servers}
    return [
        {
            "address": one["address"],
            "of": Names(hold.platform).machine_of(one["description"]),
            # A machine that was renamed still has it.
            "at": names.get(one["device"]) or hold.machine,
            "since": hold.since,
            "attached": one["device"] != "",
        }
        for one in floating
        if (hold := hold_in(one["description"])) and platform in ("", hold.platform)
    ]


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
