#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: health_look
short_description: Look at what runs on a machine of the platform
version_added: 0.1.0
description:
  - Reads in one go the state of services, timers, containers, the node of a swarm, HAProxy's
    servers and ports. On request waits until parts are up.
  - Changes nothing. The socket of an engine that is stopped is not asked, since systemd would
    start the engine.
options:
  want:
    description:
      - What should be there, an entry of what P(bookface.platform.health_expected#filter) returns.
    type: dict
    required: true
  until:
    description:
      - IDs of parts, such as V(lb1/service/haproxy), to wait for. With any of them, parts that are
        on their way are waited for as well.
    type: list
    elements: str
    default: []
  wait:
    description:
      - Maximum seconds to wait for them. What is not up then is in the result like the rest.
    type: int
    default: 60
extends_documentation_fragment:
  - bookface.platform.reads_only
attributes:
  platform:
    support: full
    platforms: linux
    description:
      - Linux with systemd. Needs nothing but Python.
seealso:
  - plugin: bookface.platform.health_report
    plugin_type: filter
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Look at the machine
  bookface.platform.health_look:
    want: "{{ (groups | bookface.platform.health_expected(hostvars))[inventory_hostname] }}"
  register: look
"""

RETURN = r"""
seen:
  description:
    - What is there. C(units) of systemd, C(timers), C(clusters) of PostgreSQL; C(ports) and why
      they do not answer; C(note) of an update of the engine; C(engine) with C(containers) and
      C(swarm); C(haproxy) with C(active), C(frontends) and C(backends).
  returned: success
  type: dict
want:
  description: O(want).
  returned: success
  type: dict
waited:
  description: Seconds that were waited.
  returned: success
  type: float
"""

import time
from collections.abc import Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.health.judge import UP, judge
from ansible_collections.bookface.platform.plugins.module_utils.health.look import (
    look,
    this_machine,
)


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={
            "want": {"type": "dict", "required": True},
            "until": {"type": "list", "elements": "str", "default": []},
            "wait": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )

    def run(command: Sequence[str]) -> tuple[int, str, str]:
        done: tuple[int, str, str] = module.run_command(list(command))
        return done

    want, until = module.params["want"], {*module.params["until"]}
    started = time.monotonic()
    while True:
        seen = look(this_machine(run, want["socket"]), want)
        # And for what only shows now, such as the node of an engine that was stopped, if it is
        # expected to come. HAProxy's view has its own time.
        late = [
            part
            for part in judge(want, seen)
            if part.state != UP and (part.id in until or (part.moving and part.kind != "backend"))
        ]
        waited = time.monotonic() - started
        if not until or not late or waited >= module.params["wait"]:
            break
        time.sleep(1)
    module.exit_json(changed=False, seen=seen, want=want, waited=round(waited, 1))


if __name__ == "__main__":
    main()
