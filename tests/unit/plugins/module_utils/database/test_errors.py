"""What to do about a login that failed."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.database.errors import (
    LOGIN_REFUSED,
    NO_CONNECTION,
    login_reason,
    login_remedy,
)

PARAMS = {"login_user": 'b"f', "login_db": "the db", "login_host": "h", "login_password": "x"}


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("FATAL: too many connections for role", 'ALTER ROLE "b""f" CONNECTION LIMIT -1'),
        ("FATAL: too many connections for database", 'ALTER DATABASE "the db" CONNECTION LIMIT'),
        ("FATAL: sorry, too many clients already", "max_connections"),
        ("FATAL: remaining connection slots are reserved for", "max_connections"),
        ("FATAL: role is not permitted to log in", 'GRANT "b""f" TO that account'),
        ("FATAL: permission denied for database", 'GRANT CONNECT ON DATABASE "the db"'),
        ('FATAL: database "the db" does not exist', "Check db_optimize_database"),
        ("FATAL: Passwort-Authentifizierung fehlgeschlagen", "Check db_optimize_host"),
        ("FATAL: zu viele Verbindungen", "reached a limit of connections"),
    ],
)
def test_remedy(message: str, remedy: str) -> None:
    assert remedy in login_remedy(message, PARAMS)


def test_reason() -> None:
    refused = 'FATAL: password authentication failed for user "bfowner"'
    assert login_reason(refused) == LOGIN_REFUSED
    assert login_reason("fe_sendauth: no password supplied") == LOGIN_REFUSED
    for message in ("Connection refused", 'FATAL: database "bf" does not exist'):
        assert login_reason(message) == NO_CONNECTION
