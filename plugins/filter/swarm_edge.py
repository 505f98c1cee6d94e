# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of HAProxy as a service of the swarm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.bookface.platform.plugins.module_utils.access import AccessError
from ansible_collections.bookface.platform.plugins.module_utils.web import swarm_edge
from ansible_collections.bookface.platform.plugins.plugin_utils.filter_errors import (
    says_which,
)


def problems(
    host: str,
    nodes: Sequence[str],
    binds: Mapping[str, str],
    page_cache: object,
    fallback: str,
) -> list[str]:
    """See swarm_edge_problems.yml beside this file."""
    cached = bool(boolean(page_cache, strict=False))
    return swarm_edge.problems(swarm_edge.Settings(host, nodes, binds, cached, fallback))


def ports(binds: Mapping[str, str]) -> list[int]:
    """See swarm_edge_ports.yml beside this file."""
    try:
        return swarm_edge.ports(binds)
    except AccessError as error:
        raise AnsibleFilterError(f"swarm_edge_ports: {error}") from error


@says_which("swarm_edge_plan")
def plan(
    seen: Mapping[str, Mapping[str, Any]],
    edges: Mapping[str, Sequence[str]],
    service: str,
    ports: Sequence[int],
    label: str,
    host: str,
) -> dict[str, Any]:
    """See swarm_edge_plan.yml beside this file."""
    return swarm_edge.plan(seen, edges, service, ports, label, host)


def foreign(labels: Mapping[str, str] | None, service: str) -> list[str]:
    """See swarm_edge_foreign.yml beside this file."""
    return swarm_edge.foreign(labels, service)


def busy(sockets: str, ports: Sequence[int], runs_here: bool, host: str) -> list[str]:
    """See swarm_edge_busy.yml beside this file."""
    return swarm_edge.busy(sockets, ports, runs_here, host)


class FilterModule:
    """The filters by their names in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {
            "swarm_edge_busy": busy,
            "swarm_edge_foreign": foreign,
            "swarm_edge_plan": plan,
            "swarm_edge_ports": ports,
            "swarm_edge_problems": problems,
        }
