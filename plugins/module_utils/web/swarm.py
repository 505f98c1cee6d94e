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
from ipaddress import ip_address
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.web import swarm_networks
from ansible_collections.bookface.platform.plugins.module_utils.web.backends import EDGE
from ansible_collections.bookface.platform.plugins.module_utils.web.labels import (
    MADE,
    ROLE,
    STACK,
    WEB,
    is_web,
)
from ansible_collections.bookface.platform.plugins.module_utils.web.placement import (
    Attributes,
    Running,
    Stages,
    attributes,
    evicted,
    label_change,
    labels_after,
    labels_meanwhile,
    meets,
    own_labels,
    shown,
    with_labels,
)
from ansible_collections.bookface.platform.plugins.module_utils.web.swarm_networks import (
    GATEWAY,
    OVERLAY,
)

# How a node leads to the tasks: to its own one, or through the routing mesh to all. With EDGE no
# node does: an HAProxy in the swarm finds the tasks by Docker's DNS.
HOST, MESH = "host", "mesh"
# Labels of a node that runs such an HAProxy, one for each site of the swarm, as constraints name
# them.
_EDGE_LABELS = "node.labels.bookface.edge."
# What Docker calls the port of a service that is published through the mesh.
INGRESS = "ingress"
# Docker gives times in nanoseconds.
SECOND = 10**9
# A node that takes tasks, and what the others are called.
ACTIVE = "active"
# A node whose engine the managers have lost, or that has left.
DOWN = "down"
# A manager whose engine has restarted, and waits for the key.
LOCKED = "locked"
_UNAVAILABLE = {"drain": "drained", "pause": "paused"}
# Value of the label MADE on what the role creates.
SWARM = "swarm"
# What docker_secret appends to the name of a secret that has versions.
_VERSION = re.compile(r"_v\d+\Z")
# docker service rollback requires the previous version.
_VERSIONS_KEPT = 2

# Arguments of docker → its return code, output and errors.
Docker = Callable[..., tuple[int, str, str]]
Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Node:
    """A host of the swarm, by what its engine says. C(state) is V(none) without an engine."""

    state: str = "none"
    id: str = ""
    manager: bool = False
    # Those that have the overlay's name.
    networks: Sequence[Entry] = ()
    ipvs: bool = False
    # Networks of IPv4 that it has an address in or a route to.
    routes: Sequence[str] = ()
    # What a manager knows: id of each node → whether it is a manager, whether it is ready, and who
    # and where it is.
    managers: Mapping[str, bool] = field(default_factory=dict)
    ready: Mapping[str, bool] = field(default_factory=dict)
    members: Mapping[str, Entry] = field(default_factory=dict)
    # The swarm itself.
    cluster: Entry = field(default_factory=dict)
    # The service that has our name, and the ports of the others.
    service: Entry = field(default_factory=dict)
    # The service that a release is tested on, if a run has left it.
    canary: Entry = field(default_factory=dict)
    ports: Sequence[Entry] = ()
    # Secrets that begin with the name of the service, and those among them that are not ours.
    secrets: Sequence[str] = ()
    foreign_secrets: Sequence[str] = ()
    # Whether the swarm has the network that the routing mesh is made of, and what it is like.
    mesh: bool = True
    # The other services by name, the names of all overlay networks, and the secrets of services
    # that belong to ours.
    services: Mapping[str, Entry] = field(default_factory=dict)
    overlays: Sequence[str] = ()
    stack_secrets: Sequence[str] = ()
    ingress: Entry = field(default_factory=dict)
    # MTU of the interface that has the node's address. 0: unknown.
    mtu: int = 0
    # The bridge by which its tasks reach other machines, if it has one.
    gateway: Entry = field(default_factory=dict)
    # Its name servers.
    resolvers: Sequence[str] = ()
    # Whether its kernel can encrypt an overlay.
    esp: bool = False
    # Hostname of the machine, by which a swarm knows it once it has joined.
    name: str = ""


def canary_name(service: str) -> str:
    """Name of the service that a release is tested on."""
    return f"{service}-canary"


