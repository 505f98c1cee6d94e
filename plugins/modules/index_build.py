#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: index_build
short_description: Carry out a plan of indexes while the database is in use
version_added: 0.1.0
description:
  - Executes the statements that P(bookface.platform.index_plan#filter) has planned, one by one and
    outside a transaction.
  - Waits for other sessions no longer than it is told, says which ones held it up, takes away the
    invalid index that a build leaves behind when it gives up, and tries again.
  - Refuses a connection through a pooler. C(CONCURRENTLY) and the session's settings want one
    server session of their own.
options:
  login_host:
    description:
      - Address of the database. Empty means its socket on the same machine.
    type: str
    default: ""
  login_port:
    description:
      - Port of the database.
    type: int
    default: 5432
  login_user:
    description:
      - Owner of the tables.
    type: str
    required: true
  login_password:
    description:
      - The owner's password.
    type: str
    default: ""
  login_db:
    description:
      - Name of the database.
    type: str
    required: true
  ssl_mode:
    description:
      - Encryption of the connection, as libpq's C(sslmode).
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
    default: prefer
  schema:
    description:
      - Schema of the tables.
    type: str
    default: public
  steps:
    description:
      - The steps, in order. Those without a statement are passed over. Without any step the
        connection is tried and nothing else done.
    type: list
    elements: dict
    default: []
    suboptions:
      action:
        description:
          - What the step does.
        type: str
        required: true
      table:
        description:
          - The table.
        type: str
        required: true
      index:
        description:
          - The index; empty where the step is about the table.
        type: str
        default: ""
      statement:
        description:
          - The statement.
        type: str
        default: ""
  lock_wait:
    description:
      - Seconds that one try waits for another session at most.
    type: int
    default: 60
  tries:
    description:
      - How often a statement that waited in vain is tried in all.
    type: int
    default: 3
attributes:
  check_mode:
    support: full
    description:
      - The connection is tried for real, no statement is executed.
  diff_mode:
    support: full
    description:
      - Shows the statements.
  idempotent:
    support: none
    description:
      - Executes what it is given. The plan is what is idempotent.
  platform:
    support: full
    platforms: posix
    description:
      - Any machine with psycopg2 that reaches the database.
requirements:
  - psycopg2
seealso:
  - plugin: bookface.platform.index_plan
    plugin_type: filter
    description: The plan.
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Make the planned indexes
  bookface.platform.index_build:
    login_host: db.example.org
    login_user: bfowner
    login_password: "{{ vault_owner_password }}"
    login_db: bf
    steps: "{{ plan }}"
  async: 86400
  poll: 30

- name: See whether the database is reached directly
  bookface.platform.index_build:
    login_host: db.example.org
    login_user: bfowner
    login_password: "{{ vault_owner_password }}"
    login_db: bf
"""

RETURN = r"""
engine:
  description: Who answers.
  returned: success
  type: dict
  contains:
    name:
      description: One of C(postgresql), C(yugabytedb), C(cockroachdb).
      type: str
    version:
      description: Its own version.
      type: str
  sample:
    name: postgresql
    version: "15.18"
done:
  description: The steps that were carried out.
  returned: success
  type: list
  elements: dict
  contains:
    action:
      description: What the step did.
      type: str
    table:
      description: The table.
      type: str
    index:
      description: The index, or empty.
      type: str
    seconds:
      description: How long it took, waiting and trying again included.
      type: float
    tries:
      description: How many tries it took; 0 where another session had done it meanwhile.
      type: int
    size:
      description: Bytes of a new index.
      type: int
  sample:
    - action: create
      table: posts
      index: bookface_posts_of_user
      seconds: 1.52
      tries: 1
      size: 14172160
"""

import contextlib
import threading
import traceback
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.bookface.platform.plugins.module_utils.database import build as building
from ansible_collections.bookface.platform.plugins.module_utils.database.build import (
    BuildError,
    Failure,
    Outcome,
    Step,
)
from ansible_collections.bookface.platform.plugins.module_utils.database.dialects import dialect_of
from ansible_collections.bookface.platform.plugins.module_utils.database.engine import (
    COCKROACHDB,
    POSTGRESQL,
    EngineError,
    engine,
)

try:
    import psycopg2  # type: ignore[import-untyped]
except ImportError:
    psycopg2 = None
    MISSING = traceback.format_exc()
else:
    MISSING = ""

# How often it is looked who holds a statement up, in seconds.
LOOK = 0.5
HOLDERS = """
select a.pid, a.usename, a.application_name, a.state,
  extract(epoch from clock_timestamp() - a.xact_start), a.query_start::timestamptz(0), a.query
from unnest(pg_blocking_pids(%s)) as b (pid) join pg_stat_activity as a on a.pid = b.pid
"""
LEFTOVER = """
select count(*)
from pg_index as x
join pg_class as i on i.oid = x.indexrelid
join pg_namespace as n on n.oid = i.relnamespace
join pg_class as t on t.oid = x.indrelid
where n.nspname = %s and i.relname = %s and t.relname = %s
and not (x.indisvalid and x.indisready and x.indislive)
and not exists (
  select from pg_locks as l
  where l.database = (select d.oid from pg_database as d where d.datname = current_database())
  and l.relation = x.indrelid and l.mode = 'ShareUpdateExclusiveLock' and l.granted
)
"""
SIZE = """
select pg_relation_size(i.oid)
from pg_class as i join pg_namespace as n on n.oid = i.relnamespace
where n.nspname = %s and i.relname = %s
"""


class Session:
    """Two connections: one works, the other one looks."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params
        self.worker = self._connect()
        self.watcher = self._connect()
        version = self._ask("select version()")[0][0]
        self.engine, self.version = engine(version)
        self.dialect = dialect_of(self.engine, params["schema"])
        # Only this one tells who holds a lock.
        self.postgresql = self.engine == POSTGRESQL

    def _connect(self) -> Any:
        names = {
            "host": "login_host",
            "port": "login_port",
            "user": "login_user",
            "password": "login_password",
            "dbname": "login_db",
            "sslmode": "ssl_mode",
        }
        given = {name: self.params[option] for name, option in names.items()}
        connection = psycopg2.connect(
            **{name: value for name, value in given.items() if value},
            application_name="bookface.platform.db_optimize",
            connect_timeout=10,
            # A machine that is gone without a word is noticed after a minute.
            keepalives_idle=20,
            keepalives_interval=10,
            keepalives_count=4,
        )
        connection.autocommit = True
        return connection

    def pooler(self) -> str:
        """What shows that another program stands between, or nothing."""
        if self.engine == COCKROACHDB:
            return ""  # its sessions have no process
        told = self.worker.get_backend_pid()
        real = self._ask("select pg_backend_pid()", on=self.worker)[0][0]
        if told == real:
            return ""
        return f"the connection was greeted by session {told}, its statements run in {real}"

    def prepare(self) -> None:
        """Settings of the working session."""
        milliseconds = int(self.params["lock_wait"]) * 1000
        with self.worker.cursor() as cursor:
            cursor.execute(f"set lock_timeout = {milliseconds}")
            # A timeout that the account has for its pages is none for a build.
            cursor.execute("set statement_timeout = 0")

    def _ask(self, query: str, values: tuple[Any, ...] = (), on: Any = None) -> list[Any]:
        try:
            with (on or self.watcher).cursor() as cursor:
                cursor.execute(query, values)
                return list(cursor.fetchall())
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            raise ConnectionError(f"{error}") from None

    def execute(self, statement: str) -> Outcome:
        """Run it in a thread; meanwhile look who holds it up."""
        failures: list[Failure] = []
        pid = self.worker.get_backend_pid()

        def work() -> None:
            try:
                with self.worker.cursor() as cursor:
                    cursor.execute(statement)
            except psycopg2.Error as error:
                failures.append(Failure(error.pgcode or "", f"{error}"))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        seen: tuple[building.Holder, ...] = ()
        thread.join(LOOK)
        while thread.is_alive():
            if self.postgresql:
                with contextlib.suppress(ConnectionError):  # the worker will say so
                    seen = building.holders(self._ask(HOLDERS, (pid,))) or seen
            thread.join(LOOK)
        return Outcome(failures[0] if failures else None, seen)

    def leftover(self, step: Step) -> bool | None:
        """Invalid, and no session at work on its table."""
        if self.engine == COCKROACHDB:
            return False  # it takes back what it cannot finish
        if not self.postgresql:
            return None
        values = (self.params["schema"], step.index, step.table)
        return bool(self._ask(LEFTOVER, values)[0][0])

    def drop_of(self, step: Step) -> str:
        """In the engine's dialect."""
        return self.dialect.drop(step.table, step.index)

    def size(self, step: Step) -> int:
        """As the server counts it; 0 where it does not."""
        if not self.postgresql:
            return 0
        rows = self._ask(SIZE, (self.params["schema"], step.index))
        return int(rows[0][0]) if rows else 0


def run(module: AnsibleModule) -> dict[str, Any]:
    """Connect, refuse a pooler, carry out."""
    params = module.params
    where = "{login_host}:{login_port}/{login_db}".format(**params)
    try:
        session = Session(params)
    except psycopg2.Error as error:
        reason = " ".join(f"{error}".split())
        raise BuildError(
            f"No connection to {where} as {params['login_user']}: {reason.rstrip('.?')}. Check"
            " db_optimize_host, db_optimize_port, db_optimize_user and its password, and that the"
            " server's pg_hba.conf lets this machine in. Nothing was changed"
        ) from None
    except EngineError as error:
        raise BuildError(f"{where} is unknown: {error}. Nothing was changed") from None
    between = session.pooler()
    if between:
        raise BuildError(
            f"{where} is a connection pooler, not the database: {between}. Indexes are made online"
            " only by a session of their own: set db_optimize_host and db_optimize_port to the"
            " database itself. Nothing was changed"
        )
    steps = [
        Step(step["action"], step["table"], step["index"], step["statement"])
        for step in params["steps"]
        if step["statement"]
    ]
    text = "".join(f"{step.statement};\n" for step in steps)
    result: dict[str, Any] = {
        "changed": bool(steps),
        "done": [],
        "engine": {"name": session.engine, "version": session.version},
    }
    if steps:
        result["diff"] = {"before": "", "after": text}
    if steps and not module.check_mode:
        session.prepare()
        context = {"user": params["login_user"]}
        done = building.carry_out(steps, session, params["tries"], context)
        result["done"] = [asdict(item) for item in done]
    return result


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={
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
            "schema": {"type": "str", "default": "public"},
            "steps": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "action": {"type": "str", "required": True},
                    "table": {"type": "str", "required": True},
                    "index": {"type": "str", "default": ""},
                    "statement": {"type": "str", "default": ""},
                },
            },
            "lock_wait": {"type": "int", "default": 60},
            "tries": {"type": "int", "default": 3},
        },
        supports_check_mode=True,
    )
    if psycopg2 is None:
        module.fail_json(msg=missing_required_lib("psycopg2"), exception=MISSING)
    for name in ("lock_wait", "tries"):
        if module.params[name] < 1:
            module.fail_json(msg=f"{name} is {module.params[name]}; 1 or more is wanted.")
    try:
        result = run(module)
    except (BuildError, ConnectionError) as error:
        module.fail_json(msg=f"{error}.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
