#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_info
short_description: What a host knows of its Docker swarm, in one look
version_added: 0.1.0
description:
  - State of the node, its kernel's IPVS and ESP, its interface, routes and name servers, and the
    network of the service. On a manager also the swarm, its other nodes, the service and its
    secrets.
  - Changes nothing.
options:
  address:
    description:
      - Address of this node for the others. Returned as RV(host).
    type: str
    required: true
  network:
    description:
      - Name of the overlay network.
    type: str
    required: true
  service:
    description:
      - Name of the service, with which its secrets begin.
    type: str
    required: true
extends_documentation_fragment:
  - bookface.platform.reads_only
attributes:
  platform:
    support: full
    platforms: linux
    description:
      - Linux with Docker's command-line client.
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Look at the node
  bookface.platform.swarm_info:
    address: 192.0.2.41
    network: bookface-swarm
    service: bookface
  register: node
"""

RETURN = r"""
state:
  description: >-
    State of the node, such as V(active), V(inactive) or V(pending). V(none) if no engine answers.
  returned: always
  type: str
msg:
  description: Why no engine answers.
  returned: if RV(state) is V(none)
  type: str
id:
  description: ID of the node, empty outside of a swarm.
  returned: always
  type: str
manager:
  description: Whether the node manages the swarm.
  returned: always
  type: bool
host:
  description: O(address) as URLs have it, an address of IPv6 in brackets.
  returned: always
  type: str
networks:
  description: >-
    Networks with that name, each with C(id), C(driver), C(ours) (whether it has the label of the
    role), C(ingress), C(kinds) such as V(attachable), C(containers) that were connected by hand,
    and C(mtu), C(encrypted) and C(subnets) as of RV(ingress).
  returned: always
  type: list
  elements: dict
routes:
  description: Networks of IPv4 in which the node has an address, or to which it has a route.
  returned: always
  type: list
  elements: str
ipvs:
  description: Whether the kernel has IPVS, which the routing mesh requires.
  returned: always
  type: bool
managers:
  description: On a manager, for the ID of each node whether it is a manager.
  returned: always
  type: dict
ready:
  description: On a manager, for the ID of each node whether it is ready.
  returned: always
  type: dict
members:
  description: >-
    On a manager, for the ID of each node its C(name), C(addresses), C(availability), such as
    V(active) or V(drain), C(role) that it shall have, C(state), such as V(ready) or V(down),
    C(reachable), whether the other managers reach it, and C(attributes), what constraints can name,
    such as C(node.labels.zone). Empty if the managers have no majority.
  returned: always
  type: dict
cluster:
  description: >-
    On a manager, the swarm's C(id), C(ours) (whether it has the label of the role), C(pools) of
    addresses, C(heartbeat) of its nodes in nanoseconds, and C(autolock), whether managers lock
    their keys.
  returned: always
  type: dict
service:
  description: >-
    On a manager, C(image), C(mode), C(stack), C(networks), C(constraints), C(published) (ports
    with C(target) and C(mode)) and C(ours) of the service with that name. Empty if there is none.
  returned: always
  type: dict
canary:
  description: >-
    On a manager, C(ours) (whether it has the label of the role) of the canary of the service. Empty
    unless a run has left one.
  returned: always
  type: dict
ports:
  description: On a manager, the other services' ports, each with C(port), C(mode) and C(service).
  returned: always
  type: list
  elements: dict
secrets:
  description: On a manager, names of the secrets that begin with the service's name.
  returned: always
  type: list
  elements: str
foreign_secrets:
  description: Those of RV(secrets) without the label of the role.
  returned: always
  type: list
  elements: str
mesh:
  description: On a manager, whether the swarm has an ingress network.
  returned: always
  type: bool
services:
  description: >-
    On a manager, for the name of each other service its C(image), its C(mode), its C(replicas),
    its C(constraints), and C(stack), the web service that the role has created it for.
  returned: always
  type: dict
