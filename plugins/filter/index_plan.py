# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that plans indexes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils import index_plan as thinking


def index_plan(
    wishes: Iterable[Mapping[str, Any]],
    columns: Mapping[str, Iterable[str]],
    indexes: Iterable[Mapping[str, Any]],
    schema: str = "public",
    engine: str = thinking.POSTGRESQL,
) -> list[dict[str, Any]]:
    """See index_plan.yml beside this file."""
    try:
        steps = thinking.plan(
            [thinking.read_wish(wish) for wish in wishes],
            columns,
            [thinking.read_index(index) for index in indexes],
            schema=schema,
            engine=engine,
        )
    except thinking.PlanError as error:
        raise AnsibleFilterError(f"index_plan: {error}") from error
    return [{**asdict(step), "text": step.text} for step in steps]


class FilterModule:
    """The filter by its name in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {"index_plan": index_plan}
