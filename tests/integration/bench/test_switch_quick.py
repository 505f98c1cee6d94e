"""The bench of the switch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.balancer import real_time_allowed

if TYPE_CHECKING:
    from conftest import Quick

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
IN_REAL_TIME = {"runtime, HAProxy in real time: p99 during / before"}


@pytest.mark.load
def test_quick_writes_every_row(quick: Quick) -> None:
    told = TOLD | IN_REAL_TIME if real_time_allowed() else TOLD
    rows = quick("switch", {"haproxy", "ansible-core", "python"}, JUDGED, told)
    # Not a time, but what the bench exists for: it must see the loss where there is one.
    assert any(rows[f"stop/start, {size} backends: failed requests"]["ours"] for size in (2, 1000))
    assert rows["target dies 2 s after the switch: writes received twice"]["ours"] == 0
