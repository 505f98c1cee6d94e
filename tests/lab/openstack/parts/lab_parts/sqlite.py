"""SQLite for services that expect a database server. Imported before anything opens a database.

Each database belongs to one process. In it, one thread at a time has transactions open: two
threads that read first and then write would both fail with "database is locked", however long
they may wait, since SQLite cannot turn an old snapshot into a writer. Foreign keys are enforced:
Neutron relies on ON DELETE CASCADE.
"""

from __future__ import annotations

import sqlite3
import threading
from typing import Any

import sqlalchemy
from sqlalchemy.dialects.sqlite import pysqlite

LONGEST = 120  # seconds that a thread waits for its turn

_turn = threading.Condition()
_holder: list[int] = []  # the thread whose turn it is, if any
_begun: set[int] = set()  # its connections with a transaction


def _bare(connection: Any) -> int:
    """A connection's identity, whether SQLAlchemy has wrapped it or not."""
    return id(getattr(connection, "dbapi_connection", None) or connection)


def _take(connection: Any) -> None:
    me = threading.get_ident()
    with _turn:
        if not _turn.wait_for(lambda: _holder in ([], [me]), LONGEST):
            raise sqlite3.OperationalError(f"another thread's transaction took {LONGEST} s")
        _holder[:] = [me]
        _begun.add(_bare(connection))


def _give_back(identity: int) -> None:
    with _turn:
        if identity in _begun:
            _begun.remove(identity)
            if not _begun:
                _holder.clear()
                _turn.notify_all()


def _patch(name: str) -> None:
    """Give the turn back after the dialect's method, however that ends."""
    plain = getattr(pysqlite.SQLiteDialect_pysqlite, name)

    def method(self: Any, connection: Any) -> Any:
        identity = _bare(connection)
        try:
            return plain(self, connection)
        finally:
            _give_back(identity)

    setattr(pysqlite.SQLiteDialect_pysqlite, name, method)


_plain_begin = pysqlite.SQLiteDialect_pysqlite.do_begin


def _begin(self: Any, connection: Any) -> Any:
    _take(connection)
    return _plain_begin(self, connection)


pysqlite.SQLiteDialect_pysqlite.do_begin = _begin
for _method in ("do_commit", "do_rollback", "do_close", "do_terminate"):
    _patch(_method)


@sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
def _enforce_foreign_keys(connection: Any, _record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA foreign_keys = ON")
