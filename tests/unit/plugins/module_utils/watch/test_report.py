from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.watch.report import (
    ReportError,
    parse,
)

from tests.unit.plugins.module_utils.watch.looks import part, text

WEB = "docker1/container/bookface_1"


def test_a_report_is_read() -> None:
    found = parse(
        text(1000.0, part(WEB, "down", cause="exited\n with 137", action="started", tries=3)),
        2,
        999,
    )
    (seen,) = found.parts
    assert (found.time, found.status, found.active) == (1000.0, "broken", {"lb1": "docker"})
    assert (seen.part.id, seen.part.host, seen.part.kind) == (WEB, "docker1", "container")
    assert (seen.cause, seen.action, seen.wanted, seen.tries) == (
        "exited with 137",
        "started",
        "",
        3,
    )


def test_ansible_s_status_of_a_machine_that_is_not_reached_hides_no_report() -> None:
    assert parse(text(0, part(WEB, "unknown")), 4, 0).status == "broken"


def test_z_is_utc_for_every_python() -> None:
    assert parse(text(0, part(WEB), time="2026-11-30T22:00:00Z"), 0, 0).time == 1796076000.0


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"version": 2}, 0, "version 2"),
        ({"parts": []}, 0, "names no part"),
        ({"parts": [part(WEB), part(WEB)]}, 0, f"{WEB} twice"),
        ({"parts": [part(WEB, "sideways")]}, 0, "state sideways"),
        ({"parts": [part(WEB) | {"id": "watch"}]}, 0, "id 'watch'"),
        ({"parts": None}, 0, "not one of version 1"),
        ({"parts": ["text"]}, 0, "not one of version 1"),
        ({"active": None}, 0, "not one of version 1"),
        ({"status": "splendid"}, 0, "status splendid"),
        ({"time": "2026-11-30T22:00:00"}, 0, "no zone"),
        ({"time": "yesterday"}, 0, "not one of version 1"),
        ({"time": "2020-01-01T00:00:00+00:00"}, 0, "earlier run"),
        ({}, 2, "exit status 2, but its report says healthy"),
        ({}, 4, "exit status 4"),
        ({"status": "mended", "exit_status": 1}, 4, "exit status 4"),
        ({"status": "healthy", "exit_status": 2}, 4, "exit status 4"),
        ({"exit_status": 1}, 1, "exit status 1"),
    ],
)
def test_what_cannot_be_believed_is_no_report(
    change: dict[str, Any], code: int, words: str
) -> None:
    with pytest.raises(ReportError, match=words):
        parse(text(1.8e9, part(WEB), **change), code, 1.8e9)


@pytest.mark.parametrize("written", ["", "{", "[]", "null", '{"version": 1}', '"text"'])
def test_broken_text_is_no_report(written: str) -> None:
    with pytest.raises(ReportError, match=r"no JSON|not one of version 1"):
        parse(written, 0, 0)


@pytest.mark.parametrize("key", ["version", "time", "seconds", "status", "active", "parts"])
def test_each_key_is_required(key: str) -> None:
    found = json.loads(text(0, part(WEB)))
    del found[key]
    with pytest.raises(ReportError, match=key):
        parse(json.dumps(found), 0, 0)
