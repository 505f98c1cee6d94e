# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do about the parts that are not up, and for which of them to wait."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.health.judge import (
    ACTIVATED,
    DOWN,
    RESUMED,
    STARTED,
    SWITCHED,
    UNKNOWN,
    UP,
    Part,
    drained_nodes,
    judge,
    updating,
)
from ansible_collections.bookface.platform.plugins.module_utils.web.backends import SWARM

# What an action does, for people.
_WORDS = {STARTED: "start", RESUMED: "resume", ACTIVATED: "put back", SWITCHED: "switch to"}
# Kinds that follow from others: on the same machine, and in the whole swarm.
_FOLLOW = ("database", "cache")
_SWARM = ("swarm_node", "swarm_service")

# Status of Nova → what the API offers to get back to ACTIVE (methods of openstacksdk).
RESUMES: Mapping[str, tuple[str, str]] = {
    "SHUTOFF": (STARTED, "start_server"),
    "PAUSED": (RESUMED, "unpause_server"),
    "SUSPENDED": (RESUMED, "resume_server"),
    "RESCUE": (RESUMED, "unrescue_server"),
}


@dataclass(frozen=True)
class Rules:
    """What may be done."""

    # Names of hosts and parts, and IDs of parts, that are left alone.
    never: Collection[str] = ()
    # How often something is tried before it is only reported.
    tries: int = 3
    # ID of a part → how often it was tried since it was up.
    history: Mapping[str, int] | None = None
    check: bool = False

    def refusal(self, part: Part) -> str:
        """Why a part is not mended; empty if it may be."""
        if {part.id, part.name, part.host, part.target} & {*self.never}:
            return "heal_never leaves it alone"
        tried = (self.history or {}).get(part.id, 0)
        if tried >= self.tries:
            count = f"{tried} {'try' if tried == 1 else 'tries'}"
            return f"{count} did not keep it up, so nothing more is tried until it was up once"
        return ""


def parts_of(host: str, look: Mapping[str, Any] | None) -> list[Part]:
    """The parts of a machine, by the result of the module health_look."""
    if look and look.get("seen") and not look.get("failed") and not look.get("unreachable"):
        return judge(look["want"], look["seen"])
    if not look:
        cause = "was not looked at"
    else:
        words = " ".join(str(look.get("msg") or "no reason was given").split())[:300]
        cause = f"{'cannot be reached' if look.get('unreachable') else 'cannot be asked'}: {words}"
    return [Part(host, "machine", host, UNKNOWN, cause)]


def governed(
    parts: Iterable[Part], rules: Rules, done: Collection[str] = (), touched: bool = True
) -> list[Part]:
    """The parts, without actions that are not allowed; the cause says why not."""
    found = []
    for part in parts:
        if part.action:
            why = rules.refusal(part)
            if part.id in done:
                part = replace(part, action="", how="")
            elif not touched:
                why = f"{part.cause}; update.yml is at work on this machine"
                part = replace(part, state=UP, action="", how="", cause=why)
            elif why:
                part = replace(part, action="", how="", cause=f"{part.cause}; {why}")
        found.append(part)
    return found


def todo(
    host: str, look: Mapping[str, Any] | None, rules: Rules, done: Mapping[str, bool] | None = None
) -> dict[str, Any]:
    """For one machine: C(actions), and C(await), the parts that are then expected to be up.

    C(done): ID of each part that was tried → whether that has failed.
    """
    done = done or {}
    mended = not all(done.values())
    parts = parts_of(host, look)
    free = not (look and look.get("seen") and updating(look["seen"]))
    parts = governed(parts, rules, done, free)
    actions = [part for part in parts if part.action]
    # Of what has failed, nothing is awaited.
    hopeful = [
        part
        for part in parts
        if part.state != UP
        and (
            part.action
            or not done.get(part.id, True)
            or (part.moving and part.kind != "backend")
            or ((actions or mended) and part.kind in _FOLLOW)
        )
    ]
    return {
        "actions": []
        if rules.check
        else [
            {
                "id": part.id,
                "name": part.name,
                "action": part.action,
                "how": part.how,
                "target": part.target,
            }
            for part in actions
        ],
        # A check mends nothing, so nothing comes up by it.
        "await": [] if rules.check else [part.id for part in hopeful],
    }


def unwell(
    looks: Mapping[str, Mapping[str, Any] | None], rules: Rules, mended: bool = False
) -> list[str]:
    """Machines with something to mend, and if there are any, those with something to wait for.

    And the managers, if that is so of a node of their swarm: they may not know yet. C(mended):
    whether something was mended already.
    """
    plans = {host: todo(host, look, rules) for host, look in looks.items()}
    if not mended and not any(plan["actions"] for plan in plans.values()):
        return []
    found = {host for host, plan in plans.items() if plan["await"]}
    swarms = {host: ((look or {}).get("want") or {}).get("swarm") for host, look in looks.items()}
    if any(swarms[host] for host in found):
        found |= {host for host, swarm in swarms.items() if swarm and swarm["manager"]}
    return [host for host in looks if host in found]


def tasks_running(looks: Iterable[Mapping[str, Any] | None]) -> int:
    """On how many nodes the web service runs a task, as the first manager says that knows."""
    for look in looks:
        engine = ((look or {}).get("seen") or {}).get("engine") or {}
        wanted = ((look or {}).get("want") or {}).get("swarm") or {}
        name = wanted.get("service")
        for one in (engine.get("swarm") or {}).get("services") or ():
            if one["name"] == name:
                return int(one["places"])
    return 0


