#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: index_build
short_description: Execute an index plan while the database is in use
version_added: 0.1.0
description:
  - Executes the statements that P(bookface.platform.index_plan#filter) has planned, one by one and
    outside a transaction.
  - Waits for other sessions no longer than O(lock_wait), names the sessions that hold it up, drops
    the invalid index that a cancelled build leaves behind, and tries again.
  - Refuses a connection through a pooler. C(CONCURRENTLY) and session settings require a server
    session of their own.
extends_documentation_fragment:
  - bookface.platform.database_login
options:
  schema:
    description:
      - Schema of the tables.
    type: str
    default: public
  steps:
    description:
      - The steps, in order, as P(bookface.platform.index_plan#filter) returns them. Steps without
        a statement are skipped.
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
          - The index. Empty if the step is about the table.
        type: str
        default: ""
      statement:
        description:
          - The statement.
        type: str
        default: ""
      brief:
        description:
          - Whether queries queue up behind the statement while it waits for its lock. If so, it
            waits half a second at most, and is retried more often.
        type: bool
        default: false
      reason:
        description:
          - Why the step is planned. Not used.
        type: str
        default: ""
      size:
        description:
          - Expected size of a new index in bytes. Not used.
        type: int
        default: 0
      text:
        description:
          - The step as a line for people. Not used.
        type: str
        default: ""
  lock_wait:
    description:
      - Maximum number of seconds that one try waits for other sessions.
    type: int
    default: 60
  tries:
    description:
      - Maximum number of tries for a statement that other sessions block.
    type: int
    default: 3
attributes:
  check_mode:
    support: full
    description:
      - Connects, but executes no statement.
  diff_mode:
    support: full
    description:
      - Shows the statements.
  idempotent:
    support: none
    description:
      - Executes the steps it is given. The plan is idempotent.
seealso:
  - plugin: bookface.platform.index_plan
    plugin_type: filter
    description: Plan the steps.
  - module: bookface.platform.index_info
    description: Read what the plan is made from.
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Build the planned indexes
  bookface.platform.index_build:
    login_host: db.example.org
    login_user: bfowner
    login_password: "{{ vault_owner_password }}"
    login_db: bf
    steps: "{{ plan }}"
  async: 86400
  poll: 30
"""

RETURN = r"""
reason:
  description:
    - Why the module failed.
    - "V(no_connection): nobody answers, or the login is refused. Nothing was changed."
    - "V(login_refused): the server rejected the password. Nothing was changed."
    - "V(unknown_engine): the server is none of the supported engines. Nothing was changed."
    - "V(pooler): a connection pooler answers instead of the database. Nothing was changed."
    - "V(blocked): other sessions held locks until all tries were used up."
    - "V(connection_lost): the database went away while a statement ran."
    - "V(statement_failed): the database refused a statement; RV(sqlstate) says why."
  returned: failure, unless the arguments are invalid or psycopg2 is missing
  type: str
  sample: blocked
sqlstate:
  description: PostgreSQL's error code; empty if the database gave none.
  returned: together with RV(reason)
  type: str
  sample: 55P03
done:
  description: The steps that were executed.
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
      description: Duration, including waits and repeated tries.
      type: float
    tries:
      description: Number of tries; 0 if another session had created the index in the meantime.
      type: int
    size:
      description: Size of a new index in bytes.
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
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.database import build as building
from ansible_collections.bookface.platform.plugins.module_utils.database import login
from ansible_collections.bookface.platform.plugins.module_utils.database.build import (
    Failure,
    Outcome,
    Step,
)
from ansible_collections.bookface.platform.plugins.module_utils.database.catalogue import (
    ALIVE,
    HOLDERS,
    SIZE,
    leftover,
)
from ansible_collections.bookface.platform.plugins.module_utils.database.dialects import dialect_of
from ansible_collections.bookface.platform.plugins.module_utils.database.engine import (
    COCKROACHDB,
    POSTGRESQL,
)
from ansible_collections.bookface.platform.plugins.module_utils.database.errors import DatabaseError

# Seconds between two looks at the sessions that block a statement.
LOOK = 0.5
# Milliseconds that a brief statement waits for its lock, and then pauses.
BRIEF = 500
# Seconds that the server has to clean up after a session that was ended.
CLEANUP = 10


class Session:
    """Two connections: one executes, the other one watches."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params, self.schema = params, params["schema"]
        server = login.reach(params)
        self.engine, self.number = server.engine, server.number
        self.worker, self.watcher = server.connection, self._connect()
        self.dialect = dialect_of(server.engine, self.schema)
        # The only engine that shows who holds a lock.
        self.postgresql = server.engine == POSTGRESQL

    def _connect(self) -> Any:
        connection = login.connect(self.params)
        login.lift_timeouts(connection, self.engine)
        return connection

    def _watch(self, query: str, values: Sequence[Any]) -> list[Any]:
        """Rows that the watcher is given; one whose session was ended connects again."""
        if self.watcher.closed:
            self.watcher = self._connect()
        return login.ask(self.watcher, query, values)

    def execute(self, statement: str, brief: bool = False) -> Outcome:
        """Run it in a thread, and watch who blocks it."""
        failures: list[Failure] = []
        if self.worker.closed:  # to drop what the session left that was ended
            self.worker = self._connect()
        pid = self.worker.get_backend_pid()
        wait = BRIEF if brief else self.params["lock_wait"] * 1000
        login.ask(self.worker, f"set lock_timeout = {wait}", rows=False)

        def work() -> None:
            try:
                login.ask(self.worker, statement, rows=False)
            except DatabaseError as error:
                failures.append(Failure(error.sqlstate, f"{error}"))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        seen: tuple[building.Holder, ...] = ()
        look = BRIEF / 4000 if brief else LOOK
        thread.join(look)
        while thread.is_alive():
            if self.postgresql:
                with contextlib.suppress(DatabaseError):  # the worker will report it
                    seen = building.holders(self._watch(HOLDERS, (pid,))) or seen
            thread.join(look)
        if self.worker.closed and self.postgresql:
            # What it leaves shows once its locks are gone.
            with contextlib.suppress(DatabaseError):  # so is the server
                late = time.monotonic() + CLEANUP
                while self._watch(ALIVE, (pid,))[0][0] and time.monotonic() < late:
                    time.sleep(LOOK)
        if brief and failures:
            time.sleep(BRIEF / 1000)
        return Outcome(failures[0] if failures else None, seen)

    def leftover(self, step: Step) -> bool | None:
        """Invalid, and no session at work on its table."""
        if self.engine == COCKROACHDB:
            return False  # it rolls back what it cannot finish
        if not self.postgresql:
            return None
        values = (self.schema, step.index, step.table)
        return bool(self._watch(leftover(self.engine, self.number), values)[0][0])

    def drop_of(self, step: Step) -> str:
        """In the engine's dialect."""
        return self.dialect.drop(step.table, step.index)

    def size(self, step: Step) -> int:
        """As the server counts it; 0 where it does not."""
        if not self.postgresql:
            return 0
        rows = self._watch(SIZE, (self.schema, step.index))
        return int(rows[0][0]) if rows else 0


def run(module: AnsibleModule) -> dict[str, Any]:
    """Connect, then execute."""
    params = module.params
    session = Session(params)
    steps = [
        Step(step["action"], step["table"], step["index"], step["statement"], step["brief"])
        for step in params["steps"]
        if step["statement"]
    ]
    text = "".join(f"{step.statement};\n" for step in steps)
    result: dict[str, Any] = {"changed": bool(steps), "done": []}
    if steps:
        result["diff"] = {"before": "", "after": text}
    if steps and not module.check_mode:
        context = {"user": params["login_user"]}
        # A brief try and its pause take a second.
        brief_tries = params["tries"] * params["lock_wait"]
        done = building.carry_out(steps, session, params["tries"], context, brief_tries)
        result["done"] = [asdict(item) for item in done]
    return result


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={
            **login.ARGUMENTS,
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
                    "brief": {"type": "bool", "default": False},
                    "reason": {"type": "str", "default": ""},
                    "size": {"type": "int", "default": 0},
                    "text": {"type": "str", "default": ""},
                },
            },
            "lock_wait": {"type": "int", "default": 60},
            "tries": {"type": "int", "default": 3},
        },
        supports_check_mode=True,
    )
    for name in ("lock_wait", "tries"):
        if module.params[name] < 1:
            module.fail_json(msg=f"Expected {name} to be 1 or more, got {module.params[name]}.")
    login.finish(module, run)


if __name__ == "__main__":
    main()
