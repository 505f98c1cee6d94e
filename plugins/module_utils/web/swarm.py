# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The swarm that serves bookface: what its nodes report, and what the role has to change."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

OVERLAY = "overlay"
# What docker_secret appends to the name of a secret that has versions.
_VERSION = re.compile(r"_v\d+\Z")
# docker service rollback requires the previous version.
_VERSIONS_KEPT = 2

# Arguments of docker → its return code, output and errors.
Docker = Callable[..., tuple[int, str, str]]


@dataclass(frozen=True)
class Node:
    """A host of the swarm, by what its engine says. C(state) is V(none) without an engine."""

    state: str = "none"
    id: str = ""
    manager: bool = False
    # Of the network that has the overlay's name.
    driver: str = ""
    ipvs: bool = False
    # What a manager knows: id of each node → whether it is a manager, and whether it is ready.
    managers: Mapping[str, bool] = field(default_factory=dict)
    ready: Mapping[str, bool] = field(default_factory=dict)
    secrets: Sequence[str] = ()


def look(docker: Docker, network: str, service: str) -> tuple[Node, str]:
    """A node without its kernel, and why its engine does not answer."""
    code, out, error = docker("info", "--format", "{{json .Swarm}}")
    if code:
        return Node(), error.strip() or "docker info failed"
    swarm = json.loads(out)
    code, out, _error = docker("network", "inspect", "--format", "{{.Driver}}", network)
    driver = out.strip() if code == 0 else ""
    node = Node(
        state=swarm["LocalNodeState"],
        id=swarm.get("NodeID") or "",
        manager=bool(swarm.get("ControlAvailable")),
        driver=driver,
    )
    if not node.manager:
        return node, ""
    nodes = _lines(docker("node", "ls", "--format", "{{json .}}"))
    secrets = docker("secret", "ls", "--filter", f"name={service}-", "--format", "{{.Name}}")
    node = replace(
        node,
        managers={one["ID"]: bool(one["ManagerStatus"]) for one in nodes},
        ready={one["ID"]: one["Status"] == "Ready" for one in nodes},
        secrets=tuple(secrets[1].split()),
    )
    return node, ""


def _lines(done: tuple[int, str, str]) -> list[dict[str, Any]]:
    """Lines of JSON. A manager without a majority of the others knows no nodes."""
    code, out, _error = done
    return [json.loads(line) for line in out.splitlines()] if code == 0 else []


def read(seen: Mapping[str, Any]) -> Node:
    """A node as the module swarm_info returns it."""
    return Node(**{name: seen[name] for name in Node.__dataclass_fields__ if name in seen})


@dataclass(frozen=True)
class Settings:
    """What the inventory says."""

    managers: Sequence[str]
    workers: Sequence[str]
    replicas: int
    publish_mode: str
    network: str


def plan(seen: Mapping[str, Mapping[str, Any]], given: Settings) -> dict[str, Any]:
    """The plan for the hosts of a run, by their names; as plain data."""
    nodes = {host: read(said) for host, said in seen.items()}
    leaders = [host for host in given.managers if host in nodes and nodes[host].manager]
    # The first manager creates the swarm; later any that still manages it will do.
    lead = (leaders or [*given.managers])[0]
    known = nodes[lead] if leaders else Node()
    without_ipvs = [host for host, node in nodes.items() if not node.ipvs]
    mode = given.publish_mode
    if mode == "auto":
        mode = "host" if without_ipvs else "ingress"
    return {
        "lead": lead,
        "engines": all(node.state != "none" for node in nodes.values()),
        "exists": bool(leaders),
        "complete": bool(leaders) and all(_has_its_part(nodes[h], known, h, given) for h in nodes),
        "mode": mode,
        "network_exists": known.driver == OVERLAY,
        "old_secrets": max(_versions(known.secrets), default=0) > _VERSIONS_KEPT,
        "errors": [
            *_publishing(given, mode, without_ipvs),
            *_network(given, nodes),
            *_membership(given, nodes, leaders, lead, known),
        ],
    }


def _has_its_part(node: Node, known: Node, host: str, given: Settings) -> bool:
    """Whether a host is a ready member, and a manager or a worker as the inventory says."""
    return (
        node.state == "active"
        and known.ready.get(node.id, False)
        and known.managers.get(node.id) == (host in given.managers)
    )


def _versions(secrets: Iterable[str]) -> Iterable[int]:
    """How many versions of each secret there are."""
    return Counter(_VERSION.sub("", name) for name in secrets).values()


def _publishing(given: Settings, mode: str, without_ipvs: Sequence[str]) -> list[str]:
    """Docker's routing mesh is IPVS: without it ports do not answer, and no error says so."""
    if given.publish_mode == "ingress" and without_ipvs:
        return [
            f"swarm_publish_mode is ingress, but the kernel has no IPVS on"
            f" {', '.join(without_ipvs)}: no node would answer. Use auto or host."
        ]
    hosts = {*given.managers, *given.workers}
    if mode == "ingress" or given.replicas <= len(hosts):
        return []
    why = f" (no IPVS on {', '.join(without_ipvs)})" if given.publish_mode == "auto" else ""
    return [
        f"swarm_replicas is {given.replicas}, but each of the {len(hosts)} nodes runs one task at"
        f" most if ports are published with mode host{why}. Use fewer replicas, or add nodes."
    ]


def _network(given: Settings, nodes: Mapping[str, Node]) -> list[str]:
    """Docker's module would replace a bridge of that name, and cut its containers off."""
    taken = [host for host, node in nodes.items() if node.driver not in ("", OVERLAY)]
    if not taken:
        return []
    return [
        f"swarm_network is {given.network}, which is another kind of network on {', '.join(taken)}:"
        f" see docker network inspect {given.network}. Choose a name that no other network has,"
        " such as bookface-swarm."
    ]


def _membership(
    given: Settings, nodes: Mapping[str, Node], leaders: Sequence[str], lead: str, known: Node
) -> list[str]:
    """Neither a second swarm, nor a node of another one."""
    absent = [host for host in given.managers if host not in nodes]
    if not leaders and absent:
        return [
            f"No manager of the swarm is in this run, and {', '.join(absent)} was not asked. Bring"
            " it back, or add it to --limit."
        ]
    members = {h: n for h, n in nodes.items() if n.state not in ("none", "inactive")}
    strangers = [h for h, n in members.items() if n.state != "active" or n.id not in known.ready]
    if not strangers:
        return []
    states = sorted({members[host].state for host in strangers})
    swarm = f"{lead}'s" if leaders else f"the one that {lead} would create"
    return [
        f"{', '.join(strangers)}: in another swarm than {swarm}, or cut off from it (state"
        f" {', '.join(states)}). If it is no longer needed there, run docker swarm leave --force"
        " on that machine."
    ]


def servers(
    seen: Mapping[str, Mapping[str, Any]], running: Iterable[str], mode: str, port: int
) -> dict[str, str]:
    """Nodes that must answer: with the routing mesh all, otherwise those that run a task."""
    busy = set(running)
    return {
        host: f"http://{said['host']}:{port}"
        for host, said in seen.items()
        if mode == "ingress" or said["id"] in busy
    }


def secret_files(
    secrets: Iterable[Mapping[str, Any]], names: Iterable[str]
) -> list[dict[str, Any]]:
    """The files of a service: each secret by the name of its current version."""
    return [
        {
            "secret_name": name,
            "filename": f"/etc/bookface/{secret['name']}",
            **{key: secret[key] for key in ("uid", "gid", "mode")},
        }
        for secret, name in zip(secrets, names)
    ]