overlays:
  description: On a manager, names of the overlay networks.
  returned: always
  type: list
  elements: str
stack_secrets:
  description: Those of RV(secrets) that belong to services that the role has created beside it.
  returned: always
  type: list
  elements: str
ingress:
  description: >-
    On a manager, of its ingress network C(name), C(mtu) as Docker's option has it, C(encrypted),
    C(subnets), and C(services) that publish through it. Empty if there is none.
  returned: always
  type: dict
mtu:
  description: MTU of the interface that has O(address). V(0) if none has, or only the loopback.
  returned: always
  type: int
gateway:
  description: >-
    C(mtu) and C(subnets) of docker_gwbridge, and C(places), subnets of IPv4 with the address that
    the node has in each. Empty if there is none.
  returned: always
  type: dict
resolvers:
  description: Name servers of IPv4, but for those on the machine itself.
  returned: always
  type: list
  elements: str
esp:
  description: Whether the kernel has ESP, which an encrypted overlay requires.
  returned: always
  type: bool
name:
  description: Hostname of the machine, which becomes C(node.hostname) once it joins.
  returned: always
  type: str
"""

import socket
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.web.swarm import (
    look,
)
from ansible_collections.bookface.platform.plugins.module_utils.web.swarm_networks import (
    read_mtu,
    read_resolvers,
    read_routes,
)

# Seconds that the managers may take to choose a leader.
ELECTION = 10


# Programs on the machine itself that ask others leave the addresses of these there.
RESOLVERS = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")


def has(module: AnsibleModule, name: str, *signs: str) -> bool:
    """Whether a module is in the kernel, or could be loaded."""
    if any(Path(sign).exists() for sign in signs):
        return True
    modprobe = module.get_bin_path("modprobe")
    command = [modprobe, "--dry-run", "--quiet", name]
    return bool(modprobe) and int(module.run_command(command)[0]) == 0


def ip(module: AnsibleModule, *words: str) -> str:
    """What it says in JSON."""
    command = [module.get_bin_path("ip", required=True), "-json", *words]
    told: str = module.run_command(command, check_rc=True)[1]
    return told


def resolvers() -> list[str]:
    """Name servers; files may be missing."""
    texts = []
    for name in RESOLVERS:
        with suppress(OSError):
            texts.append(Path(name).read_text(encoding="utf-8", errors="replace"))
    return read_resolvers(*texts)


def surroundings(module: AnsibleModule, address: str) -> dict[str, Any]:
    """What of a node is no matter of its engine."""
    esp = "esp6" if ":" in address else "esp4"
    return {
        "ipvs": has(module, "ip_vs", "/proc/net/ip_vs"),
        "esp": has(module, esp, f"/sys/module/{esp}"),
        # An address of its own is a route as well.
        "routes": read_routes(ip(module, "-4", "route", "show", "table", "all")),
        "mtu": read_mtu(ip(module, "address", "show"), address),
        "resolvers": resolvers(),
        # As Docker's engine reads it, which may not be there yet.
        "name": socket.gethostname(),
    }


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "network": {"type": "str", "required": True},
            "service": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    program = module.get_bin_path("docker")

    def docker(*words: str) -> tuple[int, str, str]:
        if not program:
            return 127, "", "docker is not installed"
        done: tuple[int, str, str] = module.run_command([program, *words])
        return done

    address = module.params["address"]
    node, problem = look(docker, module.params["network"], module.params["service"])
    # While managers choose another leader, none of them knows the swarm.
    patience = time.monotonic() + ELECTION
    while node.manager and not node.managers and time.monotonic() < patience:
        time.sleep(1)
        node, problem = look(docker, module.params["network"], module.params["service"])
    result: dict[str, Any] = {**asdict(node), **surroundings(module, address)}
    if problem:
        result["msg"] = f"Docker does not answer: {problem}"
    module.exit_json(changed=False, host=f"[{address}]" if ":" in address else address, **result)


if __name__ == "__main__":
    main()
