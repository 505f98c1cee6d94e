# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service of a swarm in the words of Docker's API: as described, as found, and as a canary."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.web.labels import MADE
from ansible_collections.bookface.platform.plugins.module_utils.web.placement import (
    attributes,
    may_run,
)
from ansible_collections.bookface.platform.plugins.module_utils.web.swarm import HOST, SWARM

Spec = Mapping[str, Any]
# What Docker says about a thing.
Entry = Mapping[str, Any]
# What is below these is named by them: its own keys are the user's.
_WHOLE = ("Labels", "Options", "DriverConfig")
# What is below these has names that say nothing without them.
_TOGETHER = ("Reservations", "Placement")
# An update that Docker does not go on with by itself.
_PAUSED = ("paused", "rollback_paused")
# One that is under way.
_CHANGING = ("updating", "rollback_started")
# Seconds after its end in which an update may be found bad.
SETTLED = 60
# Tasks of a service that any node takes any number of.
UNLIMITED = 1_000_000


@dataclass(frozen=True)
class Difference:
    """A setting that is not as described."""

    name: str
    found: Any
    wanted: Any


def with_ids(spec: Spec, networks: Mapping[str, str]) -> dict[str, Any]:
    """The description with IDs of networks instead of their names.

    Raises KeyError for one that the swarm does not have.
    """
    template = dict(spec["TaskTemplate"])
    template["Networks"] = [
        {**one, "Target": networks[one["Target"]]} for one in template.get("Networks", ())
    ]
    return {**spec, "TaskTemplate": template}


def pinned_image(wanted: str, found: str) -> str:
    """The image with its digest, if it has one or was pinned before. Empty if it has to be pinned.

    One that is named by its ID is the same everywhere.
    """
    if "@" in wanted or wanted.startswith("sha256:"):
        return wanted
    return found if found.partition("@")[0] == wanted and found != wanted else ""


def with_image(spec: Spec, image: str) -> dict[str, Any]:
    """The description with another image."""
    template = spec["TaskTemplate"]
    container = {**template["ContainerSpec"], "Image": image}
    return {**spec, "TaskTemplate": {**template, "ContainerSpec": container}}


def following(spec: Spec, found: Spec) -> dict[str, Any]:
    """The description for an update. Without the counter of forced updates all tasks would go.

    Without a number of tasks Docker would take one.
    """
    count = found["TaskTemplate"].get("ForceUpdate", 0)
    return {
        "Mode": found.get("Mode"),
        **spec,
        "TaskTemplate": {**spec["TaskTemplate"], "ForceUpdate": count},
    }


def arguments(spec: Spec) -> dict[str, Any]:
    """A specification as Docker's SDK takes it."""
    return {
        "name": spec["Name"],
        "labels": spec.get("Labels"),
        "task_template": spec["TaskTemplate"],
        "mode": spec.get("Mode"),
        "update_config": spec.get("UpdateConfig"),
        "rollback_config": spec.get("RollbackConfig"),
        "endpoint_spec": spec.get("EndpointSpec"),
    }


def canary(spec: Spec, name: str, node: str) -> dict[str, Any]:
    """The service as a trial: one of its tasks, on this node, that is not started a second time.

    Without a port nobody reaches it from outside, and no two tasks want the same one. It reserves
    nothing: the tasks in use may have all that there is.
    """
    resources = dict(spec["TaskTemplate"].get("Resources", {}))
    resources.pop("Reservations", None)
    return {
        "Name": name,
        "Labels": {MADE: SWARM},
        "TaskTemplate": {
            **spec["TaskTemplate"],
            "Resources": resources,
            "RestartPolicy": {"Condition": "none"},
            "Placement": {"Constraints": [f"node.id=={node}"]},
        },
        "Mode": {"Replicated": {"Replicas": 1}},
        "EndpointSpec": {"Mode": "dnsrr"},
    }


