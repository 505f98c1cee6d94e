"""What the bench of the switch makes of the requests that clients made."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bench.report import BenchError
from bench.switch import SIZES, WAYS, Seen, judge, outage_ms, overlap_ms, targets
from tests.support.load import Asked, Summary, read_log


def asked(
    sent: float, backend: str | None = "legacy", failed: bool = False, seconds: float = 0.001
) -> Asked:
    return Asked(sent, seconds, backend, failed)


def summary(requests: int = 10, failed: int = 0, refused: int = 0) -> Summary:
    failures = {"refused": refused, "ended_early": failed - refused}
    return Summary(
        urls=[],
        clients={},
        started=0,
        ended=0,
        stopped_by="",
        requests=requests,
        failed=failed,
        failures=failures,
        examples=[],
        seconds=1,
        requests_per_second=1,
        latency_ms={},
        connections=1,
        bytes=1,
        by_status={},
        by_client={},
        by_backend={},
        by_server={},
        by_host={},
        first_seen={},
        last_started={},
        last_sent={},
    )


def test_overlap_is_none_where_the_old_backend_stops_first() -> None:
    assert overlap_ms([asked(1), asked(2), asked(3, "docker")], "docker") == 0


def test_overlap_lasts_to_the_last_request_that_the_old_backend_answered() -> None:
    requests = [asked(1), asked(2, "docker"), asked(2.5), asked(3, "docker"), asked(4, None, True)]
    assert overlap_ms(requests, "docker") == pytest.approx(500)


def test_overlap_wants_the_new_backend_to_answer() -> None:
    with pytest.raises(BenchError, match="docker answered none of 2 requests"):
        overlap_ms([asked(1), asked(2)], "docker")


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        ("....", 0),
        (".x..", 2),
        (".xx.x.", 3),
        ("x.", 1),
        ("..x", 0),
    ],
)
def test_outage_is_the_longest_time_without_a_good_answer(failed: str, expected: int) -> None:
    requests = [asked(second, failed=letter == "x") for second, letter in enumerate(failed)]
    assert outage_ms(requests) == expected * 1000


def test_requests_are_sorted_by_the_switches_that_they_met() -> None:
    requests = [
        asked(1, seconds=0.010),
        asked(2, seconds=0.020),  # during the first switch
        asked(2.1, "docker", seconds=0.010),
        asked(3, "docker", seconds=0.010),
        asked(4, "docker", seconds=0.030),  # during the second
        asked(4.1, None, failed=True),
        asked(4.2, "legacy", seconds=0.010),
        asked(4.3, "docker", seconds=0.010),
    ]
    switches = [(1.9, 2.05, "docker"), (3.9, 4.15, "legacy")]
    seen = judge("reload", 2, requests, switches, summary(requests=7, failed=3, refused=2))
    assert (seen.way, seen.backends, seen.requests, seen.failed) == ("reload", 2, 8, 1)
    assert seen.overlaps_ms == pytest.approx([0, 100])
    assert seen.outages_ms == pytest.approx([0, 200])
    assert seen.p99_during_ms == pytest.approx(30)
    assert seen.p99_apart_ms == pytest.approx(10)
    # A download that was refused had not begun.
    assert (seen.long_requests, seen.long_failed) == (5, 1)


def test_log_is_read_in_the_order_of_sending(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = [
        {"start": 2.0, "sent": 2.5, "end": 3.0, "backend": "docker", "failure": None},
        {"start": 1.0, "sent": None, "end": 1.5, "backend": None, "failure": "refused"},
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_log(log) == [asked(1.0, None, True, 0.5), asked(2.5, "docker", False, 1.0)]


def test_every_target_is_judged_by_the_worse_size() -> None:
    cells = [
        Seen(way, backends, 1000, 0, 10, 0, [backends / 100], [0.0], 3.0, 3.0)
        for backends in SIZES
        for way in WAYS
    ]
    cells[-1].p99_during_ms = 6.0
    cells[2].failed = 1
    rows = targets(cells, [([10.0], [9.0]), ([20.0], [10.0])], (summary(15_000, 16), 0))
    verdicts = {row.what: (row.ours, row.other, row.met) for row in rows}
    assert verdicts == {
        "runtime: failed requests": (0, None, True),
        "runtime: ms until the last request started towards the old backend": (10, None, True),
        "runtime: p99 during / before": (6, 3, False),
        "runtime: module time / (haproxy -c + one socket round trip)": (20, 10, False),
        "runtime: long downloads cut": (0, None, True),
        "target dies 2 s after the switch: failed of 15,000": (16, None, False),
        "target dies 2 s after the switch: writes received twice": (0, None, True),
        "reload: failed requests": (1, 0, False),
    }
    assert not any(math.isnan(row.ours) for row in rows)
