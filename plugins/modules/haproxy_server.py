#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_server
short_description: Drain a server of an HAProxy backend for maintenance, and return it to service
version_added: 0.1.0
description:
  - Sets the administrative state of a server in the running HAProxy and waits until it is reached;
    a drained server has answered its last request, a ready one has passed a check.
  - The state exists only in the running process. A reload or a restart ends it, and the file
    applies again.
options:
  server:
    description:
      - Name of the server, or names of several that change together. None of them counts for
        O(keep).
    type: list
    elements: str
    required: true
  backend:
    description:
      - Name of the backend. By default a server is changed in every backend that has it.
    type: str
  state:
    description:
      - V(drain) sends the server no new clients and lets it finish the current requests. Its checks
        continue. If the backend has persistence (C(cookie), C(stick), C(use-server)), HAProxy keeps
        sending it the clients that it already has. The module then warns, see O(persistent).
      - V(maint) also ends its checks, and sends those clients to other servers.
      - V(ready) lets it serve again.
    type: str
    choices: [ready, drain, maint]
    required: true
  persistent:
    description:
      - What O(state=drain) means in a backend with persistence.
      - With V(drain) the server counts as drained once it has received no new session for five
        seconds. With V(maint) the state V(maint) is set instead.
    type: str
    choices: [drain, maint]
    default: drain
  quiet:
    description:
      - Seconds without a new session after which a server without sessions counts as drained.
    type: float
    default: 1
  keep:
    description:
      - Minimum number of other servers of a backend that pass their checks. With fewer the
        module fails. V(0) disables this check.
      - Applies only to a backend that gets traffic, by the rules in O(config) and the live maps. If
        these are inconclusive, or HAProxy has files or frontends that O(config) does not name,
        every backend counts as one.
    type: int
    default: 1
  wait:
    description:
      - Maximum seconds to wait until the server has no session and gets none (V(drain),
        V(maint)), or has passed a check (V(ready)). V(0) does not wait.
      - On timeout the module fails and reports the remaining sessions. The state remains set.
    type: float
    default: 60
  watch:
    description:
      - Seconds to count the server's answers to all clients once it is V(ready) and has passed a
        check. If more than O(errors_percent) of them are errors, the module fails; the state
        remains set.
      - A backend that gets no traffic is not watched.
    type: float
    default: 0
  errors_percent:
    description:
      - Maximum percentage of errors among these answers, those with status 5xx and those that were
        incomplete or missing.
    type: float
    default: 1
  missing:
    description:
      - What to do if no such server exists, because HAProxy is not running or its configuration
        does not name the server. V(fail) fails. V(ignore) succeeds without a change and returns an
        empty RV(servers). Of several servers, V(ignore) changes those that exist.
      - HAProxy counts as not running if its socket is absent or refuses connections for two
        seconds. Any other problem with the socket is a failure in both cases.
    type: str
    choices: [fail, ignore]
    default: fail
extends_documentation_fragment:
  - bookface.platform.haproxy
  - bookface.platform.haproxy.socket
  - bookface.platform.haproxy.master
  - bookface.platform.haproxy.platform
notes:
  - Where O(master_socket) exists, the sessions of workers that a reload has replaced count, too.
attributes:
  check_mode:
    support: full
    description:
      - Does everything except setting the state and waiting.
  diff_mode:
    support: full
    description:
      - Shows the states before and after.
  idempotent:
    support: full
    description:
      - Waits even if the state is set already.
seealso:
  - module: bookface.platform.haproxy_info
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Drain a container and wait for its last request
  bookface.platform.haproxy_server:
    backend: docker
    server: docker1-32001
    state: drain

- name: Return it to service
  bookface.platform.haproxy_server:
    backend: docker
    server: docker1-32001
    state: ready

- name: Take a machine out of all backends, waiting for long downloads
  bookface.platform.haproxy_server:
    server: web1
    state: maint
    wait: 600

- name: Take all containers of a machine out together
  bookface.platform.haproxy_server:
    server: [docker1-32001, docker1-32002]
    state: drain

- name: Drain a container in a load balancer that may not have it yet
  bookface.platform.haproxy_server:
    server: docker1-32003
    state: drain
    missing: ignore