def look(docker: Docker, network: str, service: str) -> tuple[Node, str]:
    """A node without its kernel and routes, and why its engine does not answer."""
    code, out, error = docker("info", "--format", "{{json .Swarm}}")
    if code:
        return Node(), error.strip() or "docker info failed"
    swarm = json.loads(out)
    overlays = _networks(docker, network)
    ingress = next((one for one in overlays if one.get("Ingress")), None)
    node = Node(
        state=swarm["LocalNodeState"],
        id=swarm.get("NodeID") or "",
        manager=bool(swarm.get("ControlAvailable")),
        networks=tuple(_network(one) for one in overlays if one["Name"] == network),
        gateway=next((swarm_networks.gateway(o) for o in overlays if o["Name"] == GATEWAY), {}),
    )
    if not node.manager:
        return node, ""
    nodes = _inspected(docker, "node")
    services = {one["Spec"]["Name"]: one for one in _inspected(docker, "service")}
    secrets = [
        one["Spec"]
        for one in _inspected(docker, "secret", "--filter", f"name={service}-")
        if one["Spec"]["Name"].startswith(f"{service}-")
    ]
    node = replace(
        node,
        managers={one["ID"]: bool(one.get("ManagerStatus")) for one in nodes},
        ready={one["ID"]: one["Status"]["State"] == "ready" for one in nodes},
        members={one["ID"]: _member(one) for one in nodes},
        cluster=_cluster(swarm.get("Cluster") or {}),
        service=_service(services[service]) if service in services else {},
        canary={"ours": _made_here(one["Spec"])}
        if (one := services.get(canary_name(service)))
        else {},
        ports=tuple(
            {
                "port": port["PublishedPort"],
                "mode": port.get("PublishMode", INGRESS),
                "service": name,
            }
            for name, one in services.items()
            if name != service
            for port in one.get("Endpoint", {}).get("Ports") or ()
            if port.get("PublishedPort") and port["Protocol"] == "tcp"
        ),
        secrets=tuple(spec["Name"] for spec in secrets),
        foreign_secrets=tuple(spec["Name"] for spec in secrets if not _made_here(spec)),
        services={
            name: {**_described(one["Spec"]), "stack": _stack(one["Spec"])}
            for name, one in services.items()
            if name != service
        },
        overlays=tuple(one["Name"] for one in overlays if one["Driver"] == OVERLAY),
        stack_secrets=tuple(spec["Name"] for spec in secrets if _stack(spec) == service),
        mesh=bool(ingress),
        ingress={
            "name": ingress["Name"],
            **swarm_networks.described(ingress),
            "services": sorted(name for name, one in services.items() if _in_mesh(one)),
        }
        if ingress
        else {},
    )
    return node, ""


def _networks(docker: Docker, name: str) -> list[dict[str, Any]]:
    """The networks with this name, the gateway of tasks and all overlays, in full."""
    code, out, _error = docker("network", "ls", "--format", "{{.ID}} {{.Driver}} {{.Name}}")
    listed = [line.split(maxsplit=2) for line in out.splitlines()] if code == 0 else []
    wanted = (name, GATEWAY)
    ids = [id_ for id_, driver, named in listed if named in wanted or driver == OVERLAY]
    return _read(docker("network", "inspect", *ids)) if ids else []


def _inspected(docker: Docker, kind: str, *options: str) -> list[dict[str, Any]]:
    """All things of a kind, in full. A manager without a majority of the others knows none."""
    code, out, _error = docker(kind, "ls", "--quiet", *options)
    ids = out.split() if code == 0 else []
    return _read(docker(kind, "inspect", *ids)) if ids else []


def _read(done: tuple[int, str, str]) -> list[dict[str, Any]]:
    """A list in JSON. What was removed in between is not in it, and makes the return code."""
    found: list[dict[str, Any]] = json.loads(done[1] or "[]")
    return found


def _made_here(described: Entry) -> bool:
    """Whether these are the labels of something that the role created."""
    return (described.get("Labels") or {}).get(MADE) == SWARM


def _stack(described: Entry) -> str:
    """The web service that a further service or its secret was created for."""
    return str((described.get("Labels") or {}).get(STACK, ""))


def _described(spec: Entry) -> dict[str, Any]:
    """What a service is, ours or not."""
    task, mode = spec.get("TaskTemplate") or {}, spec.get("Mode") or {"Replicated": {}}
    return {
        "mode": next(iter(mode)),
        "image": (task.get("ContainerSpec") or {}).get("Image", ""),
        "replicas": (mode.get("Replicated") or {}).get("Replicas", 0),
        "constraints": (task.get("Placement") or {}).get("Constraints") or [],
    }


def _in_mesh(service: Entry) -> bool:
    """Whether the routing mesh leads to a service."""
    ports = (service["Spec"].get("EndpointSpec") or {}).get("Ports") or ()
    return any(port.get("PublishMode", INGRESS) == INGRESS for port in ports)


def _network(found: Entry) -> dict[str, Any]:
    kinds = (
        ("attachable", found.get("Attachable")),
        ("encrypted", "encrypted" in (found.get("Options") or {})),
    )
    # Those that are plugged in by hand; the others belong to services.
    containers = [
        one["Name"]
        for one in (found.get("Containers") or {}).values()
        if not re.search(r"-endpoint\Z|\.[a-z0-9]{25}\Z", one["Name"])
    ]
    return {
        "id": found["Id"],
        "driver": found["Driver"],
        "ours": _made_here(found),
        "ingress": bool(found.get("Ingress")),
        "kinds": [name for name, has in kinds if has],
        "containers": sorted(containers),
        **swarm_networks.described(found),
    }


