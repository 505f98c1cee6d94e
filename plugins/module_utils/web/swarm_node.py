# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One node of the swarm that is drained, promoted, removed: what to do, and what forbids it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.web.placement import may_run
from ansible_collections.bookface.platform.plugins.module_utils.web.swarm import (
    ACTIVE,
    DOWN,
    Entry,
    Node,
    is_address_of,
    read,
    runs_haproxy,
    without_majority,
)

# What a node can be told to be.
DRAIN, REMOVED, MANAGER, WORKER = "drain", "removed", "manager", "worker"
STATES = (DRAIN, ACTIVE, REMOVED, MANAGER, WORKER)


@dataclass(frozen=True)
class Wish:
    """What the user wants of which host."""

    host: str
    state: str
    # Whether the last node that takes tasks may go.
    force: bool
    # Address of each host of the swarm by its name in the inventory, and those that are managers.
    addresses: Mapping[str, str]
    managers: Sequence[str] = ()


@dataclass(frozen=True)
class Known:
    """The swarm as the manager C(lead) knows it, and the node in question."""

    lead: str
    node: Node
    # ID of the node in this swarm; empty if it is not in it.
    id: str
    # Its entries that are left from before: it has left the swarm, or was made again.
    older: Sequence[str]
    # What the host itself says.
    here: Node

    @property
    def member(self) -> Entry:
        return self.node.members[self.id]

    @property
    def manager(self) -> bool:
        return bool(self.node.managers.get(self.id))

    @property
    def ready(self) -> bool:
        return bool(self.node.ready.get(self.id))

    def takers(self) -> set[str]:
        """IDs of the nodes that take tasks of the site."""
        return {
            id_
            for id_, one in self.node.members.items()
            if self.node.ready[id_] and one["availability"] == ACTIVE and self.allowed(one)
        }

    def allowed(self, member: Entry) -> bool:
        """Whether a node meets the constraints of the web service."""
        return may_run(member.get("attributes", {}), self.node.service.get("constraints", ()))


def plan(seen: Mapping[str, Entry], wish: Wish) -> dict[str, Any]:
    """What to do, as plain data; nothing of it is to be done if there are C(errors)."""
    nodes = {host: read(said) for host, said in seen.items()}
    lead = _lead(nodes, wish)
    if not lead:
        return {"errors": [without_majority(nodes) or _no_manager(nodes)]}
    known = _known(nodes, lead, wish)
    gone = [*known.older] if wish.state == REMOVED else []
    return {
        "lead": lead,
        "id": known.id,
        "name": known.member["name"] if known.id else "",
        "manager": known.manager,
        "ready": known.ready,
        "answers": known.here.state != "none",
        "service": bool(known.node.service),
        "drain": bool(known.id) and wish.state in (DRAIN, REMOVED),
        "remove": [*([known.id] if known.id else []), *gone] if wish.state == REMOVED else [],
        "demote": [id_ for id_ in gone if known.node.managers[id_]],
        "silent": [host for host in wish.addresses if _silent(host, nodes, known, wish)],
        "hint": _hint(wish),
        "errors": list(_errors(known, wish)),
    }


def _lead(nodes: Mapping[str, Node], wish: Wish) -> str:
    """A manager that knows the swarm: of the node's own if possible, and rather another one."""
    own = nodes.get(wish.host, Node()).id
    leads = [host for host, node in nodes.items() if node.managers]
    leads.sort(key=lambda host: (own not in nodes[host].members, host == wish.host))
    return leads[0] if leads else ""


def _known(nodes: Mapping[str, Node], lead: str, wish: Wish) -> Known:
    node, here = nodes[lead], nodes.get(wish.host, Node())
    member = node.members.get(here.id)
    name = member["name"] if member else wish.host
    own = [wish.addresses[wish.host]]
    elsewhere = [one for host, one in wish.addresses.items() if host != wish.host]
    entries = [
        id_
        for id_, one in node.members.items()
        if is_address_of(one, own) or (one["name"] == name and not is_address_of(one, elsewhere))
    ]
    id_ = here.id if member else ""
    if here.state == "none":
        # It does not say which of them it is.
        id_ = next((one for one in entries if node.ready[one]), (entries or [""])[0])
    left = here.state == "inactive"
    older = [
        one
        for one in entries
        if one != id_ and (not node.ready[one] or (left and is_address_of(node.members[one], own)))
    ]
    return Known(lead, node, id_, older, here)


def _no_manager(nodes: Mapping[str, Node]) -> str:
    states = {
        "none": "does not answer",
        "inactive": "is in no swarm",
        "active": "is a worker",
    }
    said = ", ".join(f"{host} {states.get(one.state, one.state)}" for host, one in nodes.items())
    return f"No manager of the swarm answers: {said}. Bring one back, or make the swarm: site.yml."


