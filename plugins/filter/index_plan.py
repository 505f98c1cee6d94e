# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that describe a database and plan its indexes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils.database import indexes as reading
from ansible_collections.bookface.platform.plugins.module_utils.database import plan as planning
from ansible_collections.bookface.platform.plugins.module_utils.database import text
from ansible_collections.bookface.platform.plugins.module_utils.database.engine import POSTGRESQL


def index_plan(
    wishes: Iterable[Mapping[str, Any]],
    catalogue: Mapping[str, Any],
    schema: str = "public",
    engine: str = POSTGRESQL,
    state: str = "present",
) -> list[dict[str, Any]]:
    """See index_plan.yml beside this file."""
    try:
        wished = [reading.read_wish(wish) for wish in wishes]
        indexes = [reading.read_index(index) for index in catalogue["indexes"]]
        tables = {name: reading.read_table(data) for name, data in catalogue["tables"].items()}
        if state == "absent":
            steps = planning.undo(wished, indexes, schema, engine, tables)
        elif state == "present":
            relations = catalogue.get("relations") or {}
            steps = planning.plan(wished, tables, indexes, relations, schema, engine)
        else:
            raise reading.PlanError(f"expected state to be present or absent, got {state}.")
    except KeyError as error:
        raise AnsibleFilterError(f"index_plan: the catalogue has no {error}.") from error
    except reading.PlanError as error:
        raise AnsibleFilterError(f"db_optimize_indexes: {error}") from None
    return [{**asdict(step), "text": step.text} for step in steps]


def database_tables(tables: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """See database_tables.yml beside this file."""
    return [text.describe(name, tables[name]) for name in sorted(tables)]


def index_outcome(
    done: Iterable[Mapping[str, Any]], steps: Iterable[Mapping[str, Any]]
) -> list[str]:
    """See index_outcome.yml beside this file."""
    expected = {step["index"]: step["size"] for step in steps if step["action"] == "create"}
    return [text.outcome(item, expected.get(item["index"], 0)) for item in done]


class FilterModule:
    """The filters by their names in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {
            "index_plan": index_plan,
            "index_outcome": index_outcome,
            "database_tables": database_tables,
        }
