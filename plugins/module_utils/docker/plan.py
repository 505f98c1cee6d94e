# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans daemon.json: what it will say, and what speaks against it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.docker import daemon
from ansible_collections.bookface.platform.plugins.module_utils.docker.daemon import (
    DaemonConfigError,
)
from ansible_collections.bookface.platform.plugins.module_utils.docker.ownership import (
    Record,
    adopt,
    nested,
    settings,
    settle,
)
from ansible_collections.bookface.platform.plugins.module_utils.docker.unit import Flag
from ansible_collections.bookface.platform.plugins.module_utils.docker.use import (
    DATA_ROOT,
    Use,
)

Config = Mapping[str, Any]

# Settings beside data-root that decide where an engine looks for its data, and what it does
# without them.
_PLACES: Mapping[tuple[str, ...], Any] = {
    ("storage-driver",): None,
    ("features", "containerd-snapshotter"): False,
    ("userns-remap",): "",
    ("containerd",): "",
    ("containerd-namespace",): "moby",
}


@dataclass(frozen=True)
class Request:
    """What the user wants: see the options of the module docker_daemon."""

    config: Config
    defaults: Config = field(default_factory=dict)
    swarm: bool = False
    abandon_data: bool = False
    prune: bool = True


@dataclass(frozen=True)
class Host:
    """What the host has: the files, the flags of the engine's unit, whether and how it is used."""

    path: str
    text: str = ""
    record: Record | None = None
    flags: Mapping[str, Flag] = field(default_factory=dict)
    installed: bool = True
    use: Use = field(default_factory=Use)


@dataclass(frozen=True)
class Plan:
    """The new content and its record; C(proposed) are defaults left out, C(reason) says why.

    C(reason) is empty for an engine that is not in use.
    """

    before: dict[str, Any]
    config: dict[str, Any]
    record: Record
    proposed: dict[str, Any]
    reason: str

    @property
    def changed(self) -> bool:
        return self.before != self.config


def plan(request: Request, host: Host) -> Plan:
    """Raises DaemonConfigError, about a host on which nothing was changed."""
    there = daemon.load(host.text)
    given = nested({p: v for p, v in settings(request.config).items() if v is not None})
    daemon.check(given, unknown=False)
    daemon.check_swarm(given, request.swarm)
    if given.get("live-restore") and host.use.swarm:
        raise DaemonConfigError(
            "live-restore is true, but this host is a node of a swarm, where the engine does not"
            " support it. Set docker_ce_swarm: true for the host, or let it leave the swarm"
        )
    config = dict(request.config)
    defaults = dict(request.defaults)
    if request.swarm:
        config = {"live-restore": False, **config}
    if host.use.swarm:
        defaults.pop("live-restore", None)
    record = host.record or adopt(host.text, there, defaults, config)
    record = record or Record(first=not host.installed)
    virgin = record.first and not host.use.foreign
    settled = settle(
        there,
        record,
        defaults,
        config,
        virgin=virgin,
        flags=host.flags,
        prune=request.prune,
    )
    made = Plan(
        before=there,
        config=settled.config,
        record=settled.record,
        proposed=settled.proposed,
        reason="" if virgin else _reason(host.use),
    )
    if made.changed:
        _check_flags(made.config, host)
        if not request.abandon_data:
            _check_data(made, host)
    return made


def _reason(use: Use) -> str:
    """Why an engine counts as in use."""
    return f"has {use.foreign}" if use.foreign else "ran before this role came"


def release(request: Request, host: Host) -> Plan:
    """What remains of the file if all that is ours goes; the data stay where they are."""
    nothing = replace(request, config={}, defaults={}, swarm=False, abandon_data=True)
    try:
        there = daemon.load(host.text)
    except DaemonConfigError:
        # None of it was written by us.
        return Plan({}, {}, Record(first=False), {}, "")
    config = {"live-restore": False, **request.config} if request.swarm else request.config
    record = host.record or adopt(host.text, there, request.defaults, config)
    return plan(nothing, replace(host, record=record or Record(first=False), flags={}))


def _check_flags(config: Config, host: Host) -> None:
    """Reject a key that is a flag of the engine, too: it would not start again."""
    elsewhere = host.flags.get("config-file")
    if elsewhere and elsewhere.value != host.path:
        raise DaemonConfigError(
            f"the engine does not read this file, but {elsewhere.value} ({elsewhere})."
            " Remove the flag, and move the settings of that file here"
        )
    for key in sorted(config):
        if key in host.flags:
            flag = host.flags[key]
            raise DaemonConfigError(
                f"{key} conflicts with {flag.text} {flag.value}".rstrip()
                + f" in {flag.where}: an engine that is given an option twice does not start."
                " Remove the flag there, or the key from docker_ce_daemon and this file"
            )


def _check_data(made: Plan, host: Host) -> None:
    """Reject what would hide containers, images and volumes from the engine."""
    use = host.use
    if not (use.all or use.swarm):
        return
    for name, old, new in _moved(made, host):
        what = [str(use.all)] if use.all else []
        what += ["its membership of a swarm"] if use.swarm else []
        raise DaemonConfigError(
            f"{name} would change from {old} to {new}, which hides from the engine what it has:"
            f" {' and '.join(what)}. Keep {name} as it is, in docker_ce_daemon or in this file. If"
            " all that may stay on the disk unseen, or if you move it yourself, set"
            " docker_ce_abandon_data: true"
        )


def _moved(made: Plan, host: Host) -> list[tuple[str, str, str]]:
    """Settings that decide where the engine looks for its data: name, old and new value."""
    use = host.use
    found = []
    before, after = data_root(made.before, host.flags), data_root(made.config, host.flags)
    # A file that was edited and not loaded says nothing about the engine that runs.
    if use.root:
        path = Path(use.root)
        is_range = path.name.replace(".", "", 1).isdigit() and "." in path.name
        before = str(path.parent if is_range else path)
    if Path(after).resolve() != Path(before).resolve():
        found.append(("data-root", before, after))
    running = {
        ("storage-driver",): use.driver or None,
        ("features", "containerd-snapshotter"): use.snapshotter,
        ("userns-remap",): "" if use.remapped is False else None,
    }
    old, new = settings(made.before), settings(made.config)
    for key, unset in _PLACES.items():
        was, will = old.get(key), new.get(key, unset)
        if was == new.get(key) or (will is not None and will == running.get(key)):
            continue
        # Without the key an engine stays with the driver of its data, unless that is vfs.
        if key == ("storage-driver",) and key not in new and was != "vfs":
            continue
        found.append((".".join(key), _shown(was if key in old else running.get(key)), _shown(will)))
    return found


def _shown(value: Any) -> str:
    return "the engine's default" if value in (None, "") else json.dumps(value).strip('"')


def data_root(config: Config, flags: Mapping[str, Flag]) -> str:
    """Where an engine with this configuration keeps its data."""
    flag = flags.get("data-root") or flags.get("graph")
    value = flag.value if flag else config.get("data-root") or config.get("graph")
    return str(value or DATA_ROOT)
