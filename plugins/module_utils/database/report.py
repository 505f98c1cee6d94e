# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages' queries cost with and without indexes, as data, Markdown and SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.database.chart import svg
from ansible_collections.bookface.platform.plugins.module_utils.database.queries import (
    WITH,
    WITHOUT,
    Row,
    faster,
)
from ansible_collections.bookface.platform.plugins.module_utils.database.text import in_milliseconds


def markdown(rows: Sequence[Row], facts: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    lines = [
        "# The pages' queries, with and without indexes",
        "",
        f"{facts['engine']} {facts['version']}, database {facts['database']}, {facts['date']}.",
        "Medians of the database's own execution times. *Without* is the same database with index"
        " scans disabled for the measuring transaction.",
        "",
        *(f"- {line}" for line in facts["tables"]),
        "",
        "| page | query | without, ms | with, ms | times faster | pages read without | with"
        " | plan |",
        "|---|---|---|---|---|---|---|---|",
    ]
    names = list(dict.fromkeys(row.query for row in rows))
    for name in names:
        pair = {row.how: row for row in rows if row.query == name}
        without, now = pair[WITHOUT], pair[WITH]
        ratio = faster(rows, name)
        cells = [
            now.page,
            name,
            in_milliseconds(without.milliseconds),
            in_milliseconds(now.milliseconds),
            f"{ratio:.1f}" if ratio else "?",
            "?" if without.blocks is None else f"{without.blocks:.0f}",
            "?" if now.blocks is None else f"{now.blocks:.0f}",
            now.plan,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "![chart](report.svg)", "", "## Plans", ""]
    for row in rows:
        lines.append(f"- {row.query}, {row.how}: {row.plan} ({row.runs} runs). `{row.statement}`")
    return "\n".join(lines) + "\n"


def report(rows: Sequence[Row], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The report as data (C(json)), C(markdown) and C(svg)."""
    data = {
        **facts,
        "rows": [asdict(row) for row in rows],
        "faster": {row.query: faster(rows, row.query) for row in rows if row.how == WITH},
    }
    return {"json": data, "markdown": markdown(rows, facts), "svg": svg(rows)}
