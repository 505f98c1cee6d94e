# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back of a failed switch."""

from __future__ import annotations

from typing import Any

from ansible_collections.bookface.platform.plugins.filter.switch_returns import switch_returns


def frontend(name: str, before: str | None, after: str, changed: bool = True) -> dict[str, Any]:
    return {"name": name, "previous_backend": before, "backend": after, "changed": changed}


def step(host: str, backend: str, rollback: bool, *frontends: str) -> dict[str, Any]:
    return {"host": host, "backend": backend, "rollback": rollback, "frontends": [*frontends]}


def test_each_frontend_returns_to_its_own() -> None:
    results = [
        {"frontends": [frontend("www", "a", "new"), frontend("tls", "b", "new")]},
        {"frontends": [frontend("www", "a", "new"), frontend("tls", "a", "new")]},
    ]
    assert switch_returns(results, ["lb1", "lb2"]) == [
        step("lb1", "a", True, "www"),
        step("lb1", "b", True, "tls"),
        step("lb2", "a", True, "www", "tls"),
    ]


def test_a_rollback_is_not_in_the_record() -> None:
    results = [{"frontends": [frontend("www", "new1", "a"), frontend("tls", "new2", "b")]}]
    assert switch_returns(results, ["lb1"], rollback=True) == [
        step("lb1", "new1", False, "www"),
        step("lb1", "new2", False, "tls"),
    ]


def test_nor_is_a_switch_that_moved_nothing() -> None:
    """The file differed, not the traffic."""
    results = [{"frontends": [frontend("www", "a", "new"), frontend("tls", "new", "new")]}]
    assert switch_returns(results, ["lb1"]) == [
        step("lb1", "a", True, "www"),
        step("lb1", "new", False, "tls"),
    ]


def test_what_was_not_switched_stays() -> None:
    results = [
        {},
        {"failed": True, "msg": "refused"},
        {"frontends": [frontend("www", "a", "new", changed=False), frontend("x", None, "new")]},
    ]
    assert switch_returns(results, ["lb1", "lb2", "lb3"]) == []
