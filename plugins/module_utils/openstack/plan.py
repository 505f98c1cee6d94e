# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done in a cloud: the description compared with what is there.

Things are found by their names and recognized by our mark. What has the name without the mark is
somebody else's, and stops the run. Nothing that holds data or an address goes without being named
by the user.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import (
    DISK_MARK,
    GROUPS_MARK,
    IMAGE_MARK,
    MARK,
    USER_DATA_MARK,
    Machine,
    Names,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.rules import (
    in_words,
    seen,
)

Data = Mapping[str, Any]
CREATE, CHANGE, START, REPLACE, REMOVE = "create", "change", "start", "replace", "remove"
KEYPAIR, NETWORK, SUBNET, ROUTER = "keypair", "network", "subnet", "router"
SECURITY_GROUP, SERVER_GROUP, VOLUME = "security group", "server group", "volume"
SERVER, ADDRESS = "server", "floating address"
KINDS = (
    KEYPAIR, NETWORK, SUBNET, ROUTER, SECURITY_GROUP, SERVER_GROUP, VOLUME, SERVER, ADDRESS,
)  # fmt: skip
# Owners of the ports that Neutron itself has on a network, and deletes with it.
NEUTRON = frozenset({"network:dhcp", "network:distributed", "network:floatingip_agent_gateway"})


@dataclass(frozen=True)
class Step:
    """One thing, and what is done to it. C(id) is the cloud's, empty before it is made."""

    do: str
    kind: str
    name: str
    why: str = ""
    id: str = ""


@dataclass(frozen=True)
class Settings:
    """What is wanted beside the machines. C(network): an existing one; empty: one of ours.

    C(disk): where a machine's volume appears, and the directory that it holds.
    """

    network: str
    cidr: str
    external: str
    nameservers: Sequence[str]
    public_key: str
    swarm_policy: str
    rules: Mapping[str, Sequence[Data]]
    user_data: Mapping[str, str]
    disk: str
    confirm_replace: Sequence[str] = ()
    confirm_remove: Sequence[str] = ()


@dataclass
class Plan:
    """Steps in their order; what stays although described otherwise; why nothing may be begun."""

    steps: list[Step] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def digest(user_data: str) -> str:
    """What a server keeps of its user data; the cloud does not show it to tenants."""
    return hashlib.sha256(user_data.encode()).hexdigest()[:32] if user_data else "none"


def user_data(docker: str, volume: bool, device: str, mount: str) -> str:
    """What a machine does at its first boot: Docker's part as it is, a disk's part, or both."""
    if not volume:
        return docker
    disk = {
        "fs_setup": [{"device": device, "filesystem": "ext4", "overwrite": False}],
        # A machine whose disk is missing shall boot, so that somebody can look.
        "mounts": [[device, mount, "ext4", "defaults,nofail", "0", "2"]],
    }
    return (
        docker.rstrip("\n")
        + "\n" * bool(docker)
        + ("" if docker else "#cloud-config\n")
        + "".join(f"{key}: {json.dumps(value)}\n" for key, value in disk.items())
    )


def group_mark(machine: Machine) -> dict[str, str]:
    """The mark that may change while a server runs; the others tell what it was made from."""
    return {GROUPS_MARK: ",".join(machine.groups)}


def metadata(machine: Machine, names: Names, text: str, disk: str) -> dict[str, str]:
    """The marks of a new server."""
    return group_mark(machine) | {
        MARK: names.platform,
        IMAGE_MARK: machine.image,
        USER_DATA_MARK: digest(text),
        DISK_MARK: disk if machine.volume else "none",
    }


def security_groups(machine: Machine, names: Names) -> list[str]:
    """Security groups of a machine: the one that all have, and those of its groups."""
    return [names.network, *(names.security_group(group) for group in machine.groups)]


def plan(found: Sequence[Machine], names: Names, wanted: Settings, cloud: Data) -> Plan:
    """Compare. C(cloud) is what openstack_platform_info returns."""
    made, servers = Plan(), Plan()
    _servers(servers, found, names, wanted, cloud)
    replaced = {step.name for step in servers.steps if step.do == REPLACE}
    for part in (_keypair, _network, _security_groups, _server_group, _volumes):
        part(made, found, names, wanted, cloud)
    _addresses(made, found, names, wanted, cloud, replaced)
    made.steps += servers.steps
    made.left += servers.left
    made.faults += servers.faults
    made.faults += _missing(made, found, wanted, cloud)
    made.faults += _quotas(made, found, cloud)
    return made


def _keypair(made: Plan, _found: Any, names: Names, wanted: Settings, cloud: Data) -> None:
    there = [key for key in cloud["keypairs"] if key["name"] == names.keypair]
    if not there:
        made.steps.append(Step(CREATE, KEYPAIR, names.keypair))
    elif there[0]["public_key"].split()[:2] != wanted.public_key.split()[:2]:
        made.faults.append(
            f"the keypair {names.keypair} holds another key than openstack_public_key_file."
            " Machines get a key when they are made: give the file whose key they have, or remove"
            " the keypair and replace the machines"
        )


def _ours(things: Iterable[Data], name: str, mark: str, kind: str, made: Plan) -> Data | None:
    """The one of this name that carries our mark."""
    there = [thing for thing in things if thing["name"] == name]
    marked = [thing for thing in there if has_mark(thing, mark)]
    if len(marked) > 1:
        ids = ", ".join(thing["id"] for thing in marked)
        made.faults.append(
            f"there are {len(marked)} of the {kind} {name} ({ids}); remove all but one"
        )
    elif there and not marked:
        made.faults.append(
            f"the {kind} {name} ({there[0]['id']}) is not ours: its description is not {mark}."
            " Rename it, or choose another openstack_platform"
        )
    return marked[0] if marked else None


def has_mark(thing: Data, mark: str) -> bool:
    """Whether a thing with a description is ours; behind the mark may stand more."""
    return bool(thing["description"].split()[:1] == [mark])


def _own(things: Iterable[Data], cloud: Data) -> list[Data]:
    """Those of our project: others may show us theirs."""
    return [thing for thing in things if thing["project_id"] == cloud["project_id"]]


def _network(
    made: Plan, found: Sequence[Machine], names: Names, want: Settings, cloud: Data
) -> None:
    if want.network:
        known = [one["name"] for one in cloud["networks"]]
        if known.count(want.network) != 1:
            made.faults.append(
                f"openstack_network is {want.network}, of which the cloud has"
                f" {known.count(want.network) or 'none'}; it has {_listed(known)}"
            )
        return
    network = _ours(_own(cloud["networks"], cloud), names.network, names.mark, NETWORK, made)
    subnet = _ours(_own(cloud["subnets"], cloud), names.network, names.mark, SUBNET, made)
    router = _ours(_own(cloud["routers"], cloud), names.network, names.mark, ROUTER, made)
    if not network:
        made.steps.append(Step(CREATE, NETWORK, names.network))
    if not subnet:
        made.steps.append(Step(CREATE, SUBNET, names.network, want.cidr))
    else:
        if subnet["cidr"] != want.cidr:
            made.faults.append(
                f"openstack_cidr is {want.cidr}, but the subnet has {subnet['cidr']}; a subnet"
                " keeps its addresses. Set openstack_cidr back, or deprovision first"
            )
        if list(subnet["dns_nameservers"]) != list(want.nameservers):
            told = ", ".join(want.nameservers) or "the cloud's own"
            made.steps.append(
                Step(CHANGE, SUBNET, names.network, f"name servers {told}", subnet["id"])
            )
    if not router:
        made.steps.append(Step(CREATE, ROUTER, names.network, f"to {want.external}"))
    elif not subnet or subnet["id"] not in router["subnets"]:
        made.steps.append(
            Step(CHANGE, ROUTER, names.network, "the subnet is missing", router["id"])
        )


def _security_groups(made: Plan, _found: Any, names: Names, wanted: Settings, cloud: Data) -> None:
    here = _own(cloud["security_groups"], cloud)
    by_id = {group["id"]: group["name"] for group in here}
    for name, rules in wanted.rules.items():
        group = _ours(here, name, names.mark, SECURITY_GROUP, made)
        should = {seen(rule, by_id) for rule in rules}
        has = {seen(rule, by_id) for rule in group["rules"]} if group else set()
        if not group:
            told = "; ".join(in_words(rule) for rule in sorted(should) if rule[0] == "ingress")
            made.steps.append(Step(CREATE, SECURITY_GROUP, name, told or "nothing may come in"))
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
            f"openstack_swarm_policy is {wanted.swarm_policy}, but the server group was made with"
            f" {there[0]['policy']}, and keeps it. Set it back, or deprovision first"
        )


