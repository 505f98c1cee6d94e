# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The floating addresses of a plan.

An address outlives its server. One that somebody has attached by hand is used as it is, and neither
marked nor released. One that is held at another machine stays there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import (
    Machine,
    Names,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.held import (
    GIVE_BACK,
    Owned,
    foreign,
    held,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.steps import (
    ADDRESS,
    CHANGE,
    CREATE,
    RELEASE,
    REMOVE,
    REPLACE,
    Data,
    Plan,
    Settings,
    Step,
    attached,
    has_mark,
    listed,
    network_id,
    ours,
    own,
    ports_of,
    surplus,
)


def plan_addresses(
    made: Plan,
    found: Sequence[Machine],
    names: Names,
    wanted: Settings,
    cloud: Data,
    servers: Plan,
) -> None:
    """C(servers) is their part of the plan: one that is replaced gives its address to the new."""
    marked = _marked(names, cloud)
    network = network_id(names, wanted.network, cloud)
    replaced = {step.name for step in servers.steps if step.do == REPLACE}
    there = {one["name"]: one for one in cloud["servers"] if _ours_soon(one, names, servers)}
    # A machine that was renamed keeps the address that is marked with its old name.
    used = {
        one["id"]
        for machine in found
        if machine.floating_ip and machine.name in there
        for one in attached(there[machine.name], cloud)
    }
    away = held(found, names, cloud)
    _held(made, found, names, away, network, there, cloud, servers)
    owners = {one.owner for one in away}
    holders = {one.holder for one in away}
    for machine in found:
        if not machine.floating_ip or machine.name in {*servers.blocked, *owners}:
            continue
        if machine.name in holders:
            made.left.append(
                f"{ADDRESS} {machine.name}: it holds that of another machine, and gets one of its"
                " own when that is given back"
            )
            continue
        server = there.get(machine.name)
        has = attached(server, cloud) if server else []
        mark = names.address_mark(machine.name)
        free = [one for one in marked if one["description"] == mark and one["id"] not in used]
        if (
            server
            and not has
            and machine.name not in replaced
            and _elsewhere(server, network, cloud)
        ):
            made.faults.append(
                f"{machine.name} has floating_ip, but is not on the network of the platform"
                f" ({', '.join(server['networks'])} instead). Remove floating_ip, or attach an"
                " address by hand"
            )
        elif machine.address:
            _given(made, machine, names, server, has, cloud, machine.name in replaced)
        elif has and machine.name in replaced and has[0]["description"] != mark:
            # Without its mark, a run after one that was cut off would not know whose it was.
            other = names.machine_of(has[0]["description"])
            whose = f"marked as that of {other}" if other else "not the platform's"
            made.faults.append(
                f"{machine.name} has {has[0]['address']}, which is {whose}; to keep it while the"
                f" machine is replaced, describe it: floating_ip: {has[0]['address']}"
            )
        elif has and machine.name in replaced:
            made.steps.append(Step(CHANGE, ADDRESS, machine.name, "attach", has[0]["id"]))
        elif has:
            made.left += [
                f"{ADDRESS} {machine.name} ({one['address']}): the machine already has"
                f" {has[0]['address']}; release it if nobody needs it"
                for one in free
            ]
        elif free:
            made.steps.append(Step(CHANGE, ADDRESS, machine.name, "attach", free[0]["id"]))
        else:
            made.steps.append(Step(CREATE, ADDRESS, machine.name, f"from {wanted.external}"))
    # Those that the description names are wanted, whatever their marks say.
    given = {machine.address for machine in found if machine.address}
    allocated = {machine.name for machine in found if machine.floating_ip and not machine.address}
    for address in marked:
        name = names.machine_of(address["description"])
        if address["id"] in {one.address["id"] for one in away}:
            continue
        # A server that cannot be removed keeps its address.
        if name in allocated or name in servers.blocked or address["address"] in given:
            continue
        if address["id"] not in used:
            surplus(made, ADDRESS, name, address["id"], address["address"], wanted)


def _held(
    made: Plan,
    found: Sequence[Machine],
    names: Names,
    away: Sequence[Owned],
    network: str,
    there: Mapping[str, Data],
    cloud: Data,
    servers: Plan,
) -> None:
    """Addresses that are held: they stay, and a new machine of the same name gets them again."""
    described = {machine.name for machine in found}
    new = {step.name for step in servers.steps if step.do in (CREATE, REPLACE)}
    going = {step.name for step in servers.steps if step.do in (REMOVE, RELEASE)}
    for one in away:
        if not one.hold:
            continue
        holder, told = one.holder, f"held since {one.hold.since}"
        id_, again = one.address["id"], f"attach that of {one.owner}, {told}"
        server = there.get(holder)
        at = f"{one.words}: held at {holder} since {one.hold.since}"
        if one.owner not in described:
            at += f", {one.owner or 'its machine'} is no longer described"
        if holder in going:
            made.faults.append(
                f"confirm_remove names {holder}, which holds the {one.words}. Give that back"
                f" ({GIVE_BACK}) or move it to another machine first"
            )
        elif (
            holder not in new
            and server
            and (one.address["port_id"] in ports_of(server, cloud) or holder in servers.blocked)
        ):
            made.held.append(f"{at}; to give it back: {GIVE_BACK}")
        elif holder in new or (
            server and holder in described and not _elsewhere(server, network, cloud)
        ):
            others = attached(server, cloud) if server and holder not in new else []
            if whose := foreign(one, names, cloud):
                made.faults.append(
                    f"the {at}, but is attached to {whose}, which is not the platform's. Detach it"
                    " there first"
                )
                continue
            if others:
                made.faults.append(
                    f"the {at}, which has {listed(other['address'] for other in others)}, and can"
                    f" have only one. Detach that first, or give the other one back: {GIVE_BACK}"
                )
                continue
            made.steps.append(Step(CHANGE, ADDRESS, holder, again, id_))
        else:
            made.held.append(
                f"{at}, which does not have it: nobody is served there. To give it back:"
                f" {GIVE_BACK}"
            )


def _elsewhere(server: Data, network: str, cloud: Data) -> bool:
    """Whether a server is on other networks only, as one that was made by hand may be."""
    on = {port["network_id"] for port in cloud["ports"] if port["device_id"] == server["id"]}
    return bool(on) and network not in on


def _ours_soon(server: Data, names: Names, servers: Plan) -> bool:
    """Whether a server is ours, or will be after this plan."""
    return bool(ours([server], names)) or server["id"] in {step.id for step in servers.steps}


def _given(
    made: Plan,
    machine: Machine,
    names: Names,
    server: Data | None,
    has: Sequence[Data],
    cloud: Data,
    replaced: bool,
) -> None:
    """An address that the description names. It is the project's, and stays so."""
    mine = {one["address"]: one for one in own(cloud["floating_ips"], cloud)}
    address = mine.get(machine.address)
    told = f"{machine.name} has the floating_ip {machine.address}"
    others = [one["address"] for one in has if one is not address]
    if address and has_mark(address, names.mark):
        made.left.append(
            f"{ADDRESS} {machine.name} ({machine.address}): it is the platform's and is released"
            f" with it; to keep it: openstack floating ip set --description '' {address['id']}"
        )
    if not address:
        made.faults.append(
            f"{told}, which is not allocated to the project; its addresses: {listed(mine)}. Set it"
            " to one of them, or to true to allocate one"
        )
    elif address in has and not replaced:
        return
    elif address["port_id"] and address not in has:
        made.faults.append(
            f"{told}, which is attached to {_holder(address, cloud)}; detach it first"
        )
    elif others and not replaced:
        made.faults.append(f"{told}, but has {listed(others)}; detach that first, or describe it")
    else:
        made.steps.append(Step(CHANGE, ADDRESS, machine.name, "attach", address["id"]))


def _holder(address: Data, cloud: Data) -> str:
    """What an address is attached to, for people."""
    devices = {port["id"]: port["device_id"] for port in cloud["ports"]}
    device = devices.get(address["port_id"])
    servers = {one["id"]: one["name"] for one in cloud["servers"]}
    return str(servers.get(device) or f"the port {address['port_id']}")


def _marked(names: Names, cloud: Data) -> list[Data]:
    """Our floating addresses by their marks, those of one mark that are not attached first."""
    found = [one for one in own(cloud["floating_ips"], cloud) if has_mark(one, names.mark)]
    return sorted(found, key=lambda one: (one["description"], bool(one["port_id"]), one["id"]))


def unseen(found: Sequence[Machine], names: Names, cloud: Data) -> list[str]:
    """Servers that do not show their attached floating address: Nova learns of it later."""
    return list(_unseen(found, names, cloud))


def _unseen(found: Sequence[Machine], names: Names, cloud: Data) -> Iterator[str]:
    servers = {one["name"]: one for one in ours(cloud["servers"], names)}
    holders = {one.holder for one in held(found, names, cloud)}
    for machine in found:
        server = servers.get(machine.name)
        if (machine.floating_ip or machine.name in holders) and server:
            has = attached(server, cloud)
            if any(one["address"] not in server["addresses"] for one in has):
                yield machine.name
