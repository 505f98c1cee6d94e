# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of a plan: what they are created with, and which of them change or are replaced."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import (
    DISK_MARK,
    GROUPS_MARK,
    IMAGE_MARK,
    USER_DATA_MARK,
    Machine,
    Names,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.steps import (
    CHANGE,
    CREATE,
    REPLACE,
    SERVER,
    START,
    Data,
    Plan,
    Settings,
    Step,
    listed,
    ours,
    surplus,
)


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


def metadata(machine: Machine, names: Names, text: str, disk: str) -> dict[str, str]:
    """The metadata of a new server."""
    return (
        names.metadata
        | group_mark(machine)
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
        {"name": server["name"], "status": server["status"], "fault": server["fault"]}
        for server in ours(cloud["servers"], names)
        if server["name"] in described and server["status"] != "ACTIVE"
    ]


def plan_servers(
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
                f"is not ours ({ids}); rename it, or use another name in openstack_vms"
                if foreign
                else f"exists {len(mine)} times ({ids}); remove all but one"
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
            reasons.append("user data has changed")
        if reasons:
            step = Step(REPLACE, SERVER, machine.name, "; ".join(reasons), server["id"])
            made.steps.append(step)
            if machine.name not in wanted.confirm_replace:
                unconfirmed.append(step)
            continue
        if other_boot:
            made.left.append(
                f"{SERVER} {machine.name}: its user data has changed; site.yml applies the same to"
                f" a running machine, -e confirm_replace={machine.name} replaces it"
            )
        changes = list(_changes(machine, names, wanted, server, cloud))
        if changes:
            made.steps.append(Step(CHANGE, SERVER, machine.name, "; ".join(changes), server["id"]))
        if server["status"] == "SHUTOFF":
            made.steps.append(Step(START, SERVER, machine.name, "it is shut off", server["id"]))
        if server["status"] not in ("ACTIVE", "BUILD", "SHUTOFF", "REBOOT", "HARD_REBOOT"):
            made.faults.append(
                f"the server {machine.name} is {server['status']}, expected ACTIVE. Bring it back"
                " to ACTIVE first"
            )
    if unconfirmed:
        told = "; ".join(f"{step.name} ({step.why})" for step in unconfirmed)
        all_of_them = ",".join(step.name for step in unconfirmed)
        made.faults.append(
            f"these changes require replacing: {told}. The data on these machines would be lost. To"
            f" replace them: -e confirm_replace={all_of_them}"
        )
    described = {machine.name for machine in found}
    for server in marked:
        if server["name"] not in described:
            surplus(made, SERVER, server["name"], server["id"], server["status"], wanted)
    # A name in confirm_remove that is gone is no mistake: the run may have been repeated.
    strange = {*wanted.confirm_replace} - described - {server["name"] for server in marked}
    if strange:
        made.faults.append(
            f"confirm_replace names {listed(strange)}, which openstack_vms does not describe"
        )


def _reasons(
    machine: Machine, names: Names, wanted: Settings, server: Data, cloud: Data
) -> Iterator[str]:
    """Why a server has to be replaced."""
    marks = server["metadata"]
    if server["status"] == "ERROR":
        yield f"it is in ERROR: {server['fault'] or 'the cloud does not say why'}"
    # The operator may have replaced the image by a newer one of the same name: no reason.
    if marks.get(IMAGE_MARK) != machine.image and server["image_id"] not in cloud["images"].get(
        machine.image, []
    ):
        yield f"image {marks.get(IMAGE_MARK)} -> {machine.image}"
    if server["flavor"] != machine.flavor:
        yield f"flavor {server['flavor']} -> {machine.flavor}"
    # Only the first boot mounts a volume.
    if machine.volume and marks.get(DISK_MARK) != wanted.disk:
        yield f"volume {marks.get(DISK_MARK)} -> {wanted.disk}"
    network = wanted.network or names.network
    # A server in BUILD has no addresses yet. Networks that others have added stay theirs.
    if server["networks"] and network not in server["networks"]:
        yield f"network {', '.join(server['networks'])} -> {network}"


def _other_boot(machine: Machine, wanted: Settings, server: Data) -> bool:
    """Whether its user data differs from what a new server would get.

    No reason to replace it: the role docker_ce does the same on a running machine, and _reasons
    compares the volume.
    """
    text = wanted.user_data.get(machine.name, "")
    return bool(server["metadata"].get(USER_DATA_MARK) != digest(text))


def _changes(
    machine: Machine, names: Names, wanted: Settings, server: Data, cloud: Data
) -> Iterator[str]:
    """What changes while a server runs."""
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
                yield f"security groups {listed(has)} -> {listed(should)}"