def _addresses(
    made: Plan,
    found: Sequence[Machine],
    names: Names,
    wanted: Settings,
    cloud: Data,
    replaced: Container[str],
) -> None:
    """An address outlives its machine: where that is C(replaced), it is attached to the new one."""
    held = _held(names, cloud)
    servers = {one["name"]: one for one in ours(cloud["servers"], names)}
    described = {machine.name: machine for machine in found}
    for machine in found:
        if not machine.floating_ip:
            continue
        address = held.get(names.address_mark(machine.name))
        if not address:
            made.steps.append(Step(CREATE, ADDRESS, machine.name, f"from {wanted.external}"))
        elif (
            machine.name not in servers
            or machine.name in replaced
            or not _attached(address, servers[machine.name], cloud)
        ):
            made.steps.append(
                Step(CHANGE, ADDRESS, machine.name, "is to be attached", address["id"])
            )
    for mark, address in sorted(held.items()):
        name = names.machine_of(mark)
        if name in described and described[name].floating_ip:
            continue
        _surplus(made, ADDRESS, name, address["id"], address["address"], wanted)


def _held(names: Names, cloud: Data) -> dict[str, Data]:
    """Our floating addresses by their marks."""
    return {
        one["description"]: one
        for one in _own(cloud["floating_ips"], cloud)
        if has_mark(one, names.mark)
    }


