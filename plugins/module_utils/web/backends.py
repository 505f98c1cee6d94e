# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers behind the load balancer, from the inventory alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

HostVars = Mapping[str, Any]

LEGACY, DOCKER, SWARM = "legacy", "docker", "swarm"
# Backend → groups of the inventory whose hosts serve it.
GROUPS = {
    LEGACY: ("legacy_web",),
    DOCKER: ("docker_hosts",),
    SWARM: ("swarm_managers", "swarm_workers"),
}


@dataclass(frozen=True)
class Server:
    """One address that answers HTTP. C(name) is its name in HAProxy, C(host) in the inventory."""

    name: str
    host: str
    address: str
    port: int


@dataclass(frozen=True)
class Backend:
    """A named set of servers that the load balancer can send the traffic to."""

    name: str
    servers: tuple[Server, ...]


@dataclass(frozen=True)
class Ports:
    """Ports and counts of hosts that say nothing of their own."""

    legacy_port: int
    container_count: int
    container_first_port: int
    swarm_port: int


@dataclass(frozen=True)
class Container:
    """A web container on a Docker host. C(name) is its name there, C(port) the published one."""

    name: str
    port: int


def address(name: str, host: HostVars) -> str:
    """Address at which the other machines of the platform reach a host.

    C(bookface_address) if the inventory gives it (an internal address, say), else C(ansible_host),
    else the host's name.
    """
    return str(host.get("bookface_address") or host.get("ansible_host") or name)


def containers(count: int, first_port: int) -> list[Container]:
    """C(count) web containers on consecutive ports: bookface-web-1, bookface-web-2, ...

    Raises ValueError where ports are outside 1-65535, or where one of them is 80: a container
    host keeps that one free for a web server of its own.
    """
    count, first_port = int(count), int(first_port)
    if count < 1:
        raise ValueError(f"bookface_container_count is {count}; expected at least 1.")
    ports = range(first_port, first_port + count)
    if not (ports[0] >= 1 and ports[-1] <= 65535) or 80 in ports:
        raise ValueError(
            f"bookface_container_first_port {first_port} with {count} containers gives ports"
            f" {ports[0]}-{ports[-1]}; expected ports in 1-65535 without 80, such as 32001."
        )
    return [Container(f"bookface-web-{number}", port) for number, port in enumerate(ports, 1)]


def container_server(host: str, port: int) -> str:
    """Name in HAProxy of the container on this port of a host."""
    return f"{host}-{port}"


def backends(
    groups: Mapping[str, Iterable[str]], hostvars: Mapping[str, HostVars], defaults: Ports
) -> list[Backend]:
    """The backends in their fixed order: legacy, docker, swarm. Empty groups give none.

    C(groups) and C(hostvars) are Ansible's. A host may carry its own C(bookface_legacy_port),
    C(bookface_container_count), C(bookface_container_first_port) or C(bookface_swarm_port), or
    name its containers one by one in C(web_containers_list).
    """

    def members(backend: str) -> list[tuple[str, HostVars]]:
        hosts = dict.fromkeys(host for name in GROUPS[backend] for host in groups.get(name, ()))
        return [(host, hostvars[host]) for host in hosts]

    def of_host(host: HostVars, key: str) -> int:
        return int(host.get(f"bookface_{key}", getattr(defaults, key)))

    def container_ports(host: HostVars) -> list[int]:
        if listed := host.get("web_containers_list"):
            return [int(container["port"]) for container in listed]
        count, first = of_host(host, "container_count"), of_host(host, "container_first_port")
        return [container.port for container in containers(count, first)]

    legacy = [
        Server(name, name, address(name, host), of_host(host, "legacy_port"))
        for name, host in members(LEGACY)
    ]
    docker = [
        Server(container_server(name, port), name, address(name, host), port)
        for name, host in members(DOCKER)
        for port in container_ports(host)
    ]
    swarm = [
        Server(name, name, address(name, host), of_host(host, "swarm_port"))
        for name, host in members(SWARM)
    ]
    found = [Backend(LEGACY, tuple(legacy)), Backend(DOCKER, tuple(docker))]
    found.append(Backend(SWARM, tuple(swarm)))
    return [backend for backend in found if backend.servers]


def as_data(backend: Backend) -> dict[str, Any]:
    """The backend as lists and dictionaries, for templates."""
    data = asdict(backend)
    data["servers"] = [asdict(server) for server in backend.servers]
    return data
