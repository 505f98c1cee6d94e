"""HTTP: bytes in, one response out."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .errors import BadResponseError, EndedEarlyError

HEAD_LIMIT = 65536


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
            raise BadResponseError("unexpected 101 Switching Protocols")
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
