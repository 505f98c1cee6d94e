#!/usr/bin/env python3
"""A load client that never retries and counts every failure.

A request has failed when it was refused, reset, timed out (whole request, connecting included),
ended early, answered 5xx, answered with other content than expected, or sent on a kept-alive
connection that the server had closed without having announced it. Whatever the cause, the next
request is another one, on a new connection.

As a command:

    python bench/load.py http://127.0.0.1:8080/ --rate 200 --duration 10 --expect '<h1>Welcome'

From Python, in the foreground or beside something that must not disturb the traffic:

    from load import Load

    summary = Load(["http://127.0.0.1:8080/"], requests=1000, expect="Welcome").run()

    with Load(["http://127.0.0.1:8080/"], rate=200, at_least=500) as load:
        load.wait_for(100, seconds=10)
        switch()
    assert load.summary.failed == 0, load.summary.examples

Kinds of failure:

    refused          nobody listens
    unreachable      connecting failed in another way
    reset            reset on a new connection, or once the answer had begun
    timeout          not complete within --timeout
    ended_early      end of file before the end that Content-Length or chunks promised
    closed_on_reuse  a reused connection was closed or reset before the first byte of the answer
    status_5xx       a complete answer with status 500 to 599
    wrong_content    a complete answer whose body does not match --expect
    bad_response     not HTTP, or bytes that no request asked for
    local            this machine ran out of ports, files or memory: fix the client first

Each request has at most one kind. Other statuses (404, 302) are no failures in themselves:
look at `by_status`, or say what you expect. Names are resolved once, IPv4 preferred. A client
has one request at a time, so a stalled server is asked less often than --rate says.
"""

from __future__ import annotations

import argparse
import array
import asyncio
import collections
import contextlib
import dataclasses
import errno
import ipaddress
import json
import math
import os
import random
import re
import signal
import socket
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

DEFAULT_MIX = "new=0.4,kept=0.5,idle=0.1"
KINDS_OF_CLIENT = ("new", "kept", "idle")
EXAMPLES = 10
PROGRESS_SECONDS = 2.0
HEAD_LIMIT = 65536

_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fe80::/10",
        "fc00::/7",
    )
)
_LOCAL_ERRORS = frozenset(
    {
        errno.EADDRNOTAVAIL,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
    }
)


class LoadError(ValueError):
    """The load cannot be run as asked; the message says why."""


# --- HTTP: bytes in, one response out -----------------------------------------------------------


class BadResponseError(Exception):
    """What arrived is not an HTTP response."""


class EndedEarlyError(Exception):
    """The connection ended before the response did."""


