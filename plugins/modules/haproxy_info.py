#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_info
short_description: Gather facts about the traffic of a running HAProxy
version_added: 0.1.0
description:
  - Returns for each frontend which backend the configuration names, which one the traffic follows
    and which share of the clients goes elsewhere, and for each backend its servers with their
    health and counters.
  - Changes nothing.
options:
  map:
    description:
      - By default each frontend's own rule is read; with a value, only rules with this map.
  wait:
    description:
      - Maximum seconds to wait for an answer from HAProxy.
    type: float
    default: 5
extends_documentation_fragment:
  - bookface.platform.haproxy
  - bookface.platform.haproxy.socket
  - bookface.platform.haproxy.map
  - bookface.platform.reads_only
  - bookface.platform.haproxy.platform
seealso:
  - module: bookface.platform.haproxy_default_backend
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Gather facts about the load balancer
  bookface.platform.haproxy_info:
  register: haproxy

- name: Show where the traffic goes
  ansible.builtin.debug:
    msg: "{{ haproxy.frontends.bookface.live_backend }}"

- name: Count the requests that the containers have answered
  ansible.builtin.debug:
    msg: "{{ haproxy.backends.docker.servers | map(attribute='sessions_total') | sum }}"
"""

RETURN = r"""
reason:
  description:
    - Why the module failed.
    - V(unreachable) means that no process answers on the socket, V(denied) that permissions forbid
      its use, V(no_answer) that the answer was missing or incomplete, V(refused) that HAProxy
      refused the command, and V(not_confirmed) that its state could not be read within O(wait).
    - V(file) means that a file of the configuration cannot be read.
  returned: failure
  type: str
  sample: unreachable
version:
  description: Version of the running HAProxy.
  returned: success
  type: str
  sample: 2.6.12-1+deb12u4
pid:
  description: Process id of the worker that answered.
  returned: success
  type: int
  sample: 4711
started:
  description: When that worker started, as Unix time. With RV(pid) it identifies the worker.
  returned: success
  type: int
  sample: 1790000000
uptime_seconds:
  description: Age of that worker. Counters begin with the worker.
  returned: success
  type: int
  sample: 3600
file_newer_than_worker:
  description:
    - Whether a file of the configuration was changed after the worker had started. After a switch
      without a reload this is expected.
  returned: success
  type: bool
  sample: true
frontends:
  description: The frontends and listen sections of the file, by name.
  returned: success
  type: dict
  contains:
    default_backend:
      description: What the file says. Null if it names none.
      type: str
    live_backend:
      description:
        - The backend that gets the traffic, by the live map entry if there is one, else by the
          file. Null if there is no entry and the worker may have read another file.
      type: str
    live_source:
      description:
        - The source of RV(frontends.live_backend). One of C(map), C(file), C(unknown).
      type: str
    shift:
      description:
        - The shift that is under way; RV(frontends.live_backend) has the other clients. Null
          without one.
      type: dict
      contains:
        backend:
          description: The backend that gets a share of the clients.
          type: str
        percent:
          description: The share.
          type: int
    rollback_to:
      description: The backend that a rollback would go to. Null without a record of a switch.
      type: str
    map:
      description: The map of the frontend's rule. Null without a rule.
      type: str
    origin:
      description:
        - If a page has the traffic, such as one for maintenance, the backend from before, by the
          running HAProxy. Some clients may still reach it.
        - Null otherwise. If it is not, it was left by an interrupted switch, and those clients go
          there; the next switch or C(site.yml) removes it.
      type: str
    bind:
      description: The addresses as written in the file.
      type: list
      elements: str
    running:
      description: Whether the running HAProxy has this frontend.
      type: bool
    paused:
      description:
        - Whether the running HAProxy has paused it, so that it refuses its clients. C(disable
          frontend) does that, and a reload that failed may.
      type: bool
    problem:
      description: Why the default_backend could not be determined from the file, else null.
      type: str
  sample:
    bookface:
      default_backend: docker
      live_backend: docker
      live_source: map
      shift: null
      rollback_to: legacy
      map: /etc/haproxy/maps/default_backend.map
      origin: null
      bind: ["*:80"]
      running: true
      paused: false
      problem: null
backends:
  description: The backends of the running HAProxy, by name.
  returned: success
  type: dict
  contains:
    status:
      description: C(UP) or C(DOWN).
      type: str
    queued:
      description: Requests that wait for any of its servers.
      type: int
    servers:
      description: Its servers.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the server.
          type: str
        address:
          description: Address and port.
          type: str
        status:
          description: HAProxy's status, such as C(UP), C(DOWN), C(MAINT), C(no check).
          type: str
        check_status:
          description: Result of the last check, such as C(L7OK); C(INI) before the first has ended.
          type: str
        passed:
          description: Whether it is up and has passed a check (or has none).
          type: bool
        backup:
          description: Whether it is a backup server, which gets traffic once all others are down.
          type: bool
        weight:
          description: Its weight.
          type: int
        sessions_current:
          description: Sessions at this moment.
          type: int
        sessions_total:
          description: Sessions since the worker started; in HTTP mode every request is one.
          type: int
        responses:
          description: HTTP responses since the worker started.
          type: int
        errors:
          description: Responses with status 5xx, and those that were incomplete or missing.
          type: int
        queued:
          description: Requests that wait for this server.
          type: int
        response_ms:
          description: Mean response time of the last 1,024 requests, in milliseconds.
          type: int
  sample:
    docker:
      status: UP
      queued: 0
      servers:
        - name: docker1
          address: 10.0.0.5:32001
          status: UP
          check_status: L7OK
          passed: true
          backup: false
          weight: 1
          sessions_current: 0
          sessions_total: 17
          responses: 17
          errors: 0
          queued: 0
          response_ms: 12
