# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters that replace a login of the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils.database import logins


def rotation_plan(
    accounts: Iterable[Mapping[str, Any]], user: str, matching: Iterable[str]
) -> dict[str, Any]:
    """See rotation_plan.yml beside this file."""
    try:
        return asdict(logins.plan(accounts, user, set(matching)))
    except (KeyError, TypeError) as error:
        raise AnsibleFilterError(f"rotation_plan: {error!r}") from error


class FilterModule:
    """The filters by their names in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {
            "pgpass_bridged": logins.pgpass_bridged,
            "pgpass_differs": logins.pgpass_differs,
            "pgpass_overlap": logins.pgpass_overlap,
            "rotation_pattern": logins.bridge_pattern,
            "rotation_plan": rotation_plan,
            "scram_preparable": logins.preparable,
            "userlist_bridged": logins.userlist_bridged,
            "userlist_differs": logins.userlist_differs,
            "userlist_overlap": logins.userlist_overlap,
        }
