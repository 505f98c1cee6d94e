# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from ansible_collections.bookface.platform.plugins.module_utils.database.queries import (
    WITH,
    WITHOUT,
    Row,
)
from ansible_collections.bookface.platform.plugins.module_utils.database.text import in_milliseconds


def svg(rows: Sequence[Row]) -> str:
    """Two bars for each query, milliseconds on a logarithmic scale."""
    names = list(dict.fromkeys(row.query for row in rows))
    took = [row.milliseconds for row in rows if row.milliseconds]
    low = math.floor(math.log10(min(took, default=0.1)))
    high = max(math.ceil(math.log10(max(took, default=1))), low + 1)
    left, width, step = 190, 430, 44
    height = 40 + step * len(names) + 30

    def x(value: float) -> float:
        return left + width * (math.log10(value) - low) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{height}"'
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="16">median ms, logarithmic:'
        ' <tspan fill="#b5523b">without</tspan> and <tspan fill="#2f6f9f">with</tspan>'
        " indexes</text>",
    ]
    for power in range(low, high + 1):
        place = x(10.0**power)
        parts.append(
            f'<line x1="{place:.1f}" y1="26" x2="{place:.1f}" y2="{height - 24}" stroke="#ddd"/>'
            f'<text x="{place:.1f}" y="{height - 8}" text-anchor="middle">{10.0**power:g}</text>'
        )
    for number, name in enumerate(names):
        top = 36 + step * number
        parts.append(f'<text x="{left - 8}" y="{top + 20}" text-anchor="end">{escape(name)}</text>')
        for offset, how, colour in ((0, WITHOUT, "#b5523b"), (17, WITH, "#2f6f9f")):
            row = next(row for row in rows if row.query == name and row.how == how)
            long = x(row.milliseconds) - left if row.milliseconds else width
            label = in_milliseconds(row.milliseconds) if row.milliseconds else row.plan
            long = max(long, 2)
            parts.append(
                f'<rect x="{left}" y="{top + offset}" width="{long:.1f}" height="15"'
                f' fill="{colour}"/><text x="{left + long + 5:.1f}" y="{top + offset + 12}">'
                f"{escape(label)}</text>"
            )
    return "\n".join([*parts, "</svg>", ""])
