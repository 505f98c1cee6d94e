# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook on two load balancers that share an address, as a keepalived pair does.

Each has a network of its own. The address is in the network of the one that is active.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import (
    HaproxySocket,
)
from conftest import haproxy_program

from tests.support.commands import Run, playbook_on
from tests.support.paths import PATH, ROOT
from tests.support.waiting import until

SHARED = "192.0.2.100"
# Port of each backend's web server, in each network.
WEB = {"legacy": 8001, "docker": 8002, "other": 8003}
# Two frontends of one site, each with a backend of its own.
FRONTENDS = {"www": "legacy", "tls": "other"}


class Balancer:
    """One of the pair: its network, its web servers, its HAProxy."""

    def __init__(self, directory: Path, active: bool, binds: list[str], rule: bool) -> None:
        self.directory = directory
        self.directory.mkdir()
        self.config = directory / "haproxy.cfg"
        self.socket = directory / "admin.sock"
        self.map = directory / "maps" / "default_backend.map"
        if rule:
            self.map.parent.mkdir()
            self.map.write_text("# Empty on disk.\n")
        self.config.write_text(self.text(binds, rule))
        self.programs = ExitStack()
        self.haproxy: subprocess.Popen[bytes] | None = None
        setup = ["ip link set lo up"]
        if active:
            setup.append(f"ip address add {SHARED}/32 dev lo")
        else:
            setup.append("echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind")
        script = " && ".join([*setup, "echo ready", "exec sleep infinity"])
        network = self._start("unshare", "--map-root-user", "--net", "sh", "-c", script)
        assert network.stdout
        assert network.stdout.readline() == b"ready\n"
        self.inside = ["nsenter", f"--target={network.pid}", "--user", "--net"]
        self.inside.append("--preserve-credentials")
        origin = str(ROOT / "tests" / "support" / "origin.py")
        for name, port in WEB.items():
            self._start(*self.inside, sys.executable, origin, str(port), f"Users: {name}")
        self.python = directory / "python"
        self.python.write_text(f'#!/bin/sh\nexec {" ".join(self.inside)} {sys.executable} "$@"\n')
        self.python.chmod(0o755)

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.directory / "log").open("ab") as log:
            program = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, env={**os.environ, "PATH": PATH}
            )
        self.programs.callback(program.wait)
        self.programs.callback(program.kill)
        return program

    def text(self, binds: list[str], rule: bool) -> str:
        follow = f"fe_name,map({self.map})"
        rules = (
            "    http-after-response set-header X-Bookface-Backend %b\n"
            f"    use_backend %[{follow}] if {{ {follow} -m found }}\n"
        )
        return (
            f"global\n    stats socket {self.socket} mode 600 level admin\n"
            "defaults\n    mode http\n    timeout connect 2s\n    timeout client 9s\n"
            "    timeout server 9s\n    default-server inter 200ms\n"
            + "".join(
                f"frontend {name}\n    bind {bind}\n{rules if rule else ''}"
                f"    default_backend {default}\n"
                for (name, default), bind in zip(FRONTENDS.items(), binds, strict=True)
            )
            + "".join(
                f"backend {name}\n    server {name}1 127.0.0.1:{port} check\n"
                for name, port in WEB.items()
            )
        )

    def start(self) -> None:
        command = [haproxy_program(), "-W", "-S", str(self.directory / "master.sock")]
        self.haproxy = self._start(*self.inside, *command, "-f", str(self.config))
        (self.directory / "pid").write_text(str(self.haproxy.pid))
        stats = HaproxySocket(str(self.socket))

        def checked() -> bool:
            try:
                servers = stats.stat(2).servers
            except Exception:  # not there yet
                return False
            return all(server.check_status == "L4OK" for server in servers)

        until(checked, "HAProxy and its first checks", 20)

    def stop(self) -> None:
        """The standby is under maintenance."""
        assert self.haproxy
        self.haproxy.terminate()
        self.haproxy.wait(10)

    def ask(self, url: str) -> str:
        done = subprocess.run(
            [*self.inside, "curl", "-s", "-m", "5", url], check=True, capture_output=True, text=True
        )
        return done.stdout

    def lines(self) -> list[str]:
        words = [line.split() for line in self.config.read_text().splitlines()]
        return [line[1] for line in words if line[:1] == ["default_backend"]]

    def live(self) -> list[tuple[str, ...] | None]:
        stats = HaproxySocket(str(self.socket))
        return [stats.entries(str(self.map), name, 5) for name in FRONTENDS]


