# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has changed between two looks, and what of it people are told. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ansible_collections.bookface.platform.plugins.module_utils.watch.report import (
    MACHINES,
    WATCH,
    Part,
    Report,
    Seen,
)

DOWN, STILL_DOWN, UP, MENDED, SWITCH, OVER, GONE, NOTE = (
    "down",
    "still_down",
    "up",
    "mended",
    "switch",
    "over",
    "gone",
    "note",
)


@dataclass(frozen=True)
class Settings:
    """When people are told."""

    # Looks in a row that must find a part down, or up again.
    after: int = 2
    # Seconds after which a part that is still down is named again; then after twice as long.
    still_down: float = 1800.0


@dataclass(frozen=True)
class Incident:
    """From the first look that did not find a part up to the first one that did again."""

    part: Part
    begin: float
    end: float | None
    state: str
    cause: str = ""
    # What was done, in order, each once in a row.
    actions: tuple[str, ...] = ()
    wanted: str = ""
    # How often heal.yml has tried to mend it.
    tries: int = 0


@dataclass(frozen=True)
class Known:
    """What is remembered of a part from one look to the next."""

    part: Part
    state: str
    first_seen: float
    last_seen: float
    # Whether it was ever up. Reports name some parts only while something is wrong with them.
    steady: bool = False
    # The one that has not ended yet.
    incident: Incident | None = None
    # Looks in a row that found it down, or, when it has recovered, up.
    looks: int = 0
    # First of the looks that found it up again.
    recovered: float | None = None
    # Whether people know that it is down.
    told: bool = False
    # When they are told that it still is.
    remind_at: float | None = None
    # When they were last told that it was mended, and how often it was since.
    mended_told: float | None = None
    mended_since: int = 0


@dataclass(frozen=True)
class Event:
    """One thing that people are told."""

    kind: str
    part: Part
    begin: float
    end: float | None = None
    state: str = ""
    cause: str = ""
    actions: tuple[str, ...] = ()
    wanted: str = ""
    tries: int = 0
    # How often it was mended since C(begin).
    times: int = 1


@dataclass(frozen=True)
class Changes:
    """What one look has changed."""

    events: tuple[Event, ...]
    known: Mapping[str, Known]
    # Those that have begun, gone on or ended.
    incidents: tuple[Incident, ...]
    active: Mapping[str, str] = field(default_factory=dict)


def seen(
    before: Mapping[str, Known],
    active: Mapping[str, str],
    report: Report,
    began: float,
    settings: Settings,
) -> Changes:
    """Compare a report with what is known from earlier looks."""
    now = report.time
    missing = _missing(before, report)
    hidden = [one for one in missing if _hidden(one, report)]
    results = [
        _look(before.get(one.part.id), one, began, now, settings)
        for one in (
            *report.parts,
            *(Seen(known.part, "unknown") for known in hidden),
            Seen(WATCH, "up"),
        )
    ]
    gone = [_gone(known, report) for known in missing if known not in hidden]
    switches = [
        Event(
            SWITCH, Part(host, host, "load_balancer", host), now, cause=active[host], state=backend
        )
        for host, backend in sorted(report.active.items())
        if active.get(host, backend) != backend
    ]
    return Changes(
        (
            *switches,
            *(event for _known, events, _incidents in [*results, *gone] for event in events),
        ),
        {known.part.id: known for known, _events, _incidents in results if known},
        tuple(one for _known, _events, incidents in [*results, *gone] for one in incidents),
        # A load balancer that could not be asked still serves from where it did.
        {**active, **report.active},
    )


def blind(
    before: Mapping[str, Known],
    active: Mapping[str, str],
    cause: str,
    began: float,
    now: float,
    settings: Settings,
) -> Changes:
    """A look that has seen nothing: the watch itself is down, and nothing else has changed."""
    found = Seen(WATCH, "down", cause)
    known, events, incidents = _look(before.get(WATCH.id), found, began, now, settings)
    return Changes(
        tuple(events),
        {**before, **({WATCH.id: known} if known else {})},
        tuple(incidents),
        active,
    )


Result = tuple["Known | None", list[Event], list[Incident]]


def _look(
    before: Known | None, found: Seen, began: float, now: float, settings: Settings
) -> Result:
    known = before or Known(found.part, found.state, now, now)
    known = replace(
        known,
        part=found.part,
        state=found.state,
        last_seen=now,
        steady=known.steady or found.state == "up",
    )
    if found.state != "up":
        return _not_up(known, found, now, settings)
    if known.incident:
        return _recovering(known, known.incident, found, now, settings)
    if found.action:
        # Found down and brought up within one look.
        incident = Incident(found.part, began, now, "down", found.cause, (found.action,))
        return _mended(known, incident, now, settings)
    return known, [], []


