"""A described platform and the cloud that matches it, for the tests of the plans."""

from __future__ import annotations

import copy
from typing import Any

from ansible_collections.bookface.platform.plugins.filter.openstack_plan import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.openstack.keys import marks
from ansible_collections.bookface.platform.plugins.module_utils.openstack.servers import digest

FILTERS = FilterModule().filters()
Data = dict[str, Any]
MARK = "bookface_platform=p"
KEY = "ssh-ed25519 AAAA me@here"
RULES = {
    "p": [{"direction": "egress", "ether_type": "IPv4"}],
    "p-loadbalancers": [
        {"direction": "ingress", "ether_type": "IPv4", "protocol": "tcp", "port_range_min": 80,
         "port_range_max": 80, "remote_ip_prefix": "0.0.0.0/0"},
    ],
    "p-swarm_managers": [
        {"direction": "ingress", "ether_type": "IPv4", "protocol": "tcp", "port_range_min": 8080,
         "port_range_max": 8080, "remote_group": "p-loadbalancers"},
    ],
}  # fmt: skip
DESCRIBED: list[Data] = [
    {"name": "lb1", "groups": ["loadbalancers"], "floating_ip": True},
    {"name": "swarm1", "groups": ["swarm_managers"]},
]
SETTINGS: Data = {
    "network": "",
    "cidr": "192.0.2.0/24",
    "external": "public",
    "nameservers": [],
    "public_key": KEY,
    "public_keys": [],
    "swarm_policy": "soft-anti-affinity",
    "rules": RULES,
    "user_data": {"swarm1": "#cloud-config\n"},
    "disk": "/dev/vdb at /data",
}
PUBLIC = {
    "id": "n0",
    "name": "public",
    "project_id": "op",
    "description": "",
    "external": True,
    "port_security": True,
    "subnets": ["s0"],
}
# A network of the university's: nobody sees its router.
COURSE = PUBLIC | {"id": "n9", "name": "course", "external": False}
EMPTY: Data = {
    "project_id": "me",
    "user_id": "u1",
    "block_storage": False,
    "limits": {"instances": (0, 10), "cores": (0, 20), "ram": (0, 51200)},
    "images": {"debian-12": ["i12"], "debian-13": ["i13"]},
    "flavors": {
        "small": {"id": "f1", "vcpus": 1, "ram": 2048, "disk": 20},
        "large": {"id": "f2", "vcpus": 8, "ram": 16384, "disk": 40},
    },
    "zones": ["nova"],
    "networks": [PUBLIC],
    **{key: [] for key in ("subnets", "routers", "security_groups", "server_groups", "keypairs",
                           "servers", "floating_ips", "ports", "volumes")},
}  # fmt: skip
WITH_VOLUME = [DESCRIBED[0], DESCRIBED[1] | {"volume": 10}]
VOLUME = {"id": "v", "name": "p-swarm1", "size": 10, "platform": "p"}


def thing(name: str, **more: Any) -> Data:
    return {"id": f"id-{name}", "name": name, "project_id": "me", "description": MARK} | more


def server(name: str, group: str, text: str = "") -> Data:
    return {
        "id": f"id-{name}",
        "name": name,
        "status": "ACTIVE",
        "task_state": "",
        "locked": False,
        "user_id": "u1",
        "fault": "",
        "metadata": {
            "bookface_platform": "p",
            "bookface_groups": group,
            "bookface_image": "debian-12",
            "bookface_user_data": digest(text),
            "bookface_disk": "none",
            **marks([KEY]),
        },
        "image_id": "i12",
        "zone": "nova",
        "flavor": "small",
        "networks": ["p"],
        "addresses": ["192.0.2.5"],
    }


def port(device: str, *groups: str, **more: Any) -> Data:
    """On our network."""
    return {
        "id": f"port-{device}",
        "name": "",
        "device_id": device,
        "device_owner": "compute:nova",
        "network_id": "net",
        "network": "p",
        "port_security": True,
        "security_group_ids": [f"id-{group}" for group in groups],
        "subnets": ["sub"],
    } | more


def made() -> Data:
    """The cloud after the description was carried out."""
    by_name = {"remote_group_id": "id-p-loadbalancers", "remote_group": None}
    rules = copy.deepcopy(RULES)
    rules["p-swarm_managers"][0] |= by_name  # as a cloud tells it
    return copy.deepcopy(EMPTY) | {
        "networks": [
            PUBLIC, thing("p", id="net", external=False, port_security=True, subnets=["sub"])
        ],
        "subnets": [thing("p", id="sub", cidr="192.0.2.0/24", dns_nameservers=[])],
        "routers": [thing("p", id="rtr", subnets=["sub"], gateway="n0")],
        "security_groups": [thing(name, rules=own) for name, own in rules.items()],
        "server_groups": [{"id": "sg", "name": "bookface_platform-p-swarm",
                           "policy": "soft-anti-affinity"}],
        "keypairs": [{"name": "bookface_platform-p", "public_key": KEY}],
        "servers": [server("lb1", "loadbalancers"),
                    server("swarm1", "swarm_managers", "#cloud-config\n")],
        "floating_ips": [thing("203.0.113.9", id="fip", port_id="port-id-lb1",
                               description=f"{MARK} machine=lb1", address="203.0.113.9")],
        "ports": [port("id-lb1", "p", "p-loadbalancers"),
                  port("id-swarm1", "p", "p-swarm_managers"),
                  port("rtr", device_owner="network:router_interface")],
    }  # fmt: skip


def machines(described: list[Data] = DESCRIBED) -> list[Data]:
    return list(
        FILTERS["openstack_machines"](
            described, "p", image="debian-12", flavor="small", suite="bookworm"
        )
    )


def plan(cloud: Data, described: list[Data] = DESCRIBED, **settings: Any) -> Data:
    return dict(FILTERS["openstack_plan"](machines(described), "p", SETTINGS | settings, cloud))


def told(cloud: Data, *more: Any, **settings: Any) -> list[str]:
    """The steps of a plan without faults, in words."""
    whole = plan(cloud, *more, **settings)
    assert whole["faults"] == []
    return [line for line in whole["lines"] if not line.startswith("leave")]


def faults(cloud: Data, *more: Any, **settings: Any) -> str:
    found = plan(cloud, *more, **settings)["faults"]
    assert len(found) == 1, found
    return str(found[0])
