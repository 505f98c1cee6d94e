# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a server out of a real HAProxy while one of its downloads is held open."""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.meanwhile import meanwhile

if TYPE_CHECKING:
    from conftest import Lab


class Held:
    """A web server whose /long sends its first half at once and the second when told to.

    All its pages are errors while it is C(broken), and its checks pass.
    """

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.broken = threading.Event()
        go_on, broken = self.go_on, self.broken

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = b"first second" if self.path == "/long" else b"held"
                self.send_response(500 if broken.is_set() and self.path != "/ready" else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[:6])
                self.wfile.flush()
                if self.path == "/long":
                    go_on.wait(30)
                    self.wfile.write(body[6:])

            def log_message(self, *_args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_args: object) -> None:
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = int(self.server.server_address[1])
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def held() -> Iterator[Held]:
    server = Held()
    yield server
    server.stop()


@pytest.fixture
def pair(stopped: Lab, held: Held) -> Lab:
    """Backend docker of two servers that pass their checks; it has the traffic."""
    text = stopped.text(default="docker")
    gone = "    server docker2 127.0.0.1:9 check\n"
    assert gone in text
    stopped.config.write_text(text.replace(gone, f"    server held 127.0.0.1:{held.port} check\n"))
    stopped.start()
    return stopped


def server(
    lab: Lab, state: str, name: str | list[str] = "held", check: bool = False, **more: Any
) -> Any:
    arguments = lab.arguments(server=name, state=state, **{"backend": "docker", **more})
    del arguments["frontend"]
    return lab.end(
        lab.begin(
            "haproxy_server", arguments | {"_ansible_check_mode": check, "_ansible_diff": True}
        )
    )


def download(lab: Lab) -> HTTPResponse:
    """A download from the held server, its first half read."""
    for _try in range(4):
        connection = HTTPConnection("127.0.0.1", lab.port, timeout=30)
        connection.request("GET", "/long")
        reply = connection.getresponse()
        if reply.read(6) == b"first ":
            return reply
        connection.close()
    pytest.fail("no request reached the held server")


def seen(lab: Lab) -> set[str]:
    return {lab.traffic() for _request in range(6)}


def status(lab: Lab, name: str = "held") -> str:
    return next(s.status for s in lab.stats.stat(5).servers_of("docker") if s.name == name)


def test_a_drained_server_finishes_and_the_others_serve(pair: Lab, held: Held) -> None:
    lab = pair
    assert seen(lab) == {"docker", "held"}
    reply = download(lab)

    previewed = server(lab, "drain", check=True)
    assert (previewed["changed"], previewed["sessions"], status(lab)) == (True, 1, "UP")
    began = time.monotonic()
    late = server(lab, "drain", wait=1)
    assert 1 <= time.monotonic() - began < 8
    assert late["failed"]
    assert "docker/held: state drain is set" in late["msg"]
    assert late["reason"] == "timeout"
    assert "sessions left: 1" in late["msg"]
    assert (late["sessions"], late["changed"], late["diff"]) == (1, True, previewed["diff"])
    assert status(lab) == "DRAIN"
    assert seen(lab) == {"docker"}

    waiting = lab.begin("haproxy_server", lab_arguments(lab, state="drain", wait=20))
    time.sleep(6)
    assert waiting.poll() is None
    held.go_on.set()
    done = lab.end(waiting)
    assert (done.get("failed", False), done["changed"], done["sessions"]) == (False, False, 0)
    assert 1 < done["waited"] < 15
    assert reply.read() == b"second"

    ready = server(lab, "ready")
    assert (ready["changed"], ready["diff"]["before"]) == (True, "docker/held drain\n")
    assert not server(lab, "ready")["changed"]
    assert seen(lab) == {"docker", "held"}


def lab_arguments(lab: Lab, **more: Any) -> dict[str, Any]:
    arguments = lab.arguments(server="held", backend="docker", **more)
    del arguments["frontend"]
    return arguments


def test_sessions_of_a_replaced_worker_count(pair: Lab, held: Held) -> None:
    """After a reload the old worker finishes the download, and the new one knows nothing of it."""
    lab = pair
    reply = download(lab)
    lab.reload()
    lab.until(lambda: status(lab) == "UP", "the new worker's checks")
    late = server(lab, "drain", wait=1)
    assert late["sessions"] == 1, late
    assert "sessions left: 1" in late["msg"]
    held.go_on.set()
    assert server(lab, "drain")["sessions"] == 0
    assert reply.read() == b"second"


