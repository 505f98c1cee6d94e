# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why work on a database failed, as a field that playbooks can ask."""

from __future__ import annotations

NO_CONNECTION = "no_connection"  # nobody answers, or the login is refused
UNKNOWN_ENGINE = "unknown_engine"  # something answers that is none of the known engines
POOLER = "pooler"  # a connection pooler answers instead of the database
BLOCKED = "blocked"  # other sessions held locks until all tries were used up
CONNECTION_LOST = "connection_lost"  # the database went away while a statement ran
STATEMENT_FAILED = "statement_failed"  # the database refused a statement; SQLSTATE says why


class DatabaseError(Exception):
    """A failure with its reason, and its SQLSTATE where the database gave one."""

    def __init__(self, message: str, reason: str, sqlstate: str = "") -> None:
        super().__init__(message)
        self.reason, self.sqlstate = reason, sqlstate


def lost(sqlstate: str) -> bool:
    """Whether it says that the connection is gone. A connection that breaks gives none."""
    return not sqlstate or sqlstate.startswith(("08", "57P"))
