# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of a machine, from what should be there and what is: what is wrong, and what would mend it.

Pure; runs on the machine, which waits for the proof, and on the controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# The swarm's backend: Docker places the tasks, so not every server of it has to serve.
from ansible_collections.bookface.platform.plugins.module_utils.web.backends import SWARM

UP, DOWN, UNKNOWN = "up", "down", "unknown"
STARTED, RESUMED, ACTIVATED, SWITCHED = "started", "resumed", "activated", "switched"
# Seconds after which a machine that update.yml has drained was left so. An update takes minutes.
INTERRUPTED = 1800

Seen = Mapping[str, Any]
Want = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """A part of the platform."""

    host: str
    kind: str
    name: str
    state: str = UP
    # Why it is not up. Of one that is: what somebody should know.
    cause: str = ""
    # What mends it (STARTED, ...), how, and by which name; empty if nothing safe does.
    action: str = ""
    how: str = ""
    target: str = ""
    # Whether it is expected to change by itself.
    moving: bool = False
    # Of a server of HAProxy: its host in the inventory.
    of: str = ""
    id: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", f"{self.host}/{self.kind}/{self.name}")


def judge(want: Want, seen: Seen) -> list[Part]:
    """The parts of one machine."""
    host = str(want["host"])
    return [
        Part(host, "machine", host),
        *_update(host, seen),
        *_services(host, want, seen),
        *_timers(host, seen),
        *_ports(host, want, seen),
        *_engine(host, want, seen),
        *_haproxy(host, want, seen),
    ]


def updating(seen: Seen) -> bool:
    """Whether update.yml is at work on the machine, so that nothing of it is to be touched."""
    note = seen.get("note")
    return note is not None and int(note["age"]) < INTERRUPTED


def _update(host: str, seen: Seen) -> Iterable[Part]:
    """A machine that an update of its engine has drained, and left so."""
    note = seen.get("note")
    if not note:
        return
    minutes = int(note["age"]) // 60
    if note["error"]:
        yield Part(host, "machine", "update", UNKNOWN, f"its note cannot be read: {note['error']}")
    elif updating(seen):
        cause = f"update.yml has drained it {minutes} min ago; nothing of it is touched meanwhile"
        yield Part(host, "machine", "update", UP, cause)
    else:
        cause = f"update.yml was interrupted {minutes} min ago and has left it drained"
        yield Part(host, "machine", "update", DOWN, cause, ACTIVATED, "update", host)


def _unit(host: str, kind: str, name: str, unit: Mapping[str, str] | None) -> Part:
    """A unit of systemd."""
    if not unit:
        return Part(host, kind, name, UNKNOWN, "systemd does not answer")
    state, sub, result = (unit.get(key, "") for key in ("ActiveState", "SubState", "Result"))
    if state in ("active", "reloading", "refreshing"):
        return Part(host, kind, name)
    if unit.get("LoadState") == "masked":
        return Part(host, kind, name, DOWN, "masked, so nobody may start it")
    if unit.get("LoadState") == "not-found":
        return Part(host, kind, name, DOWN, "systemd has no such unit; site.yml installs it")
    if sub == "auto-restart" or state in ("activating", "deactivating"):
        return Part(host, kind, name, DOWN, f"{state} ({sub})", moving=True)
    cause = f"failed ({result})" if state == "failed" else "stopped"
    # Instances such as postgresql@15-main are started by another unit, and so never enabled.
    if unit.get("UnitFileState") == "disabled" and "@" not in name:
        cause = f"{cause} and disabled, so it is not meant to run; systemctl enable ends that"
        return Part(host, kind, name, DOWN, cause)
    return Part(host, kind, name, DOWN, cause, STARTED, "service", unit.get("Id") or name)


def _services(host: str, want: Want, seen: Seen) -> Iterable[Part]:
    """Services that should run."""
    units = seen["units"]
    answers = [not error for error in seen["ports"].values()]
    names = list(want["services"]) + [f"postgresql@{v}-main" for v in seen["clusters"]]
    for name in names + (["docker"] if want["engine"] else []):
        part = _unit(host, "service", name, units.get(f"{name}.service"))
        # Another web server, or an HAProxy in a container, of the user's own.
        other = {
            "apache2": bool(answers) and all(answers),
            "haproxy": not (seen["haproxy"] or {"error": "-"})["error"],
        }.get(name, False)
        if part.state != DOWN or not other:
            yield part


def _timers(host: str, seen: Seen) -> Iterable[Part]:
    """Our timers, and how their last run ended."""
    for timer in seen["timers"]:
        name = timer.removesuffix(".timer")
        part = _unit(host, "timer", name, seen["units"].get(timer))
        ran = (seen["units"].get(timer) or {}).get("Unit", "")
        unit = seen["units"].get(ran) or {}
        result = unit.get("Result", "success")
        if part.state == UP and result not in ("success", ""):
            status = unit.get("ExecMainStatus", "")
            cause = f"the last run has failed ({result}, status {status}): journalctl --unit {ran}"
            part = Part(host, "timer", name, DOWN, cause)
        yield part