def test_the_last_that_serves_is_kept(pair: Lab) -> None:
    lab = pair
    assert server(lab, "maint")["changed"]
    assert status(lab) == "MAINT"
    refused = server(lab, "drain", name="docker1")
    assert "backend docker gets traffic" in refused["msg"]
    assert "others: held MAINT" in refused["msg"]
    assert refused["reason"] == "too_few_servers"
    assert "Nothing was changed" in refused["msg"]
    assert (status(lab, "docker1"), seen(lab)) == ("UP", {"docker"})
    # Where the traffic does not go, nobody needs the server.
    lab.switch("legacy")
    assert server(lab, "drain", name="docker1")["changed"]
    assert server(lab, "ready", name="docker1")["changed"]
    lab.switch("docker")
    assert server(lab, "drain", name="docker1", keep=0)["changed"]
    assert seen(lab) == {"status 503"}
    assert server(lab, "ready")["changed"]
    assert seen(lab) == {"held"}


def test_servers_that_leave_together_do_not_count_for_each_other(pair: Lab) -> None:
    both = ["docker1", "held"]
    refused = server(pair, "drain", name=both)
    assert "without docker1, held, expected at least 1 other" in refused["msg"]
    assert refused["reason"] == "too_few_servers"
    assert (status(pair, "docker1"), status(pair)) == ("UP", "UP")
    done = server(pair, "drain", name=[*both, "nosuch"], keep=0, missing="ignore")
    assert [one["name"] for one in done["servers"]] == both
    assert (status(pair, "docker1"), status(pair)) == ("DRAIN", "DRAIN")
    assert "no server docker/nosuch" in server(pair, "ready", name=[*both, "nosuch"])["msg"]
    assert server(pair, "ready", name=both)["changed"]


def test_a_dead_server_is_drained_at_once(pair: Lab) -> None:
    done = server(pair, "drain", name="gone", backend="dead", wait=5)
    assert (done["changed"], done["sessions"]) == (True, 0)
    assert done["waited"] < 2
    assert not server(pair, "drain", name="gone", backend="dead")["changed"]
    late = server(pair, "ready", name="gone", backend="dead", wait=1)
    assert "dead/gone has not passed a check: status DOWN, last check L4CON" in late["msg"]


def test_in_every_backend_and_until_the_next_reload(pair: Lab) -> None:
    lab = pair
    # docker1 is the only server of "off", which is disabled, and one of "docker".
    done = server(lab, "drain", name="docker1", backend=None)
    assert "servers" in done, done
    assert [(s["backend"], s["before"]) for s in done["servers"]] == [("docker", "ready")]
    assert status(lab, "docker1") == "DRAIN"
    lab.reload()
    lab.until(lambda: status(lab, "docker1") == "UP", "the server's return")


@pytest.mark.parametrize(
    ("arguments", "reason", "message"),
    [
        (
            {"name": "nosuch"},
            "no_such_server",
            "there is no server docker/nosuch; existing servers: docker/docker1, ",
        ),
        (
            {"backend": "nosuch"},
            "no_such_server",
            "there is no server nosuch/held; existing servers: legacy/web1, ",
        ),
        (
            {"socket": "/nowhere.sock"},
            "unreachable",
            "Start HAProxy with 'stats socket PATH level admin'",
        ),
        ({"config": "/nowhere/haproxy.cfg"}, "file", "/nowhere cannot be opened"),
    ],
)
def test_wrong_input(pair: Lab, arguments: dict[str, Any], reason: str, message: str) -> None:
    result = server(pair, "drain", **arguments)
    assert message in result["msg"]
    assert result["reason"] == reason
    assert "Nothing was changed" in result["msg"]
    assert seen(pair) == {"docker", "held"}


def test_a_refusal_to_show_the_map_is_a_failure(pair: Lab) -> None:
    """Taken for an empty map, it would let the last server go of a backend that has a share."""
    lab = pair
    lab.switch("legacy")
    lab.stats.write_entry(str(lab.map), "book-face", "docker", exists=True, seconds=5)
    assert server(lab, "maint")["changed"]
    with refusing(lab, "show map") as path:
        refused = server(lab, "drain", name="docker1", socket=path)
    assert (refused["failed"], refused["reason"]) == (True, "refused")
    assert "show map" in refused["msg"]
    assert "Permission denied" in refused["msg"]
    assert status(lab, "docker1") == "UP"


