# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports on which nodes of a swarm reach each other: whom to ask before one joins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.access import (
    SWARM_GOSSIP,
    SWARM_ORDERS,
    SWARM_OVERLAY,
    TCP,
    UDP,
)

ORDERS, GOSSIP = f"{TCP}/{SWARM_ORDERS}", f"{TCP}/{SWARM_GOSSIP}"
# A node that is in the swarm answers no strange packets: only what listens for the test does.
DATAGRAMS = (f"{UDP}/{SWARM_GOSSIP}", f"{UDP}/{SWARM_OVERLAY}")

Entry = Mapping[str, Any]


def plan(seen: Mapping[str, Entry], managers: Sequence[str]) -> dict[str, Any]:
    """On which ports the hosts that join listen meanwhile, and whom each host asks."""
    joins = [host for host, said in seen.items() if said["state"] == "inactive"]
    listen = {host: [*([ORDERS] if host in managers else []), GOSSIP, *DATAGRAMS] for host in joins}

    def open_at(host: str) -> list[str]:
        orders = [ORDERS] if seen[host].get("manager") else []
        return listen.get(host) or [*orders, GOSSIP]

    return {
        "listen": listen,
        "ask": {
            asker: [
                f"{host}={seen[host]['host'].strip('[]')}={port}"
                for host in seen
                if host != asker and {asker, host} & {*joins}
                for port in open_at(host)
            ]
            for asker in seen
        },
    }


def closed(
    missed: Mapping[str, Mapping[str, str]], busy: Mapping[str, Iterable[str]]
) -> Iterable[str]:
    """Sentences about who does not reach whom; C(busy) are ports that the test could not use.

    The listeners of other hosts may end while one waits for a port that is in use: then that alone
    is known.
    """
    foreign = [
        f"{_port(port)} of {host} is in use by a program that is not its swarm: end it."
        for host, ports in busy.items()
        for port in ports
        if port not in DATAGRAMS
    ]
    if foreign:
        yield from foreign
        return
    refused = []
    for asker, targets in missed.items():
        for target, why in targets.items():
            host, address, port = target.split("=")
            if port not in busy.get(host, ()):
                refused.append(f"{asker} to {host} ({address}) on {_port(port)}: {why}")
    if refused:
        yield (
            f"The nodes do not reach each other: {'; '.join(refused)}. No answer means that a"
            " firewall drops it, Connection refused that one rejects it. Open 2377/tcp, 7946/tcp"
            " and udp, 4789/udp between the nodes."
        )


def _port(port: str) -> str:
    """A port as people write it."""
    kind, number = port.split("/")
    return f"{number}/{kind}"
