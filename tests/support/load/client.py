"""The load: clients that request pages until they are stopped."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import math
import random
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from .connection import Connection
from .errors import BadResponseError, EndedEarlyError, LoadError
from .mix import DEFAULT_MIX, allot, parse_mix
from .parser import ResponseParser
from .statistics import Result, Summary, Tally, counts_text
from .target import Target, parse_header, resolve

PROGRESS_SECONDS = 2.0
_LOCAL_ERRORS = frozenset(
    {
        errno.EADDRNOTAVAIL,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
    }
)


class Load:
    """Clients that request pages until they are stopped.

    `run()` blocks until the end. `start()` and `stop()`, or `with`, run the load in a thread
    beside the caller; then `requests` and `failed` can be looked at while it runs, `wait_for()`
    waits until the traffic flows, and `summary` is there after the stop. Use an object once.

    clients      how many at the same time
    mix          kinds of clients: `new` opens a connection per request, `kept` keeps it, `idle`
                 keeps it and rests between requests; shares as text or a mapping
    rate         requests per second of all clients together, 0: as fast as possible
    duration     seconds, 0: no limit
    requests     stop after this many, 0: no limit
    at_least     stop only after this many requests
    max_seconds  end after this time in any case
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
            raise LoadError("urls: expected a list of at least one URL")
        for name, number in (
            ("rate", rate),
            ("duration", duration),
            ("requests", requests),
            ("at_least", at_least),
        ):
            if not 0 <= number < math.inf:
                raise LoadError(f"{name}: expected a number of 0 or more, got {number}")
        for name, value in (("timeout", timeout), ("max_seconds", max_seconds)):
            if not 0 < value < math.inf:
                raise LoadError(f"{name}: expected a number above 0, got {value}")
        if clients < 1:
            raise LoadError(f"clients: expected a number of 1 or more, got {clients}")
        if duration > max_seconds:
            raise LoadError(
                f"duration: expected at most max_seconds ({max_seconds}), got {duration}"
            )
        try:
            self._expect = None if expect is None else re.compile(expect)
        except re.error as error:
            raise LoadError(f"expect: invalid regular expression {expect!r}: {error}") from None
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
        self._tally = Tally()
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
            raise LoadError("no summary yet: the load has not ended")
        return self._summary

    def run(self, stop_signals: Iterable[signal.Signals] = ()) -> Summary:
        """Run until the end; the signals given ask it to stop (main thread only)."""
        return asyncio.run(self._run(tuple(stop_signals)))

    def start(self) -> Load:
        """Run in the background."""
        if self._thread is not None:
            raise LoadError("this load has already been started")
        self._thread = threading.Thread(target=self._run_in_thread, name="load", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error
        return self

    def stop(self) -> Summary:
        """Ask for the end, wait for it (requests under way are finished and counted)."""
        if self._thread is None or self._loop is None:
            raise LoadError("this load has not been started")
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._ask_to_stop)
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self.summary

    def wait_for(self, requests: int, seconds: float) -> bool:
        """Wait until this many requests are finished; False if that takes longer."""
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
            raise LoadError("this load has already run")
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
                    f"{tally.failed} failed, {rate:.0f}/s  "
                    f"{counts_text(tally.by_backend)}".rstrip(),
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
