# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may reach which port of the platform, from the inventory that HAProxy reads.

The cloud's security groups and the firewalls of the hosts are both made from this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.bookface.platform.plugins.module_utils.web import backends as serving

LOADBALANCERS, DATABASES, LEGACY_WEB = "loadbalancers", "databases", "legacy_web"
DOCKER_HOSTS, CACHES = "docker_hosts", "caches"
SWARM_MANAGERS, SWARM_WORKERS = "swarm_managers", "swarm_workers"
SWARM = (SWARM_MANAGERS, SWARM_WORKERS)
GROUPS = (LOADBALANCERS, DATABASES, LEGACY_WEB, DOCKER_HOSTS, *SWARM, CACHES)
# Groups whose hosts run containers.
WITH_DOCKER = (DOCKER_HOSTS, *SWARM)
# Groups whose hosts connect to the database and to memcached.
WEB = (LEGACY_WEB, DOCKER_HOSTS, *SWARM)

# Sources that are no group: no group of an inventory can have these names.
ANYWHERE, ADMINISTRATORS = "*", "*administrators"

TCP, UDP = "tcp", "udp"
# Packets of an encrypted overlay: a protocol without ports.
ESP, NO_PORT = "esp", 0
MEMCACHED = 11211
# Traffic within a swarm: to its managers, gossip, and the overlay networks.
SWARM_ORDERS, SWARM_GOSSIP, SWARM_OVERLAY = 2377, 7946, 4789


class AccessError(ValueError):
    """What was given is invalid."""


@dataclass(frozen=True)
class Doors:
    """The ports of hosts that set no variables of their own; they are checked when they are used.

    The three C(bind) are addresses in HAProxy's form; an empty C(tls_bind) is none.
    """

    bind: str
    tls_bind: str
    stats_bind: str
    database_port: int


@dataclass(frozen=True, order=True)
class Access:
    """A port of the hosts of C(group), or NO_PORT of ESP, and who may reach it.

    C(source) is a group, ANYWHERE or ADMINISTRATORS.
    """

    group: str
    protocol: str
    port: int
    source: str


def bound(bind: str) -> list[tuple[str, int]]:
    """Addresses and ports of HAProxy's C(bind): one, or several by commas. Options left out."""
    found = []
    for part in (bind.split() or [""])[0].split(","):
        address, colon, port = part.rpartition(":")
        if not (colon and port.isdigit()):
            raise AccessError(
                f"{bind!r} has no port: expected an address with a port, such as *:80"
            )
        found.append((address, int(port)))
    return found


def outside(bind: str) -> list[int]:
    """Ports of a C(bind) that other machines can reach."""
    return [
        port
        for address, port in bound(bind)
        if not (address.startswith("127.") or address in ("localhost", "[::1]", "::1"))
    ]


def cidrs(name: str, values: Iterable[str]) -> list[str]:
    """Networks in their canonical form; C(name) is the variable that holds them."""
    found = []
    for value in values:
        try:
            found.append(str(ip_network(str(value))))
        except ValueError as error:
            raise AccessError(
                f"{name} has {value!r}: {error}. Expected networks such as 192.0.2.0/24"
            ) from error
    return found


def ranges(ports: Iterable[int]) -> list[tuple[int, int]]:
    """Consecutive ports as ranges."""
    found: list[tuple[int, int]] = []
    for port in sorted({*ports}):
        if found and found[-1][1] == port - 1:
            found[-1] = (found[-1][0], port)
        else:
            found.append((port, port))
    return found


def accesses(
    groups: Mapping[str, Iterable[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
    ports: serving.Ports,
    doors: Doors,
) -> set[Access]:
    """What is open to whom. C(groups) and C(hostvars) are Ansible's, or a part of C(groups)."""
    members = {name: list(groups.get(name, ())) for name in GROUPS}
    known = {name: hostvars[name] for names in members.values() for name in names}
    found: set[Access] = set()

    def allow(group: str, opened: Iterable[int], sources: Iterable[str], how: str = TCP) -> None:
        found.update(Access(group, how, port, source) for port in opened for source in sources)

    for own in (known[host] for host in members[LOADBALANCERS]):
        allow(LOADBALANCERS, outside(str(own.get("haproxy_bind", doors.bind))), [ANYWHERE])
        if tls := own.get("haproxy_tls_bind", doors.tls_bind):
            allow(LOADBALANCERS, outside(str(tls)), [ANYWHERE])
        statistics = outside(str(own.get("haproxy_stats_bind", doors.stats_bind)))
        allow(LOADBALANCERS, statistics, [ADMINISTRATORS])

    for backend in serving.backends(members, known, ports):
        for group in serving.GROUPS[backend.name]:
            opened = {server.port for server in backend.servers if server.host in members[group]}
            allow(group, opened, [LOADBALANCERS])
            if group in SWARM:
                # The manager that leads a run asks each node whether it serves.
                allow(group, opened, [SWARM_MANAGERS])

    def database_port(host: str, own: Mapping[str, Any]) -> int:
        given = own.get("bookface_db_port", doors.database_port)
        return serving.port(f"bookface_db_port of {host}", given)

    for host, own in ((host, known[host]) for host in members[DATABASES]):
        clients = [*own.get("database_client_groups", WEB), *own.get("database_owner_groups", ())]
        allow(DATABASES, [database_port(host, own)], clients)
    for own in (known[host] for host in members[CACHES]):
        allow(CACHES, [MEMCACHED], own.get("cache_client_groups", WEB))

    nodes = [host for group in SWARM for host in members[group]]
    encrypted = any(boolean(known[host].get("swarm_encrypted"), strict=False) for host in nodes)
    for group in filter(members.get, SWARM):
        allow(group, [SWARM_GOSSIP], SWARM)
        allow(group, [SWARM_GOSSIP, SWARM_OVERLAY], SWARM, UDP)
        if encrypted:
            allow(group, [NO_PORT], SWARM, ESP)
    if members[SWARM_MANAGERS]:
        allow(SWARM_MANAGERS, [SWARM_ORDERS], SWARM)
    return found
