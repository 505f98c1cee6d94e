# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that are given by name: HAProxy starts although none of them resolves."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.support.loopback import haproxy_config
from tests.support.ports import free_ports

if TYPE_CHECKING:
    from conftest import Lab

NOWHERE = "no-such-name.invalid"


def configure(lab: Lab, address: str, **more: Any) -> str:
    stats, database = free_ports(2)
    known = {"name": "web1", "address": "127.0.0.1", "port": lab.web["legacy"].port}
    named = known | {"name": "web2", "address": address}
    return haproxy_config(
        lab.config,
        {
            "haproxy_frontend": "book-face",
            "haproxy_bind": f"127.0.0.1:{lab.port}",
            "haproxy_stats_bind": f"127.0.0.1:{stats}",
            "haproxy_stats_password": "x",
            "haproxy_check": {"path": "/ready", "content": "legacy"},
            "haproxy_backends": [
                {"name": "legacy", "servers": [known, named]},
                {"name": "docker", "servers": [named | {"name": "web3"}]},
            ],
            "haproxy_fallback_backend": "legacy",
            "haproxy_tcp_services": [
                {"name": "database", "bind": f"127.0.0.1:{database}", "servers": [named]}
            ],
            "__haproxy_default": "legacy",
            "__haproxy_socket": str(lab.admin),
            "__haproxy_map": str(lab.map),
            **more,
        },
    )


def states(lab: Lab) -> list[str]:
    servers = {server.name: server for server in lab.stats.stat(5).servers_of("legacy")}
    return [servers[name].status.partition(" ")[0] for name in ("web1", "web2")]


@contextmanager
def nameserver() -> Iterator[str]:
    """One that has 127.0.0.1 for each name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                asked, client = server.recvfrom(4096)
                if not asked:
                    return
                end = asked.index(b"\0", 12) + 5
                known = asked[end - 4 : end - 2] == b"\0\1"
                head = asked[:2] + b"\x81\x80\0\1" + bytes([0, known]) + bytes(4)
                answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1" if known else b""
                server.sendto(head + asked[12:end] + answer, client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        address = server.getsockname()
        try:
            yield f"127.0.0.1:{address[1]}"
        finally:
            server.sendto(b"", address)
            thread.join()


def test_a_name_that_does_not_resolve(stopped: Lab) -> None:
    lab = stopped
    configure(lab, NOWHERE)
    lab.start(settle=False)
    lab.until(lambda: lab.traffic() == "legacy", "the server that is known")
    assert states(lab) == ["UP", "MAINT"]


def test_a_name_that_only_this_machine_knows(stopped: Lab) -> None:
    """HAProxy's own resolver would take it away after half a minute."""
    lab = stopped
    assert "resolvers" not in configure(lab, "localhost")
    lab.start(settle=False)
    lab.until(lambda: states(lab) == ["UP", "UP"], "both servers")


def test_a_name_that_resolves_later(stopped: Lab) -> None:
    lab = stopped
    with nameserver() as address:
        configure(lab, NOWHERE, haproxy_resolvers=[address])
        lab.start(settle=False)
        lab.until(lambda: states(lab) == ["UP", "UP"], "both servers")
