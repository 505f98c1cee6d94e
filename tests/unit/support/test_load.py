"""The load client against servers that misbehave on purpose: each failure under its own name."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.files import write_json
from tests.support.load import Load, LoadError, Summary, client, percentile
from tests.support.load.__main__ import main
from tests.support.load.errors import BadResponseError, EndedEarlyError
from tests.support.load.mix import allot, parse_mix
from tests.support.load.parser import ResponseParser
from tests.support.load.target import parse_header, resolve
from tests.support.paths import ROOT
from tests.support.waiting import until

COMMAND = [sys.executable, "-m", "tests.support.load"]


class Server:
    """A TCP server; `talk(socket, number)` is called in a thread for each connection."""

    def __init__(self, talk: Callable[[socket.socket, int], None]) -> None:
        self._talk = talk
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                self.connections += 1
                args = (client, self.connections)
                threading.Thread(target=self._serve, args=args, daemon=True).start()

    def _serve(self, client: socket.socket, number: int) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(10)
            self._talk(client, number)

    def close(self) -> None:
        # shutdown wakes the thread in accept(); close alone would leave the port listening
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


Serve = Callable[[Callable[[socket.socket, int], None]], Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[Server] = []

    def start(talk: Callable[[socket.socket, int], None]) -> Server:
        servers.append(Server(talk))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def read_request(client: socket.socket) -> bytes:
    """One request's header; empty when the client has closed."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        part = client.recv(4096)
        if not part:
            return b""
        data += part
    return data


def answer(
    body: bytes = b"Welcome",
    status: str = "200 OK",
    version: str = "1.1",
    length: int | None = None,
    **headers: str,
) -> bytes:
    lines = [f"HTTP/{version} {status}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def undisturbed(test: Callable[..., None]) -> Callable[..., None]:
    """A busy machine can only spoil what is judged by the clock: one good try of three will do."""

    @functools.wraps(test)
    def tries(*args: Any, **fixtures: Any) -> None:
        for _ in range(2):
            with contextlib.suppress(AssertionError):
                return test(*args, **fixtures)
        return test(*args, **fixtures)

    return tries


def well(client: socket.socket, _number: int) -> None:
    """A good server: keeps the connection unless the client wants it closed, and says so."""
    while request := read_request(client):
        if b"Connection: close" in request:
            client.sendall(answer(Connection="close"))
            return
        client.sendall(answer(X_Bookface_Backend="docker", X_Bookface_Server="web1"))


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def once(reply: bytes) -> Callable[[socket.socket, int], None]:
    """Answer one request with these bytes, then close."""

    def talk(client: socket.socket, _number: int) -> None:
        if read_request(client):
            client.sendall(reply)

    return talk


def always(reply: bytes) -> Callable[[socket.socket, int], None]:
    """Answer each request with these bytes."""

    def talk(client: socket.socket, _number: int) -> None:
        while read_request(client):
            client.sendall(reply)

    return talk


def run(server: Server | str, kind: str = "kept", requests: int = 3, **options: Any) -> Summary:
    """A few requests by one client."""
    url = server if isinstance(server, str) else server.url
    everything: dict[str, Any] = {
        "clients": 1,
        "mix": f"{kind}=1",
        "requests": requests,
        "timeout": 3,
    } | options
    return Load([url], **everything).run()


# --- What is no failure


@pytest.mark.parametrize(("kind", "connections"), [("new", 5), ("kept", 1)])
def test_good_server(serve: Serve, kind: str, connections: int) -> None:
    server = serve(well)
    summary = run(server, kind, requests=5, expect="^Wel")
    assert (summary.requests, summary.failed, summary.failures) == (5, 0, {})
    assert summary.examples == []
    assert summary.connections == server.connections == connections
    assert summary.by_status == {"200": 5}
    assert summary.stopped_by == "requests"


def test_announced_close_is_no_failure(serve: Serve) -> None:
    server = serve(once(answer(Connection="close")))
    summary = run(server, "kept")
    assert (summary.requests, summary.failed) == (3, 0), summary.examples
    assert server.connections == 3


def test_http_1_0_closes_without_announcement(serve: Serve) -> None:
    delimited_by_close = b"HTTP/1.0 200 OK\r\n\r\nWelcome"
    for reply in (delimited_by_close, answer(version="1.0")):
        server = serve(once(reply))
        summary = run(server, "kept", expect="Welcome$")
        assert (summary.requests, summary.failed) == (3, 0), summary.examples
        assert server.connections == 3


def test_http_1_1_without_a_length_ends_by_closing(serve: Serve) -> None:
    server = serve(once(b"HTTP/1.1 200 OK\r\n\r\nWelcome"))
    summary = run(server, "kept", expect="Welcome$")
    assert (summary.requests, summary.failed) == (3, 0), summary.examples


def test_new_clients_never_reuse_a_connection_that_the_server_keeps(serve: Serve) -> None:
    server = serve(always(answer()))
    assert run(server, "new").connections == server.connections == 3


def test_http_1_0_that_keeps_alive(serve: Serve) -> None:
    server = serve(always(answer(version="1.0", Connection="Keep-Alive")))
    assert run(server, "kept").failed == 0
    assert server.connections == 1


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + answer(),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nWel\r\n4\r\ncome\r\n"
        b"0\r\nTrailer: yes\r\n\r\n",
        answer(status="404 Not Found"),
    ],
)
def test_ends_are_recognised_on_a_kept_connection(serve: Serve, reply: bytes) -> None:
    server = serve(always(reply))
    summary = run(server, "kept")
    assert (summary.requests, summary.failed) == (3, 0), summary.examples
    assert server.connections == 1


