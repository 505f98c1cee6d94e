# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that says whom a load balancer follows which a switch has left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def switch_leaders(
    theirs: Iterable[Mapping[str, Any]], own: Iterable[Mapping[str, Any]]
) -> list[str]:
    """The hosts that have left out this one, by results of C(stat); the last switch first.

    Not one that this one has left out since: then that one follows.
    """
    noted, answered = _noted(theirs), _noted(own)
    leaders = [host for host, time in noted.items() if time > answered.get(host, 0)]
    return sorted(leaders, key=lambda host: -noted[host])


def _noted(results: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    found = {one["item"]: one.get("stat", {}) for one in results}
    return {host: stat["mtime"] for host, stat in found.items() if stat.get("exists")}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"switch_leaders": switch_leaders}
