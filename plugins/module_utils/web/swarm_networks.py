# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of a swarm: the size of their packets, their encryption, and whose addresses they hide.

Docker's option for the MTU of an overlay is the MTU of the interface below it. What it takes off is
what tasks see.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Protocol

from ansible_collections.bookface.platform.plugins.module_utils.web.labels import MADE

Entry = Mapping[str, Any]

OVERLAY = "overlay"
# The bridge by which tasks reach what is outside of the swarm; mode host publishes through it, too.
GATEWAY = "docker_gwbridge"
MTU, ENCRYPTED = "com.docker.network.driver.mtu", "encrypted"
# What Docker assumes if it is told nothing.
STANDARD = 1500
# Headers between two nodes: IP, UDP, VXLAN and Ethernet. Those of IPv6 are longer.
_VXLAN, _VXLAN_IPV6 = 50, 70
# ESP as Docker uses it, which also wants a multiple of four.
_ESP, _ESP_UNIT = 26, 4
# Every host of IPv4 has to take packets of this size.
_LEAST = 576
# Docker makes its subnets of this size, and takes no smaller pool.
SUBNET_BITS = 24
# More than 256 networks are hardly made in one swarm.
_SUBNETS_BITS = 8
# Pools to propose, those first that no bridge of Docker's is in.
_PROPOSALS = ("10.192.0.0/12", "10.64.0.0/12", "192.168.192.0/18", "172.30.0.0/15")
# Routes as short as these lead everywhere, as those of a VPN do.
_EVERYWHERE_BITS = 1


class Host(Protocol):
    """A host, see Node in swarm.py."""

    @property
    def state(self) -> str: ...
    @property
    def networks(self) -> Sequence[Entry]: ...
    @property
    def routes(self) -> Sequence[str]: ...
    @property
    def cluster(self) -> Entry: ...
    @property
    def mesh(self) -> bool: ...
    @property
    def ingress(self) -> Entry: ...
    @property
    def mtu(self) -> int: ...
    @property
    def gateway(self) -> Entry: ...
    @property
    def resolvers(self) -> Sequence[str]: ...
    @property
    def esp(self) -> bool: ...


class Wishes(Protocol):
    """What the inventory says, see Settings there."""

    @property
    def ingress_mode(self) -> str: ...
    @property
    def network(self) -> str: ...
    @property
    def pools(self) -> Sequence[str]: ...
    @property
    def addresses(self) -> Sequence[str]: ...
    @property
    def mtu(self) -> int: ...
    @property
    def encrypted(self) -> bool: ...
    @property
    def neighbours(self) -> Mapping[str, str]: ...


def read_routes(told: str) -> list[str]:
    """Networks of IPv4 that are reached without the default route, from C(ip -json route)."""
    found = set()
    for route in json.loads(told or "[]"):
        if route.get("type", "unicast") not in ("unicast", "local") or route["dst"] == "default":
            continue
        network = IPv4Network(route["dst"])
        if network.prefixlen > _EVERYWHERE_BITS and not network.is_loopback:
            found.add(network)
    # An address in a network that is listed itself says nothing more.
    return [
        str(one)
        for one in sorted(found)
        if not any(one != other and one.subnet_of(other) for other in found)
    ]


def read_mtu(told: str, address: str) -> int:
    """MTU of the interface with an address, from C(ip -json address). 0: there is none.

    One on the loopback says nothing of the way to other machines.
    """
    for link in json.loads(told or "[]"):
        own = [one.get("local") for one in link.get("addr_info") or ()]
        if address in own and "LOOPBACK" not in link.get("flags", ()):
            return int(link["mtu"])
    return 0


def read_resolvers(*files: str) -> list[str]:
    """Name servers of IPv4, but for those on the machine itself, from files like resolv.conf."""
    words = [line.split() for text in files for line in text.splitlines()]
    told = [_address(line[1]) for line in words if len(line) > 1 and line[0] == "nameserver"]
    return sorted({str(one) for one in told if one and not one.is_loopback})


def described(found: Entry) -> dict[str, Any]:
    """What of a network matters here, from C(docker network inspect)."""
    options = found.get("Options") or {}
    mtu = str(options.get(MTU, ""))
    return {
        "mtu": int(mtu) if mtu.isdigit() and int(mtu) else STANDARD,
        "encrypted": ENCRYPTED in options,
        "subnets": [
            one["Subnet"]
            for one in (found.get("IPAM") or {}).get("Config") or ()
            if one.get("Subnet")
        ],
    }


def gateway(found: Entry) -> dict[str, Any]:
    """The same of docker_gwbridge; C(places) are subnets of IPv4, with addresses of the node."""
    told = (found.get("IPAM") or {}).get("Config") or ()
    places = [
        f"{one['Subnet']} {one.get('Gateway', '')}".strip()
        for one in told
        if "." in one.get("Subnet", "")
    ]
    return {**described(found), "places": places}


