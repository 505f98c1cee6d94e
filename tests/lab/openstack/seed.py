"""seed.py identity|cloud: what an operator has made before a first tenant comes.

The ports of the services stand in the environment, as LAB_PORTS in JSON.
"""

import json
import os
import sys

import openstack

PORTS = json.loads(os.environ["LAB_PORTS"])
PASSWORD = os.environ["LAB_PASSWORD"]
PATHS = {"compute": "/v2.1"}  # behind the address in the catalogue


def identity(cloud: openstack.connection.Connection) -> None:
    """The services' own account, the catalogue, and a tenant."""
    who = cloud.identity
    roles = {role.name: role for role in who.roles()}
    for name, project, held in (
        ("service", "service", ("admin", "service")),
        ("demo", "demo", ("member",)),
    ):
        home = who.create_project(name=project, domain_id="default")
        user = who.create_user(name=name, password=PASSWORD, domain_id="default")
        for role in held:
            who.assign_project_role_to_user(home, user, roles[role])
    for name, kind in (
        ("glance", "image"),
        ("placement", "placement"),
        ("neutron", "network"),
        ("nova", "compute"),
    ):
        service = who.create_service(name=name, type=kind)
        for interface in ("public", "internal", "admin"):
            who.create_endpoint(
                service_id=service.id,
                interface=interface,
                region_id="RegionOne",
                url=f"http://127.0.0.1:{PORTS[name]}{PATHS.get(kind, '')}",
            )


def cloud(cloud: openstack.connection.Connection) -> None:
    """An image that nobody boots, two flavors, and a network with few public addresses."""
    for name in ("debian-12", "debian-13"):
        cloud.image.create_image(
            name=name, data=b"\0" * 1024, disk_format="raw", container_format="bare",
            visibility="public", validate_checksum=False,
        )  # fmt: skip
    cloud.compute.create_flavor(name="m1.small", ram=2048, vcpus=1, disk=20)
    cloud.compute.create_flavor(name="m1.medium", ram=4096, vcpus=2, disk=40)
    public = cloud.network.create_network(
        name="public",
        is_router_external=True,
        provider_network_type="flat",
        provider_physical_network="outside",
    )
    cloud.network.create_subnet(
        network_id=public.id,
        ip_version=4,
        cidr="203.0.113.0/24",
        is_dhcp_enabled=False,
        allocation_pools=[{"start": "203.0.113.10", "end": "203.0.113.15"}],
    )


if __name__ == "__main__":
    {"identity": identity, "cloud": cloud}[sys.argv[1]](openstack.connect(cloud="lab-admin"))
