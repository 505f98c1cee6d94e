# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of a cloud as hosts of an inventory, and its last answer for when it has none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import (
    MARK,
    Names,
    hold_in,
)


def in_order(servers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """By name. Nova lists the newest first: the first host of a group would change with each."""
    return sorted(servers, key=lambda server: (server["name"], server["id"]))


def host_variables(
    server: Mapping[str, Any], floating: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The variables of a host. An address of version 4 is preferred.

    C(floating): C(address), C(description) and C(device) of the project's floating addresses. The
    device is a server's id, empty if it is attached to nothing, and none if the cloud says nothing.
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
        "openstack_holds": list(_holds(server, floating)),
    }


def _holds(
    server: Mapping[str, Any], floating: Iterable[Mapping[str, Any]]
) -> Iterator[dict[str, str]]:
    """The addresses of other machines that are held at a server."""
    platform = (server.get("metadata") or {}).get(MARK)
    for one in floating:
        hold = hold_in(one["description"])
        if hold and (hold.platform, hold.machine) == (platform, server["name"]):
            owner = Names(hold.platform).machine_of(one["description"])
            yield {
                "address": one["address"], "of": owner, "at": hold.machine, "since": hold.since,
            }  # fmt: skip


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
