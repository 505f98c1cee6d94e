# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes, durations, tables and outcomes as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def in_bytes(size: float) -> str:
    """A size for people."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(size) < 1024 or unit == "GB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if size >= 10 or unit == "bytes" else f"{size:.1f} {unit}"


def in_time(seconds: float) -> str:
    """A duration for people."""
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


def describe(name: str, data: Mapping[str, Any]) -> str:
    """A table of the catalogue as a line for people: size, rows, ids, age of the statistics."""
    rows, age = float(data["rows"]), data["analyzed_seconds"]
    kinds = {str(column["type"]) for key, column in data["columns"].items() if key.endswith("id")}
    ids = " and ".join(
        sorted({"text" if "char" in kind or kind == "text" else kind for kind in kinds})
    )
    parts = [in_bytes(int(data["size"] or 0))]
    parts.append(f"about {rows:.0f} rows" if rows >= 0 else "an unknown number of rows")
    parts.append(f"ids are {ids}" if ids else "no ids")
    if age is None:
        parts.append("never analyzed" if rows < 0 else "age of the statistics unknown")
    else:
        parts.append(f"analyzed {in_time(float(age))} ago")
    return f"{name}: {', '.join(parts)}"


def outcome(done: Mapping[str, Any], expected: int = 0) -> str:
    """An executed step as a line for people; C(expected) is its estimated size."""
    line = f"{done['action']} {done['index'] or done['table']}"
    if not done["tries"]:
        return f"{line}: another session had done it in the meantime"
    line += f": {done['seconds']:.1f} s"
    if done["tries"] > 1:
        line += f" in {done['tries']} tries"
    if done["size"]:
        line += f", {in_bytes(done['size'])}"
        line += f" (expected about {in_bytes(expected)})" if expected else ""
    return line


def in_milliseconds(value: float | None) -> str:
    """A duration for people."""
    if value is None:
        return "?"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
