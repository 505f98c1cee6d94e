# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the watch remembers, in one SQLite database: looks, parts, incidents, messages.

Each look is one transaction, so a process that is killed leaves the look before it.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.watch.changes import (
    Changes,
    Incident,
    Known,
)
from ansible_collections.bookface.platform.plugins.module_utils.watch.message import Message
from ansible_collections.bookface.platform.plugins.module_utils.watch.report import Part

VERSION = 1
SCHEMA = """
create table facts (name text primary key, value text not null) without rowid;
create table looks (
  time real primary key, seconds real not null, status text not null,
  up integer not null, down integer not null, unknown integer not null
);
create table parts (id text primary key, known text not null) without rowid;
create table incidents (
  part text not null, begin real not null, end real, state text not null,
  host text not null, kind text not null, name text not null,
  cause text not null, actions text not null, wanted text not null, tries integer not null,
  primary key (part, begin)
) without rowid;
create index incidents_of_time on incidents (begin);
create table messages (
  id integer primary key, time real not null, title text not null, body text not null,
  held integer not null
);
create table outbox (
  id integer primary key, message integer not null references messages, target text not null,
  tries integer not null default 0, next_try real not null, error text not null default ''
);
"""


class HistoryError(Exception):
    """The history cannot be used."""


@dataclass(frozen=True)
class Look:
    """One row of the samples."""

    time: float
    seconds: float
    # healthy, mended, broken, or blind.
    status: str
    up: int = 0
    down: int = 0
    unknown: int = 0


@dataclass(frozen=True)
class Waiting:
    """A message that is still to reach one target."""

    id: int
    time: float
    title: str
    body: str
    tries: int
    next_try: float