def test_close_that_interim_answers_delay(serve: Serve) -> None:
    def talk(client: socket.socket, _number: int) -> None:
        read_request(client)
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    summary = run(serve(talk), "new", requests=1)
    assert summary.failures == {"ended_early": 1}
    assert summary.by_status == {}


# --- Each kind of failure, once


def test_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    summary = run(f"http://127.0.0.1:{port}/", "kept", requests=2)
    assert (summary.requests, summary.failed, summary.failures) == (2, 2, {"refused": 2})
    assert summary.latency_ms == {"p50": None, "p95": None, "p99": None, "max": None}


def test_reset_before_the_answer(serve: Serve) -> None:
    def talk(client: socket.socket, number: int) -> None:
        read_request(client)
        if number == 2:
            reset(client)
        else:
            client.sendall(answer(Connection="close"))

    summary = run(serve(talk), "new")
    assert (summary.requests, summary.failed, summary.failures) == (3, 1, {"reset": 1})


def test_reset_within_the_answer_on_a_reused_connection(serve: Serve) -> None:
    def talk(client: socket.socket, number: int) -> None:
        read_request(client)
        client.sendall(answer())
        read_request(client)
        client.sendall(answer(b"Wel", length=7) if number == 1 else answer(Connection="close"))
        if number == 1:
            time.sleep(0.1)  # the client is to have read the beginning
            reset(client)

    summary = run(serve(talk), "kept", requests=4)
    assert (summary.requests, summary.failed, summary.failures) == (4, 1, {"reset": 1})
    assert summary.examples[0]["reused"] is True


@pytest.mark.parametrize("how", ["close", "reset"])
def test_closed_on_reuse_after_the_request(serve: Serve, how: str) -> None:
    def talk(client: socket.socket, number: int) -> None:
        read_request(client)
        client.sendall(answer())
        read_request(client)
        if number == 1 and how == "reset":
            reset(client)
        elif number > 1:
            client.sendall(answer())
            read_request(client)

    server = serve(talk)
    summary = run(server, "kept", requests=4)
    assert (summary.requests, summary.failed, summary.failures) == (4, 1, {"closed_on_reuse": 1})
    assert server.connections == 2  # a new connection, and the next request: no retry
    [example] = summary.examples
    assert (example["failure"], example["client"], example["reused"]) == (
        "closed_on_reuse",
        "kept",
        True,
    )
    assert 0 <= example["offset"] < 3


