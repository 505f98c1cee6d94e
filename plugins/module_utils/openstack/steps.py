# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vocabulary of a plan: steps, the desired settings, and which resources are ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import (
    MARK,
    Names,
)

Data = Mapping[str, Any]
CREATE, CHANGE, START, REPLACE, REMOVE = "create", "change", "start", "replace", "remove"
KEYPAIR, NETWORK, SUBNET, ROUTER = "keypair", "network", "subnet", "router"
SECURITY_GROUP, SERVER_GROUP, VOLUME = "security group", "server group", "volume"
SERVER, ADDRESS = "server", "floating address"
KINDS = (
    KEYPAIR, NETWORK, SUBNET, ROUTER, SECURITY_GROUP, SERVER_GROUP, VOLUME, SERVER, ADDRESS,
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A resource and the action on it. C(id) is the cloud's, empty before it is created."""

    do: str
    kind: str
    name: str
    why: str = ""
    id: str = ""


@dataclass(frozen=True)
class Settings:
    """The desired state beside the machines. C(network): an existing one, or empty for our own.

    C(disk): device and mount point of a machine's volume.
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
    """Steps in order; what is left although the description differs; why the plan cannot run."""

    steps: list[Step] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def lines(made: Plan) -> list[str]:
    """The plan for people."""
    told = [
        f"{step.do:<8}{step.kind} {step.name}" + (f": {step.why}" if step.why else "")
        for step in made.steps
    ]
    return told + [f"{'leave':<8}{text}" for text in made.left]


def has_mark(thing: Data, mark: str) -> bool:
    """Whether a resource with a description is ours; more may follow the mark."""
    return bool(thing["description"].split()[:1] == [mark])


def own(things: Iterable[Data], cloud: Data) -> list[Data]:
    """Those of our project: other projects may share theirs."""
    return [thing for thing in things if thing["project_id"] == cloud["project_id"]]


def ours(servers: Iterable[Data], names: Names) -> list[Data]:
    """The servers that carry our mark."""
    return [one for one in servers if one["metadata"].get(MARK) == names.platform]


def surplus(made: Plan, kind: str, name: str, id_: str, what: str, wanted: Settings) -> None:
    """A resource of ours that is no longer described."""
    if name in wanted.confirm_remove:
        made.steps.append(Step(REMOVE, kind, name, what, id_))
    else:
        made.left.append(
            f"{kind} {name} ({what}): no longer described; -e confirm_remove={name} removes it"
        )


def listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