def _attached(address: Data, server: Data, cloud: Data) -> bool:
    """Whether a floating address leads to a server, as Neutron sees it."""
    return any(
        port["id"] == address["port_id"] and port["device_id"] == server["id"]
        for port in cloud["ports"]
    )


def unseen(found: Sequence[Machine], names: Names, cloud: Data) -> list[str]:
    """Machines that do not show their floating address yet: Nova learns of it after Neutron."""
    held = _held(names, cloud)
    servers = {one["name"]: one for one in ours(cloud["servers"], names)}
    return [
        machine.name
        for machine in found
        if (address := held.get(names.address_mark(machine.name)))
        and (server := servers.get(machine.name))
        and _attached(address, server, cloud)
        and address["address"] not in server["addresses"]
    ]


def _surplus(made: Plan, kind: str, name: str, id_: str, what: str, wanted: Settings) -> None:
    """Something of ours that is described no more."""
    if name in wanted.confirm_remove:
        made.steps.append(Step(REMOVE, kind, name, what, id_))
    else:
        made.left.append(
            f"{kind} {name} ({what}): no longer described; -e confirm_remove={name} removes it"
        )


def _volumes(made: Plan, found: Sequence[Machine], names: Names, _wanted: Any, cloud: Data) -> None:
    """A volume is made or grows. It is never made smaller and never removed here."""
    there = {one["name"]: one for one in cloud["volumes"]}
    for machine in found:
        name = names.volume(machine.name)
        volume = there.get(name)
        if machine.volume and not cloud["block_storage"]:
            made.faults.append(
                f"{machine.name} wants a volume of {machine.volume} GB, but the cloud has no block"
                " storage. Take volume out; the data is then on the server's own disk"
            )
        elif machine.volume and not volume:
            made.steps.append(Step(CREATE, VOLUME, machine.name, f"{machine.volume} GB"))
        elif machine.volume and volume and volume["platform"] != names.platform:
            made.faults.append(f"the volume {name} ({volume['id']}) is not ours; rename it")
        elif machine.volume and volume and volume["size"] != machine.volume:
            made.faults.append(
                f"the volume of {machine.name} has {volume['size']} GB, described are"
                f" {machine.volume}. This role changes no volume that holds data: extend it by hand"
                " (openstack volume set --size), or describe what it has"
            )
        elif not machine.volume and volume and volume["platform"] == names.platform:
            made.left.append(f"{VOLUME} {name} ({volume['size']} GB): no longer described")


def ours(servers: Iterable[Data], names: Names) -> list[Data]:
    """The servers that carry our mark."""
    return [one for one in servers if one["metadata"].get(MARK) == names.platform]


