# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of the platform's machines in an OpenStack cloud."""

from __future__ import annotations

DOCUMENTATION = r"""
name: openstack_platform
author: The bookface.platform authors (@bookface-platform)
short_description: The machines of a platform in an OpenStack cloud
version_added: 0.1.0
description:
  - Lists the servers of a platform, in the order of their names, each with the addresses at which
    it is reached and in the groups of its description.
  - Fails if the cloud cannot be asked. Ansible then goes on without hosts, unless
    C(any_unparsed_is_failed) is set in the section C(inventory) of its configuration.
  - The file must be named C(openstack.yml) or C(openstack.yaml).
extends_documentation_fragment:
  - ansible.builtin.constructed
requirements:
  - openstacksdk >= 4.10, < 4.15
options:
  plugin:
    description:
      - Marks the file as one for this plugin.
    type: str
    required: true
    choices: [bookface.platform.openstack_platform]
  only_clouds:
    description:
      - Cloud in C(clouds.yaml), a list of one. V(envvars) takes the credentials from the
        environment, as an openrc file sets them.
    type: list
    elements: str
    required: true
  region:
    description:
      - Region of the cloud, if it has several and C(clouds.yaml) does not choose one.
    type: str
    default: ""
  server_filters:
    description:
      - Which servers are listed, as Nova filters them. C(metadata) names the platform.
    type: dict
    default: {}
notes:
  - Each host has the variables C(bookface_address) (its address for other machines),
    C(openstack_floating_address) (empty without one) and C(openstack) (the server as the cloud
    describes it). Through which address Ansible connects is decided by C(ansible_host) in
    the variables of the group, see C(inventories/openstack) of this collection.
"""

EXAMPLES = r"""
plugin: bookface.platform.openstack_platform
only_clouds: [openstack]
server_filters:
  metadata: {bookface_platform: bookface}
"""

from collections import Counter
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.module_utils.basic import missing_required_lib
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable
from ansible_collections.bookface.platform.plugins.module_utils.openstack.connection import (
    HAS_SDK,
    REFUSALS,
    connect,
    explained,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import (
    GROUPS_MARK,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.hosts import (
    host_variables,
    in_order,
)


class InventoryModule(BaseInventoryPlugin, Constructable):  # type: ignore[misc]
    """Ansible's interface of an inventory."""

    NAME = "bookface.platform.openstack_platform"

    def verify_file(self, path: str) -> bool:
        """Whether a file can be one of ours."""
        names = ("openstack.yml", "openstack.yaml")
        return bool(super().verify_file(path)) and path.endswith(names)

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Add the hosts."""
        super().parse(inventory, loader, path, cache=cache)
        if not HAS_SDK:
            raise AnsibleParserError(missing_required_lib("openstacksdk"))
        self._read_config_data(path)
        clouds = self.get_option("only_clouds")
        if len(clouds) != 1:
            raise AnsibleParserError(
                f"only_clouds of {path} is {clouds}: expected one cloud of clouds.yaml"
            )
        filters = self.get_option("server_filters") or {}
        try:
            cloud = connect(clouds[0], self.get_option("region"))
            found = [
                server.to_dict(computed=False)
                for server in cloud.compute.servers(details=True, **filters)
            ]
        except REFUSALS as error:
            # Not the library's exception: its traceback would hide what the cloud says.
            raise AnsibleParserError(explained(clouds[0], error)) from None
        self._add(in_order(found))

    def _add(self, servers: list[dict[str, Any]]) -> None:
        """Add the servers. Those without an address are still being created."""
        count = Counter(server["name"] for server in servers)
        strict = self.get_option("strict")
        for server in servers:
            if not server["addresses"]:
                continue
            name = server["name"] if count[server["name"]] == 1 else server["id"]
            variables = host_variables(server)
            self.inventory.add_host(name)
            for key, value in variables.items():
                self.inventory.set_variable(name, key, value)
            for group in (server["metadata"] or {}).get(GROUPS_MARK, "").split(","):
                if group.strip():
                    self.inventory.add_child(self.inventory.add_group(group.strip()), name)
            self.inventory.add_child(self.inventory.add_group("openstack_platform"), name)
            self._set_composite_vars(self.get_option("compose"), variables, name, strict=strict)
            self._add_host_to_composed_groups(
                self.get_option("groups"), variables, name, strict=strict
            )
            self._add_host_to_keyed_groups(
                self.get_option("keyed_groups"), variables, name, strict=strict
            )
