# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running platform: machines, their services and ports, and the path of the traffic.

Made from what each machine was seen to do; docs are in plugins/filter/topology.yml.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.topology.facts import (
    ADMINISTRATION,
    BALANCER,
    CACHE,
    DATABASE,
    ENGINE,
    OTHER,
    PRODUCTS,
    WEB,
    Socket,
    Software,
    parse_packages,
    parse_sockets,
    server_in,
    software,
    upstream,
)
from ansible_collections.bookface.platform.plugins.module_utils.web.labels import is_web

CLIENTS = "clients"
# Ports for the traffic within a swarm.
SWARM_PORTS = {2377: "management", 7946: "nodes"}
# What swarm appends to the name of a task: an id that is new each time.
TASK_ID = re.compile(r"\.[a-z0-9]{25}(?=\.|$)")


@dataclass(frozen=True)
class Port:
    """A port that other machines can reach. C(inside): the container's own, if different."""

    number: int
    address: str
    inside: int | None = None
    purpose: str = ""


@dataclass(frozen=True)
class Service:
    """A service on a machine: a process or a container."""

    id: str
    name: str
    kind: str
    software: tuple[Software, ...] = ()
    ports: tuple[Port, ...] = ()
    container: bool = False
    image: str = ""
    # Those of a container in Docker's networks, where a load balancer in the swarm finds it.
    inner: tuple[str, ...] = ()
    # Named by the inventory or the load balancer, but it does not run.
    missing: bool = False


@dataclass(frozen=True)
class Machine:
    """A machine. C(known) is false for one that only the load balancer or the pages name."""

    name: str
    address: str
    groups: tuple[str, ...] = ()
    system: str = ""
    known: bool = True
    reached: bool = True
    swarm: str = ""
    services: tuple[Service, ...] = ()


@dataclass(frozen=True)
class Link:
    """A connection to a port. C(active): on the current path of the traffic."""

    source: str
    target: str
    port: int
    active: bool
    backend: str = ""
    status: str = ""


@dataclass
class Backend:
    """A backend of the load balancer and the services behind it."""

    name: str
    active: bool
    services: list[str] = field(default_factory=list)


Seen = Mapping[str, Any]


def merged(ports: Iterable[Port]) -> tuple[Port, ...]:
    """One entry for a port that listens on several addresses, such as IPv4 and IPv6."""
    found: dict[int, Port] = {}
    for port in ports:
        known = found.get(port.number)
        if known and port.address not in known.address.split(", "):
            port = replace(known, address=f"{known.address}, {port.address}")
        found[port.number] = port
    return tuple(found[number] for number in sorted(found))


def purposes(haproxy: Mapping[str, Any]) -> dict[int, str]:
    """Port → frontend of the load balancer."""
    frontends = haproxy.get("frontends") or {}
    binds = ((bind, name) for name in frontends for bind in frontends[name]["bind"])
    return {int(port[1]): name for bind, name in binds if (port := re.search(r":(\d+)$", bind))}


def container(machine: str, seen: Mapping[str, Any]) -> Service:
    """One running container as a service. C(seen) has Docker's entry and its packages."""
    entry = seen["item"]
    packages = parse_packages(seen.get("stdout") or "")
    process = server_in(packages)
    ours = is_web(entry.get("Labels"))
    known_as = PRODUCTS[process].kind if process else OTHER
    name = TASK_ID.sub("", entry["Names"][0].lstrip("/"))
    published = [
        Socket.at(port.get("IP") or "*", int(port["PublicPort"])) for port in public_ports(entry)
    ]
    inside = {int(port["PublicPort"]): int(port["PrivatePort"]) for port in public_ports(entry)}
    return Service(
        id=f"{machine}/{name}",
        name=name,
        kind=WEB if ours else known_as,
        software=software(process, packages) if process else (),
        ports=merged(
            Port(socket.port, socket.address, inside[socket.port])
            for socket in published
            if socket.public
        ),
        container=True,
        image=entry.get("Image") or "",
        inner=inner_addresses(entry),
    )


