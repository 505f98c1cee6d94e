# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that draw the platform: facts to a model, a model to Mermaid text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils.topology import (
    drawing as topology_drawing,
)
from ansible_collections.bookface.platform.plugins.module_utils.topology import model as thinking


def topology(seen: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """See topology.yml beside this file."""
    try:
        return thinking.topology(seen)
    except (KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"topology: {error!r} in the facts of the machines") from error


def topology_mermaid(model: Mapping[str, Any]) -> str:
    """See topology_mermaid.yml beside this file."""
    try:
        return topology_drawing.mermaid(topology_drawing.drawing(model))
    except (KeyError, TypeError) as error:
        raise AnsibleFilterError(
            f"topology_mermaid: {error!r}: expected a model from the filter topology"
        ) from error


class FilterModule:
    """The filters by their names in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {"topology": topology, "topology_mermaid": topology_mermaid}
