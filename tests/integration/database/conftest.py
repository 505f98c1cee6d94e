# SPDX-License-Identifier: GPL-3.0-or-later
"""The role db_optimize, run by ansible-playbook against a real PostgreSQL on the loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.bookface.platform.plugins.filter.index_plan import index_plan
from workalike.support import BOOTSTRAP_SQL, LOOPBACK, PROJECT, Cluster, postgresql_program

from tests.support.commands import Run, kill_tree

OWNER, OWNER_PASSWORD = "bfowner", "o'wner %s"
PAGES, PAGES_PASSWORD = "bfpages", "look-at-it"
INDEXES = {
    "bookface_posts_of_user",
    "bookface_comments_of_post",
    "bookface_users_by_last_post",
    "bookface_pictures_by_id",
}
MARK = "Made by bookface.platform.db_optimize."
ENVIRONMENT = {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_PIPELINING": "1"}
MODULES = "ansible_collections.bookface.platform.plugins.modules"
DEFAULTS = PROJECT / "roles/db_optimize/defaults/main.yml"
PLAY = """
- hosts: all
  connection: local
  gather_facts: true
  gather_subset: [min]
  roles: [bookface.platform.db_optimize]
"""
SEED = """
insert into users (userID, name, lastPostDate)
  select 'u' || n, 'name', now() - n * interval '1 minute' from generate_series(1, {users}) as n;
insert into posts (postID, userID, text, postDate)
  select 'p' || n, 'u' || 1 + (n * 7919::bigint) % {users}, repeat('x', 60),
    now() - n * interval '1 second'
  from generate_series(1, {posts}) as n;
insert into comments (commentID, postID, userID, text, postDate)
  select 'c' || n, 'p' || 1 + (n * 104729::bigint) % {posts}, 'u1', 'yes', now()
  from generate_series(1, {posts}) as n;
insert into pictures (pictureID, picture)
  select n || '.jpg', 'ff' from generate_series(1, 100) as n;
