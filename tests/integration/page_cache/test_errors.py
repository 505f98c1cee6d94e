# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page cache shows while pages are errors with status 200, by real HAProxy and Varnish."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from tests.support.loopback import LOOPBACK
from tests.support.paths import COLLECTIONS, PATH, ROLES
from tests.support.stage import Front, Varnish, fetch
from tests.support.waiting import until

READY = yaml.safe_load((ROLES / "haproxy/defaults/main.yml").read_text())["haproxy_check"]
ERROR = b"SQLSTATE[08006] the database is away"


class Origin(ThreadingHTTPServer):
    """A web server with one page. Like PHP it does not say beforehand how long that is."""

    page = b""

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), Page)


class Page(BaseHTTPRequestHandler):
    """What it answers."""

    protocol_version = "HTTP/1.1"
    server: Origin

    def do_GET(self) -> None:
        body = READY["content"].encode() if "ready" in self.path else self.server.page
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for begin in range(0, len(body), 8192):
            part = body[begin : begin + 8192]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def site(origin: Origin) -> Iterator[Front]:
    varnish = Varnish()
    with varnish, Front(origin.server_port, varnish, pictures=False) as front:
        origin.page = b"Users: none yet"
        until(lambda: b"Users:" in fetch(front.url("showallusers.php")), "an answer")
        yield front


def page(length: int, end: bytes = b"") -> bytes:
    """A page of about that length, whose head is that of a good one."""
    return b"Users: many " + b"and another " * (length // 12) + end


def test_an_error_at_the_end_of_a_page_is_not_what_is_kept(site: Front, origin: Origin) -> None:
    """A good page is shown instead; one whose end is not seen in time is kept for seconds only."""
    paths = {length: f"showuser.php?user={length}" for length in (200, 30_000)}
    for length, path in paths.items():
        origin.page = page(length)
        assert fetch(site.url(path)) == page(length)
    origin.page = page(200_000, ERROR)
    assert fetch(site.url("showuser.php?user=long")).endswith(ERROR)
    origin.page = ERROR
    assert fetch(site.url("showuser.php?user=long")).startswith(b"Users:")  # still fresh

    # Nothing outside shows when a page is neither fresh nor renewed behind the scenes.
    time.sleep(5.5)
    for length, path in paths.items():
        origin.page = page(length, ERROR)
        for _ in range(3):
            assert fetch(site.url(path)) == page(length)
    origin.page = ERROR
    assert fetch(site.url("showuser.php?user=long")) == ERROR


def switch(site: Front, backend: str) -> None:
    """The module, on the load balancer of this site."""
    arguments = {
        "config": str(site.directory / "haproxy.cfg"),
        "socket": str(site.directory / "admin.sock"),
        "master_socket": "",
        "frontend": "bookface",
        "backend": backend,
    }
    module = "ansible_collections.bookface.platform.plugins.modules.haproxy_default_backend"
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS), "PATH": PATH},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_maintenance_is_neither_kept_nor_hidden_by_what_is(site: Front, origin: Origin) -> None:
    kept, new = (site.url(f"showuser.php?user={name}") for name in ("kept", "new"))
    origin.page = b"Users: before"
    assert fetch(kept) == origin.page
    switch(site, "maintenance")
    for url in (kept, new, kept, new):
        assert fetch(url) == b"<p>Maintenance</p>\n"
    switch(site, "legacy")
    origin.page = b"Users: after"
    assert fetch(new) == origin.page
    assert fetch(kept).startswith(b"Users:")
