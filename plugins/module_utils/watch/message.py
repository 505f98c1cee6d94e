# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people read: events in plain English, one message for all of a look. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from ansible_collections.bookface.platform.plugins.module_utils.watch import changes
from ansible_collections.bookface.platform.plugins.module_utils.watch.changes import Event
from ansible_collections.bookface.platform.plugins.module_utils.watch.report import (
    MACHINES,
    WATCH,
    Part,
)

# The smallest limit of the services that a message may go to is Discord's, 2,000 characters.
LONGEST = 1700
LONGEST_LINE = 400

KINDS = {
    "swarm_node": "swarm node",
    "swarm_service": "swarm service",
    "load_balancer": "load balancer",
}
ACTIONS = {
    "started": "was started",
    "resumed": "was resumed",
    "activated": "was activated",
    "switched": "the traffic was switched",
}
# In the order of the message: what asks for somebody comes first.
HEADLINES = {
    changes.DOWN: "DOWN",
    changes.STILL_DOWN: "STILL DOWN",
    changes.SWITCH: "SWITCH",
    changes.MENDED: "MENDED",
    changes.UP: "UP AGAIN",
    changes.OVER: "OVER",
    changes.GONE: "GONE",
    changes.NOTE: "NOTE",
}
COUNTS = {
    changes.DOWN: "down",
    changes.STILL_DOWN: "still down",
    changes.SWITCH: "switched",
    changes.MENDED: "mended",
    changes.UP: "up again",
    changes.OVER: "over",
    changes.GONE: "gone",
    changes.NOTE: "to note",
}
# What is said of parts that something else on their host hides.
HIDDEN = {
    changes.DOWN: "cannot be seen",
    changes.STILL_DOWN: "cannot be seen",
    changes.UP: "can be seen again",
}


@dataclass(frozen=True)
class Message:
    """A title of one line, and a body of some."""

    title: str
    body: str


def compose(site: str, events: Sequence[Event]) -> Message | None:
    """One message for all events; none if nothing happened."""
    if not events:
        return None
    shown, hidden = _collapsed(events)
    order = list(HEADLINES)
    shown.sort(key=lambda event: order.index(event.kind))
    lines = [shortened(line(event), LONGEST_LINE) + hidden.get(event, "") for event in shown]
    return Message(f"{site}: {headline(shown)}", limited(lines))


def headline(events: Sequence[Event]) -> str:
    """The title's words about these events."""
    if len(events) == 1:
        return _alone(events[0])
    kinds = [event.kind for event in events]
    return ", ".join(f"{kinds.count(kind)} {COUNTS[kind]}" for kind in HEADLINES if kind in kinds)


def _alone(event: Event) -> str:
    if event.kind == changes.SWITCH:
        return f"{event.part.name} serves from {event.state}"
    if event.kind == changes.NOTE:
        return "a note of the watch"
    if event.part == WATCH and event.kind != changes.UP:
        return "the watch is blind" + (" still" if event.kind == changes.STILL_DOWN else "")
    what = {
        changes.DOWN: _is(event),
        changes.STILL_DOWN: f"{_is(event)} still",
        changes.UP: "is up again",
        changes.MENDED: "was mended",
        changes.OVER: "is no longer reported",
        changes.GONE: "is gone",
    }
    return f"{named(event.part)} {what[event.kind]}"


def _is(event: Event) -> str:
    if event.state == "unknown":
        return "cannot be seen"
    return "has failed" if event.part.kind == "timer" else "is down"


def named(part: Part) -> str:
    """A part as people call it."""
    if part == WATCH:
        return "the watch"
    kind = KINDS.get(part.kind, part.kind)
    where = f" on {part.host}" if part.host and part.host != part.name else ""
    return f"{kind} {part.name}{where}"


