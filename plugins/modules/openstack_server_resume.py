#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: openstack_server_resume
short_description: Get a server back to ACTIVE
version_added: 0.1.0
description:
  - Starts a server that is C(SHUTOFF), and resumes one that is C(PAUSED), C(SUSPENDED) or
    C(RESCUE), by what Nova offers for that state, and waits until it is C(ACTIVE).
  - Does nothing else. A server that is locked, in another state, or that the cloud is at work
    on, is left as it is, and the module fails.
options:
  server:
    description:
      - ID of the server.
    type: str
    required: true
  platform:
    description:
      - The server must have this value in its metadata C(bookface_platform).
    type: str
    required: true
  wait:
    description:
      - Maximum seconds until it is C(ACTIVE).
    type: int
    default: 120
extends_documentation_fragment:
  - bookface.platform.openstack_cloud
attributes:
  check_mode:
    support: full
    description:
      - Says whether it would do something.
  diff_mode:
    support: none
    description:
      - Has no diff.
  idempotent:
    support: full
    description:
      - A server that is C(ACTIVE) is left as it is.
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Start the server
  bookface.platform.openstack_server_resume:
    cloud: openstack
    server: "{{ openstack.id }}"
    platform: bookface
"""

RETURN = r"""
before:
  description: Its state before.
  returned: always
  type: str
  sample: SHUTOFF
status:
  description: Its state now.
  returned: always
  type: str
  sample: ACTIVE
"""

import time

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.bookface.platform.plugins.module_utils.health.plan import RESUMES
from ansible_collections.bookface.platform.plugins.module_utils.openstack.connection import (
    CLOUD_ARGUMENTS,
    HAS_SDK,
    REFUSALS,
    connect,
    explained,
)
from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import MARK


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={
            **CLOUD_ARGUMENTS,
            "server": {"type": "str", "required": True},
            "platform": {"type": "str", "required": True},
            "wait": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    if not HAS_SDK:
        module.fail_json(msg=missing_required_lib("openstacksdk"))
    given = module.params
    before: dict[str, str] = {}
    called = False
    try:
        cloud = connect(given["cloud"], given["region"])
        server = cloud.compute.get_server(given["server"])
        before = {"before": server.status, "status": server.status}
        if server.status == "ACTIVE":
            module.exit_json(changed=False, **before)
        left = ""
        if (server.metadata or {}).get(MARK) != given["platform"]:
            left = f"it is no server of the platform {given['platform']}"
        elif server.task_state:
            left = f"the cloud is at work on it ({server.task_state})"
        elif server.is_locked:
            left = "it is locked"
        elif server.status not in RESUMES:
            left = "nothing safe mends that"
        if left:
            module.fail_json(msg=f"{server.name} is {server.status}, but {left}.", **before)
        if module.check_mode:
            module.exit_json(changed=True, **before)
        getattr(cloud.compute, RESUMES[server.status][1])(server)
        called = True
        end = time.monotonic() + given["wait"]
        while server.status != "ACTIVE" and time.monotonic() < end:
            time.sleep(2)
            server = cloud.compute.get_server(given["server"])
            if server.status == "ERROR":
                break
    except REFUSALS as error:
        module.fail_json(msg=explained(given["cloud"], error), changed=called, **before)
    result = {"before": before["before"], "status": server.status}
    if server.status != "ACTIVE":
        msg = f"{server.name} was {before['before']}, and after {given['wait']} s is"
        module.fail_json(msg=f"{msg} {server.status}.", changed=True, **result)
    module.exit_json(changed=True, **result)


if __name__ == "__main__":
    main()
