#!/usr/bin/env python3
"""A web server with probes like bookface's, that fails when told to.

/run/test-server-PORT holds `STATUS TEXT` for the readiness probe; without it: 200 ready.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = int(sys.argv[1])
FAULT = Path(f"/run/test-server-{PORT}")


class Handler(BaseHTTPRequestHandler):
    """Answers the probe and one page."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/platform/ready":
            status, text = 200, "ready"
            if FAULT.exists():
                word, _, text = FAULT.read_text().strip().partition(" ")
                status = int(word)
            if "X-Bookface-Probe" not in self.headers:
                status, text = 404, "not found"
        elif self.path == "/headers":
            status, text = 200, str(self.headers)
        else:
            status, text = 200, f"Users: 1, Posts: 1, Comments: 1, port {PORT}"
        body = text.encode()
        self.send_response(status)
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
