# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages' queries: what to send to measure them, and what the answers say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.database.dialects import quote

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
