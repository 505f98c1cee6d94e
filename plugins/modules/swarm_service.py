#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_service
short_description: Create or update a service of a Docker swarm from its specification
version_added: 0.1.0
description:
  - Takes the specification in the words of Docker's API, as C(docker service inspect) shows it, so
    that every setting of Docker can be given; M(community.docker.docker_swarm_service) has no limit
    of processes, for one.
  - A service that exists is updated as one step, which C(docker service rollback) takes back. It is
    never recreated.
  - An update that Docker has paused is continued, even if the specification is the same.
  - Runs on a manager of the swarm.
options:
  spec:
    description:
      - The service as an object C(ServiceSpec) of Docker's API. Networks may be given by name.
      - What is not in it is not compared.
    type: dict
    required: true
attributes:
  check_mode:
    support: full
    description:
      - Compares only.
  diff_mode:
    support: full
    description:
      - Shows the settings that differ.
  idempotent:
    support: full
    description:
      - Compares the specification with what Docker has.
  platform:
    support: full
    platforms: linux
    description:
      - Linux.
requirements:
  - Docker SDK for Python (C(python3-docker))
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Run a service with a limit of processes
  bookface.platform.swarm_service:
    spec:
      Name: web
      TaskTemplate:
        ContainerSpec: {Image: "nginx:1.27"}
        Resources: {Limits: {Pids: 100}}
        Networks: [{Target: web}]
      Mode: {Replicated: {Replicas: 2}}
"""

RETURN = r"""
changes:
  description: >-
    Names of the settings that differed, and V(paused update) if Docker had paused the last update.
    Empty for a service that is new.
  returned: success
  type: list
  elements: str
  sample: [image, secrets]
replaces:
  description: Whether new tasks start, because the service is new or the specification of its
    tasks has changed.
  returned: success
  type: bool
"""

from contextlib import suppress
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.docker.swarm_api import swarm_api
from ansible_collections.bookface.platform.plugins.module_utils.web.service import (
    arguments,
    differences,
    following,
    paused,
    with_ids,
)

with suppress(ImportError):  # swarm_api says what is missing
    from docker.errors import APIError, NotFound

# How often an update is tried that meets one by somebody else.
TRIES = 3


def run(api: Any, given: dict[str, Any], check: bool, tries: int = TRIES) -> dict[str, Any]:
    """The service as described. Docker refuses an update of a version that is not the last."""
    name = given["Name"]
    networks = {one["Name"]: one["Id"] for one in api.networks(filters={"scope": "swarm"})}
    spec = with_ids(given, networks)
    try:
        service = api.inspect_service(name)
    except NotFound:
        if not check:
            api.create_service(**arguments(spec))
        diff = {"before": {}, "after": {"name": name}}
        return {"changed": True, "changes": [], "replaces": True, "diff": diff}
    found = differences(spec, service["Spec"])
    stuck = paused(service)
    if (found or stuck) and not check:
        seen = service["Version"]["Index"]
        try:
            api.update_service(service["ID"], seen, **arguments(following(spec, service["Spec"])))
        except APIError:
            if tries == 1 or api.inspect_service(name)["Version"]["Index"] == seen:
                raise
            return run(api, given, check, tries - 1)
    return {
        "changed": bool(found) or stuck,
        "changes": sorted({one.name for one in found} | ({"paused update"} if stuck else set())),
        "replaces": stuck
        or bool(differences({"TaskTemplate": spec["TaskTemplate"]}, service["Spec"])),
        "diff": {
            "before": {one.name: one.found for one in found},
            "after": {one.name: one.wanted for one in found},
        },
    }


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={"spec": {"type": "dict", "required": True}},
        supports_check_mode=True,
    )
    spec = module.params["spec"]
    with swarm_api(module, spec.get("Name", "")) as api:
        module.exit_json(**run(api, spec, module.check_mode))


if __name__ == "__main__":
    main()
