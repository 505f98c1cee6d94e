# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role swarm: from what nodes report to what has to change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils.web import autoscale, swarm

Seen = Mapping[str, Mapping[str, Any]]


def swarm_plan(
    seen: Seen,
    managers: Sequence[str],
    workers: Sequence[str],
    replicas: int,
    ingress_mode: str,
    network: str,
    service: str,
    port: int,
    pools: Sequence[str],
    adopt: Sequence[str] = (),
    addresses: Sequence[str] = (),
    heartbeat: int = 5,
    replicas_max: int = 0,
) -> dict[str, Any]:
    """See swarm_plan.yml beside this file."""
    try:
        given = swarm.Settings(
            managers=managers,
            workers=workers,
            replicas=int(replicas),
            ingress_mode=ingress_mode,
            network=network,
            service=service,
            port=int(port),
            pools=pools,
            adopt=adopt,
            addresses=addresses,
            heartbeat=int(heartbeat),
            replicas_max=int(replicas_max),
        )
        return swarm.plan(seen, given)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"swarm_plan: {error!r}") from error


def swarm_servers(seen: Seen, running: Iterable[str], mode: str, port: int) -> dict[str, str]:
    """See swarm_servers.yml beside this file."""
    try:
        return swarm.servers(seen, running, mode, int(port))
    except (KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"swarm_servers: {error!r}") from error


def swarm_uneven(manager: Mapping[str, Any], tasks: Iterable[str]) -> bool:
    """See swarm_uneven.yml beside this file."""
    try:
        return swarm.uneven(manager, tasks)
    except (KeyError, TypeError) as error:
        raise AnsibleFilterError(f"swarm_uneven: {error!r}") from error


def swarm_report(seen: Seen, managers: Sequence[str]) -> list[str]:
    """See swarm_report.yml beside this file."""
    try:
        return swarm.report(seen, managers)
    except (KeyError, TypeError) as error:
        raise AnsibleFilterError(f"swarm_report: {error!r}") from error


def swarm_counts(
    results: Iterable[Mapping[str, Any]], found: Iterable[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """See swarm_counts.yml beside this file."""
    try:
        return autoscale.counts(results, found)
    except (KeyError, TypeError) as error:
        raise AnsibleFilterError(f"swarm_counts: {error!r}") from error


class FilterModule:
    """The filters by their names in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {
            "swarm_counts": swarm_counts,
            "swarm_plan": swarm_plan,
            "swarm_report": swarm_report,
            "swarm_servers": swarm_servers,
            "swarm_uneven": swarm_uneven,
        }
