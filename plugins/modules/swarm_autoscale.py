#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_autoscale
short_description: Scale a service of a Docker swarm by its load
version_added: 0.1.0
description:
  - One look at a service. Compares what its load balancers have counted with the look before, and
    changes the number of its tasks if the load requires another one.
  - The rule is that of Kubernetes' HorizontalPodAutoscaler. Requests per second and response time
    propose a number of tasks in proportion to their targets, queued requests propose one more. The
    largest number wins. A measurement within 10 % of its target changes nothing.
  - More tasks are started at once, fewer only if fewer have been enough for O(down_after) seconds.
  - While an update of the service is under way, and for a minute after it, nothing is changed.
    Neither is a service that somebody has scaled to 0.
  - A change of the number of tasks is what C(docker service rollback) takes back then.
  - A service that publishes a port with mode C(host) gets no more tasks than nodes accept.
  - Runs on a manager of the swarm.
options:
  service:
    description:
      - Name of the service. One without a label of the role swarm is an error.
    type: str
    required: true
  counts:
    description:
      - What each load balancer has counted for the service, as
        P(bookface.platform.swarm_counts#filter) returns it.
    type: dict
    required: true
  partial:
    description:
      - Whether a load balancer did not answer. Its requests are unknown, so no task is stopped.
    type: bool
    default: false
  minimum:
    description:
      - Least number of tasks.
    type: int
    required: true
  maximum:
    description:
      - Most tasks.
    type: int
    required: true
  requests:
    description:
      - How many requests per second one task is to answer.
    type: float
    required: true
  response_ms:
    description:
      - Mean response time to keep, in milliseconds. V(0) does not consider it.
    type: float
    default: 0
  up_after:
    description:
      - Seconds that must have passed since the last change before tasks are added.
    type: float
    default: 15
  down_after:
    description:
      - Seconds for which fewer tasks must have been enough before tasks are stopped.
    type: float
    default: 300
  history:
    description:
      - File with the last 720 looks, on the manager. It is created with its directory.
    type: path
    default: /var/lib/bookface/autoscale.json
attributes:
  check_mode:
    support: full
    description:
      - Decides, changes nothing, and does not record the look.
  diff_mode:
    support: full
    description:
      - Shows the number of tasks.
  idempotent:
    support: partial
    description:
      - Depends on the load.
  platform:
    support: full
    platforms: linux
    description:
      - Linux.
requirements:
  - Docker SDK for Python (C(python3-docker))
seealso:
  - module: bookface.platform.haproxy_info
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Scale the service between two and six tasks, each for 20 requests per second
  bookface.platform.swarm_autoscale:
    service: bookface
    counts: "{{ balancers.results | bookface.platform.swarm_counts(found) }}"
    requests: 20
    minimum: 2
    maximum: 6
"""

RETURN = r"""
before:
  description: How many tasks there were to be.
  returned: success
  type: int
  sample: 2
replicas:
  description: How many there are to be now.
  returned: success
  type: int
  sample: 4
proposed:
  description: How many this look alone would choose, between the bounds.
  returned: success
  type: int
  sample: 4
rate:
  description: Requests per second since the look before. Null at the first one.
  returned: success
  type: float
  sample: 78.4
why:
  description: What decided.
  returned: success
  type: str
  sample: 78.4 requests/s, 20 per task
"""

import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils import text_file
from ansible_collections.bookface.platform.plugins.module_utils.docker.swarm_api import swarm_api
from ansible_collections.bookface.platform.plugins.module_utils.web import autoscale
from ansible_collections.bookface.platform.plugins.module_utils.web.labels import ROLE, WEB, is_web
from ansible_collections.bookface.platform.plugins.module_utils.web.service import (
    arguments,
    changing,
    room,
    waiting,
)

with suppress(ImportError):  # swarm_api says what is missing
    from docker.errors import NotFound


def refusal(given: autoscale.Settings, counts: dict[str, Any]) -> str:
    """What an argument spec cannot express. Empty if all is well."""
    if given.minimum < 1:
        return f"minimum is {given.minimum}; expected a number of tasks from 1."
    if given.maximum < given.minimum:
        return f"maximum is {given.maximum}; expected at least minimum, {given.minimum}."
    if given.requests <= 0:
        return f"requests is {given.requests:g}; expected requests per second above 0."
    if not counts:
        return (
            "No load balancer has a backend with servers of the service, so its load is unknown."
            " Check that HAProxy runs and that its backend has the nodes of the swarm."
        )
    return ""


def read_history(module: AnsibleModule, path: Path) -> list[autoscale.Look]:
    """The previous looks. Without a readable history a new one is started."""
    try:
        return autoscale.load(text_file.read(path))
    except ValueError as error:
        module.warn(f"{path} could not be read, so a new history is started: {error}")
        return []


def run(module: AnsibleModule, api: Any, given: autoscale.Settings) -> dict[str, Any]:
    """Look, decide, change and record."""
    name = module.params["service"]
    try:
        service = api.inspect_service(name)
    except NotFound:
        module.fail_json(
            msg=f"The swarm has no service {name}. Run the role swarm first: it creates it."
        )
    spec = service["Spec"]
    if not is_web(spec.get("Labels") or {}) or "Replicated" not in spec["Mode"]:
        module.fail_json(
            msg=f"The service {name} is not scaled: it lacks the label {ROLE}={WEB}, or is not"
            " replicated."
        )
    replicas = spec["Mode"]["Replicated"]["Replicas"]
    why = ""
    if replicas == 0:
        why = "somebody has scaled the service to 0"
    elif changing(service, time.time()):
        why = "an update of the service is under way, or has just ended"
    if why:
        unchanged = dict.fromkeys(("before", "replicas", "proposed"), replicas)
        return {"changed": False, **unchanged, "rate": None, "why": why}
    tasks = api.tasks(filters={"service": service["ID"], "desired-state": ["running"]})
    fitting = replicas - waiting(tasks) if waiting(tasks) else room(spec, api.nodes())
    most = max(given.minimum, min(given.maximum, fitting))
    path = Path(module.params["history"])
    history = read_history(module, path)
    look = autoscale.decide(
        time.time(),
        {key: autoscale.Count(**one) for key, one in module.params["counts"].items()},
        replicas,
        history,
        replace(given, maximum=most),
        module.params["partial"],
    )
    if not module.check_mode:
        if look.changed:
            scaled = {**spec, "Mode": {"Replicated": {"Replicas": look.chosen}}}
            # Docker refuses it if somebody has changed the service since.
            api.update_service(service["ID"], service["Version"]["Index"], **arguments(scaled))
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        text_file.put(module, path, autoscale.dump([*history, look]))
    return {
        "changed": look.changed,
        "before": replicas,
        "replicas": look.chosen,
        "proposed": look.proposed,
        "rate": look.rate,
        "why": look.why,
        "diff": {"before": f"{replicas} tasks\n", "after": f"{look.chosen} tasks\n"},
    }


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "counts": {"type": "dict", "required": True},
            "partial": {"type": "bool", "default": False},
            "minimum": {"type": "int", "required": True},
            "maximum": {"type": "int", "required": True},
            "requests": {"type": "float", "required": True},
            "response_ms": {"type": "float", "default": 0},
            "up_after": {"type": "float", "default": 15},
            "down_after": {"type": "float", "default": 300},
            "history": {"type": "path", "default": "/var/lib/bookface/autoscale.json"},
        },
        supports_check_mode=True,
    )
    wanted = ("minimum", "maximum", "requests", "response_ms", "up_after", "down_after")
    given = autoscale.Settings(**{name: module.params[name] for name in wanted})
    refused = refusal(given, module.params["counts"])
    if refused:
        module.fail_json(msg=refused)
    with swarm_api(module, module.params["service"]) as api:
        module.exit_json(**run(module, api, given))


if __name__ == "__main__":
    main()
