# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What exists of a platform in a cloud, and what its removal takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import (
    ADOPTED_MARK,
    GROUPS_MARK,
    MARK,
    Names,
    hold_in,
    without_hold,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.steps import (
    ADDRESS,
    KEYPAIR,
    NETWORK,
    RELEASE,
    REMOVE,
    ROUTER,
    SECURITY_GROUP,
    SERVER,
    SERVER_GROUP,
    SUBNET,
    VOLUME,
    Data,
    Plan,
    Step,
    has_mark,
    is_adopted,
    our_groups,
    ours,
    own,
    stays,
)

# Owners of ports that Neutron creates on a network itself, and deletes with it.
NEUTRON = frozenset({"network:dhcp", "network:distributed", "network:floatingip_agent_gateway"})


def inventory_of(names: Names, cloud: Data) -> list[str]:
    """The resources of the platform, for people."""
    return [f"{step.kind} {step.name}" + (f" ({step.why})" if step.why else "")
            for step in existing(names, cloud)]  # fmt: skip


def existing(names: Names, cloud: Data) -> list[Step]:
    """All resources that carry our mark, in the order in which they can be removed."""

    def marked(things: Iterable[Data]) -> list[Data]:
        return [one for one in own(things, cloud) if has_mark(one, names.mark)]

    found = [
        Step(RELEASE, SERVER, one["name"], "made by hand, so it stays", one["id"])
        if is_adopted(one)
        else Step(REMOVE, SERVER, one["name"], one["status"], one["id"])
        for one in ours(cloud["servers"], names)
    ]
    found += [
        Step(REMOVE, ADDRESS, names.machine_of(one["description"]), one["address"], one["id"])
        for one in marked(cloud["floating_ips"])
    ]
    # One that the description names is the project's and stays; our hold on it goes.
    found += [
        Step(RELEASE, ADDRESS, hold.machine, f"{one['address']}, held there; it stays", one["id"])
        for one in own(cloud["floating_ips"], cloud)
        if (hold := hold_in(one["description"]))
        and hold.platform == names.platform
        and not has_mark(one, names.mark)
    ]
    found += [
        Step(REMOVE, SERVER_GROUP, one["name"], id=one["id"])
        for one in cloud["server_groups"]
        if one["name"] == names.server_group
    ]
    for kind, things in (
        (ROUTER, cloud["routers"]), (SUBNET, cloud["subnets"]), (NETWORK, cloud["networks"]),
        (SECURITY_GROUP, cloud["security_groups"]),
    ):  # fmt: skip
        found += [Step(REMOVE, kind, one["name"], id=one["id"]) for one in marked(things)]
    found += [
        Step(REMOVE, KEYPAIR, one["name"])
        for one in cloud["keypairs"]
        if one["name"] == names.keypair
    ]
    found += [
        Step(REMOVE, VOLUME, one["name"], f"{one['size']} GB", one["id"])
        for one in cloud["volumes"]
        if one["platform"] == names.platform
    ]
    return found


def removal(names: Names, cloud: Data, volumes: bool) -> Plan:
    """The removal of the whole platform, and what prevents it."""
    made = Plan()
    for step in existing(names, cloud):
        if step.kind == VOLUME and not volumes:
            made.left.append(
                f"{VOLUME} {step.name} ({step.why}): -e remove_volumes=true removes it"
            )
        else:
            made.steps.append(step)
    servers = {step.id for step in made.steps if step.kind == SERVER and step.do == REMOVE}
    released = {step.id for step in made.steps if step.kind == SERVER and step.do == RELEASE}
    routers = {step.id for step in made.steps if step.kind == ROUTER}
    networks = {step.id: step.name for step in made.steps if step.kind == NETWORK}
    groups = {step.id: step.name for step in made.steps if step.kind == SECURITY_GROUP}
    for server in cloud["servers"]:
        if server["id"] in servers | released and (why := stays(server)):
            made.faults.append(f"the server {server['name']} {why}")
    for port in cloud["ports"]:
        if port["device_id"] in servers | routers or port["device_owner"] in NEUTRON:
            continue
        what = f"port {port['name'] or port['id']}"
        if port["device_id"]:
            what += f" of {port['device_owner']} {port['device_id']}"
        if port["network_id"] in networks:
            made.faults.append(f"the {what} is on the network {networks[port['network_id']]}")
        elif port["device_id"] not in released:
            made.faults += [
                f"the {what} uses the security group {groups[group]}"
                for group in port["security_group_ids"]
                if group in groups
            ]
    return made


def freed(made: Plan, names: Names, cloud: Data) -> dict[str, list[dict[str, Any]]]:
    """What a release changes: C(servers) and the marks that go, C(ports) and what stays.

    Also C(addresses), whose descriptions no longer say that they are held.
    """
    released = {step.id for step in made.steps if step.do == RELEASE}
    mine = our_groups(names, cloud)
    marks = (MARK, GROUPS_MARK, ADOPTED_MARK)
    return {
        "servers": [
            {"id": one["id"], "name": one["name"], "metadata": dict.fromkeys(marks, "")}
            for one in cloud["servers"]
            if one["id"] in released
        ],
        "ports": [
            {
                "id": port["id"],
                "groups": [one for one in port["security_group_ids"] if one not in mine],
            }
            for port in cloud["ports"]
            if port["device_id"] in released and mine & {*port["security_group_ids"]}
        ],
        "addresses": [
            {
                "id": one["id"],
                "name": one["address"],
                "description": without_hold(one["description"]),
            }
            for one in cloud["floating_ips"]
            if one["id"] in released
        ],
    }