@dataclass(frozen=True)
class Overhead:
    """What packets of tasks grow by on their way to another node."""

    ipv6: bool
    encrypted: bool

    @property
    def size(self) -> int:
        """In bytes."""
        return (_VXLAN_IPV6 if self.ipv6 else _VXLAN) + (_ESP if self.encrypted else 0)

    def left(self, interface: int) -> int:
        """The MTU that tasks get on an interface."""
        return self.even(interface - self.size)

    def even(self, mtu: int) -> int:
        """What Docker makes of an MTU."""
        return mtu - mtu % _ESP_UNIT if self.encrypted else mtu


@dataclass(frozen=True)
class Site:
    """The swarm and what it lies in. C(known) is what a manager says, C(exists) if there is one."""

    given: Wishes
    nodes: Mapping[str, Host]
    known: Host
    exists: bool

    @property
    def network(self) -> Entry:
        """The overlay of the tasks, if it exists."""
        return next((one for one in self.known.networks if one["driver"] == OVERLAY), {})

    @property
    def smallest(self) -> tuple[int, list[str]]:
        """MTU that all interfaces have between the nodes, and hosts that have no more."""
        carried = {host: node.mtu for host, node in self.nodes.items() if node.mtu}
        least = min(carried.values(), default=STANDARD)
        return least, sorted(host for host, mtu in carried.items() if mtu == least)

    def overhead(self, encrypted: bool) -> Overhead:
        """What packets grow by in a network."""
        return Overhead(any(":" in one for one in self.given.addresses), encrypted)

    @property
    def lower(self) -> int:
        """The option for new overlays: MTU of the interface that Docker is to reckon with."""
        if self.given.mtu:
            return self.given.mtu + self.overhead(self.given.encrypted).size
        return self.smallest[0]

    @property
    def options(self) -> dict[str, str]:
        """Options of new overlays."""
        mtu = {MTU: str(self.lower)} if self.lower != STANDARD else {}
        return mtu | ({ENCRYPTED: "true"} if self.given.encrypted else {})

    @property
    def ours(self) -> bool:
        """Whether the role has created the swarm, or will."""
        return not self.exists or bool(self.known.cluster.get("ours"))


def plan(site: Site) -> dict[str, Any]:
    """What is to be created, as plain data, and what people have to know."""
    errors, warnings = [*_wrong_mtu(site), *_without_esp(site)], [*_gateways(site)]
    # A network made as a wrong setting has it would be refused as well.
    for wrong, explicit in () if errors else (*_network(site), *_ingress(site)):
        (errors if explicit else warnings).append(wrong)
    hides = [*_hidden(site), *_pools(site)]
    # Tasks that run have lived with it.
    (warnings if site.network else errors).extend(hides)
    subnets = site.known.ingress.get("subnets") or [_first(site)]
    return {
        "options": site.options,
        "gateways": {
            host: {"mtu": node.mtu, "subnets": _common(site, node)}
            for host, node in site.nodes.items()
            if node.state == "inactive" and not node.gateway and 0 < node.mtu < STANDARD
        },
        "mesh": subnets[0],
        "recreate_ingress": _must_be_made(site),
        "hides": hides,
        "errors": errors,
        "warnings": warnings,
    }


def _common(site: Site, node: Host) -> list[dict[str, str]]:
    """Addresses that the bridge has on all other nodes: tasks find a pooler at one address."""
    others = {tuple(one.gateway["places"]) for one in site.nodes.values() if one.gateway}
    places = others.pop() if len(others) == 1 else ()
    busy = [IPv4Network(route) for route in node.routes]
    found = []
    for place in places:
        # Otherwise docker network inspect does not show it.
        subnet, _space, gateway = place.partition(" ")
        network = IPv4Network(subnet)
        if any(network.overlaps(one) for one in busy):
            return []
        found.append({"subnet": subnet, "gateway": gateway or str(network[1])})
    return found


def _first(site: Site) -> str:
    """Where Docker makes the ingress network, first of all."""
    pool = next((one for text in site.given.pools if (one := _pool(text))), None)
    return f"{pool.network_address}/{SUBNET_BITS}" if pool else ""


def _wrong_mtu(site: Site) -> Iterator[str]:
    wanted = site.given.mtu
    least, hosts = site.smallest
    overhead = site.overhead(site.given.encrypted)
    if wanted and wanted < _LEAST:
        yield f"swarm_mtu is {wanted}; expected {_LEAST} or more, or 0 for what fits."
    elif wanted and wanted + overhead.size > least:
        yield (
            f"swarm_mtu is {wanted}, but packets grow by {overhead.size} bytes between the nodes,"
            f" and the interface of {', '.join(hosts)} has MTU {least}: large answers would get"
            f" lost. Set it to at most {overhead.left(least)}, or to 0, which means that."
        )


