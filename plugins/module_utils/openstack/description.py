# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The description of the platform's virtual machines in OpenStack, read and validated.

Also the names of the resources there, and how they are marked as ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.access import (
    GROUPS,
    SWARM,
    WITH_DOCKER,
)

MARK = "bookface_platform"
GROUPS_MARK, IMAGE_MARK = "bookface_groups", "bookface_image"
USER_DATA_MARK, DISK_MARK = "bookface_user_data", "bookface_disk"
# On a machine that was made by hand. Those that we create have an image mark instead.
ADOPTED_MARK = "bookface_adopted"
# At the end of a floating address's description, while floating_address.yml holds it at a machine.
HELD_MARK = "bookface_held"

# Gigabytes of a volume to boot from, where no size is given: the disk of a small flavor.
BOOT_VOLUME = 20

_PLATFORM = re.compile(r"[a-z][a-z0-9-]{0,30}\Z")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\Z")
_DEFAULTS: Mapping[str, Any] = {
    "volume": 0, "floating_ip": False, "availability_zone": "", "boot_from_volume": False,
}  # fmt: skip
_KEYS = frozenset({"name", "groups", "image", "flavor", "suite", *_DEFAULTS})


class DescriptionError(ValueError):
    """The description is invalid; names all faults."""


@dataclass(frozen=True)
class Machine:
    """A described virtual machine.

    C(volume): gigabytes of a disk for its data, 0 for none. C(boot_volume): those of a volume that
    it boots from, 0 for the flavor's disk. C(address): its floating address, if the description
    gives it.
    """

    name: str
    groups: tuple[str, ...]
    image: str
    flavor: str
    suite: str
    volume: int
    floating_ip: bool
    address: str = ""
    availability_zone: str = ""
    boot_volume: int = 0

    @property
    def with_docker(self) -> bool:
        return bool({*self.groups} & {*WITH_DOCKER})

    @property
    def in_swarm(self) -> bool:
        return bool({*self.groups} & {*SWARM})


@dataclass(frozen=True)
class Hold:
    """A floating address that stays at a machine until it is released, whoever it belongs to."""

    platform: str
    machine: str
    since: str

    @property
    def mark(self) -> str:
        return f"{HELD_MARK}={self.platform}/{self.machine}/{self.since}"


def hold_in(description: str) -> Hold | None:
    """The hold that the description of a floating address says."""
    for word in description.split():
        key, _equals, value = word.partition("=")
        parts = value.split("/")
        if key == HELD_MARK and len(parts) == 3:
            return Hold(*parts)
    return None


def without_hold(description: str) -> str:
    """A description as it was before the address was held."""
    if HELD_MARK not in description:
        return description
    words = [one for one in description.split(" ") if not one.startswith(f"{HELD_MARK}=")]
    return " ".join(words)


def with_hold(description: str, hold: Hold) -> str:
    """A description that also says where the address is held."""
    return f"{without_hold(description)} {hold.mark}".strip()


@dataclass(frozen=True)
class Names:
    """Names of the platform's resources in the cloud."""

    platform: str

    @property
    def mark(self) -> str:
        """The description of our resources that have one."""
        return f"{MARK}={self.platform}"

    @property
    def metadata(self) -> dict[str, str]:
        """The same mark for resources with metadata instead: servers and volumes."""
        return {MARK: self.platform}

    def address_mark(self, machine: str) -> str:
        """Description of a machine's floating address, which outlives the machine."""
        return f"{self.mark} machine={machine}"

    def machine_of(self, address_mark: str) -> str:
        """The machine in such a description."""
        return without_hold(address_mark).partition(f"{self.mark} machine=")[2]

    @property
    def network(self) -> str:
        """Name of the network, subnet, router, and common security group."""
        return self.platform

    def security_group(self, group: str) -> str:
        return f"{self.platform}-{group}"

    # Resources without a description are recognized by name alone.
    @property
    def keypair(self) -> str:
        return f"{MARK}-{self.platform}"

    @property
    def server_group(self) -> str:
        return f"{MARK}-{self.platform}-swarm"

    def volume(self, machine: str) -> str:
        return f"{self.platform}-{machine}"


