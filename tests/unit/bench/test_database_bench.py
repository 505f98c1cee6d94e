"""What the bench of the database makes of plans, requests and processes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench.database import (
    WAYS,
    Seen,
    before_and_after,
    p95_ms,
    rows_of,
    scans,
    targets,
    worst_second,
)
from bench.report import BenchError
from tests.support.load import Asked
from tests.support.stage import Cost, cpu_seconds
from tests.support.waiting import until


def asked(sent: float, seconds: float = 0.01) -> Asked:
    return Asked(sent, seconds, None, False)


def town(stall: float = 0.5, fresh: bool = True) -> Seen:
    seen = Seen(0, [4.0, 5.0], build_seconds=8, stall_seconds=stall, calm_seconds=0.1)
    for number, what in enumerate(
        ("latest post of a user", "posts of a user", "comments of a post", "picture"), 1
    ):
        seen.statements_ms[what] = [number * 0.1]
    seen.costs = {
        (page, way): [Cost(0.02, 0.01)] for page in ("front page", "picture") for way in WAYS
    }
    seen.static = [0.005]
    seen.pictures = {"pooler": [1000.0], "indexed": [100.0]}
    seen.posts = {"indexed": [90.0], "stock": [100.0]}
    seen.expiry = {"page cache": (30.0, 10.0), "memcached": (900.0, 10.0)}
    seen.fresh_seconds, seen.fresh = 5.0, fresh
    return seen


def test_scans_are_counted_in_the_whole_tree() -> None:
    plan = {
        "Node Type": "Limit",
        "Plans": [
            {"Node Type": "Gather", "Plans": [{"Node Type": "Parallel Seq Scan"}]},
            {"Node Type": "Index Scan"},
            {"Node Type": "Seq Scan"},
        ],
    }
    assert scans(plan) == 2


def test_p95_is_of_those_that_did_not_fail() -> None:
    requests = [asked(n, n / 1000) for n in range(1, 101)]
    assert 94 <= p95_ms(requests) <= 96
    assert p95_ms([*requests, Asked(1, 60, None, True)]) == p95_ms(requests)


def test_worst_second_leaves_out_the_first_and_the_last() -> None:
    slow = {0: 9.0, 3: 0.5, 5: 9.0}
    requests = [
        asked(second + tenth / 10, slow.get(second, 0.01))
        for second in range(6)
        for tenth in range(10)
    ]
    worst, usual = worst_second(requests)
    assert (worst, usual) == (pytest.approx(500), pytest.approx(10))


def test_seconds_without_any_request_count_for_nothing() -> None:
    requests = [asked(0), asked(1.5), asked(4.5, 0.04), asked(6)]
    assert worst_second(requests) == (pytest.approx(40), pytest.approx(25))


def test_request_under_way_when_the_cache_expires_meets_the_empty_one() -> None:
    requests = [asked(n / 10) for n in range(90)] + [asked(8.99, 20), asked(9.5, 3)]
    assert before_and_after(requests, 9.0) == (pytest.approx(20_000), pytest.approx(10))


def test_expiry_that_nobody_met_is_an_error() -> None:
    with pytest.raises(BenchError, match="2 requests before the cache expired, 0 after"):
        before_and_after([asked(0), asked(1)], 5)


def test_too_few_requests_are_an_error() -> None:
    with pytest.raises(BenchError, match="2 requests are too few"):
        worst_second([asked(0), asked(1)])


def test_targets_are_judged_by_the_large_town() -> None:
    large = town(stall=1.5)
    large.scans = 1
    large.statements_ms["posts of a user"] = [0.8]
    verdicts = {
        row.what: (row.ours, row.other, row.met) for row in targets({"S": town(), "L": large})
    }
    assert verdicts == {
        "sequential scans in the application's statements, indexed, other than count/random": (
            1,
            None,
            False,
        ),
        'buffers read by "latest post of a user", L': (5, None, True),
        "indexed front page statements L / S, time": (0.8, 0.2, False),
        "front 50, L, all levers: CPU / static page of the same size": (10, 5, True),
        "picture with pooler: requests/s / without": (1000, 100, True),
        "expiry second, 32 clients, L: p95 / warm p95": (30, 10, True),
        "posts per second indexed / stock": (90, 100, True),
        "longest stall of a writer during the build, L": (1.5, None, False),
        "seconds until a new post shows on the front page, all levers": (5, None, True),
    }


def test_every_way_is_told_beside_stock() -> None:
    seen = town()
    seen.costs["front page", "stock"] = [Cost(1.0, 0.5)]
    rows = {row.what: row for row in rows_of("M", seen)}
    assert rows["M, front page: indexed"].ratio == pytest.approx(0.02)
    assert rows["M, picture: indexed"].ratio == pytest.approx(1)


def test_cpu_time_of_children_is_counted_before_and_after_their_end() -> None:
    # More than is asked for: times come in hundredths, rounded down.
    spin = "import time\nwhile time.process_time() < 0.4: pass\n"
    parent = (
        f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {spin!r}]);"
        "print('waited for', flush=True); time.sleep(60)"
    )
    begin = cpu_seconds(os.getpid())
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        try:
            until(lambda: cpu_seconds(process.pid) >= 0.35, "it has spun")
            assert cpu_seconds(os.getpid()) - begin >= 0.3
            assert process.stdout
            process.stdout.readline()
        finally:
            process.kill()
    # What has ended counts for who waited for it.
    assert cpu_seconds(os.getpid()) - begin >= 0.3
