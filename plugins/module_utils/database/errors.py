# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why work on a database failed, as a field that playbooks can ask."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.database.dialects import quote

NO_CONNECTION = "no_connection"  # nobody answers, or the login is refused
LOGIN_REFUSED = "login_refused"  # the server answers, and refuses the password
UNKNOWN_ENGINE = "unknown_engine"  # something answers that is none of the known engines
POOLER = "pooler"  # a connection pooler answers instead of the database
BLOCKED = "blocked"  # other sessions held locks until all tries were used up
CONNECTION_LOST = "connection_lost"  # the database went away while a statement ran
STATEMENT_FAILED = "statement_failed"  # the database refused a statement; SQLSTATE says why


# libpq gives no SQLSTATE when a login fails, so these are recognized by their words. In another
# language than English the server gets the general advice.
_REMEDIES = (
    (
        "too many connections for role",
        "The role connects three times at once: end sessions of {login_user} (pg_stat_activity)"
        " or raise its limit as a superuser: ALTER ROLE {user} CONNECTION LIMIT -1",
    ),
    (
        "too many connections for database",
        "The role connects three times at once: end sessions of {login_db} (pg_stat_activity)"
        " or raise its limit as its owner: ALTER DATABASE {database} CONNECTION LIMIT -1",
    ),
    (
        "too many clients already|remaining connection slots",
        "The role connects three times at once: end sessions that nobody needs (see"
        " pg_stat_activity), or raise the server's max_connections",
    ),
    (
        "is not permitted to log in",
        "Set db_optimize_user to an account that may log in and is a member of {login_user}: as a"
        " superuser, GRANT {user} TO that account",
    ),
    (
        "permission denied for database",
        "As the database's owner: GRANT CONNECT ON DATABASE {database} TO {user}",
    ),
    ('database ".*" does not exist', "Check db_optimize_database"),
)
# The server has answered; other refusals may be for lack of what another role has yet to create.
_REFUSED = "password authentication failed|no password supplied"
_REMEDY = (
    "Check db_optimize_host, db_optimize_port, db_optimize_user and its password, that the server's"
    " pg_hba.conf admits this machine, and that the account has not reached a limit of connections"
)


def login_reason(message: str) -> str:
    """Why a login failed with C(message)."""
    return LOGIN_REFUSED if re.search(_REFUSED, message) else NO_CONNECTION


def login_remedy(message: str, params: Mapping[str, Any]) -> str:
    """What to do about a login that failed with C(message)."""
    found = (remedy for words, remedy in _REMEDIES if re.search(words, message))
    names = {"user": quote(params["login_user"]), "database": quote(params["login_db"])}
    return next(found, _REMEDY).format(**params, **names)


class DatabaseError(Exception):
    """A failure with its reason, and its SQLSTATE where the database gave one."""

    def __init__(self, message: str, reason: str, sqlstate: str = "") -> None:
        super().__init__(message)
        self.reason, self.sqlstate = reason, sqlstate


def lost(sqlstate: str) -> bool:
    """Whether it says that the connection is gone. A connection that breaks gives none."""
    return not sqlstate or sqlstate.startswith(("08", "57P", "25P03", "25P04"))
