# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until web servers are ready to serve."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

PATH = "/platform/ready"
HEADER = "X-Bookface-Probe"
# Seconds between two questions to the same server.
PAUSE = 0.5


@dataclass(frozen=True)
class Answer:
    """The last answer of a server. C(status) is 0 if there was none; then C(text) says why."""

    name: str
    url: str
    status: int
    text: str
    ready: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ready", self.status == 200)

    def __str__(self) -> str:
        if not self.status:
            return f"{self.name} at {self.url} does not answer ({self.text})"
        return f"{self.name} at {self.url} answers {self.status} ({self.text})"


Ask = Callable[[str], tuple[int, str]]


def wait(
    servers: Mapping[str, str],
    seconds: float,
    ask: Ask,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Answer]:
    """Ask all at the same time until each was ready once, or the time is up.

    Servers are URLs by name. Returns the last answer of each, in their order. C(ask) takes a URL
    and gives status and text.
    """
    end = clock() + seconds
    found: dict[str, Answer] = {}
    waiting = list(servers)
    with ThreadPoolExecutor(max_workers=max(1, len(waiting))) as pool:
        while waiting:
            answers = pool.map(lambda name: ask(servers[name] + PATH), waiting)
            for name, (status, text) in zip(waiting, answers):
                found[name] = Answer(name, servers[name], status, " ".join(text.split()))
            waiting = [name for name in waiting if not found[name].ready]
            if clock() + PAUSE > end:
                break
            if waiting:
                sleep(PAUSE)
    return [found[name] for name in servers]
