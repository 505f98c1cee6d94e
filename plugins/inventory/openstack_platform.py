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
  - The cloud is asked each time. If it is out of order, its last answer is used, if O(cache) is
    enabled and that answer is not older than O(cache_fallback_age). A warning says how old it is,
    and the variable C(openstack_inventory_age) of all hosts has its seconds.
  - Fails if there is no such answer, and if the cloud refuses the credentials. Ansible then goes on
    without hosts, unless C(any_unparsed_is_failed) is set in the section C(inventory) of its
    configuration.
  - The file must be named C(openstack.yml) or C(openstack.yaml).
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
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
  openstack_reach:
    description:
      - How the machines are reached. V(floating) means by their floating addresses, and those
        without one through a machine that has one. V(fixed) means by their addresses in the
        network, for a controller inside it.
      - Is set as a variable of all hosts, from which C(inventories/openstack) derives
        C(ansible_host). The variable in C(group_vars) takes precedence.
    type: str
    choices: [floating, fixed]
    default: floating
  cache:
    description:
      - Whether to keep the last answer of the cloud, for the time when it does not answer. As long
        as it answers, nothing is taken from the cache, unlike in other inventories.
      - Requires a O(cache_plugin) that writes to the disk, such as C(ansible.builtin.jsonfile).
  cache_timeout:
    description:
      - Has no effect, see O(cache_fallback_age).
  cache_fallback_age:
    description:
      - How old, in seconds, an answer may be that is used because the cloud is out of order. V(0)
        uses none.
    type: int
    default: 86400
notes:
  - Each host has the variables C(bookface_address) (its address for other machines),
    C(openstack_floating_address) (empty without one), C(openstack_holds) (the floating addresses of
    other machines that are held at it) and C(openstack) (the server as the cloud describes it). All
    hosts have C(openstack_all_holds), also with those whose machine is gone.
  - Through which address Ansible connects is decided by C(ansible_host) in the variables of the
    group, see C(inventories/openstack) of this collection.
