# SPDX-License-Identifier: GPL-3.0-or-later
"""The gradual shift, judged by what clients of every cohort get."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.switch import (
    cohort_text,
    rule_text,
)

from tests.support.load import Load

if TYPE_CHECKING:
    from conftest import Lab

COOKIE = "bookface_cohort"


def text(lab: Lab, **more: str) -> str:
    """The configuration with the rules of a shift, and a third backend that serves."""
    rule = rule_text(str(lab.map))
    third = f"backend swarm\n    server s1 127.0.0.1:{lab.web['docker'].port} check\n"
    third += "    http-response set-header X-Third yes\n"
    plain = lab.text(extra=third, **more)
    return plain.replace(f"    {rule}\n", indented(cohort_text(str(lab.map), "bookface_cohort")))


def indented(lines: str) -> str:
    return "".join(f"    {line}\n" for line in lines.splitlines())


@pytest.fixture
def ready(stopped: Lab) -> Lab:
    """A laboratory whose frontend can tell its clients apart."""
    stopped.config.write_text(text(stopped))
    stopped.start()
    return stopped


def ask(lab: Lab, cookie: object = None, address: str = "127.0.0.1") -> tuple[str, str | None]:
    """Who answers a new client, and the cookie that it gets."""
    source = (address, 0)
    connection = HTTPConnection("127.0.0.1", lab.port, timeout=10, source_address=source)
    try:
        connection.request("GET", "/", headers={"Cookie": f"{COOKIE}={cookie}"} if cookie else {})
        reply = connection.getresponse()
        name = reply.read().decode()
        return ("swarm" if reply.headers["X-Third"] else name), reply.headers["Set-Cookie"]
    finally:
        connection.close()


def cohorts(lab: Lab, backend: str = "docker") -> list[int]:
    """The cohorts that this backend serves."""
    return [n for n in range(100) if ask(lab, f"{n}")[0] == backend]


def shift(lab: Lab) -> dict[str, Any] | None:
    found = lab.info()["frontends"]["book-face"]
    assert (found["live_backend"], found["live_source"]) in [("legacy", "map"), ("legacy", "file")]
    under_way: dict[str, Any] | None = found["shift"]
    return under_way


def keys(lab: Lab) -> set[str]:
    return {key for key, _value in lab.stats.map_entries(str(lab.map), 5) or ()}


def test_check_then_real_then_repeat(ready: Lab) -> None:
    lab = ready
    worker = lab.pid()
    checked = lab.switch("docker", percent=30, check=True)
    assert (checked["changed"], checked["percent"]) == (True, 30)
    assert (cohorts(lab), keys(lab), shift(lab)) == ([], set(), None)

    done = lab.switch("docker", percent=30)
    assert (done["changed"], done["engine"], done["action"]) == (True, "runtime", "map")
    assert (done["backend"], done["percent"], done["previous_backend"]) == ("docker", 30, "legacy")
    assert (done["previous_shift"], done["validator"]) == (None, "")
    assert done["diff"] == checked["diff"]
    line, live = done["diff"]
    assert line["before"] == line["after"] == "    default_backend\tlegacy  # decides\n"
    assert (live["before"], live["after"]) == (
        "",
        "book-face legacy\nbook-face/0-29 docker\n",
    )
    assert cohorts(lab) == list(range(30))
    assert shift(lab) == {"backend": "docker", "percent": 30}
    # The file is as it was, and so is the worker.
    assert (lab.config.read_text(), lab.files()) == (text(lab), ["haproxy.cfg"])
    assert lab.pid() == worker
    for check in (False, True):
        again = lab.switch("docker", percent=30, check=check)
        assert (again["changed"], again["action"]) == (False, "nothing")
        assert again["previous_shift"] == {"backend": "docker", "percent": 30}
        assert again["diff"][1]["before"] == again["diff"][1]["after"]


def test_a_client_that_was_moved_stays_moved(ready: Lab) -> None:
    """By their addresses, without cookies: the share grows and shrinks at one end."""
    lab = ready
    addresses = [f"127.{n % 7}.{n}.{n + 1}" for n in range(60)]
    before: set[str] = set()
    sizes = []
    for percent in (1, 10, 50, 90, 99):
        assert lab.switch("docker", percent=percent)["changed"] is True
        moved = {one for one in addresses if ask(lab, address=one)[0] == "docker"}
        assert before <= moved
        before = moved
        sizes.append(len(moved))
    assert sizes[0] < 10 < sizes[2] < 50 < sizes[-1]
    assert lab.switch("docker", percent=10)["changed"] is True
    fewer = {one for one in addresses if ask(lab, address=one)[0] == "docker"}
    assert fewer < before
    assert len(fewer) == sizes[1]
    assert cohorts(lab) == list(range(10))


def test_the_cookie_repeats_the_cohort(ready: Lab) -> None:
    lab = ready
    assert ask(lab)[1] is None
    lab.switch("docker", percent=50)
    homes = set()
    for n in range(20):
        name, cookie = ask(lab, address=f"127.1.1.{n + 1}")
        assert cookie is not None
        value, *attributes = cookie.split("; ")
        assert attributes == ["Path=/", "HttpOnly", "SameSite=Lax"]
        number = int(value.removeprefix(f"{COOKIE}="))
        assert name == ("docker" if number < 50 else "legacy")
        # The same client elsewhere: its cookie decides, and it gets no other.
        assert ask(lab, number, address=f"127.9.9.{n + 1}") == (name, None)
        homes.add(name)
    assert homes == {"docker", "legacy"}
    for odd in ("100", "-1", "x", "1x", "07", "+7", "7.5"):
        name, cookie = ask(lab, odd, address="127.1.1.1")
        assert (name, cookie) == ask(lab, address="127.1.1.1")
    # The switch is over: no cookies, and old ones mean nothing.
    lab.switch("docker")
    assert {ask(lab, f"{n}") for n in range(0, 100, 9)} == {("docker", None)}


def test_the_last_step_is_the_switch(ready: Lab) -> None:
    lab = ready
    lab.switch("docker", percent=70)
    done = lab.switch("docker")
    assert (done["changed"], done["percent"], done["previous_backend"]) == (True, 100, "legacy")
    assert done["previous_shift"] == {"backend": "docker", "percent": 70}
    assert done["diff"][1]["after"] == "book-face docker\n"
    assert keys(lab) == {"book-face"}
    assert lab.config.read_text() == text(lab, default="docker")
    assert lab.traffic() == "docker"
    assert lab.info()["frontends"]["book-face"]["shift"] is None
    assert lab.switch("docker")["changed"] is False


@pytest.mark.parametrize(
    "options", [{"backend": "legacy"}, {"rollback": True}], ids=["default", "rollback"]
)
def test_a_shift_is_given_up(ready: Lab, options: dict[str, Any]) -> None:
    lab = ready
    lab.switch("docker", percent=99)
    options = {"backend": None, **options}
    assert lab.switch(check=True, **options)["changed"] is True
    assert len(keys(lab)) == 100
    done = lab.switch(**options)
    assert (done["changed"], done["backend"], done["percent"]) == (True, "legacy", 100)
    assert (keys(lab), lab.config.read_text()) == ({"book-face"}, text(lab))
    assert cohorts(lab, "legacy") == list(range(100))
    assert lab.switch(**options)["changed"] is False


def test_another_backend_takes_a_shift_over(ready: Lab) -> None:
    lab = ready
    lab.switch("docker", percent=40)
    done = lab.switch("swarm", percent=20)
    assert done["previous_shift"] == {"backend": "docker", "percent": 40}
    assert done["diff"][1]["before"] == "book-face legacy\nbook-face/0-39 docker\n"
    assert shift(lab) == {"backend": "swarm", "percent": 20}
    assert cohorts(lab, "swarm") == list(range(20))
    assert cohorts(lab, "docker") == []


def test_a_reload_ends_a_shift(ready: Lab) -> None:
    lab = ready
    lab.switch("docker", percent=40)
    lab.reload()
    assert (cohorts(lab), shift(lab)) == ([], None)
    again = lab.switch("docker", percent=40, require_healthy=0)
    assert (again["changed"], again["previous_shift"]) == (True, None)
    assert cohorts(lab) == list(range(40))


def test_what_a_killed_run_has_left(ready: Lab) -> None:
    """Cohort 0 opens a shift. Without it the others decide nothing, and the next run goes on."""
    lab = ready
    for n in (5, 7):
        lab.stats.write_entry(str(lab.map), f"book-face/{n}", "docker", False, 5)
    assert (cohorts(lab), shift(lab)) == ([], None)
    assert lab.switch("legacy")["changed"] is True
    assert keys(lab) == {"book-face"}
    lab.stats.write_entry(str(lab.map), "book-face/9", "dead", False, 5)
    # Others' entries stay.
    lab.stats.write_entry(str(lab.map), "other/9", "dead", False, 5)
    assert lab.switch("docker", percent=8)["changed"] is True
    assert cohorts(lab) == list(range(8))
    assert keys(lab) == {"book-face", "other/9", *(f"book-face/{n}" for n in range(8))}


def test_who_is_asked(ready: Lab) -> None:
    """The target's servers, when it gains clients; not when it loses them."""
    lab = ready
    assert "0 of 1 servers" in lab.switch("dead", percent=10)["msg"]
    assert "1 of 2 servers" in lab.switch("docker", percent=10, require_healthy=2)["msg"]
    assert keys(lab) == set()
    lab.switch("dead", percent=10, require_healthy=0)
    assert "0 of 1 servers" in lab.switch("dead", percent=11)["msg"]
    assert lab.switch("dead", percent=9)["changed"] is True
    assert shift(lab) == {"backend": "dead", "percent": 9}


