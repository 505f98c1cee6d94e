# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a load balancer follows that was left out."""

from __future__ import annotations

from typing import Any

from ansible_collections.bookface.platform.plugins.filter.switch_leaders import switch_leaders


def note(host: str, time: float | None) -> dict[str, Any]:
    return {
        "item": host,
        "stat": {"exists": False} if time is None else {"exists": True, "mtime": time},
    }


def test_the_last_switch_leads() -> None:
    theirs = [note("lb1", 5.0), note("lb2", 7.5), note("lb3", None)]
    # One that could not be reached has no answer.
    theirs.append({"item": "lb4", "unreachable": True})
    assert switch_leaders(theirs, [note("lb1", None)]) == ["lb2", "lb1"]


def test_one_that_was_left_out_later_does_not_lead() -> None:
    assert switch_leaders([note("lb2", 5.0)], [note("lb2", 7.5)]) == []
    assert switch_leaders([note("lb2", 7.5)], [note("lb2", 5.0)]) == ["lb2"]