def paused(service: Entry) -> bool:
    """Whether the last update of a service has stopped half-way. Another one goes on with it."""
    return (service.get("UpdateStatus") or {}).get("State") in _PAUSED


def runs_tasks(node: Entry) -> bool:
    """Whether a node of the swarm takes tasks: not one that is down, paused or drained."""
    ready: bool = node["Status"]["State"] == "ready"
    return ready and node["Spec"]["Availability"] == "active"


def changing(service: Entry, now: float) -> bool:
    """Whether Docker is replacing tasks, forward or back, or has ended that C(SETTLED) ago or less.

    Whoever has begun it may still watch it. Any other change of the service takes the way back.
    """
    status = service.get("UpdateStatus") or {}
    if status.get("State") in _CHANGING:
        return True
    ended = status.get("CompletedAt")
    if not ended:
        return False
    # Docker's fractions are of nanoseconds, which not every Python reads.
    moment = datetime.fromisoformat(f"{ended[:19]}+00:00")
    return now - moment.timestamp() < SETTLED


def room(spec: Spec, nodes: Sequence[Entry]) -> int:
    """How many tasks of a service the nodes take, regardless of resources."""
    placement = spec["TaskTemplate"].get("Placement", {})
    allowed = placement.get("Constraints") or ()
    takers = sum(runs_tasks(node) and may_run(attributes(node), allowed) for node in nodes)
    ports = spec.get("EndpointSpec", {}).get("Ports") or ()
    each = placement.get("MaxReplicas") or 0
    if any(port.get("PublishMode") == HOST for port in ports):
        each = 1
    return takers * each if each else UNLIMITED


def waiting(tasks: Sequence[Entry]) -> int:
    """How many tasks have found no node."""
    return sum(
        one["Status"]["State"] == "pending" and bool(one["Status"].get("Err")) for one in tasks
    )


@dataclass(frozen=True)
class Task:
    """A task of a service: its state, why it has this one, and where it runs."""

    state: str = "new"
    why: str = ""
    container: str = ""
    pid: int = 0

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def ended(self) -> bool:
        """Whether it will not run (any more)."""
        return self.state in ("complete", "shutdown", "failed", "rejected", "orphaned", "remove")


def task(listed: Sequence[Entry]) -> Task:
    """The last of the tasks as Docker lists them."""
    if not listed:
        return Task()
    status = max(listed, key=lambda one: str(one["CreatedAt"]))["Status"]
    container = status.get("ContainerStatus") or {}
    return Task(
        state=status["State"],
        why=status.get("Err") or status.get("Message", ""),
        container=container.get("ContainerID", ""),
        pid=container.get("PID", 0),
    )


def differences(wanted: Spec, found: Spec) -> list[Difference]:
    """What differs of all that is described. What is not, has Docker's default or is the user's."""
    return list(_compare("", wanted, found))


def _compare(key: str, wanted: Any, found: Any) -> Iterator[Difference]:
    """Docker leaves out what is empty or zero."""
    if isinstance(wanted, Mapping):
        there = found if isinstance(found, Mapping) else {}
        if key in _WHOLE:
            if any(there.get(name) != value for name, value in wanted.items()):
                yield Difference(_name(key), found, wanted)
            return
        inner = [
            one for name, value in wanted.items() for one in _compare(name, value, there.get(name))
        ]
        if inner and key in _TOGETHER:
            yield Difference(_name(key), found, wanted)
        else:
            yield from inner
    elif isinstance(wanted, list):
        if not _same_items(wanted, found or []):
            yield Difference(_name(key), found, wanted)
    elif wanted != found and (wanted or found):
        yield Difference(_name(key), found, wanted)


def _same_items(wanted: list[Any], found: list[Any]) -> bool:
    """Whether each has its counterpart, in whatever order."""
    left = list(found)
    for one in wanted:
        match = next((two for two in left if not list(_compare("", one, two))), None)
        if match is None:
            return False
        left.remove(match)
    return not left


def _name(key: str) -> str:
    """A key of the API as people say it."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).lower()
