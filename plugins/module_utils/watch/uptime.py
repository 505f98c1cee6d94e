# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a period each part was up. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ansible_collections.bookface.platform.plugins.module_utils.watch.changes import Incident
from ansible_collections.bookface.platform.plugins.module_utils.watch.history import Look

Span = tuple[float, float]


def observed(looks: Sequence[Look], until: float, longest: float) -> list[tuple[Span, str]]:
    """The time that each look speaks for, with its status.

    It ends with the next look, or after C(longest) seconds: a watch that did not run saw nothing.
    """
    ends = [look.time for look in looks[1:]] + [until]
    return [
        ((look.time, min(end, look.time + longest)), look.status)
        for look, end in zip(looks, ends)
        if end > look.time and look.status != "blind"
    ]


def whole(spans: Iterable[tuple[Span, str]]) -> float | None:
    """Share of the observed time in which nothing was broken; none if nothing was observed."""
    listed = list(spans)
    return _share(
        [span for span, _status in listed], [span for span, status in listed if status == "broken"]
    )


def of_part(
    spans: Iterable[Span], incidents: Iterable[Incident], first_seen: float
) -> float | None:
    """Share of the observed time in which a part was up, from when it was first seen.

    The fewer spans (C(joined)), the quicker.
    """
    seen = [(max(begin, first_seen), end) for begin, end in spans if end > first_seen]
    downs = [
        (max(one.begin, begin), min(end if one.end is None else one.end, end))
        for one in incidents
        for begin, end in seen
    ]
    return _share(seen, [(begin, end) for begin, end in downs if end > begin])


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same time in as few spans as possible; they come in order."""
    found: list[Span] = []
    for begin, end in spans:
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def _share(seen: Sequence[Span], down: Sequence[Span]) -> float | None:
    total = sum(end - begin for begin, end in seen)
    if total <= 0:
        return None
    return 1 - sum(end - begin for begin, end in down) / total
