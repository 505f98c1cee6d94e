# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that measure the pages' queries and report on them. Executing is left to others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils.database import queries
from ansible_collections.bookface.platform.plugins.module_utils.database.report import report


def query_samples(
    tables: Mapping[str, Mapping[str, Any]], schema: str, runs: int
) -> list[dict[str, str]]:
    """See query_samples.yml beside this file."""
    return queries.samples(tables, schema, int(runs))


def query_measurement(statements: Sequence[str], how: str, timeout: int) -> list[str]:
    """See query_measurement.yml beside this file."""
    try:
        return queries.measurement(list(statements), how, int(timeout))
    except queries.ReportError as error:
        raise AnsibleFilterError(f"query_measurement: {error}") from error


def query_report(
    measured: Iterable[Mapping[str, Any]], facts: Mapping[str, Any], timeout: int
) -> dict[str, Any]:
    """See query_report.yml beside this file."""
    try:
        rows = [
            queries.read(
                result["item"][0]["item"]["name"],
                result["item"][0]["item"]["page"],
                result["item"][1],
                result["item"][0]["query_result"][0]["statement"],
                result.get("query_all_results") or [],
                int(timeout),
            )
            for result in measured
        ]
    except (KeyError, IndexError, TypeError) as error:
        raise AnsibleFilterError(f"query_report: this is no measurement: {error!r}") from error
    return report(rows, facts)


class FilterModule:
    """The filters by their names in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {
            "query_samples": query_samples,
            "query_measurement": query_measurement,
            "query_report": query_report,
        }
