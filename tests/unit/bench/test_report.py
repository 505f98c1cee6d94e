"""Rows, targets and the file that every bench writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.report import Row, commit, machine, spread, table, write
from tests.support.paths import ROOT


@pytest.mark.parametrize(
    ("ours", "other", "target", "ratio", "met"),
    [
        (1.0, 4.0, "<= 0.25", 0.25, True),
        (1.1, 4.0, "<= 0.25", 0.275, False),
        (8.0, 4.0, ">= 2", 2.0, True),
        (7.9, 4.0, ">= 2", 1.975, False),
        (0.0, None, "<= 0", None, True),
        (1.0, None, "<= 0", None, False),
        (0.0, 0.0, "<= 1", None, True),
        (1.0, 0.0, "<= 1", None, False),
        (3.0, 2.0, None, 1.5, None),
        (3.0, None, None, None, None),
    ],
)
def test_target(
    ours: float, other: float | None, target: str | None, ratio: float | None, met: bool | None
) -> None:
    told = Row("a thing", ours, "ms", other=other, target=target).as_dict()
    assert (told["ratio"], told["met"], told["target"]) == (ratio, met, target)


@pytest.mark.parametrize("target", ["0", "< 1", "<=1", "<= one", "<= 1.5x"])
def test_target_that_nobody_can_judge(target: str) -> None:
    with pytest.raises(ValueError, match=f"^a thing: expected .* or '>= NUMBER', got {target!r}$"):
        Row("a thing", 1, "ms", target=target)


def test_verdict_looks_at_the_exact_number() -> None:
    told = Row("a thing", 1.50001, "ms", target="<= 1.5").as_dict()
    assert (told["ours"], told["met"]) == (1.5, False)


def test_table() -> None:
    rows = [
        Row("short", 1.25, "ms", other=0.5, target="<= 2"),
        Row("a longer name", 1000, "requests"),
    ]
    assert table(rows).splitlines() == [
        "what           ours  other  ratio  unit      target",
        "short          1.25    0.5    2.5  ms        <= 2    MISSED",
        "a longer name  1000                requests",
    ]


def test_large_numbers_are_told_in_full() -> None:
    assert "123456.7" in table([Row("requests", 123456.7, "")])


def test_spread() -> None:
    assert spread([3.0, 1.0, 2.12345]) == "1-3 of 3"


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "results" / "some.json"
    write(path, "a machine", {"haproxy": "2.6"}, [Row("a thing", 1 / 3, "ms", target="<= 1")])
    told = json.loads(path.read_text())
    assert list(told) == ["date", "commit", "machine", "versions", "rows"]
    assert (told["machine"], told["versions"]) == ("a machine", {"haproxy": "2.6"})
    assert told["rows"] == [
        {
            "what": "a thing",
            "ours": 0.333,
            "other": None,
            "unit": "ms",
            "ratio": None,
            "target": "<= 1",
            "met": True,
        }
    ]


def test_machine_and_commit_tell_something() -> None:
    assert "CPUs (" in machine()
    assert "Linux" in machine()
    if (ROOT / ".git").exists():
        assert commit() != "unknown"
