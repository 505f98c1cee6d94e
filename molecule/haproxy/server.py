#!/usr/bin/env python3
"""A web server with probes like bookface's, that fails when told to.

/run/test-server-PORT holds `STATUS TEXT` for the readiness probe; without it: 200 ready.
/run/test-server-PORT-pages breaks all pages, and no probe.
/showimage.php?user=NAME sends a picture; special NAMEs begin with big, lost (a text instead, with
status 200) or private (not for caches). /asked/PATH says how often a path was asked for.
/not-in-containers is an error where containers would be.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = int(sys.argv[1])
FAULT = Path(f"/run/test-server-{PORT}")
CONTAINERS = 8003  # and above
ASKED: list[str] = []


class Handler(BaseHTTPRequestHandler):
    """Answers the probe, one page, and pictures."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/platform/ready":
            status, text = 200, "ready"
            if FAULT.exists():
                word, _, text = FAULT.read_text().strip().partition(" ")
                status = int(word)
            if "X-Bookface-Probe" not in self.headers:
                status, text = 404, "not found"
            self.send(status, text.encode())
        elif self.path.startswith("/showimage.php?user="):
            ASKED.append(self.path)
            name = self.path.partition("=")[2]
            if name.startswith("lost"):
                self.send(200, b"Image not found.")
            else:
                size = 200_000 if name.startswith("big") else 20_000
                more = {"Cache-Control": "private"} if name.startswith("private") else {}
                self.send(200, b"\xff\xd8" + b"x" * size, {"Content-Type": "image/jpeg"} | more)
        elif self.path.startswith("/asked/"):
            self.send(200, str(ASKED.count(self.path.removeprefix("/asked"))).encode())
        elif self.path == "/not-in-containers":
            self.send(500 if PORT >= CONTAINERS else 200, b"Users: as on all pages")
        elif self.path == "/headers":
            self.send(200, str(self.headers).encode())
        elif Path(f"{FAULT}-pages").exists():
            self.send(500, b"broken")
        else:
            self.send(200, f"Users: 1, Posts: 1, Comments: 1, port {PORT}".encode())

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "text/html"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Bookface-Host", f"port-{PORT}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Silence: the load would fill the journal."""


class Server(ThreadingHTTPServer):
    """With a queue as long as a real server's; the library's five would refuse a burst."""

    request_queue_size = 511


Server(("", PORT), Handler).serve_forever()
