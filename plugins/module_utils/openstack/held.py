# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Floating addresses that stay at another machine than their own until they are released.

The hold is part of the address's description, so every controller sees it, and the cloud sets it in
the same request that moves the address. Until then the other machine is also in the security groups
of the address's own one, so that the same clients reach it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.access import LOADBALANCERS
from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import (
    Hold,
    Machine,
    Names,
    hold_in,
    with_hold,
    without_hold,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.steps import (
    ADDRESS,
    CHANGE,
    SERVER,
    Data,
    attached,
    has_mark,
    leads_out,
    listed,
    network_id,
    our_groups,
    ours,
    own,
)

# What Neutron takes as a description.
DESCRIPTION_LIMIT = 255
GIVE_BACK = "ansible-playbook playbooks/floating_address.yml -e release=true"


@dataclass(frozen=True)
class Owned:
    """A floating address, and the machine that it belongs to, which may be described no more."""

    owner: str
    address: Data

    @property
    def hold(self) -> Hold | None:
        return hold_in(self.address["description"])

    @property
    def words(self) -> str:
        return f"{ADDRESS} {self.owner or 'of nobody'} ({self.address['address']})"


@dataclass(frozen=True)
class Asked:
    """What the user asks for. C(of): whose address, by the name of its machine or as it is."""

    to: str = ""
    of: str = ""
    release: bool = False
    now: str = ""


@dataclass
class Move:
    """Requests in their order, and what is said of them.

    C(before): ports that get security groups; C(address): the one update that moves and marks it;
    C(after): ports that lose security groups.
    """

    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    before: list[dict[str, Any]] = field(default_factory=list)
    address: list[dict[str, Any]] = field(default_factory=list)
    after: list[dict[str, Any]] = field(default_factory=list)

    def as_data(self) -> dict[str, Any]:
        steps = len(self.before) + len(self.address) + len(self.after)
        return asdict(self) | {"steps": steps}


def held(found: Sequence[Machine], names: Names, cloud: Data) -> list[Owned]:
    """The addresses that this platform holds somewhere."""
    named = {machine.address: machine.name for machine in found if machine.address}
    held_here = []
    for one in own(cloud["floating_ips"], cloud):
        hold = hold_in(one["description"])
        if hold and hold.platform == names.platform:
            owner = named.get(one["address"]) or names.machine_of(one["description"])
            held_here.append(Owned(owner, one))
    return held_here


def lent_groups(
    name: str, found: Sequence[Machine], names: Names, holders: Sequence[tuple[str, str]]
) -> list[str]:
    """Security groups that a machine is in only because it holds an address of another one.

    C(holders): owner and holder of each held address.
    """
    owners = {owner for owner, holder in holders if holder == name}
    groups = [group for machine in found if machine.name in owners for group in machine.groups]
    return [names.security_group(group) for group in dict.fromkeys(groups)]


def holders_of(held_here: Sequence[Owned]) -> list[tuple[str, str]]:
    """Owner and holder of each held address."""
    return [(one.owner, one.hold.machine) for one in held_here if one.hold]


def plan_move(
    asked: Asked,
    found: Sequence[Machine],
    names: Names,
    network: str,
    external: str,
    cloud: Data,
) -> Move:
    """What moves an address to a machine and holds it there, or gives it back.

    C(network): openstack_network. C(external): openstack_external_network.
    """
    made = Move()
    if asked.release == bool(asked.to):
        made.faults.append(
            f"to is {asked.to or 'empty'} and release is {str(asked.release).lower()}: expected"
            f" either -e to=NAME, to move the address to one of {listed(m.name for m in found)}, or"
            " -e release=true, to give it back"
        )
        return made
    net = network_id(names, network, cloud)
    made.faults += _no_network(net, names, network, external, cloud)
    chosen = None if made.faults else _chosen(made, asked, found, names, cloud)
    if made.faults:
        return made
    places = _Places(found, names, net, cloud)
    holders = {
        one.address["id"]: (one.owner, one.hold.machine)
        for one in held(found, names, cloud)
        if one.hold
    }
    if chosen and (asked.release or asked.to == chosen.owner):
        _give_back(made, chosen, places)
        holders.pop(chosen.address["id"], None)
    elif chosen:
        _move(made, asked, chosen, places)
        holders[chosen.address["id"]] = (chosen.owner, asked.to)
    if not made.faults:
        _groups(made, found, places, list(holders.values()))
    return made


def _no_network(net: str, names: Names, network: str, external: str, cloud: Data) -> Iterator[str]:
    """Why no machine could have a floating address."""
    if not net:
        yield (
            f"the network {network or names.network} of the platform does not exist, or there are"
            " several. Run provision.yml first"
        )
        return
    there = next(one for one in cloud["networks"] if one["id"] == net)
    # Of a network of others, a tenant does not see the router.
    if there["project_id"] == cloud["project_id"] and not leads_out(net, external, cloud):
        yield (
            f"no router connects the network {there['name']} to {external}, so no machine on it"
            " could have a floating address. provision.yml connects its own; another one: openstack"
            " router add subnet"
        )


def _chosen(
    made: Move, asked: Asked, found: Sequence[Machine], names: Names, cloud: Data
) -> Owned | None:
    """The address that is meant; none if nothing is held that could be given back."""
    known = _known(found, names, cloud)
    if asked.of:
        meant = [one for one in known if asked.of in (one.owner, one.address["address"])]
        if not meant:
            told = ", ".join(one.words for one in known) or "none"
            made.faults.append(
                f"of is {asked.of}, which is no floating address of the platform, nor a machine"
                f" that has one. Its addresses: {told}. {_by_hand(found, names, cloud)}".strip()
            )
            return None
    elif asked.release:
        meant = [one for one in known if one.hold]
    else:
        balancers = {machine.name for machine in found if LOADBALANCERS in machine.groups}
        meant = [one for one in known if one.owner in balancers] if len(known) > 1 else known
        meant = meant or known
    if len(meant) > 1:
        told = "; ".join(f"-e of={one.owner or one.address['address']}" for one in meant)
        made.faults.append(f"the platform has several floating addresses. Name the one: {told}")
    elif not meant and not asked.release:
        made.faults.append(
            "the platform has no floating address: describe one in openstack_vms (floating_ip), and"
            f" run provision.yml. {_by_hand(found, names, cloud)}".strip()
        )
    elif meant and (whose := _foreign(meant[0], names, cloud)):
        made.faults.append(
            f"{meant[0].address['address']} is attached to {whose}, which is not the platform's."
            " Detach it there first"
        )
    return meant[0] if len(meant) == 1 else None


def _known(found: Sequence[Machine], names: Names, cloud: Data) -> list[Owned]:
    """The addresses of the described machines, and those that are held."""
    mine = own(cloud["floating_ips"], cloud)
    known = held(found, names, cloud)
    for machine in found:
        if not machine.floating_ip or machine.name in {one.owner for one in known}:
            continue
        if machine.address:
            there = [one for one in mine if one["address"] == machine.address]
        else:
            there = [
                one
                for one in mine
                if has_mark(one, names.mark)
                and names.machine_of(one["description"]) == machine.name
            ]
        # Of several, the one that is attached serves.
        there.sort(key=lambda one: (not one["port_id"], one["id"]))
        known += [Owned(machine.name, one) for one in there[:1]]
    return known


def _by_hand(found: Sequence[Machine], names: Names, cloud: Data) -> str:
    """What to do about addresses that somebody has attached, and that are not the platform's."""
    servers = {one["name"]: one for one in ours(cloud["servers"], names)}
    for machine in found:
        if machine.floating_ip and not machine.address and machine.name in servers:
            for one in attached(servers[machine.name], cloud):
                if not has_mark(one, names.mark):
                    return (
                        f"{machine.name} has {one['address']}, which somebody has attached; to make"
                        f" it the one that is moved, describe it: floating_ip: {one['address']}"
                    )
    return ""


def _foreign(meant: Owned, names: Names, cloud: Data) -> str:
    """What else the address of a description is attached to; one that we allocated is ours."""
    if has_mark(meant.address, names.mark) or not meant.address["port_id"]:
        return ""
    devices = {port["id"]: port["device_id"] for port in cloud["ports"]}
    device = devices.get(meant.address["port_id"], "")
    if device in {one["id"] for one in ours(cloud["servers"], names)}:
        return ""
    servers = {one["id"]: f"the server {one['name']}" for one in cloud["servers"]}
    return servers.get(device) or f"the port {meant.address['port_id']}"


class _Places:
    """The described machines as places of an address."""

    def __init__(self, found: Sequence[Machine], names: Names, net: str, cloud: Data) -> None:
        self.machines = {machine.name: machine for machine in found}
        self.names, self.cloud = names, cloud
        self.ports: dict[str, Data] = {}
        self.servers: dict[str, list[Data]] = {name: [] for name in self.machines}
        for one in ours(cloud["servers"], names):
            self.servers.setdefault(one["name"], []).append(one)
        for name, there in self.servers.items():
            for port in cloud["ports"]:
                if len(there) == 1 and (port["device_id"], port["network_id"]) == (
                    there[0]["id"], net,
                ):  # fmt: skip
                    self.ports.setdefault(name, port)

    def at(self, address: Data) -> str:
        """Where an address is, for people."""
        if not address["port_id"]:
            return "nothing"
        found = [name for name, port in self.ports.items() if port["id"] == address["port_id"]]
        return found[0] if found else f"the port {address['port_id']}"

    def refuses(self, name: str, address: Data) -> str:
        """Why a machine cannot have an address; empty if it can."""
        if name not in self.machines:
            return "is not described in openstack_vms"
        there = self.servers[name]
        if not there:
            return "does not exist; provision.yml makes it"
        if len(there) > 1:
            return f"exists {len(there)} times"
        if there[0]["status"] != "ACTIVE":
            return f"is {there[0]['status']}, expected ACTIVE"
        if name not in self.ports:
            return "has no port on the network of the platform"
        others = [
            one["address"]
            for one in own(self.cloud["floating_ips"], self.cloud)
            if one["port_id"] == self.ports[name]["id"] and one["id"] != address["id"]
        ]
        return f"has the floating address {others[0]}, and can have only one" if others else ""


def _move(made: Move, asked: Asked, chosen: Owned, places: _Places) -> None:
    """To another machine, and held there."""
    address, to = chosen.address, asked.to
    if why := places.refuses(to, address):
        can = [
            name
            for name in places.machines
            if name != chosen.owner and not places.refuses(name, address)
        ]
        made.faults.append(f"to is {to}, which {why}. Machines that can take it: {listed(can)}")
        return
    before = chosen.hold
    stays = before and before.machine == to
    hold = before if before and stays else Hold(places.names.platform, to, asked.now)
    text = with_hold(address["description"], hold)
    if len(text) > DESCRIPTION_LIMIT:
        made.faults.append(
            f"the description of {address['address']} would be {len(text)} characters long, and the"
            f" cloud takes {DESCRIPTION_LIMIT}: shorten it (openstack floating ip set"
            f" --description ... {address['id']})"
        )
        return
    port = places.ports[to]
    if address["port_id"] == port["id"] and stays:
        made.lines.append(f"{'hold':<7} {chosen.words}: at {to} since {hold.since}")
    else:
        moved = "" if address["port_id"] == port["id"] else f"from {places.at(address)} to {to}, "
        made.lines.append(f"{CHANGE:<7} {chosen.words}: {moved}held at {to} until {GIVE_BACK}")
        made.address.append(_update(address, to, port["id"], text))
    owner = places.machines.get(chosen.owner)
    if owner and (missing := [g for g in owner.groups if g not in places.machines[to].groups]):
        made.lines.append(
            f"{'note':<7} {SERVER} {to}: it is not in {', '.join(missing)}; what clients of"
            f" {chosen.owner} ask for has to be served by something else there"
        )


def _give_back(made: Move, chosen: Owned, places: _Places) -> None:
    """To its own machine, or, as long as that cannot have it, left where it is."""
    address, owner = chosen.address, chosen.owner
    text = without_hold(address["description"])
    why = places.refuses(owner, address)
    if why:
        if text != address["description"]:
            stays = f"no longer held, stays at {places.at(address)}"
            if owner:
                stays += f", because {owner} {why}; provision.yml attaches it to {owner} then"
            made.lines.append(f"{CHANGE:<7} {chosen.words}: {stays}")
            made.address.append(_update(address, places.at(address), address["port_id"], text))
        return
    port = places.ports[owner]["id"]
    if (address["port_id"], address["description"]) != (port, text):
        made.lines.append(f"{CHANGE:<7} {chosen.words}: from {places.at(address)} back to {owner}")
        made.address.append(_update(address, owner, port, text))


def _update(address: Data, at: str, port: str | None, text: str) -> dict[str, Any]:
    return {
        "id": address["id"],
        "address": address["address"],
        "at": at,
        "port_id": port,
        "description": text,
        "moved": port != address["port_id"],
    }


def _groups(
    made: Move, found: Sequence[Machine], places: _Places, holders: Sequence[tuple[str, str]]
) -> None:
    """The security groups of a machine that holds an address, and of those that no longer do.

    Only those of the platform, and only what a hold adds: all else is up to provision.yml.
    """
    names, cloud = places.names, places.cloud
    ids = {
        one["name"]: one["id"]
        for one in own(cloud["security_groups"], cloud)
        if has_mark(one, names.mark)
    }
    known = {id_: name for name, id_ in ids.items()}
    mine = our_groups(names, cloud)
    for machine in found:
        port = places.ports.get(machine.name)
        if not port or not port["port_security"]:
            continue
        has = list(port["security_group_ids"])
        lent = lent_groups(machine.name, found, names, holders)
        missing = [ids[one] for one in lent if one in ids and ids[one] not in has]
        allowed = {names.network, *lent, *map(names.security_group, machine.groups)}
        excess = [one for one in has if one in mine and known.get(one) not in allowed]
        told = f"{CHANGE:<7} security groups of {SERVER} {machine.name}:"
        if missing:
            has += missing
            made.lines.insert(0, f"{told} + {listed(known[one] for one in missing)}")
            made.before.append({"id": port["id"], "name": machine.name, "groups": has})
        if excess:
            has = [one for one in has if one not in excess]
            made.lines.append(f"{told} - {listed(known.get(one, one) for one in excess)}")
            made.after.append({"id": port["id"], "name": machine.name, "groups": has})
