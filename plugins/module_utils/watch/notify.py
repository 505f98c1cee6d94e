# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages on their way: a limit for each hour, and an outbox for what did not arrive."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ansible_collections.bookface.platform.plugins.module_utils.watch.history import (
    History,
    Waiting,
)
from ansible_collections.bookface.platform.plugins.module_utils.watch.message import (
    Message,
    clock,
    limited,
)

HOUR = 3600.0
# Seconds until the next try after the first failure, then twice as long, and so on.
FIRST_WAIT, LONGEST_WAIT = 45.0, 900.0
# An outbox holds no more than this for each target, and nothing older.
MOST, OLDEST = 50, 24 * HOUR
# What a service has refused as often as this is not tried again: it keeps the next ones waiting.
MOST_REFUSALS = 5
# A message that arrives later than this says when it was written.
LATE = 300.0


@dataclass(frozen=True)
class Target:
    """A URL that messages go to. Nothing that is printed of it contains the URL."""

    number: int
    url: str = field(repr=False)

    @property
    def digest(self) -> str:
        """What the outbox knows it by."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]

    def __str__(self) -> str:
        """Its place in the list, and its kind if that is all there is before ``://``."""
        kind, found, _rest = self.url.partition("://")
        shown = kind if found and kind.isalnum() and len(kind) < 20 else "?"
        return f"notification {self.number} ({shown})"


@dataclass(frozen=True)
class Outcome:
    """How one sending ended; an error contains nothing of the URL."""

    ok: bool
    error: str = ""
    # Whether the service does not want it: the same message is refused again.
    refused: bool = False


Send = Callable[[Target, str, str], Outcome]


def targets_of(urls: Sequence[str]) -> list[Target]:
    """A target for each URL; one that is listed twice is one."""
    return [Target(number, url) for number, url in enumerate(dict.fromkeys(urls), 1)]


def accept(
    history: History,
    message: Message | None,
    targets: Sequence[Target],
    per_hour: int,
    now: float,
    down: Sequence[str],
) -> str:
    """Put a message into the outbox, or hold it back if the hour's limit is reached.

    Returns what was done, for the log. What was held back is counted by the next message, which is
    sent as soon as the limit allows, with C(down), the names of what is down by then.
    """
    if not targets:
        return ""
    recent = history.sent_since(now - HOUR)
    held = history.held()
    if len(recent) >= per_hour:
        if message is None:
            return ""
        history.hold(message, now)
        return f"held back, the limit of {per_hour} messages an hour is reached"
    if held:
        message = caught_up(message, held, per_hour, down)
    if message is None:
        return ""
    if len(recent) + 1 == per_hour:
        # The window is open again when the oldest of these messages is an hour old.
        free = ([*recent, now][0]) + HOUR
        note = (
            f"This is the last message before {clock(free)}: there are at most {per_hour} an hour."
        )
        message = Message(message.title, f"{message.body}\n{note}")
    history.send(message, [target.digest for target in targets], now)
    return "to be sent"


def caught_up(
    message: Message | None,
    held: Sequence[tuple[float, str]],
    per_hour: int,
    down: Sequence[str],
) -> Message:
    """A message that says what was held back since the last one."""
    count = f"{len(held)} {'message was' if len(held) == 1 else 'messages were'}"
    first = (
        f"HELD BACK: {count} held back since {clock(held[0][0])},"
        f" because there are at most {per_hour} an hour."
        f" Down now: {', '.join(down) or 'nothing'}."
    )
    title = message.title if message else f"{held[-1][1].partition(':')[0]}: {count} held back"
    lines = message.body.splitlines() if message else []
    return Message(title, limited([first, *lines]))


@dataclass(frozen=True)
class Delivery:
    """What one delivery has done."""

    sent: int = 0
    dropped: int = 0
    # A sentence for each target that did not take a message.
    failures: tuple[str, ...] = ()


def deliver(
    history: History,
    targets: Sequence[Target],
    send: Send,
    clock_now: Callable[[], float] = time.time,
    seconds: float = 45.0,
) -> Delivery:
    """Send what is due, for each target oldest first, until one fails or the time is over."""
    began = clock_now()
    digests = [target.digest for target in targets]
    dropped = history.drop(digests, began - OLDEST, MOST)
    sent, failures = 0, []
    for target in targets:
        for waiting in history.waiting(target.digest):
            now = clock_now()
            # Those behind one that waits wait, too: messages arrive in their order.
            if waiting.next_try > now or now > began + seconds:
                break
            outcome = send(target, *_words(waiting, now))
            if outcome.ok:
                history.delivered(waiting.id)
                sent += 1
                continue
            failure = f"{target}: {outcome.error}, at try {waiting.tries + 1}"
            if outcome.refused and waiting.tries + 1 >= MOST_REFUSALS:
                history.give_up(waiting.id)
                failures.append(f"{failure}; it is given up")
                continue
            failures.append(f"{failure}; it is tried again")
            wait = min(FIRST_WAIT * 2**waiting.tries, LONGEST_WAIT)
            history.failed(waiting.id, outcome.error, clock_now() + wait)
            break
    return Delivery(sent, dropped, tuple(failures))


def _words(waiting: Waiting, now: float) -> tuple[str, str]:
    late = f" (of {clock(waiting.time)})" if now - waiting.time > LATE else ""
    return waiting.title + late, waiting.body
