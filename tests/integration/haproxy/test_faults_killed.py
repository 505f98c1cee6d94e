# SPDX-License-Identifier: GPL-3.0-or-later
"""A switch that is killed: the site goes on, and the same task again finishes it and tidies up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from faults import State, go_on, held, killed, older_than_a_second, state, tree

if TYPE_CHECKING:
    from conftest import Lab

RECORD = "haproxy.cfg.previous.json"
# What a switch has done when it is killed: nothing yet, or the file alone.
BEFORE_THE_RENAME = [
    ("before", "read_file", "the lock is taken"),
    ("after", "read_file", "the file is read"),
    ("after", "Shell.gate", "the gate is passed"),
    ("after", "tempfile:mkstemp", "the candidate is empty"),
    ("after", "write_candidate", "the candidate is written"),
    ("before", "replace", "the candidate is valid"),
    (f"after=.{RECORD}.bookface-", "tempfile:mkstemp", "the record is empty"),
    ("after", "write_atomically", "the way back is recorded"),
]
RUNTIME = [
    ("after", "replace", "the file is replaced"),
    ("before", "HaproxySocket.write_entry", "the entry is about to be written"),
]
RELOAD = [
    ("after", "replace", "the file is replaced"),
    ("before=reload", "HaproxySocket.ask", "the reload is about to be asked for"),
]


def points(places: list[tuple[str, str, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("when", "what"), [pytest.param(*place[:2], id=place[2]) for place in places]
    )


@pytest.fixture
def begun(shared: Lab) -> Lab:
    """Traffic, file and entry on legacy, whatever the test before has left."""
    shared.switch("legacy", require_healthy=0)
    assert state(shared) == State("legacy", ("legacy",), "legacy")
    return shared


def finishes(lab: Lab, engine: str, names: set[str]) -> None:
    """The same task again: docker everywhere, nothing left over, and then nothing to do."""
    done = lab.switch("docker", engine=engine)
    assert done.get("failed") is None, done
    assert done["changed"] is True
    entry = ("docker",) if engine == "runtime" else ()
    assert state(lab) == State("docker", entry, "docker")
    assert tree(lab) == names
    assert lab.switch("docker", engine=engine)["changed"] is False


@pytest.mark.parametrize("engine", ["runtime", "reload"])
@points(BEFORE_THE_RENAME)
def test_before_the_rename_nothing_has_changed(
    begun: Lab, engine: str, when: str, what: str
) -> None:
    lab = begun
    names = tree(lab)
    killed(lab, when, what, "docker", engine=engine)
    assert state(lab) == State("legacy", ("legacy",), "legacy")
    finishes(lab, engine, names)


@pytest.mark.parametrize("engine", ["runtime", "reload"])
def test_while_haproxy_validates(begun: Lab, engine: str) -> None:
    lab = begun
    names = tree(lab)
    program = lab.directory / "maps" / "haproxy"
    program.write_text("#!/bin/sh\nkill -9 $PPID\n")
    program.chmod(0o755)
    arguments = lab.arguments(backend="docker", engine=engine, haproxy=str(program))
    running = lab.begin("haproxy_default_backend", arguments)
    assert running.wait(30) == -9
    running.communicate()
    program.unlink()
    assert state(lab) == State("legacy", ("legacy",), "legacy")
    finishes(lab, engine, names)


@points(RUNTIME)
def test_after_the_rename_the_file_is_ahead(begun: Lab, when: str, what: str) -> None:
    lab = begun
    names = tree(lab)
    killed(lab, when, what, "docker", engine="runtime")
    assert state(lab) == State("docker", ("legacy",), "legacy")
    finishes(lab, "runtime", names)


def test_after_the_entry_all_is_done(begun: Lab) -> None:
    lab = begun
    names = tree(lab)
    killed(lab, "after", "HaproxySocket.write_entry", "docker", engine="runtime")
    assert state(lab) == State("docker", ("docker",), "docker")
    assert lab.switch("docker", engine="runtime")["changed"] is False
    assert tree(lab) == names


@points(RELOAD)
def test_after_the_rename_a_reload_is_due(begun: Lab, when: str, what: str) -> None:
    lab = begun
    names = tree(lab)
    # No entry that tells: the file's time does.
    lab.reload()
    older_than_a_second(lab)
    killed(lab, when, what, "docker", engine="reload")
    assert state(lab) == State("docker", (), "legacy")
    finishes(lab, "reload", names)


def test_after_the_reload_all_is_done(begun: Lab) -> None:
    lab = begun
    names = tree(lab)
    worker = lab.pid()
    killed(lab, "after=reload", "HaproxySocket.ask", "docker", engine="reload")
    lab.until(lambda: lab.answers() not in (None, worker), "the new worker")
    assert state(lab) == State("docker", (), "docker")
    assert lab.switch("docker", engine="reload")["changed"] is False
    assert tree(lab) == names


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "back", [{"backend": "legacy"}, {"backend": None, "rollback": True}], ids=["named", "rollback"]
)
def test_going_back_instead_tidies_up_as_well(begun: Lab, back: dict[str, Any], when: str) -> None:
    """The next task may name the old backend: then the file needs no edit, or the way back."""
    lab = begun
    names = tree(lab)
    killed(lab, when, "replace", "docker")
    done = lab.switch(**back)
    assert done.get("failed") is None, done
    assert state(lab) == State("legacy", ("legacy",), "legacy")
    assert tree(lab) == names


def test_a_reload_finishes_it_too(begun: Lab) -> None:
    lab = begun
    killed(lab, "after", "replace", "docker")
    lab.reload()
    assert state(lab) == State("docker", (), "docker")
    assert lab.switch("docker", require_healthy=0)["changed"] is True
    assert state(lab) == State("docker", ("docker",), "docker")


def test_the_next_in_line_takes_over_from_a_killed_one(begun: Lab) -> None:
    """The lock dies with its holder, and what the holder has left is tidied up."""
    lab = begun
    names = tree(lab)
    with held(lab, "before", "replace", "docker"):
        refused = lab.switch("docker", lock_timeout=0)
        assert "another task is changing" in refused["msg"]
        waiting = lab.begin("haproxy_default_backend", lab.arguments(backend="docker"))
    assert lab.end(waiting)["changed"] is True
    assert state(lab) == State("docker", ("docker",), "docker")
    assert tree(lab) == names


def test_two_at_once(begun: Lab) -> None:
    """The second gives up and names the first, or waits for it and goes on from there."""
    lab = begun
    with held(lab, "after", "write_candidate", "docker") as first:
        names = tree(lab)
        refused = lab.switch("legacy", lock_timeout=0.2)
        assert f"process {first.pid} holds the lock on {lab.directory}" in refused["msg"]
        assert "waited 0.2 s" in refused["msg"]
        assert "Nothing was changed" in refused["msg"]
        assert tree(lab) == names
        second = lab.begin("haproxy_default_backend", lab.arguments(backend="legacy"))
        assert go_on(lab, first)["changed"] is True
        back = lab.end(second)
    assert (back["changed"], back["previous_backend"]) == (True, "docker")
    assert state(lab) == State("legacy", ("legacy",), "legacy")