def test_closed_on_reuse_while_idle(serve: Serve) -> None:
    server = serve(once(answer()))
    summary = run(server, "idle", requests=4, idle=(0.1, 0.1))
    assert (summary.requests, summary.failed, summary.failures) == (4, 2, {"closed_on_reuse": 2})
    assert server.connections == 2
    assert 0.09 < summary.examples[0]["idle"] < 2


def test_end_of_file_on_a_new_connection_is_not_reuse(serve: Serve) -> None:
    summary = run(serve(once(b"")), "kept", requests=2)
    assert (summary.requests, summary.failures) == (2, {"ended_early": 2})


@pytest.mark.parametrize(
    "reply",
    [
        answer(b"Wel", length=7),
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nWel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nWelcome\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nWelcome\r\n0\r\n",
    ],
)
def test_ended_early(serve: Serve, reply: bytes) -> None:
    summary = run(serve(once(reply)), "new", requests=2, expect="Wel")
    assert (summary.requests, summary.failed, summary.failures) == (2, 2, {"ended_early": 2})


def test_status_5xx_is_one_failure_even_with_wrong_content(serve: Serve) -> None:
    server = serve(always(answer(b"no", status="503 Service Unavailable")))
    summary = run(server, "kept", requests=2, expect="Welcome")
    assert (summary.requests, summary.failed, summary.failures) == (2, 2, {"status_5xx": 2})
    assert summary.by_status == {"503": 2}
    assert server.connections == 2  # after a failure a new connection


def test_wrong_content(serve: Serve) -> None:
    server = serve(well)
    summary = run(server, "kept", requests=2, expect="Wel+come!")
    assert (summary.requests, summary.failed, summary.failures) == (2, 2, {"wrong_content": 2})
    assert "Welcome" in summary.examples[0]["detail"]


def test_expected_content_may_span_chunks_and_be_non_ascii(serve: Serve) -> None:
    body = "Blåbær".encode()
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    reply += b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    assert run(serve(always(reply)), expect=r"^Bl\wb.r$").failed == 0


def test_timeout_is_of_the_whole_request(serve: Serve) -> None:
    def talk(client: socket.socket, number: int) -> None:
        read_request(client)
        if number > 1:
            client.sendall(answer(Connection="close"))
            return
        for byte in answer(b"x" * 20):  # every byte comes in time, all of them do not
            client.sendall(bytes([byte]))
            time.sleep(0.05)

    began = time.monotonic()
    summary = run(serve(talk), "kept", requests=2, timeout=0.4)
    assert (summary.requests, summary.failed, summary.failures) == (2, 1, {"timeout": 1})
    # Were it of each byte, the answer would take three seconds.
    assert 0.4 <= time.monotonic() - began < 2.5


@pytest.mark.parametrize(
    "reply",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000,
    ],
)
def test_bad_response(serve: Serve, reply: bytes) -> None:
    summary = run(serve(always(reply)), "new", requests=1)
    assert (summary.failed, summary.failures) == (1, {"bad_response": 1})


def test_bytes_that_nobody_asked_for(serve: Serve) -> None:
    summary = run(serve(always(answer() + b"HTTP/1.1 200 OK\r\n")), "kept", requests=2)
    assert summary.failures == {"bad_response": 1}