class ResponseParser:
    """Parses the response to one GET from bytes as they come; does no I/O."""

    def __init__(self, keep_body: bool = True) -> None:
        self.complete = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.received = 0
        self.reusable = False
        self._keep_body = keep_body
        self._buffer = bytearray()
        self._state = "head"
        self._left = 0

    @property
    def stray(self) -> int:
        """Number of bytes that came after the end of the response."""
        return len(self._buffer) if self.complete else 0

    def feed(self, data: bytes) -> None:
        """Take in what was received; raises BadResponseError."""
        self.received += len(data)
        self._buffer += data
        while not self.complete and self._step():
            pass

    def feed_eof(self) -> None:
        """The server ended the connection: either that is the end, or EndedEarlyError is raised."""
        if self._state == "until_close":
            self.complete = True
        elif not self.complete:
            where = {
                "head": "in the header" if self.received else "before the first byte",
                "length": f"{self._left} bytes short of Content-Length",
            }.get(self._state, "before the last chunk")
            raise EndedEarlyError(f"end of file {where}, after {self.received} bytes")

    def _step(self) -> bool:
        """Make one step; False when it needs more bytes."""
        if self._state == "head":
            return self._head()
        if self._state == "length":
            if self._take_body():
                self.complete = True
            return False
        if self._state == "until_close":
            self._left = len(self._buffer)
            self._take_body()
            return False
        if self._state == "chunk_data":
            if not self._take_body():
                return False
            self._state = "chunk_end"
            return True
        return self._chunk_line()

    def _head(self) -> bool:
        start = bytes(self._buffer[:5])
        if start != b"HTTP/"[: len(start)]:
            raise BadResponseError(f"not an HTTP response: {bytes(self._buffer[:40])!r}")
        end = re.search(rb"\r?\n\r?\n", self._buffer)
        if end is None or end.end() > HEAD_LIMIT:
            if len(self._buffer) > HEAD_LIMIT:
                raise BadResponseError(f"header longer than {HEAD_LIMIT} bytes")
            return False
        lines = (
            bytes(self._buffer[: end.start()]).decode("latin-1").replace("\r\n", "\n").split("\n")
        )
        del self._buffer[: end.end()]
        match = re.fullmatch(r"HTTP/1\.(\d) (\d{3})(?: .*)?", lines[0])
        if match is None:
            raise BadResponseError(f"wrong status line: {lines[0][:80]!r}")
        minor, self.status = int(match[1]), int(match[2])
        self.headers = _headers(lines[1:])
        if self.status == 101:
            raise BadResponseError("101 Switching Protocols, which nobody asked for")
        if self.status < 200:
            return True
        self._begin_body(minor)
        return not self.complete

    def _begin_body(self, minor: int) -> None:
        connection = _tokens(self.headers.get("connection", ""))
        self.reusable = "close" not in connection and (minor >= 1 or "keep-alive" in connection)
        codings = _tokens(self.headers.get("transfer-encoding", ""))
        if self.status in (204, 304):
            self.complete = True
        elif codings and codings[-1] == "chunked":
            self._state = "chunk_size"
        elif not codings and "content-length" in self.headers:
            lengths = set(_tokens(self.headers["content-length"]))
            if len(lengths) != 1 or not re.fullmatch("[0-9]{1,18}", length := lengths.pop()):
                raise BadResponseError(
                    f"wrong Content-Length: {self.headers['content-length'][:80]!r}"
                )
            self._left = int(length)
            self._state = "length"
        else:
            self.reusable = False
            self._state = "until_close"

    def _take_body(self) -> bool:
        """Move body bytes out of the buffer; True when none is left to come."""
        part = self._buffer[: self._left]
        if self._keep_body:
            self.body += part
        del self._buffer[: len(part)]
        self._left -= len(part)
        return self._left == 0

    def _chunk_line(self) -> bool:
        """One line of the chunked coding: a size, the empty line after a chunk, or a trailer."""
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > HEAD_LIMIT:
                raise BadResponseError("endless line in the chunked coding")
            return False
        line = bytes(self._buffer[:end]).rstrip(b"\r")
        del self._buffer[: end + 1]
        if self._state == "chunk_end":
            if line:
                raise BadResponseError(f"chunk longer than its size: {line[:40]!r}")
            self._state = "chunk_size"
        elif self._state == "chunk_size":
            size = line.split(b";")[0].strip()
            if not re.fullmatch(rb"[0-9a-fA-F]{1,15}", size):
                raise BadResponseError(f"wrong chunk size: {line[:40]!r}")
            self._left = int(size, 16)
            self._state = "chunk_data" if self._left else "trailer"
        elif not line:
            self.complete = True
        return not self.complete


def _headers(lines: Iterable[str]) -> dict[str, str]:
    """Headers by lower-case name; repeated ones joined by a comma."""
    headers: dict[str, str] = {}
    name = ""
    for line in lines:
        if line[:1] in (" ", "\t") and name:  # folded: a line that continues the one before
            headers[name] += " " + line.strip()
            continue
        key, colon, value = line.partition(":")
        name = key.lower()
        if not colon or not name or name != name.strip():
            raise BadResponseError(f"wrong header line: {line[:80]!r}")
        value = value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _tokens(value: str) -> list[str]:
    return [token for part in value.split(",") if (token := part.strip().lower())]