"""

import time
from contextlib import suppress
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.arguments import (
    HAPROXY_ARGUMENTS,
    MAP_ARGUMENTS,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.file import (
    ConfigFile,
    FileError,
    loaded_files,
    read_file,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.live import (
    Deadline,
    observe,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.process import (
    alone_text,
    mounted_alone,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.record import (
    RecordError,
    parse_record,
    previous,
    record_path,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.rules import (
    binds,
    default_backend,
    map_rules,
    origin_rule,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import (
    HaproxySocket,
    Stat,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.shift import (
    mirror,
    own,
    under_way,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.switch import (
    is_stale,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    Config,
    HaproxyConfigError,
    decode,
    find_frontend,
    frontend_names,
    parse_files,
    printable,
)


def rollback_to(file: ConfigFile, name: str) -> str | None:
    """Where a rollback of a frontend in this file would go."""
    path = record_path(file.path)
    with suppress(FileError, RecordError):
        return previous(path, parse_record(path, decode(read_file(path).data)), name)
    return None


def frontend(
    config: Config,
    files: tuple[ConfigFile, ...],
    name: str,
    chosen: str | None,
    stats: HaproxySocket,
    stat: Stat,
    stale: bool,
) -> dict[str, Any]:
    """One frontend: what the file says, and which backend gets the traffic."""
    result: dict[str, Any] = {
        "default_backend": None,
        "live_backend": None,
        "live_source": "unknown",
        "shift": None,
        "rollback_to": None,
        "map": None,
        "origin": None,
        "bind": [],
        "running": name in stat.frontends,
        "paused": name in stat.paused,
        "problem": None,
    }
    served_by_itself = None
    try:
        section = find_frontend(config, name)
        result["rollback_to"] = rollback_to(files[config.file_of(section.start)], name)
        result["bind"] = [printable(address) for address in binds(config, section)]
        rules = [rule for rule in map_rules(config, section) if chosen in (None, rule.path)]
        result["map"] = rules[0].path if rules else None
        origin = origin_rule(config, section)
        if origin:
            found = dict(stats.map_entries(origin.path, 5) or ())
            result["origin"] = found.get(name)
        result["default_backend"] = default_backend(config, section).name
        # A listen section without default_backend serves from its own servers.
        served_by_itself = name if section.kind == "listen" else None
    except HaproxyConfigError as error:
        result["problem"] = error.message("")
    entries = own(stats.map_entries(result["map"], 5) or () if result["map"] else (), name)
    values = mirror(entries, name)
    if len(values) == 1 and values[0] in stat.backend_names:
        result["live_backend"] = values[0]
        result["live_source"] = "map"
    elif not stale and not values and result["running"] and result["problem"] is None:
        result["live_backend"] = result["default_backend"] or served_by_itself
        result["live_source"] = "file"
    shift = under_way(entries, name, result["live_backend"])
    result["shift"] = shift.as_dict() if shift else None
    return result


def warn_of_mount(module: AnsibleModule) -> None:
    """Where a container has a file for itself, what is read here may not be what HAProxy reads."""
    files = loaded_files(module.params["config"])
    alone = mounted_alone(module.params["socket"], files)
    if alone:
        module.warn(
            f"{alone_text(alone)}. What is said of the file may not be true of HAProxy. Mount the "
            "directory into the container instead of the file."
        )


def collect(params: dict[str, Any], now: float) -> dict[str, Any]:
    files = tuple(read_file(path) for path in loaded_files(params["config"]))
    config = parse_files((file.path, file.data) for file in files)
    stats = HaproxySocket(params["socket"])
    seen = observe(stats, None, None, "", Deadline(params["wait"]))
    stale = is_stale(max(file.changed_at for file in files), seen.info, now)
    return {
        "version": seen.info.version,
        "pid": seen.info.pid,
        "started": seen.info.started,
        "uptime_seconds": seen.info.uptime,
        "file_newer_than_worker": stale,
        "frontends": {
            printable(name): frontend(config, files, name, params["map"], stats, seen.stat, stale)
            for name in frontend_names(config)
        },
        "backends": {
            name: {
                "status": status,
                "queued": seen.stat.queued.get(name, 0),
                "servers": [
                    {
                        "name": server.name,
                        "address": server.address,
                        "status": server.status,
                        "check_status": server.check_status,
                        "passed": server.passed,
                        "backup": server.backup,
                        "weight": server.weight,
                        "sessions_current": server.sessions_current,
                        "sessions_total": server.sessions_total,
                        "responses": server.responses,
                        "errors": server.errors,
                        "queued": server.queued,
                        "response_ms": server.response_ms,
                    }
                    for server in seen.stat.servers_of(name)
                ],
            }
            for name, status in seen.stat.backends
        },
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **HAPROXY_ARGUMENTS,
            **MAP_ARGUMENTS,
            "wait": {"type": "float", "default": 5.0},
        },
        supports_check_mode=True,
    )
    try:
        result = collect(module.params, time.time())
        warn_of_mount(module)
    except HaproxyError as error:
        module.fail_json(msg=printable(error.message("")), reason=error.reason)
    else:
        module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
