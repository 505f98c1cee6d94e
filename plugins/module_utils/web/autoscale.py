# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many tasks a service needs, by what its load balancers count.

The rule is that of Kubernetes' HorizontalPodAutoscaler: each measurement proposes a number in
proportion to its target, the largest wins, small deviations count for nothing, and fewer tasks are
chosen only if fewer have been enough for a while.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

# A measurement this close to its target changes nothing.
TOLERANCE = 0.1
# HAProxy's response time is a mean of its last 1,024 requests: without new ones it is an old one.
ENOUGH_REQUESTS = 10
# Seconds after which a look is too old to be compared with.
OLD = 600
# Looks that are kept, of the present one and of those before.
KEPT = 720


@dataclass(frozen=True)
class Settings:
    """C(requests): how many per second one task is to answer. C(response_ms): 0 if it is not to be
    considered. C(up_after): seconds between two increases. C(down_after): seconds for which fewer
    tasks must have been enough.
    """

    minimum: int
    maximum: int
    requests: float
    response_ms: float = 0.0
    up_after: float = 15.0
    down_after: float = 300.0


@dataclass(frozen=True)
class Count:
    """What one load balancer has counted for the service since its worker began.

    C(requests) were received, C(queued) wait for a task, C(response_ms) is the mean response time.
    """

    worker: str
    uptime: float
    requests: int
    queued: int
    response_ms: float


@dataclass(frozen=True)
class Look:
    """One look at the service, and what was decided. C(time) is Unix time in seconds."""

    time: float
    counts: Mapping[str, Count]
    replicas: int
    # Requests per second since the look before. None for the first one.
    rate: float | None = None
    # How many tasks this look alone would choose, how many there are now, and why.
    proposed: int = 0
    chosen: int = 0
    why: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "proposed", self.proposed or self.replicas)
        object.__setattr__(self, "chosen", self.chosen or self.replicas)

    @property
    def changed(self) -> bool:
        return self.chosen != self.replicas


@dataclass(frozen=True)
class Proposal:
    """A number of tasks, and why."""

    replicas: int
    why: str


def counts(
    results: Iterable[Mapping[str, Any]], found: Iterable[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """From results of haproxy_info and the service's servers in them to Counts, as data."""
    by_name = {result["item"]: result for result in results if result.get("backends")}
    counted: dict[str, dict[str, Any]] = {}
    for place in found:
        result = by_name[place["loadbalancer"]]
        backend = result["backends"][place["backend"]]
        servers = [one for one in backend["servers"] if one["name"] in place["servers"]]
        # One that is down keeps its last time for ever.
        times = [one["response_ms"] for one in servers if one["sessions_total"] and one["passed"]]
        count = Count(
            worker=f"{result['pid']}@{result['started']}",
            uptime=result["uptime_seconds"],
            requests=sum(one["sessions_total"] for one in servers),
            # What waits for any server of the backend waits for ours, if it has no others.
            queued=sum(one["queued"] for one in servers)
            + (backend["queued"] if len(servers) == len(backend["servers"]) else 0),
            response_ms=sum(times) / len(times) if times else 0.0,
        )
        # The service may be the target of several backends of one load balancer.
        name = f"{place['loadbalancer']}/{place['backend']}"
        counted[name] = asdict(count)
    return counted


def rate(now: Look, before: Look) -> float:
    """Requests per second between two looks. A worker that is new counts from its beginning."""
    seconds = now.time - before.time
    total = 0.0
    for name, count in now.counts.items():
        earlier = before.counts.get(name)
        if earlier and earlier.worker == count.worker:
            total += max(0, count.requests - earlier.requests)
        elif count.uptime > 0:
            total += count.requests * min(1.0, seconds / count.uptime)
    return total / seconds


def propose(look: Look, before: Look, given: Settings) -> Proposal:
    """The number of tasks that this look alone would choose, regardless of bounds."""
    served = look.rate or 0.0
    proposals = [
        _in_proportion(
            look.replicas,
            served / look.replicas,
            given.requests,
            f"{served:.1f} requests/s, {given.requests:g} per task",
        )
    ]
    # A load balancer without new requests shows the time of those before.
    response = max(
        (
            one.response_ms
            for name, one in look.counts.items()
            if name not in before.counts or before.counts[name].requests != one.requests
        ),
        default=0.0,
    )
    if given.response_ms and served * (look.time - before.time) >= ENOUGH_REQUESTS:
        why = f"responses take {response:.0f} ms, {given.response_ms:g} ms are the target"
        proposals.append(_in_proportion(look.replicas, response, given.response_ms, why))
    queued = sum(one.queued for one in look.counts.values())
    if queued:
        proposals.append(Proposal(look.replicas + 1, f"{queued} requests are queued"))
    return max(proposals, key=lambda one: one.replicas)


def _in_proportion(replicas: int, value: float, target: float, why: str) -> Proposal:
    ratio = value / target
    if abs(ratio - 1) <= TOLERANCE:
        return Proposal(replicas, why)
    return Proposal(math.ceil(round(replicas * ratio, 6)), why)


def decide(
    now: float,
    counted: Mapping[str, Count],
    replicas: int,
    history: Sequence[Look],
    given: Settings,
    partial: bool = False,
) -> Look:
    """What this look chooses.

    With C(partial) a load balancer did not answer: its requests are unknown, so fewer tasks are
    never chosen.
    """
    past = [one for one in history if one.time < now]
    if past and now - past[-1].time > max(given.down_after, OLD):
        # Somebody has looked elsewhere, or not at all: a mean of hours says nothing about now.
        past = []
    before = past[-1] if past else None
    look = Look(now, counted, replicas)
    if before is None:
        chosen = _bounded(replicas, given)
        why = "the first look, which only counts"
        return replace(look, proposed=chosen, chosen=chosen, why=why)
    look = replace(look, rate=rate(look, before))
    proposal = propose(look, before, given)
    proposed = _bounded(proposal.replicas, given)
    chosen, waits = _patiently(look, proposed, past, given, partial)
    return replace(look, proposed=proposed, chosen=chosen, why=f"{proposal.why}{waits}")


def _bounded(replicas: int, given: Settings) -> int:
    return max(given.minimum, min(given.maximum, replicas))


def _patiently(
    look: Look, proposed: int, past: Sequence[Look], given: Settings, partial: bool
) -> tuple[int, str]:
    """Up soon, down late. Bounds hold at once."""
    replicas = _bounded(look.replicas, given)
    changes = [one.time for one in past if one.changed]
    since = look.time - changes[-1] if changes else math.inf
    if proposed > replicas:
        if since < given.up_after:
            return replicas, f"; {since:.0f} s since the last change, waiting {given.up_after:g} s"
        return proposed, ""
    if proposed == replicas:
        return replicas, ""
    if partial:
        return replicas, "; a load balancer did not answer, so no task is stopped"
    window = [one for one in past if one.time >= look.time - given.down_after]
    enough = max([proposed, *(one.proposed for one in window)])
    if enough >= replicas:
        return replicas, f"; fewer tasks once they have been enough for {given.down_after:g} s"
    return enough, ""


def load(text: str) -> list[Look]:
    """The history as it was written. ValueError for what is none."""
    try:
        return [
            Look(**{**one, "counts": {name: Count(**said) for name, said in one["counts"].items()}})
            for one in json.loads(text or "[]")
        ]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a history of looks: {error!r}") from error


def dump(history: Sequence[Look]) -> str:
    """The history as text, a look on each line. The oldest ones go."""
    lines = ",\n".join(json.dumps(asdict(one)) for one in history[-KEPT:])
    return f"[\n{lines}\n]\n"