def _ports(host: str, want: Want, seen: Seen) -> Iterable[Part]:
    """Ports that should answer."""
    for one in want["ports"]:
        where = f"{one['address']}:{one['port']}"
        error = seen["ports"].get(where, "was not asked")
        kind, name = one["kind"], one["name"]
        if not error:
            yield Part(host, kind, name)
            continue
        cause = f"{where} does not answer: {error}"
        if kind == "database" and name == want["database_command"]:
            yield Part(host, kind, name, DOWN, cause, STARTED, "database", host)
        else:
            yield Part(host, kind, name, DOWN, cause)


def _engine(host: str, want: Want, seen: Seen) -> Iterable[Part]:
    """Containers, and the swarm."""
    found = seen["engine"]
    if not want["engine"] or found is None:
        # The service docker says why.
        return
    if found["error"]:
        cause = f"Docker does not answer: {found['error']}"
        yield Part(host, "service", "docker API", UNKNOWN, cause)
        return
    there = {one["name"]: one for one in found["containers"]}
    for name in want["containers"]:
        yield _container(host, name, there)
    if want["swarm"]:
        yield from _swarm(host, want["swarm"], found["swarm"])


def _container(host: str, name: str, there: Mapping[str, Mapping[str, str]]) -> Part:
    one = there.get(name)
    if one is None:
        cause = "there is no such container of ours"
        if f"{name}-before" in there:
            cause = "its replacement was interrupted"
        return Part(host, "container", name, DOWN, f"{cause}; site.yml makes it")
    state, status = one["state"], one["status"]
    if state == "running":
        if "(unhealthy)" in status:
            cause = "runs, but PHP does not answer its health check"
            return Part(host, "container", name, DOWN, cause)
        return Part(host, "container", name)
    if state == "restarting":
        return Part(host, "container", name, DOWN, f"crashes and restarts: {status}", moving=True)
    if state == "paused":
        return Part(host, "container", name, DOWN, "paused", RESUMED, "unpause", name)
    if state in ("exited", "created"):
        cause = status[:1].lower() + status[1:]
        return Part(host, "container", name, DOWN, cause, STARTED, "container", name)
    return Part(host, "container", name, DOWN, f"{state}: {status}; site.yml replaces it")


def _swarm(host: str, want: Want, seen: Seen) -> Iterable[Part]:
    """The node itself, and what a manager says of the swarm."""
    state = seen["state"]
    if state != "active":
        remedy = {
            "inactive": "is no node of a swarm; site.yml lets it join",
            "locked": "is locked: docker swarm unlock, or site.yml with swarm_unlock_key",
        }.get(state, f"is {state}")
        cause = f"{remedy}{': ' if seen['error'] else ''}{seen['error']}"
        yield Part(host, "swarm_node", host, DOWN, cause, moving=state == "pending")
        return
    yield Part(host, "swarm_node", host)
    if not want["manager"]:
        return
    if not seen["manager"]:
        cause = "manages nothing, though it is in swarm_managers; site.yml promotes it"
        yield Part(host, "swarm_node", f"manager {host}", DOWN, cause)
        return
    if not seen["nodes"]:
        cause = f"the managers do not answer: {seen['error'] or 'no node is listed'}"
        yield Part(host, "swarm_service", want["service"], UNKNOWN, cause, moving=True,
                   id=f"swarm/swarm_service/{want['service']}")  # fmt: skip
        return
    for node in seen["nodes"]:
        yield _node(host, node)
    named = {one["name"] for one in seen["services"]}
    for one in seen["services"]:
        yield _service(host, one)
    if want["service"] not in named:
        yield Part(host, "swarm_service", want["service"], DOWN, "there is none; site.yml makes it",
                   id=f"swarm/swarm_service/{want['service']}")  # fmt: skip


def _node(host: str, node: Mapping[str, str]) -> Part:
    """A node, as a manager knows it."""
    name, id_ = node["name"], f"swarm/swarm_node/{node['name']}"
    if node["state"] != "ready":
        cause = f"the managers know it as {node['state']}: {node['message']}".rstrip(": ")
        return Part(host, "swarm_node", name, DOWN, cause, moving=True, id=id_)
    if node["reachability"] not in ("", "reachable"):
        cause = "the other managers do not reach it"
        return Part(host, "swarm_node", name, DOWN, cause, moving=True, id=id_)
    if node["availability"] != "active":
        # Somebody did that on purpose: an update leaves a note beside it.
        word = {"drain": "drained", "pause": "paused"}.get(node["availability"], "")
        cause = f"{word} on purpose; swarm_node.yml -e node={name} -e state=active ends that"
        return Part(host, "swarm_node", name, UP, cause, id=id_)
    return Part(host, "swarm_node", name, id=id_)


def _node_id(seen: Seen) -> str:
    """The machine's own ID in its swarm, empty without one."""
    return str((((seen["engine"] or {}).get("swarm")) or {}).get("id") or "")


