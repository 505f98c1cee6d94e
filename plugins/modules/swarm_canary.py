#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_canary
short_description: Start one task of a swarm service as a canary
version_added: 0.1.0
description:
  - Starts one task from the specification of a service, with its image, environment, secrets and
    networks, as a separate service that publishes no port. Waits until the task runs, which
    includes the image's health check.
  - The canary runs until this module removes it.
  - Runs on a manager of the swarm.
options:
  name:
    description:
      - Name of the canary, a service with one task.
    type: str
    required: true
  state:
    description:
      - V(present) starts it. A service of that name must not exist.
      - V(absent) removes it. A service without the label of the role swarm is an error.
    type: str
    choices: [present, absent]
    default: present
  spec:
    description:
      - Specification of the service to test, an object C(ServiceSpec) of Docker's API.
      - Required if O(state=present).
    type: dict
  nodes:
    description:
      - IDs of the nodes on which the task may run. The first one that is ready and active is used.
        If there is none, the module warns and starts nothing.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - Maximum time to wait until the task runs, in seconds.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    description:
      - Starts and removes nothing.
  diff_mode:
    support: none
    description:
      - There is nothing to compare.
  idempotent:
    support: partial
    description:
      - Only O(state=absent).
  platform:
    support: full
    platforms: linux
    description:
      - Linux.
requirements:
  - Docker SDK for Python (C(python3-docker))
seealso:
  - module: bookface.platform.swarm_service
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Start a canary
  bookface.platform.swarm_canary:
    name: web-canary
    spec: "{{ service }}"
    nodes: ["{{ node.id }}"]
  register: canary

- name: Request its pages, on the node where it runs
  bookface.platform.web_ready:
    servers: {canary: "http://127.0.0.1:8080"}
    network_namespace: /proc/{{ canary.pid }}/ns/net

- name: Remove it
  bookface.platform.swarm_canary:
    name: web-canary
    state: absent
"""

RETURN = r"""
node:
  description: ID of the node on which it was started. Empty if no node accepts tasks.
  returned: if O(state=present)
  type: str
container:
  description: ID of its container. Empty if there is none.
  returned: if O(state=present)
  type: str
pid:
  description: Process ID of its container on that node. V(0) if it does not run.
  returned: if O(state=present)
  type: int
"""

import time
from contextlib import suppress
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.docker.swarm_api import swarm_api
from ansible_collections.bookface.platform.plugins.module_utils.web.labels import MADE
from ansible_collections.bookface.platform.plugins.module_utils.web.placement import (
    attributes,
    meets,
)
from ansible_collections.bookface.platform.plugins.module_utils.web.service import (
    Task,
    arguments,
    canary,
    runs_tasks,
    task,
    with_ids,
)
from ansible_collections.bookface.platform.plugins.module_utils.web.swarm import SWARM

with suppress(ImportError):  # swarm_api says what is missing
    from docker.errors import NotFound

# Seconds between two looks at the task.
PAUSE = 0.2


def start(module: AnsibleModule, api: Any) -> dict[str, Any]:
    """One task of the service, on the first node that takes it."""
    name, timeout = module.params["name"], module.params["timeout"]
    allowed = module.params["spec"]["TaskTemplate"].get("Placement", {}).get("Constraints") or ()
    nodes = {
        one["ID"]: one for one in api.nodes() if runs_tasks(one) and meets(attributes(one), allowed)
    }
    node = next((one for one in module.params["nodes"] if one in nodes), "")
    if not node:
        module.warn(
            f"{name} was not started: no node that it may run on is ready and active. The release"
            " gets traffic without having been tested."
        )
    if not node or module.check_mode:
        return {"changed": bool(node), "node": node, "container": "", "pid": 0}
    networks = {one["Name"]: one["Id"] for one in api.networks(filters={"scope": "swarm"})}
    spec = canary(with_ids(module.params["spec"], networks), name, node)
    service = api.create_service(**arguments(spec))["ID"]
    last = wait(api, service, timeout)
    result = {"changed": True, "node": node, "container": last.container, "pid": last.pid}
    if not last.running:
        state = f"is {last.state} ({last.why})" if last.why else f"is {last.state}"
        how = state if last.ended else f"{state} after {timeout} s"
        where = nodes[node]["Description"]["Hostname"]
        module.fail_json(msg=f"The task of {name} on {where} does not run: it {how}.", **result)
    return result


def wait(api: Any, service: str, seconds: float) -> Task:
    """The task once it runs or has ended, or when the time is up."""
    end = time.monotonic() + seconds
    while True:
        last = task(api.tasks(filters={"service": service}))
        if last.running or last.ended or time.monotonic() > end:
            return last
        time.sleep(PAUSE)


def remove(module: AnsibleModule, api: Any) -> dict[str, Any]:
    """The service, if it is one of ours."""
    name = module.params["name"]
    try:
        service = api.inspect_service(name)
        if (service["Spec"].get("Labels") or {}).get(MADE) != SWARM:
            module.fail_json(
                msg=f"The service {name} was not removed: it lacks the label {MADE}={SWARM}."
            )
        if not module.check_mode:
            api.remove_service(service["ID"])
    except NotFound:
        return {"changed": False}
    return {"changed": True}


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "spec": {"type": "dict"},
            "nodes": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 60},
        },
        required_if=[("state", "present", ["spec"])],
        supports_check_mode=True,
    )
    act = start if module.params["state"] == "present" else remove
    with swarm_api(module, module.params["name"]) as api:
        module.exit_json(**act(module, api))


if __name__ == "__main__":
    main()
