"""A cloud's endpoint that is overloaded: a proxy in front of it that answers some requests itself.

What has a limit of requests or a load balancer in front of it answers like this.
"""

from __future__ import annotations

import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def faulty(target: str, pattern: str, status: int, times: int = 1000) -> Iterator[str]:
    """Address of a proxy for C(target), whose first answers to a path are this status, in HTML."""
    left = [times]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_words: object) -> None:
            """Nothing."""

        def answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            if left[0] and re.search(pattern, self.path):
                left[0] -= 1
                self.answer(status, "text/html", b"<html><body><h1>Not now</h1></body></html>")
                return
            given = {
                k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")
            }
            request = urllib.request.Request(target + self.path, headers=given)  # noqa: S310
            try:
                with opener.open(request, timeout=60) as told:
                    self.answer(told.status, told.headers["Content-Type"], told.read())
            except urllib.error.HTTPError as told:
                self.answer(told.code, told.headers["Content-Type"], told.read())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
