"""Measurements of queries, from answers as PostgreSQL 15 gives them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.database.errors import DatabaseError
from ansible_collections.bookface.platform.plugins.module_utils.database.queries import (
    EXPLAIN,
    WITH,
    WITHOUT,
    read,
    samples,
    settings,
    shape,
)
from ansible_collections.bookface.platform.plugins.modules import query_measure

TABLES = {
    "users": {"columns": dict.fromkeys(["userid", "name", "lastpostdate"])},
    "posts": {"columns": dict.fromkeys(["postid", "userid", "text", "postdate"])},
}


def answer(milliseconds: float, node: str = "Seq Scan") -> dict[str, Any]:
    plan = {"Node Type": node, "Shared Hit Blocks": 3, "Shared Read Blocks": 1}
    return {"Plan": plan, "Execution Time": milliseconds}


def test_queries_that_the_tables_do_not_allow_are_left_out() -> None:
    names = [sample["name"] for sample in samples(TABLES, "public", 5, 10)]
    assert names == ["newest users", "latest post of a user", "all posts of a user"]
    older = {"posts": {"columns": dict.fromkeys(["postid", "userid"])}}
    assert samples(older, "public", 5, 10) == []


def test_columns_that_are_missing_are_not_asked_for() -> None:
    sql = samples(TABLES, "it's", 5, 10)[1]["sql"]
    assert 'select "postid", "text", "postdate" from "it\'\'s"."posts"' in sql
    assert 'where "userid" = %L order by postdate desc limit 1' in sql


def test_the_front_page_is_as_long_as_the_site_s() -> None:
    assert (
        'from "public"."users" order by lastpostdate desc limit 10'
        in (samples(TABLES, "public", 5, 10)[0]["sql"])
    )


def test_index_scans_are_disabled_for_measuring_without_indexes_only() -> None:
    sent = settings(WITHOUT, 7)
    assert "set local statement_timeout = '7s'" in sent
    assert "set local enable_bitmapscan = off" in sent
    assert not [line for line in settings(WITH, 7) if "enable" in line]


class Database:
    """Answers in order to EXPLAIN, and to nothing else."""

    def __init__(self, *answers: dict[str, Any] | DatabaseError) -> None:
        self.answers, self.sent = list(answers), list[str]()

    def ask(self, _connection: object, query: str, rows: bool = True) -> list[Any]:
        self.sent.append(query)
        if not rows:
            return []
        found = self.answers.pop(0)
        if isinstance(found, DatabaseError):
            raise found
        return [[[found]]]


def test_first_statement_runs_twice_in_a_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(answer(9), answer(1), answer(2))
    monkeypatch.setattr(query_measure.login, "ask", database.ask)
    plans = query_measure.measure(None, ["a", "b"], WITH, 7)
    assert plans == [answer(9), answer(1), answer(2)]
    assert database.sent[0] == "begin"
    assert database.sent[-4:] == [f"{EXPLAIN} {query}" for query in ("a", "a", "b")] + ["rollback"]


def test_query_that_takes_too_long_is_known_by_its_sqlstate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = DatabaseError("anything in any language", "statement_failed", "57014")
    database = Database(answer(9), late)
    monkeypatch.setattr(query_measure.login, "ask", database.ask)
    assert query_measure.measure(None, ["a"], WITH, 7) == []
    assert database.sent[-1] == "rollback"
    other = DatabaseError("statement timeout", "statement_failed", "42501")
    monkeypatch.setattr(query_measure.login, "ask", Database(other).ask)
    with pytest.raises(DatabaseError):
        query_measure.measure(None, ["a"], WITH, 7)


def test_first_run_does_not_count() -> None:
    plans = [answer(900), answer(3), answer(1), answer(2)]
    row = read("q", "p", WITH, "s", plans, 60)
    assert (row.runs, row.milliseconds, row.blocks) == (3, 2, 4)


def test_shape_of_a_plan() -> None:
    scan = {"Node Type": "Index Scan", "Index Name": "i"}
    assert shape({"Node Type": "Limit", "Plans": [scan]}) == "Index Scan i → Limit"
