# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The administrative state of servers in a running HAProxy: reading it, and rules for changing it.

``show stat`` does not show it: a server that is down and drained is DOWN there. ``show servers
state`` has it as bits.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.rules import (
    ORIGIN_TARGET,
    default_backend,
    defaults_of,
    origin_rule,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import Server, Stat
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    BACKENDS,
    FRONTENDS,
    Config,
    HaproxyConfigError,
    Section,
    keyword,
    lines_of,
    printable,
    split_words,
)

READY = "ready"
DRAIN = "drain"
MAINT = "maint"

_FORCED_MAINT = 0x01
_FORCED_DRAIN = 0x08
_MAP = re.compile(r"map(?:_\w+)?\(([^(),\s]+)(?:,([^(),\s]+))?\)\]\Z")

# Entries of a map, by its path.
Entries = Callable[[str], Iterable[tuple[str, str]]]


class UnknownServerError(HaproxyError):
    """No backend has such a server."""

    reason = "no_such_server"


class TooFewServersError(HaproxyError):
    """A backend with traffic would keep too few servers."""

    reason = "too_few_servers"


@dataclass(frozen=True)
class Administered:
    """A server and its administrative state."""

    backend: str
    name: str
    state: str

    @property
    def title(self) -> str:
        return f"{self.backend}/{self.name}"


def parse_states(reply: str) -> tuple[Administered, ...] | None:
    """The reply to ``show servers state``, or None where it is something else."""
    lines = [line for line in reply.splitlines() if line.strip()]
    if len(lines) < 2 or lines[0].strip() != "1" or not lines[1].startswith("# be_id "):
        return None
    header = lines[1][2:].split(" ")
    found = []
    for line in lines[2:]:
        row = dict(zip(header, line.split(" ")))
        bits = row.get("srv_admin_state", "")
        if not bits.isdigit():
            return None
        if int(bits) & _FORCED_MAINT:
            state = MAINT
        else:
            state = DRAIN if int(bits) & _FORCED_DRAIN else READY
        found.append(Administered(row["be_name"], row["srv_name"], state))
    return tuple(found)


def choose(
    states: Collection[Administered], backend: str | None, name: str
) -> tuple[Administered, ...]:
    """The servers of this name: of one backend, or of all."""
    chosen = tuple(
        server for server in states if server.name == name and backend in (None, server.backend)
    )
    if chosen:
        return chosen
    near = [server.title for server in states if backend in (None, server.backend)] or [
        server.title for server in states
    ]
    shown = ", ".join(near[:50]) + (", ..." if len(near) > 50 else "")
    asked = name if backend is None else f"{backend}/{name}"
    raise UnknownServerError(f"there is no server {asked}; existing servers: {shown or 'none'}")


def backends_in_use(config: Config, entries: Entries) -> frozenset[str] | None:
    """The backends that get traffic now, by rules and live maps; None if inconclusive."""
    used: set[str] = set()
    for section in config.sections:
        if section.kind not in FRONTENDS:
            continue
        found = _targets(config, section, entries)
        if found is None:
            return None
        used |= found
    return frozenset(used)


def _targets(config: Config, section: Section, entries: Entries) -> set[str] | None:
    found = {section.name} if section.kind == "listen" else set()
    mirrored = False
    origin = origin_rule(config, section)
    for line in config.lines[section.start + 1 : section.end]:
        words = split_words(line) if keyword(line) == "use_backend" else ()
        if len(words) < 2:
            continue
        target = words[1].value
        if words[1].variable:
            return None
        if "%[" not in target:
            found.add(target)
            continue
        # During maintenance its servers may go: those who still reach them are working on them.
        if origin and target == ORIGIN_TARGET:
            continue
        by_map = _MAP.search(target)
        if by_map is None:
            return None
        live = tuple(entries(by_map.group(1)))
        # Our own map: an entry for the frontend replaces its default_backend.
        mine = target.startswith("%[fe_name,") and [
            value for key, value in live if key == section.name
        ]
        mirrored = mirrored or bool(mine)
        found |= set(mine or (value for _key, value in live))
        if by_map.group(2):
            found.add(by_map.group(2))
    if mirrored:
        return found
    try:
        default = default_backend(config, section)
    except HaproxyConfigError:
        return None
    if default.variable:
        return None
    return found | ({default.name} if default.name else set())


def check_others(
    stat: Stat,
    leaving: Collection[Administered],
    used: frozenset[str] | None,
    keep: int,
    unknown: str = "",
    remedy: str = "",
) -> None:
    """Enough servers must remain in each backend that gets traffic; in all if that is unknown."""
    if keep <= 0:
        return
    for server in leaving:
        if used is not None and server.backend not in used:
            continue
        names = [one.name for one in leaving if one.backend == server.backend]
        others = [other for other in stat.servers_of(server.backend) if other.name not in names]
        serving = [other for other in others if other.passed and not other.undecided]
        if len(serving) < keep:
            seen = ", ".join(f"{other.name} {other.status}" for other in others) or "none"
            gets = f"may get traffic ({unknown})" if unknown else "gets traffic"
            raise TooFewServersError(
                f"backend {server.backend} {gets}: without {', '.join(names)}, expected at least "
                f"{keep} other servers that pass their checks, got {len(serving)} (others: {seen})",
                remedy or "Bring another server up first, or lower keep",
            )


def persistence(config: Config, backend: str) -> str:
    """The line by which a backend sends a client to its server again; empty without one."""
    section = next(
        (one for one in config.sections if one.kind in BACKENDS and one.name == backend), None
    )
    if section is None:
        return ""
    defaults = defaults_of(config, section)
    for scope in (section, *([defaults] if defaults else [])):
        for number in lines_of(config, scope, ("cookie", "persist", "stick", "use-server")):
            line = config.lines[number]
            words = [word.value for word in split_words(line)]
            # Only stores what other rules look up.
            if words[:2] != ["stick", "store-response"]:
                return printable(" ".join(words))
    return ""


@dataclass(frozen=True)
class Load:
    """The requests that servers are answering now, and all that they got, over all workers."""

    current: int
    total: int


def load(stats: Iterable[Stat], servers: Collection[Administered]) -> Load:
    titles = {server.title for server in servers}
    found = [one for stat in stats for one in stat.servers if f"{one.backend}/{one.name}" in titles]
    return Load(
        sum(one.sessions_current for one in found), sum(one.sessions_total for one in found)
    )


class Quiet:
    """Whether servers are drained: no session, and no new one for some seconds."""

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self.now = now
        self.last: Load | None = None
        self.since = 0.0

    def missing(self, found: Load) -> str:
        """What is missing until they are; empty if nothing is."""
        new = found.total - self.last.total if self.last else 0
        if self.last is None or found.current or new:
            self.since = self.now()
        self.last = found
        if found.current:
            return f"sessions left: {found.current}"
        waited = self.now() - self.since
        if waited < self.seconds:
            return f"new sessions until {waited:.1f} s ago, expected none for {self.seconds:g} s"
        return ""


def not_serving(stat: Stat, servers: Collection[Administered]) -> tuple[Server, ...]:
    """Those of the servers whose checks have not passed, or have no result yet."""
    titles = {server.title for server in servers}
    return tuple(
        found
        for found in stat.servers
        if f"{found.backend}/{found.name}" in titles and (not found.passed or found.undecided)
    )
