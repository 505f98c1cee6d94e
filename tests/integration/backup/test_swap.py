"""The statements that swap two databases, executed as the role does: in one transaction."""

# ruff: noqa: S608  (all of it stands here)
from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator

import pytest
from workalike.support import Cluster, postgresql_program

from tests.support.waiting import until

from .conftest import FILES

# Names that need quotes everywhere.
OLD, NEW, REPLACED = "The site's", "The site's_new", "The site's_replaced"


def filled(file: str) -> str:
    """A file with its arguments, as psycopg2 would fill them in."""
    text = (FILES / file).read_text()
    names = {"old": OLD, "new": NEW, "replaced": REPLACED}
    for name, value in names.items():
        text = text.replace(f"%({name})s", "'" + value.replace("'", "''") + "'")
    return text.replace("%%", "%")


def statements(cluster: Cluster) -> str:
    found = cluster.sql(
        f"select string_agg(statement, ';' || chr(10)) from ({filled('swap.sql')}) as s"
    )
    assert found
    return found


def swap(cluster: Cluster) -> None:
    cluster.sql(f"begin; {statements(cluster)}; commit")


@pytest.fixture
def _databases(cluster: Cluster) -> Iterator[None]:
    cluster.sql(f'create database "{OLD}"')
    cluster.sql(f'create database "{NEW}"')
    cluster.sql("create table which as select 'old' as one", OLD)
    cluster.sql("create table which as select 'new' as one", NEW)
    yield
    for name in (OLD, NEW, REPLACED):
        cluster.sql(f'drop database if exists "{name}"')


@pytest.mark.usefixtures("_databases")
def test_names_are_swapped(cluster: Cluster) -> None:
    swap(cluster)
    assert cluster.sql("select one from which", OLD) == "new"
    assert cluster.sql("select one from which", REPLACED) == "old"


LOCALES = [
    "lc_collate 'C' lc_ctype 'C.UTF-8' encoding 'UTF8'",
    "locale_provider icu icu_locale 'nb-NO' encoding 'UTF8'",
    "lc_collate 'C' lc_ctype 'C' encoding 'SQL_ASCII'",
]


@pytest.mark.parametrize("locale", LOCALES)
def test_what_only_a_new_database_can_get_goes_along(cluster: Cluster, locale: str) -> None:
    """Who sorts, and where the files are; and the comment, which comes with the swap."""
    place = cluster.directory / "space"
    place.mkdir()
    shutil.chown(place, "postgres")
    cluster.sql(f"create tablespace \"The space\" location '{place}'")
    try:
        cluster.sql(f'create database "{OLD}" template template0 tablespace "The space" {locale}')
        cluster.sql(f"comment on database \"{OLD}\" is 'it''s ours'")
        cluster.sql(cluster.sql(filled("beside.sql")))
        swap(cluster)

        def state(name: str) -> str:
            quoted = name.replace("'", "''")
            return cluster.sql(
                "select shobj_description(oid, 'pg_database'), (to_jsonb(d) - array['oid',"
                " 'datname', 'datfrozenxid', 'datminmxid', 'datacl'])::text"
                f" from pg_database as d where datname = '{quoted}'"
            )

        assert "it's ours" in state(OLD)
        assert state(OLD) == state(REPLACED)
    finally:
        for name in (OLD, NEW, REPLACED):
            cluster.sql(f'drop database if exists "{name}"')
        cluster.sql('drop tablespace "The space"')
        place.rmdir()


@pytest.mark.usefixtures("_databases")
def test_rights_settings_and_limit_go_along(cluster: Cluster) -> None:
    cluster.sql(
        f'revoke all on database "{OLD}" from public; revoke all on database "{NEW}" from public;'
        f'grant connect on database "{OLD}" to bfuser;'
        f'grant temporary on database "{OLD}" to pg_monitor with grant option;'
        f'alter database "{OLD}" set search_path to public, "The other";'
        f"alter database \"{OLD}\" set application_name to 'a=b; it''s';"
        f"alter role bfuser in database \"{OLD}\" set work_mem to '5MB';"
        f'alter database "{OLD}" connection limit 7'
    )

    def state(name: str) -> str:
        quoted = name.replace("'", "''")
        return cluster.sql(
            "select datacl, datconnlimit, (select array_agg(s.setrole::regrole || s.setconfig::text"
            " order by s.setrole) from pg_db_role_setting as s where s.setdatabase = d.oid)"
            f" from pg_database as d where datname = '{quoted}'"
        )

    before = state(OLD)
    assert "5MB" in before
    assert "bfuser=c" in before
    assert "|7|" in before
    swap(cluster)
    assert state(OLD) == before


@pytest.mark.usefixtures("_databases")
def test_session_on_the_old_database_does_not_stand_in_the_way(cluster: Cluster) -> None:
    command = [postgresql_program("psql"), "-XqAt", "-h", str(cluster.directory)]
    command += ["-p", str(cluster.port), "-U", "postgres", "-d", OLD, "-c", "select pg_sleep(60)"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as session:
        sleeping = "select count(*) from pg_stat_activity where query like 'select pg_sleep%'"
        until(lambda: cluster.sql(sleeping) == "1", "the session sleeps")
        swap(cluster)
        _, error = session.communicate(timeout=20)
    assert "terminating connection" in error
    assert cluster.sql("select one from which", OLD) == "new"


@pytest.mark.usefixtures("_databases")
def test_failure_half_way_leaves_the_old_one(cluster: Cluster) -> None:
    last = f'alter database "{NEW}" rename to'
    text = re.sub(f"{last}.*", "select 1/0", statements(cluster))
    assert "1/0" in text
    with pytest.raises(AssertionError, match="division by zero"):
        cluster.sql(f"begin; {text}; commit")
    assert cluster.sql("select one from which", OLD) == "old"
    assert cluster.sql("select one from which", NEW) == "new"


@pytest.mark.usefixtures("_databases")
def test_clients_see_one_of_the_two_and_nothing_else(cluster: Cluster) -> None:
    seen: set[str] = set()
    refused: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                seen.add(cluster.sql("select one from which", OLD))
            except AssertionError as refusal:
                refused.append(str(refusal))

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for client in clients:
        client.start()
    swap(cluster)
    try:
        until(lambda: "new" in seen, "a client sees the new database")
    finally:
        stop.set()
        for client in clients:
            client.join()
    # For the moment of the swap alone; nobody sees an empty or half database.
    for refusal in refused:
        assert re.search("dropped or renamed|terminating connection|closed", refusal)
    assert {"new"} <= seen <= {"old", "new"}
