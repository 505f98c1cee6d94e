# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused: the message says why, and file, live state and traffic are as before."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.bookface.platform.plugins.modules.haproxy_default_backend import RETURN

if TYPE_CHECKING:
    from conftest import Lab

UNTOUCHED = "Nothing was changed"


@contextmanager
def nothing_changes(lab: Lab) -> Iterator[None]:
    before = (lab.config.read_bytes(), lab.config.stat().st_ino, lab.files())
    live = (lab.pid(), lab.entry(), lab.traffic())
    yield
    assert (lab.config.read_bytes(), lab.config.stat().st_ino, lab.files()) == before
    assert (lab.pid(), lab.entry(), lab.traffic()) == live


def refused(lab: Lab, backend: str, *parts: str, **more: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for check in (True, False):
        result = lab.switch(backend, check=check, **more)
        assert result.get("failed") is True, result
        assert f"V({result['reason']})" in RETURN, result
        for part in (*parts, UNTOUCHED):
            assert part in result["msg"], result["msg"]
    return result


def test_unknown_names_are_refused_with_the_choices(lab: Lab) -> None:
    with nothing_changes(lab):
        result = refused(
            lab, "nosuch", "backend 'nosuch'", "legacy, docker, dead, slow, unchecked, off"
        )
        assert result["reason"] == "no_such_section"
        refused(
            lab, "docker", "frontend 'nosuch'", "existing frontends: book-face", frontend="nosuch"
        )


def test_disabled_backend(lab: Lab) -> None:
    with nothing_changes(lab):
        refused(lab, "off", "backend off is disabled", "Remove 'disabled'")


@pytest.mark.haproxy(since=(3, 4))
def test_unpublished_backend(lab: Lab) -> None:
    """HAProxy would ignore the rule, and all traffic stay where it is."""
    lab.stats.ask("unpublish backend docker", 5)
    with nothing_changes(lab):
        refused(lab, "docker", "would move no traffic", "'docker' is unpublished")
    assert lab.stats.ask("publish backend docker", 5).strip() == "Backend published."
    assert lab.switch("docker")["changed"] is True
    assert lab.traffic() == "docker"
    lab.stats.ask("unpublish backend docker", 5)
    again = lab.switch("docker")
    assert again["changed"] is False
    assert "backend docker is unpublished" in str(again["warnings"])


@pytest.mark.haproxy(before=(2, 5))
@pytest.mark.parametrize("engine", ["auto", "reload"])
@pytest.mark.parametrize("process", [1, 2])
def test_several_processes(stopped: Lab, engine: str, process: int) -> None:
    """Each has its own map: a switch by one socket would move a part of the traffic."""
    lab = stopped
    text = lab.text().replace("global\n", "global\n    nbproc 2\n")
    lab.config.write_text(text.replace("level admin", f"level admin process {process}"))
    lab.start()
    said = lab.switch("docker", engine=engine)
    assert "HAProxy runs 2 processes (nbproc)" in said["msg"]
    assert "nbthread 2" in said["msg"]
    assert UNTOUCHED in said["msg"]
    arguments = {"server": "docker1", "state": "drain"}
    drain = lab.arguments(frontend=None, **arguments)
    assert "2 processes" in lab.end(lab.begin("haproxy_server", drain))["msg"]


@pytest.mark.parametrize(("backend", "required"), [("dead", 1), ("docker", 2)])
def test_target_without_enough_passed_checks(lab: Lab, backend: str, required: int) -> None:
    with nothing_changes(lab):
        result = refused(
            lab,
            backend,
            f"backend '{backend}'",
            f"expected at least {required}",
            "status DOWN, last check L4CON",
            "require_healthy",
            require_healthy=required,
        )
    assert result["servers"][-1]["passed"] is False
    assert result["reason"] == "unhealthy"
    # Definite failures are not waited for.
    assert lab.switch(backend, require_healthy=0)["changed"] is True


def test_up_is_not_a_passed_check(stopped: Lab) -> None:
    """Right after its start HAProxy shows UP for servers that nobody has asked yet."""
    lab = stopped
    lab.web["slow"].ready.clear()
    try:
        lab.start(settle=False)
        server = lab.stats.stat(5).servers_of("slow")[0]
        assert server.status.startswith("UP")
        assert (server.check_status, server.passed) == ("INI", False)
        with nothing_changes(lab):
            result = lab.switch("slow", wait=0.2)
    finally:
        lab.web["slow"].ready.set()
    assert "last check INI" in result["msg"]
    assert UNTOUCHED in result["msg"]
    done = lab.switch("slow")
    assert done["servers"][0]["check_status"].startswith("L7OK")
    assert lab.traffic() == "slow"


def test_server_without_checks_counts(lab: Lab) -> None:
    done = lab.switch("unchecked")
    assert done["servers"] == [
        {
            "name": "any",
            "address": f"127.0.0.1:{lab.web['docker'].port}",
            "status": "no check",
            "check_status": "",
            "passed": True,
            "backup": False,
        }
    ]
    assert lab.traffic() == "docker"


def test_backup_servers_do_not_open_the_gate(stopped: Lab) -> None:
    """All that the target has left are its stand-ins, and they are well."""
    lab = stopped
    docker = lab.web["docker"].port
    lab.config.write_text(
        lab.text(
            extra="backend spare\n    server gone 127.0.0.1:9 check\n"
            f"    server stand-in 127.0.0.1:{docker} check backup\n"
            f"    server unchecked 127.0.0.1:{docker} backup\n"
            "backend both\n"
            f"    server first 127.0.0.1:{docker} check\n"
            f"    server stand-in 127.0.0.1:{docker} check backup\n"
        )
    )
    lab.start()
    lab.until(
        lambda: lab.info()["backends"]["spare"]["servers"][1]["check_status"] == "L7OK",
        "the backup server's check",
    )
    with nothing_changes(lab):
        result = refused(lab, "spare", "0 of 3 servers", "a backup server, which does not count")
        assert [(s["name"], s["passed"], s["backup"]) for s in result["servers"]] == [
            ("gone", False, False),
            ("stand-in", True, True),
            ("unchecked", True, True),
        ]
        refused(lab, "both", "1 of 2 servers", require_healthy=2)
    assert lab.switch("both")["changed"] is True
    # HAProxy itself does send traffic to them.
    assert lab.switch("spare", require_healthy=0)["changed"] is True
    assert lab.traffic() == "docker"


def test_candidate_that_haproxy_refuses(lab: Lab) -> None:
    with lab.config.open("a") as config:
        config.write("backend odd\n    bogus keyword\n")
    with nothing_changes(lab):
        result = refused(lab, "docker", "haproxy -c refuses", "bogus", "fix that first")
    assert "bogus" in result["validator"]
    assert result["reason"] == "invalid"
    assert ".candidate" not in result["msg"]


def test_runtime_without_the_rule(stopped: Lab) -> None:
    lab = stopped
    lab.config.write_text(lab.text(rule=False))
    lab.start()
    with nothing_changes(lab):
        refused(
            lab, "docker", "frontend 'book-face' has no map rule", "use_backend", engine="runtime"
        )


def test_map_that_is_not_the_rules(lab: Lab) -> None:
    with nothing_changes(lab):
        refused(
            lab,
            "docker",
            "no rule with the map /etc/other.map",
            str(lab.map),
            engine="runtime",
            map="/etc/other.map",
        )


def test_map_file_that_is_not_empty(lab: Lab) -> None:
    lab.map.write_text("# note\nbook-face legacy\n")
    with nothing_changes(lab):
        refused(lab, "docker", str(lab.map), "has an entry for 'book-face' (book-face legacy)")


@pytest.mark.haproxy(since=(2, 4))
@pytest.mark.parametrize("origin", ["config", "origin DIRECTORY", "current", ""])
def test_map_file_by_a_relative_path(stopped: Lab, origin: str) -> None:
    lab = stopped
    text = lab.text().replace(f"map({lab.map})", "map(maps/default_backend.map)")
    if origin:
        line = f"global\n    default-path {origin.replace('DIRECTORY', str(lab.directory))}\n"
        text = text.replace("global\n", line, 1)
    lab.config.write_text(text)
    lab.start()
    done = lab.switch("docker")
    assert (done["engine"], lab.traffic()) == ("runtime", "docker"), done
    lab.map.write_text("book-face legacy\n")
    result = lab.switch("legacy")
    assert f"the map file {lab.map} has an entry for 'book-face'" in result["msg"], result


def test_conditional_lines(lab: Lab) -> None:
    lab.config.write_text(
        lab.text().replace(
            "    default_backend\tlegacy  # decides\n",
            ".if defined(X)\n    default_backend docker\n"
            ".else\n    default_backend legacy\n.endif\n",
        )
    )
    with nothing_changes(lab):
        refused(lab, "docker", "inside an .if block", "outside of .if blocks")


@pytest.mark.parametrize("engine", ["auto", "runtime", "reload"])
def test_stopped_haproxy(stopped: Lab, engine: str) -> None:
    lab = stopped
    result = lab.switch("docker", engine=engine, wait=1)
    assert "HAProxy does not answer" in result["msg"]
    assert UNTOUCHED in result["msg"]
    assert "set engine to file" in result["msg"]
    assert result["reason"] == "unreachable"
    assert lab.config.read_text() == lab.text()


def test_haproxy_that_was_killed_leaves_a_dead_socket(lab: Lab) -> None:
    lab.crash()
    started = time.monotonic()
    result = lab.switch("docker", wait=1)
    assert time.monotonic() - started < 9  # and the start of Python; the wait would take ten
    assert UNTOUCHED in result["msg"]
    assert "1 s" in result["msg"]
    assert lab.config.read_text() == lab.text()


def test_master_socket_that_nobody_serves(lab: Lab) -> None:
    """Refusing is what a master does while it reloads: nothing is written until it answers."""
    stale = lab.directory / "stale.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(stale))
    with nothing_changes(lab):
        refused(lab, "docker", "stale.sock", "within 0.5 s", master_socket=str(stale), wait=0.5)


def test_socket_that_is_not_haproxys(lab: Lab) -> None:
    silent = lab.directory / "silent.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(silent))
        listener.listen()
        with nothing_changes(lab):
            refused(lab, "docker", "silent.sock", socket=str(silent), wait=0.5)
    with nothing_changes(lab):
        refused(lab, "docker", "haproxy.cfg", socket=str(lab.config), wait=0.5)


def test_missing_things(lab: Lab) -> None:
    with nothing_changes(lab):
        missing = lab.directory / "missing.cfg"
        refused(lab, "docker", f"{missing} cannot be read", config=str(missing))
        refused(lab, "docker", "/nonexistent", "No such file", config="/nonexistent/haproxy.cfg")
        refused(lab, "docker", "no file that HAProxy would load", config=str(lab.map.parent))
        refused(lab, "docker", "not an executable program", haproxy="/nonexistent/haproxy")


def test_wrong_parameters(lab: Lab) -> None:
    with nothing_changes(lab):
        assert "value of engine must be one of" in lab.switch("docker", engine="magic")["msg"]
        result = lab.end(lab.begin("haproxy_default_backend", lab.arguments()))
        assert "expected backend or rollback=true, got neither" in result["msg"]


def test_lock_is_waited_for_and_names_its_holder(lab: Lab) -> None:
    handle = os.open(lab.directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with nothing_changes(lab):
            result = lab.switch("docker", lock_timeout=0.3)
            assert "another task is changing" in result["msg"]
            assert f"process {os.getpid()}" in result["msg"]
            assert UNTOUCHED in result["msg"]
            # A check run only reads.
            assert lab.switch("docker", check=True, lock_timeout=0.3)["changed"] is True
        waiting = lab.begin("haproxy_default_backend", lab.arguments(backend="docker"))
        time.sleep(0.5)
        assert waiting.poll() is None
        assert lab.traffic() == "legacy"
    finally:
        os.close(handle)
    assert lab.end(waiting)["changed"] is True
    assert lab.traffic() == "docker"


def test_two_switches_at_once_follow_each_other(lab: Lab) -> None:
    programs = [
        lab.begin("haproxy_default_backend", lab.arguments(backend=name))
        for name in ("docker", "legacy", "docker", "legacy")
    ]
    results = [lab.end(program) for program in programs]
    assert [result.get("failed") for result in results] == [None] * 4
    (decided,) = lab.entry() or ("none",)
    assert f"default_backend\t{decided}" in lab.config.read_text()
    assert lab.traffic() == decided
    assert lab.files() == ["haproxy.cfg"]


def test_file_that_may_not_be_written(lab: Lab) -> None:
    """A full disk: the candidate cannot be written, so nothing else happens."""
    program = Path("/usr/bin/prlimit")
    if not program.exists():
        pytest.fail("prlimit (util-linux) is needed to make a write fail", pytrace=False)
    big = lab.text(extra="# filler\n" * 3000)
    lab.config.write_text(big)
    arguments = lab.arguments(backend="docker")
    running = lab.begin("haproxy_default_backend", arguments, prefix=[str(program), "--fsize=8192"])
    result = lab.end(running)
    assert "cannot write" in result["msg"]
    assert UNTOUCHED in result["msg"]
    assert lab.config.read_text() == big
    assert lab.files() == ["haproxy.cfg"]
    assert (lab.entry(), lab.traffic()) == ((), "legacy")


@pytest.mark.parametrize("engine", ["auto", "file"])
@pytest.mark.parametrize("name", ['"${ACTIVE}"', '"leg${REST}"', '"$ACTIVE"'])
def test_a_default_that_could_not_be_written_back(stopped: Lab, name: str, engine: str) -> None:
    lab = stopped
    text = lab.text(default=name)
    head = "global\n setenv ACTIVE legacy\n setenv REST acy\n"
    lab.config.write_text(text.replace("global\n", head))
    lab.start()
    with nothing_changes(lab):
        refused(lab, "docker", f"is computed ({name[1:-1]})", "Write the name", engine=engine)


def test_a_default_in_the_defaults_that_could_not_be_written_back(stopped: Lab) -> None:
    lab = stopped
    text = lab.text().replace("    default_backend\tlegacy  # decides\n", "")
    head = "global\n setenv ACTIVE legacy\n"
    text = text.replace("global\n", head)
    lab.config.write_text(text.replace("defaults\n", 'defaults\n default_backend "${ACTIVE}"\n'))
    lab.start()
    with nothing_changes(lab):
        refused(lab, "docker", "is computed (${ACTIVE})")


def test_a_listen_section_that_serves_by_itself(stopped: Lab) -> None:
    lab = stopped
    server = f"    server own 127.0.0.1:{lab.web['legacy'].port}\n"
    text = lab.text(rule=False).replace("    default_backend\tlegacy  # decides\n", server)
    lab.config.write_text(text.replace("frontend book-face", "listen book-face"))
    lab.start()
    with nothing_changes(lab):
        refused(lab, "docker", "has servers of its own", "Move its servers into a backend")


@pytest.mark.parametrize("name", ["'static'", '"static"', "stat\\x69c", "stat'ic'"])
def test_the_way_back_to_a_backend_without_servers(stopped: Lab, name: str) -> None:
    """It answers by itself. However its name was written, it gets the traffic back."""
    lab = stopped
    lab.config.write_text(
        lab.text(
            default=name,
            extra="backend static\n    http-request return status 200 "
            "content-type text/plain string static\n",
        )
    )
    lab.start()
    assert lab.traffic() == "static"
    assert lab.switch("docker")["previous_backend"] == "static"
    assert lab.traffic() == "docker"
    done = lab.switch(None, rollback=True)  # type: ignore[arg-type]
    assert (done.get("failed"), lab.traffic()) == (None, "static"), done
    proof = {
        "socket": str(lab.admin), "backend": "static", "url": done["door"], "content": "static",
        "identified": False, "requests": 2, "seconds": 0, "before": done["counted"],
    }  # fmt: skip
    assert "failed" not in lab.end(lab.begin("haproxy_proof", proof))
