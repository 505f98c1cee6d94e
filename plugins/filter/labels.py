# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that give roles the names of the platform's Docker labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils.web import labels as names


def label(name: str) -> str:
    """See label.yml beside this file."""
    try:
        return names.label(name)
    except ValueError as error:
        raise AnsibleFilterError(f"label: {error}") from None


def labels(values: Mapping[str, Any]) -> dict[str, str]:
    """See labels.yml beside this file."""
    return {label(name): str(value) for name, value in values.items()}


class FilterModule:
    """The filters by their names in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {"label": label, "labels": labels}
