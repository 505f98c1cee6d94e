# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resume the frontends that a failed reload has left paused.

A new HAProxy process that cannot bind asks the old worker to pause its listeners (SIGTTOU), and to
resume them when it gives up (SIGTTIN). If the old worker is too busy to handle the first signal
before the second is sent, it gets them the other way round: the kernel delivers the lower number
first. Then the worker stays paused and refuses all clients, while it reports nothing.

From 2.6 on the statistics show a paused frontend, but in most versions the statistics socket is
paused, too: its connections are accepted and get no answer.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.live import Deadline
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import (
    HaproxyRuntimeError,
    HaproxySocket,
)

# A socket that gives no answer for so many seconds is taken for paused.
_ANSWER = 1.0
# A process that cannot bind tries for two seconds, and the old worker must stay paused meanwhile.
# Resumed too early it may lose its statistics socket.
_PATIENCE = 4.0
# The process that gives up may still send signals for a moment, and move the socket.
_QUIET = {"open": 0.5, "lost": 2.0}
# Seconds in which all of this can happen.
ENOUGH = 8.0


def find_worker(stats: HaproxySocket, master: HaproxySocket | None, before: int) -> int:
    """The worker that is there by now; ``before``, the last one known, if nobody tells.

    The file is restored by a reload, which replaces the worker, and so may somebody else.
    """
    if master is not None:
        with suppress(HaproxyRuntimeError):
            return master.processes(_ANSWER).worker or before
    with suppress(HaproxyRuntimeError):
        return stats.info(_ANSWER).pid
    return before


@dataclass(frozen=True)
class Worker:
    """The worker that goes on after a failed reload, and how it is reached.

    ``before``: the frontends that were paused on purpose. ``signal`` resumes all its listeners; it
    raises a ``HaproxyError`` if that is impossible.
    """

    pid: int
    stats: HaproxySocket
    master: HaproxySocket | None
    before: tuple[str, ...]
    signal: Callable[[], None]

    def look(self, deadline: Deadline) -> tuple[HaproxySocket | None, tuple[str, ...]]:
        """The socket that answers, None if none does, and the frontends that it shows as paused."""
        answering: HaproxySocket | None = self.stats
        try:
            paused = self.stats.paused(min(deadline.left, _ANSWER))
        except HaproxyRuntimeError as error:
            if error.cause != "timeout":
                raise
            answering, paused = None, ()
        if answering is None and self.master is not None:
            with suppress(HaproxyRuntimeError):
                paused = self.master.paused(min(deadline.left, _ANSWER), self.pid)
                answering = self.master
        return answering, tuple(name for name in paused if name not in self.before)

    def resume(
        self, answering: HaproxySocket | None, paused: tuple[str, ...], deadline: Deadline
    ) -> str:
        """Resume what is paused; why that was impossible, or an empty text."""
        trouble = ""
        if answering is not self.stats:
            # The frontends alone would leave the statistics socket paused.
            trouble = self._signalled()
            if not trouble:
                return ""
        if answering is not None:
            worker = self.pid if answering is self.master else None
            try:
                for name in paused:
                    answering.enable_frontend(name, deadline.left, worker)
            except HaproxyRuntimeError as error:
                if answering is not self.stats:
                    return f"{trouble}; {error}"
                # A signal needs no rights on the socket.
                trouble = self._signalled()
                return trouble and f"{error}; {trouble}"
        return trouble

    def _signalled(self) -> str:
        """Why the worker could not be signalled; empty if it was."""
        try:
            self.signal()
        except HaproxyError as error:
            return str(error)
        return ""


@dataclass(frozen=True)
class Resumed:
    """What was found and done. ``names``: the frontends that were paused, as far as that is known.

    ``paused``: whether clients are still refused. ``trouble``: why, or what else is wrong.
    """

    resumed: bool = False
    names: tuple[str, ...] = ()
    paused: bool = False
    trouble: str = ""

    def __str__(self) -> str:
        """Empty if there is nothing to tell."""
        parts = [part for part in (self.trouble, "restart HAProxy") if part]
        trouble = f" ({'; '.join(parts)})" if self.paused or self.trouble else ""
        clients = f"clients of {', '.join(self.names) or 'all frontends'} are"
        if self.paused:
            return f"{clients} REFUSED: the failed reload has left the listeners paused{trouble}"
        if self.resumed:
            return f"{clients} accepted again, after the failed reload had paused them{trouble}"
        return self.trouble and f"the statistics socket is lost{trouble}"


def resume(worker: Worker, deadline: Deadline) -> Resumed:
    """Wait until the worker accepts clients as before; resume its listeners if it does not."""
    names: tuple[str, ...] = ()
    resumed = False
    # What is seen, and since when without a break.
    seen, since = "", deadline.now()
    while True:
        trouble = ""
        began = deadline.now()
        try:
            answering, paused = worker.look(deadline)
        except HaproxyRuntimeError as error:
            now, trouble, paused = "lost", str(error), ()
        else:
            names = tuple(dict.fromkeys((*names, *paused)))
            now = "open" if answering is worker.stats and not paused else "paused"
        seen, since = now, since if now == seen else began
        lasted = deadline.now() - since
        if seen == "paused" and lasted >= _PATIENCE:
            trouble = worker.resume(answering, paused, deadline)
            resumed = True
        if deadline.expired or (seen != "paused" and lasted >= _QUIET[seen]):
            refused = bool(paused) or (seen == "paused" and answering is None)
            return Resumed(resumed, names, refused, trouble)
        deadline.pause()
