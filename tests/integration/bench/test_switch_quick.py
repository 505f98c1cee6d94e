"""The bench of the switch, run for real in little. Its figures are nobody's business here."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
JUDGED = {
    "runtime: failed requests",
    "runtime: ms until the last request started towards the old backend",
    "runtime: p99 during / before",
    "runtime: module time / (haproxy -c + one socket round trip)",
    "runtime: long downloads cut",
    "target dies 2 s after the switch: failed of 15,000",
    "target dies 2 s after the switch: writes received twice",
    "reload: failed requests",
}
TOLD = {
    f"{way}, {backends} backends: {figure}"
    for way in ("stop/start", "lineinfile", "reload", "runtime")
    for backends in (2, 1000)
    for figure in (
        "failed requests",
        "outage",
        "until the last request started towards the old backend",
        "long downloads cut",
    )
}


def test_quick_writes_every_row(tmp_path: Path) -> None:
    output = tmp_path / "switch.json"
    done = subprocess.run(
        [sys.executable, "bench/switch.py", "--quick", "--output", str(output)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(output.read_text())
    assert list(told) == ["date", "commit", "machine", "versions", "rows"]
    assert set(told["versions"]) == {"haproxy", "ansible-core", "python"}
    rows = {row["what"]: row for row in told["rows"]}
    assert set(rows) == JUDGED | TOLD
    assert len(told["rows"]) == len(rows)
    for what, row in rows.items():
        assert set(row) == {"what", "ours", "other", "unit", "ratio", "target", "met"}, what
        assert math.isfinite(row["ours"]), what
        assert (row["target"] is not None) == (row["met"] is not None) == (what in JUDGED), what
        assert what in done.stdout
    # Not a time, but what the bench exists for: it must see the loss where there is one.
    assert any(rows[f"stop/start, {size} backends: failed requests"]["ours"] for size in (2, 1000))
    assert rows["target dies 2 s after the switch: writes received twice"]["ours"] == 0
