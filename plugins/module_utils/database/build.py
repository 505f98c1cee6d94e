# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements executed one by one, in a limited number of tries.

A build with CONCURRENTLY waits for the transactions that were open before it. A build that gives up
leaves an invalid index behind, so every further try begins with dropping it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ansible_collections.bookface.platform.plugins.module_utils.database.errors import (
    BLOCKED,
    CONNECTION_LOST,
    STATEMENT_FAILED,
    DatabaseError,
    lost,
)

# SQLSTATE, by PostgreSQL's names.
LOCK_NOT_AVAILABLE, DUPLICATE_TABLE = "55P03", "42P07"
REMEDIES = {
    "42501": "the account {user} lacks this privilege: the owner of the named object can grant it",
    "25006": "the server or the account is read-only: connect to the primary, as an account whose"
    " transactions may write",
    "53100": "the database's disk is full: free some space, or drop what is not needed",
    "57014": "somebody cancelled the statement",
}


@dataclass(frozen=True)
class Step:
    """A statement, with the index and the table that it is about.

    While a C(brief) one waits for its lock, queries queue up behind it.
    """

    action: str
    table: str
    index: str
    statement: str
    brief: bool = False


@dataclass(frozen=True)
class Holder:
    """A session that others wait for. What the server hides from this account is empty.

    Autovacuum has no user. The pid 0 is a prepared transaction, which has no session.
    """

    pid: int
    user: str = ""
    application: str = ""
    state: str = ""
    seconds: float | None = None
    query_start: str = ""
    query: str = ""

    def __str__(self) -> str:
        if not self.pid:
            return "a prepared transaction (see pg_prepared_xacts)"
        text = f"pid {self.pid} of {self.user}" if self.user else f"autovacuum, pid {self.pid}"
        if not self.user:
            return f"{text}: {' '.join(self.query.split())[:80]}" if self.query else text
        if self.application:
            text += f" ({self.application})"
        if self.seconds is None:
            return f"{text}, whose transaction is visible to members of pg_read_all_stats only"
        text += f", {self.state or 'active'}, its transaction open for {self.seconds:.0f} s"
        if self.query_start:
            text += f", last statement at {self.query_start}"
        return f"{text}: {' '.join(self.query.split())[:80]}" if self.query else text


@dataclass(frozen=True)
class Failure:
    """SQLSTATE (empty if the connection broke) and the server's message."""

    code: str
    message: str


@dataclass(frozen=True)
class Outcome:
    """How a statement ended, and who blocked it while it ran."""

    failure: Failure | None = None
    holders: tuple[Holder, ...] = ()


@dataclass(frozen=True)
class Done:
    """A step that was executed. C(tries) is 0 if another session was quicker."""

    action: str
    table: str
    index: str
    seconds: float
    tries: int
    size: int = 0


class Database(Protocol):
    """What the tries require of a database. All but C(execute) may raise a DatabaseError."""

    def execute(self, statement: str, brief: bool = False) -> Outcome:
        """Run one statement to its end; a brief one gives up its lock soon, and pauses then."""

    def leftover(self, step: Step) -> bool | None:
        """Whether there is an invalid index of the step's name that nobody is building.

        None if the engine does not show whether somebody is building it.
        """

    def drop_of(self, step: Step) -> str:
        """The statement that drops it."""

    def size(self, step: Step) -> int:
        """Bytes of the step's index."""


def carry_out(
    steps: Iterable[Step],
    database: Database,
    tries: int,
    context: Mapping[str, str],
    brief_tries: int = 1,
) -> list[Done]:
    """Execute all steps in order; C(context) fills the messages (C(user)).

    An ANALYZE that is blocked does not hold up the other tables. Marks come after it, so that the
    next run sees that it is due.
    """
    done: list[Done] = []
    blocked: dict[str, DatabaseError] = {}
    for step in steps:
        if step.action == "mark" and step.table in blocked:
            continue
        try:
            times = brief_tries if step.brief else tries
            done.append(_carry_out(step, database, times, context))
        except DatabaseError as error:
            if step.action != "analyze" or error.reason != BLOCKED:
                raise _ended(error, done) from None
            blocked[step.table] = error
    if blocked:
        raise _ended(next(iter(blocked.values())), done)
    return done


def _ended(error: DatabaseError, done: Iterable[Done]) -> DatabaseError:
    """The error, with what was done before it."""
    before = ", ".join(f"{item.action} {item.index or item.table}" for item in done)
    return DatabaseError(
        f"{error}. Steps done: {before or 'none'}. Run again to continue",
        error.reason,
        error.sqlstate,
    )


