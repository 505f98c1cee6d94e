"""A platform that is well, as machines and their looks."""

from __future__ import annotations

import copy
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.health.expect import expected

GROUPS = {
    "loadbalancers": ["lb1"],
    "legacy_web": ["web1"],
    "docker_hosts": ["docker1"],
    "swarm_managers": ["swarm1"],
    "swarm_workers": ["swarm2"],
    "databases": ["db1"],
    "caches": ["cache1"],
}
HOSTS = [host for hosts in GROUPS.values() for host in hosts]
HOSTVARS: dict[str, dict[str, Any]] = {
    host: {"inventory_hostname": host, "bookface_address": f"192.0.2.{number}"}
    for number, host in enumerate(HOSTS, 1)
}


def unit(name: str, state: str = "active", sub: str = "running", **more: str) -> dict[str, str]:
    return {
        "Id": name,
        "LoadState": "loaded",
        "ActiveState": state,
        "SubState": sub,
        "Result": "success",
        **more,
    }


def wants() -> dict[str, dict[str, Any]]:
    return expected(GROUPS, HOSTVARS)


def server(passed: bool = True, status: str = "UP", **more: Any) -> dict[str, Any]:
    return {
        "status": status,
        "check": "L7OK" if passed else "L4CON",
        "text": "",
        "passed": passed,
        "undecided": False,
        **more,
    }


def node(name: str, id_: str, **more: str) -> dict[str, str]:
    return {
        "id": id_,
        "name": name,
        "state": "ready",
        "message": "",
        "availability": "active",
        "reachability": "",
        **more,
    }


def swarm(id_: str, manager: bool) -> dict[str, Any]:
    service = {
        "name": "bookface",
        "wanted": 2,
        "running": 2,
        "places": 2,
        "why": "",
    }
    return {
        "state": "active",
        "id": id_,
        "error": "",
        "manager": manager,
        "nodes": [node("swarm1", "n1", reachability="reachable"), node("swarm2", "n2")]
        if manager
        else [],
        "services": [service] if manager else [],
    }


def seen(host: str, want: dict[str, Any]) -> dict[str, Any]:
    """A machine on which all is well."""
    clusters = ["15"] if want["postgresql"] is not None else []
    names = [f"{name}.service" for name in want["services"]]
    names += [f"postgresql@{version}-main.service" for version in clusters]
    names += ["docker.service"] if want["engine"] else []
    engine = {
        "error": "",
        "containers": [
            {"name": name, "state": "running", "status": "Up 2 minutes (healthy)"}
            for name in want["containers"]
        ],
        "swarm": swarm("n1" if host == "swarm1" else "n2", host == "swarm1")
        if want["swarm"]
        else None,
    }
    balancer = {
        "error": "",
        "active": "docker",
        "frontends": {"bookface": "OPEN"},
        "backends": {
            name: {
                "seconds": 100,
                "servers": {one["name"]: server() for one in servers},
            }
            for name, servers in ((want["haproxy"] or {}).get("backends") or {}).items()
        },
    }
    return {
        "units": {name: unit(name) for name in names},
        "timers": [],
        "clusters": clusters,
        "ports": {f"{one['address']}:{one['port']}": "" for one in want["ports"]},
        "note": None,
        "engine": engine if want["engine"] else None,
        "haproxy": balancer if want["haproxy"] else None,
    }


def looks() -> dict[str, dict[str, Any]]:
    """The result of the module on each machine."""
    return copy.deepcopy(
        {host: {"want": want, "seen": seen(host, want)} for host, want in wants().items()}
    )