def _member(found: Entry) -> dict[str, Any]:
    """Who and where a node is; a manager's own address may be given as 0.0.0.0."""
    given = [found["Status"].get("Addr", "")]
    spec, manager = found.get("Spec") or {}, found.get("ManagerStatus") or {}
    if address := manager.get("Addr"):
        given.append(address.rpartition(":")[0].strip("[]"))
    return {
        "name": found["Description"]["Hostname"],
        "addresses": sorted(set(filter(None, given))),
        "availability": spec.get("Availability", ACTIVE),
        # What it shall be: one that was lost can be called a manager without being one.
        "role": spec.get("Role", ""),
        "state": found["Status"]["State"],
        # Of a manager, whether the others reach it.
        "reachable": manager.get("Reachability") == "reachable",
        # What constraints can name.
        "attributes": attributes(found),
    }


def _cluster(found: Entry) -> dict[str, Any]:
    return {
        "id": found.get("ID", ""),
        "ours": _made_here(found.get("Spec") or {}),
        "pools": list(found.get("DefaultAddrPool") or ()),
        "heartbeat": ((found.get("Spec") or {}).get("Dispatcher") or {}).get("HeartbeatPeriod", 0),
        "autolock": ((found.get("Spec") or {}).get("EncryptionConfig") or {}).get(
            "AutoLockManagers", False
        ),
    }


def _service(found: Entry) -> dict[str, Any]:
    spec = found["Spec"]
    labels = spec.get("Labels") or {}
    return {
        "ours": is_web(labels) or _made_here(spec),
        **_described(spec),
        "stack": labels.get("com.docker.stack.namespace", ""),
        "networks": [one["Target"] for one in spec["TaskTemplate"].get("Networks") or ()],
        "published": [
            {"target": port["TargetPort"], "mode": port.get("PublishMode", INGRESS)}
            for port in (spec.get("EndpointSpec") or {}).get("Ports") or ()
        ],
    }


def read(seen: Entry) -> Node:
    """A node as the module swarm_info returns it."""
    return Node(**{name: seen[name] for name in Node.__dataclass_fields__ if name in seen})


@dataclass(frozen=True)
class Settings:
    """What the inventory says."""

    managers: Sequence[str]
    workers: Sequence[str]
    replicas: int
    ingress_mode: str
    network: str
    service: str
    port: int
    pools: Sequence[str]
    # What becomes ours though somebody else made it, as KIND/NAME.
    adopt: Sequence[str] = ()
    # Addresses of all hosts of the swarm, also of those that are not in the run.
    addresses: Sequence[str] = ()
    # Seconds between two signs of life of a node.
    heartbeat: int = 5
    # Autoscaling may choose up to this many. 0: there is none.
    replicas_max: int = 0
    # Whether managers lock their keys; None leaves that as it is.
    autolock: bool | None = None
    # Whether the key that unlocks them is known.
    unlocks: bool = False
    # Names of further services.
    services: Sequence[str] = ()
    # What a node must meet to run a task of the web service.
    constraints: Sequence[str] = ()
    # Labels of nodes, by host.
    node_labels: Mapping[str, Mapping[object, object]] = field(default_factory=dict)
    # MTU of the tasks in the overlay. 0: what fits.
    mtu: int = 0
    encrypted: bool = False
    # What tasks have to reach, by names for people.
    neighbours: Mapping[str, str] = field(default_factory=dict)
    # With the mode edge, how many tasks HAProxy finds.
    slots: int = 16
    # Whether tasks may move to another network though others stay behind.
    move: bool = False


def plan(seen: Mapping[str, Entry], given: Settings) -> dict[str, Any]:
    """The plan for the hosts of a run, by their names; as plain data."""
    nodes = {host: read(said) for host, said in seen.items()}
    leaders = [host for host in given.managers if host in nodes and nodes[host].manager]
    # The first manager creates the swarm; later any that still manages it will do, rather one of a
    # swarm of ours than of somebody else's.
    leaders.sort(key=lambda host: (not nodes[host].managers, not _is_ours(nodes[host])))
    lead = (leaders or [*given.managers])[0]
    known = nodes[lead] if leaders else Node()
    network = known.networks[0] if known.networks else {}
    networks = swarm_networks.plan(swarm_networks.Site(given, nodes, known, bool(leaders)))
    errors, warnings = networks.pop("errors"), networks.pop("warnings")
    cut = _locked(given, nodes) or without_majority(nodes)
    return {
        "lead": lead,
        "engines": all(node.state != "none" for node in nodes.values()),
        "exists": bool(leaders),
        "complete": bool(leaders)
        and all(_has_its_part(nodes[h], known, h, given) for h in nodes)
        and not _stale(nodes, known, given.addresses),
        "replicas": (replicas := _replicas(given, nodes, known)),
        "autoscaled": given.replicas_max > given.replicas
        and known.service.get("replicas") == replicas,
        "network_exists": network.get("driver") == OVERLAY,
        "heartbeat": _other_heartbeat(given, known, bool(leaders)),
        "autolock": _other_lock(given, known),
        "canary": {"name": canary_name(given.service), "left": bool(known.canary)},
        "node_labels": _node_labels(given, nodes, known),
        "old_secrets": max(_versions(known.secrets), default=0) > _VERSIONS_KEPT,
        "networks": networks,
        "warnings": [] if cut else warnings,
        "errors": [cut]
        if cut
        else [
            *_publishing(given, nodes, known),
            *_another_mode(given, known),
            *_another_network(given, known),
            *_constraints(given, nodes, known),
            *_room(given, nodes, known),
            *_evictions(given, nodes, known, replicas),
            *_other_networks(given, nodes),
            *_membership(given, nodes, leaders, lead, known),
            *_wrong_adoptions(given),
            *_foreign_swarm(given, nodes, lead, known),
            *_foreign_service(given, known),
            *_foreign_canary(given, known),
            *_foreign_network(given, known),
            *_foreign_secrets(given, known),
            *errors,
        ],
    }


