# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look: heal.yml is run, its report compared with the last one, and messages written."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from ansible_collections.bookface.platform.plugins.module_utils.watch import (
    changes,
    history,
    message,
    notify,
)
from ansible_collections.bookface.platform.plugins.module_utils.watch.changes import Changes, Event
from ansible_collections.bookface.platform.plugins.module_utils.watch.config import (
    Config,
    ConfigError,
)
from ansible_collections.bookface.platform.plugins.module_utils.watch.history import (
    History,
    HistoryError,
    Look,
)
from ansible_collections.bookface.platform.plugins.module_utils.watch.notify import Target
from ansible_collections.bookface.platform.plugins.module_utils.watch.report import (
    WATCH,
    Report,
    ReportError,
    parse,
)

# Seconds that a run has to end after SIGTERM.
GRACE = 10.0
# Lines of the run's output that the log shows when there is no report.
TAIL = 20
# Exit status of a look that has seen nothing, and has remembered and told that.
BLIND = 3
# A look speaks for as long as this many intervals.
SPEAKS_FOR = 5

Say = Callable[[str], None]


class LockedError(Exception):
    """Another run has the lock."""


@dataclass(frozen=True)
class Ended:
    """How the run of the playbook ended."""

    code: int
    report: str | None = None
    error: str = ""
    output: Path | None = None


RunHeal = Callable[[Config, int], Ended]


@contextlib.contextmanager
def locked(path: Path, what: str, *, wait: bool = False) -> Iterator[int]:
    """Hold the lock, or fail at once. A process that is given its descriptor holds it, too."""
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            holder = os.pread(number, 100, 0).decode(errors="replace").strip()
            raise LockedError(
                f"{what} is under way ({holder or 'just begun'}), so this one does nothing"
            ) from None
        os.ftruncate(number, 0)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        os.pwrite(number, f"process {os.getpid()} since {stamp}\n".encode(), 0)
        yield number
    finally:
        os.close(number)


def run_heal(config: Config, lock: int) -> Ended:
    """Run the playbook to its end, or for as long as it may."""
    report = config.state / "report.json"
    output = config.state / "last-run.log"
    report.unlink(missing_ok=True)
    try:
        settings = config.whole_environment()
    except ConfigError as error:
        return Ended(-1, None, str(error))
    with tempfile.TemporaryDirectory(prefix="bookface-watch-") as scratch:
        environment = {
            **os.environ,
            "ANSIBLE_LOCAL_TEMP": scratch,
            "ANSIBLE_SSH_CONTROL_PATH_DIR": f"{scratch}/cp",
            **settings,
        }
        command = [*config.command, "-e", f"heal_report_file={report}"]
        try:
            with _private(output) as stream:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=config.state,
                    start_new_session=True,
                    # It keeps the lock for as long as it works, even if this process is killed.
                    pass_fds=[lock],
                )
        except OSError as error:
            return Ended(-1, None, f"{command[0]} could not be started: {error.strerror}")
        try:
            code = process.wait(config.timeout)
        except subprocess.TimeoutExpired:
            return Ended(
                -1, None, f"the run did not end within {config.timeout:g} s, and was ended", output
            )
        finally:
            _end(process)
    try:
        return Ended(code, report.read_text(encoding="utf-8"), output=output)
    except (OSError, ValueError):
        return Ended(
            code, None, f"the run ended with exit status {code} and left no report", output
        )


def inventory_error(config: Config, path: str) -> str:
    """What Ansible says of an inventory that it cannot read as a look would; no variable."""
    with tempfile.TemporaryDirectory(prefix="bookface-watch-") as scratch:
        environment = {**os.environ, "ANSIBLE_LOCAL_TEMP": scratch, **config.whole_environment()}
        command = ["ansible-inventory", "--inventory", path, "--list"]
        try:
            done = subprocess.run(
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
                cwd=config.state,
                timeout=config.timeout,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{command[0]} failed: {error}"
    if done.returncode == 0:
        return ""
    # The lines around an error quote the file.
    errors = [line for line in done.stderr.splitlines() if "ERROR" in line]
    return " ".join(errors) or f"{command[0]} ended with exit status {done.returncode}"


def _private(path: Path) -> BinaryIO:
    """A new file that only its owner can read."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it, gently first: ansible-playbook then ends its workers."""
    for number, seconds in ((signal.SIGTERM, GRACE), (signal.SIGKILL, None)):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)


