# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that chooses which backups are removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils.database import backups


def backup_rotation(paths: Iterable[str], made: str, keep: int) -> dict[str, list[str]]:
    """See backup_rotation.yml beside this file."""
    try:
        return asdict(backups.rotation(paths, made, int(keep)))
    except (TypeError, ValueError) as error:
        raise AnsibleFilterError(f"backup_rotation: {error}") from error


class FilterModule:
    """The filter by its name in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {"backup_rotation": backup_rotation}