def _not_up(known: Known, found: Seen, now: float, settings: Settings) -> Result:
    incident = known.incident or Incident(found.part, now, None, found.state)
    incident = replace(
        incident,
        end=None,
        state=found.state,
        cause=found.cause or incident.cause,
        actions=_added(incident.actions, found.action),
        wanted=found.wanted,
        tries=max(incident.tries, found.tries),
    )
    # One look that found it up is forgotten.
    looks = known.looks + 1 if known.incident and known.recovered is None else 1
    known = replace(known, incident=incident, looks=looks, recovered=None)
    # A part that flaps is never down for that many looks in a row.
    if not known.told and (looks >= settings.after or now - incident.begin >= settings.still_down):
        first = incident.begin if now < incident.begin + settings.still_down else now
        known = replace(known, told=True, remind_at=first + settings.still_down)
        return known, [_event(DOWN, incident)], [incident]
    if known.told and known.remind_at is not None and now >= known.remind_at:
        known = replace(known, remind_at=now + max(now - incident.begin, settings.still_down))
        return known, [replace(_event(STILL_DOWN, incident), end=now)], [incident]
    return known, [], [incident]


def _recovering(
    known: Known, incident: Incident, found: Seen, now: float, settings: Settings
) -> Result:
    recovered = now if known.recovered is None else known.recovered
    looks = 1 if known.recovered is None else known.looks + 1
    incident = replace(
        incident, end=recovered, actions=_added(incident.actions, found.action), wanted=""
    )
    if looks < settings.after:
        return replace(known, incident=incident, looks=looks, recovered=recovered), [], [incident]
    if known.told:
        return _well(known), [_event(UP, incident)], [incident]
    if incident.actions:
        return _mended(known, incident, now, settings)
    # A short one, which nobody was told of, is in the history only.
    return _well(known), [], [incident]


def _mended(
    known: Known, incident: Incident, now: float, settings: Settings
) -> tuple[Known, list[Event], list[Incident]]:
    """People are told once; of what is mended again and again, how often, and not each time."""
    known = _well(known)
    since = known.mended_told
    if since is not None and now < since + settings.still_down:
        return replace(known, mended_since=known.mended_since + 1), [], [incident]
    event = replace(_event(MENDED, incident), times=known.mended_since + 1)
    if event.times > 1 and since is not None:
        event = replace(event, begin=since)
    return replace(known, mended_told=now, mended_since=0), [event], [incident]


def _well(known: Known) -> Known:
    return replace(known, incident=None, looks=0, recovered=None, told=False, remind_at=None)


def _gone(known: Known, report: Report) -> Result:
    now = report.time
    # A timer that somebody removed does not fail any more, and neither does it run.
    lost = [Event(GONE, known.part, now)] if _lost(known, report) else []
    if not known.incident:
        return None, lost, []
    incident = replace(known.incident, end=known.recovered or now, wanted="")
    return None, [_event(OVER, incident)] if known.told else lost, [incident]


def _lost(known: Known, report: Report) -> bool:
    """Whether it is a timer of a machine that is up, so one that the inventory still has."""
    return (
        known.steady
        and known.part.kind == "timer"
        and any(
            one.part.kind in MACHINES and one.part.host == known.part.host and one.state == "up"
            for one in report.parts
        )
    )


def _missing(before: Mapping[str, Known], report: Report) -> list[Known]:
    named = {one.part.id for one in report.parts} | {WATCH.id}
    return [known for name, known in sorted(before.items()) if name not in named]


def _hidden(known: Known, report: Report) -> bool:
    """Whether a missing part is there perhaps: something on its host keeps it from being seen.

    Without an engine nobody can ask for containers, and on a dead machine for anything.
    """
    host = known.part.host
    return known.steady and any(one.part.host == host and one.state != "up" for one in report.parts)


def _added(actions: tuple[str, ...], action: str) -> tuple[str, ...]:
    return actions if not action or actions[-1:] == (action,) else (*actions, action)


def _event(kind: str, incident: Incident) -> Event:
    return Event(
        kind,
        incident.part,
        incident.begin,
        incident.end,
        incident.state,
        incident.cause,
        incident.actions,
        incident.wanted,
        incident.tries,
    )


def down(known: Iterable[Known]) -> list[Known]:
    """Parts that people know to be down."""
    return [one for one in known if one.told]
