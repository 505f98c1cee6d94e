# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a switch, from the file's text and the live state. No I/O.

The ``default_backend`` line on disk is the source of truth. Where the frontend has the map rule, an
entry in the running worker's map mirrors it. A map without the entry does not show which default
the worker loaded, so a missing entry is always a difference.

A gradual shift leaves the line unchanged. It exists only as further entries of the map, see
shift.py: the next reload ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.edit import (
    Edit,
    keep_default_backend,
    set_default_backend,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.origin import Origin
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.precedence import (
    DecidingRule,
    all_deciding,
    deciding_rules,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.record import (
    Move,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.rules import (
    DefaultBackend,
    MapRule,
    OriginRule,
    answers_alone,
    default_backend,
    follows_cohorts,
    is_disabled,
    is_unpublished,
    map_rules,
    mode,
    origin_rule,
    parse_map_file,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import (
    Info,
    Server,
    Stat,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.shift import (
    COHORTS,
    Entries,
    Shift,
    listed,
    mirror,
    own,
    under_way,
    wanted_entries,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    Config,
    Section,
    find_backend,
    find_frontend,
    lines_of,
    with_file,
)

NOTHING = "nothing"
MAP = "map"
RELOAD = "reload"


class SwitchError(HaproxyError):
    """The file, the running HAProxy or the parameters do not permit the switch."""

    reason = "unsuitable"


class UnhealthyError(SwitchError):
    """Too few servers of the target have passed a check."""

    reason = "unhealthy"


@dataclass(frozen=True)
class Wanted:
    frontend: str
    backend: str
    engine: str = "auto"
    map: str | None = None
    percent: int = COHORTS
    cookie: str = "cohort"

    @property
    def shift(self) -> Shift | None:
        """The share that goes to the backend; None where all clients go there."""
        return Shift(self.backend, self.percent) if self.percent < COHORTS else None


@dataclass(frozen=True)
class Disk:
    """The part of a plan that the file alone decides. ``after``: the new default.

    ``deciding``: the rules that decide before default_backend. ``origin``: the rule that looks up
    where a page's traffic came from. ``page``: whether the target answers by itself.
    """

    before: DefaultBackend
    after: str
    edit: Edit
    rule: MapRule | None
    other_maps: tuple[str, ...]
    deciding: tuple[DecidingRule, ...] = ()
    origin: OriginRule | None = None
    page: bool = False

    def keep_from(self, backend: str) -> tuple[DecidingRule, ...]:
        """The rules that may keep traffic from a backend."""
        return tuple(rule for rule in self.deciding if rule.backend != backend)


@dataclass(frozen=True)
class Reload:
    """How HAProxy can be reloaded: master (its socket), systemd, or signal (to ``pid``)."""

    method: str
    pid: int = 0


@dataclass(frozen=True)
class Live:
    """The running worker. ``entries``: those of the frontend, None if the worker has no such map.

    ``origins``: the same of the map of origins, empty where the frontend has no rule for it.
    ``stale``: the file changed after the worker had read it. ``reload``: None if impossible, for
    the reason ``unproved`` if that is known.
    """

    info: Info
    stat: Stat
    entries: Entries | None
    stale: bool
    reload: Reload | None = None
    unproved: str = ""
    origins: Entries | None = ()


@dataclass(frozen=True)
class Plan:
    wanted: Wanted
    engine: str
    action: str
    disk: Disk
    map: str | None
    live_before: str | None
    reason: str
    entries: Entries = ()
    shift_before: Shift | None = None

    @property
    def changed(self) -> bool:
        return self.disk.edit.changed or self.action != NOTHING

    @property
    def previous(self) -> str | None:
        """Where the traffic went, as far as that is known."""
        return self.live_before or self.disk.before.name

    @property
    def move(self) -> Move | None:
        """What a rollback undoes; None where no traffic is moved, or its source is unknown."""
        if not self.changed or self.previous in (None, self.wanted.backend):
            return None
        return Move(self.previous or "", self.wanted.backend)

    def way_back(self, entries: Entries) -> Entries:
        """The live entries after a failed switch: those from before, and always a mirror.

        Meanwhile a worker may have read the new file, so its default is uncertain.
        """
        if self.previous is None or mirror(entries, self.wanted.frontend):
            return entries
        return (*wanted_entries(self.wanted.frontend, self.previous), *entries)

    @property
    def gated(self) -> bool:
        """Whether the gate applies. A backend may always lose clients, healthy or not."""
        shift, before = self.wanted.shift, self.shift_before
        grows = (
            shift is None
            or before is None
            or shift.backend != before.backend
            or shift.percent > before.percent
        )
        return self.changed and grows


@dataclass(frozen=True)
class Gate:
    """Whether enough servers of the target have passed a check.

    Backup servers do not count: they stand in for others, and a backend that has only these left
    must not get the traffic.
    """

    backend: str
    known: bool
    required: int
    servers: tuple[Server, ...]

    @property
    def passed(self) -> int:
        return sum(server.passed and not server.backup for server in self.servers)

    @property
    def open(self) -> bool:
        return self.required <= 0 or self.passed >= self.required

    @property
    def undecided(self) -> bool:
        """Not open yet, but servers whose checks have no result yet may open it."""
        waiting = sum(
            server.undecided and not server.passed and not server.backup for server in self.servers
        )
        return not self.open and self.passed + waiting >= self.required

    def refusal(self) -> UnhealthyError:
        if not self.known:
            return UnhealthyError(
                f"the running HAProxy has not loaded backend '{self.backend}' from the file yet, "
                "so none of its servers has passed a check",
                "Reload HAProxy first, or set require_healthy to 0",
            )
        seen = "; ".join(
            f"{server.name} ({server.address or 'no address'}) status {server.status or 'none'}, "
            f"last check {server.check_status or 'none'}"
            f"{', a backup server, which does not count' if server.backup else ''}"
            for server in self.servers
        )
        return UnhealthyError(
            f"backend '{self.backend}': {self.passed} of {len(self.servers)} servers have passed a "
            f"check, expected at least {self.required} (servers: {seen or 'none'})",
            "Repair the servers or their checks, or lower require_healthy",
        )


def rule_text(path: str) -> str:
    """The rule by which a frontend follows the map."""
    return f"use_backend %[fe_name,map({path})] if {{ fe_name,map({path}) -m found }}"


def cohort_text(path: str, cookie: str) -> str:
    """The rules by which a frontend can also send a share of its clients elsewhere."""
    key = f"var(txn.cohort_key),map({path})"
    here, sent = "{ var(txn.cohort) -m found }", "{ var(txn.cohort_sent) -m found }"
    return "\n".join(
        (
            f"acl shifting fe_name,concat(/0),map({path}) -m found",
            "http-request set-var(txn.cohort) src,xxh32,mod(100) if shifting",
            # Not -m int, which reads any word as 0 and 7x as 7.
            f"http-request set-var(txn.cohort_sent) req.cook({cookie}) if {here} "
            f"{{ req.cook({cookie}) -m reg ^([0-9]|[1-9][0-9])$ }}",
            f"http-request set-var(txn.cohort) var(txn.cohort_sent) if {sent}",
            f"http-request set-var(txn.cohort_key) fe_name,concat(/,txn.cohort) if {here}",
            f'http-after-response add-header Set-Cookie "{cookie}=%[var(txn.cohort)]; Path=/; '
            f'HttpOnly; SameSite=Lax" if {here} !{sent}',
            f"use_backend %[{key}] if {{ {key} -m found }}",
            rule_text(path),
        )
    )


def plan_disk(config: Config, section: Section, wanted: Wanted) -> Disk:
    """The change of the file. Raises where the frontend or backend cannot be used."""
    target = find_backend(config, wanted.backend)
    if is_disabled(config, target):
        raise SwitchError(
            f"{target.title} is disabled (section at line {config.place(target.start)}): HAProxy "
            "accepts such a default_backend and then ignores it",
            "Remove 'disabled' from the section first",
        )
    if is_unpublished(config, target):
        raise SwitchError(
            f"{target.title} is unpublished (section at line {config.place(target.start)}): "
            "HAProxy ignores the rules that select it after each start and reload",
            "Remove 'be-unpublished' from the section first",
        )
    page = answers_alone(config, target)
    rules = map_rules(config, section)
    chosen = [rule for rule in rules if wanted.map is None or rule.path == wanted.map]
    before = default_backend(config, section)
    rule = chosen[0] if chosen else None
    deciding = deciding_rules(config, section, rule)
    _check_way_back(config, section, before)
    if before.name != wanted.backend:
        _check_decides(section, wanted, all_deciding(deciding))
    if wanted.shift is None:
        after, edit = wanted.backend, set_default_backend(config, section, wanted.backend)
    else:
        _check_page(wanted, page)
        _check_shift(wanted, before)
        _check_shift_rules(config, section, wanted, rule)
        after, edit = before.name or "", keep_default_backend(config, section)
    other_maps = tuple(rule.path for rule in rules if rule not in chosen)
    origin = origin_rule(config, section)
    return Disk(before, after, edit, rule, other_maps, deciding, origin, page)


def _check_way_back(config: Config, section: Section, before: DefaultBackend) -> None:
    """Whether the traffic could be sent back to where it goes now."""
    if before.variable:
        raise SwitchError(
            f"the default_backend of {section.title} is computed ({before.name}), so the switch "
            "could not be rolled back",
            "Write the name of the backend that has the traffic instead",
        )
    servers = lines_of(config, section, ("server", "server-template", "dispatch"))
    if before.name is None and servers:
        raise SwitchError(
            f"{section.title} has servers of its own and no default_backend, so the switch could "
            "not be rolled back",
            "Move its servers into a backend and name that in a default_backend line",
        )


def _check_decides(section: Section, wanted: Wanted, rules: tuple[DecidingRule, ...]) -> None:
    """Whether any traffic would follow the switch."""
    if rules:
        raise SwitchError(
            f"a switch to {wanted.backend} would move no traffic: in {section.title} HAProxy never "
            "reaches default_backend, because every request is handled by "
            f"{' and '.join(rule.title for rule in rules)}",
            "Make the backend that these lines name the default_backend and delete them, give them "
            "a condition, or name the frontend that has the traffic",
        )


def _check_page(wanted: Wanted, page: bool) -> None:
    """A share of the clients of a page would be sent away."""
    if page:
        raise SwitchError(
            f"percent is {wanted.percent}, but backend '{wanted.backend}' has no servers: it "
            "answers by itself, for all clients or for none",
            "Set percent to 100",
        )


def _check_shift(wanted: Wanted, before: DefaultBackend) -> None:
    """Whether the parameters and the file permit a gradual shift."""
    share = f"percent is {wanted.percent}"
    if wanted.engine in ("file", "reload"):
        raise SwitchError(
            f"{share}, which requires engine runtime or auto, got {wanted.engine}: a gradual shift "
            "exists only in the map of the running HAProxy",
            "Set engine to auto, or percent to 100",
        )
    if before.name is None:
        raise SwitchError(
            f"{share}, which requires a default_backend of frontend '{wanted.frontend}' for the "
            "other clients, got none",
            "Switch to a backend without percent first",
        )
    if before.name == wanted.backend:
        raise SwitchError(
            f"{share}, but backend '{wanted.backend}' is already the default_backend of frontend "
            f"'{wanted.frontend}', which gets the other clients",
            "Name another backend, or end the shift with this one and percent 100",
        )


def _check_shift_rules(
    config: Config, section: Section, wanted: Wanted, rule: MapRule | None
) -> None:
    """Whether the frontend has the rules of a gradual shift."""
    share = f"percent is {wanted.percent}"
    if mode(config, section) == "tcp":
        raise SwitchError(
            f"{share}, but {section.title} is in TCP mode, where HAProxy cannot recognize clients "
            "by a cookie",
            "Set percent to 100, or set 'mode http' in the section",
        )
    if rule is None or not follows_cohorts(config, section, rule):
        path = rule.path if rule else wanted.map or "FILE"
        raise SwitchError(
            f"{share}, but {section.title} has no rules for a gradual shift",
            "Add these lines before its default_backend, in this order (the last one may exist "
            f"already):\n{cohort_text(path, wanted.cookie)}\nThen reload HAProxy once",
        )


def check_map_file(path: str, text: str, frontend: str) -> None:
    """An entry in the map file would override default_backend at the next reload."""
    found = own(parse_map_file(text), frontend)
    if found:
        raise SwitchError(
            f"the map file {path} has an entry for '{frontend}' ({listed(found)}), which would "
            "override default_backend at the next reload",
            "Remove the entry from the file; entries belong in the running HAProxy only",
        )


def is_stale(changed_at: float, info: Info, now: float) -> bool:
    """Whether the file changed after the worker had started. HAProxy counts whole seconds."""
    started = info.started or int(now) - info.uptime
    return int(changed_at) > started


def _no_runtime(disk: Disk, live: Live, wanted: Wanted) -> str:
    """Why the runtime engine cannot be used; empty where it can."""
    if disk.rule is None:
        if wanted.map is not None:
            found = ", ".join(disk.other_maps) or "none"
            return (
                f"frontend '{wanted.frontend}' has no rule with the map {wanted.map} (maps in its "
                f"rules: {found})"
            )
        return f"frontend '{wanted.frontend}' has no map rule"
    for rule in disk.deciding:
        if rule.ends and rule.line < disk.rule.line:
            return f"HAProxy does not evaluate the map rule after {rule.title}"
    if live.entries is None:
        return f"the running HAProxy has not loaded the map {disk.rule.path}"
    if disk.origin and live.origins is None:
        return f"the running HAProxy has not loaded the map {disk.origin.path}"
    if wanted.frontend not in live.stat.frontends:
        return f"the running HAProxy has no frontend '{wanted.frontend}'"
    if wanted.backend not in live.stat.backend_names:
        return f"the running HAProxy has no backend '{wanted.backend}'"
    return ""


def plan_switch(disk: Disk, live: Live | None, wanted: Wanted) -> Plan:
    """The whole plan. ``live`` may be None for the file engine only."""
    path = disk.rule.path if disk.rule else None
    if wanted.engine == "file":
        return Plan(wanted, "file", NOTHING, disk, path, None, "asked for")
    if live is None:
        raise SwitchError("the live state is unknown")
    obstacle = _no_runtime(disk, live, wanted)
    if wanted.engine == "runtime" and obstacle:
        remedy = (
            f"Add this line before default_backend: {rule_text('FILE')}"
            if disk.rule is None
            else "Reload HAProxy once so that it reads the file"
        )
        raise SwitchError(obstacle, f"{remedy}; or set engine to auto or reload")
    entries = live.entries or ()
    target = wanted_entries(wanted.frontend, disk.after, wanted.shift)
    # This module never writes several values, so whichever applies, they have to be corrected.
    values = mirror(entries, wanted.frontend)
    entry = values[0] if len(values) == 1 and values[0] in live.stat.backend_names else None
    shift_before = under_way(entries, wanted.frontend, entry or disk.before.name)
    if wanted.shift is not None:
        _check_live_shift(disk, live, wanted, obstacle, values)
    as_wanted = set(entries) == set(target)
    if wanted.engine == "runtime" or (wanted.engine == "auto" and not obstacle):
        action = MAP if disk.edit.changed or not as_wanted else NOTHING
        reason = "the frontend follows the map"
        return Plan(wanted, "runtime", action, disk, path, entry, reason, target, shift_before)
    reason = "asked for" if wanted.engine == "reload" else obstacle
    overruled = bool(entries) and not as_wanted
    action = RELOAD if disk.edit.changed or live.stale or overruled else NOTHING
    if action == RELOAD and live.reload is None:
        why = live.unproved or "the running worker has no master process"
        raise SwitchError(
            f"HAProxy cannot be reloaded: there is no master socket, no systemd, and {why}",
            "Start HAProxy in master-worker mode (-W), preferably with a master socket (-S). If it "
            "is in a container, share that socket and set master_socket",
        )
    before = entry
    if not values and not live.stale:
        before = disk.before.name
    return Plan(wanted, "reload", action, disk, path, before, reason, (), shift_before)


def _check_live_shift(
    disk: Disk, live: Live, wanted: Wanted, obstacle: str, values: tuple[str, ...]
) -> None:
    """Whether the running HAProxy permits a shift, and agrees with the file."""
    if obstacle:
        raise SwitchError(
            f"percent is {wanted.percent}, but {obstacle}",
            "Reload HAProxy once so that it reads the file",
        )
    followed = values == (disk.after,) or (not values and not live.stale)
    if not followed:
        raise SwitchError(
            f"the file names '{disk.after}' as default_backend, but the running HAProxy "
            f"{_follows(values)}, so it is uncertain which backend would keep the other clients",
            f"Switch to '{disk.after}' without percent first",
        )


def _follows(values: tuple[str, ...]) -> str:
    if values:
        return f"follows {', '.join(values)}"
    return "has no entry for the frontend and started before the file was changed"


def check_published(plan: Plan, stat: Stat, socket: str) -> None:
    """Whether the running HAProxy would follow the switch. A reload publishes every backend."""
    backend = plan.wanted.backend
    moves = plan.gated and plan.previous != backend
    if moves and plan.action != RELOAD and backend in stat.unpublished:
        raise SwitchError(
            f"the switch would move no traffic: backend '{backend}' is unpublished in the running "
            "HAProxy, which ignores the rules that select it",
            f"Run 'publish backend {backend}' on {socket} first",
        )


def judge_gate(stat: Stat, backend: str, required: int) -> Gate:
    return Gate(backend, backend in stat.backend_names, required, stat.servers_of(backend))


def choose_reload(master: bool, systemd: bool, parent: int | None) -> Reload | None:
    """The master socket reports most, then the service manager; a signal reports nothing."""
    if master:
        return Reload("master")
    if systemd:
        return Reload("systemd")
    return Reload("signal", parent) if parent is not None else None


@dataclass(frozen=True)
class Switch:
    """One of the frontends that are switched together."""

    wanted: Wanted
    live: Live | None
    plan: Plan
    origin: Origin | None = None

    @property
    def changed(self) -> bool:
        return self.plan.changed or (self.origin is not None and self.origin.changed)


def edit_all(config: Config, disks: Sequence[Disk], wanted: Sequence[Wanted]) -> str | None:
    """The file with the edits of all frontends, which it has; None if nothing changes."""
    changing = [(disk, one) for disk, one in zip(disks, wanted) if disk.edit.changed]
    if not changing:
        return None
    if len(changing) == 1:
        return changing[0][0].edit.text
    # Each line that is replaced or added is within its frontend, so the last one goes first.
    lines = config
    text = ""
    for disk, one in sorted(changing, key=lambda pair: -pair[0].edit.line):
        edit = set_default_backend(lines, find_frontend(lines, one.frontend), disk.after)
        text = edit.text
        lines = with_file(lines, edit.file, text)
    return text


def plan_together(
    disks: Sequence[Disk], lives: Sequence[Live | None], wanted: Sequence[Wanted]
) -> tuple[Switch, ...]:
    """The plans of all frontends. If one follows no map, all are reloaded together."""
    given = list(zip(disks, lives, wanted))
    plans = [plan_switch(disk, live, one) for disk, live, one in given]
    if len({plan.engine for plan in plans}) > 1:
        plans = [
            plan_switch(disk, live, replace(one, engine="reload")) for disk, live, one in given
        ]
    return tuple(Switch(one, live, plan) for (_disk, live, one), plan in zip(given, plans))