def paused_until(config: Config) -> float:
    """When looks go on; 0 if they were not paused."""
    try:
        return float(config.pause.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0.0


def pause(config: Config, until: float, say: Say) -> None:
    """Have no look until then. Returns when the one that is under way has ended."""
    candidate = config.pause.with_suffix(".new")
    candidate.write_text(f"{until}\n", encoding="utf-8")
    candidate.replace(config.pause)
    try:
        with locked(config.state / "lock", ""):
            return
    except LockedError:
        say("waiting for the look that is under way")
    with locked(config.state / "lock", "", wait=True):
        return


def resume(config: Config) -> None:
    """Go on with the next look."""
    config.pause.unlink(missing_ok=True)


def look(
    config: Config,
    say: Say,
    heal: RunHeal = run_heal,
    clock: Callable[[], float] = time.time,
    start_delivery: Callable[[Config, Say], None] | None = None,
) -> int:
    """One look, under the lock. Returns 0 if it has seen anything, BLIND if not."""
    with locked(config.state / "lock", "another run") as lock:
        began = clock()
        until = paused_until(config)
        if until > began:
            say(f"paused until {message.clock(until)}: nothing was looked at")
            _go_on_sending(config, say, began, start_delivery)
            return 0
        ended = heal(config, lock)
        # The history comes after the mending: a full disk must not keep anything down.
        opened, damage = history.open_history(config.history)
        try:
            return _remember(config, say, opened, damage, ended, began, clock(), start_delivery)
        except sqlite3.Error as error:
            raise HistoryError(f"{config.history} cannot be written: {error}") from error
        finally:
            opened.close()


def _go_on_sending(
    config: Config, say: Say, now: float, start_delivery: Callable[[Config, Say], None] | None
) -> None:
    """Nobody looks, but what was told before may still wait for its receiver."""
    if not start_delivery or not config.history.exists():
        return
    opened, _moved = history.open_history(config.history, thorough=False)
    try:
        if opened.due(now):
            start_delivery(config, say)
    finally:
        opened.close()


def _remember(
    config: Config,
    say: Say,
    opened: History,
    damage: str,
    ended: Ended,
    began: float,
    now: float,
    start_delivery: Callable[[Config, Say], None] | None,
) -> int:
    before, active = opened.known(), opened.active()
    try:
        report = _report(ended, began)
        seen = Look(now, now - began, report.status, *_counts(report))
        # One clock for all: that of this process, which also goes on while nothing is seen.
        changed = changes.seen(before, active, replace(report, time=now), began, config.settings)
        say(_summary(report, now - began))
        for one in report.parts:
            if one.action or one.state != "up":
                say(
                    f"  {one.part.id}: {one.state}"
                    + (f", {one.action}" if one.action else "")
                    + (f": {one.cause}" if one.cause else "")
                )
        code = 0
    except ReportError as error:
        seen = Look(now, now - began, "blind")
        changed = changes.blind(before, active, str(error), began, now, config.settings)
        say(f"blind: {error}")
        for line in _tail(ended.output):
            say(f"  | {line}")
        code = BLIND
    if damage:
        note = Event(changes.NOTE, WATCH, now, cause=damage)
        changed = replace(changed, events=(note, *changed.events))
    _tell(config, say, opened, seen, changed, now)
    if start_delivery and opened.due(now):
        start_delivery(config, say)
    return code


def _report(ended: Ended, began: float) -> Report:
    if ended.report is None:
        raise ReportError(ended.error)
    return parse(ended.report, ended.code, began)


def _tell(
    config: Config, say: Say, opened: History, seen: Look, changed: Changes, now: float
) -> None:
    """Remember the look and write the message as one transaction: neither is without the other."""
    for event in changed.events:
        say(message.line(event))
    try:
        targets: list[Target] = config.targets()
    except ConfigError as error:
        say(str(error))
        targets = []
    down = [message.named(one.part) for one in changes.down(changed.known.values())]
    with opened.transaction():
        opened.add(seen, changed)
        written = message.compose(config.site, changed.events)
        outcome = notify.accept(opened, written, targets, config.per_hour, now, down)
        opened.prune(now - config.keep)
    if written and outcome:
        say(f"message: {outcome}")


def _counts(report: Report) -> tuple[int, int, int]:
    states = [one.state for one in report.parts]
    return states.count("up"), states.count("down"), states.count("unknown")


def _summary(report: Report, seconds: float) -> str:
    up, down, unknown = _counts(report)
    return f"{report.status}: {up} up, {down} down, {unknown} unknown, in {seconds:.1f} s"


def _tail(output: Path | None) -> list[str]:
    """The last lines of the run's output, in which Ansible has hidden what is secret."""
    if output is None:
        return []
    try:
        with output.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - 8192))
            text = stream.read().decode(errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-TAIL:]


def deliver_by(config: Config, say: Say) -> None:
    """Start the delivery in a process of its own, and do not wait for it."""
    if not config.deliver:
        return
    try:
        done = subprocess.run(
            config.deliver, check=False, capture_output=True, text=True, timeout=30
        )
        error = done.stderr.strip() if done.returncode != 0 else ""
    except (OSError, subprocess.TimeoutExpired) as problem:
        error = str(problem)
    if error:
        say(f"the delivery of messages could not be started: {error}")
