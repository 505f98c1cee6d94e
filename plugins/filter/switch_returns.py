# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that says how a failed switch is taken back on all load balancers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def switch_returns(
    results: Iterable[Mapping[str, Any]], hosts: Iterable[str], rollback: bool = False
) -> list[dict[str, Any]]:
    """One step for the frontends of a host that return to the same backend.

    By the record where the switch made one, since a switch back would be recorded as well.
    """
    steps: dict[tuple[str, str, bool], list[str]] = {}
    for host, result in zip(hosts, results):
        for one in result.get("frontends") or []:
            before = one["previous_backend"]
            if one["changed"] and before is not None:
                recorded = not rollback and before != one["backend"]
                steps.setdefault((host, before, recorded), []).append(one["name"])
    return [
        {"host": host, "backend": backend, "rollback": recorded, "frontends": frontends}
        for (host, backend, recorded), frontends in steps.items()
    ]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"switch_returns": switch_returns}
