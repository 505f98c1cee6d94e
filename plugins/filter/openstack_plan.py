# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters between a description of virtual machines and a cloud."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils.access import Doors
from ansible_collections.bookface.platform.plugins.module_utils.openstack import (
    addresses as openstack_addresses,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack import (
    description as openstack_description,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack import (
    fault as openstack_fault,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack import (
    held as openstack_held,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack import (
    keys as openstack_keys,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack import (
    plan as openstack_plan,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack import (
    removal as openstack_removal,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack import (
    rules as openstack_rules,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack import (
    servers as openstack_servers,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack import (
    steps as openstack_steps,
)
from ansible_collections.bookface.platform.plugins.module_utils.web.backends import Ports

Data = Mapping[str, Any]


def _machines(entries: Sequence[Data]) -> list[openstack_description.Machine]:
    """The machines from the filter openstack_machines."""
    known = openstack_description.Machine.__dataclass_fields__
    found = []
    for entry in entries:
        fields: dict[str, Any] = {key: entry[key] for key in known}
        fields["groups"] = tuple(fields["groups"])
        found.append(openstack_description.Machine(**fields))
    return found


def machines(described: Sequence[Data], platform: str, **defaults: str) -> list[dict[str, Any]]:
    """See openstack_machines.yml beside this file."""
    try:
        found = openstack_description.machines(platform, described, defaults)
    except openstack_description.DescriptionError as error:
        raise AnsibleFilterError(f"{error}. Nothing was changed.") from None
    return [
        asdict(machine) | {"with_docker": machine.with_docker, "in_swarm": machine.in_swarm}
        for machine in found
    ]


def rules(
    entries: Sequence[Data],
    platform: str,
    hostvars: Mapping[str, Data],
    ports: Data,
    doors: Data,
    ipv6: bool = False,
) -> dict[str, list[dict[str, Any]]]:
    """See openstack_rules.yml beside this file."""
    names = openstack_description.Names(platform)
    numbers = Ports(**ports)
    given = dict(doors)
    ssh, admin = given.pop("ssh_cidrs"), given.pop("admin_cidrs")
    try:
        return openstack_rules.rules(
            names, _machines(entries), hostvars, numbers, Doors(**given), ssh, admin, ipv6
        )
    except ValueError as error:
        message = str(error).rstrip(".")
        raise AnsibleFilterError(f"{message}. Nothing was changed.") from None


def plan(entries: Sequence[Data], platform: str, settings: Data, cloud: Data) -> dict[str, Any]:
    """See openstack_plan.yml beside this file."""
    names = openstack_description.Names(platform)
    found = _machines(entries)
    wanted = openstack_steps.Settings(**settings)
    texts = wanted.user_data
    made = openstack_plan.plan(found, names, wanted, cloud)
    extra = openstack_servers.extra_groups(wanted, cloud)
    keys = openstack_steps.keys(names, wanted, cloud)
    new_keys = {
        one["name"]: openstack_servers.new_keys(names, wanted, one, cloud)
        for one in openstack_steps.ours(cloud["servers"], names)
    }
    servers = {
        machine.name: {
            **asdict(machine),
            "metadata": openstack_servers.metadata(
                machine, names, texts.get(machine.name, ""), wanted.disk, keys
            ),
            "group_mark": openstack_servers.group_mark(machine),
            "new_keys": new_keys.get(machine.name, {}),
            "adoption": openstack_servers.adoption(machine, names),
            "image_id": next(iter(openstack_steps.images(cloud, machine.image)), machine.image),
            "kept_groups": made.kept.get(machine.name, extra),
            "security_groups": [
                *dict.fromkeys(
                    [
                        *openstack_servers.security_groups(machine, names),
                        *made.lent.get(machine.name, []),
                    ]
                )
            ],
            "user_data": openstack_keys.with_keys(texts.get(machine.name, ""), wanted.public_keys),
            "in_swarm": machine.in_swarm,
            "volume_name": names.volume(machine.name),
            "address_mark": names.address_mark(machine.name),
        }
        for machine in found
    }
    network = openstack_steps.network_id(names, wanted.network, cloud)
    freed = openstack_removal.freed(made, names, cloud)
    return {"servers": servers, "network": network, "freed": freed, **_as_data(made)}


def move(
    entries: Sequence[Data],
    platform: str,
    cloud: Data,
    network: str,
    external: str,
    now: str,
    **asked: Any,
) -> dict[str, Any]:
    """See openstack_move.yml beside this file."""
    return openstack_held.plan_move(
        openstack_held.Asked(now=now, **asked),
        _machines(entries),
        openstack_description.Names(platform),
        network,
        external,
        cloud,
    ).as_data()


def removal(cloud: Data, platform: str, volumes: bool) -> dict[str, Any]:
    """See openstack_removal.yml beside this file."""
    names = openstack_description.Names(platform)
    made = openstack_removal.removal(names, cloud, volumes)
    return {**_as_data(made), "freed": openstack_removal.freed(made, names, cloud)}


def _as_data(made: openstack_steps.Plan) -> dict[str, Any]:
    """A plan for tasks: its steps in their order, and those of each kind."""

    def by_kind(removed: bool) -> dict[str, list[dict[str, Any]]]:
        return {
            kind.replace(" ", "_"): [
                asdict(step)
                for step in made.steps
                if step.kind == kind and (step.do == openstack_steps.REMOVE) == removed
            ]
            for kind in openstack_steps.KINDS
        }

    return {
        "steps": [asdict(step) for step in made.steps],
        "make": by_kind(removed=False),
        "remove": by_kind(removed=True),
        "left": made.left,
        "blocked": made.blocked,
        "wrong": [
            f"The server {name} was left as it is: {why}." for name, why in made.blocked.items()
        ],
        "faults": made.faults,
        "lines": openstack_steps.lines(made),
    }


def existing(cloud: Data, platform: str) -> list[str]:
    """See openstack_existing.yml beside this file."""
    return openstack_removal.inventory_of(openstack_description.Names(platform), cloud)


def pending(entries: Sequence[Data], platform: str, cloud: Data) -> list[Data]:
    """See openstack_pending.yml beside this file."""
    return openstack_servers.pending(
        _machines(entries), openstack_description.Names(platform), cloud
    )


def unsound(made: Data, waiting: Sequence[Data], check: bool) -> list[str]:
    """See openstack_unsound.yml beside this file."""
    return openstack_servers.unsound(made, waiting, check)


def unseen(entries: Sequence[Data], platform: str, cloud: Data) -> list[str]:
    """See openstack_unseen.yml beside this file."""
    return openstack_addresses.unseen(
        _machines(entries), openstack_description.Names(platform), cloud
    )


def fault(error: str | Data) -> str:
    """See openstack_fault.yml beside this file."""
    if isinstance(error, Mapping):
        return openstack_fault.explain(openstack_fault.of_result(error))
    return openstack_fault.explain(openstack_fault.Fault(str(error)))


def names(platform: str) -> dict[str, Any]:
    """See openstack_names.yml beside this file."""
    made = openstack_description.Names(platform)
    kinds = ("mark", "metadata", "network", "keypair", "server_group")
    return {kind: getattr(made, kind) for kind in kinds}


def user_data(entries: Sequence[Data], docker: Data, device: str, mount: str) -> dict[str, str]:
    """See openstack_user_data.yml beside this file."""
    return {
        machine.name: text
        for machine in _machines(entries)
        if (
            text := openstack_servers.user_data(
                docker.get(machine.name, ""), machine.volume > 0, device, mount
            )
        )
    }


class FilterModule:
    """The filters by their names in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {
            "openstack_existing": existing,
            "openstack_fault": fault,
            "openstack_jump": openstack_description.jump_name,
            "openstack_machines": machines,
            "openstack_move": move,
            "openstack_names": names,
            "openstack_pending": pending,
            "openstack_plan": plan,
            "openstack_removal": removal,
            "openstack_rules": rules,
            "openstack_unseen": unseen,
            "openstack_unsound": unsound,
            "openstack_user_data": user_data,
        }
