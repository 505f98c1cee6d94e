# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a host's own firewall, from the platform's list of who may reach what.

Each rule limits ports to some sources. All other ports are none of its business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Network,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
)
from typing import TYPE_CHECKING, Any, Union

from ansible_collections.bookface.platform.plugins.module_utils.access import (
    ADMINISTRATORS,
    ANYWHERE,
    ESP,
    TCP,
    Access,
    AccessError,
    cidrs,
    ranges,
)
from ansible_collections.bookface.platform.plugins.module_utils.web.backends import address

if TYPE_CHECKING:
    HostVars = Mapping[str, Any]
    Network = Union[IPv4Network, IPv6Network]

EVERYBODY: tuple[Network, ...] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


@dataclass(frozen=True)
class Settings:
    """The role's variables. C(extra): port, protocol and sources of further rules.

    C(connection) is SSH_CONNECTION of the connection that Ansible uses, empty if it uses none.
    """

    admin_sources: Sequence[str]
    ssh_port: int
    ssh_sources: Sequence[str]
    extra: Sequence[Mapping[str, Any]]
    connection: str


@dataclass(frozen=True)
class Rule:
    """Ports, as ranges, that only these networks may reach."""

    protocol: str
    ports: tuple[tuple[int, int], ...]
    sources: tuple[Network, ...]

    def admits(self, source: str) -> bool:
        """Whether an address is among the sources."""
        found = ip_address(source)
        return any(found in network for network in self.sources)

    def as_data(self) -> dict[str, Any]:
        """For the template: what nftables writes as a set."""
        return {
            "protocol": self.protocol,
            "ports": [f"{a}-{b}" if a != b else str(a) for a, b in self.ports],
            **{
                f"ipv{version}": [str(n) for n in self.sources if n.version == version]
                for version in (4, 6)
            },
        }


def addresses(name: str, host: HostVars) -> list[str]:
    """Addresses from which a host reaches the others."""
    told = host.get("firewall_addresses") or [address(name, host), host.get("ansible_host")]
    found = [str(value) for value in told if value and _is_address(str(value))]
    if not found:
        raise AccessError(
            f"{name} has no address to be recognized by: bookface_address or ansible_host is"
            f" {address(name, host)}, expected an IP address. Set bookface_address of {name}, or"
            " firewall_addresses if it connects from others"
        )
    return list(dict.fromkeys(found))


def _is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def rules(
    accesses: Iterable[Access],
    groups: Mapping[str, Iterable[str]],
    hostvars: Mapping[str, HostVars],
    settings: Settings,
) -> list[Rule]:
    """The rules of a host with these C(accesses). Ports that everybody may reach have none."""

    def members(group: str) -> list[Network]:
        return [
            ip_network(value)
            for name in groups.get(group, ())
            for value in addresses(name, hostvars[name])
        ]

    def networks(variable: str, values: Iterable[Any]) -> list[Network]:
        return [ip_network(value) for value in cidrs(variable, map(str, values))]

    opened: dict[tuple[str, int], set[Network]] = {}

    def allow(protocol: str, ports: Iterable[int], sources: Iterable[Network]) -> None:
        for port in ports:
            opened.setdefault((protocol, port), set()).update(sources)

    if settings.ssh_sources:
        sources = networks("firewall_ssh_sources", settings.ssh_sources)
        allow(TCP, [int(settings.ssh_port)], sources)
    special: dict[str, Sequence[Network]] = {
        ANYWHERE: EVERYBODY,
        ADMINISTRATORS: networks("firewall_admin_sources", settings.admin_sources),
    }
    for access in accesses:
        # Only ports are limited.
        if access.protocol == ESP:
            continue
        found = special[access.source] if access.source in special else members(access.source)
        allow(access.protocol, [access.port], found)
    for entry in settings.extra:
        told = [str(value) for value in entry["sources"]]
        groups_in_it = [value for value in told if value in groups]
        sources = networks("firewall_extra", [value for value in told if value not in groups])
        sources += [network for group in groups_in_it for network in members(group)]
        allow(str(entry.get("protocol") or TCP), numbers(str(entry["port"])), sources)

    together: dict[tuple[str, tuple[Network, ...]], list[int]] = {}
    for (protocol, port), wanted in opened.items():
        whom = collapsed(wanted)
        if whom != EVERYBODY:
            together.setdefault((protocol, whom), []).append(port)
    made = [
        Rule(protocol, tuple(ranges(ports)), whom) for (protocol, whom), ports in together.items()
    ]
    _keep_connection(settings.connection, made)
    return sorted(made, key=lambda rule: (rule.protocol, rule.ports))


def numbers(port: str) -> range:
    """The ports of one number or of a range such as 9100-9110."""
    found = _PORTS.fullmatch(port)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last <= 65535:
        raise AccessError(
            f"firewall_extra has the port {port}: expected a port from 1 to 65535, or a range such"
            " as 9100-9110"
        )
    return range(first, last + 1)


def collapsed(networks: Iterable[Network]) -> tuple[Network, ...]:
    """Without those that others contain: nftables refuses sets that overlap. IPv4 first."""
    fours = [network for network in networks if isinstance(network, IPv4Network)]
    sixes = [network for network in networks if isinstance(network, IPv6Network)]
    return (*collapse_addresses(fours), *collapse_addresses(sixes))


def _keep_connection(connection: str, made: Iterable[Rule]) -> None:
    """Refuse rules that would shut out whoever loads them."""
    parts = connection.split()
    if len(parts) != 4:
        return
    source, port = parts[0].partition("%")[0], int(parts[3])
    for rule in made:
        limited = any(first <= port <= last for first, last in rule.ports)
        if rule.protocol == TCP and limited and not rule.admits(source):
            raise AccessError(
                f"Ansible is connected from {source} to port {port}, which would be closed to it,"
                f" open only to {', '.join(map(str, rule.sources)) or 'nobody'}. Add {source}, or"
                " its network, to firewall_ssh_sources"
            )
