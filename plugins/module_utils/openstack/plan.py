# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan for a cloud: the description compared with what exists.

Resources are found by name and recognized by our mark. One that has the name without the mark
belongs to somebody else and stops the run. Nothing that holds data or an address is removed unless
the user names it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.openstack.addresses import (
    plan_addresses,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import (
    Machine,
    Names,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.keys import (
    fingerprint,
    with_keys,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.keys import (
    in_words as in_words_of_key,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.rules import (
    in_words,
    seen,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.servers import (
    plan_servers,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.steps import (
    ADDRESS,
    CHANGE,
    CREATE,
    KEYPAIR,
    NETWORK,
    REMOVE,
    REPLACE,
    ROUTER,
    SECURITY_GROUP,
    SERVER,
    SERVER_GROUP,
    SUBNET,
    VOLUME,
    Data,
    Plan,
    Settings,
    Step,
    flavor,
    has_mark,
    images,
    keypair,
    leads_out,
    listed,
    matching,
    own,
)

# What Nova takes, in base64.
USER_DATA_LIMIT = 65535


def plan(found: Sequence[Machine], names: Names, wanted: Settings, cloud: Data) -> Plan:
    """The whole plan. C(cloud) is what openstack_platform_info returns."""
    made, servers = Plan(), Plan()
    plan_servers(servers, found, names, wanted, cloud)
    for part in (_keypair, _network, _security_groups, _extra_groups, _server_group):
        part(made, found, names, wanted, cloud)
    _volumes(made, found, names, servers, cloud)
    plan_addresses(made, found, names, wanted, cloud, servers)
    made.steps += servers.steps
    made.left += servers.left
    made.faults += servers.faults
    made.blocked, made.kept, made.lent = servers.blocked, servers.kept, servers.lent
    made.faults += _missing(made, found, wanted, cloud)
    made.faults += _quotas(made, found, cloud)
    return made


def _keypair(made: Plan, _found: Any, names: Names, wanted: Settings, cloud: Data) -> None:
    there = keypair(names, cloud)
    mine = fingerprint(wanted.public_key)
    if not there:
        made.steps.append(Step(CREATE, KEYPAIR, names.keypair))
    elif fingerprint(there) != mine and mine not in map(fingerprint, wanted.public_keys):
        made.faults.append(
            f"the keypair {names.keypair} holds another key than openstack_public_key_file:"
            f" {in_words_of_key(there)}, expected {in_words_of_key(wanted.public_key)}. Servers get"
            " their keys when they are created. Name the file with that key; or, if both people"
            " work on this platform, let the one who has it add yours to openstack_public_keys and"
            " run this. If nobody has that key any more: openstack keypair delete"
            f" {names.keypair}"
        )


def _ours(things: Iterable[Data], name: str, mark: str, kind: str, made: Plan) -> Data | None:
    """The resource of this name that carries our mark."""
    there = [thing for thing in things if thing["name"] == name]
    marked = [thing for thing in there if has_mark(thing, mark)]
    if len(marked) > 1:
        ids = ", ".join(thing["id"] for thing in marked)
        made.faults.append(
            f"the {kind} {name} exists {len(marked)} times ({ids}); remove all but one"
        )
    elif there and not marked:
        made.faults.append(
            f"the {kind} {name} ({there[0]['id']}) is not ours: expected the description {mark}."
            " Rename it, or choose another openstack_platform"
        )
    return marked[0] if marked else None


def _network(
    made: Plan, found: Sequence[Machine], names: Names, want: Settings, cloud: Data
) -> None:
    if want.network:
        made.faults += _given_network(found, want, cloud)
        return
    network = _ours(own(cloud["networks"], cloud), names.network, names.mark, NETWORK, made)
    subnet = _ours(own(cloud["subnets"], cloud), names.network, names.mark, SUBNET, made)
    router = _ours(own(cloud["routers"], cloud), names.network, names.mark, ROUTER, made)
    if not network:
        made.steps.append(Step(CREATE, NETWORK, names.network))
    if not subnet:
        made.steps.append(Step(CREATE, SUBNET, names.network, want.cidr))
    else:
        if subnet["cidr"] != want.cidr:
            made.faults.append(
                f"openstack_cidr is {want.cidr}, but the subnet has {subnet['cidr']}, which cannot"
                " be changed. Set openstack_cidr back, or deprovision first"
            )
        if list(subnet["dns_nameservers"]) != list(want.nameservers):
            told = ", ".join(want.nameservers) or "of the cloud"
            made.steps.append(
                Step(CHANGE, SUBNET, names.network, f"name servers {told}", subnet["id"])
            )
    if not router:
        made.steps.append(Step(CREATE, ROUTER, names.network, f"to {want.external}"))
    elif not subnet or subnet["id"] not in router["subnets"]:
        made.steps.append(Step(CHANGE, ROUTER, names.network, "connect the subnet", router["id"]))


def _given_network(found: Sequence[Machine], want: Settings, cloud: Data) -> Iterator[str]:
    """Why machines cannot be on the network of somebody else."""
    there = matching(cloud["networks"], want.network)
    told = f"openstack_network is {want.network}"
    if not there:
        known = listed(one["name"] for one in cloud["networks"])
        yield f"{told}: the cloud has no network of that name or id. Its networks: {known}"
    if len(there) > 1:
        ids = ", ".join(one["id"] for one in there)
        yield f"{told}: the cloud has {len(there)} networks of that name. Give the id of one: {ids}"
    if len(there) != 1:
        return
    network = there[0]
    if not network["port_security"]:
        yield (
            f"{told}, whose port security is off: the cloud creates no server with security groups"
            " there, and would let everybody reach every port. Switch it on (openstack network set"
            f" --enable-port-security {network['id']}), or use another network"
        )
    if not network["subnets"]:
        yield f"{told}, which has no subnet, so machines would get no address. Create one"
    # Of a network of others, a tenant does not see the router.
    names = ", ".join(machine.name for machine in found if machine.floating_ip)
    of_ours = network["project_id"] == cloud["project_id"]
    if names and of_ours and not leads_out(network["id"], want.external, cloud):
        yield (
            f"{told}, which no router connects to {want.external}: {names} could get no"
            " floating address. Connect it (openstack router add subnet), use another network,"
            " or remove floating_ip"
        )


def _extra_groups(made: Plan, _found: Any, names: Names, wanted: Settings, cloud: Data) -> None:
    """Security groups of others, which have to exist."""
    for given in wanted.extra_groups:
        there = matching(cloud["security_groups"], given)
        known = listed(one["name"] for one in cloud["security_groups"])
        if not there:
            made.faults.append(
                f"openstack_extra_security_groups has {given}, which does not exist; the project"
                f" has {known}"
            )
        elif len(there) > 1:
            ids = ", ".join(one["id"] for one in there)
            made.faults.append(
                f"openstack_extra_security_groups has {given}, of which there are {len(there)}."
                f" Give the id of one: {ids}"
            )
        elif has_mark(there[0], names.mark):
            made.faults.append(
                f"openstack_extra_security_groups has {given}, which is one of the platform's own"
            )


def _security_groups(made: Plan, _found: Any, names: Names, wanted: Settings, cloud: Data) -> None:
    here = own(cloud["security_groups"], cloud)
    by_id = {group["id"]: group["name"] for group in here}
    for name, rules in wanted.rules.items():
        group = _ours(here, name, names.mark, SECURITY_GROUP, made)
        should = {seen(rule, by_id) for rule in rules}
        has = {seen(rule, by_id) for rule in group["rules"]} if group else set()
        if not group:
            told = "; ".join(in_words(rule) for rule in sorted(should) if rule[0] == "ingress")
            made.steps.append(Step(CREATE, SECURITY_GROUP, name, told or "nothing in"))
        elif should != has:
            words = [f"+ {in_words(rule)}" for rule in sorted(should - has)]
            words += [f"- {in_words(rule)}" for rule in sorted(has - should)]
            made.steps.append(Step(CHANGE, SECURITY_GROUP, name, "; ".join(words), group["id"]))
    for group in here:
        if group["description"] == names.mark and group["name"] not in wanted.rules:
            made.left.append(f"{SECURITY_GROUP} {group['name']}: no machine is in its group")


def _server_group(
    made: Plan, found: Sequence[Machine], names: Names, wanted: Settings, cloud: Data
) -> None:
    there = [one for one in cloud["server_groups"] if one["name"] == names.server_group]
    if not any(machine.in_swarm for machine in found):
        return
    if not there:
        made.steps.append(Step(CREATE, SERVER_GROUP, names.server_group, wanted.swarm_policy))
    elif there[0]["policy"] != wanted.swarm_policy:
        made.faults.append(
            f"openstack_swarm_policy is {wanted.swarm_policy}, but the server group has"
            f" {there[0]['policy']}, which cannot be changed. Set it back, or deprovision first"
        )


def _volumes(
    made: Plan, found: Sequence[Machine], names: Names, servers: Plan, cloud: Data
) -> None:
    """A volume is created, with its server, and never changed or removed here."""
    making = {step.name for step in servers.steps if step.do in (CREATE, REPLACE)}
    there = {one["name"]: one for one in cloud["volumes"]}
    for machine in found:
        name = names.volume(machine.name)
        volume = there.get(name)
        if machine.volume and not cloud["block_storage"]:
            made.faults.append(
                f"{machine.name} requires a volume of {machine.volume} GB, but the cloud has no"
                " block storage. Remove volume; the data is then on the server's own disk"
            )
        elif machine.volume and not volume and machine.name in making:
            made.steps.append(Step(CREATE, VOLUME, machine.name, f"{machine.volume} GB"))
        elif machine.volume and volume and volume["platform"] != names.platform:
            made.faults.append(f"the volume {name} ({volume['id']}) is not ours; rename it")
        elif machine.volume and volume and volume["size"] != machine.volume:
            made.faults.append(
                f"the volume of {machine.name} has {volume['size']} GB, expected"
                f" {machine.volume} GB. This role does not change volumes with data: extend it by"
                " hand (openstack volume set --size), or describe the size that it has"
            )
        elif not machine.volume and volume and volume["platform"] == names.platform:
            made.left.append(f"{VOLUME} {name} ({volume['size']} GB): no longer described")


def _missing(made: Plan, found: Sequence[Machine], wanted: Settings, cloud: Data) -> Iterator[str]:
    """What the cloud lacks for the servers and addresses to create."""
    making = {
        step.name for step in made.steps if step.kind == SERVER and step.do in (CREATE, REPLACE)
    }
    machines = [machine for machine in found if machine.name in making]
    for image in sorted({machine.image for machine in machines}):
        who = ", ".join(machine.name for machine in machines if machine.image == image)
        if not images(cloud, image):
            yield f"there is no image {image} for {who}; the cloud has {listed(cloud['images'])}"
    for given in sorted({machine.flavor for machine in machines}):
        who = ", ".join(machine.name for machine in machines if machine.flavor == given)
        size = cloud["flavors"].get(flavor(cloud, given))
        if not size:
            yield f"there is no flavor {given}; the cloud has {listed(cloud['flavors'])}"
        elif not size["disk"] and not all(
            machine.boot_volume for machine in machines if machine.flavor == given
        ):
            yield (
                f"the flavor {given} of {who} has no disk: machines of it boot from a volume. Set"
                " boot_from_volume to its size in GB, or choose another flavor"
            )
    booting = [machine.name for machine in machines if machine.boot_volume]
    if booting and not cloud["block_storage"]:
        yield (
            f"{', '.join(booting)} would boot from a volume, but the cloud has no block storage."
            " Remove boot_from_volume, and choose a flavor with a disk"
        )
    zones = cloud["zones"]
    for zone in sorted({machine.availability_zone for machine in machines} - {"", *zones}):
        if zones:
            yield f"there is no availability zone {zone}; the cloud has {listed(zones)}"
    for machine in machines:
        text = with_keys(wanted.user_data.get(machine.name, ""), wanted.public_keys)
        size = len(b64encode(text.encode()))
        if size > USER_DATA_LIMIT:
            yield (
                f"the user data of {machine.name} has {size} bytes in base64; the cloud takes"
                f" {USER_DATA_LIMIT}. Make what its first boot gets smaller, such as docker_ce_*"
            )
    outside = [step for step in made.steps if step.do == CREATE and step.kind in (ROUTER, ADDRESS)]
    external = [one for one in cloud["networks"] if one["external"]]
    if outside and len(matching(external, wanted.external)) != 1:
        yield (
            f"openstack_external_network is {wanted.external}; the external networks of the cloud:"
            f" {listed(one['name'] for one in external)}"
        )


def _quotas(made: Plan, found: Sequence[Machine], cloud: Data) -> Iterator[str]:
    """The plan's needs against the quotas. C(limits): name → used and limit, -1 for none."""
    if "instances" not in cloud["limits"] and any(step.do == CREATE for step in made.steps):
        made.left.append(
            "quotas: the cloud does not show them to this account, so nobody checks them"
        )
    flavors = cloud["flavors"]
    described = {machine.name: machine for machine in found}
    kinds = {
        NETWORK: "networks", SUBNET: "subnets", ROUTER: "routers", ADDRESS: "floating addresses",
        SECURITY_GROUP: "security groups", SERVER_GROUP: "server groups", KEYPAIR: "keypairs",
    }  # fmt: skip
    more = dict.fromkeys(("instances", "cores", "ram", *kinds.values()), 0)

    def count(given: str, sign: int) -> None:
        size = flavors.get(flavor(cloud, given), {"vcpus": 0, "ram": 0})
        more["cores"] += sign * size["vcpus"]
        more["ram"] += sign * size["ram"]
        more["instances"] += sign

    flavor_of = {one["id"]: one["flavor"] for one in cloud["servers"]}
    for step in made.steps:
        if step.kind == SERVER and step.do in (CREATE, REPLACE):
            count(described[step.name].flavor, 1)
        if step.kind == SERVER and step.do in (REMOVE, REPLACE):
            count(flavor_of[step.id], -1)
        if step.kind in kinds and step.do == CREATE:
            more[kinds[step.kind]] += 1
    for what, wanted in more.items():
        used, most = cloud["limits"].get(what, (0, -1))
        if wanted > 0 and 0 <= most < used + wanted:
            unit = " MB of RAM" if what == "ram" else f" {what}"
            yield (
                f"the quota is {most}{unit}, {used} are in use, and the plan needs {wanted} more."
                " Describe less, remove something, or ask the operator for more"
            )