def inner_addresses(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The addresses of a container in Docker's networks."""
    networks = (entry.get("NetworkSettings") or {}).get("Networks") or {}
    return tuple(sorted({one["IPAddress"] for one in networks.values() if one.get("IPAddress")}))


def public_ports(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The TCP ports of a container that Docker publishes on its host."""
    ports = entry.get("Ports") or []
    return [port for port in ports if port.get("PublicPort") and port["Type"] == "tcp"]


def services(seen: Seen) -> tuple[Service, ...]:
    """All services of a machine, from its sockets, packages and containers."""
    machine = seen["name"]
    packages = parse_packages(seen.get("packages") or "")
    engine = seen.get("engine") or {}
    haproxy = seen.get("haproxy") or {}
    containers = [container(machine, found) for found in seen.get("containers") or []]
    published = {port.number for service in containers for port in service.ports}
    named = purposes(haproxy) | SWARM_PORTS

    ports: dict[str, list[Port]] = {"dockerd": []} if engine else {}
    for socket in parse_sockets(seen.get("sockets") or ""):
        process = "dockerd" if socket.process == "docker-proxy" else socket.process
        if socket.public and not (process == "dockerd" and socket.port in published):
            purpose = named.get(socket.port, "") if process in ("haproxy", "dockerd") else ""
            ports.setdefault(process, []).append(Port(socket.port, socket.address, purpose=purpose))

    found = []
    for process in sorted(ports):
        product = PRODUCTS.get(process)
        parts = software(process, packages)
        live = {"haproxy": haproxy.get("version"), "dockerd": engine.get("ServerVersion")}.get(
            process
        )
        if live:
            parts = (replace(parts[0], version=upstream(live)), *parts[1:])
        by_systemd = process == "systemd" and {port.number for port in ports[process]} == {22}
        kind = product.kind if product else ADMINISTRATION if by_systemd else OTHER
        found.append(
            Service(
                id=f"{machine}/{process or 'kernel'}",
                name=parts[0].name,
                kind=kind,
                software=parts,
                ports=merged(ports[process]),
            )
        )
    return tuple(found) + tuple(sorted(containers, key=lambda service: service.id))


def machine(seen: Seen) -> Machine:
    """A machine of the inventory, from its facts."""
    groups = tuple(seen.get("groups") or ())
    state = (seen.get("engine") or {}).get("Swarm") or {}
    swarm = "manager" if state.get("ControlAvailable") else "worker"
    return Machine(
        name=seen["name"],
        address=seen.get("address") or seen["name"],
        groups=groups,
        system=seen.get("system") or "",
        reached=bool(seen.get("reached", True)),
        swarm=swarm if state.get("LocalNodeState") == "active" else "",
        services=services(seen),
    )


class Site:
    """The machines by name, and those that others name but that were not found."""

    def __init__(self, seen: Sequence[Seen]) -> None:
        self.machines = {host["name"]: machine(host) for host in seen}

    def find(self, address: str) -> Machine:
        """The machine with this address or name, or a new unknown one."""
        for found in self.machines.values():
            if address in (found.address, found.name):
                return found
        self.machines[address] = Machine(address, address, known=False)
        return self.machines[address]

    def add(self, name: str, service: Service) -> Service:
        """Add a service that was not found to a machine."""
        owner = self.machines[name]
        if service.id not in {other.id for other in owner.services}:
            self.machines[name] = replace(owner, services=(*owner.services, service))
        return service

    def at(self, address: str, port: int, kind: str) -> Service:
        """The service behind an address and port.

        A missing one if nothing listens there; one without facts if the machine was unreachable.
        """
        task = self.task(address)
        if task:
            return task
        owner = self.find(address)
        for service in owner.services:
            if port in {open_port.number for open_port in service.ports}:
                return service
        looked = owner.known and owner.reached
        nothing = "no task" if owner.swarm else "nothing"
        name = f"{nothing} on port {port}" if looked else f"port {port}"
        return self.add(owner.name, Service(f"{owner.name}/{port}", name, kind, missing=looked))

    def task(self, address: str) -> Service | None:
        """The task that has this address in the swarm; none for an address of a machine."""
        if any(address in (found.address, found.name) for found in self.machines.values()):
            return None
        nodes = (found for found in self.machines.values() if found.swarm)
        tasks = (service for found in nodes for service in found.services if service.container)
        return next((service for service in tasks if address in service.inner), None)

    def balancer(self, name: str) -> Service:
        """The process of the load balancer, marked as missing if it was not found."""
        owner = self.machines[name]
        for service in owner.services:
            if service.kind == BALANCER:
                return service
        gone = Service(f"{name}/haproxy", "HAProxy", BALANCER, missing=owner.reached)
        return self.add(name, gone)


def servers_of(seen: Seen) -> list[tuple[str, str, int, str]]:
    """Backend, address, port and status of each server, from HAProxy or else the inventory."""
    live = (seen.get("haproxy") or {}).get("backends") or {}
    # Other backends of the same HAProxy follow those of the inventory, in their own order.
    planned = {backend["name"]: backend["servers"] for backend in seen.get("backends") or []}
    rows = []
    for name in dict.fromkeys([*planned, *live]):
        if name in live:
            for server in live[name]["servers"]:
                if server.get("backup"):  # Stands in for others, in whose backend it is drawn.
                    continue
                address, _colon, port = server["address"].rpartition(":")
                if port.isdigit():
                    rows.append((name, address.strip("[]"), int(port), server["status"]))
        elif not live:
            # A place for a task has no address before HAProxy finds one.
            known = [s for s in planned[name] if s.get("host") != ""]
            rows += [(name, str(s["address"]), int(s["port"]), "") for s in known]
    return rows


def traffic(site: Site, seen: Sequence[Seen]) -> tuple[list[Link], dict[str, Backend]]:
    """Links from the clients through the load balancers to the servers, and the backends."""
    links: list[Link] = []
    backends: dict[str, Backend] = {}
    for host in seen:
        if "loadbalancers" not in (host.get("groups") or ()):
            continue
        balancer = site.balancer(host["name"])
        frontends = (host.get("haproxy") or {}).get("frontends") or {}
        serving = {name: f for name, f in frontends.items() if f["live_backend"]}
        active = {frontend["live_backend"] for frontend in serving.values()}
        for number, name in sorted(purposes({"frontends": serving}).items()):
            links.append(Link(CLIENTS, balancer.id, number, True, serving[name]["live_backend"]))
        for name, address, port, status in servers_of(host):
            target = site.at(address, port, WEB)
            backend = backends.setdefault(name, Backend(name, False))
            backend.active |= name in active
            if target.id not in backend.services:
                backend.services.append(target.id)
            # DOWN, MAINT and DRAIN get nothing; an unknown status is the inventory's.
            gets = name in active and status.startswith(("UP", "no check"))
            # The port of a task is not seen from outside.
            seen_port = 0 if address in target.inner else port
            links.append(Link(balancer.id, target.id, seen_port, gets, name, status))
    return links, backends


def mesh(site: Site, links: Sequence[Link]) -> list[Link]:
    """The routing mesh: a port that the engines publish leads to every task, on any node."""
    everyone = {s.id: s for m in site.machines.values() for s in m.services}
    nodes = [m for m in site.machines.values() if m.swarm]
    tasks = [s for m in nodes for s in m.services if s.container and s.kind == WEB and not s.ports]
    doors = [link for link in links if everyone[link.target].kind == ENGINE]
    # The port inside is the image's affair: 0 stands for one that is not seen from outside.
    return [
        Link(door.target, task.id, 0, door.active, door.backend) for door in doors for task in tasks
    ]


def storage(site: Site, seen: Sequence[Seen], links: Sequence[Link]) -> list[Link]:
    """Links from the web servers that get traffic to the database, and to the caches."""
    active: dict[str, bool] = {}
    for link in links:
        active[link.target] = active.get(link.target, False) or link.active
    hosts = {host["name"]: host for host in seen}
    found = []
    for owner in list(site.machines.values()):
        database = (hosts.get(owner.name) or {}).get("database") or {}
        for service in owner.services:
            if service.id not in active or service.kind != WEB or service.missing:
                continue
            if database.get("address"):
                address = str(database["address"])
                here = owner.name if address in ("localhost", "127.0.0.1", "::1") else address
                port = int(database["port"])
                target = site.at(here, port, DATABASE)
                found.append(Link(service.id, target.id, port, active[service.id]))
            found += [
                Link(service.id, cache.id, cache.ports[0].number, active[service.id])
                for other in site.machines.values()
                for cache in other.services
                if owner.known and "caches" in other.groups and cache.kind == CACHE and cache.ports
            ]
    return found


def pages(seen: Sequence[Seen]) -> list[str]:
    """Active backends without servers: a page for maintenance."""
    found: dict[str, None] = {}
    for host in seen:
        haproxy = host.get("haproxy") or {}
        for name, frontend in (haproxy.get("frontends") or {}).items():
            live = frontend["live_backend"]
            known = (haproxy.get("backends") or {}).get(live)
            # A listen section for statistics serves itself.
            if live != name and known is not None and not known["servers"]:
                found[live] = None
    return list(found)


def topology(seen: Sequence[Seen]) -> dict[str, Any]:
    """The model, as plain data. C(seen) holds one entry for each machine of the inventory."""
    site = Site(seen)
    links, backends = traffic(site, seen)
    links += mesh(site, links)
    links += storage(site, seen, links)
    machines = list(site.machines.values())
    return {
        "active_backends": [
            *(backend.name for backend in backends.values() if backend.active),
            *pages(seen),
        ],
        "backends": [asdict(backend) for backend in backends.values()],
        "machines": [plain(found) for found in machines],
        "links": [asdict(link) for link in links],
        "swarm": [found.name for found in machines if found.swarm],
    }


def plain(found: Machine) -> dict[str, Any]:
    """The machine as lists and dictionaries."""
    data = asdict(found)
    data["groups"] = list(found.groups)
    data["services"] = [
        # What only this machine's engine knows leads nobody there.
        {key: value for key, value in asdict(service).items() if key != "inner"}
        | {
            "software": [asdict(part) for part in service.software],
            "ports": [asdict(port) for port in service.ports],
        }
        for service in found.services
    ]
    return data
