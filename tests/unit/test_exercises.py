"""How the exercises' text is read and compared, and that both languages give the same commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e import exercises
from tests.support.paths import ROOT


def test_commands_are_read_with_their_output(tmp_path: Path) -> None:
    document = tmp_path / "x.md"
    document.write_text(
        "# Top\n\n## One\n\n```console\n$ echo a\na\ndocker1# # no heading\nb\nc\n```\n\n"
        "```yaml\n$ not: this\n```\n\n## Two\n\n"
        "```console\n# not run: it takes an hour\n$ wait\n```\n"
    )
    found = exercises.commands(document)
    assert [(c.section, c.machine, c.command, c.output) for c in found] == [
        ("One", "", "echo a", "a\n"),
        ("One", "docker1", "# no heading", "b\nc\n"),
        ("Two", "", "wait", ""),
    ]
    assert found[2].why_not == "it takes an hour"


@pytest.mark.parametrize(
    ("expected", "seen", "same"),
    [
        ("a b", "a    b\n", True),
        ("a", "b", False),
        ("a", "a\nb", False),
        ("Up ... minutes", "Up 3 minutes", True),
        ("Up ... minutes", "Down 3 minutes", False),
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("a\n...\nd", "a\nd", True),
        ("a\n...\nd", "a\nb\nc", False),
        ("...", "", True),
        ("", "", True),
        ("", "a", False),
        ("a.c", "abc", False),
    ],
)
def test_comparison(expected: str, seen: str, same: bool) -> None:
    assert exercises.agree(expected, seen) is same


def test_both_languages_give_the_same_commands() -> None:
    english, norwegian = (
        [(c.machine, c.command, c.output) for c in exercises.commands(ROOT / "docs" / name)]
        for name in ("exercises.md", "no/oppgaver.md")
    )
    assert english
    assert norwegian == english
