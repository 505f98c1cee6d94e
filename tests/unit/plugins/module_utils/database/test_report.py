"""The report and its chart."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.query_report import query_report
from ansible_collections.bookface.platform.plugins.module_utils.database.chart import svg
from ansible_collections.bookface.platform.plugins.module_utils.database.queries import read

from .test_queries import answer

FACTS = {"engine": "postgresql", "version": "15", "database": "bf", "date": "today", "tables": []}


def measured(how: str, *plans: dict[str, Any]) -> dict[str, Any]:
    """A measurement as the module query_measure returns it."""
    return asdict(read("a <picture>", "picture", how, "select 1", plans, 60))


def test_report() -> None:
    both = [
        measured("without", answer(1), answer(40.0)),
        measured("with", answer(1), answer(0.5, "Index Scan")),
    ]
    made = query_report(both, FACTS)
    assert made["json"]["faster"] == {"a <picture>": 80.0}
    assert "| picture | a <picture> | 40.0 | 0.50 | 80.0 | 4 | 4 | Index Scan |" in made["markdown"]
    assert ElementTree.fromstring(made["svg"]).tag.endswith("svg")  # noqa: S314  (our own)


def test_query_that_took_too_long() -> None:
    both = [measured("without"), measured("with", answer(1), answer(0.5))]
    made = query_report(both, FACTS)
    assert made["json"]["faster"] == {"a <picture>": None}
    assert "more than 60 s, given up" in made["markdown"]
    assert "more than 60 s" in made["svg"]


def test_chart_without_any_figure() -> None:
    rows = [read("q", "p", how, "s", [], 60) for how in ("with", "without")]
    assert ElementTree.fromstring(svg(rows)).tag.endswith("svg")  # noqa: S314  (our own)


def test_what_is_no_measurement_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="expected measurements"):
        query_report([{"query": "q"}], FACTS)
