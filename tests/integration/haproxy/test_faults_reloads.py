# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody else reloads around the moment when the switch replaces the file.

A reload that has read the old file must not take the traffic back. Thousands of backends make
reading take long, and the moment of the reload moves over that time. How many tries and backends:
the variables RELOAD_TRIES and RELOAD_BACKENDS of the environment.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from faults import go_on, held, reload_by_somebody, reload_ended

if TYPE_CHECKING:
    from conftest import Lab

TRIES = int(os.environ.get("RELOAD_TRIES", "6"))
BACKENDS = int(os.environ.get("RELOAD_BACKENDS", "1500"))
# Multiples of it, less whole numbers, are spread evenly however many are taken.
GOLDEN = 0.618034

WAYS = {
    "entry, master asked": {"engine": "runtime"},
    "entry, worker watched": {"engine": "runtime", "master_socket": ""},
    "reload by the master": {"engine": "reload"},
    "reload by signal": {"engine": "reload", "master_socket": ""},
}


def duration(lab: Lab) -> float:
    """Seconds that a reload takes here."""
    began = time.monotonic()
    lab.reload()
    reload_ended(lab)
    return time.monotonic() - began


def switch_meets_reload(lab: Lab, target: str, lead: float, way: dict[str, Any]) -> dict[str, Any]:
    """A switch and a reload that begins ``lead`` seconds before the file is replaced."""
    options = {"require_healthy": 0, "wait": 30, **way}
    other = threading.Timer(max(-lead, 0), reload_by_somebody, (lab,))
    with held(lab, "before", "replace", target, **options) as program:
        other.start()
        time.sleep(max(lead, 0))
        result = go_on(lab, program)
    other.join()
    return result


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_traffic_follows_the_file(stopped: Lab, way: dict[str, Any]) -> None:
    lab = stopped
    many = "".join(f"backend spare{n}\n    server s 127.0.0.1:9\n" for n in range(BACKENDS))
    lab.config.write_text(lab.text(extra=many))
    lab.start()
    span = duration(lab)
    again = 0
    wrong = []
    for number in range(TRIES):
        target = ("docker", "legacy")[number % 2]
        lead = span * (1.3 * (number * GOLDEN % 1) - 0.1)
        result = switch_meets_reload(lab, target, lead, way)
        assert result.get("failed") is None, result
        again += result["worker"]["attempts"] > 1
        reload_ended(lab)
        found = (lab.config.read_text() == lab.text(default=target, extra=many), lab.traffic())
        if found != (True, target) or lab.entry() not in ((target,), ()):
            wrong.append((number, target, round(lead, 3), found, lab.entry(), result["worker"]))
    print(f"{TRIES} tries, reload {span * 1000:.0f} ms, {again} needed more than one attempt")
    assert wrong == []
    # A reload may have emptied the map since; one more run settles it.
    lab.switch(target, require_healthy=0, **way)
    assert lab.switch(target, require_healthy=0, **way)["changed"] is False
