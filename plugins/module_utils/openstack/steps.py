# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vocabulary of a plan: steps, settings, which resources are ours, and how they are found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import (
    ADOPTED_MARK,
    IMAGE_MARK,
    MARK,
    Names,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.keys import unique

Data = Mapping[str, Any]
CREATE, CHANGE, REPLACE, REMOVE = "create", "change", "replace", "remove"
# A machine that was made by hand becomes part of the platform, and leaves it.
ADOPT, RELEASE = "adopt", "release"
# Actions of the cloud that bring a server back to ACTIVE.
START, UNPAUSE, RESUME, UNSHELVE = "start", "unpause", "resume", "unshelve"
KEYPAIR, NETWORK, SUBNET, ROUTER = "keypair", "network", "subnet", "router"
SECURITY_GROUP, SERVER_GROUP, VOLUME = "security group", "server group", "volume"
SERVER, ADDRESS = "server", "floating address"
# Owners of a router's ports on a network, with high availability and distributed routers.
ROUTED = frozenset({
    "network:router_interface",
    "network:router_interface_distributed",
    "network:ha_router_replicated_interface",
})  # fmt: skip
# Only in these does Nova change the metadata of a server.
MARKABLE = ("ACTIVE", "PAUSED", "SUSPENDED", "SHUTOFF")
KINDS = (
    KEYPAIR, NETWORK, SUBNET, ROUTER, SECURITY_GROUP, SERVER_GROUP, VOLUME, SERVER, ADDRESS,
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A resource and the action on it. C(id) is the cloud's, empty before it is created."""

    do: str
    kind: str
    name: str
    why: str = ""
    id: str = ""


@dataclass(frozen=True)
class Settings:
    """The desired state beside the machines. C(network): an existing one, or empty for our own.

    C(public_key): of the one who runs this; C(public_keys): of the team. C(disk): device and mount
    point of a machine's volume. C(extra_groups): security groups of others that all machines are in
    as well. C(gives_keys): whether the run logs in to the machines and gives them keys.
    """

    network: str
    cidr: str
    external: str
    nameservers: Sequence[str]
    public_key: str
    public_keys: Sequence[str]
    swarm_policy: str
    rules: Mapping[str, Sequence[Data]]
    user_data: Mapping[str, str]
    disk: str
    extra_groups: Sequence[str] = ()
    gives_keys: bool = True
    confirm_replace: Sequence[str] = ()
    confirm_remove: Sequence[str] = ()
    confirm_adopt: Sequence[str] = ()
    confirm_create: Sequence[str] = ()


@dataclass
class Plan:
    """Steps in order; what is left although the description differs; why the plan cannot run.

    C(blocked): server → its own fault, which prevents only its own steps. C(kept): server → ids of
    security groups of others that it is in, and stays in. C(lent): server → names of those of ours
    that it is in because it holds an address of another machine. C(held): such addresses.
    """

    steps: list[Step] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    blocked: dict[str, str] = field(default_factory=dict)
    kept: dict[str, list[str]] = field(default_factory=dict)
    lent: dict[str, list[str]] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)


def lines(made: Plan) -> list[str]:
    """The plan for people."""
    told = [
        f"{step.do:<7} {step.kind} {step.name}" + (f": {step.why}" if step.why else "")
        for step in made.steps
    ]
    told += [f"{'hold':<7} {text}" for text in made.held]
    told += [f"{'leave':<7} {text}" for text in made.left]
    return told + [f"{'skip':<7} {SERVER} {name}: {why}" for name, why in made.blocked.items()]


def has_mark(thing: Data, mark: str) -> bool:
    """Whether a resource with a description is ours; more may follow the mark."""
    return bool(thing["description"].split()[:1] == [mark])


def own(things: Iterable[Data], cloud: Data) -> list[Data]:
    """Those of our project: other projects may share theirs."""
    return [thing for thing in things if thing["project_id"] == cloud["project_id"]]


def ours(servers: Iterable[Data], names: Names) -> list[Data]:
    """The servers that carry our mark."""
    return [one for one in servers if one["metadata"].get(MARK) == names.platform]


