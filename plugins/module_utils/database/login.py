# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to a database: arguments that modules share, and who answers."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.bookface.platform.plugins.module_utils.database.catalogue import (
    APPLICATION,
)
from ansible_collections.bookface.platform.plugins.module_utils.database.engine import (
    COCKROACHDB,
    POSTGRESQL,
    EngineError,
    engine,
)
from ansible_collections.bookface.platform.plugins.module_utils.database.errors import (
    CONNECTION_LOST,
    POOLER,
    STATEMENT_FAILED,
    UNKNOWN_ENGINE,
    DatabaseError,
    login_reason,
    login_remedy,
    lost,
)

try:
    import psycopg2  # type: ignore[import-untyped]
    from psycopg2.extensions import set_wait_callback  # type: ignore[import-untyped]
    from psycopg2.extras import wait_select  # type: ignore[import-untyped]
except ImportError:
    psycopg2 = None
    MISSING = traceback.format_exc()
else:
    MISSING = ""

# As doc_fragments/database_login.py documents them.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "login_host": {"type": "str", "default": ""},
    "login_port": {"type": "int", "default": 5432},
    "login_user": {"type": "str", "required": True},
    "login_password": {"type": "str", "default": "", "no_log": True},
    "login_db": {"type": "str", "required": True},
    "ssl_mode": {
        "type": "str",
        "choices": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
        "default": "prefer",
    },
}
_LIBPQ = {
    "host": "login_host",
    "port": "login_port",
    "user": "login_user",
    "password": "login_password",
    "dbname": "login_db",
    "sslmode": "ssl_mode",
}


# Timeouts that an account or a database may have for its pages, as far as the server knows them.
_NO_TIMEOUTS = """
select set_config(name, '0', false) from pg_settings where name in ('statement_timeout',
  'transaction_timeout', 'idle_session_timeout', 'idle_in_transaction_session_timeout')
"""
# Seconds that a question waits for a lock: whoever holds a table exclusively has its size, too.
_READ_WAIT = 60


@dataclass(frozen=True)
class Server:
    """A connection, and the engine that answers on it."""

    connection: Any
    engine: str
    version: str

    @property
    def number(self) -> int:
        """The version of PostgreSQL as libpq numbers it, whose catalogue the engine has."""
        return int(self.connection.server_version)


def connect(params: Mapping[str, Any]) -> Any:
    """A connection that commits each statement."""
    given = {name: params[option] for name, option in _LIBPQ.items()}
    try:
        set_wait_callback(None)  # with it, connect_timeout would not count
        connection = psycopg2.connect(
            **{name: value for name, value in given.items() if value},
            application_name=APPLICATION,
            connect_timeout=10,
            # A server that vanishes without a word is noticed after a minute.
            keepalives_idle=20,
            keepalives_interval=10,
            keepalives_count=4,
        )
    except psycopg2.Error as error:
        why = " ".join(f"{error}".split()).rstrip(".?")
        raise DatabaseError(
            f"No connection to {place(params)} as {params['login_user']}: {why}."
            f" {login_remedy(why, params)}. Nothing was changed",
            login_reason(why),
        ) from None
    # Without it, libpq drops the server's last words, which say why it ends a session.
    set_wait_callback(wait_select)
    connection.autocommit = True
    return connection


def reach(params: Mapping[str, Any]) -> Server:
    """Connect to the database itself; anything else that answers is refused."""
    connection = connect(params)
    try:
        name, version = engine(ask(connection, "select version()")[0][0])
    except EngineError as error:
        raise DatabaseError(
            f"{place(params)} is not a supported database: {error}. Nothing was changed",
            UNKNOWN_ENGINE,
        ) from None
    if name != COCKROACHDB:  # its sessions have no process
        greeted = connection.get_backend_pid()
        executes = ask(connection, "select pg_backend_pid()")[0][0]
        if greeted != executes:
            raise DatabaseError(
                f"{place(params)} is a connection pooler, not the database: session {greeted}"
                f" answered, statements run in session {executes}. Building indexes online requires"
                " a session of its own: set db_optimize_host and db_optimize_port to the database"
                " itself. Nothing was changed",
                POOLER,
            )
    lift_timeouts(connection, name)
    return Server(connection, name, version)


def lift_timeouts(connection: Any, engine_name: str) -> None:
    """Timeouts that the account has for its pages must not end a session of ours."""
    if engine_name == POSTGRESQL:
        ask(connection, _NO_TIMEOUTS)
        ask(connection, f"set lock_timeout = '{_READ_WAIT}s'", rows=False)
    elif engine_name == COCKROACHDB:
        ask(connection, "set statement_timeout = 0", rows=False)
    # YugabyteDB takes its own deadlines for a build from statement_timeout: it stays.


def ask(
    connection: Any,
    query: str,
    values: Sequence[Any] | Mapping[str, Any] | None = None,
    rows: bool = True,
) -> list[Any]:
    """The rows of a query, or none of a statement that returns no rows."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall()) if rows else []
    except psycopg2.Error as error:
        code = error.pgcode or ""
        reason = CONNECTION_LOST if lost(code) else STATEMENT_FAILED
        raise DatabaseError(" ".join(f"{error}".split()).rstrip("."), reason, code) from None


def place(params: Mapping[str, Any]) -> str:
    """The database, for messages."""
    return "{login_host}:{login_port}/{login_db}".format(**params)


def finish(module: AnsibleModule, run: Callable[[AnsibleModule], dict[str, Any]]) -> None:
    """End a module with the result of C(run), or with the reason why it failed."""
    if psycopg2 is None:
        module.fail_json(msg=missing_required_lib("psycopg2"), exception=MISSING)
    try:
        result = run(module)
    except DatabaseError as error:
        module.fail_json(msg=f"{error}.", reason=error.reason, sqlstate=error.sqlstate)
    module.exit_json(**result)