def _without_esp(site: Site) -> Iterator[str]:
    """Docker starts the tasks all the same, and their packets get lost."""
    without = [host for host, node in site.nodes.items() if not node.esp]
    if site.given.encrypted and without:
        yield (
            f"swarm_encrypted is true, but the kernel has no ESP (module esp4, or esp6 with IPv6)"
            f" on {', '.join(without)}: tasks would not reach each other. Install the modules of"
            " the kernel, or set swarm_encrypted to false."
        )


def _network(site: Site) -> Iterator[tuple[str, bool]]:
    """What an overlay that exists lacks, and whether that was asked for.

    Docker changes no network, and removes none that tasks are in.
    """
    found, given = site.network, site.given
    if not found:
        return
    overhead = site.overhead(found["encrypted"])
    has, fits = overhead.left(found["mtu"]), overhead.left(site.smallest[0])
    wanted = given.mtu or site.overhead(given.encrypted).left(site.smallest[0])
    remedy = (
        "Docker cannot change that. Set swarm_network to a new name, such as"
        f" {given.network}-{wanted}: the role creates it, and moves the tasks by an update. Then"
        f" run docker network rm {given.network} on a manager."
    )
    if given.mtu and has != overhead.even(given.mtu):
        yield (
            f"swarm_mtu is {given.mtu}, but the network {given.network} has {has}. {remedy}",
            True,
        )
    elif has > fits:
        yield (
            f"The network {given.network} has MTU {has}, but only {fits} fit between the nodes"
            f" (MTU {site.smallest[0]} on {', '.join(site.smallest[1])}): large answers from a task"
            f" on another node may get lost. {remedy}",
            False,
        )
    if given.encrypted and not found["encrypted"]:
        yield (
            f"swarm_encrypted is true, but the network {given.network} is not encrypted. {remedy}",
            True,
        )
    elif found["ours"] and found["encrypted"] and not given.encrypted:
        yield (
            f"swarm_encrypted is false, but the network {given.network} is encrypted. {remedy}",
            False,
        )


def _ingress_lacks(site: Site) -> tuple[str, bool]:
    """What the routing mesh lacks, if it is used, and whether that was asked for."""
    found = site.known.ingress or {"mtu": STANDARD, "encrypted": False}
    overhead = site.overhead(found["encrypted"])
    has, fits = overhead.left(found["mtu"]), overhead.left(min(site.smallest[0], site.lower))
    if site.given.encrypted and not found["encrypted"]:
        return "is not encrypted, but swarm_encrypted is true", True
    if has > fits:
        return f"has MTU {has}, but only {fits} fit between the nodes", bool(site.given.mtu)
    return "", False


def _must_be_made(site: Site) -> bool:
    """Whether the ingress network is recreated: as long as no service publishes through it."""
    if site.given.ingress_mode != "mesh" or not site.ours or site.known.ingress.get("services"):
        return False
    return not site.known.mesh or bool(_ingress_lacks(site)[0])


def _ingress(site: Site) -> Iterator[tuple[str, bool]]:
    lacks, explicit = _ingress_lacks(site)
    if not lacks or site.given.ingress_mode != "mesh" or not site.known.mesh or _must_be_made(site):
        return
    users = ", ".join(site.known.ingress.get("services") or ["none at present"])
    options = "".join(f" --opt {name}={value}" for name, value in site.options.items())
    yield (
        f"The ingress network {lacks}. Docker recreates it only while no service publishes through"
        f" it ({users}): move the traffic to another backend"
        " (switch_backend.yml), remove these ports or services, run docker network rm ingress and"
        f" docker network create --driver overlay --ingress{options} ingress on a manager, then"
        " this again.",
        explicit,
    )


def _again(hosts: str) -> str:
    """How to recreate the bridge; tasks in it would lose their way out."""
    return (
        f"Recreate it, one node after the other ({hosts}): swarm_node.yml -e node=NAME -e"
        f" state=removed, docker network rm {GATEWAY} there, then site.yml, which joins it again."
    )


def _gateways(site: Site) -> Iterator[str]:
    """Packets that are too large for the interface of their node cost ICMP, or get lost."""
    large = [
        host
        for host, node in site.nodes.items()
        if node.gateway and 0 < node.mtu < node.gateway["mtu"]
    ]
    if large:
        shown = ", ".join(
            f"{host} ({site.nodes[host].gateway['mtu']}, the interface {site.nodes[host].mtu})"
            for host in large
        )
        yield (
            f"{GATEWAY}, by which tasks reach other machines, has a larger MTU than the interface"
            f" of {shown}: large packets depend on ICMP. {_again(', '.join(large))}"
        )


