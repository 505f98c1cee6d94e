# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that lists what can be removed from a Docker host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils.docker.leftovers import leftovers


def docker_leftovers(
    info: Mapping[str, Any], in_use: Iterable[str] = (), removing: bool = False
) -> dict[str, Any]:
    """See docker_leftovers.yml beside this file."""
    try:
        return leftovers(info, in_use, removing)
    except (KeyError, TypeError) as error:
        raise AnsibleFilterError(
            f"docker_leftovers: {error!r}; expected the result of docker_host_info with"
            " containers, containers_all, images and verbose_output"
        ) from error


class FilterModule:
    """The filter by its name in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {"docker_leftovers": docker_leftovers}
