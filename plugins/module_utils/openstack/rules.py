# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of the security groups, from the platform's list of who may reach what.

Each group of the inventory gets a security group, and all machines share one for SSH and outgoing
traffic. A rule names the group that needs the port, so rules do not depend on addresses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.access import (
    ADMINISTRATORS,
    ANYWHERE,
    TCP,
    AccessError,
    Doors,
    accesses,
    cidrs,
    ranges,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import (
    Machine,
    Names,
    jump,
    members,
)
from ansible_collections.bookface.platform.plugins.module_utils.web.backends import Ports

SSH = 22


@dataclass(frozen=True, order=True)
class Rule:
    """Incoming traffic that is allowed, from C(group) or from C(cidr)."""

    protocol: str
    first: int
    last: int
    group: str = ""
    cidr: str = ""
    version: int = 4

    def as_data(self) -> dict[str, Any]:
        """The rule for openstack.cloud.security_group."""
        where = {"remote_group": self.group} if self.group else {"remote_ip_prefix": self.cidr}
        return {
            "direction": "ingress",
            "ether_type": f"IPv{self.version}",
            "protocol": self.protocol,
            "port_range_min": self.first or None,
            "port_range_max": self.last or None,
            **where,
        }


# What a machine asks of others is not limited.
EGRESS: tuple[Mapping[str, Any], ...] = tuple(
    {"direction": "egress", "ether_type": version} for version in ("IPv4", "IPv6")
)


def rules(
    names: Names,
    found: Sequence[Machine],
    hostvars: Mapping[str, Mapping[str, Any]],
    ports: Ports,
    doors: Doors,
    ssh_cidrs: Sequence[str],
    admin_cidrs: Sequence[str],
    ipv6: bool = False,
) -> dict[str, list[dict[str, Any]]]:
    """Security group → its rules. C(hostvars) is Ansible's, with the described machines in it.

    C(ipv6): everybody, and the machines among themselves, may also use that version. Networks that
    are given as such are allowed in theirs.
    """
    groups = members(found)
    ssh = cidrs("openstack_ssh_cidrs", ssh_cidrs)
    if not ssh:
        raise AccessError(
            "openstack_ssh_cidrs is empty: neither you nor Ansible could log in. Set it to the"
            " network that you work from, such as [192.0.2.0/24]"
        )
    networks = {
        ANYWHERE: ["0.0.0.0/0", *["::/0"] * ipv6],
        ADMINISTRATORS: cidrs("openstack_admin_cidrs", admin_cidrs),
    }

    # Security group, protocol, and who may reach it → ports.
    opened: dict[tuple[str, str, str, str], set[int]] = {}

    def allow(to: str, protocol: str, port: int, group: str = "", cidr: str = "") -> None:
        opened.setdefault((to, protocol, group, cidr), set()).add(port)

    for cidr in ssh:
        allow(names.network, TCP, SSH, cidr=cidr)
    through = jump(found)
    if through:
        allow(names.network, TCP, SSH, group=names.security_group(through.groups[0]))
    for access in accesses(groups, hostvars, ports, doors):
        to = names.security_group(access.group)
        if access.source in groups:
            source = names.security_group(access.source)
            allow(to, access.protocol, access.port, group=source)
        for cidr in networks.get(access.source, ()):
            allow(to, access.protocol, access.port, cidr=cidr)

    incoming: dict[str, list[Rule]] = {names.network: []}
    incoming |= {names.security_group(group): [] for group in groups}
    for (to, protocol, group, cidr), numbers in opened.items():
        incoming[to] += [
            Rule(protocol, first, last, group, cidr, version)
            for first, last in ranges(numbers)
            for version in ((4, 6) if group and ipv6 else (6 if ":" in cidr else 4,))
        ]
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
    if group and version == "IPv6":
        group += " (IPv6)"
    whom = group or cidr or ("anywhere" if direction == "ingress" else "everywhere")
    way = "from" if direction == "ingress" else "to"
    return re.sub(" +", " ", f"{protocol or 'all ' + version}{ports} {way} {whom}")
