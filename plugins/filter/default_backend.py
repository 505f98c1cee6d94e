# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that reads a frontend's default_backend from the text of a configuration."""

from __future__ import annotations

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.rules import (
    default_backend as read_default_backend,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    HaproxyConfigError,
    find_frontend,
    frontend_names,
    parse,
)


def default_backend(text: str | None, frontend: str) -> str | None:
    """The name, or None without text, without the frontend, or without a default_backend."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise AnsibleFilterError(
            f"default_backend: expected the text of a configuration, got {type(text).__name__}"
        )
    config = parse(str(text))
    if frontend not in frontend_names(config):
        return None
    try:
        found = read_default_backend(config, find_frontend(config, frontend))
    except HaproxyConfigError as error:
        raise AnsibleFilterError(f"default_backend: {error}") from None
    return found.name


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"default_backend": default_backend}
