"""A real HAProxy on the loopback with the role's own configuration, and small web servers behind.

Two backends serve: C(legacy) with one server, C(docker) with two. Any more are spares with one
server each, checked like the others, so that the configuration has a size. Nothing needs root.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.errors import HarnessError
from tests.support.loopback import haproxy_config
from tests.support.paths import COLLECTIONS, PATH, ROOT
from tests.support.ports import free_ports
from tests.support.waiting import until

FRONTEND = "bookface"
PATIENCE = 20.0  # seconds for an answer, or for an end

# The load balancer is a machine of its own: one processor for HAProxy and what is done there, the
# others for clients and web servers. Where there is one only, all share it.
_PROCESSORS = sorted(os.sched_getaffinity(0))
OWN, ELSEWHERE = {_PROCESSORS[-1]}, set(_PROCESSORS[:-1] or _PROCESSORS)
# Started so, a program runs before all others of its processor.
REAL_TIME = ["chrt", "--rr", "1"]


def ask(path: Path, command: str) -> str:
    """One question to a socket of HAProxy, and its answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        connection.sendall(f"{command}\n".encode())
        answer = bytearray()
        while part := connection.recv(65536):
            answer += part
    return answer.decode()


def real_time_allowed() -> bool:
    """Whether this account may run programs before all others: root may, as a rule."""
    return subprocess.run([*REAL_TIME, "true"], check=False, capture_output=True).returncode == 0


def on_own_processor(command: list[str]) -> list[str]:
    """The command, to be run where the load balancer runs."""
    return ["taskset", "--cpu-list", ",".join(map(str, sorted(OWN))), *command]


