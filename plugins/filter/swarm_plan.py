# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role swarm: from what nodes report to what has to change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.web import (
    autoscale,
    placement,
    swarm,
    swarm_node,
    swarm_ports,
)
from ansible_collections.bookface.platform.plugins.plugin_utils.filter_errors import (
    says_which,
)

Seen = Mapping[str, Mapping[str, Any]]


@says_which("swarm_plan")
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
    autolock: bool | None = None,
    unlocks: bool = False,
    services: Sequence[str] = (),
    constraints: Sequence[str] = (),
    node_labels: Mapping[str, Mapping[object, object]] | None = None,
    mtu: int = 0,
    encrypted: bool = False,
    neighbours: Mapping[str, str] | None = None,
    slots: int = 16,
    move: bool = False,
) -> dict[str, Any]:
    """See swarm_plan.yml beside this file."""
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
        autolock=autolock,
        unlocks=unlocks,
        services=services,
        constraints=placement.constraints(constraints),
        node_labels=node_labels or {},
        mtu=int(mtu),
        encrypted=encrypted,
        neighbours=neighbours or {},
        slots=int(slots),
        move=move,
    )
    return swarm.plan(seen, given)


@says_which("swarm_servers")
def swarm_servers(seen: Seen, running: Iterable[str], mode: str, port: int) -> dict[str, str]:
    """See swarm_servers.yml beside this file."""
    return swarm.servers(seen, running, mode, int(port))


@says_which("swarm_uneven")
def swarm_uneven(
    manager: Mapping[str, Any],
    tasks: Iterable[str],
    hosts: Iterable[str],
    constraints: Sequence[str] = (),
) -> bool:
    """See swarm_uneven.yml beside this file."""
    return swarm.uneven(manager, tasks, hosts, constraints)


@says_which("swarm_report")
def swarm_report(seen: Seen, managers: Sequence[str]) -> list[str]:
    """See swarm_report.yml beside this file."""
    return swarm.report(seen, managers)


@says_which("swarm_counts")
def swarm_counts(
    results: Iterable[Mapping[str, Any]], found: Iterable[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """See swarm_counts.yml beside this file."""
    return autoscale.counts(results, found)


@says_which("swarm_stale")
def swarm_stale(seen: Seen, addresses: Iterable[str]) -> list[str]:
    """See swarm_stale.yml beside this file."""
    return swarm.stale(seen, addresses)


@says_which("swarm_node_plan")
def swarm_node_plan(
    seen: Seen,
    host: str,
    state: str,
    addresses: Mapping[str, str],
    managers: Sequence[str] = (),
    force: bool = False,
) -> dict[str, Any]:
    """See swarm_node_plan.yml beside this file."""
    wish = swarm_node.Wish(host, state, force, addresses, managers)
    return swarm_node.plan(seen, wish)


@says_which("swarm_ports")
def ports_to_ask(seen: Seen, managers: Sequence[str]) -> dict[str, Any]:
    """See swarm_ports.yml beside this file."""
    return swarm_ports.plan(seen, managers)


@says_which("swarm_closed_ports")
def closed_ports(
    missed: Mapping[str, Mapping[str, str]], busy: Mapping[str, Iterable[str]]
) -> list[str]:
    """See swarm_closed_ports.yml beside this file."""
    return list(swarm_ports.closed(missed, busy))


def swarm_placement_faults(
    constraints: object, preferences: object, labels: Mapping[str, object]
) -> list[str]:
    """See swarm_placement_faults.yml beside this file."""
    return [
        *placement.constraint_faults("swarm_constraints", constraints),
        *placement.spread_faults("swarm_preferences", preferences),
        *(fault for host, given in labels.items() for fault in placement.label_faults(host, given)),
    ]


class FilterModule:
    """The filters by their names in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {
            "swarm_closed_ports": closed_ports,
            "swarm_constraints": placement.constraints,
            "swarm_counts": swarm_counts,
            "swarm_node_plan": swarm_node_plan,
            "swarm_placement_faults": swarm_placement_faults,
            "swarm_plan": swarm_plan,
            "swarm_ports": ports_to_ask,
            "swarm_preferences": placement.preferences,
            "swarm_report": swarm_report,
            "swarm_servers": swarm_servers,
            "swarm_stale": swarm_stale,
            "swarm_uneven": swarm_uneven,
        }
