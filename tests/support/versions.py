"""Tests on other versions of a server than this machine's, for a table of the documentation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.support.paths import ROOT


def output(*words: str, **more: object) -> str:
    """A program's output; its failure ends the run."""
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, **more)  # type: ignore[call-overload]
    return str(done.stdout)


@dataclass
class Versions:
    """Versions of C(server), and what became of C(tests) on each."""

    server: str
    tests: str
    rows: list[str] = field(default_factory=list)
    failed: bool = False

    def test(self, version: str, options: Sequence[str], **environment: str) -> None:
        """Run the tests on one of them."""
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", self.tests, *options],
            cwd=ROOT,
            env={**os.environ, **environment},
            check=False,
            stdout=subprocess.PIPE,
            text=True,
        )
        outcome = done.stdout.strip().splitlines()[-1].strip("= ")
        self.rows.append(f"| {version} | {re.sub(r' in .*', '', outcome)} |")
        self.failed = self.failed or done.returncode != 0
        print(done.stdout if done.returncode else f"{version}: {outcome}", flush=True)

    def end(self) -> int:
        """Print the table; 1 if a version failed."""
        print("\n".join(["", f"| {self.server} | tests |", "|---|---|", *self.rows]))
        return int(self.failed)