def test_local_shortage_is_told_apart(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_socket(*_args: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    server = serve(well)
    with monkeypatch.context() as patch:
        patch.setattr(Load, "_connect", lambda *_args: no_socket())
        summary = run(server, "new", requests=1)
    assert summary.failures == {"local": 1}


def test_failures_without_a_pause_do_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_args: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(Load, "_connect", refuse)
    summary = run("http://127.0.0.1:1/", requests=0, duration=0.1)
    assert summary.seconds < 2
    assert summary.failures == {"refused": summary.requests}


# --- Numbers


def test_percentile_is_the_nearest_rank() -> None:
    hundred = [float(number) for number in range(1, 101)]
    assert [percentile(hundred, p) for p in (50, 95, 99, 100)] == [50, 95, 99, 100]
    assert percentile([7.0], 50) == percentile([7.0], 99) == 7.0
    assert percentile([1.0, 2.0], 50) == 1.0
    assert percentile([1.0, 2.0], 51) == 2.0


@undisturbed
def test_latency(serve: Serve) -> None:
    def talk(client: socket.socket, number: int) -> None:
        read_request(client)
        time.sleep(0.3 if number == 1 else 0)
        client.sendall(answer(Connection="close"))

    latency = run(serve(talk), "new", requests=10).latency_ms
    assert latency["p50"] is not None
    assert latency["max"] is not None
    assert latency["p50"] < 150
    assert 300 <= latency["max"] < 1500
    assert latency["p95"] == latency["p99"] == latency["max"]


@undisturbed
def test_times_per_backend(serve: Serve) -> None:
    switched = 0.0

    def talk(client: socket.socket, number: int) -> None:
        nonlocal switched
        read_request(client)
        if number == 4:
            switched = time.time()
        where: dict[str, Any] = {"X_Bookface_Backend": "legacy" if number < 4 else "docker"}
        where |= {"X_Bookface_Server": f"s{number % 2}", "X_Bookface_Host": "h"}
        client.sendall(answer(Connection="close", **where))
        time.sleep(0.02)

    summary = run(serve(talk), "new", requests=10, rate=50)
    assert summary.by_backend == {"legacy": 3, "docker": 7}
    assert summary.by_server == {"s0": 5, "s1": 5}
    assert summary.by_host == {"h": 10}
    seen, last = summary.first_seen, summary.last_started
    assert summary.started <= seen["legacy"] < last["legacy"] < seen["docker"] <= switched
    assert switched < last["docker"] <= summary.last_sent["docker"] <= summary.ended
    # the rate puts 20 ms between two starts
    assert 0.03 < last["legacy"] - seen["legacy"] < 0.2


@undisturbed
def test_rate(serve: Serve) -> None:
    summary = run(serve(well), "kept", requests=0, clients=4, rate=100, duration=1)
    assert 90 <= summary.requests <= 101
    assert summary.stopped_by == "duration"
    assert 0.9 < summary.seconds < 1.5


@undisturbed
def test_mix_is_honoured(serve: Serve) -> None:
    server = serve(well)
    load = Load([server.url], clients=10, mix="new=0.5,kept=0.3,idle=0.2", duration=1, rate=300)
    summary = load.run()
    assert summary.clients == {"new": 5, "kept": 3, "idle": 2}
    by_client = summary.by_client
    assert by_client["idle"]["requests"] <= 4  # at most every second
    assert by_client["new"]["requests"] > 50
    assert by_client["kept"]["requests"] > 30
    assert summary.connections == by_client["new"]["requests"] + 3 + 2
    assert summary.failed == 0, summary.examples


def test_several_urls_are_asked_in_turn(serve: Serve) -> None:
    one, two = serve(well), serve(well)
    summary = Load([one.url, two.url], clients=2, mix="kept=1", requests=20).run()
    assert (summary.requests, summary.failed) == (20, 0)
    assert 1 <= one.connections <= 2
    assert 1 <= two.connections <= 2


@pytest.mark.parametrize(
    ("clients", "mix", "counts"),
    [
        (8, "new=0.4,kept=0.5,idle=0.1", {"new": 3, "kept": 4, "idle": 1}),
        (3, "new=0.9,kept=0.09,idle=0.01", {"new": 1, "kept": 1, "idle": 1}),
        (100, "new=0.9,kept=0.09,idle=0.01", {"new": 90, "kept": 9, "idle": 1}),
        (4, "new=1,kept=1,idle=0", {"new": 2, "kept": 2}),
        (7, "idle=5", {"idle": 7}),
    ],
)
def test_allot(clients: int, mix: str, counts: dict[str, int]) -> None:
    assert allot(clients, parse_mix(mix)) == counts


# --- The parser alone


def test_parser_does_not_care_how_bytes_are_cut() -> None:
    reply = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\n"
        b"X-Long: a\r\n  b\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"a\r\n0123456789\r\n1\r\n!\r\n0\r\n\r\n"
    )
    for size in range(1, len(reply) + 1):
        parser = ResponseParser()
        for at in range(0, len(reply), size):
            assert not parser.complete
            parser.feed(reply[at : at + size])
        assert parser.complete
        assert parser.reusable
        assert (parser.status, bytes(parser.body)) == (200, b"0123456789!")
        assert (parser.headers["x-a"], parser.headers["x-long"]) == ("1, 2", "a b")
        assert (parser.received, parser.stray) == (len(reply), 0)


def test_parser_without_body() -> None:
    parser = ResponseParser(keep_body=False)
    parser.feed(answer(b"x" * 100000))
    assert parser.complete
    assert parser.body == b""


def test_parser_chunked_wins_over_content_length() -> None:
    parser = ResponseParser()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    parser.feed(head + b"4\r\nabcd\r\n0\r\n\r\n")
    assert parser.complete
    assert parser.body == b"abcd"


def test_parser_errors_say_what_was_there() -> None:
    parser = ResponseParser()
    parser.feed(answer(b"Wel", length=7))
    with pytest.raises(EndedEarlyError, match="4 bytes short of Content-Length"):
        parser.feed_eof()
    with pytest.raises(EndedEarlyError, match="before the first byte"):
        ResponseParser().feed_eof()
    with pytest.raises(BadResponseError, match="SSH"):
        ResponseParser().feed(b"SSH-2.0")


# --- What is refused before anything is sent


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://127.0.0.1/", "https is not supported"),
        ("127.0.0.1:80", "expected a URL of the form"),
        ("http://", "expected a URL of the form"),
        ("http://127.0.0.1:99999/", "[Pp]ort"),
        ("http://me:pw@127.0.0.1/", "a user or non-ASCII characters in the host part"),
        ("http://name.invalid/", "cannot resolve"),
        ("http://192.0.2.1/", "192.0.2.1 is a public address"),
        ("http://8.8.8.8/", "8.8.8.8 is a public address"),
        ("http://[2001:4860:4860::8888]/", "public address"),
        ("http://[::ffff:8.8.8.8]/", "public address"),
    ],
)
def test_wrong_urls(url: str, message: str) -> None:
    with pytest.raises(LoadError, match=message):
        resolve(url)


