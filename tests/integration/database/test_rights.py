# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role database changes about tables and rights: all that differs, and nothing else."""

from __future__ import annotations

import json
from typing import Any

from .conftest import OWNER, PAGES, PROJECT, Database

SQL = (PROJECT / "roles/database/files/differs.sql").read_text()
TABLES = ["comments", "pictures", "posts", "users"]
# Of the pages' account on a table.
ASK = "select has_table_privilege('{role}', '{table}', '{privilege}')"


def differs(database: Database, tables: list[str]) -> dict[str, Any]:
    """The row of differs.sql, its parameters filled in as psycopg2 does."""
    text = SQL.replace("%(pages)s", f"'{PAGES}'").replace("%(owner)s", f"'{OWNER}'")
    text = text.replace("%(tables)s", f"'{json.dumps(tables)}'").replace("%%", "%")
    query = f"select row_to_json(d) from ({text}) as d"  # noqa: S608  (the role's own file)
    found: dict[str, Any] = json.loads(database.sql(query))
    return found


def repair(database: Database) -> list[str]:
    """Execute the statements, as the role does."""
    statements: list[str] = differs(database, TABLES)["statements"]
    database.sql("; ".join(["begin", *statements, "commit"]))
    return statements


def may(database: Database, privilege: str, table: str = "posts", role: str = PAGES) -> bool:
    return database.sql(ASK.format(role=role, table=table, privilege=privilege)) == "t"


def test_a_repaired_database_does_not_differ(database: Database) -> None:
    assert repair(database)
    assert differs(database, TABLES) == {"tables": [], "statements": [], "filled": False}


def test_each_lacking_right_is_granted(database: Database) -> None:
    repair(database)
    name = database.name
    for taken, given in (
        (f"database {name} from {PAGES}", f"grant CONNECT on database {name} to {PAGES}"),
        (f"schema public from {OWNER}", f"grant CREATE, USAGE on schema public to {OWNER}"),
        (f"schema public from {PAGES}", f"grant USAGE on schema public to {PAGES}"),
        (
            f"public.users from {PAGES}",
            f"grant INSERT, SELECT, UPDATE on table public.users to {PAGES}",
        ),
    ):
        database.sql(f"revoke all on {taken}")
        assert repair(database) == [given]
    database.sql(f"revoke update on posts from {PAGES}")
    assert repair(database) == [f"grant UPDATE on table public.posts to {PAGES}"]


def test_everybody_and_the_pages_lose_what_they_do_not_need(database: Database) -> None:
    repair(database)
    database.sql(
        f"grant temporary on database {database.name} to public;"
        " grant usage, create on schema public to public;"
        f" grant all on posts to {PAGES}; grant references on users to {OWNER}"
    )
    # Each version of PostgreSQL has its own list of what "all" is on a table.
    assert {statement.partition(" on ")[2] for statement in repair(database)} == {
        f"table public.posts from {PAGES}",
        "schema public from public",
        f"database {database.name} from public",
    }
    assert [p for p in ("SELECT", "INSERT", "UPDATE", "DELETE") if not may(database, p)] == [
        "DELETE"
    ]
    # The rights of others on the tables are theirs.
    assert may(database, "REFERENCES", "users", OWNER)


def test_later_tables_of_the_owner_are_for_the_pages_too(database: Database) -> None:
    assert f"alter default privileges for role {OWNER} in schema public" in " ".join(
        repair(database)
    )
    database.sql(f"set role {OWNER}; create table later (a int)")
    assert may(database, "UPDATE", "later")
    assert not may(database, "DELETE", "later")


def test_missing_tables_and_those_of_another_owner_are_named(database: Database) -> None:
    repair(database)
    database.sql("drop table comments; alter table users owner to postgres")
    found = differs(database, TABLES)
    assert found["tables"] == ["comments", "users"]
    assert (
        f"grant INSERT, SELECT, UPDATE on table public.comments to {PAGES}" in found["statements"]
    )


def test_rows_of_any_of_the_pages_tables_count(database: Database) -> None:
    database.sql("insert into pictures (pictureid, picture) values ('a', 'ff')")
    assert not differs(database, TABLES)["filled"]
    database.sql("insert into comments (text) values ('one')")
    assert differs(database, TABLES)["filled"]
