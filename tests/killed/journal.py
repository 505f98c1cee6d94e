"""What an undisturbed run does, task by task."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Change:
    """A change of an undisturbed run: the task that made it, and how many begin before the next."""

    task: str
    tasks: int


@dataclass(frozen=True)
class Journal:
    """An undisturbed run: the tasks before its first change, and its changes."""

    before: int
    changes: tuple[Change, ...]

    @classmethod
    def read(cls, path: Path) -> Journal:
        """From what the plugin kill_at has written."""
        names: list[str] = []
        tasks = [0]
        for event in map(json.loads, path.read_text().splitlines()):
            if "change" in event:
                names.append(event["task"])
                tasks.append(0)
            else:
                tasks[-1] += 1
        return cls(tasks[0], tuple(Change(*one) for one in zip(names, tasks[1:], strict=True)))
