#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_server
short_description: Take a server out of an HAProxy backend for maintenance, and back in
version_added: 0.1.0
description:
  - Sets the administrative state of a server in the running HAProxy and waits for what it means;
    a drained server has answered its last request, a ready one has passed a check.
  - The state lives in the running process only. A reload or a restart ends it; the file decides
    again.
options:
  config:
    description:
      - The configuration file; or what HAProxy is started with (C(-f)), files and directories in
        its order.
    type: list
    elements: path
    default: [/etc/haproxy/haproxy.cfg]
  socket:
    description:
      - HAProxy's statistics socket. Wants C(level admin).
    type: path
    default: /run/haproxy/admin.sock
  server:
    description:
      - Name of the server.
    type: str
    required: true
  backend:
    description:
      - Name of its backend. By default the server is meant in every backend that has it.
    type: str
  state:
    description:
      - V(drain) gives the server no new requests and lets it finish those that it has. Its checks
        go on.
      - V(maint) also ends its checks.
      - V(ready) lets it serve again.
    type: str
    choices: [ready, drain, maint]
    required: true
  keep:
    description:
      - So many other servers of its backend must pass their checks, or the server is not taken out.
        V(0) does not ask.
      - Asked only for a backend that gets traffic, by the rules in O(config) and the live maps.
        Where these do not tell, every backend counts as one.
    type: int
    default: 1
  wait:
    description:
      - Seconds to wait at most until the server has no session any more (V(drain), V(maint)), or
        has passed a check (V(ready)). V(0) does not wait.
      - When time is up, the module fails and says how many sessions are left. The state stays.
    type: float
    default: 60
  missing:
    description:
      - What it means that nobody has such a server, since HAProxy does not run or its configuration
        does not name it. V(fail) takes it for a mistake. For V(ignore) there is nothing to do, and
        RV(servers) is empty.
      - HAProxy does not run where its socket is not there or nobody answers, for two seconds. A
        socket that answers anything else is a failure all the same.
    type: str
    choices: [fail, ignore]
    default: fail
  master_socket:
    description:
      - Socket of the HAProxy master process (C(-S)). Where it exists, the sessions of workers
        that a reload has replaced count, too. An empty string means that it is not used.
    type: path
    default: /run/haproxy-master.sock
  lock_timeout:
    description:
      - Seconds to wait for a switch on a file in the same directory.
    type: float
    default: 30
attributes:
  check_mode:
    support: full
    description:
      - Does everything but set the state and wait.
  diff_mode:
    support: full
    description:
      - Shows the states before and after.
  idempotent:
    support: full
    description:
      - Waits for what the state means even where the state is as wanted.
  platform:
    support: full
    platforms: posix
    description:
      - Linux with HAProxy 2.4 or later.
seealso:
  - module: bookface.platform.haproxy_info
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Take a container out and wait for its last request
  bookface.platform.haproxy_server:
    backend: docker
    server: docker1-32001
    state: drain

- name: Let it serve again
  bookface.platform.haproxy_server:
    backend: docker
    server: docker1-32001
    state: ready

- name: Take a machine out wherever it serves, long downloads included
  bookface.platform.haproxy_server:
    server: web1
    state: maint
    wait: 600

- name: Take a container out of a load balancer that may not know it yet
  bookface.platform.haproxy_server:
    server: docker1-32003
    state: drain
    missing: ignore
"""

RETURN = r"""
servers:
  description: The servers that are meant.
  returned: success, and when time is up
  type: list
  elements: dict
  contains:
    backend:
      description: Name of the backend.
      type: str
    name:
      description: Name of the server.
      type: str
    before:
      description: State before, one of C(ready), C(drain), C(maint).
      type: str
    state:
      description: State now (in check mode, would be).
      type: str
  sample:
    - {backend: docker, name: docker1-32001, before: ready, state: drain}
sessions:
  description: Sessions of these servers at the end, those of replaced workers included.
  returned: success, and when time is up
  type: int
  sample: 0
