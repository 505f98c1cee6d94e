# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role swarm for services beside the web service."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.web import (
    swarm_services as services,
)
from ansible_collections.bookface.platform.plugins.plugin_utils.filter_errors import (
    says_which,
)

Entries = Sequence[Mapping[str, Any]]


def faults(
    given: object, service: str, network: str, reserved: Mapping[int, str] | None = None
) -> list[str]:
    """See swarm_services_faults.yml beside this file."""
    return services.faults(given, services.Site(service, network, reserved or {}))


def secrets(given: Entries, service: str, network: str) -> list[dict[str, str]]:
    """See swarm_services_secrets.yml beside this file."""
    return services.secrets(given, services.Site(service, network))


def failures(
    states: Iterable[Mapping[str, Any]], ran: Iterable[Mapping[str, Any]], seconds: float
) -> list[dict[str, Any]]:
    """See swarm_services_failures.yml beside this file."""
    told = [
        {"name": one["item"], **json.loads(one["stdout"])}
        if one["rc"] == 0
        else {"name": one["item"], "message": one["stderr"]}
        for one in states
    ]
    changes = {one["item"]: one["changes"] for one in ran if one.get("changed")}
    return services.failures(told, changes, float(seconds))


@says_which("swarm_services_plan")
def plan(
    seen: Mapping[str, Mapping[str, Any]],
    given: Entries,
    lead: str,
    service: str,
    network: str,
    adopt: Sequence[str] = (),
    managers: Sequence[str] = (),
    node_labels: Mapping[str, Mapping[object, object]] | None = None,
) -> dict[str, Any]:
    """See swarm_services_plan.yml beside this file."""
    wish = services.Wish(given, adopt, managers, node_labels or {})
    return services.plan(seen, lead, services.Site(service, network), wish)


@says_which("swarm_service_spec")
def spec(
    entry: Mapping[str, Any],
    service: str,
    network: str,
    secrets: Iterable[Mapping[str, Any]] = (),
    image: str = "",
) -> dict[str, Any]:
    """See swarm_service_spec.yml beside this file."""
    kept = {
        one["item"]["secret"]: {"id": one["secret_id"], "name": one["secret_name"]}
        for one in secrets
        if one["item"]["service"] == entry["name"]
    }
    changed = {**entry, "image": image} if image else entry
    return services.spec(changed, services.Site(service, network), kept)


class FilterModule:
    """The filters by their names in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {
            "swarm_service_spec": spec,
            "swarm_reserved_ports": services.reserved_ports,
            "swarm_registry_login": services.login,
            "swarm_registry_login_faults": services.login_faults,
            "swarm_services_failures": failures,
            "swarm_services_faults": faults,
            "swarm_services_plan": plan,
            "swarm_services_secrets": secrets,
        }
