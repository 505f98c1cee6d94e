# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until web servers are ready to serve, and serve."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ansible_collections.bookface.platform.plugins.module_utils.web import pages as web_pages
from ansible_collections.bookface.platform.plugins.module_utils.web.pages import Ask, Page

PATH = "/platform/ready"
HEADER = "X-Bookface-Probe"
# Seconds between two questions to the same server.
PAUSE = 0.5
# How often the pages of a server that is ready are requested, if they are not as expected.
ATTEMPTS = 3
# Characters of a readiness page that are kept. What another server answers may be long.
MOST = 2000


@dataclass(frozen=True)
class Answer:
    """The last answer of a server. C(status) is 0 if there was none; then C(text) says why.

    C(fault) is what is wrong with its pages.
    """

    name: str
    url: str
    status: int
    text: str
    fault: str = ""
    ready: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ready", self.status == 200 and not self.fault)

    def __str__(self) -> str:
        if self.fault:
            return f"{self.name}: {self.fault}"
        if not self.status:
            return f"{self.name} at {self.url} does not answer ({self.text})"
        return f"{self.name} at {self.url} answers {self.status} ({self.text})"


def wait(
    servers: Mapping[str, str],
    seconds: float,
    ask: Ask,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    pages: Sequence[Page] = (),
    path: str = PATH,
) -> list[Answer]:
    """Ask all at the same time until each was ready once, or the time is up.

    Servers are URLs by name. Returns the last answer of each, in their order. One that is ready and
    does not serve its C(pages) is given up soon: it lacks nothing that it could be waiting for. An
    empty C(path) takes every server as ready.
    """

    def answer(name: str) -> Answer:
        url = servers[name]
        status, text = ask(url + path) if path else (200, "")
        fault = web_pages.fault(url, pages, ask) if status == 200 else ""
        return Answer(name, url, status, " ".join(text[:MOST].split()), fault)

    end = clock() + seconds
    found: dict[str, Answer] = {}
    attempts = dict.fromkeys(servers, 0)
    waiting = list(servers)
    with ThreadPoolExecutor(max_workers=max(1, len(waiting))) as pool:
        while waiting:
            for name, last in zip(waiting, pool.map(answer, waiting)):
                found[name] = last
                attempts[name] += bool(last.fault)
            waiting = [
                name for name in waiting if not found[name].ready and attempts[name] < ATTEMPTS
            ]
            if clock() + PAUSE > end:
                break
            if waiting:
                sleep(PAUSE)
    return [found[name] for name in servers]
