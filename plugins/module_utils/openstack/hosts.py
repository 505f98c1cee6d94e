# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of a cloud as hosts of an inventory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def in_order(servers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """By name. Nova lists the newest first: the first host of a group would change with each."""
    return sorted(servers, key=lambda server: (server["name"], server["id"]))


def host_variables(server: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of a host. An address of version 4 is preferred."""
    entries = [entry for entries in (server["addresses"] or {}).values() for entry in entries]

    def first(kind: str) -> str:
        found = [entry for entry in entries if entry.get("OS-EXT-IPS:type") == kind]
        return str(min(found, key=lambda entry: entry["version"])["addr"]) if found else ""

    return {
        "openstack": dict(server),
        "bookface_address": first("fixed"),
        "openstack_floating_address": first("floating"),
    }
