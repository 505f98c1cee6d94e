# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter with which a role validates its variables in one task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils import settings


def setting_errors(rules: Iterable[Mapping[str, Any]]) -> list[str]:
    """See setting_errors.yml beside this file."""
    try:
        return settings.errors(rules)
    except (KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"setting_errors: {error!r}") from error


class FilterModule:
    """The filter by its name in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {"setting_errors": setting_errors}