@pytest.mark.parametrize("host", ["127.0.0.2", "10.1.2.3", "172.31.0.1", "192.168.1.1", "[::1]"])
def test_private_addresses_are_allowed(host: str) -> None:
    assert resolve(f"http://{host}:8080/").address[1] == 8080


def test_public_addresses_when_asked_for() -> None:
    assert resolve("http://8.8.8.8/", allow_public=True).address == ("8.8.8.8", 80)


def test_requests_on_the_wire() -> None:
    target = resolve(
        "http://127.0.0.1:81/a b/å?x=1&y=a%20b#part", [("host", "bookface.lab"), ("X-A", "b")]
    )
    lines = target.request_keep.decode().split("\r\n")
    assert lines[0] == "GET /a%20b/%C3%A5?x=1&y=a%20b HTTP/1.1"
    assert lines[-4:] == ["host: bookface.lab", "X-A: b", "", ""]
    assert "Connection: keep-alive" in lines
    assert not any(line.startswith("Host:") for line in lines)
    assert b"\r\nConnection: close\r\n" in target.request_close


@pytest.mark.parametrize(
    ("header", "message"),
    [
        *(
            (text, f"header: expected 'Name: value', got {text!r}")
            for text in ("a b: c", ": a", "a")
        ),
        *(
            (text, "header X: the value has characters that are not allowed in a header")
            for text in ("X: a\r\nY: b", "X: \u2713")
        ),
    ],
)
def test_wrong_headers(header: str, message: str) -> None:
    with pytest.raises(LoadError, match=f"^{re.escape(message)}$"):
        parse_header(header)


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ("", "expected KIND=SHARE, each kind once, got ''"),
        ("new", "expected KIND=SHARE, each kind once, got 'new'"),
        ("new=x", "expected KIND=SHARE, each kind once, got 'new=x'"),
        ("new=1,new=1", "expected KIND=SHARE, each kind once, got 'new=1'"),
        ("old=1", "unknown kind 'old', expected one of new, kept, idle"),
        ("new=-1", "expected a share of 0 or more, got new=-1.0"),
        ("new=0", "at least one kind needs a share above 0"),
    ],
)
def test_wrong_mixes(mix: str, message: str) -> None:
    with pytest.raises(LoadError, match=f"^mix: {re.escape(message)}$"):
        parse_mix(mix)