"""

EXAMPLES = r"""
plugin: bookface.platform.openstack_platform
only_clouds: [openstack]
server_filters:
  metadata: {bookface_platform: bookface}
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/bookface_platform
"""

from collections import Counter
from time import time
from typing import Any

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.module_utils.basic import missing_required_lib
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible_collections.bookface.platform.plugins.module_utils.openstack.connection import (
    HAS_SDK,
    PATIENCE,
    REFUSALS,
    TIMEOUT,
    account,
    connect,
    explained,
    is_down,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import (
    GROUPS_MARK,
    MARK,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.hosts import (
    age,
    duration,
    holds,
    host_variables,
    in_order,
    kept,
)


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):  # type: ignore[misc]
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
        try:
            self._read_config_data(path)
        except AnsibleError as error:
            # With options, it is the cache that is wrong: nothing that the cloud's answer requires.
            if not self._options.get("cache"):
                raise
            self.display.warning(f"No answer of the cloud is kept: {error}")
            self.set_option("cache", False)
        question = self._question(path)
        last, last_age = self._last_answer(path, question) if cache else ({}, None)
        usable = last_age is not None and last_age <= self.get_option("cache_fallback_age")
        try:
            answer, old = self._ask(question, PATIENCE if usable else TIMEOUT), 0
        except REFUSALS as error:
            # Not the library's exception: its traceback would hide what the cloud says.
            message = explained(question["cloud"], error)
            if last_age is None or not usable or not is_down(error):
                if is_down(error) and cache and self._falls_back():
                    message += self._why_none(last_age)
                raise AnsibleParserError(message) from None
            answer, old = last, last_age
            self.display.warning(
                f"{message}. The inventory is what it said {duration(old)} ago. Playbooks that"
                " change the cloud refuse to run on that (openstack_inventory_age)"
            )
        else:
            self._keep(path, question, answer)
        servers, floating = in_order(answer["servers"]), answer["floating"] or []
        platform = str((question["filters"].get("metadata") or {}).get(MARK, ""))
        held = holds(servers, floating, platform)
        self._add(servers, floating, held)
        # For all hosts, and so for the controller, which is none of them.
        before = self.inventory.groups["all"].vars
        oldest = max(old, before.get("openstack_inventory_age", 0))
        held = [*before.get("openstack_all_holds", []), *held]
        self.inventory.set_variable("all", "openstack_inventory_age", oldest)
        self.inventory.set_variable("all", "openstack_all_holds", held)
        self.inventory.set_variable("all", "openstack_reach", self.get_option("openstack_reach"))

    def _question(self, path: str) -> dict[str, Any]:
        """What the cloud is asked, and by whom."""
        clouds = self.get_option("only_clouds")
        if len(clouds) != 1:
            raise AnsibleParserError(
                f"only_clouds of {path} is {clouds}: expected one cloud of clouds.yaml"
            )
        cloud, region = str(clouds[0]), str(self.get_option("region") or "")
        try:
            asker = account(cloud, region)
        except REFUSALS as error:
            raise AnsibleParserError(explained(cloud, error)) from None
        filters = self.get_option("server_filters") or {}
        return {"cloud": cloud, "region": region, "filters": filters, "account": asker}

    def _ask(self, question: dict[str, Any], timeout: int) -> dict[str, Any]:
        """What the cloud says now."""
        cloud = connect(question["cloud"], question["region"], timeout)
        servers = [
            server.to_dict(computed=False)
            for server in cloud.compute.servers(details=True, **question["filters"])
        ]
        try:
            floating: list[dict[str, Any]] | None = [
                {
                    "address": str(one.floating_ip_address),
                    "description": str(one.description or ""),
                    "device": (one.port_details or {}).get("device_id") if one.port_id else "",
                }
                for one in cloud.network.ips(project_id=cloud.current_project_id)
            ]
        except REFUSALS as error:
            # The machines can be reached without.
            self.display.warning(
                "Which floating addresses are held is unknown: "
                + explained(question["cloud"], error)
            )
            floating = None
        return {"servers": servers, "floating": floating}

    def _keep(self, path: str, question: dict[str, Any], answer: dict[str, Any]) -> None:
        """Note an answer for the time when there is none."""
        # Half an answer is worse than the last whole one.
        if answer["floating"] is None or not self._falls_back():
            return
        try:
            self._cache[self.get_cache_key(path)] = kept(question, answer, time())
            self.set_cache_plugin()
        except (AnsibleError, OSError) as error:
            self.display.warning(f"This answer of the cloud is not kept: {error}")

    def _last_answer(
        self, path: str, question: dict[str, Any]
    ) -> tuple[dict[str, Any], int | None]:
        """What the cloud said last, and how many seconds ago, none if that is not known."""
        try:
            entry = self._cache.get(self.get_cache_key(path)) if self._falls_back() else None
        except AnsibleError as error:
            # A damaged file, which Ansible has removed: nothing that the cloud's answer requires.
            self.display.warning(str(error))
            entry = None
        old = age(entry, question, time())
        return ({}, None) if entry is None or old is None else (entry["answer"], old)

    def _why_none(self, old: int | None) -> str:
        """Why no earlier answer is used."""
        most = duration(self.get_option("cache_fallback_age"))
        told = f"is {duration(old)} old" if old else "does not exist"
        return (
            f". An earlier answer of it that is at most {most} old (cache_fallback_age) would be"
            f" used, but {told}"
        )

    def _falls_back(self) -> bool:
        """Whether answers are kept. The cache plugin drops none: their age decides, and is told."""
        if not self.get_option("cache") or self.get_option("cache_fallback_age") <= 0:
            return False
        if self.get_option("cache_timeout") != 0:
            self.set_option("cache_timeout", 0)
            self.load_cache_plugin()
        return True

    def _add(
        self,
        servers: list[dict[str, Any]],
        floating: list[dict[str, Any]],
        held: list[dict[str, Any]],
    ) -> None:
        """Add the servers. Those without an address are still being created, or failed."""
        count = Counter(server["name"] for server in servers)
        strict = self.get_option("strict")
        for server in servers:
            if not server["addresses"]:
                self.display.warning(
                    f"{server['name']} is not in the inventory: it is {server.get('status')} and"
                    " has no address"
                )
                continue
            name = server["name"] if count[server["name"]] == 1 else server["id"]
            variables = host_variables(server, floating, held)
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
