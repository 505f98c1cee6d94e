# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that read the inventory: backends, addresses, containers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from itertools import product
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils.web import backends as thinking


def backends(
    groups: Mapping[str, Iterable[str]], hostvars: Mapping[str, Mapping[str, Any]], **ports: int
) -> list[dict[str, Any]]:
    """See backends.yml beside this file."""
    try:
        found = thinking.backends(groups, hostvars, thinking.Ports(**ports))
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from None
    return [thinking.as_data(backend) for backend in found]


def addresses(hosts: Iterable[Mapping[str, Any]]) -> list[str]:
    """See addresses.yml beside this file."""
    return [thinking.address(host["inventory_hostname"], host) for host in hosts]


def serving_backends(
    results: Iterable[Mapping[str, Any]],
    names: Iterable[str],
    addresses: Iterable[str],
    ports: Iterable[int],
) -> list[dict[str, Any]]:
    """See serving_backends.yml beside this file."""
    known = {*names}
    places = {f"{address}:{port}" for address, port in product(addresses, ports)}
    found = []
    for result in results:
        for backend, content in (result.get("backends") or {}).items():
            servers = [
                server["name"]
                for server in content["servers"]
                if server["name"] in known or re.sub(r"[\[\]]", "", server["address"]) in places
            ]
            if servers:
                place = {"loadbalancer": result["item"], "backend": backend, "servers": servers}
                found.append(place)
    return found


def web_containers(count: int, first_port: int) -> list[dict[str, Any]]:
    """See web_containers.yml beside this file."""
    try:
        return [asdict(container) for container in thinking.containers(count, first_port)]
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """The filters by their names in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {
            "addresses": addresses,
            "backends": backends,
            "serving_backends": serving_backends,
            "web_containers": web_containers,
        }
