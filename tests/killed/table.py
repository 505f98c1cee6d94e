"""The results as a page of the documentation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from tests.support.paths import ROOT

RESULTS = ROOT / "build/killed"
PAGE = ROOT / "docs/killed.md"
BEGIN = "<!-- Written by python -m tests.killed write -->\n"


def say(text: str) -> None:
    """Print it at once."""
    print(datetime.now(timezone.utc).strftime("%H:%M:%S"), text, flush=True)


@dataclass(frozen=True)
class Row:
    """A task after whose change runs were killed: how often, before how many tasks that was."""

    task: str
    kills: int = 0
    tasks: int = 0
    repaired: int = 0

    def plus(self, tasks: int, repaired: bool) -> Row:
        """One kill more."""
        return Row(self.task, self.kills + 1, self.tasks + tasks, self.repaired + repaired)


@dataclass(frozen=True)
class Result:
    """What became of a subject, of C(changes) that can be tried. C(before) are the tasks before."""

    name: str
    date: str
    minutes: int
    changes: int
    before: int
    rows: Sequence[Row]

    def save(self) -> None:
        """Into the file of this subject."""
        path = RESULTS / f"{self.name}.json"
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Result:
        """From such a file."""
        data = json.loads(path.read_text())
        return cls(**{**data, "rows": [Row(**row) for row in data["rows"]]})


def total(rows: Iterable[Row]) -> Row:
    """Their sum."""
    rows = list(rows)
    return Row(
        "all",
        sum(row.kills for row in rows),
        sum(row.tasks for row in rows),
        sum(row.repaired for row in rows),
    )


def table(result: Result) -> str:
    """One subject in Markdown."""
    lines = [
        "| killed after a change of | kills | stand for tasks | repaired |",
        "|---|--:|--:|---|",
    ]
    for row in result.rows:
        good = row.kills == row.repaired
        repaired = "yes" if good else f"**{row.kills - row.repaired} not**"
        lines.append(f"| {row.task} | {row.kills} | {row.tasks} | {repaired} |")
    return "\n".join(lines)


def page(results: Sequence[Result]) -> str:
    """All subjects."""
    sums = [(result, total(result.rows)) for result in results]
    lines = [
        "| subject | date | minutes | changes | kills | repaired | stand for tasks |",
        "|---|---|--:|--:|--:|--:|--:|",
        *(
            f"| [{result.name}](#{result.name}) | {result.date} | {result.minutes}"
            f" | {result.changes} | {row.kills}"
            f" | {row.repaired} | {row.tasks + result.before} |"
            for result, row in sums
        ),
    ]
    parts = ["\n".join(lines)]
    for result, _ in sums:
        parts.append(f"### {result.name}")
        parts.append(
            f"Nothing had changed before the first {result.before} tasks: a run after that is the"
            " undisturbed one itself."
        )
        parts.append(table(result))
    return "\n\n".join(parts) + "\n"


def write(results: Sequence[Result]) -> None:
    """Replace the tables of the page."""
    text = PAGE.read_text().partition(BEGIN)[0]
    PAGE.write_text(text + BEGIN + "\n" + page(results))
