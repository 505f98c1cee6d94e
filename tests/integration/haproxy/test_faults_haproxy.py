# SPDX-License-Identifier: GPL-3.0-or-later
"""Trouble with the running HAProxy: gone, unreachable, or unable to reload."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from faults import UNTOUCHED, State, go_on, held, older_than_a_second, reload_ended, state

if TYPE_CHECKING:
    from conftest import Lab

LEGACY = State("legacy", (), "legacy")
DOCKER = State("docker", ("docker",), "docker")


@contextmanager
def away(*sockets: Path) -> Iterator[None]:
    """The sockets are missing for a while."""
    for path in sockets:
        path.rename(path.with_suffix(".away"))
    yield
    for path in sockets:
        path.with_suffix(".away").rename(path)


@pytest.mark.parametrize("engine", ["runtime", "reload"])
def test_socket_that_is_missing(lab: Lab, engine: str) -> None:
    lab.admin.unlink()
    refused = lab.switch("docker", engine=engine, wait=0.5)
    assert f"does not answer on {lab.admin} (No such file or directory)" in refused["msg"]
    assert "stats socket" in refused["msg"]
    assert UNTOUCHED in refused["msg"]
    assert (lab.config.read_text(), lab.traffic()) == (lab.text(), "legacy")
    lab.stop()
    lab.start()
    assert lab.switch("docker")["changed"] is True
    assert state(lab) == DOCKER


@pytest.mark.haproxy(since=(3, 4))
@pytest.mark.parametrize("level", ["user", "operator"])
def test_socket_that_may_not_switch(stopped: Lab, level: str) -> None:
    lab = stopped
    text = lab.text().replace("level admin", f"level {level}")
    lab.config.write_text(text)
    lab.start()
    refused = lab.switch("docker")
    assert (refused["reason"], UNTOUCHED in refused["msg"]) == ("refused", True)
    assert "level admin" in refused["msg"]
    assert (lab.config.read_text(), lab.traffic()) == (text, "legacy")


@pytest.mark.haproxy(before=(3, 4))
@pytest.mark.parametrize("level", ["user", "operator"])
def test_socket_with_few_rights(stopped: Lab, level: str) -> None:
    """HAProxy asks for no level where maps are concerned: whoever may look may switch."""
    lab = stopped
    text = lab.text().replace("level admin", f"level {level}")
    lab.config.write_text(text)
    lab.start()
    done = lab.switch("docker")
    assert (done.get("failed"), done.get("changed")) == (None, True), done
    assert lab.config.read_text() == text.replace("\tlegacy", "\tdocker")
    assert (lab.entry(), lab.traffic()) == (("docker",), "docker")


@pytest.mark.parametrize(
    ("engine", "doubt"),
    [
        ("runtime", "the live map entries are unknown"),
        ("reload", "it is unknown which file the running HAProxy has read"),
    ],
)
def test_haproxy_dies_after_the_rename(lab: Lab, engine: str, doubt: str) -> None:
    """The old file is put back, so the next start serves as before."""
    with held(lab, "after", "replace", "docker", engine=engine, wait=0.5) as program:
        lab.crash()
        failed = go_on(lab, program)
    assert "could not be switched to docker" in failed["msg"]
    assert "was restored" in failed["msg"]
    assert doubt in failed["msg"]
    assert UNTOUCHED not in failed["msg"]
    assert lab.config.read_text() == lab.text()
    assert lab.files() == ["haproxy.cfg"]
    lab.start()
    assert state(lab) == LEGACY
    assert lab.switch("docker")["changed"] is True
    assert state(lab) == DOCKER


@pytest.mark.parametrize("entry", [(), ("legacy",)])
@pytest.mark.parametrize("reloaded", [False, True])
def test_way_back_after_the_rename(lab: Lab, entry: tuple[str, ...], reloaded: bool) -> None:
    """No master answers after the rename: file and traffic go back.

    A reload by somebody else may have read the new file in between.
    """
    if entry:
        lab.switch("legacy")
    assert state(lab) == State("legacy", entry, "legacy")
    with held(lab, "after", "replace", "docker", wait=0.5) as program:
        if reloaded:
            lab.reload()
            reload_ended(lab)
            assert lab.traffic() == "docker"
        with away(lab.master):
            failed = go_on(lab, program)
    assert "was restored" in failed["msg"]
    assert "the live map entries " in failed["msg"]
    now = state(lab)
    assert (now.disk, now.traffic) == ("legacy", "legacy")
    done = lab.switch("docker")
    assert (done["changed"], state(lab)) == (True, DOCKER)


def test_sockets_that_vanish_after_the_rename(lab: Lab) -> None:
    with held(lab, "after", "replace", "docker", wait=0.5) as program, away(lab.admin):
        failed = go_on(lab, program)
    assert "was restored" in failed["msg"]
    assert "the live map entries are unknown" in failed["msg"]
    assert state(lab) == LEGACY
    assert lab.switch("docker")["changed"] is True
    assert state(lab) == DOCKER


def test_reload_by_somebody_else_before_the_entry(lab: Lab) -> None:
    """Their worker has read the new file; the entry goes to it, not to the one before."""
    worker = lab.pid()
    with held(lab, "before=docker", "HaproxySocket.write_entry", "docker") as program:
        lab.reload()
        done = go_on(lab, program)
    assert done["changed"] is True
    assert done["worker"]["pid"] == lab.pid() != worker
    assert state(lab) == DOCKER
    assert lab.switch("docker")["changed"] is False


@contextmanager
def port_taken(lab: Lab, level: str = "admin") -> Iterator[str]:
    """A configuration that wants a port which another process has: only a reload shows it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        more = f"frontend more\n    bind 127.0.0.1:{port}\n    default_backend legacy\n"
        text = lab.text(rule=False, extra=more)
        lab.config.write_text(text.replace("level admin", f"level {level}"))
        yield more


