"""The report, from answers as PostgreSQL 15 gives them."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.bookface.platform.plugins.filter.query_report import query_report
from ansible_collections.bookface.platform.plugins.module_utils.database.report import (
    ReportError,
    measurement,
    read,
    samples,
    shape,
    svg,
)

TABLES = {
    "users": {"columns": dict.fromkeys(["userid", "name", "lastpostdate"])},
    "posts": {"columns": dict.fromkeys(["postid", "userid", "text", "postdate"])},
}
FACTS = {"engine": "postgresql", "version": "15", "database": "bf", "date": "today", "tables": []}


def answer(milliseconds: float, node: str = "Seq Scan") -> list[dict[str, Any]]:
    plan = {"Node Type": node, "Shared Hit Blocks": 3, "Shared Read Blocks": 1}
    return [{"QUERY PLAN": [{"Plan": plan, "Execution Time": milliseconds}]}]


def measured(how: str, *answers: list[dict[str, Any]]) -> dict[str, Any]:
    sample = {
        "item": {"name": "a <picture>", "page": "picture"},
        "query_result": [{"statement": "select 1"}],
    }
    return {"item": [sample, how], "query_all_results": [[{}], *answers]}


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


def test_report() -> None:
    both = [
        measured("without", answer(1), answer(40.0)),
        measured("with", answer(1), answer(0.5, "Index Scan")),
    ]
    made = query_report(both, FACTS, 60)
    assert made["json"]["faster"] == {"a <picture>": 80.0}
    assert "| picture | a <picture> | 40.0 | 0.50 | 80.0 | 4 | 4 | Index Scan |" in made["markdown"]
    assert ElementTree.fromstring(made["svg"]).tag.endswith("svg")  # noqa: S314  (our own)


def test_query_that_took_too_long() -> None:
    both = [measured("without"), measured("with", answer(1), answer(0.5))]
    made = query_report(both, FACTS, 60)
    assert made["json"]["faster"] == {"a <picture>": None}
    assert "more than 60 s, given up" in made["markdown"]
    assert "more than 60 s" in made["svg"]


def test_chart_without_any_figure() -> None:
    rows = [read("q", "p", how, "s", [], 60) for how in ("with", "without")]
    assert ElementTree.fromstring(svg(rows)).tag.endswith("svg")  # noqa: S314  (our own)
