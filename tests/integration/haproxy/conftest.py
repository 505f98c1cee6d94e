# SPDX-License-Identifier: GPL-3.0-or-later
"""A real HAProxy on loopback, tiny real web servers behind it, and the modules run for real."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import (
    HaproxyRuntimeError,
    HaproxySocket,
)

from tests.support.paths import COLLECTIONS, PATH
from tests.support.ports import free_port
from tests.support.waiting import until

MODULES = "ansible_collections.bookface.platform.plugins.modules"


def haproxy_program() -> str:
    found = shutil.which("haproxy", path=PATH)
    if not found:
        pytest.fail("these tests need a real haproxy: apt-get install haproxy", pytrace=False)
    return found


def haproxy_version() -> tuple[int, ...]:
    """Major and minor."""
    text = subprocess.run([haproxy_program(), "-v"], check=True, capture_output=True, text=True)
    found = re.search(r"version (\d+)\.(\d+)", text.stdout)
    assert found, text.stdout
    return tuple(int(number) for number in found.groups())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of what this HAProxy has not yet, or no more; `make test-haproxy`."""
    marks = {item: item.get_closest_marker("haproxy") for item in items}
    if not any(marks.values()):
        return
    version = haproxy_version()
    aside = [
        item
        for item, mark in marks.items()
        if mark and not mark.kwargs.get("since", (0,)) <= version < mark.kwargs.get("before", (99,))
    ]
    config.hook.pytest_deselected(items=aside)
    items[:] = [item for item in items if item not in aside]


class WebServer:
    """Answers every request with its name; health checks wait until it is ready."""

    def __init__(self, name: str) -> None:
        self.ready = threading.Event()
        self.ready.set()
        ready = self.ready

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path == "/ready":
                    ready.wait(60)
                body = name.encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_args: object) -> None:
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = int(self.server.server_address[1])
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="session")
def web() -> Iterator[dict[str, WebServer]]:
    servers = {
        "legacy": WebServer("legacy"),
        "docker": WebServer("docker"),
        "slow": WebServer("slow"),
    }
    yield servers
    for server in servers.values():
        server.stop()