def stays(server: Data) -> str:
    """Why the cloud would refuse to remove a server of ours, or to release it."""
    if server["locked"]:
        return f"is locked: openstack server unlock {server['id']}"
    if is_adopted(server) and server["status"] not in MARKABLE:
        return (
            f"is {server['status']}, and the cloud takes our metadata only from a server that is"
            f" {', '.join(MARKABLE[:-1])} or {MARKABLE[-1]}. Bring it into one of these states"
        )
    return ""


def our_groups(names: Names, cloud: Data) -> set[str]:
    """Ids of the security groups of the platform."""
    groups = own(cloud["security_groups"], cloud)
    return {one["id"] for one in groups if has_mark(one, names.mark)}


def is_adopted(server: Data) -> bool:
    """Whether a server of ours was made by somebody else: we mark each with its image."""
    return ADOPTED_MARK in server["metadata"] or IMAGE_MARK not in server["metadata"]


def network_id(names: Names, given: str, cloud: Data) -> str:
    """The network of the machines, or nothing if it does not exist or there are several.

    C(given): an existing one, or empty for our own.
    """
    if not given:
        there = [one for one in own(cloud["networks"], cloud) if has_mark(one, names.mark)]
    else:
        there = matching(cloud["networks"], given)
    return str(there[0]["id"]) if len(there) == 1 else ""


def matching(things: Iterable[Data], given: str) -> list[Data]:
    """The resources that a name or an id means. An id means one, whatever others are named."""
    listed_once = list(things)
    by_id = [one for one in listed_once if one["id"] == given]
    return by_id or [one for one in listed_once if one["name"] == given]


def images(cloud: Data, given: str) -> list[str]:
    """Ids of the images that a name means, the newest first, or that an id means."""
    known = cloud["images"]
    return known.get(given) or [one for ids in known.values() for one in ids if one == given]


def flavor(cloud: Data, given: str) -> str:
    """The name of a flavor that is given by name or id; what the cloud does not have as it is."""
    by_id = {one["id"]: name for name, one in cloud["flavors"].items()}
    return given if given in cloud["flavors"] else by_id.get(given, given)


def keypair(names: Names, cloud: Data) -> str:
    """The public key of our keypair, as this account sees it."""
    there = [one["public_key"] for one in cloud["keypairs"] if one["name"] == names.keypair]
    return str(there[0]) if there else ""


def keys(names: Names, wanted: Settings, cloud: Data) -> list[str]:
    """The public keys of a new server."""
    return unique([keypair(names, cloud) or wanted.public_key, *wanted.public_keys])


def leads_out(network: str, external: str, cloud: Data) -> bool:
    """Whether a router connects a network of the project to an external one, as far as we see."""
    outside = {one["id"] for one in matching(cloud["networks"], external)}
    gateways = {one["id"]: one["gateway"] for one in cloud["routers"]}
    ways = [
        gateways.get(port["device_id"], "unknown")
        for port in cloud["ports"]
        if port["network_id"] == network and port["device_owner"] in ROUTED
    ]
    return any(way in outside or way == "unknown" for way in ways)


def ports_of(server: Data, cloud: Data) -> list[str]:
    """Ids of a server's ports."""
    return [port["id"] for port in cloud["ports"] if port["device_id"] == server["id"]]


def attached(server: Data, cloud: Data) -> list[Data]:
    """The floating addresses of a server, whoever has attached them, according to Neutron."""
    ports = ports_of(server, cloud)
    return [one for one in own(cloud["floating_ips"], cloud) if one["port_id"] in ports]


def surplus(made: Plan, kind: str, name: str, id_: str, what: str, wanted: Settings) -> None:
    """A resource of ours that is no longer described."""
    if name in wanted.confirm_remove:
        made.steps.append(Step(REMOVE, kind, name, what, id_))
    else:
        made.left.append(
            f"{kind} {name} ({what}): no longer described; -e confirm_remove={name} removes it"
        )


def listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