@pytest.mark.parametrize(
    "options",
    [
        {"clients": 0},
        {"clients": 2, "mix": "new=1,kept=1,idle=1"},
        {"rate": -1},
        {"rate": float("nan")},
        {"timeout": 0},
        {"expect": "("},
        {"duration": 20, "max_seconds": 10},
    ],
)
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(LoadError):
        Load(["http://127.0.0.1/"], **options)


# --- Beside the caller


def test_beside_the_caller(serve: Serve) -> None:
    server = serve(well)
    with Load([server.url], clients=2, mix="kept=1", rate=200, at_least=60) as load:
        assert load.wait_for(10, seconds=5)
        with pytest.raises(LoadError, match="no summary yet"):
            _ = load.summary
    assert load.requests == load.summary.requests >= 60
    assert load.failed == load.summary.failed == 0
    assert load.summary.stopped_by == "stop"
    assert load.summary.seconds < 3
    with pytest.raises(LoadError, match="already been started"):
        load.start()


def test_a_failure_beside_the_load_ends_it_at_once(serve: Serve) -> None:
    server = serve(well)
    began = time.monotonic()
    with pytest.raises(KeyError), Load([server.url], rate=50, at_least=10**6):
        raise KeyError
    assert time.monotonic() - began < 2


def test_idle_clients_do_not_hold_up_the_stop(serve: Serve) -> None:
    server = serve(well)
    with Load([server.url], clients=1, mix="idle=1", idle=(60, 60)) as load:
        assert load.wait_for(1, seconds=5)
        assert not load.wait_for(2, seconds=0.1)
    assert load.summary.seconds < 5
    assert load.summary.requests == 1


def test_a_request_under_way_is_finished_and_counted(serve: Serve) -> None:
    entered = threading.Event()

    def talk(client: socket.socket, _number: int) -> None:
        read_request(client)
        entered.set()
        time.sleep(0.3)

    with Load([serve(talk).url], clients=1, mix="new=1") as load:
        assert entered.wait(5)
    assert load.summary.failures == {"ended_early": 1}


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="absent"):
        Load(["http://127.0.0.1:1/"], log=tmp_path / "absent" / "log").start()


# --- The command