def line(event: Event) -> str:
    """All that is known of one event."""
    head = HEADLINES[event.kind]
    if event.kind == changes.SWITCH:
        return f"{head}: {event.part.name} serves from {event.state}, it was {event.cause}."
    if event.kind == changes.NOTE:
        return f"{head}: {event.cause}"
    if event.kind in (changes.DOWN, changes.STILL_DOWN):
        return f"{_down_head(event)}: {_what(event)}{_rest(event)}"
    name = named(event.part)
    if event.kind == changes.GONE:
        return f"{head}: {name}. It was removed or disabled; its machine is up."
    until = event.end if event.end is not None else event.begin
    if event.kind == changes.MENDED:
        if event.times > 1:
            return f"{head}: {name}, {event.times} times since {clock(event.begin)}{_rest(event)}"
        return f"{head}: {name}{_rest(event)}"
    over = "" if event.kind == changes.UP else ". It is no longer reported"
    return f"{head}: {name}, after {duration(until - event.begin)}{over}{_rest(event)}"


def _down_head(event: Event) -> str:
    if event.part == WATCH:
        return "BLIND" if event.kind == changes.DOWN else "STILL BLIND"
    if event.state == "unknown":
        return "UNKNOWN" if event.kind == changes.DOWN else "STILL UNKNOWN"
    if event.part.kind == "timer":
        return "FAILED" if event.kind == changes.DOWN else "STILL FAILING"
    return HEADLINES[event.kind]


def _what(event: Event) -> str:
    since = f"since {clock(event.begin)}"
    if event.kind == changes.STILL_DOWN and event.end is not None:
        since = f"for {duration(event.end - event.begin)}, {since}"
    if event.part == WATCH:
        return f"nobody knows how the platform is, {since}"
    return f"{named(event.part)}, {since}"


def _rest(event: Event) -> str:
    """Cause, what was done, what is left to do, as the end of a sentence and more of them."""
    # Of what is over, the cause is no longer how it is.
    before = ": " if event.kind in (changes.DOWN, changes.STILL_DOWN) else ". Cause: "
    parts = [f"{before}{event.cause.rstrip('.')}." if event.cause else "."]
    if event.actions:
        done = [ACTIONS.get(action, action) for action in event.actions]
        parts.append(
            f"It {', '.join(done)}." if done[0].startswith("was") else f"Done: {', '.join(done)}."
        )
    if event.tries and event.kind in (changes.DOWN, changes.STILL_DOWN):
        parts.append(f"Tried {event.tries} time{'s' if event.tries > 1 else ''}.")
    if event.wanted:
        parts.append(f"To do: {event.wanted.rstrip('.')}.")
    return " ".join(parts)


def _collapsed(events: Sequence[Event]) -> tuple[list[Event], dict[Event, str]]:
    """The events without those of parts that another one hides, which are counted beside that."""
    shown = [event for event in events if not _follows(event)]
    first = {(event.kind, event.part.host): event for event in reversed(shown)}
    machines = {
        (event.kind, event.part.host): event for event in shown if event.part.kind in MACHINES
    }
    leading = first | machines
    hidden: Counter[Event] = Counter()
    for event in events:
        if not _follows(event):
            continue
        leader = leading.get((event.kind, event.part.host))
        if leader:
            hidden[leader] += 1
        else:
            # What hides it was told before.
            shown.append(event)
    words = {
        event: f" {count} part{'s' if count > 1 else ''} on the same host {HIDDEN[event.kind]}."
        for event, count in hidden.items()
    }
    return shown, words


def _follows(event: Event) -> bool:
    """Whether a part is unknown only because something else on its host is not up."""
    return event.kind in HIDDEN and event.state == "unknown" and not event.cause


def limited(lines: Iterable[str]) -> str:
    """As many lines as a message takes."""
    taken: list[str] = []
    left = list(lines)
    while left and sum(map(len, taken)) + len(taken) + len(left[0]) <= LONGEST:
        taken.append(left.pop(0))
    if left:
        taken.append(f"... and {len(left)} more: bookface-watch history shows all.")
    return "\n".join(taken)


def shortened(text: str, longest: int) -> str:
    """The beginning of a text that is too long."""
    return text if len(text) <= longest else text[: longest - 4] + " ..."


def clock(time: float) -> str:
    """A time of day, in UTC: readers and hosts need not share a zone."""
    return datetime.fromtimestamp(time, timezone.utc).strftime("%H:%M UTC")


def duration(seconds: float) -> str:
    """About how long."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
