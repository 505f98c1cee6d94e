# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that makes the report of a switch from the results on all load balancers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

_KEPT = ("changed", "percent", "engine", "elapsed_ms", "servers")


def switch_report(results: Iterable[Mapping[str, Any]], hosts: Iterable[str]) -> dict[str, Any]:
    """By host, those that the module got as far as to name a backend."""
    return {
        host: {
            "before": result["previous_backend"],
            "after": result["backend"],
            **{name: result[name] for name in _KEPT},
        }
        for host, result in zip(hosts, results)
        if result.get("backend") is not None
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"switch_report": switch_report}
