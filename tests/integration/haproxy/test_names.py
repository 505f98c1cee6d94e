# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that are given by name: HAProxy starts although none of them resolves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.loopback import haproxy_config
from tests.support.ports import free_ports

if TYPE_CHECKING:
    from conftest import Lab

NOWHERE = "no-such-name.invalid"


def test_a_name_that_does_not_resolve(stopped: Lab) -> None:
    lab = stopped
    stats, database = free_ports(2)
    known = {"name": "web1", "address": "127.0.0.1", "port": lab.web["legacy"].port}
    named: dict[str, Any] = {"name": "web2", "address": NOWHERE, "port": 80}
    haproxy_config(
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
        },
    )
    lab.start(settle=False)
    lab.until(lambda: lab.traffic() == "legacy", "the server that is known")
    states = {server.name: server.status for server in lab.stats.stat(5).servers_of("legacy")}
    assert (states["web1"][:2], states["web2"][:5]) == ("UP", "MAINT")