def _locked(given: Settings, nodes: Mapping[str, Node]) -> str:
    """What to say of managers that wait for the key: they know nothing until they have it."""
    locked = [host for host, node in nodes.items() if node.state == LOCKED]
    if not locked:
        return ""
    said = (
        f"{', '.join(locked)}: locked since the engine restarted, and in no swarm until unlocked."
    )
    if given.unlocks:
        return f"{said} swarm_unlock_key is set, so a run without --check unlocks it."
    return (
        f"{said} Set swarm_unlock_key, from the vault, to what docker swarm unlock-key --quiet"
        " prints on a manager that is not locked, or run docker swarm unlock on that machine."
    )


def without_majority(nodes: Mapping[str, Node]) -> str:
    """What to say if only managers answer that cannot decide; they do not even know themselves."""
    managers = [host for host, node in nodes.items() if node.manager]
    if not managers or any(nodes[host].managers for host in managers):
        return ""
    return (
        f"The swarm has no leader: {', '.join(managers)} answers, but that is no majority of its"
        " managers. Tasks that run go on, but nothing of the swarm can be changed. Start the"
        " machines of the other managers. If they are lost for good, make a new swarm of what"
        f" {managers[0]} knows: docs/swarm.md, 'Without a majority' (docker swarm init"
        " --force-new-cluster)."
    )


def stale(seen: Mapping[str, Entry], addresses: Iterable[str]) -> list[str]:
    """IDs of the entries that machines have left behind which were made again since."""
    nodes = {host: read(said) for host, said in seen.items()}
    known = next((node for node in nodes.values() if node.managers), Node())
    return _stale(nodes, known, addresses)


def _stale(nodes: Mapping[str, Node], known: Node, addresses: Iterable[str]) -> list[str]:
    """Those that are down and have the name of a host of this run, but belong to no other host.

    In a swarm that somebody else made, a name may be that of another machine: the address counts.
    """
    adopted = not known.cluster.get("ours")
    here = [known.members[node.id] for node in nodes.values() if node.id in known.members]
    found = set()
    for own in (one for one in here if one["state"] != DOWN):
        mine = {_address(one) for one in own["addresses"]}
        others = [one for one in addresses if _address(one) not in mine]
        found |= {
            id_
            for id_, one in known.members.items()
            if one["name"] == own["name"]
            and one["state"] == DOWN
            and not is_address_of(one, others)
            and not (adopted and not is_address_of(one, mine))
        }
    return sorted(found)


def is_address_of(member: Entry, addresses: Iterable[str]) -> bool:
    """Whether a node has one of these addresses."""
    return bool(
        {_address(one) for one in member["addresses"]} & {_address(one) for one in addresses}
    )


def runs_haproxy(member: Entry) -> bool:
    """Whether an HAProxy of any site runs on this node as a service of the swarm."""
    return any(
        name.startswith(_EDGE_LABELS) and value == "true"
        for name, value in member.get("attributes", {}).items()
    )


def _is_ours(node: Node) -> bool:
    """Whether the swarm of this manager was created or adopted by the role.

    One of an earlier release has no label itself.
    """
    things = (node.cluster, node.service, *node.networks)
    return any(one.get("ours") for one in things) or len(node.secrets) > len(node.foreign_secrets)


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


def _other_heartbeat(given: Settings, known: Node, exists: bool) -> bool:
    """Whether nodes of our swarm are to report at another interval. One of others keeps its own."""
    if not exists:
        return True
    ours: bool = known.cluster.get("ours", False)
    return ours and known.cluster.get("heartbeat") != given.heartbeat * SECOND


def _other_lock(given: Settings, known: Node) -> bool:
    """Whether managers are to lock their keys, or no longer."""
    return given.autolock is not None and known.cluster.get("autolock", False) != given.autolock


