"""One connection to a server."""

from __future__ import annotations

import asyncio
from typing import cast

from .errors import BadResponseError, EndedEarlyError
from .parser import ResponseParser


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
            raise BadResponseError(f"{self.stray} unexpected bytes")
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