def test_what_is_refused(ready: Lab) -> None:
    lab = ready
    lab.switch("legacy")
    refusals: list[tuple[str, dict[str, Any], str]] = [
        ("docker", {"engine": "file", "percent": 10}, "requires engine runtime or auto, got file"),
        ("docker", {"engine": "reload", "percent": 10}, "Set engine to auto, or percent to 100"),
        ("legacy", {"percent": 10}, "is already the default_backend of frontend 'book-face'"),
        ("nosuch", {"percent": 10}, "existing backends: legacy, docker, dead"),
        ("off", {"percent": 10}, "backend off is disabled"),
        ("docker", {"percent": 0}, "percent is 0, expected a number from 1 to 100"),
        ("docker", {"percent": 101}, "percent is 101"),
    ]
    for backend, options, why in refusals:
        for check in (True, False):
            refused = lab.switch(backend, check=check, **options)
            assert refused.get("failed") is True, refused
            assert why in refused["msg"]
            assert "Nothing was changed" in refused["msg"]
    assert "is of type" in lab.switch("docker", percent="many")["msg"]
    assert (keys(lab), lab.config.read_text()) == ({"book-face"}, text(lab))


def test_file_and_traffic_must_agree(ready: Lab) -> None:
    """Who keeps the other clients is known before a share of them is moved."""
    lab = ready
    lab.switch("docker")
    lab.config.write_text(text(lab, default="legacy"))
    refused = lab.switch("swarm", percent=10)
    assert (
        "names 'legacy' as default_backend, but the running HAProxy follows docker"
        in (refused["msg"])
    )
    assert lab.switch("legacy")["changed"] is True
    assert lab.switch("swarm", percent=10)["changed"] is True