def _hosts(site: Site) -> Iterator[tuple[IPv4Address, str]]:
    """What tasks have to reach: hosts of the inventory, the database, name servers."""
    for name, text in site.given.neighbours.items():
        if address := _address(text):
            yield address, f"{address} ({name})"
    servers: dict[str, list[str]] = {}
    for host, node in site.nodes.items():
        for text in node.resolvers:
            servers.setdefault(text, []).append(host)
    for text, hosts in servers.items():
        yield IPv4Address(text), f"{text} (name server of {', '.join(hosts)})"


def _clashes(
    site: Site, subnets: Sequence[IPv4Network], routes: Mapping[str, Sequence[str]]
) -> list[str]:
    """What lies in these networks, or of single addresses in what Docker takes of them."""
    taken = [_taken(one) for one in subnets]
    found = {
        route: f"{route} on {host}"
        for host, theirs in routes.items()
        for text in theirs
        if any((route := IPv4Network(text)).overlaps(one) for one in subnets)
    }
    return [
        *found.values(),
        *(
            shown
            for address, shown in _hosts(site)
            if any(address in one for one in taken) and not any(address in one for one in found)
        ),
    ]


def _hidden(site: Site) -> Iterator[str]:
    """What exists already and takes addresses of the site."""
    routes = {host: node.routes for host, node in site.nodes.items()}
    overlays = [(f"network {site.given.network}", "docker network create --subnet", site.network)]
    if site.given.ingress_mode == "mesh":
        overlays.append(("ingress network", "docker network create --subnet", site.known.ingress))
    for name, how, found in overlays:
        if clashes := _clashes(site, _networks(found), routes):
            yield (
                f"The {name} has the addresses {', '.join(found['subnets'])}, in which lie"
                f" {', '.join(clashes)}. Tasks cannot reach them. Recreate it with others ({how})."
            )
    for host, node in site.nodes.items():
        if clashes := _clashes(site, _networks(node.gateway), {}):
            yield (
                f"{GATEWAY} of {host} has the addresses {', '.join(node.gateway['subnets'])}, in"
                f" which lie {', '.join(clashes)}. Neither {host} nor its tasks can reach them. Set"
                f" default-address-pools in docker_ce_daemon. {_again(host)}"
            )


def _networks(found: Entry) -> list[IPv4Network]:
    """Subnets of IPv4."""
    return [IPv4Network(one) for one in found.get("subnets") or () if ":" not in one]


def _pools(site: Site) -> Iterator[str]:
    """Overlay networks hide what has their addresses from the tasks, the database among it."""
    given, exists = site.given, site.exists
    wrong = [pool for pool in given.pools if not _pool(pool)]
    pools = [network for pool in given.pools if (network := _pool(pool))]
    if wrong or not pools:
        yield (
            f"swarm_address_pools has {', '.join(map(str, wrong)) or 'no entry'}; expected networks"
            f" of IPv4 of /{SUBNET_BITS} or more addresses, such as 10.192.0.0/12."
        )
        return
    if exists:
        if site.known.networks:
            return
        told = site.known.cluster.get("pools", ())
        pools = [network for pool in told if (network := _pool(pool))]
    routes = {host: node.routes for host, node in site.nodes.items()}
    clashes = _clashes(site, pools, routes)
    if not clashes:
        return
    free = next(
        (one for one in _PROPOSALS if not _clashes(site, [IPv4Network(one)], routes)),
        "a network that is free on all nodes",
    )
    shown = ", ".join(map(str, pools))
    if exists:
        yield (
            f"The swarm takes the addresses of new networks from {shown}, as it was told when it"
            f" was created, but the site has addresses or routes in there: {', '.join(clashes)}."
            " Create the network yourself, with addresses that are free: docker network create"
            f" --driver overlay --subnet SUBNET --label {MADE}=swarm {given.network}, with a"
            f" SUBNET of {free}."
        )
    else:
        yield (
            f"swarm_address_pools is {shown}, but the site has addresses or routes in there:"
            f" {', '.join(clashes)}. Tasks could not reach what is behind these. Set"
            f" swarm_address_pools to networks that are free, such as [{free}]."
        )


def _taken(pool: IPv4Network) -> IPv4Network:
    """The part of a pool that networks are in: Docker takes the first subnet that is free."""
    return IPv4Network((pool.network_address, max(pool.prefixlen, SUBNET_BITS - _SUBNETS_BITS)))


def _pool(text: object) -> IPv4Network | None:
    """A pool, if this is one."""
    try:
        network = IPv4Network(str(text))
    except ValueError:
        return None
    return network if network.prefixlen <= SUBNET_BITS else None


def _address(text: str) -> IPv4Address | None:
    """An address of IPv4, if this is one."""
    try:
        return IPv4Address(text)
    except ValueError:
        return None