class Pair:
    def __init__(self, directory: Path, rule: bool = True, **binds: list[str]) -> None:
        self.directory = directory
        shared = [f"{SHARED}:8080", f"{SHARED}:8443"]
        self.a = Balancer(directory / "a", True, binds.get("a", shared), rule)
        self.b = Balancer(directory / "b", False, binds.get("b", shared), rule)
        hosts = {
            f"lb-{one.directory.name}": {
                "ansible_python_interpreter": str(one.python),
                "haproxy_config": str(one.config),
                "haproxy_socket": str(one.socket),
                "haproxy_master_socket": str(one.directory / "master.sock"),
                "haproxy_reload_command": f"sh -c 'kill -USR2 $(cat {one.directory}/pid)'",
            }
            for one in (self.a, self.b)
        }
        variables = {
            "ansible_connection": "local",
            "ansible_become": False,
            "haproxy_mode": "adopt",
            "haproxy_frontend": list(FRONTENDS),
            "haproxy_adopt_backends": [],
            "haproxy_backends": [
                {"name": n, "servers": [{"name": f"{n}1", "address": "127.0.0.1", "port": p}]}
                for n, p in WEB.items()
            ],
            "haproxy_stats_password": "x",
            "haproxy_switch_proof": {"content": "Users:", "requests": 2, "seconds": 0.2},
        }
        inventory = {"all": {"children": {"loadbalancers": {"hosts": hosts, "vars": variables}}}}
        (directory / "hosts.json").write_text(json.dumps(inventory))

    def playbook(self, name: str, **variables: Any) -> Run:
        return playbook_on(self.directory / "hosts.json", name, "-e", json.dumps(variables))

    def switch(self, **variables: Any) -> Run:
        return self.playbook("switch_backend.yml", **variables)

    def close(self) -> None:
        for one in (self.a, self.b):
            one.programs.close()


