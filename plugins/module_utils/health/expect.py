# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What should be on each machine, from the inventory alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.bookface.platform.plugins.module_utils.web.backends import (
    EDGE,
    InventoryError,
    Ports,
    address,
    as_data,
    backends,
    containers,
)

HostVars = Mapping[str, Any]

LOAD_BALANCERS, WEB, DOCKER_HOSTS = "loadbalancers", "legacy_web", "docker_hosts"
MANAGERS, WORKERS, DATABASES, CACHES = "swarm_managers", "swarm_workers", "databases", "caches"
GROUPS = (LOAD_BALANCERS, WEB, DOCKER_HOSTS, MANAGERS, WORKERS, DATABASES, CACHES)

# What the roles have as their defaults (a unit test compares them): a healthy run loads no role of
# theirs, which would cost it more than the look itself.
DEFAULTS: Mapping[str, Any] = {
    "bookface_legacy_port": 80,
    "bookface_container_count": 2,
    "bookface_container_first_port": 32001,
    "bookface_swarm_port": 8080,
    "bookface_swarm_slots": 16,
    "bookface_db_port": 5432,
    "bookface_docker_host": "unix:///var/run/docker.sock",
    "bookface_page_cache": False,
    "bookface_pooler": False,
    "database_version": "",
    "haproxy_config": "/etc/haproxy/haproxy.cfg",
    "haproxy_socket": "/run/haproxy/admin.sock",
    "haproxy_frontend": "bookface",
    "haproxy_mode": "manage",
    "haproxy_adopt_backends": ["docker"],
    "swarm_service": "bookface",
    "swarm_ingress_mode": "host",
}
CACHE_PORT = 11211
FIREWALL = "bookface-firewall"


def expected(
    groups: Mapping[str, Iterable[str]], hostvars: Mapping[str, HostVars]
) -> dict[str, dict[str, Any]]:
    """What M(health_look) looks for, by host, in the order of the groups.

    Raises ValueError where a variable of the inventory is wrong.
    """
    members = {name: list(groups.get(name) or ()) for name in GROUPS}
    serving = _backends(members, hostvars)
    # Also where site.yml sets up no PostgreSQL.
    databases = [*members[DATABASES], *_commanded(groups, members, hostvars)]
    outside = _outside(members, databases, hostvars)
    hosts = list(dict.fromkeys([*(h for name in GROUPS for h in members[name]), *databases]))
    return {
        host: _host(
            host,
            [
                name
                for name in GROUPS
                if host in (databases if name == DATABASES else members[name])
            ],
            hostvars[host],
            serving,
            outside.get(host, []),
        )
        for host in hosts
    }


def _commanded(
    groups: Mapping[str, Iterable[str]],
    members: Mapping[str, list[str]],
    hostvars: Mapping[str, HostVars],
) -> list[str]:
    """Hosts that are no part of the platform but for a database with a command that starts it."""
    every = list(groups.get("all") or ())
    found = [host for host in every if hostvars[host].get("heal_database_command")]
    if len(found) == len(every):
        # Set for all, as on a command line, it says nothing of where the database is.
        there = {str(hostvars[host].get("bookface_db_host") or "") for host in _web(members)}
        found = [host for host in found if {host, address(host, hostvars[host])} & there]
    return [host for host in found if host not in members[DATABASES]]


def _web(members: Mapping[str, list[str]]) -> list[str]:
    """One host of each group of web servers."""
    return [hosts[0] for name in (WEB, DOCKER_HOSTS, MANAGERS, WORKERS) if (hosts := members[name])]


def given(name: str, host: HostVars, variable: str) -> Any:
    """A variable that may refer to others, which are perhaps defaults of roles."""
    try:
        # Ansible may give an object that only raises an error when it is used.
        return host.get(variable) or None
    # Ansible's errors are no part of module_utils.
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        raise InventoryError(
            f"{variable} of {name} cannot be read ({words}). Expected a value that refers to"
            " variables of the inventory only, since heal.yml does not load the defaults of roles."
        ) from error


def value(host: HostVars, name: str) -> Any:
    """A variable of a host, or the default of its role."""
    found = host.get(name)
    return DEFAULTS[name] if found is None else found


def _truth(host: HostVars, name: str) -> bool:
    return bool(boolean(value(host, name), strict=False))


