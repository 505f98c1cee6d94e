# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers behind the load balancer, from the inventory alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
# Value of swarm_ingress_mode where HAProxy itself runs in the swarm, and the port of its tasks.
EDGE = "edge"
TASK_PORT = 8080
# What the role swarm has as its defaults.
_SERVICE, _MODE = "bookface", "host"


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
    # Beginning of the servers' names, if HAProxy looks up their addresses itself while it runs.
    template: str = ""


@dataclass(frozen=True)
class Ports:
    """Ports and counts of hosts that say nothing of their own."""

    legacy_port: int
    container_count: int
    container_first_port: int
    swarm_port: int
    # How many tasks HAProxy finds by Docker's DNS.
    swarm_slots: int = 16


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


class InventoryError(ValueError):
    """A variable of the inventory is wrong."""


def number(variable: str, value: object, expected: str) -> int:
    """A number that a variable holds, perhaps as text."""
    try:
        return int(str(value))
    except ValueError:
        shown = "empty" if value in ("", None) else value
        raise InventoryError(f"{variable} is {shown}; expected {expected}.") from None


def port(variable: str, value: object) -> int:
    """A port that a variable holds."""
    expected = "a port from 1 to 65535"
    found = number(variable, value, expected)
    if not 1 <= found <= 65535:
        raise InventoryError(f"{variable} is {found}; expected {expected}.")
    return found


def containers(
    count: int, first_port: int, of_count: str = "", of_first: str = ""
) -> list[Container]:
    """C(count) web containers on consecutive ports: bookface-web-1, bookface-web-2, ...

    Messages name the variables with C(of_count) and C(of_first), such as C( of docker1). Raises
    InventoryError where ports are outside 1-65535, or where one of them is 80: a container host
    keeps that one free for a web server of its own.
    """
    counted, first = (
        f"bookface_container_count{of_count}",
        f"bookface_container_first_port{of_first}",
    )
    count = number(counted, count, "a number from 1")
    first_port = number(first, first_port, "a port, such as 32001")
    if count < 1:
        raise InventoryError(f"{counted} is {count}; expected a number from 1.")
    ports = range(first_port, first_port + count)
    if not (ports[0] >= 1 and ports[-1] <= 65535) or 80 in ports:
        raise InventoryError(
            f"{first} is {first_port}, which with {count} containers gives ports"
            f" {ports[0]}-{ports[-1]}; expected ports in 1-65535 without 80, such as 32001."
        )
    return [Container(f"bookface-web-{number}", port) for number, port in enumerate(ports, 1)]


def listed_ports(host: str, listed: Any) -> list[int]:
    """The ports of a host's C(web_containers_list)."""
    variable = f"web_containers_list of {host}"
    entries = listed if isinstance(listed, (list, tuple)) else [listed]
    wrong = [one for one in entries if not (isinstance(one, Mapping) and "port" in one)]
    if wrong:
        raise InventoryError(
            f"{variable} has {wrong[0]}; expected entries with name and port, such as"
            " {name: web-1, port: 32001}."
        )
    return [port(f"port in {variable}", one["port"]) for one in entries]


def container_server(host: str, port: int) -> str:
    """Name in HAProxy of the container on this port of a host."""
    return f"{host}-{port}"


def backends(
    groups: Mapping[str, Iterable[str]], hostvars: Mapping[str, HostVars], defaults: Ports
) -> list[Backend]:
    """The backends in their fixed order: legacy, docker, swarm. Empty groups give none.

    Raises InventoryError with all that is wrong.

    C(groups) and C(hostvars) are Ansible's. A host may carry its own C(bookface_legacy_port),
    C(bookface_container_count), C(bookface_container_first_port) or C(bookface_swarm_port), or
    name its containers one by one in C(web_containers_list).

    With C(swarm_ingress_mode=edge) the servers of the swarm are places for tasks, not nodes.
    """

    def members(backend: str) -> list[tuple[str, HostVars]]:
        hosts = dict.fromkeys(host for name in GROUPS[backend] for host in groups.get(name, ()))
        return [(host, hostvars[host]) for host in hosts]

    def value(host: HostVars, key: str) -> Any:
        return host.get(f"bookface_{key}", getattr(defaults, key))

    def one_port(key: str) -> Callable[[str, HostVars], list[int]]:
        return lambda name, host: [
            port(f"bookface_{key}{_of(name, host, key)}", value(host, key)),
        ]

    def container_ports(name: str, host: HostVars) -> list[int]:
        if listed := host.get("web_containers_list"):
            return listed_ports(name, listed)
        keys = ("container_count", "container_first_port")
        count, first = (value(host, key) for key in keys)
        found = containers(count, first, *(_of(name, host, key) for key in keys))
        return [container.port for container in found]

    faults: dict[str, None] = {}

    def servers(
        backend: str,
        ports: Callable[[str, HostVars], list[int]],
        title: Callable[[str, int], str] = lambda name, _port: name,
    ) -> tuple[Server, ...]:
        made = []
        for name, host in members(backend):
            try:
                found = ports(name, host)
            except InventoryError as error:
                faults[str(error)] = None
                continue
            made += [Server(title(name, one), name, address(name, host), one) for one in found]
        return tuple(made)

    found = [
        Backend(LEGACY, servers(LEGACY, one_port("legacy_port"))),
        Backend(DOCKER, servers(DOCKER, container_ports, container_server)),
        edge
        if (edge := _edge(members(SWARM), defaults.swarm_slots, faults))
        else Backend(SWARM, servers(SWARM, one_port("swarm_port"))),
    ]
    if faults:
        raise InventoryError(" ".join(faults))
    return [backend for backend in found if backend.servers]


def _edge(
    nodes: Iterable[tuple[str, HostVars]], slots: object, faults: dict[str, None]
) -> Backend | None:
    """The swarm as an HAProxy in it sees it: tasks that have no place, found by Docker's DNS."""
    modes = {name: str(host.get("swarm_ingress_mode", _MODE)) for name, host in nodes}
    if EDGE not in modes.values():
        return None
    if len({*modes.values()}) > 1:
        shown = ", ".join(f"{mode} on {name}" for name, mode in modes.items())
        faults[f"swarm_ingress_mode is {shown}; expected one for all hosts of the swarm."] = None
    service = next(str(host.get("swarm_service", _SERVICE)) for _name, host in nodes)
    count = number("bookface_swarm_slots", slots, "a number of tasks from 1")
    prefix = f"{service}-"
    return Backend(
        SWARM,
        tuple(
            Server(f"{prefix}{index}", "", f"tasks.{service}", TASK_PORT)
            for index in range(1, count + 1)
        ),
        prefix,
    )


def _of(name: str, host: HostVars, key: str) -> str:
    """Whose variable this is: a default is nobody's."""
    return f" of {name}" if f"bookface_{key}" in host else ""


def as_data(backend: Backend) -> dict[str, Any]:
    """The backend as lists and dictionaries, for templates."""
    data = asdict(backend)
    data["servers"] = [asdict(server) for server in backend.servers]
    if not backend.template:
        del data["template"]
    return data