waited:
  description: Seconds that were waited.
  returned: success, and when time is up
  type: float
  sample: 1.4
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.config import (
    parse_files,
    printable,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.file import (
    FileError,
    all_locked,
    loaded_files,
    read_file,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.live import Deadline
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import (
    HaproxyRuntimeError,
    HaproxySocket,
    Stat,
    cli_word,
    master_socket,
    parse_map,
    parse_proc,
    parse_stat,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.server import (
    READY,
    Administered,
    ServerError,
    backends_in_use,
    check_others,
    choose,
    not_serving,
    parse_states,
    sessions,
)

UNTOUCHED = "Nothing was changed."
# Seconds for one reply.
PATIENCE = 5.0
# Nobody answers for so long: that is no reload.
SILENCE = 2.0


class Shell:
    """The I/O of the module."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params: dict[str, Any] = module.params
        self.files = loaded_files(self.params["config"])
        self.stats = HaproxySocket(self.params["socket"])
        self.master = master_socket(self.params["master_socket"])

    def states(self) -> tuple[Administered, ...]:
        reply = self.stats.ask("show servers state", PATIENCE)
        found = parse_states(reply)
        if found is None:
            raise self.refused("show servers state", reply)
        return found

    def refused(self, command: str, reply: str) -> ServerError:
        return ServerError(
            f"{self.stats.path}: HAProxy answers '{command}' with '{reply.strip()[:300]}'. "
            "The socket wants 'level admin'"
        )

    def known(self) -> bool:
        """Whether HAProxy runs and has the server."""
        deadline = Deadline(SILENCE)
        while True:
            try:
                servers = self.stats.stat(PATIENCE).servers
            except HaproxyRuntimeError as error:
                if error.reason not in ("absent", "refused"):
                    raise
                if deadline.expired:
                    return False
                deadline.sleep(0.2)
                continue
            backend = self.params["backend"]
            return any(
                one.name == self.params["server"] and backend in (None, one.backend)
                for one in servers
            )

    def chosen(self) -> tuple[Administered, ...]:
        # A backend that is disabled in the file has servers with a state, but does not run.
        running = {(server.backend, server.name) for server in self.stats.stat(PATIENCE).servers}
        states = [one for one in self.states() if (one.backend, one.name) in running]
        return choose(states, self.params["backend"], self.params["server"])

    def in_use(self) -> frozenset[str] | None:
        config = parse_files((path, read_file(path).data) for path in self.files)
        return backends_in_use(config, self.entries)

    def entries(self, path: str) -> tuple[tuple[str, str], ...]:
        # A map that the worker does not know decides nothing.
        return parse_map(self.stats.ask(f"show map {cli_word(path)}", PATIENCE)) or ()

    def set_states(self, servers: tuple[Administered, ...]) -> None:
        for number, server in enumerate(servers):
            command = f"set server {cli_word(server.title)} state {self.params['state']}"
            reply = self.stats.ask(command, PATIENCE)
            if reply.strip() and number == 0:
                raise self.refused(command, reply)
            if reply.strip():
                done = ", ".join(one.title for one in servers[:number])
                self.module.fail_json(msg=f"{self.refused(command, reply)}. Set before: {done}")

    def all_stats(self) -> list[Stat]:
        """What each worker says: the one that serves, and those that a reload has replaced."""
        found = [self.stats.stat(PATIENCE)]
        if self.master is not None:
            processes = parse_proc(self.master.ask("show proc", PATIENCE))
            for worker in processes.old_workers if processes else ():
                # A worker that has ended meanwhile answers nothing.
                old = parse_stat(self.master.ask(f"@!{worker.pid} show stat", PATIENCE))
                found += [old] if old else []
        return found

    def missing(self, servers: tuple[Administered, ...]) -> str:
        """What the state means and is not so yet; empty where it is."""
        if self.params["state"] != READY:
            left = sessions(self.all_stats(), servers)
            return f"sessions left: {left}" if left else ""
        return "; ".join(
            f"{one.backend}/{one.name} has not passed a check: status {one.status}, "
            f"last check {one.check_status or 'none'}"
            for one in not_serving(self.stats.stat(PATIENCE), servers)
        )

    def wait(self, servers: tuple[Administered, ...]) -> str:
        """Empty when all is as wanted, else what is missing when time is up."""
        deadline = Deadline(self.params["wait"])
        while (missing := self.missing(servers)) and not deadline.expired:
            deadline.sleep(min(0.2, deadline.left))
        return missing

    def run(self) -> dict[str, Any]:
        state = self.params["state"]
        if self.params["missing"] == "ignore" and not self.known():
            return {"changed": False, "servers": [], "sessions": 0, "waited": 0.0}
        if self.module.check_mode:
            before, result = self.apply()
            result["sessions"] = sessions(self.all_stats(), before)
            return result
        with all_locked(self.files, self.params["lock_timeout"]):
            before, result = self.apply()
        began = time.monotonic()
        missing = self.wait(before)
        result["waited"] = round(time.monotonic() - began, 1)
        result["sessions"] = sessions(self.all_stats(), before)
        if missing and self.params["wait"] > 0:
            self.module.fail_json(
                msg=f"{', '.join(one.title for one in before)}: state {state} is set, but after "
                f"{self.params['wait']:g} s it is not what that means ({missing}). Run this again "
                "to go on waiting, with a longer wait where requests take longer",
                **result,
            )
        return result

    def apply(self) -> tuple[tuple[Administered, ...], dict[str, Any]]:
        """Set the state where it is another; the servers as they were before, and the result."""
        state = self.params["state"]
        before = self.chosen()
        wrong = tuple(server for server in before if server.state != state)
        if state != READY:
            leaving = tuple(server for server in wrong if server.state == READY)
            if leaving and self.params["keep"] > 0:
                check_others(self.stats.stat(PATIENCE), leaving, self.in_use(), self.params["keep"])
        if not self.module.check_mode:
            self.set_states(wrong)
        result = {
            "changed": bool(wrong),
            "waited": 0.0,
            "servers": [
                {
                    "backend": server.backend,
                    "name": server.name,
                    "before": server.state,
                    "state": state,
                }
                for server in before
            ],
            "diff": {
                "before": "".join(f"{server.title} {server.state}\n" for server in before),
                "after": "".join(f"{server.title} {state}\n" for server in before),
            },
        }
        return before, result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "config": {
                "type": "list",
                "elements": "path",
                "default": ["/etc/haproxy/haproxy.cfg"],
            },
            "server": {"type": "str", "required": True},
            "backend": {"type": "str"},
            "state": {"type": "str", "required": True, "choices": ["ready", "drain", "maint"]},
            "keep": {"type": "int", "default": 1},
            "wait": {"type": "float", "default": 60.0},
            "missing": {"type": "str", "default": "fail", "choices": ["fail", "ignore"]},
            "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
            "master_socket": {"type": "path", "default": "/run/haproxy-master.sock"},
            "lock_timeout": {"type": "float", "default": 30.0},
        },
        supports_check_mode=True,
    )
    try:
        result = Shell(module).run()
    except (ServerError, FileError) as error:
        module.fail_json(msg=f"{printable(str(error))}. {UNTOUCHED}")
    except HaproxyRuntimeError as error:
        module.fail_json(
            msg=f"HAProxy could not be asked: {error}. Wanted: a running HAProxy with a line "
            "'stats socket' of this path in its global section"
        )
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