"""

RETURN = r"""
reason:
  description:
    - Why the module failed. Use this instead of the text of the message.
    - V(no_such_server) means that no running backend has the server.
    - V(too_few_servers) means that fewer than O(keep) other servers would be left.
    - V(timeout) means that the state is set, but was not reached within O(wait).
    - V(errors) means that the state is set, and the server answers clients with errors.
    - V(unreachable) means that no process answers on the socket, V(denied) that permissions forbid
      its use, V(no_answer) that the answer was missing or incomplete, and V(refused) that HAProxy
      refused the command, for example because the socket lacks C(level admin).
    - V(file) means that a file of the configuration cannot be read or locked.
  returned: failure
  type: str
  sample: too_few_servers
servers:
  description: The selected servers.
  returned: success, on timeout, and on errors
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
persistence:
  description:
    - The line by which a backend of these servers assigns clients to its servers, by backend.
  returned: success, on timeout, and on errors
  type: dict
  sample: {docker: cookie SRV insert}
sessions:
  description: Sessions of these servers at the end, those of replaced workers included.
  returned: success, and on timeout
  type: int
  sample: 0
counted:
  description: What the servers have counted while they were watched.
  returned: success, and on errors, if they were watched
  type: dict
  sample: {pid: 4711, sessions: 105, responses: 105, errors: 0}
waited:
  description: Seconds that the module waited.
  returned: success, and on timeout
  type: float
  sample: 1.4
