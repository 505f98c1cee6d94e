"""A bench run for real in little. Its figures are nobody's business here."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]

Quick = Callable[[str, set[str], set[str], set[str]], dict[str, dict[str, Any]]]


@pytest.fixture
def quick(tmp_path: Path) -> Quick:
    """Runs a bench and checks what it writes: its name, the versions it names, and the rows that
    are judged and those that only tell. Returns the rows by what they are of."""

    def run(
        name: str, versions: set[str], judged: set[str], told: set[str]
    ) -> dict[str, dict[str, Any]]:
        output = tmp_path / f"{name}.json"
        done = subprocess.run(
            [sys.executable, "-m", f"bench.{name}", "--quick", "--output", str(output)],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        written = json.loads(output.read_text())
        assert list(written) == ["date", "commit", "machine", "versions", "rows"]
        assert set(written["versions"]) == versions
        rows = {row["what"]: row for row in written["rows"]}
        assert set(rows) == judged | told
        assert len(written["rows"]) == len(rows)
        for what, row in rows.items():
            assert set(row) == {"what", "ours", "other", "unit", "ratio", "target", "met"}, what
            assert math.isfinite(row["ours"]), what
            assert (row["target"] is not None) == (row["met"] is not None) == (what in judged), what
            assert what in done.stdout
        return rows

    return run
