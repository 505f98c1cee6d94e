#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: openstack_platform_info
short_description: Gather facts about a platform in an OpenStack cloud
version_added: 0.1.0
description:
  - Reads the servers, networks, addresses, keys, images, flavors and quotas of a project with a
    single login.
options:
  gather_subset:
    description:
      - What to read. V(servers) and V(network) require Nova and Neutron alone, so they are there
        while other services of the cloud are down.
    type: list
    elements: str
    choices: [all, servers, network]
    default: [all]
  consoles:
    description:
      - Names of servers whose console is read as well.
    type: list
    elements: str
    default: []
  console_lines:
    description:
      - Number of lines from the end of each console.
    type: int
    default: 30
extends_documentation_fragment:
  - bookface.platform.openstack_cloud
  - bookface.platform.reads_only
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Gather facts about the cloud
  bookface.platform.openstack_platform_info:
    cloud: openstack
  register: look
"""

RETURN = r"""
found:
  description: >-
    C(project_id) and C(user_id), C(servers), of C(network) C(networks), C(subnets), C(routers),
    C(security_groups), C(floating_ips) and C(ports), of C(all) also C(block_storage), C(limits),
    C(images), C(flavors), C(zones), C(server_groups), C(keypairs) and C(volumes). So
    P(bookface.platform.openstack_plan#filter) reads them.
  returned: always
  type: dict
consoles:
  description: Name of each server and the end of its console.
  returned: always
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.bookface.platform.plugins.module_utils.openstack.connection import (
    CLOUD_ARGUMENTS,
    HAS_SDK,
    REFUSALS,
    connect,
    explained,
    read,
    status,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import MARK

# Neutron's names of limited resources → ours.
NETWORK_LIMITS = {
    "floatingip": "floating addresses",
    "network": "networks",
    "router": "routers",
    "security_group": "security groups",
    "subnet": "subnets",
}


def limits(cloud: Any) -> dict[str, tuple[int, int]]:
    """Used and limit of each quota. Not every cloud shows its quotas to tenants."""
    found = {}
    if told := allowed(cloud.compute, "/limits"):
        most = told["limits"]["absolute"]
        found = {
            "instances": (most["totalInstancesUsed"], most["maxTotalInstances"]),
            "cores": (most["totalCoresUsed"], most["maxTotalCores"]),
            "ram": (most["totalRAMUsed"], most["maxTotalRAMSize"]),
            "server groups": (most["totalServerGroupsUsed"], most["maxServerGroups"]),
        }
    if told := allowed(cloud.network, f"/quotas/{cloud.current_project_id}/details.json"):
        quota = told["quota"]
        for theirs, name in NETWORK_LIMITS.items():
            if theirs in quota:
                found[name] = (quota[theirs]["used"], quota[theirs]["limit"])
    return found


def allowed(proxy: Any, path: str) -> Any:
    """An answer, or None if the account may not ask for it, or the cloud does not offer it."""
    try:
        return read(proxy, path)
    except REFUSALS as error:
        if status(error) not in (403, 404):
            raise
    return None


def chosen(thing: Any, *fields: str) -> dict[str, Any]:
    """Some fields of a resource, and those that all have. No description becomes an empty one."""
    own = {field: thing[field] for field in ("id", "name", "project_id", *fields)}
    return own | {"description": thing.description or ""}


def networks(cloud: Any) -> dict[str, Any]:
    """The resources of Neutron."""
    network, mine = cloud.network, {"project_id": cloud.current_project_id}
    known = [
        chosen(one)
        | {
            "external": bool(one.is_router_external),
            # Clouds without that extension do not say so.
            "port_security": one.is_port_security_enabled is not False,
            "subnets": list(one.subnet_ids or []),
        }
        for one in network.networks()
    ]
    names = {one["id"]: one["name"] for one in known}
    ports = [
        {
            "id": port.id,
            "name": port.name,
            "device_id": port.device_id or "",
            "device_owner": port.device_owner or "",
            "network_id": port.network_id,
            "network": names.get(port.network_id, ""),
            "port_security": port.is_port_security_enabled is not False,
            "security_group_ids": list(port.security_group_ids or []),
            "subnets": [ip["subnet_id"] for ip in port.fixed_ips],
        }
        for port in network.ports()
    ]
    routers = [
        chosen(router)
        | {
            "gateway": (router.external_gateway_info or {}).get("network_id", ""),
            "subnets": [s for p in ports if p["device_id"] == router.id for s in p["subnets"]],
        }
        for router in network.routers(**mine)
    ]  # fmt: skip
    rules = ("direction", "ether_type", "protocol", "port_range_min", "port_range_max")
    sources = ("remote_group_id", "remote_ip_prefix")
    groups = [
        chosen(group)
        | {"rules": [{key: rule[key.replace("ether_type", "ethertype")]
                      for key in (*rules, *sources)} for rule in group.security_group_rules]}
        for group in network.security_groups(**mine)
    ]  # fmt: skip
    return {
        "networks": known,
        "subnets": [chosen(one, "cidr", "dns_nameservers", "network_id")
                    for one in network.subnets(**mine)],
        "routers": routers,
        "security_groups": groups,
        "floating_ips": [
            chosen(one, "port_id") | {"address": one.floating_ip_address}
            for one in network.ips(**mine)
        ],
        "ports": ports,
    }  # fmt: skip


def servers(cloud: Any) -> list[dict[str, Any]]:
    """The servers of the project, in every state."""
    return [
        {
            "id": server.id,
            "name": server.name,
            "status": server.status,
            "task_state": server.task_state or "",
            "locked": bool(server.is_locked),
            "user_id": server.user_id or "",
            "fault": (server.fault or {}).get("message", ""),
            "metadata": dict(server.metadata),
            # Empty for one that boots from a volume.
            "image_id": (server.image or {}).get("id") or "",
            "zone": server.availability_zone or "",
            "flavor": server.flavor.original_name or server.flavor.name or "",
            "networks": sorted(server.addresses or {}),
            "addresses": [
                entry["addr"]
                for entries in (server.addresses or {}).values()
                for entry in entries
                if entry["version"] == 4
            ],
            "fixed": [
                entry["addr"]
                for entries in (server.addresses or {}).values()
                for entry in entries
                if entry["OS-EXT-IPS:type"] == "fixed"
            ],
        }
        for server in cloud.compute.servers()
    ]


def volumes(cloud: Any) -> list[dict[str, Any]]:
    """The volumes of the project, if the cloud has block storage."""
    if not cloud.has_service("block-storage"):
        return []
    return [
        {
            "id": volume.id,
            "name": volume.name,
            "size": volume.size,
            "platform": (volume.metadata or {}).get(MARK, ""),
        }
        for volume in cloud.block_storage.volumes()
    ]


def zones(cloud: Any) -> list[str]:
    """Where a server can be placed, if the cloud shows it."""
    told = allowed(cloud.compute, "/os-availability-zone") or {"availabilityZoneInfo": []}
    return [
        one["zoneName"] for one in told["availabilityZoneInfo"] if one["zoneState"]["available"]
    ]


def look(name: str, region: str, subset: list[str]) -> tuple[Any, dict[str, Any]]:
    """The connection, and the resources that are asked for."""
    cloud = connect(name, region)
    found = {"project_id": cloud.current_project_id, "user_id": cloud.current_user_id or ""}
    if {"all", "servers"} & {*subset}:
        found["servers"] = servers(cloud)
    if {"all", "network"} & {*subset}:
        found |= networks(cloud)
    if "all" in subset:
        found |= supplies(cloud)
    return cloud, found


def supplies(cloud: Any) -> dict[str, Any]:
    """What servers are made of, with and for."""
    images: dict[str, list[str]] = {}
    known = list(cloud.image.images(status="active"))
    for image in sorted(known, key=lambda one: (one.created_at or "", one.id), reverse=True):
        images.setdefault(image.name, []).append(image.id)
    return {
        "block_storage": cloud.has_service("block-storage"),
        "limits": limits(cloud),
        "images": images,
        "flavors": {
            flavor.name: {
                "id": flavor.id,
                "vcpus": flavor.vcpus,
                "ram": flavor.ram,
                "disk": flavor.disk,
            }
            for flavor in cloud.compute.flavors()
        },
        "zones": zones(cloud),
        "keypairs": [
            {"name": key.name, "public_key": key.public_key} for key in cloud.compute.keypairs()
        ],
        "server_groups": [
            {"id": one.id, "name": one.name, "policy": one.policy or (one.policies or [""])[0]}
            for one in cloud.compute.server_groups()
        ],
        "volumes": volumes(cloud),
    }


def console(cloud: Any, server: dict[str, Any], lines: int) -> str:
    """The end of a server's console."""
    try:
        told = cloud.compute.get_server_console_output(server["id"], length=lines)
        text = told.get("output", "") if isinstance(told, dict) else str(told)
    except REFUSALS as error:
        return f"(not available: {error})"
    return "\n".join(text.splitlines()[-lines:])


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={
            **CLOUD_ARGUMENTS,
            "gather_subset": {
                "type": "list",
                "elements": "str",
                "choices": ["all", "servers", "network"],
                "default": ["all"],
            },
            "consoles": {"type": "list", "elements": "str", "default": []},
            "console_lines": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    if not HAS_SDK:
        module.fail_json(msg=missing_required_lib("openstacksdk"))
    try:
        asked = (module.params[key] for key in ("cloud", "region", "gather_subset"))
        cloud, found = look(*asked)
        consoles = {
            server["name"]: console(cloud, server, module.params["console_lines"])
            for server in found.get("servers", [])
            if server["name"] in module.params["consoles"]
        }
    except REFUSALS as error:
        module.fail_json(msg=explained(module.params["cloud"], error))
    module.exit_json(changed=False, found=found, consoles=consoles)


if __name__ == "__main__":
    main()