"""

import time
from contextlib import suppress
from itertools import chain
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.arguments import (
    HAPROXY_ARGUMENTS,
    MASTER_ARGUMENTS,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.file import (
    FileError,
    all_locked,
    loaded_files,
    read_file,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.live import (
    Deadline,
    check_one_process,
    settled_processes,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.process import (
    name_them,
    unnamed_files,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.proof import (
    Counted,
    ProofError,
    check_counted,
    count,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import (
    HaproxyRuntimeError,
    HaproxySocket,
    Process,
    Stat,
    cli_word,
    master_socket,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.server import (
    DRAIN,
    MAINT,
    READY,
    Administered,
    Quiet,
    backends_in_use,
    check_others,
    choose,
    load,
    not_serving,
    parse_states,
    persistence,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    Config,
    frontend_names,
    parse_files,
    printable,
)

UNTOUCHED = "Nothing was changed."
LATER = "Run the task again to continue waiting, with a higher wait if requests take longer"
STICKY = (
    "backend {} has persistence ({}): HAProxy keeps sending a drained server the clients that it "
    "already has; state maint sends them to other servers"
)
# Seconds for one reply.
PATIENCE = 5.0
# Seconds without any of a server's own clients, where its backend has persistence.
STICKY_QUIET = 5.0
# So many errors need no further watching.
ENOUGH = 3
# Without an answer for longer than this, HAProxy is not just reloading.
SILENCE = 2.0


class Shell:
    """The I/O of the module."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params: dict[str, Any] = module.params
        self.names = list(dict.fromkeys(self.params["server"]))
        self.files = loaded_files(self.params["config"])
        self.stats = HaproxySocket(self.params["socket"])
        self.master = master_socket(self.params["master_socket"])

    def known(self) -> list[str]:
        """Those of the servers that a running HAProxy has."""
        deadline = Deadline(SILENCE)
        while True:
            try:
                servers = self.stats.stat(PATIENCE).servers
            except HaproxyRuntimeError as error:
                if error.reason != "unreachable":
                    raise
                if deadline.expired:
                    return []
                deadline.sleep(0.2)
                continue
            backend = self.params["backend"]
            there = {one.name for one in servers if backend in (None, one.backend)}
            return [name for name in self.names if name in there]

    def chosen(self) -> tuple[Administered, ...]:
        check_one_process(self.stats.info(PATIENCE))
        # A backend that is disabled in the file has servers with a state, but is not running.
        running = {(server.backend, server.name) for server in self.stats.stat(PATIENCE).servers}
        known = self.stats.read("show servers state", parse_states, PATIENCE)
        states = [one for one in known if (one.backend, one.name) in running]
        chosen = [choose(states, self.params["backend"], name) for name in self.names]
        return tuple(chain.from_iterable(chosen))

    def config(self) -> Config:
        return parse_files((path, read_file(path).data) for path in self.files)

    def in_use(self) -> frozenset[str] | None:
        return None if self.unknown() else backends_in_use(self.config(), self.entries)

    def unknown(self) -> str:
        """What the running HAProxy has and the files do not; empty if that is nothing."""
        files = unnamed_files(self.stats.info(PATIENCE).pid, self.params["socket"], self.files)
        if files:
            return f"HAProxy also loads {', '.join(files)}, which config does not name"
        known = frontend_names(self.config())
        frontends = [name for name in self.stats.stat(PATIENCE).frontends if name not in known]
        if frontends:
            return f"HAProxy runs frontend {', '.join(frontends)}, which no file of config has"
        return ""

    def check_others(self, leaving: tuple[Administered, ...]) -> None:
        stat, keep = self.stats.stat(PATIENCE), self.params["keep"]
        unknown, remedy = self.unknown(), ""
        if unknown:
            remedy = name_them(self.params["socket"], self.stats.info(PATIENCE).pid)
        check_others(stat, leaving, self.in_use(), keep, unknown, remedy)

    def persistence(self, servers: tuple[Administered, ...]) -> dict[str, str]:
        """How these servers' backends send clients back to them, where they do."""
        found: dict[str, str] = {}
        cookies = self.stats.stat(PATIENCE).cookies
        with suppress(FileError):
            config = self.config()
            found = {one.backend: persistence(config, one.backend) for one in servers}
        for one in servers:
            if one.backend in cookies and not found.get(one.backend):
                found[one.backend] = f"cookie {cookies[one.backend]}"
        return {backend: line for backend, line in found.items() if line}

    def entries(self, path: str) -> tuple[tuple[str, str], ...]:
        # A map that the worker has not loaded has no effect.
        return self.stats.map_entries(path, PATIENCE) or ()

    def set_states(self, servers: tuple[Administered, ...], states: dict[str, str]) -> None:
        for number, server in enumerate(servers):
            command = f"set server {cli_word(server.title)} state {states[server.backend]}"
            try:
                self.stats.write(command, PATIENCE)
            except HaproxyRuntimeError as error:
                done = ", ".join(one.title for one in servers[:number])
                changed = f"Already set: {done}" if done else UNTOUCHED
                self.module.fail_json(msg=error.message(changed), reason=error.reason)

    def all_stats(self) -> list[Stat]:
        """Statistics of each worker: the one that serves, and those that a reload has replaced."""
        found = [self.stats.stat(PATIENCE)]
        if self.master is not None:
            for worker in settled_processes(self.master, Deadline(PATIENCE)).old_workers:
                old = self.old_stat(self.master, worker)
                found += [old] if old else []
        return found

    @staticmethod
    def old_stat(master: HaproxySocket, worker: Process) -> Stat | None:
        """Statistics of a replaced worker; None once it has ended."""
        deadline = Deadline(PATIENCE)
        while True:
            try:
                return master.worker_stat(worker.pid, deadline.left)
            except HaproxyRuntimeError:
                left = {old.pid for old in settled_processes(master, deadline).old_workers}
                if worker.pid not in left:
                    return None
                if deadline.expired:
                    raise
            deadline.pause()

    def wait(self, servers: tuple[Administered, ...], quiet: Quiet) -> str:
        """What is missing when time is up until the state is reached; empty if nothing is."""
        deadline = Deadline(self.params["wait"])
        while (missing := self.missing(servers, quiet)) and not deadline.expired:
            deadline.sleep(min(0.2, deadline.left))
        return missing

    def missing(self, servers: tuple[Administered, ...], quiet: Quiet) -> str:
        if self.params["state"] != READY:
            return quiet.missing(load(self.all_stats(), servers))
        return "; ".join(
            f"{one.backend}/{one.name} has not passed a check: status {one.status}, "
            f"last check {one.check_status or 'none'}"
            for one in not_serving(self.stats.stat(PATIENCE), servers)
        )

    def counted(self, servers: tuple[Administered, ...]) -> Counted:
        titles = {server.title for server in servers}
        found = self.stats.stat(PATIENCE).servers
        return count(
            self.stats.info(PATIENCE).pid,
            [one for one in found if f"{one.backend}/{one.name}" in titles],
        )

    def watch(self, servers: tuple[Administered, ...]) -> Counted | None:
        """What servers with traffic answer, until time is up or there are errors enough."""
        used = self.in_use()
        servers = tuple(one for one in servers if used is None or one.backend in used)
        if not servers:
            return None
        before = self.counted(servers)
        deadline = Deadline(self.params["watch"])
        while True:
            now = self.counted(servers).since(before)
            if now.errors >= ENOUGH or deadline.expired:
                return now
            deadline.sleep(min(0.2, deadline.left))

    def run(self) -> dict[str, Any]:
        state = self.params["state"]
        if self.params["missing"] == "ignore":
            self.names = self.known()
        if not self.names:
            return {
                "changed": False,
                "servers": [],
                "sessions": 0,
                "waited": 0.0,
                "persistence": {},
            }
        if self.module.check_mode:
            before, result = self.apply()
            result["sessions"] = load(self.all_stats(), before).current
            return result
        with all_locked(self.files, self.params["lock_timeout"]):
            before, result = self.apply()
        began = time.monotonic()
        sticky = DRAIN in {one["state"] for one in result["servers"]} and result["persistence"]
        seconds = max(self.params["quiet"], STICKY_QUIET if sticky else 0.0)
        missing = self.wait(before, Quiet(min(seconds, self.params["wait"])))
        remedies = (
            [STICKY.format(*one) for one in result["persistence"].items()] if sticky else [LATER]
        )
        result["waited"] = round(time.monotonic() - began, 1)
        result["sessions"] = load(self.all_stats(), before).current
        if missing and self.params["wait"] > 0:
            self.module.fail_json(
                msg=f"{', '.join(one.title for one in before)}: state {state} is set, but not "
                f"reached within {self.params['wait']:g} s ({missing}). "
                f"{'; '.join(remedies)}",
                reason="timeout",
                **result,
            )
        if state == READY and self.params["watch"] > 0 and (seen := self.watch(before)):
            result["counted"] = seen.as_dict()
            name = ", ".join(one.title for one in before)
            try:
                check_counted(seen, name, 0, self.params["errors_percent"])
            except ProofError as error:
                self.module.fail_json(msg=error.message(""), reason=error.reason, **result)
        return result

    def wanted(self, server: Administered, kept: dict[str, str]) -> str:
        """The state to set, given which backends have persistence."""
        sticky = self.params["state"] == DRAIN and server.backend in kept
        return str(self.params["persistent" if sticky else "state"])

    def apply(self) -> tuple[tuple[Administered, ...], dict[str, Any]]:
        """Set the state where it differs. Returns the servers before that, and the result."""
        before = self.chosen()
        kept = {} if self.params["state"] == READY else self.persistence(before)
        states = {server.backend: self.wanted(server, kept) for server in before}
        wrong = tuple(server for server in before if server.state != states[server.backend])
        if self.params["state"] != READY:
            leaving = tuple(server for server in wrong if server.state == READY)
            if leaving and self.params["keep"] > 0:
                self.check_others(leaving)
        for backend, line in kept.items():
            if states[backend] == DRAIN:
                self.module.warn(STICKY.format(backend, line))
        if not self.module.check_mode:
            self.set_states(wrong, states)
        result = {
            "changed": bool(wrong),
            "waited": 0.0,
            "persistence": kept,
            "servers": [
                {
                    "backend": server.backend,
                    "name": server.name,
                    "before": server.state,
                    "state": states[server.backend],
                }
                for server in before
            ],
            "diff": {
                "before": "".join(f"{server.title} {server.state}\n" for server in before),
                "after": "".join(f"{one.title} {states[one.backend]}\n" for one in before),
            },
        }
        return before, result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **HAPROXY_ARGUMENTS,
            **MASTER_ARGUMENTS,
            "server": {"type": "list", "elements": "str", "required": True},
            "backend": {"type": "str"},
            "state": {"type": "str", "required": True, "choices": ["ready", "drain", "maint"]},
            "persistent": {"type": "str", "default": DRAIN, "choices": [DRAIN, MAINT]},
            "quiet": {"type": "float", "default": 1.0},
            "keep": {"type": "int", "default": 1},
            "wait": {"type": "float", "default": 60.0},
            "watch": {"type": "float", "default": 0.0},
            "errors_percent": {"type": "float", "default": 1.0},
            "missing": {"type": "str", "default": "fail", "choices": ["fail", "ignore"]},
        },
        supports_check_mode=True,
    )
    try:
        result = Shell(module).run()
    except HaproxyError as error:
        module.fail_json(msg=printable(error.message(UNTOUCHED)), reason=error.reason)
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