def _publishing(given: Settings, nodes: Mapping[str, Node], known: Node) -> Iterable[str]:
    """Docker's routing mesh is IPVS: without it ports do not answer, and no error says so."""
    hosts = {*given.managers, *given.workers}
    mesh = given.ingress_mode == MESH
    if given.ingress_mode == EDGE:
        # An update starts one task before it stops another one.
        if (most := max(given.replicas, given.replicas_max)) >= given.slots:
            name = "swarm_replicas_max" if given.replicas_max > given.replicas else "swarm_replicas"
            yield (
                f"{name} is {most}, but bookface_swarm_slots is {given.slots}: HAProxy would not"
                " find all tasks while they are replaced, since one more runs then. Set"
                f" bookface_swarm_slots to {most + 1} or more for all hosts, load balancers"
                " included."
            )
        return
    without_ipvs = [host for host, node in nodes.items() if not node.ipvs]
    for other in known.ports:
        # With mode host both the swarm finds nodes where the port is free.
        if other["port"] == given.port and (mesh or other["mode"] == INGRESS):
            yield (
                f"swarm_port is {given.port}, which the service {other['service']} of this swarm"
                " publishes. Set bookface_swarm_port to another one, which the load balancers read"
                " as well."
            )
    if mesh and without_ipvs:
        yield (
            f"swarm_ingress_mode is mesh, but the kernel has no IPVS on"
            f" {', '.join(without_ipvs)}: no node would answer. Use host or edge."
        )
    elif mesh and not known.mesh and not known.cluster.get("ours"):
        yield (
            "swarm_ingress_mode is mesh, but the swarm's ingress network was removed: no node"
            " would answer. Use host or edge, or recreate it with docker network create --driver"
            " overlay --ingress ingress."
        )
    elif not mesh and given.replicas > len(hosts):
        yield (
            f"swarm_replicas is {given.replicas}, but each of the {len(hosts)} nodes runs one task"
            " at most with swarm_ingress_mode host. Use fewer replicas, add nodes, or set"
            " swarm_ingress_mode to edge or mesh, with which a node can run several tasks."
        )


def _another_mode(given: Settings, known: Node) -> Iterable[str]:
    """The mesh lets go of a port at once, and its nodes are in the way of tasks that want it."""
    for port in known.service.get("published", ()):
        found = MESH if port["mode"] == INGRESS else HOST
        if found != given.ingress_mode:
            yield (
                f"swarm_ingress_mode is {given.ingress_mode}, but the service {given.service} is"
                f" published with {found}, and nodes may not answer while that is changed. Set"
                f" swarm_ingress_mode to {found} to keep it. To change it, move the traffic to"
                " another backend (switch_backend.yml), run docker service update --publish-rm"
                f" mode={port['mode']},target={port['target']} {given.service} on a manager, then"
                " this again."
            )


def _another_network(given: Settings, known: Node) -> Iterable[str]:
    """What stays on the old network meanwhile does not find the tasks, or they not it."""
    now: Sequence[str] = known.service.get("networks", ())
    there = {one["id"] for one in known.networks}
    others = ["HAProxy in the swarm"] if given.ingress_mode == EDGE else []
    others += [f"the service {name}" for name in given.services]
    if now and not there & {*now} and others and not given.move:
        yield (
            f"swarm_network is {given.network}, but the tasks of {given.service} are in another"
            f" network. While they move, they and {', '.join(others)} do not reach each other."
            " Move the traffic to another backend (switch_backend.yml), then run this with -e"
            " swarm_network_move=true."
        )


def _unavailable(nodes: Mapping[str, Node], known: Node) -> dict[str, str]:
    """IDs of the members of the swarm that take no tasks, and why."""
    here = {node.id for node in nodes.values()}
    found = {}
    for id_, member in known.members.items():
        why = _UNAVAILABLE.get(member.get("availability", ACTIVE), "")
        # A host of this run is waited for, if it is down.
        if not (why or known.ready.get(id_) or id_ in here):
            why = "down"
        if why:
            found[id_] = why
    return found


def _named(found: Mapping[str, str], known: Node) -> list[tuple[str, str]]:
    """The same with names, which several may share: a machine that was rebuilt, or a clone."""
    return sorted((known.members[id_]["name"], why) for id_, why in found.items())


def future_nodes(
    nodes: Mapping[str, Node],
    known: Node,
    node_labels: Mapping[str, Mapping[object, object]],
    managers: Sequence[str],
) -> dict[str, Attributes]:
    """What constraints will find: members by their IDs, hosts that join by their names.

    Not what machines that were made again have left: the new node has the name.
    """
    names = {
        known.members[node.id]["name"] if node.id in known.members else node.name
        for node in nodes.values()
        if known.members.get(node.id, {}).get("state") != DOWN
    }
    here = {node.id for node in nodes.values()}
    found: dict[str, Attributes] = {
        id_: one.get("attributes", {"node.id": id_})
        for id_, one in known.members.items()
        if id_ in here or one.get("state") != DOWN or one["name"] not in names
    }
    for host, node in nodes.items():
        key = node.id if node.id in known.members else host
        own = {
            "node.role": "manager" if host in managers else "worker",
            **({"node.hostname": node.name} if key == host and node.name else {}),
        }
        has: Attributes = {**found.get(key, {}), **own}
        labels = labels_after(own_labels(has), node_labels.get(host, {}))
        found[key] = with_labels(has, labels)
    return found


