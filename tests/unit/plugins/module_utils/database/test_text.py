"""Figures and tables as text."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.database.text import (
    describe,
    in_bytes,
    outcome,
)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (8192, "8.0 kB"), (36 << 20, "36 MB"), (5000 << 30, "5000 GB")],
)
def test_sizes(size: int, text: str) -> None:
    assert in_bytes(size) == text


@pytest.mark.parametrize(
    ("age", "rows", "kind", "text"),
    [
        (90, 5, "character varying", "about 5 rows, ids are text, analyzed 90 s ago"),
        (7000, 5, "bigint", "about 5 rows, ids are bigint, analyzed 117 min ago"),
        (90000, 5, "text", "ids are text, analyzed 25 h ago"),
        (900000, 5, "text", "analyzed 10 days ago"),
        (None, -1, "text", "an unknown number of rows, ids are text, never analyzed"),
        (None, 7, "text", "age of the statistics unknown"),
    ],
)
def test_tables_are_described(age: float | None, rows: int, kind: str, text: str) -> None:
    columns = {"userid": {"type": kind, "width": 8}, "name": {"type": "x", "width": 8}}
    line = describe("users", {"columns": columns, "rows": rows, "size": 1, "analyzed_seconds": age})
    assert line.startswith("users: 1 bytes, ")
    assert text in line


def test_outcome() -> None:
    done = {"action": "create", "index": "i", "table": "t", "seconds": 2.04, "size": 1 << 20}
    assert outcome({**done, "tries": 2}, 2 << 20) == (
        "create i: 2.0 s in 2 tries, 1.0 MB (expected about 2.0 MB)"
    )
    assert outcome({**done, "tries": 0}).endswith("another session had done it in the meantime")