def _servers(
    made: Plan, found: Sequence[Machine], names: Names, wanted: Settings, cloud: Data
) -> None:
    marked = ours(cloud["servers"], names)
    unconfirmed = []
    for machine in found:
        mine = [one for one in marked if one["name"] == machine.name]
        foreign = [
            one for one in cloud["servers"] if one["name"] == machine.name and one not in marked
        ]
        if len(mine) > 1 or foreign:
            ids = ", ".join(one["id"] for one in mine + foreign)
            reason = (
                f"is not ours ({ids}); rename it, or describe another name"
                if foreign
                else f"is there {len(mine)} times ({ids}); remove all but one"
            )
            made.faults.append(f"the server {machine.name} {reason}")
            continue
        if not mine:
            made.steps.append(
                Step(CREATE, SERVER, machine.name, f"{machine.image}, {machine.flavor}")
            )
            continue
        server = mine[0]
        reasons = list(_reasons(machine, names, wanted, server, cloud))
        other_boot = _other_boot(machine, wanted, server)
        if other_boot and (reasons or machine.name in wanted.confirm_replace):
            reasons.append("other user data")
        if reasons:
            step = Step(REPLACE, SERVER, machine.name, "; ".join(reasons), server["id"])
            made.steps.append(step)
            if machine.name not in wanted.confirm_replace:
                unconfirmed.append(step)
            continue
        if other_boot:
            made.left.append(
                f"{SERVER} {machine.name}: its first boot was another; site.yml brings it up to"
                f" date; -e confirm_replace={machine.name} makes it anew"
            )
        changes = list(_changes(machine, names, wanted, server, cloud))
        if changes:
            made.steps.append(Step(CHANGE, SERVER, machine.name, "; ".join(changes), server["id"]))
        if server["status"] == "SHUTOFF":
            made.steps.append(Step(START, SERVER, machine.name, "it is shut off", server["id"]))
        if server["status"] not in ("ACTIVE", "BUILD", "SHUTOFF", "REBOOT", "HARD_REBOOT"):
            made.faults.append(
                f"the server {machine.name} is {server['status']}; bring it back to ACTIVE first"
            )
    if unconfirmed:
        told = "; ".join(f"{step.name} ({step.why})" for step in unconfirmed)
        all_of_them = ",".join(step.name for step in unconfirmed)
        made.faults.append(
            f"what is described can only be had by destroying and making anew: {told}. What these"
            f" machines hold would be lost. If that is wanted: -e confirm_replace={all_of_them}"
        )
    described = {machine.name for machine in found}
    for server in marked:
        if server["name"] not in described:
            _surplus(made, SERVER, server["name"], server["id"], server["status"], wanted)
    # For confirm_remove a name that is gone is no mistake: the run may have been repeated.
    strange = {*wanted.confirm_replace} - described - {server["name"] for server in marked}
    if strange:
        made.faults.append(f"confirm_replace names {_listed(strange)}, which nobody has described")


def _reasons(
    machine: Machine, names: Names, wanted: Settings, server: Data, cloud: Data
) -> Iterator[str]:
    """Why a server must be made anew."""
    marks = server["metadata"]
    if server["status"] == "ERROR":
        yield f"it is in ERROR: {server['fault'] or 'the cloud does not say why'}"
    # An operator may put a newer image in the place of an old one. That is no reason.
    if marks.get(IMAGE_MARK) != machine.image and server["image_id"] not in cloud["images"].get(
        machine.image, []
    ):
        yield f"image {marks.get(IMAGE_MARK)} -> {machine.image}"
    if server["flavor"] != machine.flavor:
        yield f"flavor {server['flavor']} -> {machine.flavor}"
    # A disk is mounted by the first boot, and by nobody later.
    if machine.volume and marks.get(DISK_MARK) != wanted.disk:
        yield f"volume {marks.get(DISK_MARK)} -> {wanted.disk}"
    network = wanted.network or names.network
    # A server that is being made has no addresses yet. Networks that somebody has added are theirs.
    if server["networks"] and network not in server["networks"]:
        yield f"network {', '.join(server['networks'])} -> {network}"


def _other_boot(machine: Machine, wanted: Settings, server: Data) -> bool:
    """Whether its first boot would be another today. No reason to destroy it: what is in it, the
    role docker_ce does on a machine that runs, too; its disk is judged above.
    """
    text = wanted.user_data.get(machine.name, "")
    return bool(server["metadata"].get(USER_DATA_MARK) != digest(text))


def _changes(
    machine: Machine, names: Names, wanted: Settings, server: Data, cloud: Data
) -> Iterator[str]:
    """What a server gets while it runs."""
    groups = group_mark(machine)[GROUPS_MARK]
    if server["metadata"].get(GROUPS_MARK) != groups:
        yield f"groups {server['metadata'].get(GROUPS_MARK)} -> {groups}"
    should = {*security_groups(machine, names)}
    known = {group["id"]: group["name"] for group in cloud["security_groups"]}
    network = wanted.network or names.network
    for port in cloud["ports"]:
        if (port["device_id"], port["network"]) == (server["id"], network):
            has = {known.get(group, group) for group in port["security_group_ids"]}
            if should != has:
                yield f"security groups {_listed(has)} -> {_listed(should)}"


