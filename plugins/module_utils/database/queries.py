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

# How the queries are measured: as the database would run them without indexes, and as it does.
WITHOUT, WITH = "without", "with"
EXPLAIN = "explain (analyze, buffers, timing off, format json)"
SWITCHES = ("enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan")


@dataclass(frozen=True)
class Query:
    """A query of the pages. C(fixed) is the column that it fixes to a value.

    C(limit) is a number of rows, or FRONTPAGE: as many as the site shows users.
    """

    name: str
    page: str
    table: str
    columns: tuple[str, ...]
    fixed: str = ""
    order: str = ""
    limit: int = 0

    def template(self, schema: str, columns: Iterable[str], frontpage_limit: int) -> str:
        """The query on the columns that exist, with C(%L) in place of the fixed value."""
        present = set(columns)
        shown = [quote(name) for name in self.columns if name in present]
        names = ", ".join(shown) or "*"
        text = f"select {names} from {quote(schema)}.{quote(self.table)}"  # noqa: S608  (quoted)
        text = text.replace("%", "%%")
        text += f" where {quote(self.fixed)} = %L" if self.fixed else ""
        text += f" order by {self.order}" if self.order else ""
        limit = frontpage_limit if self.limit == FRONTPAGE else self.limit
        return text + (f" limit {limit}" if limit else "")

    @property
    def needs(self) -> set[str]:
        """Columns that the query requires."""
        return {name for name in (self.fixed, self.order.partition(" ")[0]) if name}


FRONTPAGE = -1
POST = ("postid", "text", "postdate", "image")
PAGES = (
    Query(
        "newest users",
        "front page",
        "users",
        ("userid", "name", "status", "posts", "comments", "lastpostdate", "picture"),
        order="lastpostdate desc",
        limit=FRONTPAGE,
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
    tables: Mapping[str, Mapping[str, Any]], schema: str, runs: int, frontpage_limit: int
) -> list[dict[str, str]]:
    """For each query that the tables allow, one that returns its statements, at most C(runs).

    C(frontpage_limit) is the number of users on the front page.
    The values come from different rows, so that no run finds just what the previous one has read.
    """
    found = []
    for query in PAGES:
        columns = tables.get(query.table, {}).get("columns", {})
        if not query.needs <= set(columns):
            continue
        text = query.template(schema, columns, frontpage_limit).replace("'", "''")
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


def settings(how: str, timeout: int) -> list[str]:
    """The settings of a transaction that measures C(how), WITH or WITHOUT indexes."""
    made = [f"set local statement_timeout = '{timeout}s'", "set local jit = off"]
    return made + [f"set local {name} = off" for name in SWITCHES if how == WITHOUT]


@dataclass(frozen=True)
class Row:
    """A measured query: median milliseconds, median pages read, what the plan does."""

    query: str
    page: str
    how: str
    runs: int
    milliseconds: float | None
    blocks: float | None
    plan: str
    statement: str


def read(
    name: str, page: str, how: str, statement: str, plans: Sequence[Mapping[str, Any]], timeout: int
) -> Row:
    """A row from the plans of all runs; the first one does not count. None: the query timed out."""
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
    """A plan in a few words, from its leaves to its root."""
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