def test_command_summary_and_log(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(well)
    options = ["--clients", "2", "--mix", "kept=1", "--requests", "20", "--expect", "Welcome"]
    files = ["--json", str(tmp_path / "s.json"), "--log", str(tmp_path / "log")]
    assert main([server.url, *options, *files, "--header", "X-A: b"]) == 0
    summary = json.loads((tmp_path / "s.json").read_text())
    assert set(summary) == {
        *("urls", "clients", "started", "ended", "stopped_by", "requests", "failed", "failures"),
        *("examples", "seconds", "requests_per_second", "latency_ms", "connections", "bytes"),
        *("by_status", "by_client", "by_backend", "by_server", "by_host"),
        *("first_seen", "last_started", "last_sent"),
    }
    assert (summary["requests"], summary["failed"]) == (20, 0)
    assert set(summary["latency_ms"]) == {"p50", "p95", "p99", "max"}
    assert summary["requests_per_second"] == pytest.approx(20 / summary["seconds"], rel=0.01)
    entries = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert len(entries) == 20
    assert sum(entry["reused"] for entry in entries) == 18
    assert {entry["backend"] for entry in entries} == {"docker"}
    assert all(summary["started"] <= entry["start"] <= entry["end"] for entry in entries)
    assert max(entry["start"] for entry in entries) == summary["last_started"]["docker"]
    assert names(tmp_path) == ["log", "s.json"]
    out = capsys.readouterr().out
    assert "20 requests" in out
    assert "0 failed" in out
    assert len(out.splitlines()) <= 8


def test_command_fails_when_a_request_does(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(always(answer(status="500 Oops")))
    options = ["--clients", "1", "--mix", "new=1"]
    assert main([server.url, *options, "--requests", "12"]) == 1
    out = capsys.readouterr().out
    assert "12 failed" in out
    assert "status_5xx 12" in out
    assert len(run(server, requests=12).examples) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["https://127.0.0.1/"], "https is not supported"),
        (
            ["http://127.0.0.1/", "--mix", "old=1"],
            "mix: unknown kind 'old', expected one of new, kept, idle",
        ),
        (["http://127.0.0.1/", "--json", "/nonexistent/s.json"], "/nonexistent"),
        (["http://127.0.0.1/", "--log", "/nonexistent/log"], "/nonexistent/log"),
    ],
)
def test_command_says_what_is_wrong(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err


@pytest.mark.parametrize("arguments", [[], ["http://x/", "--duration", "1", "--requests", "1"]])
def test_command_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_stops_by_signal_once_enough_is_done(
    serve: Serve, tmp_path: Path, number: signal.Signals
) -> None:
    server = serve(well)
    log = tmp_path / "s.json"
    command = [*COMMAND, server.url, "--json", str(log)]
    command += ["--rate", "100", "--at-least", "100"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        until(lambda: server.connections > 0, "a connection")
        process.send_signal(number)
        out, _err = process.communicate(timeout=30)
    summary = json.loads(log.read_text())
    assert process.returncode == 0
    assert summary["stopped_by"] == "stop"
    assert 100 <= summary["requests"] <= 110
    assert f"{summary['requests']} requests" in out


def test_command_at_least_is_bounded(serve: Serve, tmp_path: Path) -> None:
    server = serve(well)
    log = tmp_path / "s.json"
    command = [*COMMAND, server.url, "--json", str(log)]
    command += ["--rate", "20", "--at-least", "1000", "--max-seconds", "0.7"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: server.connections > 0, "a connection")
        process.terminate()
        _out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.loads(log.read_text())["stopped_by"] == "max_seconds"
    assert "before 1000 requests were done" in err


def test_command_without_a_single_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Load, "_turn", lambda self: self._pause(5))
    assert main(["http://127.0.0.1:1/", "--duration", "0.1"]) == 2
    assert "stopped before the first request" in capsys.readouterr().err


@undisturbed
def test_command_progress(serve: Serve, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.setattr(client, "PROGRESS_SECONDS", 0.1)
    assert main([serve(well).url, "--rate", "50", "--duration", "0.35", "--progress"]) == 0
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) in (2, 3)
    assert "0 failed" in lines[-1]


def test_summary_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text("old")
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert path.read_text() == "old"
    assert names(tmp_path) == ["s.json"]
    write_json(path, {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}
    assert names(tmp_path) == ["s.json"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
