# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that writes the source of Docker's apt repository."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils.docker import (
    repository as docker_repository,
)


def docker_source(
    key: str, repository: dict[str, str], fingerprints: list[str], key_url: str = ""
) -> str:
    """See docker_source.yml beside this file."""
    try:
        docker_repository.check_key(key, fingerprints, key_url or "the key file")
        return docker_repository.source_text(docker_repository.Repository(**repository), key)
    except (docker_repository.RepositoryError, TypeError) as error:
        raise AnsibleFilterError(f"docker_source: {error}.") from None


class FilterModule:
    """The filter by its name in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {"docker_source": docker_source}
