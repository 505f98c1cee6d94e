# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that reads what apt-get would install."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils import apt


def package_changes(simulated: Iterable[str], there: Iterable[str] = ()) -> list[dict[str, str]]:
    """See package_changes.yml beside this file."""
    return [change.as_data() for change in apt.changes(simulated, there)]


class FilterModule:
    """The filter by its name in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {"package_changes": package_changes}
