# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A filter that reports on measured queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils.database.queries import Row
from ansible_collections.bookface.platform.plugins.module_utils.database.report import report


def query_report(measured: Iterable[Mapping[str, Any]], facts: Mapping[str, Any]) -> dict[str, Any]:
    """See query_report.yml beside this file."""
    try:
        rows = [Row(**row) for row in measured]
    except TypeError as error:
        raise AnsibleFilterError(f"query_report: expected measurements: {error}") from error
    return report(rows, facts)


class FilterModule:
    """The filter by its name in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {"query_report": query_report}