@contextlib.contextmanager
def refusing(lab: Lab, command: str) -> Iterator[str]:
    """A socket in front of HAProxy's that refuses one command and passes on all others."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked = self.rfile.readline().decode().rstrip("\n")
            refused = asked.startswith(command)
            reply = "Permission denied\n\n" if refused else lab.stats.ask(asked, 5)
            self.wfile.write(reply.encode())

    path = str(lab.directory / "refusing.sock")
    with socketserver.ThreadingUnixStreamServer(path, Handler) as front:
        threading.Thread(target=front.serve_forever, args=(0.05,), daemon=True).start()
        yield path
        front.shutdown()


def test_a_socket_without_the_right(pair: Lab) -> None:
    lab = pair
    socket_path = lab.directory / "user.sock"
    text = lab.config.read_text()
    lab.config.write_text(
        text.replace("global\n", f"global\n stats socket {socket_path} level user\n")
    )
    lab.reload()
    refused = server(lab, "drain", socket=str(socket_path))
    assert "level admin" in refused["msg"]
    assert refused["reason"] == "refused"
    assert "Nothing was changed" in refused["msg"]
    assert seen(lab) == {"docker", "held"}
    with socket.socket(socket.AF_UNIX) as still_there:
        still_there.connect(str(socket_path))


def clients(lab: Lab, cookie: str = "") -> AbstractContextManager[None]:
    """Somebody who asks all the time."""
    return meanwhile(lambda: lab.traffic(headers={"Cookie": cookie} if cookie else {}))


def test_a_server_that_serves_passes_while_it_is_watched(pair: Lab) -> None:
    with clients(pair):
        watched = server(pair, "ready", watch=0.5)
    assert not watched["changed"]
    assert watched["counted"]["responses"] > 0
    assert watched["counted"]["errors"] == 0


STICKY = {
    "cookie": ("cookie SRV insert indirect nocache", "cookie SRV"),
    "table": ("stick-table type ip size 1k expire 5m\n    stick on src", "stick on src"),
    "rule": ("use-server held if { path / }", "use-server held if"),
}


@pytest.mark.parametrize("how", STICKY)
def test_a_server_that_keeps_its_clients_is_not_drained(pair: Lab, how: str) -> None:
    """It has no session whenever somebody looks, and goes on serving."""
    lab = pair
    lines, line = STICKY[how]
    text = lab.config.read_text().replace("backend docker\n", f"backend docker\n    {lines}\n")
    if how == "cookie":
        text = re.sub(r"(server docker1 \S+) check", r"\1 check cookie s1", text, count=1)
        text = re.sub(r"(server held \S+) check", r"\1 check cookie s2", text)
    lab.config.write_text(text)
    lab.reload()
    lab.until(lambda: status(lab) == "UP", "the new worker's checks")
    if how == "table":
        server(lab, "maint", name="docker1", keep=0)
        assert lab.traffic() == "held"
        server(lab, "ready", name="docker1")
    with clients(lab, "SRV=s2" if how == "cookie" else ""):
        late = server(lab, "drain", wait=2)
        assert (late["failed"], late["reason"]) == (True, "timeout"), late
        assert f"backend docker has persistence ({line}" in late["msg"]
        assert "state maint" in late["msg"]
        assert f"({line}" in str(late["warnings"])
        # A rolling replacement asks for this.
        done = server(lab, "drain", wait=10, persistent="maint")
        assert (done.get("failed"), done["servers"][0]["state"]) == (None, "maint"), done
        assert "docker" in done["persistence"]
        assert status(lab) == "MAINT"
    assert "warnings" not in done


def test_errors_of_its_first_answers_fail_at_once(pair: Lab, held: Held) -> None:
    server(pair, "drain")
    held.broken.set()
    began = time.monotonic()
    with clients(pair):
        watched = server(pair, "ready", watch=60)
    assert time.monotonic() - began < 30
    assert watched["failed"]
    assert watched["reason"] == "errors"
    assert "answers from the servers of docker/held to all clients were errors" in watched["msg"]
    assert watched["counted"]["errors"] >= 3
    # It is for the caller to take it out.
    assert watched["servers"][0]["state"] == "ready"


def test_a_backend_may_be_watched_without_a_request(pair: Lab, held: Held) -> None:
    """By the proof of a switch, which otherwise makes some itself."""

    def watch(**more: Any) -> dict[str, Any]:
        arguments = {"socket": str(pair.admin), "backend": "docker", **more}
        return pair.end(pair.begin("haproxy_proof", arguments))

    held.broken.set()
    with clients(pair):
        earlier = watch(seconds=0.5, errors_percent=100)["counted"]
        held.broken.clear()
        assert earlier["errors"] > 0
        began = time.monotonic()
        assert watch(before=earlier, seconds=1.5, errors_percent=50)["counted"]["responses"] > 0
        assert time.monotonic() - began > 1.5
        held.broken.set()
        failed = watch(before=earlier, seconds=60)
    assert time.monotonic() - began < 30
    assert (failed["failed"], failed["reason"]) == (True, "errors")


def test_what_is_tolerated_passes(pair: Lab, held: Held) -> None:
    held.broken.set()
    with clients(pair):
        assert "failed" not in server(pair, "ready", watch=0.5, errors_percent=100)


def test_nobody_is_watched_without_traffic(pair: Lab) -> None:
    pair.config.write_text(pair.config.read_text().replace("_backend\tdocker", "_backend\tlegacy"))
    began = time.monotonic()
    watched = server(pair, "ready", watch=60)
    assert time.monotonic() - began < 30
    assert "counted" not in watched
