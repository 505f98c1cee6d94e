# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of the last switch, and the way back."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Lab

FORWARD = {"book-face": {"from": "legacy", "to": "docker"}}


def record_of(lab: Lab) -> Path:
    return lab.directory / "haproxy.cfg.previous.json"


def recorded(lab: Lab) -> Any:
    path = record_of(lab)
    return json.loads(path.read_text()) if path.exists() else None


def back(lab: Lab, **more: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"backend": None, "rollback": True, **more}
    return lab.switch(**options)


@pytest.mark.parametrize("engine", ["runtime", "reload", "file"])
def test_there_and_back(lab: Lab, engine: str) -> None:
    """With engine file the traffic is not asked for: nothing but the file is changed."""
    assert lab.switch("docker", check=True, engine=engine)["changed"] is True
    assert recorded(lab) is None
    assert lab.switch("docker", engine=engine)["changed"] is True
    assert recorded(lab) == FORWARD
    status = record_of(lab).stat()
    assert (status.st_mode & 0o7777, status.st_uid) == (0o644, os.geteuid())
    # Nothing to do, nothing to remember.
    assert lab.switch("docker", engine=engine)["changed"] is False
    assert recorded(lab) == FORWARD

    checked = back(lab, check=True, engine=engine, require_healthy=0)
    assert (checked["changed"], checked["backend"]) == (True, "legacy")
    assert lab.config.read_text() == lab.text(default="docker")
    done = back(lab, engine=engine, require_healthy=0)
    assert (done["changed"], done["backend"], done["percent"]) == (True, "legacy", 100)
    assert (done["previous_backend"], done["diff"][0]) == ("docker", checked["diff"][0])
    assert lab.config.read_text() == lab.text()
    assert lab.traffic() == "legacy"
    # A rollback is no switch: once more changes nothing, and does not go forth again.
    assert recorded(lab) == FORWARD
    for check in (True, False):
        again = back(lab, check=check, engine=engine, require_healthy=0)
        assert (again["changed"], again["backend"]) == (False, "legacy")
    assert lab.info()["frontends"]["book-face"]["rollback_to"] == "legacy"


def test_the_last_switch_counts(lab: Lab) -> None:
    for backend in ("docker", "unchecked"):
        lab.switch(backend)
    assert recorded(lab) == {"book-face": {"from": "docker", "to": "unchecked"}}
    # The entry is written anew after a reload: that moves nobody.
    lab.reload()
    assert lab.switch("unchecked")["changed"] is True
    assert recorded(lab) == {"book-face": {"from": "docker", "to": "unchecked"}}
    assert back(lab, require_healthy=0)["backend"] == "docker"
    # Whoever has moved the traffic meanwhile: back is where the record says.
    lab.switch("unchecked", engine="file")
    lab.config.write_text(lab.text(default="legacy"))
    assert back(lab, require_healthy=0)["backend"] == "docker"
    assert lab.traffic() == "docker"


def test_other_frontends_are_remembered_too(stopped: Lab) -> None:
    lab = stopped
    other = "frontend other\n    bind 127.0.0.1:{}\n    default_backend docker\n"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lab.config.write_text(lab.text(extra=other.format(port)))
    lab.start()
    lab.switch("docker")
    lab.switch("legacy", frontend="other")
    assert recorded(lab) == {**FORWARD, "other": {"from": "docker", "to": "legacy"}}
    assert back(lab, frontend="other")["backend"] == "docker"
    assert back(lab)["backend"] == "legacy"


@pytest.mark.parametrize("check", [True, False])
def test_no_way_back(lab: Lab, check: bool) -> None:
    before = lab.text()

    def refused(*words: str, **more: Any) -> None:
        result = back(lab, check=check, **more)
        assert result.get("failed") is True, result
        for word in (*words, "Nothing was changed"):
            assert word in result["msg"]
        assert (lab.config.read_text(), lab.entry(), lab.traffic()) == (before, (), "legacy")

    refused("nothing to roll back to", str(record_of(lab)), "Name the backend instead")
    refused("rollback=true excludes backend=docker", "Remove one of the two", backend="docker")
    refused("rollback=true excludes percent=10", percent=10)
    for text in ("", '{"book-face": "legacy"}'):
        record_of(lab).write_text(text)
        refused(f"the record {record_of(lab)} is invalid")
    record_of(lab).write_text('{"other": {"from": "legacy", "to": "docker"}}')
    refused("no record of a switch of frontend 'book-face' (recorded frontends: other)")
    record_of(lab).write_text('{"book-face": {"from": "gone", "to": "legacy"}}')
    refused("backend 'gone' is not in the configuration")
    # The way back is a switch like any other: who is dead does not get the traffic.
    record_of(lab).write_text('{"book-face": {"from": "dead", "to": "legacy"}}')
    refused("backend 'dead': 0 of 1 servers have passed a check")


def test_a_switch_goes_on_where_the_record_is_broken(lab: Lab) -> None:
    record_of(lab).write_text("{")
    done = lab.switch("docker")
    assert done["changed"] is True
    assert "is invalid" in json.dumps(done["warnings"])
    assert recorded(lab) == FORWARD


@pytest.mark.parametrize("old", [None, {"book-face": {"from": "docker", "to": "legacy"}}])
def test_a_switch_that_fails_is_not_remembered(stopped: Lab, old: Any) -> None:
    """The configuration is valid, but a port that it wants is taken: only the reload shows it."""
    lab = stopped
    lab.config.write_text(lab.text(rule=False))
    lab.start()
    if old is not None:
        record_of(lab).write_text(json.dumps(old))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        extra = f"frontend more\n    bind 127.0.0.1:{port}\n    default_backend legacy\n"
        lab.config.write_text(lab.text(rule=False, extra=extra))
        failed = lab.switch("docker", wait=20)
    assert "could not be switched" in failed["msg"]
    assert recorded(lab) == old
    assert lab.files() == ["haproxy.cfg"]


def test_what_a_killed_run_has_left_goes_away(lab: Lab) -> None:
    left = lab.directory / ".haproxy.cfg.previous.json.bookface-x.candidate"
    left.write_text("{")
    assert lab.switch("legacy")["changed"] is True
    assert not left.exists()


def test_the_record_is_there_before_the_traffic_moves(lab: Lab) -> None:
    """Whoever sees the new file finds the way back."""
    arguments = lab.arguments(backend="docker")
    for _try in range(3):
        record_of(lab).unlink(missing_ok=True)
        lab.config.write_text(lab.text())
        lab.switch("legacy")
        program = lab.begin("haproxy_default_backend", arguments)
        lab.until(lambda: lab.config.read_text() == lab.text(default="docker"), "the rename")
        assert recorded(lab) == FORWARD
        assert lab.end(program)["changed"] is True