def machines(
    platform: str, described: Sequence[Mapping[str, Any]], defaults: Mapping[str, Any]
) -> list[Machine]:
    """The machines of a description. C(defaults): image, flavor and suite of those without.

    Raises DescriptionError with all faults at once.
    """
    faults = []
    if not _PLATFORM.match(str(platform)):
        faults.append(
            f"openstack_platform is {platform!r}: expected up to 31 lower-case letters, digits and"
            " '-', starting with a letter"
        )
    if not isinstance(described, (list, tuple)) or not described:
        raise DescriptionError("openstack_vms is empty: describe at least one machine in it")
    found = []
    for number, entry in enumerate(described, 1):
        if not isinstance(entry, Mapping):
            faults.append(
                f"openstack_vms has {entry!r}: expected a dictionary with name and groups"
            )
            continue
        told = {**_DEFAULTS, **defaults, **entry}
        own = list(_faults(told, number))
        faults += own
        if not own:
            found.append(
                Machine(
                    name=told["name"],
                    groups=tuple(dict.fromkeys(told["groups"])),
                    image=str(told["image"]),
                    flavor=str(told["flavor"]),
                    suite=str(told["suite"]),
                    volume=told["volume"],
                    floating_ip=bool(told["floating_ip"]),
                    address=str(told["floating_ip"]) if _is_address(told["floating_ip"]) else "",
                    availability_zone=str(told["availability_zone"] or ""),
                    boot_volume=_boot_volume(told["boot_from_volume"]),
                )
            )
    addresses = [machine.address for machine in found if machine.address]
    for address in sorted({one for one in addresses if addresses.count(one) > 1}):
        faults.append(f"several machines of openstack_vms have the floating_ip {address}")
    names = [machine.name for machine in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        faults.append(f"openstack_vms has {', '.join(twice)} more than once; names must be unique")
    if faults:
        raise DescriptionError("; ".join(faults))
    return found


def _faults(told: Mapping[str, Any], number: int) -> Iterable[str]:
    """The faults of one machine."""
    name = told.get("name")
    if not isinstance(name, str) or not _NAME.match(name):
        yield (
            f"machine {number} of openstack_vms has the name {name!r}: expected letters, digits,"
            " '-', '_' and '.', such as web1. A machine that has another name in the cloud can be"
            " renamed while it runs: openstack server set --name web1 ID"
        )
        return
    unknown = sorted({*told} - _KEYS)
    if unknown:
        yield f"{name} has {', '.join(unknown)}; known keys: {', '.join(sorted(_KEYS))}"
    groups = told.get("groups")
    if not isinstance(groups, (list, tuple)) or not groups:
        yield f"{name} has no groups: expected a list of {', '.join(GROUPS)}"
    else:
        strange = [str(group) for group in groups if group not in GROUPS]
        if strange:
            yield f"{name} is in the unknown group {', '.join(strange)}; known: {', '.join(GROUPS)}"
    for key in ("image", "flavor", "suite"):
        if not told.get(key):
            yield f"{name} has no {key}; set it, or openstack_{key} for all machines"
    size = told["volume"]
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        yield f"{name} has the volume {size!r}: expected gigabytes, or 0 for none"
    size = told["boot_from_volume"]
    if not isinstance(size, int) or size < 0:
        yield (
            f"{name} has boot_from_volume {size!r}: expected the gigabytes of that volume, or true"
            f" for {BOOT_VOLUME}"
        )
    if not isinstance(told["floating_ip"], bool) and not _is_address(told["floating_ip"]):
        yield (
            f"{name} has floating_ip {told['floating_ip']!r}: expected true, false, or an address"
            " that is allocated to the project"
        )
    if not isinstance(told["availability_zone"] or "", str):
        yield f"{name} has availability_zone {told['availability_zone']!r}: expected its name"


def _boot_volume(value: bool | int) -> int:
    """Gigabytes of the volume that a machine boots from; 0 for none."""
    return BOOT_VOLUME if value is True else int(value)


def _is_address(value: object) -> bool:
    """Whether something is an address."""
    try:
        return isinstance(value, str) and bool(ip_address(value))
    except ValueError:
        return False


def members(found: Iterable[Machine]) -> dict[str, list[str]]:
    """Group → names of its machines, without empty groups."""
    sorted_in: dict[str, list[str]] = {}
    for group in GROUPS:
        names = [machine.name for machine in found if group in machine.groups]
        if names:
            sorted_in[group] = names
    return sorted_in


def jump_name(described: Iterable[Any]) -> str:
    """Name of the machine through which those without an address are reached, or empty.

    The first one with an address in the description, which the inventory has not validated.
    """
    entries = [entry for entry in described if isinstance(entry, Mapping)]
    names = [
        str(entry.get("name", ""))
        for entry in entries
        if entry.get("floating_ip") is True or _is_address(entry.get("floating_ip"))
    ]
    return names[0] if names else ""


def jump(found: Sequence[Machine]) -> Machine | None:
    """That machine, if any other needs it."""
    if all(machine.floating_ip for machine in found):
        return None
    name = jump_name(asdict(machine) for machine in found)
    return next((machine for machine in found if machine.name == name), None)
