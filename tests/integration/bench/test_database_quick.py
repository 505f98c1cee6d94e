"""The bench of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Quick

VERSIONS = {
    "apache2-bin",
    "haproxy",
    "libapache2-mod-php",
    "memcached",
    "pgbouncer",
    "postgresql",
    "varnish",
}
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
TOLD = {
    "expiry second, 32 clients, L, memcached alone: p95 / warm p95",
    "picture with pooler, 4096 iterations: requests/s / without",
}
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
    for page in ("front page", "picture")
    for way in (
        "stock",
        "indexed",
        "1000 users shown",
        "active users only",
        "memcached",
        "pooler",
        "pooler, 4096 iterations",
        "pictures as files",
        "page cache",
        "pictures in HAProxy",
        "all levers",
    )
}


def test_quick_writes_every_row(quick: Quick) -> None:
    rows = quick("database", VERSIONS, JUDGED, TOLD)
    # Not a time, but what the bench exists for: index scans read a few pages.
    assert 0 < rows['buffers read by "latest post of a user", L']["ours"] < 100