def drained_nodes(seen: Seen) -> list[str]:
    """IDs of the nodes that run no tasks, as far as this machine knows."""
    nodes = ((seen["engine"] or {}).get("swarm") or {}).get("nodes") or ()
    return [str(one["id"]) for one in nodes if one["availability"] == "drain"]


def _service(host: str, one: Mapping[str, Any]) -> Part:
    name, id_ = one["name"], f"swarm/swarm_service/{one['name']}"
    if one["running"] >= one["wanted"] and (one["running"] or not one["wanted"]):
        return Part(host, "swarm_service", name, id=id_)
    why = f": {one['why']}" if one["why"] else ""
    cause = f"{one['running']} of {one['wanted']} tasks run{why}"
    return Part(host, "swarm_service", name, DOWN, cause, moving=True, id=id_)


def _haproxy(host: str, want: Want, seen: Seen) -> Iterable[Part]:
    """HAProxy's view of its frontends, backends and servers."""
    asked, found = want["haproxy"], seen["haproxy"]
    if not asked or not found:
        return
    if found["error"]:
        # Of a service that is stopped, the service says it.
        unit = seen["units"].get("haproxy.service") or {}
        drained = _node_id(seen) in {*asked["drained"], *drained_nodes(seen)}
        if drained and "haproxy" not in want["services"]:
            cause = "the node is drained on purpose, so HAProxy's task does not run here"
            yield Part(host, "service", "HAProxy's socket", UP, cause)
        elif unit.get("ActiveState", "active") == "active":
            # A task of the swarm takes a while; the unit of a service waits for it.
            moving = not unit
            cause = str(found["error"])
            yield Part(host, "service", "HAProxy's socket", UNKNOWN, cause, moving=moving)
        return
    for name in asked["frontends"]:
        status = found["frontends"].get(name)
        if status is None:
            yield Part(host, "service", f"frontend {name}", DOWN, "HAProxy has none of that name")
        elif status != "OPEN":
            yield Part(host, "service", f"frontend {name}", DOWN, f"HAProxy has it as {status}")
    backends = dict(asked["backends"])
    if found["active"]:
        backends.setdefault(found["active"], [])
    for name, servers in backends.items():
        there = found["backends"].get(name)
        if there is None:
            cause = "HAProxy has none of that name; site.yml makes it"
            yield Part(host, "backend", name, DOWN, cause)
            continue
        yield _backend(host, name, there, asked, found["active"])
        if name != SWARM:
            yield from (_server(host, name, one, there["servers"]) for one in servers)


def _backend(
    host: str, name: str, there: Mapping[str, Any], asked: Mapping[str, Any], active: str
) -> Part:
    # As a list: what Ansible gives to a filter has views that can be read once.
    servers = list(there["servers"].values())
    if not servers and not asked["backends"].get(name):
        cause = "a page without servers; switch_backend.yml moves the traffic to a backend"
        return Part(host, "backend", name, UP, cause)
    drained = sum(_drained(one["status"]) for one in servers)
    if servers and drained == len(servers) and name != active:
        cause = "all of its servers are drained on purpose; drain.yml -e state=ready ends that"
        return Part(host, "backend", name, UP, cause)
    passed = sum(one["passed"] for one in servers)
    moving = any(one["undecided"] for one in servers)
    tasks = int(asked["tasks"]) if name == SWARM else 1
    least = max(min(tasks, len(servers)) - drained, 1)
    if passed >= least:
        return Part(host, "backend", name)
    if not passed:
        cause = f"no server takes requests, for {there['seconds']} s"
    else:
        cause = f"{passed} of {least} servers that run a task have passed their check"
    return Part(host, "backend", name, DOWN, cause, moving=moving)


def _drained(status: str) -> bool:
    """Whether somebody has taken a server out of service."""
    return status.startswith(("DRAIN", "NOLB")) or (
        status.startswith("MAINT") and "resolution" not in status
    )


def _server(
    host: str, backend: str, one: Mapping[str, str], there: Mapping[str, Mapping[str, Any]]
) -> Part:
    name = f"{backend}/{one['name']}"
    server = there.get(one["name"])
    if server is None:
        cause = "HAProxy has no such server; site.yml makes it"
        return Part(host, "backend", name, DOWN, cause, of=one["host"])
    status = server["status"]
    if server["passed"]:
        return Part(host, "backend", name, of=one["host"])
    if _drained(status):
        cause = "drained on purpose; drain.yml -e state=ready ends that"
        return Part(host, "backend", name, UP, cause, of=one["host"])
    if server["undecided"]:
        cause = f"{status}, its first check has not ended"
        return Part(host, "backend", name, UNKNOWN, cause, moving=True, of=one["host"])
    check = " ".join(word for word in (server["check"], server["text"]) if word)
    cause = f"HAProxy has it as {status} ({check})"
    return Part(host, "backend", name, DOWN, cause, of=one["host"])
