# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages' queries cost with their indexes and without, as data, Markdown and SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from statistics import median
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.database.plan import quote

# How the queries are run: as the database would without secondary indexes, and as it does.
WITHOUT, WITH = "without", "with"
SWITCHES = ("enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan")


class ReportError(ValueError):
    """A measurement that no report can be made from."""


@dataclass(frozen=True)
class Query:
    """A query of the pages. C(fixed) is the column that it fixes, with values of C(sample)."""

    name: str
    page: str
    table: str
    columns: tuple[str, ...]
    fixed: str = ""
    order: str = ""
    limit: int = 0

    def template(self, schema: str, columns: Iterable[str]) -> str:
        """The query with C(%L) in the place of the fixed value, of the columns that are there."""
        present = set(columns)
        shown = [quote(name) for name in self.columns if name in present]
        names = ", ".join(shown) or "*"
        text = f"select {names} from {quote(schema)}.{quote(self.table)}"  # noqa: S608  (quoted)
        text = text.replace("%", "%%")
        text += f" where {quote(self.fixed)} = %L" if self.fixed else ""
        text += f" order by {self.order}" if self.order else ""
        return text + (f" limit {self.limit}" if self.limit else "")

    @property
    def needs(self) -> set[str]:
        """Columns without which the query cannot be asked."""
        return {name for name in (self.fixed, self.order.partition(" ")[0]) if name}


POST = ("postid", "text", "postdate", "image")
PAGES = (
    Query(
        "newest users",
        "front page",
        "users",
        ("userid", "name", "status", "posts", "comments", "lastpostdate", "picture"),
        order="lastpostdate desc",
        limit=50,
    ),
    Query("latest post of a user", "front page", "posts", POST, "userid", "postdate desc", 1),
    Query("all posts of a user", "profile", "posts", POST, "userid", "postdate desc"),
    Query(
        "comments of a post",
        "profile",
        "comments",
        ("userid", "text", "postdate"),
        "postid",
        "postdate asc",
    ),
    Query("a picture", "picture", "pictures", ("picture",), "pictureid"),
)


def samples(
    tables: Mapping[str, Mapping[str, Any]], schema: str, runs: int
) -> list[dict[str, str]]:
    """For each query that the tables allow, one that makes its statements, C(runs) at most.

    The values are those of different rows, so that no run finds just what the one before has read.
    """
    found = []
    for query in PAGES:
        columns = tables.get(query.table, {}).get("columns", {})
        if not query.needs <= set(columns):
            continue
        text = query.template(schema, columns).replace("'", "''")
        sql = f"select format('{text}', value) as statement from "  # noqa: S608  (quoted)
        if query.fixed:
            column, table = quote(query.fixed), f"{quote(schema)}.{quote(query.table)}"
            some = f"select {column} from {table} limit {runs * 200}"  # noqa: S608  (quoted)
            sql += f"(select distinct {column} as value from ({some}) as early"  # noqa: S608
            sql += f" where {column} is not null limit {runs}) as sampled"
        else:
            sql += f"generate_series(1, {runs}) as sampled (value)"
        found.append({"name": query.name, "page": query.page, "sql": sql})
    return found


def measurement(statements: Sequence[str], how: str, timeout: int) -> list[str]:
    """What to send in one transaction: settings, a run to warm up, and the runs that count."""
    if how not in (WITHOUT, WITH):
        raise ReportError(f"queries are measured {WITHOUT} or {WITH} indexes, not {how}.")
    settings = [f"set local statement_timeout = '{timeout}s'", "set local jit = off"]
    if how == WITHOUT:
        settings += [f"set local {name} = off" for name in SWITCHES]
    runs = [*statements[:1], *statements]
    return settings + [f"explain (analyze, buffers, timing off, format json) {q}" for q in runs]


@dataclass(frozen=True)
class Row:
    """A query in the report: median milliseconds, pages read, what the plan does."""

    query: str
    page: str
    how: str
    runs: int
    milliseconds: float | None
    blocks: float | None
    plan: str
    statement: str


def read(
    name: str, page: str, how: str, statement: str, results: Iterable[Any], timeout: int
) -> Row:
    """A row from what the database answered. No answers: a run took longer than it may."""
    plans = [rows[0]["QUERY PLAN"][0] for rows in results if rows and "QUERY PLAN" in rows[0]]
    counted = plans[1:]
    if not counted:
        return Row(name, page, how, 0, None, None, f"more than {timeout} s, given up", statement)
    return Row(
        query=name,
        page=page,
        how=how,
        runs=len(counted),
        milliseconds=round(median(float(plan["Execution Time"]) for plan in counted), 3),
        blocks=median(
            plan["Plan"].get("Shared Hit Blocks", 0) + plan["Plan"].get("Shared Read Blocks", 0)
            for plan in counted
        ),
        plan=shape(counted[0]["Plan"]),
        statement=statement,
    )


def shape(plan: Mapping[str, Any]) -> str:
    """A plan in a few words, from its leaf to its root."""
    words = str(plan["Node Type"])
    if "Index Name" in plan:
        words += f" {plan['Index Name']}"
    below = [shape(child) for child in plan.get("Plans", [])]
    return " → ".join([" + ".join(below), words]) if below else words


def faster(rows: Sequence[Row], query: str) -> float | None:
    """How many times faster the query is with its index."""
    took = {row.how: row.milliseconds for row in rows if row.query == query}
    before, after = took.get(WITHOUT), took.get(WITH)
    return before / after if before and after else None


def in_milliseconds(value: float | None) -> str:
    """A duration for people."""
    if value is None:
        return "?"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def markdown(rows: Sequence[Row], facts: Mapping[str, Any]) -> str:
    """The report for people."""
    lines = [
        "# The pages' queries, with their indexes and without",
        "",
        f"{facts['engine']} {facts['version']}, database {facts['database']}, {facts['date']}.",
        "Medians of the database's own execution times. *Without* is the same database with index"
        " scans switched off for the measuring session.",
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


def report(rows: Sequence[Row], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The report as data (C(json)), C(markdown) and C(svg)."""
    data = {
        **facts,
        "rows": [asdict(row) for row in rows],
        "faster": {row.query: faster(rows, row.query) for row in rows if row.how == WITH},
    }
    return {"json": data, "markdown": markdown(rows, facts), "svg": svg(rows)}
