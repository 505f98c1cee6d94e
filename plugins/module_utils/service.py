# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a service runs with what its files say.

A handler forgets: if a run is cut off after a file was written, the next run finds the file as it
should be, and nobody tells the service. So what the service has loaded is compared with the files,
each time. Systemd knows when a service started and when it was last reloaded. A note, which ends
with a reboot as all services do, knows what the files held then.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

# The kernel stamps files with the time of its last tick, a few milliseconds ago.
TICK = 0.1

# Ends with a reboot, after which every service has loaded its files.
NOTES = Path("/run/bookface/services")
REWRITES = "rewrites.json"
Rewrites = dict[str, dict[str, Any]]

START, RESTART, RELOAD, NONE = "start", "restart", "reload", "none"


@dataclass(frozen=True)
class Times:
    """When a service began to start, and when its state last changed (a reload changes it, too)."""

    started: float
    changed: float


@dataclass(frozen=True)
class Files:
    """What some files hold, and when one of them was last written, in seconds since 1970."""

    digest: str
    written: float


@dataclass(frozen=True)
class Note:
    """What a service had loaded, and when that was noted. C(complete) unless it was cut off."""

    times: Times
    restart: str
    reload: str
    complete: bool

    def as_data(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)

    @classmethod
    def of(cls, data: Any) -> Note | None:
        """From a file; None for what is no note."""
        try:
            times = Times(**data["times"])
            return cls(times, data["restart"], data["reload"], data["complete"])
        except (KeyError, TypeError):
            return None


def entries(paths: Iterable[Path]) -> list[Path]:
    """Files and links, and all that is below directories, in a fixed order."""
    found = set()
    for path in paths:
        found.add(path)
        if path.is_dir() and not path.is_symlink():
            found.update(path.rglob("*"))
    return sorted(found)


def read(paths: Iterable[Path], ignore: str = "") -> Files:
    """What these files hold, without the lines that match C(ignore). A missing file counts, too."""
    digest, written, rewrites = hashlib.sha256(), 0.0, read_rewrites()
    for path in entries(paths):
        digest.update(f"\n{path}\n".encode())
        try:
            written = max(written, when_written(path, rewrites))
            if path.is_symlink():
                digest.update(str(path.readlink()).encode())
                written = max(written, when_written(path.resolve(strict=True), rewrites))
            if path.is_file():
                digest.update(relevant(path.read_bytes(), ignore))
        except FileNotFoundError:
            digest.update(b"missing")
    return Files(digest.hexdigest(), written)


def when_written(path: Path, rewrites: Rewrites) -> float:
    """When a file was last written, but for rewrites that no service has to load."""
    status = path.lstat()
    rewrite = rewrites.get(str(path), {})
    same = rewrite.get("now") == status.st_ctime_ns
    return float(rewrite["written"]) if same else status.st_ctime


def note_rewrite(path: Path, written: float, notes: Path = NOTES) -> None:
    """Remember that a file has just been rewritten with nothing that a service has to load.

    C(written) is C(when_written) of before. Whoever cannot note that costs a reload.
    """
    with suppress(OSError):
        known = {name: one for name, one in read_rewrites(notes).items() if Path(name).exists()}
        known[str(path)] = {"now": path.lstat().st_ctime_ns, "written": written}
        put_note(notes / REWRITES, known)


def read_rewrites(notes: Path = NOTES) -> Rewrites:
    """By file: its time after the rewrite, and when it was written before."""
    try:
        found: Rewrites = json.loads((notes / REWRITES).read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def put_note(path: Path, data: Any) -> None:
    """Replace a note as one step. For root alone: digests may be of short secrets."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    candidate = path.with_suffix(".new")
    handle = os.open(candidate, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(data, stream)
    candidate.replace(path)


def relevant(content: bytes, ignore: str) -> bytes:
    """The content without the lines that match C(ignore)."""
    if not ignore:
        return content
    pattern = re.compile(ignore.encode())
    return b"".join(line for line in content.splitlines(keepends=True) if not pattern.search(line))


def timestamp(text: str) -> float:
    """Seconds since 1970 of C(systemctl show --timestamp=us+utc); 0 where there is none."""
    found = re.search(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(\.\d+)? UTC", text)
    if not found:
        return 0.0
    time = datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
    return time.timestamp() + float(found[2] or 0)


def times(shown: Mapping[str, str]) -> Times:
    """From the properties of a unit."""
    return Times(
        timestamp(shown.get("InactiveExitTimestamp", "")),
        timestamp(shown.get("StateChangeTimestamp", "")),
    )


def action(ran: Times, restart: Files, reload: Files, note: Note | None) -> str:
    """What a running service requires to run with its files: V(restart), V(reload) or V(none).

    C(restart) are the files that it reads at its start only, C(reload) those that it also reads at
    a reload.
    """
    if note and note.times.started == ran.started:
        # Cut off before it was known how the restart or reload ended.
        if not note.complete:
            return RESTART if note.restart != restart.digest else RELOAD
        if note.restart != restart.digest:
            return RESTART
        if note.times.changed == ran.changed:
            return RELOAD if note.reload != reload.digest else NONE
        # Somebody else has reloaded it since, with the same or with something else.
        doubt = 0 if note.reload == reload.digest else TICK
        return RELOAD if reload.written > ran.changed - doubt else NONE
    if restart.written > ran.started - TICK:
        return RESTART
    return RELOAD if reload.written > ran.changed - TICK else NONE