def _carry_out(step: Step, database: Database, tries: int, context: Mapping[str, str]) -> Done:
    began = time.monotonic()
    seen: dict[int, Holder] = {}
    for number in range(1, tries + 1):
        outcome = _try(step, database, first=number == 1)
        seen.update({holder.pid: holder for holder in outcome.holders})
        if outcome.failure is None:
            spent = time.monotonic() - began
            size = database.size(step) if step.action == "create" else 0
            return Done(step.action, step.table, step.index, round(spent, 2), number, size)
        if outcome.failure.code == DUPLICATE_TABLE and step.action == "create":
            # Planned a moment ago, so another run has created it since. The next plan judges it.
            return Done(step.action, step.table, step.index, 0.0, 0)
        if outcome.failure.code != LOCK_NOT_AVAILABLE:
            raise _error(step, outcome.failure, database, context)
    who = "; ".join(map(str, seen.values())) or "a session that had ended by the time of the check"
    wait = "half a second" if step.brief else "as long as db_optimize_lock_wait allows"
    raise DatabaseError(
        f"{step.action} {step.index or step.table}: gave up after {tries} tries, each of which"
        f" waited for another session {wait}. Blocked by {who}."
        f" {_advice(seen.values())}" + _left(step, database),
        BLOCKED,
        LOCK_NOT_AVAILABLE,
    )


def _advice(blocking: Iterable[Holder]) -> str:
    """What to do about each kind of holder, without a full stop at the end."""
    blocking, advice = list(blocking), []
    if any(holder.pid and not holder.user for holder in blocking):
        advice.append(
            "An autovacuum that does not cancel itself prevents transaction ID wraparound: let it"
            " finish (pg_stat_progress_vacuum shows its progress); terminated, it would start over"
        )
    if any(not holder.pid for holder in blocking):
        advice.append("End a prepared transaction by COMMIT PREPARED or ROLLBACK PREPARED")
    if not blocking or any(holder.user for holder in blocking):
        advice.append("End that transaction, or the session (select pg_terminate_backend(PID))")
    return ". ".join(advice)


def _try(step: Step, database: Database, first: bool) -> Outcome:
    """One try. What a failed one leaves is dropped, after it or else before the next."""
    if step.action != "create" or step.brief:
        return database.execute(step.statement, step.brief)
    if not first and database.leftover(step):
        outcome = database.execute(database.drop_of(step))
        if outcome.failure:
            return outcome
    outcome = database.execute(step.statement)
    if not outcome.failure or outcome.failure.code == DUPLICATE_TABLE:
        return outcome
    with contextlib.suppress(DatabaseError):  # the server went away: the statement's error says so
        if database.leftover(step):
            also = database.execute(database.drop_of(step)).holders
            outcome = Outcome(outcome.failure, outcome.holders + also)
    return outcome


def _error(
    step: Step, failure: Failure, database: Database, context: Mapping[str, str]
) -> DatabaseError:
    message = " ".join(failure.message.split()).rstrip(".")
    what = f"{step.action} {step.index or step.table}: {message}"
    if lost(failure.code):
        what += (
            ". The connection to the database was lost; the next run finds and replaces an index"
            " that was left unfinished"
        )
        return DatabaseError(what + _left(step, database), CONNECTION_LOST, failure.code)
    remedy = REMEDIES.get(failure.code, "").format(**context)
    what += f". That is: {remedy}" if remedy else ""
    return DatabaseError(what + _left(step, database), STATEMENT_FAILED, failure.code)


def _left(step: Step, database: Database) -> str:
    """What a failed create has left behind."""
    if step.action == "analyze":
        return ". The indexes are made and serve; the next run analyzes the table"
    if step.action != "create" or step.brief:
        return ""
    try:
        left = database.leftover(step)
    except DatabaseError:
        return ""
    if left is None:
        return f". The next run shows whether it has left an invalid index {step.index} behind"
    if left:
        return (
            f". The invalid index {step.index} is left behind, because dropping it was blocked as"
            " well: no query uses it, every write maintains it, the next run replaces it"
        )
    return ". No invalid index is left behind"


def holders(rows: Iterable[Sequence[object]]) -> tuple[Holder, ...]:
    """Sessions from rows of pid, user, application, state, seconds, start of the query, query."""
    found = []
    for pid, user, application, state, seconds, start, query in rows:
        hidden = seconds is None
        found.append(
            Holder(
                int(str(pid)),
                str(user or ""),
                str(application or ""),
                str(state or ""),
                None if hidden else float(str(seconds)),
                "" if hidden else str(start or ""),
                "" if hidden else str(query or ""),
            )
        )
    return tuple(found)
