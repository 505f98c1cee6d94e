"""Measurements of queries, from answers as PostgreSQL 15 gives them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.database.queries import (
    ReportError,
    measurement,
    read,
    samples,
    shape,
)

TABLES = {
    "users": {"columns": dict.fromkeys(["userid", "name", "lastpostdate"])},
    "posts": {"columns": dict.fromkeys(["postid", "userid", "text", "postdate"])},
}


def answer(milliseconds: float, node: str = "Seq Scan") -> list[dict[str, Any]]:
    plan = {"Node Type": node, "Shared Hit Blocks": 3, "Shared Read Blocks": 1}
    return [{"QUERY PLAN": [{"Plan": plan, "Execution Time": milliseconds}]}]


def test_queries_that_the_tables_do_not_allow_are_left_out() -> None:
    names = [sample["name"] for sample in samples(TABLES, "public", 5)]
    assert names == ["newest users", "latest post of a user", "all posts of a user"]
    older = {"posts": {"columns": dict.fromkeys(["postid", "userid"])}}
    assert samples(older, "public", 5) == []


def test_columns_that_are_missing_are_not_asked_for() -> None:
    sql = samples(TABLES, "it's", 5)[1]["sql"]
    assert 'select "postid", "text", "postdate" from "it\'\'s"."posts"' in sql
    assert 'where "userid" = %L order by postdate desc limit 1' in sql


def test_measurement_warms_up_and_switches_index_scans_off() -> None:
    sent = measurement(["a", "b"], "without", 7)
    assert "set local statement_timeout = '7s'" in sent
    assert "set local enable_bitmapscan = off" in sent
    assert [line.rpartition(" ")[2] for line in sent[-3:]] == ["a", "a", "b"]
    assert not [line for line in measurement(["a"], "with", 7) if "enable" in line]
    with pytest.raises(ReportError, match="not maybe"):
        measurement([], "maybe", 7)


def test_first_run_does_not_count() -> None:
    answers = [answer(900), answer(3), answer(1), answer(2)]
    row = read("q", "p", "with", "s", [[{}], *answers], 60)
    assert (row.runs, row.milliseconds, row.blocks) == (3, 2, 4)


def test_shape_of_a_plan() -> None:
    scan = {"Node Type": "Index Scan", "Index Name": "i"}
    assert shape({"Node Type": "Limit", "Plans": [scan]}) == "Index Scan i → Limit"
