# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that plans the changes to the engine's packages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils.docker import packages


def docker_packages(listing: Iterable[str], engine: list[str], **options: Any) -> dict[str, Any]:
    """See docker_packages.yml beside this file."""
    try:
        return packages.plan(listing, engine, **options)
    except packages.PackageError as error:
        raise AnsibleFilterError(f"{error}.") from None


class FilterModule:
    """The filter by its name in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {"docker_packages": docker_packages}
