#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: query_measure
short_description: Measure the pages' queries with and without indexes
version_added: 0.1.0
description:
  - Takes samples of each query that bookface's pages send, with values from the tables, and runs
    them with C(EXPLAIN ANALYZE), one after the other so that they do not slow each other down.
  - Each query is measured with its indexes, and with index scans disabled for the measuring
    transaction. The first run warms the cache and does not count.
extends_documentation_fragment:
  - bookface.platform.database_login
  - bookface.platform.reads_only
options:
  schema:
    description:
      - Schema of the tables.
    type: str
    default: public
  tables:
    description:
      - C(tables) of RV(bookface.platform.index_info#module:catalogue). Queries on tables or columns
        that do not exist are left out.
    type: dict
    required: true
  runs:
    description:
      - Maximum number of runs that count, each with another value.
    type: int
    default: 15
  frontpage_limit:
    description:
      - Number of users that the front page shows; the application's own default is V(1000).
    type: int
    default: 1000
  timeout:
    description:
      - Maximum number of seconds that one run may take. A query that takes longer is given up.
    type: int
    default: 60
seealso:
  - plugin: bookface.platform.query_report
    plugin_type: filter
    description: Report on the measurements.
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Measure the queries
  bookface.platform.query_measure:
    login_host: db.example.org
    login_user: bfowner
    login_password: "{{ vault_owner_password }}"
    login_db: bf
    tables: "{{ found.catalogue.tables }}"
  register: measured
"""

RETURN = r"""
reason:
  description:
    - Why the module failed.
    - "V(no_connection): nobody answers, or the login is refused."
    - "V(login_refused): the server rejected the password."
    - "V(unknown_engine): the server is none of the supported engines."
    - "V(pooler): a connection pooler answers instead of the database."
    - "V(connection_lost): the database went away while a query ran."
    - "V(statement_failed): the database refused a query; RV(sqlstate) says why."
  returned: failure, unless the arguments are invalid or psycopg2 is missing
  type: str
  sample: statement_failed
sqlstate:
  description: PostgreSQL's error code; empty if the database gave none.
  returned: together with RV(reason)
  type: str
  sample: "42501"
measured:
  description: The measurements, two for each query.
  returned: success
  type: list
  elements: dict
  contains:
    query:
      description: Name of the query.
      type: str
    page:
      description: The page that sends it.
      type: str
    how:
      description: C(with) or C(without) indexes.
      type: str
    runs:
      description: Number of runs that count; 0 if the query was given up.
      type: int
    milliseconds:
      description: Median execution time; null if the query was given up.
      type: float
    blocks:
      description: Median number of pages read; null if the query was given up.
      type: float
    plan:
      description: The plan in a few words.
      type: str
    statement:
      description: The statement of the first run.
      type: str
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.database import login, queries
from ansible_collections.bookface.platform.plugins.module_utils.database.errors import DatabaseError

QUERY_CANCELED = "57014"


def measure(connection: Any, statements: list[str], how: str, timeout: int) -> list[Any]:
    """The plans of all runs; none if one of them took longer than it may."""
    plans = []
    try:
        login.ask(connection, "begin", rows=False)
        for statement in queries.settings(how, timeout):
            login.ask(connection, statement, rows=False)
        # The first one twice: its first run warms the cache.
        for statement in [*statements[:1], *statements]:
            [[answer]] = login.ask(connection, f"{queries.EXPLAIN} {statement}")
            plans += answer
    except DatabaseError as error:
        if error.sqlstate != QUERY_CANCELED:
            raise
        plans = []
    login.ask(connection, "rollback", rows=False)
    return plans


def run(module: AnsibleModule) -> dict[str, Any]:
    """Connect, take samples, measure."""
    params = module.params
    connection, timeout = login.reach(params).connection, params["timeout"]
    rows = []
    wanted = (params[name] for name in ("tables", "schema", "runs", "frontpage_limit"))
    for sample in queries.samples(*wanted):
        statements = [row[0] for row in login.ask(connection, sample["sql"])]
        for how in (queries.WITHOUT, queries.WITH) if statements else ():
            plans = measure(connection, statements, how, timeout)
            rows.append(
                queries.read(sample["name"], sample["page"], how, statements[0], plans, timeout)
            )
    return {"measured": [asdict(row) for row in rows]}


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={
            **login.ARGUMENTS,
            "schema": {"type": "str", "default": "public"},
            "tables": {"type": "dict", "required": True},
            "runs": {"type": "int", "default": 15},
            "frontpage_limit": {"type": "int", "default": 1000},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    for name in ("runs", "frontpage_limit", "timeout"):
        if module.params[name] < 1:
            module.fail_json(msg=f"Expected {name} to be 1 or more, got {module.params[name]}.")
    login.finish(module, run)


if __name__ == "__main__":
    main()