analyze;
"""


@dataclass(frozen=True)
class Database:
    """A database of its own in the shared cluster."""

    cluster: Cluster
    name: str
    directory: Path

    def sql(self, text: str) -> str:
        return self.cluster.sql(text, self.name)

    def seed(self, users: int = 200, posts: int = 2000) -> None:
        self.sql(SEED.format(users=users, posts=posts))

    def indexes(self) -> dict[str, tuple[bool, str]]:
        """Indexes beside those of constraints: whether valid, and the comment."""
        rows = self.sql(
            "select json_agg(json_build_array(indexrelid::regclass::text, indisvalid,"
            " coalesce(obj_description(indexrelid, 'pg_class'), '')))"
            " from pg_index join pg_class as t on t.oid = indrelid"
            " where relnamespace = 'public'::regnamespace"
            " and not exists (select from pg_constraint where conindid = indexrelid)"
        )
        return {name: (valid, comment) for name, valid, comment in json.loads(rows or "[]")}

    def variables(self, **more: Any) -> dict[str, Any]:
        """The variables of the role for this database."""
        given = {
            "ansible_python_interpreter": "/usr/bin/python3",
            "db_optimize_host": LOOPBACK,
            "db_optimize_port": self.cluster.port,
            "db_optimize_database": self.name,
            "db_optimize_user": OWNER,
            "db_optimize_password": OWNER_PASSWORD,
            "db_optimize_ssl_mode": "disable",
            "db_optimize_lock_wait": 1,
            "db_optimize_tries": 2,
        }
        return given | more

    def run(self, *options: str, **variables: Any) -> Run:
        """The role on this database, to its end."""
        return run(self.directory, {"localhost": self.variables(**variables)}, *options)

    def module(self, name: str, **arguments: Any) -> dict[str, Any]:
        """A module's result, run as Ansible runs it on the machine that it manages."""
        variables = self.variables(**arguments.pop("variables", {}))
        given = {
            "login_host": variables["db_optimize_host"],
            "login_port": variables["db_optimize_port"],
            "login_user": variables["db_optimize_user"],
            "login_password": variables["db_optimize_password"],
            "login_db": self.name,
            **arguments,
        }
        paths = [PROJECT / ".ansible/collections", sysconfig.get_paths()["purelib"]]
        done = subprocess.run(
            # The system's Python has psycopg2.
            ["/usr/bin/python3", "-m", f"{MODULES}.{name}"],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": given}),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert "Traceback" not in done.stderr, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def plan(self, state: str = "present", **variables: Any) -> list[dict[str, Any]]:
        """The plan of the role, without the role."""
        wishes = yaml.safe_load(DEFAULTS.read_text())["db_optimize_indexes"]
        tables = [wish["table"] for wish in wishes]
        found = self.module("index_info", tables=tables, variables=variables)
        assert "catalogue" in found, found
        return index_plan(wishes, found["catalogue"], state=state)

    def build(self, steps: list[dict[str, Any]], **arguments: Any) -> dict[str, Any]:
        """What index_build makes of a plan."""
        return self.module("index_build", steps=steps, **{"lock_wait": 1, "tries": 2, **arguments})

    def client(self, name: str, *options: str) -> list[str]:
        """The command of a client program that connects as the superuser."""
        where = ["-h", str(self.cluster.directory), "-p", str(self.cluster.port), "-U", "postgres"]
        return [postgresql_program(name), *options, *where, self.name]

    def start(self, sql: str) -> subprocess.Popen[str]:
        """A session of the superuser that is at work on some SQL."""
        words = [word for line in sql.split("; ") for word in ("-c", line)]
        return subprocess.Popen(
            [*self.client("psql", "-Xq"), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @contextmanager
    def session(self, sql: str) -> Iterator[subprocess.Popen[str]]:
        """A session of the superuser that has executed some SQL and stays."""
        program = subprocess.Popen(
            self.client("psql", "-XqAt"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert program.stdin
        assert program.stdout
        program.stdin.write(f"{sql};\n\\echo ready\n")
        program.stdin.flush()
        while program.stdout.readline().strip() != "ready":
            assert program.poll() is None
        try:
            yield program
        finally:
            program.kill()
            program.communicate()


def command(directory: Path, hosts: Mapping[str, Mapping[str, Any]], *options: str) -> list[str]:
    """ansible-playbook with the role for each host, all of them this machine."""
    play, inventory = directory / "play.yml", directory / "inventory.yml"
    play.write_text(PLAY)
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    return ["ansible-playbook", "-i", str(inventory), *options, str(play)]


def run(directory: Path, hosts: Mapping[str, Mapping[str, Any]], *options: str) -> Run:
    """The role on many databases at once, to its end."""
    return ended(command(directory, hosts, *options))


def ended(words: Sequence[str]) -> Run:
    """A command of Ansible's, to its end."""
    done = subprocess.run(
        words,
        cwd=PROJECT,
        env=os.environ | ENVIRONMENT,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return Run.of(done)


@contextmanager
def running(
    directory: Path, hosts: Mapping[str, Mapping[str, Any]], *options: str
) -> Iterator[subprocess.Popen[str]]:
    """The role while it runs, its output in a file; what is left of it is ended."""
    with (directory / "output").open("w") as output:
        program = subprocess.Popen(
            command(directory, hosts, *options),
            cwd=PROJECT,
            env=os.environ | ENVIRONMENT,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        yield program
    finally:
        kill_tree(program)


@pytest.fixture(scope="session")
def cluster(cluster: Cluster) -> Cluster:
    return accounts(cluster)


def accounts(cluster: Cluster) -> Cluster:
    """The owner of the tables, and the account of the pages."""
    cluster.sql(
        f"create role {OWNER} login password $pw${OWNER_PASSWORD}$pw$;"
        f" create role {PAGES} login password '{PAGES_PASSWORD}'"
    )
    return cluster


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[Cluster], Database]]:
    """Makes databases with bookface's tables, and takes them away."""
    made: list[Database] = []

    def database(cluster: Cluster) -> Database:
        database = Database(cluster, f"test{time.monotonic_ns()}", tmp_path)
        made.append(database)
        cluster.sql(f"create database {database.name} owner {OWNER}")
        database.sql(f"grant create, usage on schema public to {OWNER}")
        database.sql(f"set role {OWNER}; {BOOTSTRAP_SQL.read_text()}")
        database.sql(f"grant select, insert, update on all tables in schema public to {PAGES}")
        return database

    yield database
    for database in made:
        with suppress(AssertionError):  # its server may be gone for good
            database.cluster.sql(f"drop database {database.name} with (force)")


@pytest.fixture
def database(cluster: Cluster, make: Callable[[Cluster], Database]) -> Database:
    return make(cluster)