@pytest.fixture
def directory() -> Iterator[Path]:
    # Sockets need short paths.
    path = Path(tempfile.mkdtemp(prefix="hx-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def pair(directory: Path) -> Iterator[Pair]:
    pair = Pair(directory)
    try:
        pair.a.start()
        pair.b.start()
        yield pair
    finally:
        pair.close()


def test_the_standby_is_proved_without_a_request(pair: Pair) -> None:
    """Also where the proof names the shared address, and each frontend has another backend."""
    for _ in range(5):
        assert pair.a.ask(f"http://{SHARED}:8080/") == "Users: legacy"
    run = pair.switch(target="docker").ok()
    assert "proof: 2 of 2 requests to frontend tls served by docker" in run.text
    assert f"no request, since http://{SHARED}:8443/ is not on lb-b at present" in run.text
    assert pair.a.ask(f"http://{SHARED}:8443/") == "Users: docker"
    for one in (pair.a, pair.b):
        assert (one.lines(), one.live()) == (["docker"] * 2, [("docker",)] * 2)
    proof = {"url": f"http://{SHARED}:8080/", "content": "Users:", "requests": 2, "seconds": 0}
    back = pair.switch(rollback=True, haproxy_switch_proof=proof).ok()
    assert "lb-a, frontend tls: docker -> other" in back.text
    assert "proof: 2 of 2 requests to frontend tls served by other" in back.text
    for one in (pair.a, pair.b):
        assert (one.lines(), one.live()) == (["legacy", "other"], [("legacy",), ("other",)])


def test_each_returns_to_its_own_backend(pair: Pair) -> None:
    """A failed switch and a failed rollback, after another load balancer has made it."""
    content = "{{ 'Users:' if inventory_hostname == 'lb-a' else 'no such words' }}"
    wrong = {"content": content, "requests": 1, "seconds": 0}
    own = ["legacy", "other"]
    # Of an earlier switch, which still holds.
    note = Path(f"{pair.a.config}.left-out.lb-b")
    note.touch()
    # The standby has to be asked.
    subprocess.run(
        [*pair.b.inside, "ip", "address", "add", f"{SHARED}/32", "dev", "lo"], check=True
    )
    failed = pair.switch(target="docker", haproxy_switch_proof=wrong)
    assert failed.code != 0
    assert "On lb-a the traffic of tls goes to other again." in failed.text, failed.output
    for one in (pair.a, pair.b):
        assert (one.lines(), one.live()) == (own, [("legacy",), ("other",)])
    assert pair.a.ask(f"http://{SHARED}:8443/") == "Users: other"
    assert note.exists()
    # Now a rollback, to two other backends.
    for one in (pair.a, pair.b):
        moves = {"www": {"from": "other", "to": "legacy"}, "tls": {"from": "docker", "to": "other"}}
        Path(f"{one.config}.previous.json").write_text(json.dumps(moves))
    failed = pair.switch(rollback=True, haproxy_switch_proof=wrong)
    assert failed.code != 0
    assert "lb-a, frontend tls: other -> docker" in failed.text
    for one in (pair.a, pair.b):
        assert (one.lines(), one.live()) == (own, [("legacy",), ("other",)])


def test_one_that_is_not_reached_on_the_way_back_is_named(pair: Pair) -> None:
    """The second fails; the network to the first fails before it can be taken back."""
    inventory = json.loads((pair.directory / "hosts.json").read_text())
    hosts = inventory["all"]["children"]["loadbalancers"]["hosts"]
    hosts["lb-a"].update(
        cut_off(pair.directory, "hostvars['lb-b'].__haproxy_reason is defined"),
    )
    (pair.directory / "hosts.json").write_text(json.dumps(inventory))
    content = "{{ 'Users:' if inventory_hostname == 'lb-a' else 'no such words' }}"
    subprocess.run(
        [*pair.b.inside, "ip", "address", "add", f"{SHARED}/32", "dev", "lo"], check=True
    )
    wrong = {"content": content, "requests": 1, "seconds": 0}
    failed = pair.switch(target="docker", haproxy_switch_proof=wrong)
    assert failed.code != 0
    said = " ".join(failed.text.split())
    assert "On lb-a the traffic of www could NOT be returned to legacy (it could not" in said, said
    assert "run: ansible-playbook switch_backend.yml -l lb-a -e rollback=true" in said
    assert "On lb-b the traffic of www goes to legacy again." in said
    assert (pair.a.lines(), pair.b.lines()) == (["docker"] * 2, ["legacy", "other"])


def test_the_first_is_not_reached_any_more(pair: Pair) -> None:
    """Nobody knows whether its switch took place, so nothing is claimed about its traffic."""
    now = "inventory_hostname == 'lb-a' and __haproxy_own is defined"
    failed = pair.switch(target="docker", **cut_off(pair.directory, now))
    assert failed.code != 0, failed.output
    said = " ".join(failed.text.split())
    assert "Where lb-a sends its traffic is unknown" in said, said
    assert "goes where it went before" not in said
    assert [one.lines() for one in (pair.a, pair.b)] == [["legacy", "other"]] * 2


def cut_off(directory: Path, now: str) -> dict[str, Any]:
    """Variables of hosts that are not reached any more once the condition C(now) holds."""
    program = directory / "cut"
    program.write_text("#!/bin/sh\nexit 255\n")
    program.chmod(0o755)
    return {
        "ansible_connection": f"{{{{ 'ssh' if {now} else 'local' }}}}",
        "ansible_ssh_executable": str(program),
        "ansible_ssh_retries": 0,
    }


def test_each_is_asked_at_an_address_of_its_own(directory: Path) -> None:
    """The proof names the shared address, and the standby has another one, too."""
    binds = [f"{SHARED}:8080,127.0.0.2:8080", f"{SHARED}:8443,127.0.0.2:8443"]
    pair = Pair(directory, b=binds)
    try:
        pair.a.start()
        pair.b.start()
        proof = {"url": f"http://{SHARED}:8080/", "content": "Users:", "requests": 2, "seconds": 0}
        run = pair.switch(target="docker", haproxy_switch_proof=proof).ok()
        assert "no request" not in run.text
        assert run.text.count("proof: 2 of 2 requests to frontend www served by docker") == 2
    finally:
        pair.close()


def test_the_proof_needs_no_headers(directory: Path) -> None:
    """Where haproxy_identify_server is false, HAProxy's counters are the witness."""
    pair = Pair(directory)
    try:
        for one in (pair.a, pair.b):
            lines = one.config.read_text().splitlines(True)
            shown = [line for line in lines if "X-Bookface-Backend" not in line]
            assert len(shown) < len(lines)
            one.config.write_text("".join(shown))
            one.start()
        run = pair.switch(target="docker", haproxy_identify_server=False).ok()
        assert "proof: 2 of 2 requests to frontend www served by docker" in run.text
        assert [one.lines() for one in (pair.a, pair.b)] == [["docker"] * 2] * 2
    finally:
        pair.close()


def test_a_standby_whose_frontends_do_not_all_follow_the_map(directory: Path) -> None:
    """They are reloaded together, and verified as what was reloaded."""
    pair = Pair(directory)
    try:
        for one in (pair.a, pair.b):
            rule = next(line for line in one.config.read_text().splitlines(True) if "map(" in line)
            first, last = one.config.read_text().rsplit(rule, 1)
            one.config.write_text(first + last)
            one.start()
        run = pair.switch(target="docker").ok()
        assert "engine reload" in run.text
        assert "is not on lb-b at present" in run.text
        assert [one.lines() for one in (pair.a, pair.b)] == [["docker"] * 2] * 2
    finally:
        pair.close()


def test_a_standby_that_cannot_be_reached_is_not_verified(pair: Pair) -> None:
    """The network fails after the proof, for one task."""
    now = "inventory_hostname == 'lb-b' and __haproxy_proved.results is defined"
    missing = "__haproxy_verified.results is not defined"
    failed = pair.switch(target="docker", **cut_off(pair.directory, f"{now} and {missing}"))
    assert failed.code != 0, failed.output
    assert "did not serve as expected (it could not be reached)" in failed.text
    for one in (pair.a, pair.b):
        assert (one.lines(), one.live()) == (["legacy", "other"], [("legacy",), ("other",)])


def test_one_that_is_down_is_left_out_and_follows_later(directory: Path) -> None:
    pair = Pair(directory, rule=False)
    try:
        pair.a.start()
        pair.b.start()
        left_out(pair)
    finally:
        pair.close()


def left_out(pair: Pair) -> None:
    pair.playbook("site.yml").ok()
    pair.b.stop()
    run = pair.switch(target="docker", haproxy_switch_skip="lb-b").ok()
    assert "left out: lb-b" in run.text
    assert (pair.a.lines(), pair.b.lines()) == (["docker"] * 2, ["legacy", "other"])
    pair.switch(target="legacy", haproxy_switch_skip="lb-b").ok()
    assert pair.a.ask(f"http://{SHARED}:8080/") == "Users: legacy"
    # It has left out the other one before.
    older = Path(f"{pair.b.config}.left-out.lb-a")
    older.touch()
    os.utime(older, (0, 0))
    pair.b.start()
    site = pair.playbook("site.yml").ok()
    for one in (pair.a, pair.b):
        assert (one.lines(), one.live()) == (["legacy"] * 2, [("legacy",)] * 2), site.output
        assert not list(one.directory.glob("*left-out*"))
    # Once.
    again = pair.playbook("site.yml").ok()
    assert set(again.changed.values()) == {0}, again.output
    # Both return to the same backend, which one of them has had.
    pair.switch(rollback=True).ok()
    assert [one.lines() for one in (pair.a, pair.b)] == [["docker"] * 2] * 2