def informed(looks: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Mapping[str, Any] | None]:
    """The looks, those at load balancers with what only others know.

    How many servers of the swarm should serve, and which of its nodes are drained.
    """
    more = {
        "tasks": tasks_running(looks.values()),
        "drained": sorted(
            {
                id_
                for look in looks.values()
                if look and look.get("seen")
                for id_ in drained_nodes(look["seen"])
            }
        ),
    }
    found = dict(looks)
    for host, look in looks.items():
        balancer = ((look or {}).get("want") or {}).get("haproxy")
        if look and balancer:
            found[host] = {**look, "want": {**look["want"], "haproxy": {**balancer, **more}}}
    return found


def view(host: str, looks: Mapping[str, Mapping[str, Any] | None], mended: bool) -> dict[str, Any]:
    """For a load balancer: C(await), what it should see soon, and C(haproxy) to ask it by.

    If a machine is whole again, HAProxy's next checks should say so. Of one that is not, nothing is
    awaited.
    """
    own = informed(looks).get(host)
    parts = parts_of(host, own)
    whole = {
        name: all(part.state == UP or part.kind == "backend" for part in parts_of(name, look))
        for name, look in looks.items()
    }
    late = [
        part
        for part in parts
        if part.kind == "backend"
        and part.state != UP
        and (part.moving or (mended and whole.get(part.of, not part.of)))
    ]
    # A backend whose servers all stay down stays down.
    hoped = {part.name.partition("/")[0] for part in late if "/" in part.name} | {SWARM}
    return {
        "await": [p.id for p in late if "/" in p.name or p.moving or p.name in hoped],
        "haproxy": ((own or {}).get("want") or {}).get("haproxy"),
    }


def server_parts(servers: Mapping[str, Mapping[str, Any]], described: Iterable[str]) -> list[Part]:
    """The servers of the cloud, by what the inventory has of each, and those that it lacks."""
    found = [_server(name, server) for name, server in servers.items()]
    for name in described:
        if name not in servers:
            # Deleted, or without an address, as one that was never started.
            cause = "the cloud has no server of ours with that name and an address"
            remedy = "provision.yml says more, and creates it"
            found.append(Part(name, "server", name, DOWN, f"{cause}; {remedy}"))
    return found


def _server(name: str, server: Mapping[str, Any]) -> Part:
    status, moving = str(server.get("status") or "UNKNOWN"), str(server.get("task_state") or "")
    if moving:
        cause = f"is {status}, and the cloud is at work on it ({moving})"
        return Part(name, "server", name, UP if status == "ACTIVE" else DOWN, cause, moving=True)
    if status == "ACTIVE":
        return Part(name, "server", name)
    if status not in RESUMES:
        fault = (server.get("fault") or {}).get("message") or ""
        cause = f"is {status}{': ' if fault else ''}{fault}; nothing safe mends that"
        return Part(name, "server", name, DOWN, cause)
    if server.get("is_locked"):
        cause = f"is {status}, and locked, so somebody wants it left as it is"
        return Part(name, "server", name, DOWN, cause)
    action, how = RESUMES[status]
    return Part(
        name, "server", name, DOWN, f"is {status}", action, how, str(server.get("id") or name)
    )


def switch_target(
    looks: Mapping[str, Mapping[str, Any] | None],
    balancers: Sequence[str],
    seconds: int,
    rules: Rules,
) -> dict[str, str]:
    """C(target): where to switch to, empty if not; C(why), for people; C(from), the active one.

    All load balancers must agree that the active backend has had no server for so long, and that
    the other has one.
    """
    nothing = {"target": "", "why": "", "from": ""}
    found = []
    for name in balancers:
        look = looks.get(name) or {}
        seen = (look.get("seen") or {}).get("haproxy")
        if not seen or seen["error"] or look.get("unreachable") or look.get("failed"):
            return nothing
        found.append((seen, (look["want"]["haproxy"] or {})["backends"]))
    actives = {seen["active"] for seen, _known in found}
    if len(actives) != 1 or not (active := actives.pop()):
        return nothing
    gone = []
    for seen, known in found:
        backend = seen["backends"].get(active)
        if backend is None or _passed(backend):
            return nothing
        # Maintenance: a page, which has no servers.
        if not backend["servers"] and not known.get(active):
            return nothing
        gone.append(int(backend["seconds"]))
    others = [name for name in found[0][1] if name != active]
    serving = {
        name: min(_passed(seen["backends"].get(name)) for seen, _known in found) for name in others
    }
    best = max(others, key=lambda name: serving[name], default="")
    if not best or not serving[best]:
        why = f"{active} has no server, and no other backend has one"
        return {"target": "", "why": why, "from": active}
    if min(gone) < seconds:
        why = f"{active} has had no server for {min(gone)} s; after {seconds} s it can be left"
        return {"target": "", "why": why, "from": active}
    why = f"{active} has had no server for {min(gone)} s, and {serving[best]} of {best} serve"
    for name in balancers:
        part = Part(name, "backend", active, DOWN, why, SWITCHED, "switch", best)
        if refused := rules.refusal(part):
            return {"target": "", "why": f"{why}; {refused}", "from": active}
    return {"target": best, "why": why, "from": active}


def _passed(backend: Mapping[str, Any] | None) -> int:
    """How many servers of a backend serve."""
    return sum(one["passed"] for one in (backend or {"servers": {}})["servers"].values())


def words(part: Part) -> str:
    """What an action would do."""
    by_target = part.kind in ("service", "timer") or part.action == SWITCHED
    name = part.target if by_target else part.name
    if part.kind == "machine":
        name = part.host
    return f"{_WORDS.get(part.action, part.action)} {name}"
