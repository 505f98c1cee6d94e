"""Kinds of clients, and how many there are of each."""

from __future__ import annotations

import math
from collections.abc import Mapping

from .errors import LoadError

DEFAULT_MIX = "new=0.4,kept=0.5,idle=0.1"
KINDS_OF_CLIENT = ("new", "kept", "idle")


def parse_mix(mix: str | Mapping[str, float]) -> dict[str, float]:
    """`new=0.4,kept=0.6` as a dictionary; the shares are weights."""
    shares: dict[str, float] = {}
    if isinstance(mix, str):
        for item in mix.split(","):
            kind, equals, text = item.strip().partition("=")
            try:
                if not equals or kind in shares:
                    raise ValueError
                shares[kind] = float(text)
            except ValueError:
                raise LoadError(f"mix: expected KIND=SHARE, each kind once, got {item!r}") from None
    else:
        shares = dict(mix)
    for kind, share in shares.items():
        if kind not in KINDS_OF_CLIENT:
            raise LoadError(
                f"mix: unknown kind {kind!r}, expected one of {', '.join(KINDS_OF_CLIENT)}"
            )
        if not 0 <= share < math.inf:
            raise LoadError(f"mix: expected a share of 0 or more, got {kind}={share}")
    if not sum(shares.values()) > 0:
        raise LoadError("mix: at least one kind needs a share above 0")
    return shares


def allot(clients: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Clients per kind: largest remainder, and one at least of each kind with a share."""
    wanted = {kind: share for kind, share in shares.items() if share > 0}
    if clients < len(wanted):
        raise LoadError(
            f"clients: expected at least {len(wanted)}, one of each kind"
            f" ({', '.join(wanted)}), got {clients}"
        )
    total = sum(wanted.values())
    exact = {kind: clients * share / total for kind, share in wanted.items()}
    counts = {kind: max(1, math.floor(value)) for kind, value in exact.items()}
    while (spare := clients - sum(counts.values())) != 0:
        gaps = {kind: exact[kind] - count for kind, count in counts.items()}
        if spare > 0:
            counts[max(gaps, key=lambda kind: gaps[kind])] += 1
        else:
            several = [kind for kind, count in counts.items() if count > 1]
            counts[min(several, key=lambda kind: gaps[kind])] -= 1
    return counts
