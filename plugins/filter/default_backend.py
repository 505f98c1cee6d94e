# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that reads a frontend's default_backend from the text of a configuration."""

from __future__ import annotations

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy import (
    config as haproxy_config,
)


def default_backend(text: str | None, frontend: str) -> str | None:
    """The name, or None without text, without the frontend, or without a default_backend."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise AnsibleFilterError(
            f"default_backend wants the text of a configuration, not {type(text).__name__}"
        )
    config = haproxy_config.parse(str(text))
    if frontend not in haproxy_config.frontend_names(config):
        return None
    try:
        found = haproxy_config.default_backend(config, frontend)
    except haproxy_config.HaproxyConfigError as error:
        raise AnsibleFilterError(f"default_backend: {error}") from error
    return found.name


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"default_backend": default_backend}
