"""Ports for servers: nobody else's, also of processes that run at the same time."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ports
from tests.support.errors import HarnessError
from tests.support.paths import ROOT

# Asks for more than one block, and keeps them until it is told to end. All begin with the same one.
OTHER = (
    "import random; from tests.support.ports import free_ports;"
    " random.seed(1); print(*free_ports(150), flush=True); input()"
)


def test_two_processes_never_have_a_port_in_common() -> None:
    others: list[subprocess.Popen[str]] = []
    try:
        for _ in range(2):
            command = [sys.executable, "-c", OTHER]
            others.append(
                subprocess.Popen(
                    command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
        random.seed(1)
        mine = ports._blocks()
        given = [next(mine) for _ in range(150)]
        for other in others:
            assert other.stdout
            given += map(int, other.stdout.readline().split())
    finally:
        for other in others:
            other.communicate("\n")
    assert len(given) == 450
    assert len(set(given)) == 450


def test_the_kernel_hands_out_none_of_them() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(ports.free_ports(10)) < first


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104  (what others do)
def test_a_port_with_a_server_is_left_out(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = next(port for port in ports.free_ports(2) if port % ports.BLOCK)
    monkeypatch.setattr(ports, "RANGE", range(port, port + 1))
    monkeypatch.setattr(ports, "BLOCK", 1)
    assert next(ports._blocks()) == port
    with socket.create_server((address, port)), pytest.raises(HarnessError):
        next(ports._blocks())


def test_none_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "RANGE", range(0))
    with pytest.raises(HarnessError, match="no port left"):
        next(ports._blocks())


def test_addresses_of_the_loopback() -> None:
    one, other = ports.free_address(), ports.free_address()
    assert one != other
    for address in (one, other):
        socket.create_server((address, 0)).close()