def test_reload_by_signal_that_fails_late(stopped: Lab) -> None:
    """Without a master socket nobody tells that the reload failed: the wait ends it."""
    lab = stopped
    lab.config.write_text(lab.text(rule=False))
    lab.start()
    with port_taken(lab) as more:
        worker = lab.pid()
        failed = lab.switch("docker", master_socket="", wait=1.5)
    assert failed["failed"] is True
    assert "no new worker within 1.5 s" in failed["msg"]
    assert "was restored" in failed["msg"]
    assert "it is unknown which file the running HAProxy has read" in failed["msg"]
    assert lab.config.read_text() == lab.text(rule=False, extra=more)
    assert lab.files() == ["haproxy.cfg"]
    assert lab.traffic() == "legacy"
    if "the statistics socket is lost" in failed["msg"]:
        # As in 3.4, by a second reload that fails.
        lab.stop()
        lab.start()
    else:
        assert lab.pid() == worker
    done = lab.switch("docker", master_socket="")
    assert done["changed"] is True
    assert lab.traffic() == "docker"


@pytest.mark.parametrize(("level", "replaced"), [("admin", False), ("operator", True)])
def test_failed_reload_that_leaves_the_listeners_paused(
    stopped: Lab, level: str, replaced: bool
) -> None:
    """HAProxy's signals to pause and to resume may arrive in the wrong order.

    A socket without the rights leaves the signal, to the worker that is there by now.
    """
    lab = stopped
    lab.config.write_text(lab.text(rule=False).replace("level admin", f"level {level}"))
    lab.start()
    first = lab.pid()
    with ExitStack() as stack:
        with port_taken(lab, level):
            program = stack.enter_context(held(lab, "before", "Shell.resume", "docker"))
            lab.until(lambda: accepts(lab), "the end of the reload")
        if replaced:
            lab.reload()
            reload_ended(lab)
        worker = lab.pid()
        os.kill(worker, signal.SIGTTOU)
        lab.until(lambda: not accepts(lab), "paused listeners")
        failed = go_on(lab, program)
    assert "are accepted again" in failed["msg"], failed
    assert "REFUSED" not in failed["msg"]
    assert (lab.pid(), lab.traffic()) == (worker, "legacy")
    assert (worker != first) is replaced


def accepts(lab: Lab) -> bool:
    """Whether the front door accepts a connection."""
    try:
        lab.traffic()
    except ConnectionError:
        return False
    return True


def test_late_failure_of_a_file_that_was_edited_before(stopped: Lab) -> None:
    """There is no edit to take back; the file stays as somebody wrote it, and it says so."""
    lab = stopped
    lab.config.write_text(lab.text(rule=False))
    lab.start()
    older_than_a_second(lab)
    with port_taken(lab) as more:
        by_hand = lab.text(rule=False, default="docker", extra=more)
        lab.config.write_text(by_hand)
        failed = lab.switch("docker")
        assert f"{lab.config} is unchanged" in failed["msg"]
        assert "HAProxy continues with its old configuration" in failed["msg"]
        assert lab.config.read_text() == by_hand
        assert lab.traffic() == "legacy"
    assert lab.switch("docker")["changed"] is True
    assert (lab.config.read_text(), lab.traffic()) == (by_hand, "docker")