class History:
    """The database, opened."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. One within another is part of it."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._connection.execute("rollback")
            raise
        self._connection.execute("commit")

    def fact(self, name: str, default: Any = None) -> Any:
        """A value that was remembered by name."""
        row = self._one("select value from facts where name = ?", name)
        return json.loads(row[0]) if row else default

    def set_fact(self, name: str, value: Any) -> None:
        """Remember a value by name."""
        self._connection.execute(
            "insert or replace into facts values (?, ?)", (name, json.dumps(value))
        )

    def known(self) -> dict[str, Known]:
        """What is known of each part."""
        rows = self._connection.execute("select id, known from parts")
        return {name: _known(json.loads(text)) for name, text in rows}

    def active(self) -> dict[str, str]:
        """The backend that each load balancer serves from."""
        found: dict[str, str] = self.fact("active", {})
        return found

    def add(self, look: Look, changes: Changes) -> None:
        """Remember a look and what it has changed."""
        before = self.known()
        with self.transaction():
            self._connection.execute(
                "insert or replace into looks values (?, ?, ?, ?, ?, ?)",
                (look.time, look.seconds, look.status, look.up, look.down, look.unknown),
            )
            self._connection.executemany(
                "delete from parts where id = ?",
                [(name,) for name in before.keys() - changes.known.keys()],
            )
            self._connection.executemany(
                "insert or replace into parts values (?, ?)",
                [(name, json.dumps(asdict(known))) for name, known in changes.known.items()],
            )
            self._connection.executemany(
                "insert or replace into incidents values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [_row(one) for one in changes.incidents],
            )
            self.set_fact("active", dict(changes.active))

    def looks(self, since: float) -> list[Look]:
        """The looks from then on."""
        rows = self._connection.execute(
            "select time, seconds, status, up, down, unknown from looks where time >= ?"
            " order by time",
            (since,),
        )
        return [Look(*row) for row in rows]

    def last_seeing(self) -> float | None:
        """When a look last saw anything."""
        found: float | None
        (found,) = self._one("select max(time) from looks where status != 'blind'")
        return found

    def incidents(self, since: float) -> list[Incident]:
        """Those that had not ended by then, in the order of their beginning."""
        rows = self._connection.execute(
            "select part, host, kind, name, begin, end, state, cause, actions, wanted, tries"
            " from incidents where end is null or end >= ? order by begin, part",
            (since,),
        )
        return [
            Incident(
                Part(part, host, kind, name),
                begin,
                end,
                state,
                cause,
                tuple(json.loads(actions)),
                wanted,
                tries,
            )
            for part, host, kind, name, begin, end, state, cause, actions, wanted, tries in rows
        ]

    def prune(self, before: float) -> None:
        """Forget what ended before then."""
        with self.transaction():
            self._connection.execute("delete from looks where time < ?", (before,))
            self._connection.execute("delete from incidents where end < ?", (before,))
            self._connection.execute(
                "delete from messages where time < ?"
                " and id not in (select message from outbox) and held < 1",
                (before,),
            )

    def sent_since(self, since: float) -> list[float]:
        """When messages were accepted for sending, from then on."""
        rows = self._connection.execute(
            "select time from messages where held = 0 and time > ? order by time", (since,)
        )
        return [row[0] for row in rows]

    def hold(self, message: Message, now: float) -> None:
        """Keep a message that is over the limit of the hour."""
        self._connection.execute(
            "insert into messages (time, title, body, held) values (?, ?, ?, 1)",
            (now, message.title, message.body),
        )

    def held(self) -> list[tuple[float, str]]:
        """Time and title of those that no message has counted yet."""
        return list(
            self._connection.execute(
                "select time, title from messages where held = 1 order by time, id"
            )
        )

    def send(self, message: Message, targets: Sequence[str], now: float) -> None:
        """Put a message into the outbox. It speaks for those that were held back."""
        with self.transaction():
            self._connection.execute("update messages set held = -1 where held = 1")
            number = self._connection.execute(
                "insert into messages (time, title, body, held) values (?, ?, ?, 0)",
                (now, message.title, message.body),
            ).lastrowid
            self._connection.executemany(
                "insert into outbox (message, target, next_try) values (?, ?, ?)",
                [(number, target, now) for target in targets],
            )

    def waiting(self, target: str) -> list[Waiting]:
        """What a target has not received yet, oldest first."""
        rows = self._connection.execute(
            "select outbox.id, time, title, body, tries, next_try from outbox"
            " join messages on messages.id = message where target = ? order by outbox.id",
            (target,),
        )
        return [Waiting(*row) for row in rows]

    def due(self, now: float) -> bool:
        """Whether anything waits whose time has come."""
        return self._one("select 1 from outbox where next_try <= ? limit 1", now) is not None

    def waiting_count(self) -> int:
        """How many sendings wait."""
        row = self._one("select count(*) from outbox")
        return int(row[0]) if row else 0

    def delivered(self, number: int) -> None:
        """A target has received it."""
        self._connection.execute("delete from outbox where id = ?", (number,))

    def failed(self, number: int, error: str, next_try: float) -> None:
        """A target has not received it."""
        self._connection.execute(
            "update outbox set tries = tries + 1, error = ?, next_try = ? where id = ?",
            (error, next_try, number),
        )

    def give_up(self, number: int) -> None:
        """A target will not take it."""
        with self.transaction():
            self.delivered(number)
            self.set_fact("dropped", self.fact("dropped", 0) + 1)

    def drop(self, targets: Sequence[str], oldest: float, most: int) -> int:
        """Give up what is too old or too much, or whose target is gone. Returns how many."""
        places = ", ".join("?" * len(targets)) or "''"
        with self.transaction():
            gone = self._connection.execute(
                f"delete from outbox where target not in ({places})",  # noqa: S608  (places only)
                tuple(targets),
            ).rowcount
            gone += self._connection.execute(
                "delete from outbox where message in (select id from messages where time < ?)",
                (oldest,),
            ).rowcount
            for target in targets:
                gone += self._connection.execute(
                    "delete from outbox where target = ? and id not in"
                    " (select id from outbox where target = ? order by id desc limit ?)",
                    (target, target, most),
                ).rowcount
            if gone:
                self.set_fact("dropped", self.fact("dropped", 0) + gone)
        return gone

    def _one(self, statement: str, *values: Any) -> Any:
        return self._connection.execute(statement, values).fetchone()


def _row(one: Incident) -> tuple[Any, ...]:
    part = one.part
    return (
        part.id,
        one.begin,
        one.end,
        one.state,
        part.host,
        part.kind,
        part.name,
        one.cause,
        json.dumps(one.actions),
        one.wanted,
        one.tries,
    )


def _known(found: Mapping[str, Any]) -> Known:
    incident = found["incident"]
    known = Known(**{**found, "part": Part(**found["part"]), "incident": None})
    if incident is None:
        return known
    values = {
        **incident,
        "part": Part(**incident["part"]),
        "actions": tuple(incident["actions"]),
    }
    return replace(known, incident=Incident(**values))


def open_history(path: Path, *, thorough: bool = True) -> tuple[History, str]:
    """The history, and a sentence if a damaged one was moved aside for it.

    C(thorough) looks for damage in all of it.
    """
    try:
        return History(_connect(path, thorough)), ""
    except sqlite3.OperationalError as error:
        # Locked, no room, no rights: the file itself may be sound.
        raise HistoryError(f"{path} cannot be opened: {error}") from error
    except sqlite3.DatabaseError as error:
        aside = path.with_name(f"{path.name}.damaged")
        _move_aside(path, aside)
        sentence = (
            f"the history was damaged ({error}), so a new one was started. The old one is {aside}."
        )
        return History(_connect(path, thorough)), sentence


def _connect(path: Path, thorough: bool) -> sqlite3.Connection:
    # Nobody but root reads causes; WAL lets `history` read while a look writes.
    if not path.exists():
        path.touch(mode=0o600)
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    try:
        _prepare(connection, thorough)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, thorough: bool) -> None:
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = normal")
    (version,) = connection.execute("pragma user_version").fetchone()
    if version > VERSION:
        raise HistoryError(
            f"the history is of version {version}, this watch knows {VERSION}: run watch.yml of"
            " the newer collection, or move the history away"
        )
    if thorough:
        (sound,) = connection.execute("pragma quick_check(1)").fetchone()
        if sound != "ok":
            raise sqlite3.DatabaseError(" ".join(str(sound).split()))
    if version == 0:
        # As one transaction: a kill leaves version 0 with no table.
        connection.executescript(f"begin; {SCHEMA} pragma user_version = {VERSION}; commit;")


def _move_aside(path: Path, aside: Path) -> None:
    """The newest damaged one is kept, with what belongs to it."""
    for suffix in ("-wal", "-shm", ""):
        source, target = (Path(f"{one}{suffix}") for one in (path, aside))
        if source.exists():
            source.replace(target)
        else:
            target.unlink(missing_ok=True)
