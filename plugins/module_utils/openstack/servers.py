# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of a plan: what they are created with, and which of them change or are replaced."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable, Iterator, Sequence

from ansible_collections.bookface.platform.plugins.module_utils.access import DATABASES
from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import (
    ADOPTED_MARK,
    DISK_MARK,
    GROUPS_MARK,
    IMAGE_MARK,
    MARK,
    USER_DATA_MARK,
    Machine,
    Names,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.fault import (
    Fault,
    explain,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.held import (
    held as held_addresses,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.held import (
    holders_of,
    lent_groups,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.keys import (
    fingerprint,
    held,
    more,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.keys import (
    in_words as key_in_words,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.keys import (
    marks as key_marks,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.steps import (
    ADOPT,
    CHANGE,
    CREATE,
    RELEASE,
    REPLACE,
    RESUME,
    SERVER,
    START,
    UNPAUSE,
    UNSHELVE,
    Data,
    Plan,
    Settings,
    Step,
    flavor,
    images,
    is_adopted,
    keypair,
    keys,
    listed,
    matching,
    network_id,
    our_groups,
    ours,
    stays,
    surplus,
)

# Status of a server → the action that makes it ACTIVE, and why.
RESUMES = {
    "SHUTOFF": (START, "it is shut off"),
    "PAUSED": (UNPAUSE, "it is paused"),
    "SUSPENDED": (RESUME, "it is suspended"),
    "SHELVED": (UNSHELVE, "it is shelved"),
    "SHELVED_OFFLOADED": (UNSHELVE, "it is shelved"),
}
# States that end by themselves.
MOVING = (
    "BUILD", "REBOOT", "HARD_REBOOT", "REBUILD", "RESIZE", "REVERT_RESIZE", "MIGRATING", "PASSWORD",
)  # fmt: skip


def digest(user_data: str) -> str:
    """A digest for the metadata of a server: the cloud does not show user data to tenants."""
    return hashlib.sha256(user_data.encode()).hexdigest()[:32] if user_data else "none"


def user_data(docker: str, volume: bool, device: str, mount: str) -> str:
    """User data of a machine: what installs Docker, unchanged, and what mounts its volume."""
    if not volume:
        return docker
    disk = {
        "fs_setup": [{"device": device, "filesystem": "ext4", "overwrite": False}],
        # nofail: a machine boots without its volume, so that somebody can log in.
        "mounts": [[device, mount, "ext4", "defaults,nofail", "0", "2"]],
    }
    return (
        docker.rstrip("\n")
        + "\n" * bool(docker)
        + ("" if docker else "#cloud-config\n")
        + "".join(f"{key}: {json.dumps(value)}\n" for key, value in disk.items())
    )


def group_mark(machine: Machine) -> dict[str, str]:
    """The metadata that changes while a server runs; the rest says what it was created with."""
    return {GROUPS_MARK: ",".join(machine.groups)}


def adoption(machine: Machine, names: Names) -> dict[str, str]:
    """The metadata of a server that was made by hand."""
    return names.metadata | group_mark(machine) | {ADOPTED_MARK: "true"}


def metadata(
    machine: Machine, names: Names, text: str, disk: str, public_keys: Sequence[str]
) -> dict[str, str]:
    """The metadata of a new server."""
    return (
        names.metadata
        | group_mark(machine)
        | key_marks(public_keys)
        | {
            IMAGE_MARK: machine.image,
            USER_DATA_MARK: digest(text),
            DISK_MARK: disk if machine.volume else "none",
        }
    )


def security_groups(machine: Machine, names: Names) -> list[str]:
    """The security groups of a machine: the common one, and one for each of its groups."""
    return [names.network, *(names.security_group(group) for group in machine.groups)]


def pending(found: Sequence[Machine], names: Names, cloud: Data) -> list[Data]:
    """The servers of the description that are not ACTIVE: being created, or in ERROR."""
    described = {machine.name for machine in found}
    return [
        {
            "name": server["name"],
            "status": server["status"],
            "fault": server["fault"],
            "adopted": is_adopted(server),
        }
        for server in ours(cloud["servers"], names)
        if server["name"] in described and server["status"] != "ACTIVE"
    ]


def unsound(made: Data, waiting: Iterable[Data], check: bool) -> list[str]:
    """What is wrong with servers at the end of a run, for people; empty if nothing is.

    C(made): the plan as the filter returns it; C(waiting): the pending servers.
    """
    # A check leaves those in ERROR that a run replaces.
    replaced = {step["name"] for step in made["make"]["server"] if check and step["do"] == REPLACE}
    failed = [one for one in waiting if one["status"] == "ERROR" and one["name"] not in replaced]
    told = [f"{one['name']} is in ERROR: {explain(Fault(one['fault']))}" for one in failed]
    if not told and not made["wrong"]:
        return []
    end = "Nothing was changed." if check else "All else that was planned is done."
    if names := [one["name"] for one in failed if not one["adopted"]]:
        end += f" To replace what is in ERROR: -e confirm_replace={','.join(names)}"
    return [*made["wrong"], *told, end]


def plan_servers(
    made: Plan, found: Sequence[Machine], names: Names, wanted: Settings, cloud: Data
) -> None:
    """The part of the plan that is about servers."""
    marked = ours(cloud["servers"], names)
    described = {machine.name for machine in found}
    unconfirmed: list[Step] = []
    holders = holders_of(held_addresses(found, names, cloud))
    for machine in found:
        made.lent[machine.name] = lent_groups(machine.name, found, names, holders)
        mine = [one for one in marked if one["name"] == machine.name]
        foreign = [
            one for one in cloud["servers"] if one["name"] == machine.name and one not in marked
        ]
        asked = machine.name in wanted.confirm_adopt
        if asked and not mine and len(foreign) == 1 and not foreign[0]["metadata"].get(MARK):
            mine, foreign = foreign, []
        if len(mine) > 1 or foreign:
            made.faults.append(_ambiguous(machine.name, mine, foreign))
        elif mine:
            _existing(made, unconfirmed, machine, names, wanted, mine[0], cloud)
        elif asked:
            made.faults.append(
                f"confirm_adopt names {machine.name}, but the cloud has no server of that name."
                f" Rename the one that is meant: openstack server set --name {machine.name} ID"
            )
        elif alike := _alike(machine, described, wanted, marked):
            made.faults.append(alike)
        else:
            made.steps.append(Step(CREATE, SERVER, machine.name, _bought(machine, cloud)))
    if unconfirmed:
        told = "; ".join(f"{step.name} ({step.why})" for step in unconfirmed)
        all_of_them = ",".join(step.name for step in unconfirmed)
        made.faults.append(
            f"these changes require replacing: {told}. The data on these machines would be lost. To"
            f" replace them: -e confirm_replace={all_of_them}"
        )
    _keys(made, [one for one in marked if one["name"] in described], names, wanted, cloud)
    for server in marked:
        if server["name"] not in described:
            _undescribed(made, server, wanted)
    # A name in confirm_remove that is gone is no mistake: the run may have been repeated.
    for option in ("confirm_replace", "confirm_adopt"):
        strange = {*getattr(wanted, option)} - described - {one["name"] for one in marked}
        if strange:
            made.faults.append(
                f"{option} names {listed(strange)}, which openstack_vms does not describe"
            )


def _keys(made: Plan, servers: Iterable[Data], names: Names, wanted: Settings, cloud: Data) -> None:
    """Machines that the one who runs this could not log in to."""
    without: dict[str, list[str]] = {}
    replaced = {step.name for step in made.steps if step.do == REPLACE}
    for server in servers:
        told = held(server["metadata"])
        other = server["user_id"] != cloud["user_id"]
        if is_adopted(server) or server["name"] in replaced:
            continue
        if _shut_out(server, names, wanted, cloud):
            whose = " and ".join(told.values()) + (
                f", given by the account {server['user_id']}" if other else ""
            )
            without.setdefault(whose, []).append(server["name"])
        elif other and not told:
            made.left.append(
                f"{SERVER} {server['name']}: the account {server['user_id']} has created it, with a"
                " key of its own; whether it has yours, the cloud does not say"
            )
    for whose, machines in without.items():
        made.faults.append(
            f"{', '.join(machines)} have the key {whose}, and not yours,"
            f" {key_in_words(wanted.public_key)}: you could not log in. Let the owner of that key"
            " add yours to openstack_public_keys and run provision.yml, or name the file with that"
            " key in openstack_public_key_file. If nobody has it any more, they can only be"
            f" replaced: -e confirm_replace={','.join(machines)}"
        )


def _shut_out(server: Data, names: Names, wanted: Settings, cloud: Data) -> bool:
    """Whether a server was given other keys than that of the one who runs this."""
    # Where the account itself has another key, that is told once.
    mine = {fingerprint(wanted.public_key), fingerprint(keypair(names, cloud))}
    told = held(server["metadata"])
    return bool(told) and not mine & {*told}


def new_keys(names: Names, wanted: Settings, server: Data, cloud: Data) -> dict[str, str]:
    """The metadata for keys that a server is yet to be given, if we can log in and give them."""
    told = held(server["metadata"])
    mine = fingerprint(wanted.public_key)
    if is_adopted(server) or (told and mine not in told):
        return {}
    if not told and server["user_id"] != cloud["user_id"]:
        return {}
    return more(server["metadata"], wanted.public_keys if told else keys(names, wanted, cloud))


def _ambiguous(name: str, mine: Sequence[Data], foreign: Sequence[Data]) -> str:
    ids = ", ".join(one["id"] for one in [*mine, *foreign])
    if len(mine) + len(foreign) > 1:
        return (
            f"the server {name} exists {len(mine) + len(foreign)} times ({ids}); remove all but one"
        )
    if other := foreign[0]["metadata"].get(MARK):
        return f"the server {name} ({ids}) belongs to the platform {other}. Rename one of them"
    return (
        f"the server {name} is not ours ({ids}). To make it part of the platform as it is: -e"
        f" confirm_adopt={name}. Otherwise rename it, or use another name in openstack_vms"
    )


def _alike(
    machine: Machine, described: Container[str], wanted: Settings, marked: Sequence[Data]
) -> str:
    """The question whether a machine to create exists under another name."""
    if machine.name in wanted.confirm_create:
        return ""
    own = {*machine.groups}
    found = []
    for server in sorted(marked, key=lambda one: str(one["name"])):
        theirs = {*server["metadata"].get(GROUPS_MARK, "").split(",")}
        # Whatever else it is: a second database is never what follows from a changed name.
        same = own == theirs or DATABASES in own & theirs
        if same and server["name"] not in described and server["name"] not in wanted.confirm_remove:
            found.append(server)
    if not found:
        return ""
    there = ", ".join(
        f"{one['name']} ({one['id']}, in {one['metadata'].get(GROUPS_MARK)})" for one in found
    )
    data = (
        " A new one would be empty, and the site would use it as its database."
        if DATABASES in own
        else ""
    )
    return (
        f"the server {machine.name} does not exist, but there is {there}, which is not described."
        f"{data} If it is the same machine: openstack server set --name {machine.name}"
        f" {found[0]['id'] if len(found) == 1 else 'ID'}. If it is another one: -e"
        f" confirm_create={machine.name}"
    )


def _bought(machine: Machine, cloud: Data) -> str:
    """What a new server is made of."""
    ids = images(cloud, machine.image)
    newest = f" (the newest of {len(ids)}: {ids[0]})" if len(ids) > 1 else ""
    disk = f", boot volume of {machine.boot_volume} GB" if machine.boot_volume else ""
    zone = f", in {machine.availability_zone}" if machine.availability_zone else ""
    return f"{machine.image}{newest}, {machine.flavor}{disk}{zone}"


def _existing(
    made: Plan,
    unconfirmed: list[Step],
    machine: Machine,
    names: Names,
    wanted: Settings,
    server: Data,
    cloud: Data,
) -> None:
    """The part of one server that exists."""
    name, id_, adopted = machine.name, server["id"], _by_hand(server, names)
    # What somebody has made by hand is theirs to delete, whatever the description says of it.
    reasons = [] if adopted else list(_reasons(machine, names, wanted, server, cloud))
    only_new = {} if adopted else dict(_only_new(machine, wanted, server))
    if reasons or name in wanted.confirm_replace:
        reasons += only_new
    if name in wanted.confirm_replace and _shut_out(server, names, wanted, cloud):
        reasons.append("it does not have your key")
    if adopted and name in wanted.confirm_replace:
        made.faults.append(
            f"confirm_replace names {name}, which was made by hand and adopted. Delete it yourself"
            f" (openstack server delete {id_}); the next run creates a new one"
        )
        return
    changes = list(_changes(made, machine, names, wanted, server, cloud))
    step = None
    if reasons:
        step = Step(REPLACE, SERVER, name, "; ".join(reasons), id_)
    elif adopted and _unmarked(server, names):
        step = Step(ADOPT, SERVER, name, "; ".join(["it was made by hand", *changes]), id_)
    elif changes:
        step = Step(CHANGE, SERVER, name, "; ".join(changes), id_)
    confirmed = name in wanted.confirm_replace
    resume = RESUMES.get(server["status"])
    if server["locked"] and (step or resume):
        made.blocked[name] = (
            f"it is locked, and has to be changed: {step.why if step else resume and resume[1]}."
            f" Unlock it: openstack server unlock {id_}"
        )
        return
    problem = _problem(machine, server, adopted)
    if problem and not (step and step.do == REPLACE and confirmed):
        made.blocked[name] = problem
        return
    if step and step.do == REPLACE and not confirmed:
        unconfirmed.append(step)
        return
    if step:
        made.steps.append(step)
    if not reasons:
        made.left += [
            f"{SERVER} {name}: {told}, -e confirm_replace={name} replaces it"
            for told in only_new.values()
        ]
    if adopted and machine.volume:
        made.left.append(
            f"{SERVER} {name}: a volume of {machine.volume} GB is described, but the machine was"
            " made by hand: attach and mount it yourself"
        )
    # One that is on its way is waited for.
    if resume and not (step and step.do == REPLACE) and not server["task_state"]:
        made.steps.append(Step(resume[0], SERVER, name, resume[1], id_))


def _by_hand(server: Data, names: Names) -> bool:
    """Whether a server that is ours, or becomes so, was made by hand. One without our mark was."""
    return is_adopted(server) or server["metadata"].get(MARK) != names.platform


def _unmarked(server: Data, names: Names) -> bool:
    marks = server["metadata"]
    return ADOPTED_MARK not in marks or marks.get(MARK) != names.platform


def _problem(machine: Machine, server: Data, adopted: bool) -> str:
    """Why nothing can be done for a server, and what has to be done by hand."""
    status, id_ = server["status"], server["id"]
    if status == "ERROR":
        why = f"it is in ERROR: {(server['fault'] or 'the cloud does not say why').rstrip('.')}"
        if adopted:
            return f"{why}. Repair it, such as by openstack server reboot --hard {id_}"
        return (
            f"{why}. To replace it, and lose the data on it: -e confirm_replace={machine.name}. It"
            f" may also be repaired, such as by openstack server reboot --hard {id_}"
        )
    if status == "RESCUE":
        return (
            "somebody repairs it in RESCUE mode. When that is done: openstack server unrescue"
            f" {id_}"
        )
    if status == "VERIFY_RESIZE":
        return (
            f"it waits in VERIFY_RESIZE for a decision: openstack server resize confirm {id_}, or"
            f" openstack server resize revert {id_}"
        )
    if status in ("ACTIVE", *RESUMES, *MOVING):
        return ""
    return f"it is {status}, expected ACTIVE. Bring it back to ACTIVE"


def _undescribed(made: Plan, server: Data, wanted: Settings) -> None:
    """A server of ours that is no longer described: one that was made by hand is only released."""
    name, id_, status = server["name"], server["id"], server["status"]
    if name in wanted.confirm_remove and (why := stays(server)):
        made.blocked[name] = f"it {why}"
    elif not is_adopted(server):
        surplus(made, SERVER, name, id_, status, wanted)
    elif name in wanted.confirm_remove:
        made.steps.append(
            Step(RELEASE, SERVER, name, "it stays, without our marks and groups", id_)
        )
    else:
        made.left.append(
            f"{SERVER} {name} ({status}): no longer described; it was made by hand, and -e"
            f" confirm_remove={name} releases it"
        )


def _reasons(
    machine: Machine, names: Names, wanted: Settings, server: Data, cloud: Data
) -> Iterator[str]:
    """Why a server has to be replaced."""
    marks = server["metadata"]
    if server["status"] == "ERROR":
        yield f"it is in ERROR: {server['fault'] or 'the cloud does not say why'}"
    # The operator may have replaced the image by a newer one of the same name: no reason.
    if marks.get(IMAGE_MARK) != machine.image and server["image_id"] not in images(
        cloud, machine.image
    ):
        yield f"image {marks.get(IMAGE_MARK)} -> {machine.image}"
    if server["flavor"] != flavor(cloud, machine.flavor):
        yield f"flavor {server['flavor']} -> {machine.flavor}"
    # Only the first boot mounts a volume.
    if machine.volume and marks.get(DISK_MARK) != wanted.disk:
        yield f"volume {marks.get(DISK_MARK)} -> {wanted.disk}"
    # A server in BUILD has no addresses yet. Networks that others have added stay theirs.
    network = _network_name(names, wanted, cloud)
    if server["networks"] and network not in server["networks"]:
        yield f"network {', '.join(server['networks'])} -> {network}"


def _network_name(names: Names, wanted: Settings, cloud: Data) -> str:
    """By which a server names the network of the machines."""
    id_ = network_id(names, wanted.network, cloud)
    known = {one["id"]: str(one["name"]) for one in cloud["networks"]}
    return known.get(id_) or wanted.network or names.network


def _only_new(machine: Machine, wanted: Settings, server: Data) -> Iterator[tuple[str, str]]:
    """What only a new server gets, and nobody loses data for: the change, and what to say of it."""
    # The role docker_ce does the same on a running machine, and _reasons compares the volume.
    text = wanted.user_data.get(machine.name, "")
    if server["metadata"].get(USER_DATA_MARK) != digest(text):
        change = "user data has changed"
        yield change, f"its {change}; site.yml applies the same to a running machine"
    zone = machine.availability_zone
    if zone and server["zone"] and zone != server["zone"]:
        change = f"availability_zone {server['zone']} -> {zone}"
        yield change, f"{change} is for a new machine"
    # A server in BUILD has an image or none as it will have.
    if bool(machine.boot_volume) == bool(server["image_id"]):
        disks = ("the flavor's disk", "a volume")
        here, there = disks if machine.boot_volume else disks[::-1]
        change = f"it boots from {here} -> {there}"
        yield change, f"{change} (boot_from_volume) is for a new machine"


def _changes(
    made: Plan, machine: Machine, names: Names, wanted: Settings, server: Data, cloud: Data
) -> Iterator[str]:
    """What changes while a server runs. Security groups that stay are noted in the plan."""
    groups = group_mark(machine)[GROUPS_MARK]
    if server["metadata"].get(GROUPS_MARK) != groups:
        yield f"groups {server['metadata'].get(GROUPS_MARK)} -> {groups}"
    if given := new_keys(names, wanted, server, cloud):
        if wanted.gives_keys:
            yield f"keys + {', '.join(given.values())}"
        else:
            made.left.append(
                f"{SERVER} {machine.name}: keys + {', '.join(given.values())} in a run with"
                " openstack_wait_for_guest"
            )
    known = {group["id"]: group["name"] for group in cloud["security_groups"]}
    kept, mine = extra_groups(wanted, cloud), our_groups(names, cloud)
    network = network_id(names, wanted.network, cloud)
    for port in cloud["ports"]:
        if (port["device_id"], port["network_id"]) != (server["id"], network):
            continue
        if not port["port_security"]:
            made.left.append(
                f"security groups of {SERVER} {machine.name}: the port security of its port is off,"
                " so everybody reaches every port of it"
            )
            continue
        if _by_hand(server, names):
            theirs = [one for one in port["security_group_ids"] if one not in mine]
            kept = list(dict.fromkeys([*kept, *theirs]))
        has = {known.get(group, group) for group in port["security_group_ids"]}
        stay = {known.get(group, group) for group in kept}
        should = {*security_groups(machine, names), *made.lent[machine.name]} | stay
        if should != has:
            yield f"security groups {listed(has)} -> {listed(should)}"
    made.kept[machine.name] = kept


def extra_groups(wanted: Settings, cloud: Data) -> list[str]:
    """Ids of the security groups of others that all machines are in."""
    return [
        one["id"] for given in wanted.extra_groups
        for one in matching(cloud["security_groups"], given)
    ]  # fmt: skip
