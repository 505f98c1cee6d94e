#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: index_info
short_description: Read tables, indexes and index builds of a database
version_added: 0.1.0
description:
  - Reads what P(bookface.platform.index_plan#filter) plans from, and how far index builds are.
  - Refuses a connection through a pooler, on which the plan could not be executed.
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
      - Names of the tables. Tables that do not exist are left out.
    type: list
    elements: str
    required: true
seealso:
  - plugin: bookface.platform.index_plan
    plugin_type: filter
    description: Plan which indexes to build or drop.
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Read the indexes of two tables
  bookface.platform.index_info:
    login_host: db.example.org
    login_user: bfowner
    login_password: "{{ vault_owner_password }}"
    login_db: bf
    tables: [users, posts]
  register: found
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
  sample: no_connection
sqlstate:
  description: PostgreSQL's error code; empty if the database gave none.
  returned: together with RV(reason)
  type: str
  sample: ""
engine:
  description: The server's software.
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
catalogue:
  description:
    - The account (C(account), C(read_only)), and C(tables), C(indexes) and C(relations) as
      P(bookface.platform.index_plan#filter) takes them.
    - C(lacks) is the statement that lets the account create indexes in the schema, or empty.
  returned: success
  type: dict
builds:
  description:
    - Index builds under way in the database, as far as the account may see them. PostgreSQL only.
  returned: success
  type: list
  elements: dict
  contains:
    index:
      description: The index.
      type: str
    phase:
      description: PostgreSQL's name of the phase.
      type: str
    percent:
      description: Progress within the phase, if known.
      type: float
    waits_for:
      description: Process that the build waits for, if any.
      type: int
building:
  description: Whether another session is building an index of one of the tables.
  returned: success
  type: bool
holders:
  description:
    - Other sessions that lock one of the tables as a build does, or that block a session of this
      collection, as text. PostgreSQL only.
  returned: success
  type: list
  elements: str
"""

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.database import build, login
from ansible_collections.bookface.platform.plugins.module_utils.database.catalogue import (
    catalogue,
    progress,
)
from ansible_collections.bookface.platform.plugins.module_utils.database.engine import COCKROACHDB

CATALOGUE_FIELDS = ("account", "read_only", "lacks", "tables", "relations", "indexes")


def run(module: AnsibleModule) -> dict[str, Any]:
    """Connect, then read."""
    params = module.params
    server = login.reach(params)
    values = {"schema": params["schema"], "tables": json.dumps(params["tables"])}
    asked = catalogue(server.engine, server.number)
    [row] = login.ask(server.connection, asked, values)
    builds, building, holders = [], False, []
    if server.engine != COCKROACHDB:
        asked = progress(server.engine, server.number)
        [[builds, building, holders]] = login.ask(server.connection, asked, values)
    return {
        "engine": {"name": server.engine, "version": server.version},
        "catalogue": dict(zip(CATALOGUE_FIELDS, row)),
        "builds": builds,
        "building": building,
        "holders": [str(holder) for holder in build.holders(holders)],
    }


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={
            **login.ARGUMENTS,
            "schema": {"type": "str", "default": "public"},
            "tables": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    login.finish(module, run)


if __name__ == "__main__":
    main()
