"""The bench of the database, run for real in little. Its figures are nobody's business here."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
JUDGED = {
    "sequential scans in the application's statements, indexed, other than count/random",
    'buffers read by "latest post of a user", L',
    "indexed front page statements L / S, time",
    "front 50, L, all levers: CPU / static page of the same size",
    "picture with pooler: requests/s / without",
    "expiry second, 32 clients, L: p95 / warm p95",
    "posts per second indexed / stock",
    "longest stall of a writer during the build, L",
    "seconds until a new post shows on the front page, all levers",
}
TOWNS = ("S", "L")
TOLD = {"expiry second, 32 clients, L, memcached alone: p95 / warm p95"}
TOLD |= {
    f"{town}: {statement}, indexed"
    for town in TOWNS
    for statement in (
        "latest post of a user",
        "posts of a user",
        "comments of a post",
        "picture",
    )
}
TOLD |= {
    f"{town}, {page}: {way}"
    for town in TOWNS
    for page in ("front 50", "picture")
    for way in ("stock", "indexed", "memcached", "pooler", "all levers")
}


def test_quick_writes_every_row(tmp_path: Path) -> None:
    output = tmp_path / "database.json"
    done = subprocess.run(
        [sys.executable, "bench/database.py", "--quick", "--output", str(output)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(output.read_text())
    assert list(told) == ["date", "commit", "machine", "versions", "rows"]
    assert set(told["versions"]) == {
        "apache2-bin",
        "haproxy",
        "libapache2-mod-php",
        "memcached",
        "pgbouncer",
        "postgresql",
        "varnish",
    }
    rows = {row["what"]: row for row in told["rows"]}
    assert set(rows) == JUDGED | TOLD
    assert len(told["rows"]) == len(rows)
    for what, row in rows.items():
        assert set(row) == {"what", "ours", "other", "unit", "ratio", "target", "met"}, what
        assert math.isfinite(row["ours"]), what
        assert (row["target"] is not None) == (row["met"] is not None) == (what in JUDGED), what
        assert what in done.stdout
    # Not a time, but what the bench exists for: index scans read a few pages.
    assert 0 < rows['buffers read by "latest post of a user", L']["ours"] < 100