class Balancer:
    """The load balancer and its web servers, in a directory of their own.

    C(real_time): HAProxy runs before all else on its processor.
    """

    def __init__(self, real_time: bool = False) -> None:
        self._before_others = REAL_TIME if real_time else []
        found = shutil.which("haproxy", path=PATH)
        if found is None:
            raise HarnessError("a bench of the switch needs haproxy: apt-get install haproxy")
        self.haproxy = found
        # Sockets need short paths.
        self.directory = Path(tempfile.mkdtemp(prefix="bench-"))
        self.config = self.directory / "haproxy.cfg"
        self.socket = self.directory / "admin.sock"
        self.master = self.directory / "master.sock"
        names = ("front", "stats", "web1", "docker1", "docker2", "spare")
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.url = f"http://127.0.0.1:{self._ports['front']}/"
        defaults = ROOT / "roles" / "haproxy" / "defaults" / "main.yml"
        self.text = str(yaml.safe_load(defaults.read_text())["haproxy_check"]["content"])
        self._web: dict[str, subprocess.Popen[bytes]] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def open(self, backends: int) -> None:
        """Start it all."""
        self._write_config(backends)
        for name in ("web1", "docker1", "docker2", "spare"):
            self.start_web(name)
        self.start()

    def close(self) -> None:
        """End it all."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for name in self._web:
            self.kill_web(name)
        shutil.rmtree(self.directory)

    # The configuration.

    def _write_config(self, backends: int) -> None:
        """What the role would write, and a name for each request."""
        map_file = self.directory / "default_backend.map"
        map_file.write_text("# Empty on disk.\n")
        text = haproxy_config(
            self.config,
            {
                "haproxy_frontend": FRONTEND,
                "haproxy_bind": f"127.0.0.1:{self._ports['front']}",
                "haproxy_stats_bind": f"127.0.0.1:{self._ports['stats']}",
                "haproxy_stats_password": "bench",
                "haproxy_backends": self._backends(backends),
                "__haproxy_default": "legacy",
                "__haproxy_socket": str(self.socket),
                "__haproxy_map": str(map_file),
            },
        )
        # Each request gets a name, so that two servers which received the same one can be found.
        named = (
            f"frontend {FRONTEND}\n"
            "    unique-id-format %{+X}o%ci:%cp_%fi:%fp_%Ts_%rt:%pid\n"
            "    unique-id-header X-Request-Id\n"
        )
        self.config.write_text(text.replace(f"frontend {FRONTEND}\n", named))

    def _backends(self, number: int) -> list[dict[str, Any]]:
        def server(name: str, web: str) -> dict[str, Any]:
            return {"name": name, "address": "127.0.0.1", "port": self._ports[web]}

        return [
            {"name": "legacy", "servers": [server("web1", "web1")]},
            {"name": "docker", "servers": [server(name, name) for name in ("docker1", "docker2")]},
            *(
                {"name": f"spare{n}", "servers": [server("spare", "spare")]}
                for n in range(1, number - 1)
            ),
        ]

    # HAProxy.

    def run(self, command: list[str], **more: Any) -> str:
        """Run a program to its end; what it printed. A failure ends the bench."""
        done = subprocess.run(
            on_own_processor(command),
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": PATH, "PYTHONPATH": str(COLLECTIONS)},
            **more,
        )
        if done.returncode != 0:
            told = (done.stdout + done.stderr).strip()
            raise HarnessError(f"{' '.join(command)[:200]} failed ({done.returncode}):\n{told}")
        return str(done.stdout)

    def module(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Run a module as Ansible does on the machine that it manages."""
        given = json.dumps({"ANSIBLE_MODULE_ARGS": arguments})
        result: dict[str, Any] = json.loads(self.run([sys.executable, "-m", name], input=given))
        return result

    def validate(self) -> None:
        """What every way does first with a changed configuration."""
        self.run([self.haproxy, "-c", "-q", "-f", str(self.config)])

    def start(self) -> None:
        """Start HAProxy as its service does and wait until it answers."""
        command = [self.haproxy, "-W", "-S", str(self.master), "-f", str(self.config)]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                on_own_processor([*self._before_others, *command]),
                stdout=subprocess.DEVNULL,  # a line for each request
                stderr=log,
                cwd=self.directory,
                # To the scheduler, too, a service and a shell are two things.
                start_new_session=True,
            )
        until(self._answers, "HAProxy to answer on its socket")

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise HarnessError(f"HAProxy ended with status {self._process.returncode}")
        try:
            return ask(self.socket, "show info") != ""
        except OSError:
            return False

    def stop(self) -> None:
        """Stop HAProxy as its service does."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
            self._process = None

    def reload(self) -> None:
        """Reload HAProxy as its service does: the old worker goes when the new one is there."""
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR2)

    def version(self) -> str:
        """The running HAProxy's own."""
        found = re.search(r"^Version: (.*)$", ask(self.socket, "show info"), re.MULTILINE)
        return found[1] if found else "unknown"

    def serves(self, backend: str) -> bool:
        """Whether this backend is the one that a new connection meets."""
        try:
            with urllib.request.urlopen(self.url, timeout=PATIENCE) as answer:  # noqa: S310  (http)
                return bool(answer.headers["X-Bookface-Backend"] == backend)
        except OSError:
            return False

    def passed(self, backend: str) -> int:
        """How many servers of a backend have passed a check since HAProxy started."""
        stat = csv.DictReader(ask(self.socket, "show stat").removeprefix("# ").splitlines())
        return sum(
            row["pxname"] == backend and row["check_status"] == "L7OK" and row["status"] == "UP"
            for row in stat
        )

    # The web servers.

    def start_web(self, name: str) -> None:
        """Start a web server; the same port each time."""
        port = self._ports[name]
        self._web[name] = subprocess.Popen(
            [
                sys.executable,
                str(ROOT / "tests" / "support" / "origin.py"),
                str(port),
                self.text,
                str(self.directory / f"{name}.journal"),
            ]
        )

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(listens, f"the web server {name}")

    def kill_web(self, name: str) -> None:
        """End a web server in the middle of whatever it does."""
        self._web[name].kill()
        self._web[name].wait()

    def received(self) -> list[str]:
        """Names of the requests that the web servers received, one for each time."""
        return [
            name
            for journal in self.directory.glob("*.journal")
            for name in journal.read_text().splitlines()
        ]


@contextlib.contextmanager
def serving(backends: int, real_time: bool = False) -> Iterator[Balancer]:
    """A load balancer that serves, gone afterwards. Who asks it is elsewhere from here on."""
    os.sched_setaffinity(0, ELSEWHERE)
    balancer = Balancer(real_time)
    try:
        balancer.open(backends)
        yield balancer
    except HarnessError as error:
        log = balancer.directory / "log"
        told = log.read_text(errors="replace")[-2000:] if log.exists() else "(no log)"
        raise HarnessError(f"{error}\nHAProxy's log ends with:\n{told}") from error
    finally:
        balancer.close()
