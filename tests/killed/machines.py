"""What machines are like after a run."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.errors import HarnessError
from tests.support.paths import ROOT
from tests.support.waiting import until

LOOK = (ROOT / "tests/killed/look.sh").read_text()
# Seconds until all is as an undisturbed run leaves it.
PATIENCE = 40


@dataclass(frozen=True)
class Machines:
    """Machines, and how to look at them.

    C(said) returns what a shell script prints on a machine, as root; C(look) is the script that
    prints everything that must be the same.
    """

    names: tuple[str, ...]
    said: Callable[[str, str], str]
    look: str = LOOK
    patience: float = PATIENCE

    def snapshot(self) -> str:
        """What all machines print."""
        return "\n".join(f"=== {one}\n{self.said(one, self.look)}" for one in self.names)

    def settled(self) -> str:
        """The same, once it is the same twice."""
        seen = [self.snapshot()]

        def again() -> bool:
            seen.append(self.snapshot())
            return seen[-1] == seen[-2]

        until(again, "the same twice", self.patience)
        return seen[-1]

    def differ(self, wanted: str) -> str:
        """How they still differ from what is wanted when patience ends; empty if they do not."""
        try:
            until(lambda: self.snapshot() == wanted, "the same", self.patience)
        except HarnessError:
            lines = wanted.splitlines(), self.snapshot().splitlines()
            return "\n".join(difflib.unified_diff(*lines, "wanted", "found", "", "", 1))
        return ""