def _missing(made: Plan, found: Sequence[Machine], wanted: Settings, cloud: Data) -> Iterator[str]:
    """What the cloud would have to have. Asked only for what is to be made."""
    making = {
        step.name for step in made.steps if step.kind == SERVER and step.do in (CREATE, REPLACE)
    }
    machines = [machine for machine in found if machine.name in making]
    for image in sorted({machine.image for machine in machines}):
        ids = cloud["images"].get(image, [])
        who = ", ".join(machine.name for machine in machines if machine.image == image)
        if not ids:
            yield (
                f"there is no image {image}, which {who} would boot; the cloud has"
                f" {_listed(cloud['images'])}"
            )
        elif len(ids) > 1:
            yield f"there are {len(ids)} images {image} ({', '.join(ids)}); rename all but one"
    for flavor in sorted({machine.flavor for machine in machines} - {*cloud["flavors"]}):
        yield f"there is no flavor {flavor}; the cloud has {_listed(cloud['flavors'])}"
    outside = [step for step in made.steps if step.do == CREATE and step.kind in (ROUTER, ADDRESS)]
    external = [one["name"] for one in cloud["networks"] if one["external"]]
    if outside and external.count(wanted.external) != 1:
        yield (
            f"openstack_external_network is {wanted.external}; the cloud has"
            f" {_listed(external)} to the outside"
        )


def _quotas(made: Plan, found: Sequence[Machine], cloud: Data) -> Iterator[str]:
    """Sums against limits. C(limits): name → used and most; -1 is no limit."""
    flavors = cloud["flavors"]
    described = {machine.name: machine for machine in found}
    kinds = {
        NETWORK: "networks", SUBNET: "subnets", ROUTER: "routers", ADDRESS: "floating addresses",
        SECURITY_GROUP: "security groups", SERVER_GROUP: "server groups", KEYPAIR: "keypairs",
    }  # fmt: skip
    more = dict.fromkeys(("instances", "cores", "ram", *kinds.values()), 0)

    def count(flavor: str, sign: int) -> None:
        size = flavors.get(flavor, {"vcpus": 0, "ram": 0})
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
                f"the quota is {most}{unit}, {used} are in use, and {wanted} more are wanted."
                " Describe less, remove something, or ask the operator for more"
            )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def lines(made: Plan) -> list[str]:
    """The plan as a person reads it."""
    told = [
        f"{step.do:<8}{step.kind} {step.name}" + (f": {step.why}" if step.why else "")
        for step in made.steps
    ]
    return told + [f"{'leave':<8}{text}" for text in made.left]


def inventory_of(names: Names, cloud: Data) -> list[str]:
    """What exists of ours: for a run that fails, and before a removal."""
    return [f"{step.kind} {step.name}" + (f" ({step.why})" if step.why else "")
            for step in existing(names, cloud)]  # fmt: skip


def existing(names: Names, cloud: Data) -> list[Step]:
    """All that carries our mark, in the order in which it can be removed."""

    def marked(things: Iterable[Data]) -> list[Data]:
        return [one for one in _own(things, cloud) if has_mark(one, names.mark)]

    found = [
        Step(REMOVE, SERVER, one["name"], one["status"], one["id"])
        for one in ours(cloud["servers"], names)
    ]
    found += [
        Step(REMOVE, ADDRESS, names.machine_of(one["description"]), one["address"], one["id"])
        for one in marked(cloud["floating_ips"])
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
    """What goes when the whole platform goes, and what stands in the way."""
    made = Plan()
    for step in existing(names, cloud):
        if step.kind == VOLUME and not volumes:
            made.left.append(
                f"{VOLUME} {step.name} ({step.why}): -e remove_volumes=true removes it"
            )
        else:
            made.steps.append(step)
    servers = {step.id for step in made.steps if step.kind == SERVER}
    routers = {step.id for step in made.steps if step.kind == ROUTER}
    networks = {step.id: step.name for step in made.steps if step.kind == NETWORK}
    groups = {step.id: step.name for step in made.steps if step.kind == SECURITY_GROUP}
    for port in cloud["ports"]:
        if port["device_id"] in servers | routers or port["device_owner"] in NEUTRON:
            continue
        what = f"port {port['name'] or port['id']}"
        if port["device_id"]:
            what += f" of {port['device_owner']} {port['device_id']}"
        if port["network_id"] in networks:
            made.faults.append(f"the {what} is on the network {networks[port['network_id']]}")
        else:
            made.faults += [
                f"the {what} uses the security group {groups[group]}"
                for group in port["security_group_ids"]
                if group in groups
            ]
    return made
