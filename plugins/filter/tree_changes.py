# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of a directory are to be copied, and which copies are to go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.web.published import (
    copies,
    is_as_copied,
)


def tree_changes(wanted: dict[str, str], found: list[dict[str, Any]], into: str) -> list[str]:
    """See tree_changes.yml beside this file."""
    there = {
        str(PurePath(file["path"]).relative_to(into)): file["checksum"]
        for file in found
        if PurePath(into) in PurePath(file["path"]).parents and is_as_copied(file)
    }
    return [name for name, checksum in wanted.items() if there.get(name) != checksum]


def tree_copies(source: dict[str, str], found: list[dict[str, Any]], into: str) -> list[str]:
    """See tree_copies.yml beside this file."""
    return copies(found, source, into)


class FilterModule:
    """The filters by their names in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {"tree_changes": tree_changes, "tree_copies": tree_copies}
