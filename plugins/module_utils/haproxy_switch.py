# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decision of a switch: from the text on disk and the live state to a plan. No I/O.

The ``default_backend`` line on disk is the one truth. Where the frontend carries the map rule, an
entry in the running worker's map is its live mirror. A map without the entry does not tell which
default the worker loaded, so a missing entry is always a difference.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.bookface.platform.plugins.module_utils.haproxy_config import (
    DefaultBackend,
    Edit,
    MapRule,
    default_backend,
    find_backend,
    find_frontend,
    is_disabled,
    map_rules,
    parse,
    parse_map_file,
    set_default_backend,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy_runtime import (
    Info,
    Server,
    Stat,
)

NOTHING = "nothing"
MAP = "map"
RELOAD = "reload"


class SwitchError(Exception):
    """The switch must not be made. The message says what was found, wanted and what to do."""


@dataclass(frozen=True)
class Wanted:
    frontend: str
    backend: str
    engine: str = "auto"
    map: str | None = None


@dataclass(frozen=True)
class Disk:
    """The half of a plan that the text alone decides."""

    before: DefaultBackend
    edit: Edit
    rule: MapRule | None
    other_maps: tuple[str, ...]


@dataclass(frozen=True)
class Live:
    """The running worker. ``entries``: the map's values for the frontend, None without the map.

    ``stale``: the file changed after the worker had read it.
    """

    info: Info
    stat: Stat
    entries: tuple[str, ...] | None
    stale: bool


@dataclass(frozen=True)
class Plan:
    engine: str
    action: str
    disk: Disk
    map: str | None
    live_before: str | None
    reason: str
    warnings: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return self.disk.edit.changed or self.action != NOTHING

    @property
    def previous(self) -> str | None:
        """Where the traffic went, as far as it can be known."""
        return self.live_before or self.disk.before.name


@dataclass(frozen=True)
class Gate:
    """Whether enough servers of the target have passed a check."""

    backend: str
    known: bool
    required: int
    servers: tuple[Server, ...]

    @property
    def passed(self) -> int:
        return sum(server.passed for server in self.servers)

    @property
    def open(self) -> bool:
        return self.required <= 0 or self.passed >= self.required

    @property
    def undecided(self) -> bool:
        """Not open yet, but servers whose checks are still under way may open it."""
        waiting = sum(server.undecided and not server.passed for server in self.servers)
        return not self.open and self.passed + waiting >= self.required

    def refusal(self) -> str:
        if not self.known:
            return (
                f"the running HAProxy does not know backend '{self.backend}' yet (the file has "
                "it): its servers have passed no check. Reload HAProxy first, or set "
                "require_healthy to 0"
            )
        seen = "; ".join(
            f"{server.name} ({server.address or 'no address'}) status {server.status or 'none'}, "
            f"last check {server.check_status or 'none'}"
            for server in self.servers
        )
        return (
            f"backend '{self.backend}': {self.passed} of {len(self.servers)} servers have passed a "
            f"check, wanted at least {self.required}. Found: {seen or 'no servers'}. Repair the "
            "servers or their checks, or set require_healthy lower"
        )


def rule_text(path: str) -> str:
    """The line by which a frontend follows the map."""
    return f"use_backend %[fe_name,map({path})] if {{ fe_name,map({path}) -m found }}"


def plan_disk(text: str, wanted: Wanted) -> Disk:
    """What the text needs. Raises where the frontend or backend is unknown or unusable."""
    config = parse(text)
    section = find_frontend(config, wanted.frontend)
    target = find_backend(config, wanted.backend)
    if is_disabled(config, target):
        raise SwitchError(
            f"{target.title} is disabled (line {target.start + 1} on): HAProxy accepts such a "
            "default_backend and then ignores it. Remove 'disabled' from it first"
        )
    rules = map_rules(config, section)
    chosen = [rule for rule in rules if wanted.map is None or rule.path == wanted.map]
    return Disk(
        before=default_backend(config, wanted.frontend),
        edit=set_default_backend(config, wanted.frontend, wanted.backend),
        rule=chosen[0] if chosen else None,
        other_maps=tuple(rule.path for rule in rules if rule not in chosen),
    )


def check_map_file(path: str, text: str, frontend: str) -> None:
    """A map that is not empty on disk would overrule default_backend at the next reload."""
    values = [value for key, value in parse_map_file(text) if key == frontend]
    if values:
        raise SwitchError(
            f"the map file {path} holds an entry for '{frontend}' ({', '.join(values)}): after the "
            "next reload it would decide instead of default_backend. Remove the entry from the "
            "file; the live entry belongs in the running HAProxy only"
        )


def is_stale(changed_at: float, info: Info, now: float) -> bool:
    """Whether the file changed after the worker had started. HAProxy counts whole seconds."""
    started = info.started or int(now) - info.uptime
    return int(changed_at) > started


def _no_runtime(disk: Disk, live: Live, wanted: Wanted) -> str:
    """Why the runtime engine cannot serve here; empty where it can."""
    if disk.rule is None:
        if wanted.map is not None:
            found = ", ".join(disk.other_maps) or "none"
            return (
                f"frontend '{wanted.frontend}' has no rule with the map {wanted.map} (maps in its "
                f"rules: {found})"
            )
        return f"frontend '{wanted.frontend}' has no map rule"
    if live.entries is None:
        return f"the running HAProxy does not know the map {disk.rule.path}"
    if wanted.frontend not in live.stat.frontends:
        return f"the running HAProxy has no frontend '{wanted.frontend}'"
    if wanted.backend not in live.stat.backend_names:
        return f"the running HAProxy does not know backend '{wanted.backend}'"
    return ""


def plan_switch(disk: Disk, live: Live | None, wanted: Wanted) -> Plan:
    """The whole plan. ``live`` may be None for the file engine only."""
    path = disk.rule.path if disk.rule else None
    if wanted.engine == "file":
        return Plan("file", NOTHING, disk, path, None, "asked for")
    if live is None:
        raise SwitchError("the live state is unknown")
    obstacle = _no_runtime(disk, live, wanted)
    if wanted.engine == "runtime" and obstacle:
        remedy = (
            f"Put this line before default_backend: {rule_text('FILE')}"
            if disk.rule is None
            else "Reload HAProxy once so that it reads the file"
        )
        raise SwitchError(f"{obstacle}. {remedy}; or use engine auto or reload")
    # Several values cannot come from this module; whichever is obeyed, they are not in order.
    values = tuple(dict.fromkeys(live.entries or ()))
    entry = values[0] if len(values) == 1 and values[0] in live.stat.backend_names else None
    mirrored = values == (wanted.backend,)
    if wanted.engine == "runtime" or (wanted.engine == "auto" and not obstacle):
        action = MAP if disk.edit.changed or not mirrored else NOTHING
        reason = "the frontend follows the map"
        return Plan("runtime", action, disk, path, entry, reason)
    reason = "asked for" if wanted.engine == "reload" else obstacle
    overruled = bool(values) and not mirrored
    action = RELOAD if disk.edit.changed or live.stale or overruled else NOTHING
    before = entry
    if not values and not live.stale:
        before = disk.before.name
    return Plan("reload", action, disk, path, before, reason)


def judge_gate(stat: Stat, backend: str, required: int) -> Gate:
    return Gate(backend, backend in stat.backend_names, required, stat.servers_of(backend))


def choose_reload(master: bool, systemd: bool, parent: int | None) -> str:
    """How to reload: the master's socket reports best, then the service manager, then a signal."""
    if master:
        return "master"
    if systemd:
        return "systemd"
    if parent is not None:
        return "signal"
    raise SwitchError(
        "HAProxy cannot be reloaded: there is no master socket, no systemd, and the running worker "
        "has no master process (start HAProxy with -W, better with -W -S SOCKET), so nothing was "
        "changed"
    )
