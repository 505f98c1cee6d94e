# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that tells the age of what Docker has dated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from ansible.errors import AnsibleFilterError

SECONDS = "2026-01-31T00:00:00"


def days_since(date: str) -> int:
    """See days_since.yml beside this file."""
    try:
        then = datetime.strptime(str(date)[: len(SECONDS)], "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        raise AnsibleFilterError(
            f"days_since: expected a date such as {SECONDS}Z, got {date!r}"
        ) from None
    return (datetime.now(timezone.utc) - then.replace(tzinfo=timezone.utc)).days


class FilterModule:
    """The filter by its name in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {"days_since": days_since}