def test_tcp_mode(stopped: Lab) -> None:
    lab = stopped
    tcp = lab.text().replace("    bind", "    mode tcp\n    bind", 1)
    lab.config.write_text(tcp.replace("backend legacy\n", "backend legacy\n    mode tcp\n"))
    lab.start(settle=False)
    refused = lab.switch("docker", percent=10, require_healthy=0)
    assert "frontend book-face is in TCP mode" in refused["msg"]


@pytest.mark.parametrize("rule", [True, False])
def test_the_lines_of_the_message_are_all_that_it_takes(stopped: Lab, rule: bool) -> None:
    lab = stopped
    lab.config.write_text(lab.text(rule=rule))
    lab.start()
    refused = lab.switch("docker", percent=10, map=str(lab.map))["msg"]
    assert "has no rules for a gradual shift" in refused
    # Anything but a share is possible as before.
    assert lab.switch("legacy", require_healthy=0).get("failed") is None
    begin, end = refused.index("acl shifting"), refused.index("\nThen reload HAProxy once")
    lines = indented(refused[begin:end])
    plain = lab.text(rule=False)
    lab.config.write_text(plain.replace("    default_backend", f"{lines}    default_backend", 1))
    lab.reload()
    assert lab.switch("docker", percent=10, require_healthy=0)["changed"] is True
    assert cohorts(lab) == list(range(10))


@pytest.mark.load
def test_no_request_fails_under_load(ready: Lab) -> None:
    lab = ready
    url = f"http://127.0.0.1:{lab.port}/"
    with Load([url], rate=150, expect="^(legacy|docker)$", at_least=300) as load:
        for options in ({"percent": 1}, {"percent": 50}, {}, {"rollback": True}, {"percent": 99}):
            backend = None if "rollback" in options else "docker"
            load.wait_for(40, seconds=20)
            assert lab.switch(backend, **options)["changed"] is True
        load.wait_for(40, seconds=20)
    assert load.summary.failed == 0, load.summary.examples


@contextmanager
def refusing(lab: Lab, command: bytes) -> Iterator[str]:
    """A socket in front of HAProxy's that refuses one command, as HAProxy does to the unworthy."""

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            asked = self.rfile.readline()
            if asked.startswith(command):
                self.wfile.write(b"Permission denied\n")
            else:
                reply = lab.stats.ask(asked.decode().rstrip("\n"), 5)
                self.wfile.write(reply.encode())

    path = str(lab.directory / "refusing.sock")
    with ThreadingUnixStreamServer(path, Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield path
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("percent", [60, 100])
def test_a_write_that_fails_half_way_is_taken_back(ready: Lab, percent: int) -> None:
    lab = ready
    lab.switch("docker", percent=3)
    record = json.loads((lab.directory / "haproxy.cfg.previous.json").read_text())
    step = {60: "add map {} book-face/50 ", 100: "del map {} book-face/1"}[percent]
    with refusing(lab, step.format(lab.map).encode()) as path:
        failed = lab.switch("docker", percent=percent, socket=path, wait=5)
    assert failed.get("failed") is True, failed
    assert "could not be switched to docker" in failed["msg"]
    assert "Permission denied" in failed["msg"]
    assert "restored (book-face legacy, book-face/0-2 docker)" in failed["msg"]
    assert (cohorts(lab), lab.config.read_text()) == ([0, 1, 2], text(lab))
    assert shift(lab) == {"backend": "docker", "percent": 3}
    assert json.loads((lab.directory / "haproxy.cfg.previous.json").read_text()) == record
    assert lab.switch("docker", percent=percent)["changed"] is True