def stages(
    nodes: Mapping[str, Node],
    known: Node,
    node_labels: Mapping[str, Mapping[object, object]],
    managers: Sequence[str],
) -> Stages:
    """What constraints find while labels are changed, on nodes that take tasks or will join."""
    after = {
        key: node
        for key, node in future_nodes(nodes, known, node_labels, managers).items()
        if key not in known.members
        or (known.ready.get(key) and known.members[key].get("availability", ACTIVE) == ACTIVE)
    }
    given = {node.id or host: node_labels.get(host, {}) for host, node in nodes.items()}
    had = {
        key: own_labels(known.members[key].get("attributes", {}))
        for key in after
        if key in known.members
    }
    return Stages(
        {key: with_labels(after[key], labels) for key, labels in had.items()},
        {
            key: with_labels(node, labels_meanwhile(had[key], given.get(key, {})))
            if key in had
            else node
            for key, node in after.items()
        },
        after,
    )


def would_stop(
    variable: str, name: str, service: Running, course: Stages, known: Node
) -> Iterable[str]:
    """Docker stops a task at once if its node no longer meets its constraints."""
    if lost := evicted(course, service):
        names = ", ".join(
            known.members[one]["name"] if one in known.members else one for one in lost
        )
        yield (
            f"swarm_node_labels would change on {names} so that these nodes no longer meet the"
            f" constraints of the service {name}"
            f" ({', '.join(dict.fromkeys((*service.found, *service.wanted)))}). Docker would stop"
            " its tasks there at once, and no other might be running. Give the nodes that shall run"
            f" it a label with another name, and let {variable} ask for that instead: tasks are"
            " then replaced one after the other, and the old label may go in the same run. Or first"
            " add the label to other nodes, and remove it from one node in each run after that."
        )


def _evictions(
    given: Settings, nodes: Mapping[str, Node], known: Node, replicas: int
) -> Iterable[str]:
    """What would stop the tasks of the web service."""
    if tasks := min(known.service.get("replicas", 0), replicas):
        service = Running(known.service.get("constraints", ()), given.constraints, tasks)
        course = stages(nodes, known, given.node_labels, given.managers)
        yield from would_stop("swarm_constraints", given.service, service, course, known)


def _node_labels(given: Settings, nodes: Mapping[str, Node], known: Node) -> dict[str, Any]:
    """For each host whose labels change, what to set, what to remove, and what to set then."""
    found = {}
    for host, node in nodes.items():
        has = own_labels(known.members.get(node.id, {}).get("attributes", {}))
        if change := label_change(has, given.node_labels.get(host, {})):
            found[host] = {
                "set": dict(change.set),
                "remove": list(change.remove),
                "rest": dict(change.rest),
            }
    return found


def _allowed(given: Settings, nodes: Mapping[str, Node], known: Node) -> dict[str, Attributes]:
    """Those of future_nodes that the web service may use."""
    every = future_nodes(nodes, known, given.node_labels, given.managers)
    return {key: node for key, node in every.items() if meets(node, given.constraints)}


def _free(given: Settings, nodes: Mapping[str, Node], known: Node) -> int:
    """How many nodes take tasks of the web service, or will once they have joined."""
    return len(set(_allowed(given, nodes, known)) - set(_unavailable(nodes, known)))


def _constraints(given: Settings, nodes: Mapping[str, Node], known: Node) -> Iterable[str]:
    """Tasks whose conditions too few nodes meet would wait for ever, and Docker would not say."""
    allowed = len(_allowed(given, nodes, known))
    alone = given.ingress_mode == HOST
    if not given.constraints or allowed >= (given.replicas if alone else 1):
        return
    every = future_nodes(nodes, known, given.node_labels, given.managers)
    names = {key: known.members[key]["name"] if key in known.members else key for key in every}
    wanted = f"for {given.replicas} tasks, one on each node" if alone and allowed else ""
    yield (
        f"swarm_constraints is {', '.join(given.constraints)}, which"
        f" {f'only {allowed} of {len(every)} nodes meet' if allowed else 'no node meets'}"
        f"{f' {wanted}' if wanted else ''}. The nodes will be"
        f" {shown({names[key]: node for key, node in every.items()}, given.constraints)}. Set"
        f" swarm_node_labels of hosts that shall run tasks{',' if allowed else ', or'} change"
        f" swarm_constraints{', or use fewer replicas' if allowed else ''}."
    )


