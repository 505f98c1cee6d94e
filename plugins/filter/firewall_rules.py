# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter from the inventory to a host's own firewall."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils import firewall
from ansible_collections.bookface.platform.plugins.module_utils.access import Doors, accesses
from ansible_collections.bookface.platform.plugins.module_utils.web.backends import Ports

Data = Mapping[str, Any]


def firewall_rules(
    host: str,
    groups: Mapping[str, Iterable[str]],
    hostvars: Mapping[str, Data],
    ports: Data,
    doors: Data,
    settings: Data,
) -> list[dict[str, Any]]:
    """See firewall_rules.yml beside this file."""
    own = {group: [host] for group, hosts in groups.items() if host in hosts}
    try:
        listed = accesses(own, hostvars, Ports(**ports), Doors(**doors))
        made = firewall.rules(listed, groups, hostvars, firewall.Settings(**settings))
    except ValueError as error:
        message = str(error).rstrip(".")
        raise AnsibleFilterError(f"{message}. Nothing was changed.") from None
    return [rule.as_data() for rule in made]


class FilterModule:
    """The filters by their names in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {"firewall_rules": firewall_rules}
