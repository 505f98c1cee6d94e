"""The database as the web servers reach it: with the pages' account, by PHP."""

from __future__ import annotations

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://legacy_web"]

# Arguments: host, account, statement. Prints the first value; leaves nothing behind.
CLIENT = """
try {
    $db = new PDO("pgsql:host=$argv[1];port=5432;dbname=bf;sslmode=disable;connect_timeout=5",
        $argv[2], getenv("SECRET"), [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
    $db->beginTransaction();
    echo $db->query($argv[3])->fetchColumn();
    $db->rollBack();
} catch (PDOException $e) { fwrite(STDERR, $e->getMessage()); exit(1); }
"""


def run(host: Host, sql: str, user: str = "bfuser", secret: str | None = None) -> tuple[int, str]:
    """Exit status, and the first value or the error."""
    facts = host.ansible.get_variables()
    secret = facts["bookface_db_password"] if secret is None else secret
    done = host.run(
        "SECRET=%s php -r %s %s %s %s", secret, CLIENT, facts["groups"]["databases"][0], user, sql
    )
    return done.rc, done.stdout + done.stderr


@pytest.mark.parametrize(
    "sql",
    [
        "select count(*) from users",
        "insert into users (name) values ('x') returning length(userid)",
        "insert into posts (userid, text) values ('x', 'y') returning length(postid)",
        "insert into comments (userid, postid, text) values ('x', 'y', 'z') returning 1",
        "insert into pictures (pictureid, picture) values ('x', 'ffd8') returning 1",
        "update users set posts = posts, lastpostdate = now() where userid = 'x' returning 1",
    ],
)
def test_pages_may(host: Host, sql: str) -> None:
    status, answer = run(host, sql)
    assert status == 0, answer


@pytest.mark.parametrize(
    "sql",
    [
        "delete from posts",
        "truncate comments",
        "drop table pictures",
        "alter table users add column x int",
        "create index x on posts (userid)",
        "create table x (a int)",
        "create temporary table x (a int)",
        "create schema x",
        "create role x",
        "select rolpassword from pg_authid",
    ],
)
def test_pages_may_not(host: Host, sql: str) -> None:
    status, answer = run(host, sql)
    assert status == 1
    assert "SQLSTATE[42501]" in answer  # insufficient privilege


def test_wrong_password_is_refused(host: Host) -> None:
    status, answer = run(host, "select 1", secret="wrong")  # noqa: S106
    assert status == 1
    assert 'password authentication failed for user "bfuser"' in answer


def test_no_password_is_refused(host: Host) -> None:
    status, answer = run(host, "select 1", secret="")
    assert status == 1
    assert "no password supplied" in answer


def test_owner_is_not_let_in_from_a_web_server(host: Host) -> None:
    secret = host.ansible.get_variables()["bookface_db_owner_password"]
    status, answer = run(host, "select 1", user="bfowner", secret=secret)
    assert status == 1
    assert "no pg_hba.conf entry" in answer