def _replicas(given: Settings, nodes: Mapping[str, Node], known: Node) -> int:
    """How many tasks there are to be: what autoscaling has chosen stays, if they have a place."""
    most = max(given.replicas, given.replicas_max)
    if given.ingress_mode == HOST:
        most = min(most, _free(given, nodes, known))
    running: int = known.service.get("replicas", 0)
    return max(given.replicas, min(most, running))


def _room(given: Settings, nodes: Mapping[str, Node], known: Node) -> Iterable[str]:
    """Tasks that no node takes would be waited for in vain."""
    allowed = _allowed(given, nodes, known)
    out = {id_: why for id_, why in _unavailable(nodes, known).items() if id_ in allowed}
    free = _free(given, nodes, known)
    alone = given.ingress_mode == HOST
    wanted = given.replicas if alone else 1
    hosts = len({*given.managers, *given.workers})
    # More replicas than hosts: see _publishing. Fewer nodes that may: see _constraints.
    if not out or free >= wanted or (alone and given.replicas > hosts) or len(allowed) < wanted:
        return
    total = free + len(out)
    takers = (
        f"only {free} of {total} nodes can run tasks, one each" if free else "no node can run tasks"
    )
    states = ", ".join(f"{name} is {why}" for name, why in _named(out, known))
    closed = [name for name, why in _named(out, known) if why != "down"]
    remedies = [f"docker node update --availability active {name}" for name in closed]
    remedy = f"Let them take tasks again ({'; '.join(remedies)})" if closed else "Bring them back"
    yield (
        f"swarm_replicas is {given.replicas}, but {takers}: {states}. {remedy}, or"
        f" {'set fewer replicas, or ' if free else ''}add nodes."
    )


def _other_networks(given: Settings, nodes: Mapping[str, Node]) -> Iterable[str]:
    """A name in use by a network that tasks on other nodes cannot join, or by several."""
    taken = [
        host
        for host, node in nodes.items()
        if len(node.networks) > 1 or any(one["driver"] != OVERLAY for one in node.networks)
    ]
    if taken:
        yield (
            f"swarm_network is {given.network}, which is another kind of network on"
            f" {', '.join(taken)}: see docker network inspect {given.network}. Choose a name that"
            " no other network has, such as bookface-swarm."
        )


def _membership(
    given: Settings, nodes: Mapping[str, Node], leaders: Sequence[str], lead: str, known: Node
) -> Iterable[str]:
    """Neither a second swarm, nor a node of another one."""
    absent = [host for host in given.managers if host not in nodes]
    if not leaders and absent:
        yield (
            f"No manager of the swarm is in this run, and {', '.join(absent)} was not asked. Bring"
            " it back, or add it to --limit."
        )
        return
    members = {h: n for h, n in nodes.items() if n.state not in ("none", "inactive")}
    strangers = [h for h, n in members.items() if n.state != "active" or n.id not in known.ready]
    if strangers:
        states = sorted({members[host].state for host in strangers})
        swarm = f"{lead}'s" if leaders else f"the one that {lead} would create"
        yield (
            f"{', '.join(strangers)}: in another swarm than {swarm}, or cut off from it (state"
            f" {', '.join(states)}). If it is no longer needed there, run docker swarm leave"
            " --force on that machine."
        )


def _wrong_adoptions(given: Settings) -> Iterable[str]:
    """What is to be adopted is named exactly, so that nothing else is."""
    services = (f"service/{name}" for name in (given.service, *given.services))
    own = [*services, f"network/{given.network}"]
    for one in given.adopt:
        if one not in own and not re.fullmatch("swarm/[a-z0-9]+", one):
            yield f"swarm_adopt has {one}; expected {', '.join(own)}, or swarm/ with its ID."


def _foreign_swarm(
    given: Settings, nodes: Mapping[str, Node], lead: str, known: Node
) -> Iterable[str]:
    """A swarm of the inventory's hosts may be made by hand; one with others is somebody else's."""
    name = f"swarm/{known.cluster.get('id')}"
    if not known.manager or _is_ours(known) or name in given.adopt:
        return
    ids = {node.id for node in nodes.values()}
    others = [
        member["name"]
        for id_, member in known.members.items()
        if id_ not in ids and not is_address_of(member, given.addresses)
    ]
    if others:
        yield (
            f"{lead} manages a swarm that is not ours: it lacks the label {MADE}={SWARM}, and the"
            f" inventory does not know its nodes {', '.join(sorted(others))}. Add them to"
            " swarm_managers or swarm_workers if they are yours, use other machines, or adopt the"
            f" swarm with swarm_adopt: [{name}]; nodes that the inventory does not know are left"
            " as they are, and may run tasks."
        )


def _address(text: str) -> str:
    """An address as it is compared; anything else as it is."""
    try:
        return ip_address(text).compressed
    except ValueError:
        return text