class Lab:
    """One HAProxy in a directory of its own, and what is asked of it."""

    def __init__(self, directory: Path, web: dict[str, WebServer]) -> None:
        self.directory = directory
        self.config = directory / "haproxy.cfg"
        self.admin = directory / "admin.sock"
        self.master = directory / "master.sock"
        self.map = directory / "maps" / "default_backend.map"
        self.map.parent.mkdir()
        self.map.write_text("# Empty on disk.\n")
        self.port = free_port()
        self.web = web
        self.process: subprocess.Popen[bytes] | None = None
        self.stats = HaproxySocket(str(self.admin))
        self.config.write_text(self.text())

    def text(self, rule: bool = True, default: str = "legacy", extra: str = "") -> str:
        follow = f"fe_name,map({self.map})"
        line = f"    use_backend %[{follow}] if {{ {follow} -m found }}\n" if rule else ""
        return (
            "global\n"
            f"    stats socket {self.admin} mode 600 level admin\n"
            "defaults\n    mode http\n    timeout connect 2s\n    timeout client 20s\n"
            "    timeout server 20s\n    timeout check 60s\n    option httpchk GET /ready\n"
            "    default-server inter 200ms\n"
            # From 3.3 on the default is random: a dead server could get the first request.
            "    balance roundrobin\n"
            "# the public frontend\n"
            "frontend book-face   # kept\n"
            f"    bind 127.0.0.1:{self.port}\n{line}"
            f"    default_backend\t{default}  # decides\n\n"
            "backend legacy\n"
            f"    server web1 127.0.0.1:{self.web['legacy'].port} check\n"
            "backend docker\n"
            f"    server docker1 127.0.0.1:{self.web['docker'].port} check\n"
            "    server docker2 127.0.0.1:9 check\n"
            "backend dead\n"
            "    server gone 127.0.0.1:9 check\n"
            "backend slow\n"
            f"    server slow1 127.0.0.1:{self.web['slow'].port} check\n"
            "backend unchecked\n"
            f"    server any 127.0.0.1:{self.web['docker'].port}\n"
            "backend off\n    disabled\n"
            f"    server docker1 127.0.0.1:{self.web['docker'].port}\n"
            f"{extra}"
        )

    def start(self, settle: bool = True) -> None:
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [haproxy_program(), "-W", "-S", str(self.master), "-f", str(self.config)],
                stdout=log,
                stderr=log,
                cwd=self.directory,
            )

        def ready() -> bool:
            if self.process is not None and self.process.poll() is not None:
                pytest.fail((self.directory / "log").read_text())
            try:
                return self.checked() or not settle
            except HaproxyRuntimeError:
                return False

        self.until(ready, "HAProxy and its first checks")

    def checked(self) -> bool:
        """Whether the first checks have ended: until then a dead server gets requests, too."""
        return all(
            server.check_status not in ("", "INI")
            for server in self.stats.stat(2).servers
            if server.backend in ("legacy", "docker", "dead")
        )

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def crash(self) -> None:
        """Master and worker are killed; their sockets stay, and refuse."""
        assert self.process is not None
        worker = self.pid()
        self.process.kill()
        self.process.wait()
        self.process = None
        with contextlib.suppress(ProcessLookupError):  # it may have followed its master
            os.kill(worker, 9)

    until = staticmethod(until)

    # what is true afterwards

    def traffic(self, path: str = "/", headers: Mapping[str, str] | None = None) -> str:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers=dict(headers or {}))
            reply = connection.getresponse()
            body = reply.read().decode()
        finally:
            connection.close()
        return body if reply.status == 200 else f"status {reply.status}"

    def entry(self) -> tuple[str, ...] | None:
        return self.stats.entries(str(self.map), "book-face", 5)

    def pid(self) -> int:
        return self.stats.info(5).pid

    def reload(self) -> None:
        """A reload by somebody else, waited for."""
        old = self.pid()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.master))
            connection.sendall(b"reload\n")
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
        self.until(lambda: self.answers() not in (None, old), "the new worker")

    def answers(self) -> int | None:
        try:
            return self.pid()
        except HaproxyRuntimeError:
            return None

    def files(self) -> list[str]:
        """What lies beside the configuration, sockets and log apart."""
        ignored = ("log", "admin.sock", "master.sock", "maps", "haproxy.cfg.previous.json")
        return sorted(p.name for p in self.directory.iterdir() if p.name not in ignored)

    # the modules

    def arguments(self, **more: Any) -> dict[str, Any]:
        result: dict[str, Any] = {
            "config": str(self.config),
            "socket": str(self.admin),
            "master_socket": str(self.master),
            "frontend": "book-face",
            **more,
        }
        return {name: value for name, value in result.items() if value is not None}

    def begin(
        self, module: str, arguments: dict[str, Any], prefix: list[str] | None = None
    ) -> subprocess.Popen[str]:
        program = subprocess.Popen(
            [*(prefix or []), sys.executable, "-m", f"{MODULES}.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(COLLECTIONS), "PATH": PATH},
        )
        assert program.stdin is not None
        program.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        program.stdin.close()
        program.stdin = None
        return program

    @staticmethod
    def end(program: subprocess.Popen[str]) -> dict[str, Any]:
        out, err = program.communicate(timeout=60)
        assert "Traceback" not in err, err
        result: dict[str, Any] = json.loads(out)
        return result

    def switch(self, backend: str, check: bool = False, **more: Any) -> dict[str, Any]:
        arguments = self.arguments(backend=backend, **more)
        arguments["_ansible_check_mode"] = check
        arguments["_ansible_diff"] = True
        return self.end(self.begin("haproxy_default_backend", arguments))

    def info(self, **more: Any) -> dict[str, Any]:
        arguments = self.arguments(**more)
        del arguments["frontend"], arguments["master_socket"]
        return self.end(self.begin("haproxy_info", arguments))


@pytest.fixture
def stopped(web: dict[str, WebServer]) -> Iterator[Lab]:
    """A laboratory whose HAProxy has not been started."""
    # Sockets need short paths.
    directory = Path(tempfile.mkdtemp(prefix="hx-"))
    lab = Lab(directory, web)
    yield lab
    lab.stop()
    shutil.rmtree(directory)


@pytest.fixture
def lab(stopped: Lab) -> Lab:
    stopped.start()
    return stopped


@pytest.fixture(scope="module")
def shared(web: dict[str, WebServer]) -> Iterator[Lab]:
    """A running laboratory for the tests of one file, which say what they start from."""
    with tempfile.TemporaryDirectory(prefix="hx-") as directory:
        lab = Lab(Path(directory), web)
        try:
            lab.start()
            yield lab
        finally:
            lab.stop()
