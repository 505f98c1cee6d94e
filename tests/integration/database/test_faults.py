# SPDX-License-Identifier: GPL-3.0-or-later
"""Trouble with the database: one clear message each, and a run after it that completes."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from workalike.support import (
    LOOPBACK,
    Cluster,
    accepts,
    end,
    free_port,
    postgresql_program,
    program,
)

from tests.support.commands import Run, kill_tree
from tests.support.waiting import until

from .conftest import (
    INDEXES,
    MARK,
    OWNER,
    OWNER_PASSWORD,
    PAGES,
    PAGES_PASSWORD,
    Database,
    accounts,
    run,
    running,
)

Make = Callable[[Cluster], Database]
ALL_GOOD = dict.fromkeys(INDEXES, (True, MARK))


@contextmanager
def standby(cluster: Cluster) -> Iterator[int]:
    """A standby of the cluster; yields its port."""
    user = "postgres" if os.geteuid() == 0 else None
    place = cluster.directory / "standby"
    base = [postgresql_program("pg_basebackup"), "-D", str(place), "-R", "--checkpoint=fast"]
    where = ["-h", str(cluster.directory), "-p", str(cluster.port), "-U", "postgres"]
    hba = cluster.directory / "data/pg_hba.conf"
    hba.write_text(f"local replication all trust\n{hba.read_text()}")
    cluster.sql("select pg_reload_conf()")
    subprocess.run([*base, *where], user=user, cwd="/", check=True, capture_output=True)
    port = free_port()
    options = {"port": port, "unix_socket_directories": place, "listen_addresses": LOOPBACK}
    command = [postgresql_program("postgres"), "-D", str(place)]
    for name, value in {**options, "max_connections": 30}.items():
        command += ["-c", f"{name}={value}"]
    log = (cluster.directory / "standby.log").open("wb")
    process = subprocess.Popen(command, user=user, cwd="/", stdout=log, stderr=log)
    try:
        until(lambda: accepts(LOOPBACK, port), "the standby accepts connections")
        yield port
    finally:
        end(process, signal.SIGINT)
        shutil.rmtree(place)


@contextmanager
def pooler(database: Database) -> Iterator[int]:
    """PgBouncer before the database, in transaction mode; yields its port."""
    port, place = free_port(), database.cluster.directory / "pooler"
    place.mkdir()
    (place / "users.txt").write_text(f'"{OWNER}" "{OWNER_PASSWORD}"\n')
    (place / "pgbouncer.ini").write_text(
        f"[databases]\n{database.name} = host={LOOPBACK} port={database.cluster.port}\n"
        f"[pgbouncer]\nlisten_addr = {LOOPBACK}\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {place}/users.txt\npool_mode = transaction\n"
        "ignore_startup_parameters = extra_float_digits,options\n"
    )
    user = pwd.getpwnam("postgres")
    for path in (place, *place.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)
    command = [program("pgbouncer", "pgbouncer"), str(place / "pgbouncer.ini")]
    log = (database.cluster.directory / "pooler.log").open("wb")
    process = subprocess.Popen(command, user="postgres", stdout=log, stderr=log)
    try:
        until(lambda: accepts(LOOPBACK, port), "PgBouncer accepts connections")
        yield port
    finally:
        end(process)
        shutil.rmtree(place)


def test_refusals(cluster: Cluster, make: Make, tmp_path: Path) -> None:
    """What cannot work is refused with its reason before anything is changed."""
    plain, taken, strange = make(cluster), make(cluster), make(cluster)
    bare, team = make(cluster), make(cluster)
    # As a schema is that was made before PostgreSQL 15, and then closed.
    bare.sql(
        f"alter schema public owner to postgres; revoke all on schema public from public, {OWNER}"
    )
    team.sql(
        "create role team nologin password 'x'; alter table posts owner to team;"
        " alter table users owner to team"
    )
    plain.seed(20, 20)
    taken.sql(
        f"set role {OWNER}; create table bookface_posts_of_user (a int);"
        " create index bookface_comments_of_post on users (name)"
    )
    cluster.sql(f"create database {plain.name}_bare")
    cluster.sql(
        "create role stranger login superuser password 'x'; create role reader login password 'x';"
        f" grant {OWNER} to reader; alter role reader set default_transaction_read_only = on;"
        " alter role stranger set search_path = strange, pg_catalog;"
        f" create role member login password 'x' noinherit; grant team, {OWNER} to member;"
        " create role full login password 'x' connection limit 0;"
    )
    strange.sql(
        "create schema strange; create function strange.version() returns text"
        " language sql as $$ select 'Oracle 23' $$"
    )
    before = [database.indexes() for database in (plain, taken, strange)]
    with standby(cluster) as copy, pooler(plain) as between:
        other = {"db_optimize_user": "stranger", "db_optimize_password": "x"}
        hosts: dict[str, dict[str, Any]] = {
            "password": plain.variables(db_optimize_password="wrong"),  # noqa: S106
            "nobody": plain.variables(db_optimize_port=free_port()),
            "pages": plain.variables(db_optimize_user=PAGES, db_optimize_password=PAGES_PASSWORD),
            "bare": plain.variables(db_optimize_database=f"{plain.name}_bare"),
            "create": bare.variables(),
            "team": team.variables(),
            "member": team.variables(db_optimize_user="member", db_optimize_password="x"),  # noqa: S106
            "full": plain.variables(db_optimize_user="full", db_optimize_password="x"),  # noqa: S106
            "login": plain.variables(db_optimize_user="team", db_optimize_password="x"),  # noqa: S106
            "standby": plain.variables(db_optimize_port=copy),
            "reader": plain.variables(db_optimize_user="reader", db_optimize_password="x"),  # noqa: S106
            "pooler": plain.variables(db_optimize_port=between),
            "taken": taken.variables(),
            "strange": strange.variables(**other),
            "number": plain.variables(db_optimize_password=12345678),
            "newline": plain.variables(db_optimize_password="one\ntwo"),  # noqa: S106
            "numbers": plain.variables(db_optimize_tries=0),
        }
        ended = run(tmp_path, hosts)
    cluster.sql(f"drop database {plain.name}_bare")
    expected = {
        "password": [
            "password authentication failed",
            "Check db_optimize_host",
            "Nothing was changed",
        ],
        "nobody": ["Connection refused", "Check db_optimize_host, db_optimize_port"],
        "pages": [
            "conflict bookface_posts_of_user: posts belongs to bfowner",
            "Nothing was changed",
        ],
        "bare": ["The schema public of", "has none of the tables posts, comments, users, pictures"],
        "create": ["GRANT USAGE, CREATE ON SCHEMA public TO bfowner", "the owner of the schema or"],
        "team": ["posts belongs to team, a role without login", "GRANT team TO bfowner"],
        "member": ["ALTER ROLE member INHERIT", "users belongs to team"],
        "full": ["too many connections for role", 'ALTER ROLE "full" CONNECTION LIMIT'],
        "login": ["is not permitted to log in", 'GRANT "team" TO that account'],
        "standby": ["is read-only: a standby", "the primary"],
        "reader": ["is read-only"],
        "pooler": ["is a connection pooler, not the database", "Nothing was changed"],
        "taken": [
            "a table has this name: rename it",
            "an index of this name, on users (name), does not serve comments (postid, postdate)",
            "Nothing was changed",
        ],
        "strange": ["identifies itself as 'Oracle 23'", "CockroachDB"],
        "number": [
            "db_optimize_password is not text; expected text in quotes",
            "Nothing was changed",
        ],
        "newline": ["db_optimize_password has a line break or another control character"],
        "numbers": ["1 or more for each", "Nothing was changed"],
    }
    for host, texts in expected.items():
        for text in texts:
            assert text in ended.message(host), f"{host}: {ended.output}"
        assert ended.count("changed", host) == 0
    assert [database.indexes() for database in (plain, taken, strange)] == before


@pytest.fixture
def fragile() -> Iterator[Cluster]:
    """A server that may be killed."""
    cluster = accounts(Cluster())
    yield cluster
    cluster.remove()


@contextmanager
def small_disk(cluster: Cluster) -> Iterator[None]:
    """A tablespace of 64 kB."""
    place = Path(tempfile.mkdtemp(prefix="bookface-small-"))
    options = f"size=64k,uid={pwd.getpwnam('postgres').pw_uid}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    try:
        cluster.sql(f"create tablespace small location '{place}'")
        cluster.sql(f"grant create on tablespace small to {OWNER}")
        yield
        cluster.sql("drop tablespace small")
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()


def building(database: Database) -> bool:
    """Whether a build waits for another session."""
    return "t" in database.sql(
        "select phase like 'waiting%' and current_locker_pid > 0 from pg_stat_progress_create_index"
        " where datname = current_database()"
    )


def sessions(database: Database) -> int:
    """Sessions of the module; killed in mid-build, it leaves the one that builds."""
    return int(
        database.sql(
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and application_name = 'bookface.platform.db_optimize'"
        )
    )


def test_builds_that_fail(cluster: Cluster, fragile: Cluster, make: Make, tmp_path: Path) -> None:
    """A blocking session, a full disk, a server killed in mid-build, too little time; then a run
    that completes all of them."""
    held, full, late, gone = make(cluster), make(cluster), make(cluster), make(fragile)
    for database in (held, full, late, gone):
        database.seed()
    # The account's own timeout does not apply to a build.
    fragile.sql(f"alter role {OWNER} set statement_timeout = '2s'")
    cluster.sql(f"grant pg_read_all_stats to {OWNER}")
    hosts = {
        "held": held.variables(),
        "full": full.variables(),
        "gone": gone.variables(db_optimize_lock_wait=60),
        # Long enough for the build to begin on a busy machine.
        "late": late.variables(db_optimize_lock_wait=60, db_optimize_build_time=15),
    }
    cluster.sql(f"alter database {full.name} set default_tablespace = small")
    write = "begin; update posts set text = 'held' where postid = 'p1'"
    with small_disk(cluster):
        with (
            held.session(write),
            gone.session(write),
            late.session(write),
            running(tmp_path, hosts) as ansible,
        ):
            until(lambda: building(gone), "the build waits")
            until(
                lambda: (
                    "waiting for writers before build, waits for pid"
                    in (tmp_path / "output").read_text()
                ),
                "the progress is shown",
            )
            assert fragile._process
            end(fragile._process, signal.SIGQUIT)
            assert ansible.wait(300) != 0
            assert held.indexes().keys() == {"bookface_posts_of_user"}
            until(lambda: sessions(late) == 1, "the background job of the late one is ended")
            assert building(late)
        output = (tmp_path / "output").read_text()
        assert full.indexes() == {}
        cluster.sql(f"alter database {full.name} reset default_tablespace")

    ended = Run(ansible.returncode, output)
    for text in (
        "create bookface_posts_of_user: gave up after 2 tries",
        "(psql), idle in transaction, its transaction open for",
        "update posts set text = 'held'",
        "The invalid index bookface_posts_of_user is left behind",
        "the next run replaces it",
    ):
        assert text in ended.message("held"), output
    for text in (
        "No space left on device",
        "disk is full: free some space",
        "No invalid index is left",
    ):
        assert text in ended.message("full"), output
    for text in ("create bookface_posts_of_user: ", "The connection to the database was lost"):
        assert text in ended.message("gone"), output

    assert "not finished within db_optimize_build_time, 15 seconds." in ended.message("late")

    fragile.start()
    assert gone.indexes() == {"bookface_posts_of_user": (False, "")}
    again = run(tmp_path, {**hosts, "late": late.variables()})
    assert again.code == 0, again.output
    for database in (held, full, gone, late):
        assert database.indexes() == ALL_GOOD


class Writer:
    """Writes as the pages do, all the time, and knows its longest stall."""

    def __init__(self, database: Database) -> None:
        self._log = database.directory / "writer"
        script = database.directory / "write.sql"
        script.write_text(
            "insert into posts (userid, text) values ('u1', 'more');\n"
            "update users set lastpostdate = now() where userid = 'u1';\n"
        )
        # For longer than anything here takes: `ended` ends it.
        command = database.client("pgbench", "-n", "-c", "2", "-R", "50", "-T", "600", "-l")
        command += ["--log-prefix", str(self._log), "-f", str(script)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def ended(self) -> tuple[int, float]:
        """How many transactions there were until now, and how long the longest one took."""
        assert self._process.poll() is None, self._process.communicate()
        self._process.send_signal(signal.SIGALRM)  # what it gets when its time is up
        output, _ = self._process.communicate(timeout=60)
        assert self._process.returncode == 0, output
        lines = [
            line.split()
            for path in self._log.parent.glob(f"{self._log.name}.*")
            for line in path.read_text().splitlines()
        ]
        return len(lines), max(int(line[2]) for line in lines) / 1e6


def test_killed_while_pages_write(database: Database, tmp_path: Path) -> None:
    """A run is killed in mid-build and another one completes it; writes never wait for either."""
    database.seed()
    hosts = {"localhost": database.variables(db_optimize_lock_wait=60)}
    writer = Writer(database)
    with database.session("begin; update posts set text = 'held' where postid = 'p1'") as holder:
        with running(tmp_path, hosts) as ansible:
            until(lambda: building(database), "the build waits")
            kill_tree(ansible)
        # The build goes on in the background, for the next run to wait for.
        assert building(database)
        with running(tmp_path, hosts) as ansible:
            output = tmp_path / "output"
            until(lambda: "waits for pid" in output.read_text(), "the next run waits as well")
            holder.kill()
            code = ansible.wait(300)
    again = Run(code, output.read_text())
    written, longest = writer.ended()
    print(f"{written} transactions, the longest took {longest:.3f} s")
    assert again.code == 0, again.output
    assert "wait bookface_posts_of_user: invalid, and a session locks its table" in again.text
    assert database.indexes() == ALL_GOOD
    assert written > 100
    # The build has waited far longer for the holder; writers behind it would have, too.
    assert longest < 3