class Connection(asyncio.Protocol):
    """One TCP connection, one request at a time."""

    def __init__(self) -> None:
        self.ended = ""  # why the connection is of no more use
        self.stray = 0  # bytes received that no request asked for
        self.served = 0
        self.last_used = 0.0
        self._transport: asyncio.Transport | None = None
        self._parser: ResponseParser | None = None
        self._answer: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done() or self._parser is None:
            self.stray += len(data)
            return
        try:
            self._parser.feed(data)
        except BadResponseError as error:
            self._settle(error)
            return
        if self._parser.complete:
            self.stray = self._parser.stray
            self._settle(None)

    def eof_received(self) -> bool:
        self.ended = "end of file"
        if self._parser is not None:
            try:
                self._parser.feed_eof()
            except EndedEarlyError as error:
                self._settle(error)
            else:
                self._settle(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = self.ended or str(exc or "closed")
        self._settle(exc or EndedEarlyError("closed"))

    def _settle(self, error: Exception | None) -> None:
        if self._answer is None or self._answer.done():
            return
        if error is None:
            self._answer.set_result(None)
        else:
            self._answer.set_exception(error)

    async def exchange(self, request: bytes, parser: ResponseParser) -> None:
        """Send the request and wait until the parser has the whole response."""
        if self.ended:
            raise EndedEarlyError(f"{self.ended} while idle")
        if self.stray:
            raise BadResponseError(f"{self.stray} bytes that no request asked for")
        assert self._transport is not None
        self._parser = parser
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            await self._answer
        finally:
            self._parser = self._answer = None
        self.served += 1

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


# --- What to ask, and what came of it -----------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Target:
    """One URL, resolved, with its requests ready to be sent."""

    url: str
    family: int
    address: Any  # as socket.connect wants it, different per family
    request_close: bytes
    request_keep: bytes


@dataclasses.dataclass(frozen=True)
class Result:
    """One request. Times are seconds since the epoch, comparable with other logs' timestamps."""

    start: float
    sent: float | None  # start includes connecting; None when it was never sent
    end: float
    url: str
    status: int | None
    backend: str | None
    server: str | None
    host: str | None
    client: str
    reused: bool
    idle: float | None  # how long the reused connection had been idle, seconds
    bytes: int
    failure: str | None
    detail: str | None


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a load did. Latencies are of the requests that did not fail."""

    urls: list[str]
    clients: dict[str, int]
    started: float
    ended: float
    stopped_by: str
    requests: int
    failed: int
    failures: dict[str, int]
    examples: list[dict[str, Any]]
    seconds: float
    requests_per_second: float
    latency_ms: dict[str, float | None]
    connections: int
    bytes: int
    by_status: dict[str, int]
    by_client: dict[str, dict[str, int]]
    by_backend: dict[str, int]
    by_server: dict[str, int]
    by_host: dict[str, int]
    first_seen: dict[str, float]  # per backend: start of the first request that it answered
    last_started: dict[str, float]  # per backend: start of the last request that it answered
    last_sent: dict[str, float]  # the same, once the connection stood: the stricter one

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def as_text(self) -> str:
        lines = [
            f"load: {self.requests} requests in {self.seconds:.1f} s "
            f"({self.requests_per_second:.0f}/s), {self.failed} failed"
        ]
        if self.failures:
            lines.append(f"  failures  {_counts(self.failures)}")
        if self.latency_ms["p50"] is not None:
            lines.append(
                "  latency   "
                + ", ".join(f"{name} {value:.1f} ms" for name, value in self.latency_ms.items())
            )
        for title, counts in (("backends", self.by_backend), ("servers", self.by_server)):
            if counts:
                lines.append(f"  {title:9} {_counts(counts)}")
        for example in self.examples[:3]:
            lines.append(
                f"  example   {example['offset']:.3f} s: {example['failure']}, "
                f"{example['client']} client: {example['detail']}"
            )
        return "\n".join(lines)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Nearest rank: the smallest value that at least `percent` of all do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def parse_mix(mix: str | Mapping[str, float]) -> dict[str, float]:
    """`new=0.4,kept=0.6` as a dictionary; the shares are weights."""
    shares: dict[str, float] = {}
    if isinstance(mix, str):
        for item in mix.split(","):
            kind, equals, text = item.strip().partition("=")
            try:
                if not equals or kind in shares:
                    raise ValueError
                shares[kind] = float(text)
            except ValueError:
                raise LoadError(f"mix: {item!r} is not KIND=SHARE, each kind once") from None
    else:
        shares = dict(mix)
    for kind, share in shares.items():
        if kind not in KINDS_OF_CLIENT:
            raise LoadError(f"mix: no kind {kind!r}; there are {', '.join(KINDS_OF_CLIENT)}")
        if not 0 <= share < math.inf:
            raise LoadError(f"mix: {kind}={share} is no share")
    if not sum(shares.values()) > 0:
        raise LoadError("mix: no kind has a share")
    return shares


def allot(clients: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Clients per kind: largest remainder, and one at least of each kind with a share."""
    wanted = {kind: share for kind, share in shares.items() if share > 0}
    if clients < len(wanted):
        raise LoadError(f"{clients} clients cannot be of {len(wanted)} kinds: {', '.join(wanted)}")
    total = sum(wanted.values())
    exact = {kind: clients * share / total for kind, share in wanted.items()}
    counts = {kind: max(1, math.floor(value)) for kind, value in exact.items()}
    while (spare := clients - sum(counts.values())) != 0:
        gaps = {kind: exact[kind] - count for kind, count in counts.items()}
        if spare > 0:
            counts[max(gaps, key=lambda kind: gaps[kind])] += 1
        else:
            several = [kind for kind, count in counts.items() if count > 1]
            counts[min(several, key=lambda kind: gaps[kind])] -= 1
    return counts


def resolve(
    url: str, headers: Sequence[tuple[str, str]] = (), allow_public: bool = False
) -> Target:
    """Check and resolve a URL; raises LoadError with the reason."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = 80 if parts.port is None else parts.port
    except ValueError as error:
        raise LoadError(f"{url}: {error}") from None
    if parts.scheme == "https":
        raise LoadError(f"{url}: https is not supported, only http")
    if parts.scheme != "http" or not parts.hostname:
        raise LoadError(f"{url}: not a URL of the form http://HOST[:PORT]/PATH")
    if "@" in parts.netloc or not parts.netloc.isascii():
        raise LoadError(f"{url}: neither a user nor non-ASCII letters may be in the host part")
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise LoadError(f"{url}: cannot resolve {parts.hostname}: {error}") from None
    for info in found:
        if not allow_public and not _is_private(str(info[4][0])):
            raise LoadError(
                f"{url}: {info[4][0]} is a public address, and this is a test tool; "
                "--allow-public if you are entitled to load it"
            )
    family, _type, _proto, _name, address = min(found, key=lambda i: i[0] != socket.AF_INET)
    path = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    query = urllib.parse.quote(parts.query, safe="/%:@!$&'()*+,;=~?[]|")
    line = f"GET {path}{'?' + query if query else ''} HTTP/1.1"
    return Target(
        url=url,
        family=family,
        address=address,
        request_close=_request(line, parts.netloc, "close", headers),
        request_keep=_request(line, parts.netloc, "keep-alive", headers),
    )


def _is_private(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    return any((mapped or ip) in network for network in _PRIVATE)


def _request(line: str, host: str, connection: str, extra: Sequence[tuple[str, str]]) -> bytes:
    own = [
        ("Host", host),
        ("User-Agent", "bookface-load"),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),
        ("Connection", connection),
    ]
    replaced = {name.lower() for name, _value in extra}
    headers = [item for item in own if item[0].lower() not in replaced] + list(extra)
    return "".join(
        [f"{line}\r\n", *(f"{name}: {value}\r\n" for name, value in headers), "\r\n"]
    ).encode("latin-1")


def parse_header(text: str) -> tuple[str, str]:
    """`Name: value`, and nothing that could smuggle in another line."""
    name, colon, value = text.partition(":")
    value = value.strip()
    if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise LoadError(f"header {text!r} is not of the form 'Name: value'")
    if not re.fullmatch(r"[\t\x20-\x7e\xa0-\xff]*", value):
        raise LoadError(f"header {name}: the value has characters that no header can carry")
    return name, value


class _Tally:
    """Adds up results."""

    def __init__(self) -> None:
        self.requests = 0
        self.failed = 0
        self.connections = 0
        self.bytes = 0
        self.failures: collections.Counter[str] = collections.Counter()
        self.by_status: collections.Counter[str] = collections.Counter()
        self.by_backend: collections.Counter[str] = collections.Counter()
        self.by_server: collections.Counter[str] = collections.Counter()
        self.by_host: collections.Counter[str] = collections.Counter()
        self.by_client: dict[str, dict[str, int]] = {}
        self.first_seen: dict[str, float] = {}
        self.last_started: dict[str, float] = {}
        self.last_sent: dict[str, float] = {}
        self.examples: list[Result] = []
        self.latencies = array.array("d")

    def add(self, result: Result, seconds: float) -> None:
        self.requests += 1
        self.bytes += result.bytes
        of_client = self.by_client.setdefault(result.client, {"requests": 0, "failed": 0})
        of_client["requests"] += 1
        if result.failure is None:
            self.latencies.append(seconds)
        else:
            self.failed += 1
            self.failures[result.failure] += 1
            of_client["failed"] += 1
            if len(self.examples) < EXAMPLES:
                self.examples.append(result)
        if result.status is not None:
            self.by_status[str(result.status)] += 1
        if result.server is not None:
            self.by_server[result.server] += 1
        if result.host is not None:
            self.by_host[result.host] += 1
        if (backend := result.backend) is not None:
            self.by_backend[backend] += 1
            # Results come in the order of their ends, not of their starts.
            start, sent = result.start, result.sent or result.start
            self.first_seen[backend] = min(start, self.first_seen.get(backend, start))
            self.last_started[backend] = max(start, self.last_started.get(backend, start))
            self.last_sent[backend] = max(sent, self.last_sent.get(backend, sent))

    def latency_ms(self) -> dict[str, float | None]:
        ordered = sorted(self.latencies)
        if not ordered:
            return dict.fromkeys(("p50", "p95", "p99", "max"))
        values = {f"p{p}": percentile(ordered, p) for p in (50, 95, 99)} | {"max": ordered[-1]}
        return {name: round(value * 1000, 3) for name, value in values.items()}


# --- The load -----------------------------------------------------------------------------------


class Load:
    """Clients that ask for pages until they are told to stop.

    `run()` blocks until the end. `start()` and `stop()`, or `with`, run the load in a thread
    beside the caller; then `requests` and `failed` can be looked at while it runs, `wait_for()`
    waits until the traffic flows, and `summary` is there after the stop. Use an object once.

    clients      how many at the same time
    mix          kinds of clients: `new` opens a connection per request, `kept` keeps it, `idle`
                 keeps it and rests between requests; shares as text or a mapping
    rate         requests per second of all clients together, 0: as fast as possible
    duration     seconds, 0: no end
    requests     stop after so many, 0: no end
    at_least     a stop is honoured only after so many requests
    max_seconds  the end in any case
    expect       regular expression that every body must match somewhere
    headers      additional headers, `("Name: value", …)`
    timeout      seconds for a whole request
    idle         how long idle clients rest, shortest and longest
    log          file for one JSON line per request
    progress     one line every few seconds on stderr
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        clients: int = 8,
        mix: str | Mapping[str, float] = DEFAULT_MIX,
        rate: float = 0,
        duration: float = 0,
        requests: int = 0,
        at_least: int = 0,
        max_seconds: float = 3600,
        expect: str | None = None,
        headers: Sequence[str] = (),
        timeout: float = 10,
        idle: tuple[float, float] = (1.0, 3.0),
        log: str | Path | None = None,
        progress: bool = False,
        allow_public: bool = False,
    ) -> None:
        if isinstance(urls, str) or not urls:
            raise LoadError("urls: a list of at least one URL is needed")
        for name, number in (
            ("rate", rate),
            ("duration", duration),
            ("requests", requests),
            ("at_least", at_least),
        ):
            if not 0 <= number < math.inf:
                raise LoadError(f"{name}: {number} is not a number from 0 up")
        for name, value in (("timeout", timeout), ("max_seconds", max_seconds)):
            if not 0 < value < math.inf:
                raise LoadError(f"{name}: {value} is not a number above 0")
        if clients < 1:
            raise LoadError(f"clients: {clients} is not a number from 1 up")
        if duration > max_seconds:
            raise LoadError(f"duration: {duration} is more than max_seconds, {max_seconds}")
        try:
            self._expect = None if expect is None else re.compile(expect)
        except re.error as error:
            raise LoadError(f"expect: {expect!r} is no regular expression: {error}") from None
        self.clients = allot(clients, parse_mix(mix))
        extra = [parse_header(header) for header in headers]
        self._targets = [resolve(url, extra, allow_public) for url in urls]
        self._rate = rate
        self._duration = duration
        self._limit = requests
        self._at_least = at_least
        self._max_seconds = max_seconds
        self._timeout = timeout
        self._idle = idle
        self._log_path = log
        self._progress = progress

        self._log: IO[str] | None = None
        self._tally = _Tally()
        self._started = 0
        self._next_slot = 0.0
        self._stop_asked = False
        self._stopped_by = ""
        self._pauses: set[asyncio.Future[None]] = set()
        self._begin = 0.0
        self._summary: Summary | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._error: BaseException | None = None

    # What callers use.

    @property
    def requests(self) -> int:
        """Requests finished so far."""
        return self._tally.requests

    @property
    def failed(self) -> int:
        """Requests failed so far."""
        return self._tally.failed

    @property
    def summary(self) -> Summary:
        if self._summary is None:
            raise LoadError("there is no summary before the load has ended")
        return self._summary

    def run(self, stop_signals: Iterable[signal.Signals] = ()) -> Summary:
        """Run until the end; the signals given ask it to stop (main thread only)."""
        return asyncio.run(self._run(tuple(stop_signals)))

    def start(self) -> Load:
        """Run beside the caller."""
        if self._thread is not None:
            raise LoadError("this load was started already")
        self._thread = threading.Thread(target=self._run_in_thread, name="load", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error
        return self

    def stop(self) -> Summary:
        """Ask for the end, wait for it (requests under way are finished and counted)."""
        if self._thread is None or self._loop is None:
            raise LoadError("this load was not started")
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._ask_to_stop)
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self.summary

    def wait_for(self, requests: int, seconds: float) -> bool:
        """Wait until so many requests are finished; False if that did not come in time."""
        deadline = time.monotonic() + seconds
        while self.requests < requests:
            if time.monotonic() > deadline or self._thread is None or not self._thread.is_alive():
                return self.requests >= requests
            time.sleep(0.005)
        return True

    def __enter__(self) -> Load:
        return self.start()

    def __exit__(self, kind: object, *_exc: object) -> None:
        if kind is not None:  # nobody waits for the rest of a test that has failed
            self._at_least = 0
        self.stop()

    # How it works.

    def _run_in_thread(self) -> None:
        try:
            asyncio.run(self._run(()))
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    async def _run(self, stop_signals: tuple[signal.Signals, ...]) -> Summary:
        if self._begin:
            raise LoadError("this load has run already")
        self._loop = loop = asyncio.get_running_loop()
        for number in stop_signals:
            loop.add_signal_handler(number, self._ask_to_stop)
        self._begin = time.time()
        began = self._next_slot = time.perf_counter()
        with contextlib.ExitStack() as files:
            if self._log_path is not None:
                self._log = files.enter_context(Path(self._log_path).open("w", encoding="utf-8"))
            timers = [loop.call_later(self._max_seconds, self._end, "max_seconds")]
            if self._duration:
                timers.append(loop.call_later(self._duration, self._end, "duration"))
            reporter = loop.create_task(self._report())
            self._ready.set()
            kinds = [kind for kind, count in self.clients.items() for _ in range(count)]
            try:
                await asyncio.gather(*(self._client(kind, i) for i, kind in enumerate(kinds)))
            finally:
                reporter.cancel()
                for timer in timers:
                    timer.cancel()
        self._summary = self._summarize(time.perf_counter() - began)
        return self._summary

    def _ask_to_stop(self) -> None:
        self._stop_asked = True
        if self._tally.requests >= self._at_least:
            self._end("stop")

    def _end(self, reason: str) -> None:
        """Start no more requests; those under way are finished."""
        self._stopped_by = self._stopped_by or reason
        for pause in self._pauses:
            _wake(pause)

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not beyond the end of the load."""
        if self._stopped_by or seconds <= 0:
            return
        loop = asyncio.get_running_loop()
        pause = loop.create_future()
        self._pauses.add(pause)
        timer = loop.call_later(seconds, _wake, pause)
        try:
            await pause
        finally:
            timer.cancel()
            self._pauses.discard(pause)

    async def _turn(self) -> None:
        """Wait for the next slot of the common rate."""
        if not self._rate:
            return
        now = time.perf_counter()
        # What a late wake-up lost is made up for; what a stalled server lost is not.
        slot = max(self._next_slot, now - 0.05)
        self._next_slot = slot + 1 / self._rate
        await self._pause(slot - now)

    async def _client(self, kind: str, number: int) -> None:
        connections: dict[Any, Connection] = {}
        try:
            # Clients begin at different pages, so that each page is asked from the first moment.
            for turn in range(number, sys.maxsize):
                if kind == "idle" and turn > number:
                    await self._pause(random.uniform(*self._idle))  # noqa: S311, no secret
                await self._turn()
                if self._stopped_by:
                    return
                if self._limit and self._started >= self._limit:
                    self._end("requests")
                    return
                self._started += 1
                target = self._targets[turn % len(self._targets)]
                failed = await self._ask(kind, target, connections)
                if self._stop_asked and self._tally.requests >= self._at_least:
                    self._end("stop")
                if failed:
                    # A refusal can come without a pause; signals and timers want their turn.
                    await asyncio.sleep(0)
        finally:
            for connection in connections.values():
                connection.close()

    async def _ask(self, kind: str, target: Target, connections: dict[Any, Connection]) -> bool:
        """Make one request and count it; True if it failed."""
        parser = ResponseParser(keep_body=self._expect is not None)
        start, clock = time.time(), time.perf_counter()
        connection = connections.pop(target.address, None)
        reused = connection is not None
        idle = clock - connection.last_used if connection else None
        sent: float | None = None
        failure = detail = None
        try:
            async with asyncio.timeout(self._timeout):
                if connection is None:
                    connection = await self._connect(target)
                sent = time.time()
                request = target.request_close if kind == "new" else target.request_keep
                await connection.exchange(request, parser)
        except (OSError, BadResponseError, EndedEarlyError) as error:
            failure, detail = _classify(error, connection is not None, reused, parser.received)
        else:
            failure, detail = self._judge(parser)
        took = time.perf_counter() - clock
        if connection is not None:
            if failure is None and parser.reusable and kind != "new":
                connection.last_used = clock + took
                connections[target.address] = connection
            else:
                connection.close()
        final = parser.status >= 200
        answered = parser.headers if final else {}
        result = Result(
            start=start,
            sent=sent,
            end=start + took,
            url=target.url,
            status=parser.status if final else None,
            backend=answered.get("x-bookface-backend"),
            server=answered.get("x-bookface-server"),
            host=answered.get("x-bookface-host"),
            client=kind,
            reused=reused,
            idle=idle,
            bytes=parser.received,
            failure=failure,
            detail=detail,
        )
        self._tally.add(result, took)
        if self._log is not None:
            self._log.write(json.dumps(vars(result)) + "\n")
        return failure is not None

    async def _connect(self, target: Target) -> Connection:
        loop = asyncio.get_running_loop()
        sock = socket.socket(target.family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, target.address)
            _transport, connection = await loop.create_connection(Connection, sock=sock)
        except BaseException:
            sock.close()
            raise
        self._tally.connections += 1
        return connection

    def _judge(self, parser: ResponseParser) -> tuple[str | None, str | None]:
        """What is wrong with a complete response, if anything."""
        if 500 <= parser.status <= 599:
            return "status_5xx", f"status {parser.status}"
        if self._expect is not None:
            text = parser.body.decode("utf-8", "replace")
            if not self._expect.search(text):
                return "wrong_content", f"status {parser.status}, {text[:120]!r}"
        return None, None

    async def _report(self) -> None:
        while True:
            before, at = self._tally.requests, time.perf_counter()
            await asyncio.sleep(PROGRESS_SECONDS)
            if self._log is not None:
                self._log.flush()
            if self._progress:
                tally = self._tally
                rate = (tally.requests - before) / (time.perf_counter() - at)
                print(
                    f"load: {time.time() - self._begin:.0f} s, {tally.requests} requests, "
                    f"{tally.failed} failed, {rate:.0f}/s  {_counts(tally.by_backend)}".rstrip(),
                    file=sys.stderr,
                    flush=True,
                )

    def _summarize(self, seconds: float) -> Summary:
        tally = self._tally
        examples = [
            {"offset": round(result.start - self._begin, 6), **vars(result)}
            for result in tally.examples
        ]
        return Summary(
            urls=[target.url for target in self._targets],
            clients=self.clients,
            started=self._begin,
            ended=self._begin + seconds,
            stopped_by=self._stopped_by,
            requests=tally.requests,
            failed=tally.failed,
            failures=dict(tally.failures),
            examples=examples,
            seconds=round(seconds, 6),
            requests_per_second=round(tally.requests / seconds, 3),
            latency_ms=tally.latency_ms(),
            connections=tally.connections,
            bytes=tally.bytes,
            by_status=dict(tally.by_status),
            by_client=tally.by_client,
            by_backend=dict(tally.by_backend),
            by_server=dict(tally.by_server),
            by_host=dict(tally.by_host),
            first_seen=tally.first_seen,
            last_started=tally.last_started,
            last_sent=tally.last_sent,
        )


def _wake(pause: asyncio.Future[None]) -> None:
    if not pause.done():
        pause.set_result(None)


def _classify(error: Exception, connected: bool, reused: bool, received: int) -> tuple[str, str]:
    """Kind and detail of a request that got no complete response."""
    detail = str(error) or type(error).__name__
    if isinstance(error, TimeoutError):
        return "timeout", f"not complete in time, {received} bytes received"
    if isinstance(error, BadResponseError):
        return "bad_response", detail
    # End of file, reset and broken pipe are the same event here, told apart only by a race.
    if reused and not received:
        return "closed_on_reuse", detail
    if isinstance(error, EndedEarlyError):
        return "ended_early", detail
    if isinstance(error, OSError) and error.errno in _LOCAL_ERRORS:
        return "local", detail
    if isinstance(error, ConnectionRefusedError):
        return "refused", detail
    if connected or isinstance(error, ConnectionError):
        return "reset", f"{detail}, {received} bytes received"
    return "unreachable", detail


# --- The command --------------------------------------------------------------------------------


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a file that is either the old or the new one, never half of it."""
    candidate = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with candidate.open("x", encoding="utf-8") as file:
            json.dump(data, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        candidate.replace(path)
    except BaseException:
        candidate.unlink(missing_ok=True)
        raise


@dataclasses.dataclass(frozen=True)
class Asked:
    """One request of the load's log. Times are seconds since the epoch."""

    sent: float
    seconds: float
    backend: str | None
    failed: bool


def read_log(path: Path) -> list[Asked]:
    """All requests, in the order in which they were sent."""
    requests = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            told = json.loads(line)
            sent = told["sent"] or told["start"]
            seconds = told["end"] - told["start"]
            requests.append(Asked(sent, seconds, told["backend"], told["failure"] is not None))
    return sorted(requests, key=lambda asked: asked.sent)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="load.py",
        description="A load client that never retries and counts every failure.",
        epilog="Without --duration or --requests it runs until SIGINT or SIGTERM. "
        "Exit status: 0 no request failed, 1 some failed, 2 it could not be run as asked.",
    )
    add = parser.add_argument
    add("urls", nargs="+", metavar="URL", help="http://HOST[:PORT]/PATH; several are asked in turn")
    add("--clients", type=int, default=8, metavar="N", help="clients at the same time (8)")
    add("--mix", default=DEFAULT_MIX, help=f"kinds of clients and their shares ({DEFAULT_MIX})")
    add("--rate", type=float, default=0, metavar="R", help="requests/s in all; 0: no limit (0)")
    end = parser.add_mutually_exclusive_group()
    end.add_argument("--duration", type=float, default=0, metavar="S", help="seconds to run")
    end.add_argument("--requests", type=int, default=0, metavar="N", help="requests to make")
    add(
        "--at-least",
        type=int,
        default=0,
        metavar="N",
        help="stop on a signal only once N requests are done",
    )
    add(
        "--max-seconds",
        type=float,
        default=None,
        metavar="S",
        help="end after S seconds in any case (3600, or --duration if that is more)",
    )
    add("--expect", metavar="REGEX", help="every body must match it somewhere")
    add("--header", action="append", default=[], metavar="'NAME: VALUE'", help="add a header")
    add("--timeout", type=float, default=10, metavar="S", help="for a whole request (10)")
    add("--json", type=Path, metavar="FILE", help="write the summary there")
    add("--log", type=Path, metavar="FILE", help="write one JSON line per request there")
    add("--progress", action="store_true", help="a line every few seconds on stderr")
    add("--allow-public", action="store_true", help="allow addresses that are not private")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    try:
        if args.json is not None and not os.access(args.json.parent, os.W_OK | os.X_OK):
            raise LoadError(f"json: {args.json.parent} is not a directory that can be written to")
        max_seconds = args.max_seconds
        load = Load(
            args.urls,
            clients=args.clients,
            mix=args.mix,
            rate=args.rate,
            duration=args.duration,
            requests=args.requests,
            at_least=args.at_least,
            max_seconds=max(3600.0, args.duration) if max_seconds is None else max_seconds,
            expect=args.expect,
            headers=args.header,
            timeout=args.timeout,
            log=args.log,
            progress=args.progress,
            allow_public=args.allow_public,
        )
        summary = load.run(stop_signals=(signal.SIGINT, signal.SIGTERM))
        if args.json is not None:
            write_json(args.json, summary.as_dict())
        if not summary.requests:
            raise LoadError("it was stopped before any request was made")
    except (LoadError, OSError) as error:
        print(f"load: error: {error}", file=sys.stderr)
        return 2
    print(summary.as_text())
    if summary.requests < args.at_least:
        print(
            f"load: ended by {summary.stopped_by} before {args.at_least} requests were done",
            file=sys.stderr,
        )
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
