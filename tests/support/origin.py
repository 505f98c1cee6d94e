#!/usr/bin/env python3
"""A small fast web server, for benches that need a server to be killed.

    origin.py PORT TEXT [JOURNAL]

Every page is TEXT; /slow takes as long as a small page of PHP, and /long is a longer one that is
sent over a second and ends with TEXT. With JOURNAL, the X-Request-Id of each request is appended
there before it is answered: what a server that was killed had received can still be read.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys

SLOW = 0.01  # seconds
LONG_PIECES = 10
LONG_PIECE = b"." * 4096
LONG_PAUSE = 0.1  # seconds between pieces

_REQUEST_ID = re.compile(rb"^X-Request-Id: *([^\r]*)", re.IGNORECASE | re.MULTILINE)


class Origin(asyncio.Protocol):
    """One connection; requests without a body, one at a time."""

    def __init__(self, text: bytes, journal: int | None) -> None:
        self._text = text
        self._journal = journal
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _end, self._received = self._received.partition(b"\r\n\r\n")
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        if self._journal is not None and (found := _REQUEST_ID.search(head)):
            os.write(self._journal, found[1] + b"\n")
        path = head.split(b" ", 2)[1]
        if path == b"/long":
            self._begin(LONG_PIECES * len(LONG_PIECE))
            self._go_on(LONG_PIECES)
        elif path == b"/slow":
            asyncio.get_running_loop().call_later(SLOW, self._begin, 0, self._text)
        else:
            self._begin(0, self._text)

    def _begin(self, more: int, body: bytes = b"") -> None:
        length = more + len(self._text)
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + body)

    def _go_on(self, pieces: int) -> None:
        if pieces == 0 or self._transport.is_closing():
            self._transport.write(self._text)
            return
        self._transport.write(LONG_PIECE)
        asyncio.get_running_loop().call_later(LONG_PAUSE, self._go_on, pieces - 1)


async def serve(port: int, text: bytes, journal: int | None) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Origin(text, journal), "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


def main() -> None:
    port, text, *rest = sys.argv[1:]
    journal = os.open(rest[0], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) if rest else None
    asyncio.run(serve(int(port), text.encode(), journal))


if __name__ == "__main__":
    main()
