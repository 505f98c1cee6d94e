# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of the security groups, from the inventory that HAProxy reads.

Each group of the inventory gets a security group, and all machines share one for SSH and outgoing
traffic. A rule names the group that needs the port, so rules do not depend on addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import (
    CACHES,
    DATABASES,
    DOCKER_HOSTS,
    LEGACY_WEB,
    LOADBALANCERS,
    SWARM,
    SWARM_MANAGERS,
    WEB,
    Machine,
    Names,
    jump,
    members,
)
from ansible_collections.bookface.platform.plugins.module_utils.web import backends as serving

SSH, MEMCACHED = 22, 11211
# Traffic within a swarm: to its managers, gossip, and the overlay networks.
SWARM_ORDERS, SWARM_GOSSIP, SWARM_OVERLAY = 2377, 7946, 4789
# Group of the inventory → backend of the load balancer.
_BACKENDS = {
    LEGACY_WEB: serving.LEGACY,
    DOCKER_HOSTS: serving.DOCKER,
    **dict.fromkeys(SWARM, serving.SWARM),
}


class RulesError(ValueError):
    """The input of the rules is invalid."""


@dataclass(frozen=True)
class Doors:
    """Who has access, and the ports of machines that set no variables of their own.

    The three C(bind) are addresses in HAProxy's form; an empty C(tls_bind) is none.
    """

    bind: str
    tls_bind: str
    stats_bind: str
    database_port: int
    ssh_cidrs: Sequence[str]
    admin_cidrs: Sequence[str]


@dataclass(frozen=True, order=True)
class Rule:
    """Incoming traffic that is allowed, from C(group) or from C(cidr)."""

    protocol: str
    first: int
    last: int
    group: str = ""
    cidr: str = ""

    def as_data(self) -> dict[str, Any]:
        """The rule for openstack.cloud.security_group."""
        version = 6 if ":" in self.cidr else 4
        where = {"remote_group": self.group} if self.group else {"remote_ip_prefix": self.cidr}
        return {
            "direction": "ingress",
            "ether_type": f"IPv{version}",
            "protocol": self.protocol,
            "port_range_min": self.first,
            "port_range_max": self.last,
            **where,
        }


# What a machine asks of others is not limited.
EGRESS: tuple[Mapping[str, Any], ...] = tuple(
    {"direction": "egress", "ether_type": version} for version in ("IPv4", "IPv6")
)


def bound(bind: str) -> list[tuple[str, int]]:
    """Addresses and ports of HAProxy's C(bind): one, or several by commas. Options left out."""
    found = []
    for part in (bind.split() or [""])[0].split(","):
        address, colon, port = part.rpartition(":")
        if not (colon and port.isdigit()):
            raise RulesError(f"{bind!r} has no port: expected an address with a port, such as *:80")
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
            raise RulesError(
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


def rules(
    names: Names,
    found: Sequence[Machine],
    hostvars: Mapping[str, Mapping[str, Any]],
    ports: serving.Ports,
    doors: Doors,
) -> dict[str, list[dict[str, Any]]]:
    """Security group → its rules. C(hostvars) is Ansible's, with the described machines in it."""
    groups = members(found)
    incoming: dict[str, set[Rule]] = {names.network: set()}
    incoming |= {names.security_group(group): set() for group in groups}

    def allow(
        to: str, opened: Iterable[int], group: str = "", cidr: str = "", how: str = "tcp"
    ) -> None:
        """Open ports of a group to another one or to a network, if both exist."""
        if to not in incoming or (group and group not in incoming):
            return
        incoming[to] |= {Rule(how, first, last, group, cidr) for first, last in ranges(opened)}

    ssh = cidrs("openstack_ssh_cidrs", doors.ssh_cidrs)
    if not ssh:
        raise RulesError(
            "openstack_ssh_cidrs is empty: neither you nor Ansible could log in. Set it to the"
            " network that you work from, such as [192.0.2.0/24]"
        )
    for cidr in ssh:
        allow(names.network, [SSH], cidr=cidr)
    through = jump(found)
    if through:
        allow(names.network, [SSH], group=names.security_group(through.groups[0]))

    def told(group: str, variable: str, default: Any) -> Iterator[str]:
        """A variable of the machines of a group, as their roles will read it."""
        for name in groups.get(group, ()):
            yield str(hostvars[name].get(variable, default))

    balancers = names.security_group(LOADBALANCERS)
    for bind in told(LOADBALANCERS, "haproxy_bind", doors.bind):
        allow(balancers, outside(bind), cidr="0.0.0.0/0")
    for bind in filter(None, told(LOADBALANCERS, "haproxy_tls_bind", doors.tls_bind)):
        allow(balancers, outside(bind), cidr="0.0.0.0/0")
    for bind in told(LOADBALANCERS, "haproxy_stats_bind", doors.stats_bind):
        asked = outside(bind)
        for cidr in cidrs("openstack_admin_cidrs", doors.admin_cidrs) if asked else ():
            allow(balancers, asked, cidr=cidr)

    known = {name: hostvars[name] for names_of in groups.values() for name in names_of}
    served = {backend.name: backend for backend in serving.backends(groups, known, ports)}
    for group, backend in _BACKENDS.items():
        if group in groups:
            own = [
                server.port for server in served[backend].servers if server.host in groups[group]
            ]
            allow(names.security_group(group), own, group=balancers)

    database = [int(port) for port in told(DATABASES, "bookface_db_port", doors.database_port)]
    for web in map(names.security_group, WEB):
        allow(names.security_group(DATABASES), database, group=web)
        allow(names.security_group(CACHES), [MEMCACHED], group=web)

    for one in map(names.security_group, SWARM):
        allow(names.security_group(SWARM_MANAGERS), [SWARM_ORDERS], group=one)
        for other in map(names.security_group, SWARM):
            allow(other, [SWARM_GOSSIP], group=one)
            allow(other, [SWARM_GOSSIP], group=one, how="udp")
            allow(other, [SWARM_OVERLAY], group=one, how="udp")

    made = {name: [rule.as_data() for rule in sorted(own)] for name, own in incoming.items()}
    made[names.network] += [dict(rule) for rule in EGRESS]
    return made


def seen(rule: Mapping[str, Any], names: Mapping[str, str]) -> tuple[str, ...]:
    """A rule, ours or the cloud's, in a form that can be compared. C(names): group's id → name."""
    group = rule.get("remote_group") or names.get(rule.get("remote_group_id") or "")
    fields = ("direction", "ether_type", "protocol", "port_range_min", "port_range_max")
    values = [rule.get(field) for field in fields]
    values += [group or rule.get("remote_group_id"), rule.get("remote_ip_prefix")]
    return tuple("" if value is None else str(value) for value in values)


def in_words(rule: tuple[str, ...]) -> str:
    """A rule from seen(), for people."""
    direction, version, protocol, first, last, group, cidr = rule
    ports = "" if not first else f" {first}" if first == last else f" {first}-{last}"
    whom = group or cidr or ("anywhere" if direction == "ingress" else "everywhere")
    way = "from" if direction == "ingress" else "to"
    return re.sub(" +", " ", f"{protocol or 'all ' + version}{ports} {way} {whom}")