def _silent(host: str, nodes: Mapping[str, Node], known: Known, wish: Wish) -> bool:
    """Whether an HAProxy in the swarm is not to be asked there.

    Not that of the node in question: it stops, or has just started and has nothing drained.
    """
    own = nodes.get(host, Node()).id
    return host == wish.host or not any(
        known.node.ready[id_] and one["availability"] != DRAIN and runs_haproxy(one)
        for id_, one in known.node.members.items()
        if id_ == own or is_address_of(one, [wish.addresses[host]])
    )


def _hint(wish: Wish) -> str:
    """What the inventory makes of it."""
    if wish.state == REMOVED:
        return f"Take {wish.host} out of the inventory, or the next site.yml joins it again."
    listed = MANAGER if wish.host in wish.managers else WORKER
    if wish.state in (MANAGER, WORKER) and listed != wish.state:
        return (
            f"{wish.host} is in the inventory's group swarm_{listed}s: put it into"
            f" swarm_{wish.state}s, or the next site.yml changes it back."
        )
    return ""


def _errors(known: Known, wish: Wish) -> Iterable[str]:
    if known.here.state not in ("none", "inactive") and known.here.id not in known.node.members:
        yield (
            f"{wish.host} is in another swarm than {known.lead}'s, or cut off from it (state"
            f" {known.here.state}). If it is no longer needed there, run docker swarm leave --force"
            " on that machine."
        )
    elif known.id:
        yield from _unanswered(known, wish)
        yield from _becoming(known, wish)
        yield from _door(known, wish)
        yield from _capacity(known, wish)
        yield from _majority(known, wish)
    elif wish.state != REMOVED:
        names = ", ".join(sorted(one["name"] for one in known.node.members.values()))
        yield (
            f"{wish.host} is no node of {known.lead}'s swarm, which has {names}. site.yml joins it."
        )


def _unanswered(known: Known, wish: Wish) -> Iterable[str]:
    """What the machine itself must do."""
    state = known.member["state"]
    if wish.state == MANAGER and not (known.ready or known.manager):
        yield f"{wish.host} is {state} in the swarm: start it, then promote it."
    if wish.state == REMOVED and known.here.state == "none" and state != DOWN:
        yield (
            f"{wish.host} does not answer, but is {state} in the swarm, which it can only leave by"
            " itself. Let Ansible reach it, or stop it: the entry of a machine that is down is"
            " removed without it."
        )


def _becoming(known: Known, wish: Wish) -> Iterable[str]:
    """Who leaves while the managers take it in would be missed by them."""
    promoted = known.ready and known.member["role"] == MANAGER
    if wish.state in (REMOVED, WORKER) and promoted and not known.manager:
        yield (
            f"{wish.host} is about to become a manager. Wait until docker node ls shows it as"
            " Reachable, and run this again."
        )


def _door(known: Known, wish: Wish) -> Iterable[str]:
    """An HAProxy in the swarm stops with the drain of its node, and nothing else has its ports."""
    runs = runs_haproxy(known.member) and known.ready and known.member["availability"] != DRAIN
    if wish.state in (DRAIN, REMOVED) and runs and not wish.force:
        yield (
            f"HAProxy runs on {wish.host} as a service of the swarm and would stop: clients that"
            f" ask {wish.host} would be refused. Take its address out of what leads them there"
            " (DNS, a virtual address), then accept that with -e force=true."
        )


def _capacity(known: Known, wish: Wish) -> Iterable[str]:
    """Another node must take the tasks."""
    if wish.state not in (DRAIN, REMOVED) or wish.force or known.takers() != {known.id}:
        return
    others = sorted(
        f"{one['name']} is {one['state']}, {one['availability']}"
        f"{'' if known.allowed(one) else ', and does not meet the constraints of the service'}"
        for id_, one in known.node.members.items()
        if id_ != known.id
    )
    yield (
        f"{wish.host} is the last node that takes tasks"
        f" ({'; '.join(others) or 'there is no other'}): without it none could run. Let another one"
        " take tasks first (-e node=NAME -e state=active), or accept that with -e force=true."
    )


def _majority(known: Known, wish: Wish) -> Iterable[str]:
    """A majority of the managers that are left must answer. Docker forces no demotion, either."""
    if wish.state not in (REMOVED, WORKER) or not known.manager:
        return
    left = {
        id_: known.node.members[id_]
        for id_, is_one in known.node.managers.items()
        if is_one and id_ != known.id
    }
    lost = sorted(one["name"] for one in left.values() if not one["reachable"])
    answering, needed = len(left) - len(lost), len(left) // 2 + 1
    if not answering:
        yield (
            f"{wish.host} is the last manager that answers, and without one nothing of the swarm"
            " can be changed. Promote another node first: -e node=NAME -e state=manager."
        )
    elif answering < needed:
        yield (
            f"Without {wish.host} only {answering} of {len(left)} managers would answer, and a"
            f" majority is {needed}. Start {', '.join(lost)} first; a machine that is lost for good"
            " is removed with -e node=NAME -e state=removed."
        )