def _foreign_service(given: Settings, known: Node) -> Iterable[str]:
    """One that is not ours is neither updated nor replaced."""
    service, name = known.service, f"service/{given.service}"
    if not service:
        return
    if service["mode"] != "Replicated":
        yield (
            f"swarm_service is {given.service}, which is a service of mode {service['mode']}."
            " Docker does not change the mode of a service: choose another name, or remove it."
        )
    elif not service["ours"] and name not in given.adopt:
        of = f" of the stack {service['stack']}" if service["stack"] else ""
        yield (
            f"swarm_service is {given.service}, but the service{of} that has this name is not ours:"
            f" it lacks the label {ROLE}={WEB} and runs {service['image']}. Choose another name,"
            f" such as bookface, or adopt it with swarm_adopt: [{name}]: then it becomes the"
            " site's, and runs its image instead."
        )


def _foreign_canary(given: Settings, known: Node) -> Iterable[str]:
    """One that is not ours would be removed."""
    if known.canary and not known.canary["ours"]:
        yield (
            f"swarm_service is {given.service}, so a release is tested as the service"
            f" {canary_name(given.service)}, but a service of that name exists and is not ours:"
            f" it lacks the label {MADE}={SWARM}. Choose another swarm_service, or remove that"
            " service."
        )


def _foreign_network(given: Settings, known: Node) -> Iterable[str]:
    """One that is not ours is used only if the user says so, and never recreated."""
    name = f"network/{given.network}"
    for network in known.networks:
        # One on which our service runs was adopted before.
        adopted = known.service.get("ours") and network["id"] in known.service["networks"]
        if network["driver"] != OVERLAY or network["ours"] or adopted:
            continue
        if network["ingress"]:
            yield (
                f"swarm_network is {given.network}, which is the routing mesh of the swarm: no"
                " service can join it. Choose another name, such as bookface-swarm."
            )
        elif name not in given.adopt:
            kind = ", ".join(network["kinds"])
            used = ", ".join(network["containers"])
            yield (
                f"swarm_network is {given.network}, but the overlay network that has this name"
                f"{f' ({kind})' if kind else ''} is not ours: it lacks the label {MADE}={SWARM}."
                f"{f' On it is also {used}.' if used else ''} Choose another name, such as"
                f" bookface-swarm, or adopt it with swarm_adopt: [{name}]: then the tasks join it,"
                " and it stays as it is."
            )


def _foreign_secrets(given: Settings, known: Node) -> Iterable[str]:
    """Versions of ours are counted and removed by their names."""
    if known.foreign_secrets:
        yield (
            f"The swarm has the secrets {', '.join(sorted(known.foreign_secrets))}, which are not"
            f" ours: they lack the label {MADE}={SWARM}. Secrets of the service have names that"
            f" begin with {given.service}-. Choose another swarm_service, or remove them with"
            " docker secret rm. Docker shows nobody what is in them, so they cannot be adopted."
        )


def servers(
    seen: Mapping[str, Entry], running: Iterable[str], mode: str, port: int
) -> dict[str, str]:
    """Nodes that must answer: with the routing mesh all, otherwise those that run a task."""
    busy = set() if mode == EDGE else set(running)
    return {
        host: f"http://{said['host']}:{port}"
        for host, said in seen.items()
        if mode == MESH or said["id"] in busy
    }


def uneven(
    manager: Entry, tasks: Iterable[str], hosts: Iterable[str], constraints: Sequence[str] = ()
) -> bool:
    """Whether tasks, by the IDs of their nodes, could be spread better over those that take any.

    Nodes that are not among the C(hosts) of the run may lack the image, so that they take none.
    """
    known = read(manager)
    taken = Counter(tasks)
    ours = {*hosts}
    counts = [
        taken[id_]
        for id_, member in known.members.items()
        if id_ in ours
        and known.ready.get(id_)
        and member["availability"] == ACTIVE
        and meets(member.get("attributes", {}), constraints)
    ]
    return bool(counts) and max(counts) - min(counts) > 1


def report(seen: Mapping[str, Entry], managers: Sequence[str]) -> list[str]:
    """What people want to know of the swarm. Hosts that were not reached have said nothing."""
    nodes = {host: read(said) for host, said in seen.items()}
    answering = [node for node in nodes.values() if node.manager]
    known = next((node for node in answering if node.members), None)
    if known:
        missing = _unavailable({}, known)
        total = len(known.members)
        told = [f"{total - len(missing)} of {total} nodes take tasks"]
        return [
            "swarm: " + "; ".join(told + [f"{k} is {why}" for k, why in _named(missing, known)])
        ]
    # Whoever is silent may be the manager of those that are in a swarm.
    if not any(node.state == "active" for node in nodes.values()):
        return []
    why = "the managers have no majority" if answering else "no manager answers"
    locked = [host for host, node in nodes.items() if node.state == LOCKED]
    return [
        f"swarm: {why} ({', '.join(managers)}); tasks go on serving, changes are not possible"
        + (f"; {', '.join(locked)}: locked since the engine restarted" if locked else "")
    ]
