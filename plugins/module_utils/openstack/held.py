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
    GROUPS_MARK,
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
    ours,
    own,
    ports_of,
)

# What Neutron takes as a description.
DESCRIPTION_LIMIT = 255
GIVE_BACK = "floating_address.yml -e release=true"


@dataclass(frozen=True)
class Owned:
    """A floating address, and the machine that it belongs to, which may be described no more.

    C(holder): the machine that has it if it is held, by whatever name that machine goes now.
    """

    owner: str
    address: Data
    holder: str = ""

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
    C(after): ports that lose security groups. C(places): where which address is to be seen then.
    """

    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    before: list[dict[str, Any]] = field(default_factory=list)
    address: list[dict[str, Any]] = field(default_factory=list)
    after: list[dict[str, Any]] = field(default_factory=list)
    places: list[dict[str, str]] = field(default_factory=list)

    def as_data(self) -> dict[str, Any]:
        steps = len(self.before) + len(self.address) + len(self.after)
        return asdict(self) | {"steps": steps}


def held(found: Sequence[Machine], names: Names, cloud: Data) -> list[Owned]:
    """The addresses that this platform holds somewhere."""
    named = {machine.address: machine.name for machine in found if machine.address}
    at = {id_: one["name"] for one in ours(cloud["servers"], names) for id_ in ports_of(one, cloud)}
    held_here = []
    for one in own(cloud["floating_ips"], cloud):
        hold = hold_in(one["description"])
        if hold and hold.platform == names.platform:
            owner = named.get(one["address"]) or names.machine_of(one["description"])
            held_here.append(Owned(owner, one, at.get(one["port_id"]) or hold.machine))
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
    return [(one.owner, one.holder) for one in held_here]


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
    holders = {one.address["id"]: one for one in held(found, names, cloud)}
    if not chosen:
        made.lines.append(f"{'leave':<7} floating addresses: none is held")
    elif asked.release or asked.to == chosen.owner:
        _give_back(made, asked, chosen, places)
        holders.pop(chosen.address["id"], None)
    else:
        _move(made, asked, chosen, places)
        holders[chosen.address["id"]] = Owned(chosen.owner, chosen.address, asked.to)
    if not made.faults:
        # What a machine that is no longer described had lent is unknown.
        if not chosen or chosen.owner in places.machines:
            _groups(made, found, places, list(holders.values()))
        meant = [chosen] if chosen else _known(found, names, cloud)
        made.places = list(_seen_at(made, meant, places))
    return made


def _seen_at(made: Move, meant: Sequence[Owned], places: _Places) -> Iterator[dict[str, str]]:
    """Where addresses are when the plan is carried out, also if an earlier run moved them."""
    ports = {one["id"]: one["attributes"].get("port_id") for one in made.address}
    for one in meant:
        port = ports.get(one.address["id"]) or one.address["port_id"]
        name = next((name for name, its in places.ports.items() if its["id"] == port), "")
        if name:
            yield {"address": one.address["address"], "at": name}


def _no_network(net: str, names: Names, network: str, external: str, cloud: Data) -> Iterator[str]:
    """Why no machine could have a floating address."""
    if not net:
        yield (
            f"the network {network or names.network} of the platform does not exist, or there are"
            " several. Run provision.yml first"
        )
        return
    (there,) = (one for one in cloud["networks"] if one["id"] == net)
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
        meant = meant or [
            Owned(names.machine_of(one["description"]), one)
            for one in own(cloud["floating_ips"], cloud)
            if has_mark(one, names.mark) and one["address"] == asked.of
        ]
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
    elif meant and (whose := foreign(meant[0], names, cloud)):
        made.faults.append(
            f"{meant[0].address['address']} is attached to {whose}, which is not the platform's."
            " Detach it there first"
        )
    return meant[0] if len(meant) == 1 else None


def _known(found: Sequence[Machine], names: Names, cloud: Data) -> list[Owned]:
    """The addresses of the described machines, and those that are held."""
    known = held(found, names, cloud)
    away = {one.address["id"] for one in known}
    mine = [one for one in own(cloud["floating_ips"], cloud) if one["id"] not in away]
    described = {machine.name for machine in found}
    for machine in found:
        if not machine.floating_ip or machine.name in {one.owner for one in known}:
            continue
        servers = [one for one in ours(cloud["servers"], names) if one["name"] == machine.name]
        ports = [port for one in servers for port in ports_of(one, cloud)]
        there = []
        for one in mine:
            marked = names.machine_of(one["description"]) if has_mark(one, names.mark) else ""
            # A machine that was renamed keeps the address that is marked with its old name.
            kept = marked and marked not in described and one["port_id"] in ports
            if machine.address:
                its = one["address"] == machine.address
            else:
                its = bool(kept) or marked == machine.name
            if its:
                there.append(one)
        # Of several, the one that is attached serves.
        there.sort(key=lambda one: (one["port_id"] not in ports, not one["port_id"], one["id"]))
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


def foreign(meant: Owned, names: Names, cloud: Data) -> str:
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
    address, to, names = chosen.address, asked.to, places.names
    owner = places.machines.get(chosen.owner)
    if why := places.refuses(to, address):
        made.faults.append(_refused(to, why, chosen, places))
        return
    before = chosen.hold
    stays = before and before.machine == to
    hold = before if before and stays else Hold(names.platform, to, asked.now)
    text = address["description"]
    if has_mark(address, names.mark) and owner and not owner.address:
        # A machine that was renamed would not get it back by its old name.
        text = names.address_mark(owner.name)
    text = with_hold(text, hold)
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
        made.address.append(_update(address, port["id"], text))
    if owner and (missing := [g for g in owner.groups if g not in places.machines[to].groups]):
        made.lines.append(
            f"{'note':<7} {SERVER} {to}: it is not in {', '.join(missing)}; what clients of"
            f" {chosen.owner} ask for has to be served by something else there"
        )


def _refused(to: str, why: str, chosen: Owned, places: _Places) -> str:
    """That a machine cannot take an address, and which ones can."""
    can = [
        name
        for name in places.machines
        if name != chosen.owner and not places.refuses(name, chosen.address)
    ]
    return f"to is {to}, which {why}. Machines that can take it: {listed(can)}"


def _give_back(made: Move, asked: Asked, chosen: Owned, places: _Places) -> None:
    """To its own machine. Until that can have it, it stays held where it serves."""
    address, owner = chosen.address, chosen.owner
    why, at = places.refuses(owner, address), places.at(address)
    text = without_hold(address["description"])
    if asked.release and not chosen.hold:
        made.lines.append(f"{'leave':<7} {chosen.words}: it is not held")
    elif asked.release and owner not in places.machines:
        made.lines.append(
            f"{CHANGE:<7} {chosen.words}: no longer held, stays at {at}, because"
            f" {owner or 'its machine'} is no longer described"
        )
        made.address.append(_update(address, address["port_id"], text))
    elif asked.release and why:
        made.faults.append(
            f"the {chosen.words} cannot go back yet: {owner} {why}. It stays held at"
            f" {chosen.holder}. Release it again when {owner} can take it"
        )
    elif why:
        made.faults.append(_refused(asked.to, why, chosen, places))
    elif address["port_id"] != places.ports[owner]["id"]:
        made.lines.append(f"{CHANGE:<7} {chosen.words}: from {at} back to {owner}")
        made.address.append(_update(address, places.ports[owner]["id"], text))
    elif chosen.hold:
        made.lines.append(f"{CHANGE:<7} {chosen.words}: no longer held, is at {owner} already")
        made.address.append(_update(address, address["port_id"], text))
    else:
        made.lines.append(f"{'leave':<7} {chosen.words}: it is at {owner}, and not held")


def _update(address: Data, port: str | None, text: str) -> dict[str, Any]:
    """A request. The port is left out where it stays, as none would arrive as an empty string."""
    attributes = {"id": address["id"], "description": text}
    moved = port != address["port_id"]
    if moved:
        attributes["port_id"] = str(port)
    return {
        "id": address["id"],
        "address": address["address"],
        "moved": moved,
        "attributes": attributes,
    }


def _groups(
    made: Move, found: Sequence[Machine], places: _Places, held_then: Sequence[Owned]
) -> None:
    """The security groups of a machine that holds an address, and of those that no longer do.

    Only what a hold adds: groups of a machine that has an address, at one to which provision.yml
    has not given them. All else is up to provision.yml.
    """
    names, cloud = places.names, places.cloud
    ids = {
        one["name"]: one["id"]
        for one in own(cloud["security_groups"], cloud)
        if has_mark(one, names.mark)
    }
    known = {id_: name for name, id_ in ids.items()}
    owners = {one.owner for one in held(found, names, cloud)}
    lendable = {
        names.security_group(group)
        for machine in found
        if machine.floating_ip or machine.name in owners
        for group in machine.groups
    }
    for machine in found:
        port = places.ports.get(machine.name)
        if not port or not port["port_security"]:
            continue
        has = list(port["security_group_ids"])
        lent = lent_groups(machine.name, found, names, holders_of(held_then))
        missing = [ids[one] for one in lent if one in ids and ids[one] not in has]
        given = places.servers[machine.name][0]["metadata"].get(GROUPS_MARK, "").split(",")
        allowed = {*lent, *map(names.security_group, (*machine.groups, *given))}
        excess = [one for one in has if known.get(one) in lendable - allowed]
        told = f"{CHANGE:<7} security groups of {SERVER} {machine.name}:"
        if missing:
            has += missing
            made.lines.insert(0, f"{told} + {listed(known[one] for one in missing)}")
            made.before.append({"id": port["id"], "name": machine.name, "groups": has})
        if excess:
            has = [one for one in has if one not in excess]
            made.lines.append(f"{told} - {listed(known[one] for one in excess)}")
            made.after.append({"id": port["id"], "name": machine.name, "groups": has})
