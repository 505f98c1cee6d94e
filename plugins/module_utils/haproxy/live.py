# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply the file to a running HAProxy and confirm it, with bounded waits and retries.

A reload that was under way while the file was replaced may start a worker that has read the old
file. The master process answers on its socket only while it is not reloading. So once it has
answered after the rename, the newest worker it names is the one to write to, and any later worker
reads the new file. Without a master socket a reload cannot be seen before its worker answers: then
the worker is watched for a while after the write.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.process import UnprovedError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import (
    HaproxyRuntimeError,
    HaproxySocket,
    Info,
    Processes,
    Stat,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.shift import (
    Entries,
    listed,
    own,
    steps,
)

_PAUSE = 0.02
# Seconds that a reload may take before it is asked for once more.
_PATIENCE = 2.0
# From 3.1 on a master refuses to reload, with this text, until another reload has ended.
_BUSY = "Another reload is still in progress"
_VERDICT = re.compile(r"^Success=([01])", re.MULTILINE)


class LiveError(HaproxyError):
    """The running HAProxy could not be changed, or the change could not be confirmed.

    ``settled``: it is certain that no worker has applied the change.
    """

    reason = "not_confirmed"

    def __init__(self, problem: str, settled: bool = False, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.settled = settled


class ProcessesError(LiveError):
    """Each process has its own map, states and counters, and a socket reaches one of them."""

    reason = "unsuitable"


def check_one_process(info: Info) -> None:
    """Refuse an HAProxy that ``nbproc`` has divided into several processes."""
    if info.processes > 1:
        raise ProcessesError(
            f"HAProxy runs {info.processes} processes (nbproc), and a statistics socket reaches "
            "only one of them",
            settled=True,
            remedy=f"Replace 'nbproc {info.processes}' by 'nbthread {info.processes}' in the "
            "global section and restart HAProxy",
        )


@dataclass
class Deadline:
    """A bounded wait. The clock is injected by tests."""

    seconds: float
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    end: float = field(init=False)

    def __post_init__(self) -> None:
        self.end = self.now() + self.seconds

    @property
    def left(self) -> float:
        """Seconds for one request: what is left, but never too little for an answer."""
        return max(self.end - self.now(), 0.05)

    @property
    def expired(self) -> bool:
        return self.now() >= self.end

    def pause(self) -> None:
        self.sleep(min(_PAUSE, max(self.end - self.now(), 0.0)))


@dataclass(frozen=True)
class Observed:
    info: Info
    stat: Stat
    entries: Entries | None
    origins: Entries | None = ()


@dataclass(frozen=True)
class Confirmed:
    """The result of a successful write or reload."""

    info: Info
    attempts: int
    output: str = ""


class _UnsettledError(Exception):
    """Not in the expected state yet; retry while there is time."""


def _current(stats: HaproxySocket, master: HaproxySocket | None, deadline: Deadline) -> Info:
    """The worker behind the statistics socket, which must be the master's newest."""
    worker = master.processes(deadline.left).worker if master else None
    info = stats.info(deadline.left)
    check_one_process(info)
    if worker is not None and worker != info.pid:
        raise _UnsettledError(
            f"{stats.path} is answered by process {info.pid}, but the master's newest worker is "
            f"{worker}"
        )
    return info


def read_entries(
    stats: HaproxySocket, path: str, frontend: str, deadline: Deadline
) -> Entries | None:
    """The live map entries of a frontend; None where the worker has no such map."""
    found = stats.map_entries(path, deadline.left)
    return None if found is None else own(found, frontend)


def write_entries(
    stats: HaproxySocket, path: str, now: Entries, target: Entries, deadline: Deadline
) -> None:
    """Change the entries of a frontend from one state to another, command by command."""
    for step in steps(now, target):
        if step.verb == "del":
            stats.delete_entry(path, step.key, deadline.left)
        else:
            exists = step.verb == "set"
            stats.write_entry(path, step.key, step.value, exists, deadline.left)


def observe(
    stats: HaproxySocket,
    master: HaproxySocket | None,
    path: str | None,
    frontend: str,
    deadline: Deadline,
    backend: str | None = None,
    origins: str | None = None,
) -> Observed:
    """The state of a single worker, after any reload that is under way has ended.

    ``origins``: the map of origins, whose entries of the frontend are read as well.
    With ``backend`` the statistics cover the frontend, this backend and the backends that the
    entries name, without it all proxies.
    """
    while True:
        try:
            info = _current(stats, master, deadline)
            entries = read_entries(stats, path, frontend, deadline) if path else None
            came_from = read_entries(stats, origins, frontend, deadline) if origins else ()
            if backend is None:
                stat = stats.stat(deadline.left)
            else:
                named = (backend, *(value for _key, value in entries or ()))
                stat = stats.stat_of((frontend,), named, deadline.left)
            if stats.info(deadline.left).generation == info.generation:
                return Observed(info, stat, entries, came_from)
            last = "a reload happened in between"
        except _UnsettledError as error:
            last = str(error)
        except HaproxyRuntimeError as error:
            if not error.passing or error.cause == "absent":
                raise
            last = str(error)
        if deadline.expired:
            raise LiveError(
                "the state of the running HAProxy could not be read within "
                f"{deadline.seconds:g} s; last: {last}",
                settled=True,
                remedy="If no reload is under way, check that HAProxy is running, that socket and "
                "master_socket belong to it, and that no failed reload has left its listeners "
                "paused, which a restart ends",
            )
        deadline.pause()


def _watch(stats: HaproxySocket, info: Info, settle: float, deadline: Deadline) -> Info:
    """The worker after ``settle`` seconds, or as soon as it is another."""
    end = min(deadline.now() + settle, deadline.end)
    now = info
    while now.generation == info.generation and deadline.now() < end:
        deadline.pause()
        now = stats.info(deadline.left)
    return now


def mirror(
    stats: HaproxySocket,
    master: HaproxySocket | None,
    path: str,
    frontend: str,
    target: Entries,
    deadline: Deadline,
    settle: float = 0.0,
) -> Confirmed:
    """Write the live entries, read them back, and repeat that if the worker was replaced meanwhile.

    ``settle``: seconds to watch for such a replacement where no master process reports it.
    """
    attempts = 0
    while True:
        attempts += 1
        try:
            before = _current(stats, master, deadline)
            entries = read_entries(stats, path, frontend, deadline)
            if entries is None:
                raise LiveError(f"the running HAProxy has not loaded the map {path}", True)
            write_entries(stats, path, entries, target, deadline)
            found = read_entries(stats, path, frontend, deadline) or ()
            after = stats.info(deadline.left)
            if master is None:
                after = _watch(stats, after, settle, deadline)
            if after.generation != before.generation:
                last = f"worker {before.pid} was replaced by {after.pid} during the write"
            elif set(found) == set(target):
                return Confirmed(after, attempts)
            else:
                last = f"expected {listed(target)}, read back {listed(found)}"
        except _UnsettledError as error:
            last = str(error)
        except HaproxyRuntimeError as error:
            # "entry not found": the map was cleared between our read and our write.
            if not error.passing and "not found" not in error.detail:
                raise
            last = str(error)
        if deadline.expired:
            raise LiveError(
                f"the live map entries could not be confirmed within {deadline.seconds:g} s "
                f"({attempts} attempts); last: {last}"
            )
        deadline.pause()


def settled_processes(master: HaproxySocket, deadline: Deadline) -> Processes:
    """The processes by the master, which does not answer while it reloads."""
    while True:
        try:
            return master.processes(deadline.left)
        except HaproxyRuntimeError as error:
            if not error.passing or deadline.expired:
                raise
        deadline.pause()


def _new_worker(look: Callable[[], Info], output: str, deadline: Deadline) -> Confirmed:
    """Wait until the new worker answers. ``look`` says why it does not do so yet."""
    attempts = 0
    while True:
        attempts += 1
        try:
            return Confirmed(look(), attempts, output)
        except _UnsettledError as error:
            last = str(error)
        except HaproxyRuntimeError as error:
            if not error.passing:
                raise
            last = str(error)
        if deadline.expired:
            raise LiveError(f"no new worker within {deadline.seconds:g} s; last: {last}")
        deadline.pause()


def _request_reload(master: HaproxySocket, deadline: Deadline) -> str:
    """What the master answers to a request; empty where it does not."""
    try:
        return master.ask("reload", deadline.left).strip()
    except HaproxyRuntimeError as error:
        # Up to 2.6 the master replaces itself immediately, so the connection may just end.
        if error.cause not in ("reset", "timeout"):
            raise
        return ""


def reload_by_master(master: HaproxySocket, stats: HaproxySocket, deadline: Deadline) -> Confirmed:
    """Reload through the master's socket and wait for the new worker."""
    while True:
        before = settled_processes(master, deadline)
        old = {worker.pid for worker in before.workers}
        output = _request_reload(master, deadline)
        if _BUSY not in output:
            break
        if deadline.expired:
            # That one may have read the new file.
            raise LiveError(f"another reload did not end within {deadline.seconds:g} s")
        deadline.pause()
    verdict = _VERDICT.search(output)
    if verdict and verdict.group(1) == "0":
        raise LiveError(f"HAProxy refused the new configuration: {output}", True)
    if output and not verdict:
        raise LiveError(f"the master process did not confirm the reload: {output}", True)

    def look() -> Info:
        now = master.processes(deadline.left)
        if now.failed and now.master.reloads > before.master.reloads:
            raise LiveError(
                "HAProxy could not load the new configuration; worker "
                f"{now.worker} continues with the old one",
                True,
                "See HAProxy's log",
            )
        if now.worker is None or now.worker in old:
            raise _UnsettledError(f"the newest worker is still {now.worker}")
        info = stats.info(deadline.left)
        if info.pid != now.worker:
            raise _UnsettledError(
                f"worker {now.worker} has started, but process {info.pid} still answers on "
                f"{stats.path}"
            )
        return info

    return _new_worker(look, output, deadline)


def find_master(stats: HaproxySocket, prove: Callable[[int], int], deadline: Deadline) -> int:
    """The master of the worker that answers; ``prove`` returns that of a worker.

    Somebody else's reload replaces the worker and its socket while we look.
    """
    end = min(deadline.now() + _PATIENCE, deadline.end)
    while True:
        try:
            return prove(stats.info(deadline.left).pid)
        except (UnprovedError, HaproxyRuntimeError) as error:
            passing = isinstance(error, UnprovedError) or error.passing
            if not passing or deadline.now() >= end:
                raise
        deadline.pause()


def reload_by_command(
    run: Callable[[], tuple[int, str]],
    stats: HaproxySocket,
    before: Info,
    deadline: Deadline,
    clock: Callable[[], float] = time.time,
) -> Confirmed:
    """Reload by the service manager or a signal, and wait until a newer worker answers.

    HAProxy reports its start in whole seconds. So the reload waits for the next second: a worker
    that started in an earlier one belongs to another reload and may have read the old file. A
    master that is reloading misses our request, so it is repeated, at growing intervals.
    """
    second = int(clock()) + 1
    deadline.sleep(max(second - clock(), 0.0))
    output = ""
    patience = _PATIENCE
    again_at = 0.0

    def request(repeated: bool) -> None:
        nonlocal output, patience, again_at
        code, output = run()
        if code != 0:
            message = f"the reload failed with status {code}: {output.strip()}"
            raise LiveError(message, not repeated)
        again_at = deadline.now() + patience
        patience *= 2

    def look() -> Info:
        info = stats.info(deadline.left)
        if info.generation != before.generation and not 0 < info.started < second:
            return info
        if deadline.now() >= again_at:
            request(repeated=True)
        if info.generation == before.generation:
            raise _UnsettledError(f"worker {info.pid} still answers")
        raise _UnsettledError(f"worker {info.pid}, started by another reload, answers")

    request(repeated=False)
    found = _new_worker(look, "", deadline)
    return Confirmed(found.info, found.attempts, output.strip())
