# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's configuration with a server that dies over each request that it has taken."""

from __future__ import annotations

import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import haproxy_program

from tests.support.loopback import LOOPBACK, haproxy_config
from tests.support.ports import free_ports
from tests.support.waiting import until


class Server:
    """Ready, as its checks see it. A dying one ends the connection instead of answering."""

    def __init__(self, dying: bool) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                check = self.path == "/platform/ready"
                if not check:
                    asked.append(self.path)
                    if dying:
                        return
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"ready" if check else b"page")

            def log_message(self, *_args: object) -> None:
                pass

        self.http = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.port = int(self.http.server_address[1])
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()


class Site:
    """HAProxy, a server that dies, and one that does not."""

    def __init__(self, url: str, dying: Server, config: Path) -> None:
        self.url, self.dying, self.config = url, dying, config

    def ask(self, path: str) -> int:
        """Status of the answer; 503 while no server has passed a check."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def taken(self, path: str) -> int:
        """How often the one that dies has got this request."""
        return self.dying.asked.count(path)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("dying")
    servers = {"dying": Server(dying=True), "living": Server(dying=False)}
    front, stats = free_ports(2)
    config = directory / "haproxy.cfg"
    (directory / "map").write_text("# Empty on disk.\n")
    listed = [
        {"name": name, "address": LOOPBACK, "port": one.port} for name, one in servers.items()
    ]
    haproxy_config(
        config,
        {
            "haproxy_bind": f"{LOOPBACK}:{front}",
            "haproxy_stats_bind": f"{LOOPBACK}:{stats}",
            "haproxy_stats_password": "for-the-test",
            "haproxy_backends": [{"name": "swarm", "servers": listed}],
            # A server that breaks off stays in, so that it can do so again.
            "haproxy_server_options": "inter 200ms",
            # Ends the frontend's rules.
            "haproxy_frontend_extra": (
                "http-request allow if { path /allowed.php }\nuse_backend swarm if { path /x }"
            ),
            "__haproxy_default": "swarm",
            "__haproxy_socket": str(directory / "admin.sock"),
            "__haproxy_map": str(directory / "map"),
        },
    )
    with (directory / "log").open("wb") as log:
        haproxy = subprocess.Popen([haproxy_program(), "-f", config], stdout=log, stderr=log)
    found = Site(f"http://{LOOPBACK}:{front}", servers["dying"], config)
    try:
        until((directory / "admin.sock").exists, lambda: (directory / "log").read_text(), 20)
        yield found
    finally:
        haproxy.terminate()
        haproxy.wait(10)
        for one in servers.values():
            one.http.shutdown()
            one.http.server_close()


@pytest.mark.parametrize("path", ["/", "/showuser.php?user=7"])
def test_a_page_that_reads_is_asked_of_another_server(site: Site, path: str) -> None:
    assert [site.ask(path) for _ in range(6)] == [200] * 6
    assert site.taken(path) > 0


@pytest.mark.parametrize(
    "path", ["/createpost.php?user=7", "/?user=7", "/showuser.php?user=7&x=1", "/allowed.php"]
)
def test_what_may_write_is_asked_once(site: Site, path: str) -> None:
    """The one that has died may have done it."""
    answers = [site.ask(path) for _ in range(6)]
    assert set(answers) == {200, 502}
    assert site.taken(path) == answers.count(502)


def test_rules_of_one_s_own_before_ours_cause_no_warning(site: Site) -> None:
    command = [haproxy_program(), "-c", "-f", str(site.config)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "WARNING" not in done.stdout + done.stderr