def _host(
    name: str,
    groups: list[str],
    host: HostVars,
    serving: Mapping[str, list[dict[str, str]]],
    ports: list[dict[str, Any]],
) -> dict[str, Any]:
    """What one machine should have."""
    own = address(name, host)
    balances = LOAD_BALANCERS in groups
    swarm = MANAGERS in groups or WORKERS in groups
    edge = swarm and value(host, "swarm_ingress_mode") == EDGE
    services = []
    if str(host.get("firewall_state") or "") == "present":
        services.append(FIREWALL)
    if balances and not edge:
        services.append("haproxy")
    if balances and _truth(host, "bookface_page_cache"):
        services.append("varnish")
    if WEB in groups:
        services.append("apache2")
        port = int(value(host, "bookface_legacy_port"))
        ports = [*ports, _port("service", f"port {port}", own, port)]
    if {WEB, DOCKER_HOSTS, MANAGERS, WORKERS} & {*groups} and _truth(host, "bookface_pooler"):
        services.append("pgbouncer")
    if CACHES in groups:
        services.append("memcached")
        there = str(host.get("cache_address") or own)
        ports = [*ports, _port("cache", f"port {CACHE_PORT}", there, CACHE_PORT)]
    command = False
    if DATABASES in groups:
        command = bool(host.get("heal_database_command"))
        port = int(host.get("database_port") or value(host, "bookface_db_port"))
        ports = [*ports, _port("database", f"port {port}", own, port)]
    return {
        "host": name,
        "services": services,
        # Not where the database is another one.
        "postgresql": str(value(host, "database_version"))
        if DATABASES in groups and not command
        else None,
        "engine": swarm or DOCKER_HOSTS in groups,
        "socket": str(
            host.get("bookface_docker_host") or DEFAULTS["bookface_docker_host"]
        ).removeprefix("unix://"),
        "containers": _containers(host) if DOCKER_HOSTS in groups else [],
        "swarm": {"service": str(value(host, "swarm_service")), "manager": MANAGERS in groups}
        if swarm
        else None,
        "haproxy": _haproxy(name, host, serving) if balances else None,
        "ports": ports,
        # Name of the port that it should make answer; empty: there is none.
        "database_command": ports[-1]["name"] if command else "",
    }


def _port(kind: str, name: str, where: str, port: int) -> dict[str, Any]:
    return {"kind": kind, "name": name, "address": where, "port": port}


def _containers(host: HostVars) -> list[str]:
    """Names of the web containers of a Docker host."""
    if listed := host.get("web_containers_list"):
        return [str(one["name"]) for one in listed]
    count, first = (
        int(value(host, f"bookface_container_{name}")) for name in ("count", "first_port")
    )
    return [one.name for one in containers(count, first)]


def _haproxy(
    name: str, host: HostVars, serving: Mapping[str, list[dict[str, str]]]
) -> dict[str, Any]:
    """How to ask HAProxy, and which servers it should have."""
    config = str(value(host, "haproxy_config"))
    known: Mapping[str, Any] = serving
    if value(host, "haproxy_mode") == "adopt":
        # The others are the user's own, and perhaps under other names.
        adopted = value(host, "haproxy_adopt_backends")
        known = {one: serving[one] for one in adopted if one in serving}
    elif own := given(name, host, "haproxy_backends") or given(name, host, "bookface_backends"):
        known = _listed(own)
    frontends = value(host, "haproxy_frontend")
    return {
        "config": config,
        "socket": str(value(host, "haproxy_socket")),
        "map": config.rpartition("/")[0] + "/maps/default_backend.map",
        "frontends": [frontends] if isinstance(frontends, str) else list(frontends),
        "backends": dict(known),
        # How many servers of the swarm should serve; 0: one. The plan knows how many tasks run.
        "tasks": 0,
        # IDs of nodes that are drained. A worker does not know of itself that it is.
        "drained": [],
    }


def _listed(given: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, str]]]:
    return {
        str(one["name"]): [
            {"name": str(server["name"]), "host": str(server.get("host") or "")}
            for server in one["servers"]
        ]
        for one in given
    }


def _backends(
    members: Mapping[str, list[str]], hostvars: Mapping[str, HostVars]
) -> dict[str, list[dict[str, str]]]:
    """Backend → its servers, each with its name in HAProxy and its host."""
    hosts = [host for name in (WEB, DOCKER_HOSTS, MANAGERS, WORKERS) for host in members[name]]
    if not hosts:
        return {}
    ports = {
        name: DEFAULTS[f"bookface_{name}"]
        for name in ("legacy_port", "container_count", "container_first_port", "swarm_port")
    }
    # The others a host may have of its own.
    slots = value(hostvars[hosts[0]], "bookface_swarm_slots")
    found = backends(members, hostvars, Ports(**ports, swarm_slots=slots))
    return _listed([as_data(one) for one in found])


def _outside(
    members: Mapping[str, list[str]], databases: list[str], hostvars: Mapping[str, HostVars]
) -> dict[str, list[dict[str, Any]]]:
    """A database or a cache that is no machine of the inventory is asked from one web server."""
    found: dict[str, list[dict[str, Any]]] = {}
    asked: set[tuple[str, str, int]] = set()
    for name in _web(members):
        host = hostvars[name]
        for kind, hosts, variable, port in (
            ("database", databases, "bookface_db_host", int(value(host, "bookface_db_port"))),
            ("cache", members[CACHES], "bookface_cache_host", CACHE_PORT),
        ):
            there = str(host.get(variable) or "")
            known = {address(one, hostvars[one]) for one in hosts} | {*hosts}
            if not there or there in known or (kind, there, port) in asked:
                continue
            asked.add((kind, there, port))
            # Only the tasks of the swarm know a service of it by its name.
            if there not in _services(members, hostvars):
                found.setdefault(name, []).append(_port(kind, f"{there}:{port}", there, port))
    return found


def _services(members: Mapping[str, list[str]], hostvars: Mapping[str, HostVars]) -> set[str]:
    """Names of the services that run in the swarm beside the web service."""
    nodes = [hosts[0] for name in (MANAGERS, WORKERS) if (hosts := members[name])]
    return {
        str(one["name"])
        for name in nodes
        for one in given(name, hostvars[name], "swarm_services") or ()
    }
