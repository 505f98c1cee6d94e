# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A value as PHP source text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError


def php_literal(value: Any) -> str:
    """See php_literal.yml beside this file."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        # In single quotes PHP knows just these two escapes.
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    # Ansible has types of its own for these.
    kinds = ((Mapping, "dictionary"), (Sequence, "list"))
    kind = next((name for type_, name in kinds if isinstance(value, type_)), type(value).__name__)
    raise AnsibleFilterError(
        f"A config.php cannot hold a value that is a {kind}; expected text, a number,"
        " true, false or null. See bookface_config."
    )


class FilterModule:
    """The filter by its name in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {"php_literal": php_literal}
