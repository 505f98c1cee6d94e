#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_default_backend
short_description: Switch the backend that an HAProxy frontend sends its traffic to
version_added: 0.1.0
description:
  - Sets the C(default_backend) line of one frontend, on disk and in the running HAProxy, and leaves
    every other byte of the configuration unchanged.
  - In this order, the module reads, plans, checks the health of the target, writes a candidate
    beside the file, validates it with HAProxy, renames it over the file, applies it to the running
    HAProxy, and confirms the result. If it cannot be applied, the old file is restored and the
    module fails.
  - The file is the source of truth. With the runtime engine the running HAProxy follows a map entry
    that mirrors it; this requires no reload and affects no connection. The entry is compared at
    every run, so a missing or different one is written and reported as a change.
  - If the frontend has several C(default_backend) lines, the last one is changed, because HAProxy
    uses the last. Lines inside C(.if) blocks are refused.
  - With O(percent) only a share of the clients goes to the backend.
  - HAProxy evaluates C(use_backend) and rules that answer or refuse a request before
    C(default_backend). RV(deciding_rules) lists those that may keep traffic from the backend. If
    they match every request, a switch is refused.
  - A backend without servers whose C(http-request return) answers every request is a page, such as
    one for maintenance. It gets the traffic whatever the state of servers. Where the frontend has
    the rule C(http-request set-var(txn.bookface_origin) fe_name,map(FILE)), the module keeps in
    this map, in the running HAProxy and on disk, which backend had the traffic before. A
    C(use_backend %[var(txn.bookface_origin)]) of yours sends some clients there meanwhile. No other
    variable will do, because a map under another name is yours.
  - For O(rollback) the module records where the traffic came from, in a small JSON file beside
    the one that has the frontend, such as C(/etc/haproxy/haproxy.cfg.previous.json). HAProxy does
    not load it.
options:
  frontend:
    description:
      - Name of the C(frontend) or C(listen) section, or of several, such as one for HTTP and one
        for HTTPS of the same site. They are switched together, or none of them is. Several must
        be in the same file.
    type: list
    elements: str
    required: true
  backend:
    description:
      - Name of the C(backend) or C(listen) section that receives the traffic.
      - It must exist in the configuration and must not be C(disabled).
      - Required unless O(rollback=true).
    type: str
  percent:
    description:
      - Percentage of the clients to send to O(backend); the others stay on the C(default_backend).
        V(100) is a complete switch, which also ends a shift that is under way.
      - The clients are divided into a hundred cohorts by a hash of their address, or by a cookie
        that repeats the cohort of their first request. So a client that was moved stays moved while
        the share grows, and clients behind one address move together.
      - Requires HTTP mode and rules in the frontend, which the module prints if they are missing;
        the role P(bookface.platform.haproxy#role) writes them. They use the map of O(map). HAProxy
        must have read them, so reload it once after you have added them.
      - The share exists only in the running HAProxy; the file stays unchanged. So the next reload
        ends a shift, and all clients go to the C(default_backend) again. O(engine=file) and
        O(engine=reload) are refused.
      - A frontend has at most one shift. A shift towards another backend replaces the one that
        is under way; all clients of the new share go to the new backend.
      - O(require_healthy) applies as for a switch, but not where the share of a backend becomes
        smaller, so that a failing backend can always lose clients.
    type: int
    default: 100
  rollback:
    description:
      - Roll back to the backend that had the traffic before the last switch or shift by this
        module, and end a shift. Excludes O(backend).
      - A rollback is not recorded as a switch, so a second one changes nothing.
    type: bool
    default: false
  engine:
    description:
      - How the change is applied to the running HAProxy.
      - V(runtime) writes the map entry over the statistics socket. It requires the map rule in the
        frontend, see O(map), and no entry for the frontend in the map file.
      - V(reload) reloads HAProxy and waits until the new worker answers.
      - V(file) edits and validates the file only. HAProxy need not run, and the health of the
        servers is not checked.
      - V(auto) selects V(runtime) if the frontend has the rule and the running worker has its map
        and the backend, else V(reload).
    type: str
    choices: [auto, runtime, reload, file]
    default: auto
  require_healthy:
    description:
      - Number of servers of the backend that must be up I(and) have passed a check since the
        worker started (C(L4OK), C(L6OK), C(L7OK) and the like). A server that HAProxy shows as up
        only because its first check has not ended does not count.
      - A server without health checks (status C(no check)) counts as healthy, because HAProxy
        itself sends traffic to it whatever its state. Give your servers C(check).
      - The module waits for checks without a result, at most O(wait) seconds.
      - Servers marked C(backup) do not count. They stand in for the others and would let the
        traffic into a backend that has only these left.
      - V(0) disables this check. It is skipped if nothing has to change, for a page, and for a
        O(rollback) to any backend without servers.
    type: int
    default: 1
  haproxy:
    description:
      - The HAProxy program that validates the candidate. By default the one that runs with these
        files, else searched in E(PATH), C(/usr/sbin) and the like.
      - It gets the environment, the working directory and the options C(-L), C(-dr) and C(-dW) of
        the HAProxy that runs with these files, or the environment and the directory of O(service)
        if none runs.
    type: path
  service:
    description:
      - The systemd unit that is reloaded where there is no master socket. If HAProxy does not run,
        its environment is that of the validation.
    type: str
    default: haproxy
  cookie:
    description:
      - Name of the cookie in the rules that the module prints if they are missing, see O(percent).
    type: str
    default: bookface_cohort
  wait:
    description:
      - Maximum seconds to wait for the state of HAProxy at the start, for checks without a result,
        and for the confirmation of the change, each.
    type: float
    default: 10
  backup:
    description:
      - Keep a copy of the file as it was before.
    type: bool
    default: false
extends_documentation_fragment:
  - bookface.platform.haproxy
  - bookface.platform.haproxy.socket
  - bookface.platform.haproxy.map
  - bookface.platform.haproxy.master
  - bookface.platform.haproxy.platform
notes:
  - If O(master_socket) exists, it is used to reload, and to make sure that no reload which is under
    way starts a worker that has read the old file. Without it such a reload cannot be seen in time.
    The module then watches the worker for at least half a second after it has written the live
    entry, and writes it again if the worker is replaced; a reload of its own waits for the next
    full second, because HAProxy reports the start of a worker in whole seconds. Give HAProxy a
    master socket if others may reload it at any time.
  - Without a master socket and without systemd a reload is the signal C(SIGUSR2). It is sent only
    to a process that is proved to be the master of this configuration, by the listener of
    O(socket), its program, its command line and its PID namespace. An HAProxy in a container needs
    O(master_socket).
  - If a reload fails, HAProxy may leave the listeners of the worker that goes on paused, so that
    every client is refused. The module watches them after a failed reload, resumes them by
    C(enable frontend), or by the signal C(SIGTTIN) if the statistics socket is paused, too, and
    says so.
attributes:
  check_mode:
    support: full
    description:
      - Does everything except replacing the file and changing the running HAProxy; the health check
        and the validation of the candidate are real.
  diff_mode:
    support: full
    description:
      - Shows the line of the file and the live entries. The rest of the file is left out, because
        it may hold passwords.
  idempotent:
    support: full
    description:
      - Compares the file and the live state.
seealso:
  - module: bookface.platform.haproxy_info
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Send the traffic to the containers
  bookface.platform.haproxy_default_backend:
    frontend: bookface
    backend: docker

- name: Switch only if both containers have passed a check
  bookface.platform.haproxy_default_backend:
    frontend: bookface
    backend: docker
    require_healthy: 2

- name: Move a tenth of the clients
  bookface.platform.haproxy_default_backend:
    frontend: bookface
    backend: docker
    percent: 10

- name: Roll back the last switch
  bookface.platform.haproxy_default_backend:
    frontend: bookface
    rollback: true

- name: Switch where HAProxy loads a file and a directory (-f FILE -f DIRECTORY)
  bookface.platform.haproxy_default_backend:
    config: [/etc/haproxy/haproxy.cfg, /etc/haproxy/conf.d]
    frontend: bookface
    backend: docker

- name: Prepare the file of a load balancer that is not running
  bookface.platform.haproxy_default_backend:
    frontend: bookface
    backend: docker
    engine: file

- name: Write the live entry again after a reload, whatever the servers' state
  bookface.platform.haproxy_default_backend:
    frontend: bookface
    backend: "{{ backend_found_in_the_file }}"
    require_healthy: 0
"""

RETURN = r"""
backend:
  description:
    - The backend that the frontend sends its traffic to now (in check mode, would send); all of it,
      or RV(percent) of the clients. After a rollback, the backend that it returned to.
  returned: success
  type: str
  sample: docker
percent:
  description: The share of the clients that goes to RV(backend).
  returned: success
  type: int
  sample: 100
previous_shift:
  description: The shift that was under way before. Null if there was none, or it is unknown.
  returned: success
  type: dict
  contains:
    backend:
      description: The backend that got a share of the clients.
      type: str
    percent:
      description: The share.
      type: int
  sample: {backend: docker, percent: 10}
previous_backend:
  description:
    - The backend that got the traffic before (during a shift, the other clients); the live entry
      where there was one, else what the file said. Null if there was none.
  returned: success
  type: str
  sample: legacy
previous_backend_on_disk:
  description: The backend that the file named before. Null if it named none.
  returned: success
  type: str
  sample: legacy
frontend:
  description: The frontend, the first if there are several. All other values except RV(frontends)
    are about this one.
  returned: success
  type: str
  sample: bookface
frontends:
  description: The same of each frontend.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The frontend.
      type: str
    changed:
      description: Whether it had to be switched.
      type: bool
    backend:
      description: See RV(backend).
      type: str
    previous_backend:
      description: See RV(previous_backend).
      type: str
    previous_backend_on_disk:
      description: See RV(previous_backend_on_disk).
      type: str
    previous_shift:
      description: See RV(previous_shift).
      type: dict
    counted:
      description: See RV(counted).
      type: dict
    map:
      description: See RV(map).
      type: str
    origin:
      description: See RV(origin).
      type: str
    door:
      description: See RV(door).
      type: str
    elsewhere:
      description: See RV(elsewhere).
      type: str
    deciding_rules:
      description: See RV(deciding_rules).
      type: list
      elements: dict
  sample:
    - name: bookface
      changed: true
      backend: docker
      previous_backend: legacy
      previous_backend_on_disk: legacy
      previous_shift: null
      counted: {pid: 4711, sessions: 17, responses: 17, errors: 0}
      map: /etc/haproxy/maps/default_backend.map
      origin: null
      door: http://127.0.0.1:80/
      elsewhere: null
      deciding_rules: []
engine:
  description: The engine that was used.
  returned: success
  type: str
  sample: runtime
action:
  description: What the running HAProxy needed. One of C(nothing), C(map), C(reload).
  returned: success
  type: str
  sample: map
reason:
  description:
    - Why this engine. On failure, what went wrong, one of the following.
    - V(unhealthy) means that too few servers of the backend have passed a check.
    - V(no_such_section) means that the configuration has no such frontend or backend.
    - V(configuration) means that the file is ambiguous or cannot be edited safely, V(unsuitable)
      that the file, the running HAProxy or the parameters do not permit this switch.
    - V(invalid) means that C(haproxy -c) refuses the candidate, V(no_program) that there is no
      program which could validate it.
    - V(no_record) means that there is nothing to roll back to.
    - V(file) means that a file cannot be read, locked or replaced.
    - V(unreachable) means that no process answers on a socket, V(denied) that permissions forbid
      its use, V(no_answer) that an answer was missing or incomplete, and V(refused) that HAProxy
      refused a command, for example because the socket lacks C(level admin).
    - V(not_confirmed) means that the state of the running HAProxy could not be read in time, or
      that it could not be switched. The message describes the present state.
  returned: always
  type: str
  sample: the frontend follows the map
servers:
  description: The servers of the backend when their health was checked. Empty with engine V(file).
  returned: success
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
      description: Whether it is a backup server, which does not count.
      type: bool
  sample:
    - name: docker1
      address: "10.0.0.5:32001"
      status: UP
      check_status: L7OK
      passed: true
      backup: false
counted:
  description:
    - What the servers of the backend had counted before the switch, without backup servers; for
      O(bookface.platform.haproxy_proof#module:before). Null with engine V(file).
  returned: success
  type: dict
  sample: {pid: 4711, sessions: 17, responses: 17, errors: 0}
elapsed_ms:
  description:
    - Milliseconds of each phase and in total. A phase that was not needed is 0.
  returned: success
  type: dict
  sample: {lock: 0, read: 1, observe: 2, gate: 0, validate: 31, write: 4, live: 3, total: 41}
validator:
  description: What C(haproxy -c) printed. Empty where the file did not have to change.
  returned: success
  type: str
  sample: Configuration file is valid
worker:
  description: The HAProxy worker that was confirmed. Null with engine V(file).
  returned: success
  type: dict
  contains:
    pid:
      description: Process id.
      type: int
    version:
      description: Version of HAProxy.
      type: str
    attempts:
      description: How often the live state was written or read until it was confirmed.
      type: int
  sample: {pid: 4711, version: 2.6.12, attempts: 1}
config:
  description: The file that has the frontend, links resolved.
  returned: success
  type: str
  sample: /etc/haproxy/haproxy.cfg
map:
  description: The map of the frontend's rule. Null if there is no such rule.
  returned: success
  type: str
  sample: /etc/haproxy/maps/default_backend.map
origin:
  description:
    - If RV(backend) is a page, the backend that had the traffic before it, as the map of origins
      has it. Null otherwise, and if the frontend has no rule that looks it up.
  returned: success
  type: str
  sample: null
door:
  description:
    - URL of the frontend on this machine, from its C(bind) lines and the environment of the running
      HAProxy, with TLS if one of the lines has it.
      For O(bookface.platform.haproxy_proof#module:door). Null if they contain no usable address.
  returned: success
  type: str
  sample: http://127.0.0.1:80/
elsewhere:
  description:
    - URL of the frontend if no address of its C(bind) lines belongs to this machine at present,
      such as on the standby of a keepalived pair. Requests would reach the other load balancer.
      Null if RV(door) is not, or there is no usable address.
  returned: success
  type: str
  sample: null
deciding_rules:
  description:
    - The rules of the frontend that HAProxy evaluates before C(default_backend) and that may keep
      traffic from RV(backend), such as a C(use_backend) for one host name. Each is also a warning,
      unless its line has the comment C(# not switched).
  returned: success
  type: list
  elements: dict
  contains:
    line:
      description: Its line, from 1; with the name of the file where there are several.
      type: str
    text:
      description: The rule.
      type: str
    backend:
      description: The backend that it names. Null if the request decides that, or there is none.
      type: str
    always:
      description: Whether it matches every request.
      type: bool
  sample:
    - line: "12"
      text: use_backend shop if { hdr(host) shop.example }
      backend: shop
      always: false
backup_file:
  description: The copy of the file as it was.
  returned: changed and O(backup=true)
  type: str
  sample: /etc/haproxy/haproxy.cfg.4711.2026-01-01@12:00:00~
"""

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils import service
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.arguments import (
    HAPROXY_ARGUMENTS,
    MAP_ARGUMENTS,
    MASTER_ARGUMENTS,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.door import (
    find_doors,
    is_here,
    own_networks,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.file import (
    ConfigFile,
    FileError,
    all_locked,
    discard,
    discard_leftovers,
    loaded_files,
    read_file,
    replace,
    write_atomically,
    write_backup,
    write_candidate,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.live import (
    Confirmed,
    Deadline,
    LiveError,
    find_master,
    mirror,
    observe,
    read_entries,
    reload_by_command,
    reload_by_master,
    write_entries,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.origin import (
    Origin,
    find_origin,
    kept_origin,
    with_origin,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.process import (
    UnprovedError,
    alone_text,
    check_master,
    find_process,
    mounted_alone,
    name_them,
    resume_listeners,
    sees_all,
    unnamed_files,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.program import (
    SYSTEMD,
    validate,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.proof import count
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.record import (
    Move,
    RecordError,
    parse_record,
    previous,
    record_path,
    render_record,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import (
    HaproxyRuntimeError,
    HaproxySocket,
    Server,
    master_socket,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.shift import (
    COHORTS,
    Entries,
    listed,
    shown,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.surroundings import (
    base_directory,
    of_process,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.switch import (
    MAP,
    RELOAD,
    Disk,
    Gate,
    Live,
    Plan,
    Switch,
    SwitchError,
    Wanted,
    check_map_file,
    check_published,
    choose_reload,
    edit_all,
    is_stale,
    judge_gate,
    plan_disk,
    plan_together,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    Config,
    HaproxyConfigError,
    decode,
    encode,
    find_frontend,
    parse_files,
    printable,
)

UNTOUCHED = "Nothing was changed, neither the file nor the running HAProxy."


class NotSwitchedError(HaproxyError):
    """The running HAProxy could not be switched. The message describes the present state."""

    reason = "not_confirmed"
    untouched = False


@dataclass
class Phases:
    """Milliseconds of each phase."""

    began: float = field(default_factory=time.monotonic)
    last: float = field(default_factory=time.monotonic)
    spent: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(
            ("lock", "read", "observe", "gate", "validate", "write", "live"), 0.0
        )
    )

    def end(self, name: str) -> None:
        now = time.monotonic()
        self.spent[name] += now - self.last
        self.last = now

    def as_dict(self) -> dict[str, int]:
        result = {name: round(seconds * 1000) for name, seconds in self.spent.items()}
        result["total"] = round((time.monotonic() - self.began) * 1000)
        return result


class Shell:
    """The I/O of the module, in the order in which it happens."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params: dict[str, Any] = module.params
        self.phases = Phases()
        self.frontends = tuple(dict.fromkeys(self.params["frontend"]))
        self.loaded = loaded_files(self.params["config"])
        self.stats = HaproxySocket(self.params["socket"])
        # The frontends that were paused before the first reload.
        self.paused: tuple[str, ...] | None = None
        self.master = (
            master_socket(self.params["master_socket"]) if self.params["engine"] != "file" else None
        )

    def deadline(self) -> Deadline:
        return Deadline(self.params["wait"])

    # read

    def check_parameters(self) -> None:
        """Relations that an argument spec cannot express: rollback=false equals none."""
        backend, percent = self.params["backend"], self.params["percent"]
        if not self.frontends:
            raise SwitchError("frontend is empty", "Name the frontend that has the traffic")
        if not 1 <= percent <= COHORTS:
            raise SwitchError(f"percent is {percent}, expected a number from 1 to {COHORTS}")
        if backend is None and not self.params["rollback"]:
            raise SwitchError(
                "expected backend or rollback=true, got neither",
                "Name the backend that receives the traffic",
            )
        if self.params["rollback"] and (backend is not None or percent < COHORTS):
            given = f"percent={percent}" if backend is None else f"backend={backend}"
            raise SwitchError(
                f"rollback=true excludes {given}: a rollback sends all clients to the backend "
                "before the last switch",
                "Remove one of the two parameters",
            )

    def moves(self, path: str) -> dict[str, Move]:
        """What is recorded of earlier switches."""
        if not Path(path).exists():
            return {}
        try:
            return parse_record(path, decode(read_file(path).data))
        except RecordError as error:
            if self.params["rollback"]:
                raise
            self.module.warn(error.message(""))
            return {}

    def desired(self, path: str, moves: dict[str, Move], frontend: str) -> Wanted:
        backend = self.params["backend"]
        if self.params["rollback"]:
            backend = previous(path, moves, frontend)
        return Wanted(
            frontend,
            backend,
            self.params["engine"],
            self.params["map"],
            self.params["percent"],
            self.params["cookie"],
        )

    def map_file(self, config: Config, path: str, line: int) -> str | None:
        """The file of a map that a line names; None if that is unknown."""
        base: str | None = "/"
        if not Path(path).is_absolute():
            around = of_process(self.loaded)
            directory = around.directory if around else None
            base = base_directory(config, line, directory)
        return None if base is None else str(Path(base, path))

    def check_map(self, config: Config, disk: Disk, frontend: str) -> None:
        if disk.rule is None:
            return
        path = self.map_file(config, disk.rule.path, disk.rule.line)
        if path is None:
            return
        with suppress(FileError):
            check_map_file(path, decode(read_file(path).data), frontend)

    def with_origins(
        self, switches: Sequence[Switch], config: Config, moves: dict[str, Move]
    ) -> tuple[Switch, ...]:
        """With the entry of each frontend in the map of origins, if it has a rule for it."""
        found = [self.origin(one, config, moves) for one in switches]
        return tuple(replace_fields(one, origin=origin) for one, origin in zip(switches, found))

    def origin(self, switch: Switch, config: Config, moves: dict[str, Move]) -> Origin | None:
        plan, frontend, rule = switch.plan, switch.wanted.frontend, switch.plan.disk.origin
        # A share leaves the other clients where they are, and a page has no share.
        if rule is None or switch.wanted.shift is not None:
            return None
        file = self.map_file(config, rule.path, rule.line)
        if file is None:
            return None
        kept = kept_origin(origins_text(file), frontend)
        wanted = None
        if plan.disk.page:
            target, rollback = switch.wanted.backend, self.params["rollback"]
            wanted = find_origin(target, plan.move, moves.get(frontend), kept, rollback)
        live = switch.live.origins if switch.live else None
        return Origin(frontend, rule.path, file, kept, live, wanted)

    def observe(self, disk: Disk, wanted: Wanted, changed_at: float) -> Live:
        path = disk.rule.path if disk.rule else None
        try:
            seen = observe(
                self.stats,
                self.master,
                path,
                wanted.frontend,
                self.deadline(),
                wanted.backend,
                disk.origin.path if disk.origin else None,
            )
        except (HaproxyRuntimeError, LiveError) as error:
            if error.reason in ("unreachable", "not_confirmed", "unsuitable"):
                error.remedy += "; or set engine to file to change the file alone"
            raise
        parent, unproved = None, ""
        if self.master is None and not SYSTEMD.is_dir():
            try:
                parent = self.proved_master(seen.info.pid)
            except UnprovedError as error:
                unproved = str(error)
        reload = choose_reload(self.master is not None, SYSTEMD.is_dir(), parent)
        stale = is_stale(changed_at, seen.info, time.time())
        return Live(seen.info, seen.stat, seen.entries, stale, reload, unproved, seen.origins)

    def check_loaded(self, lives: Sequence[Live | None]) -> None:
        """Whether the running HAProxy loads these files, as far as that can be seen here."""
        worker = next(live.info.pid for live in lives if live)
        socket = self.params["socket"]
        alone = mounted_alone(socket, self.loaded)
        if alone:
            raise SwitchError(
                alone_text(alone),
                "Mount the directory into the container instead of the file",
            )
        if not sees_all(socket, self.loaded):
            return
        try:
            loaded = find_process(worker, socket).files
        except UnprovedError:
            return
        missing = {os.path.realpath(file) for file in self.loaded}.difference(loaded)
        if missing and all(Path(file).exists() for file in loaded):
            raise SwitchError(
                f"the running HAProxy does not load {', '.join(sorted(missing))}",
                name_them(socket, worker),
            )
        others = unnamed_files(worker, socket, self.loaded)
        if others:
            self.module.warn(
                f"HAProxy also loads {', '.join(others)}, which config does not name. "
                f"{name_them(socket, worker)}."
            )

    def proved_master(self, worker: int) -> int:
        return check_master(find_process(worker, self.params["socket"]), self.loaded)

    # gate

    def gate(self, live: Live, backend: str) -> Gate:
        """Check the health of the servers; wait for checks that have no result yet."""
        required: int = self.params["require_healthy"]
        if self.params["rollback"] and backend in live.stat.backend_names:
            # What had the traffic without a server can have it again.
            required = required if live.stat.servers_of(backend) else 0
        gate = judge_gate(live.stat, backend, required)
        deadline = self.deadline()
        while gate.undecided and not deadline.expired:
            deadline.sleep(min(0.1, deadline.left))
            with suppress(HaproxyRuntimeError):
                stat = self.stats.stat_of((), (backend,), deadline.left)
                gate = judge_gate(stat, backend, required)
        return gate

    # apply

    def validate(self, candidate: str, config: ConfigFile, switches: Sequence[Switch]) -> str:
        """Validate all files, with the candidate in the place of its original."""
        files = [
            candidate if os.path.realpath(path) == config.path else path for path in self.loaded
        ]
        what = " and ".join(
            f"default_backend {one.wanted.backend} in frontend {one.wanted.frontend}"
            for one in switches
        )
        return validate(self.module, files, candidate, config.path, what, self.loaded)

    @contextmanager
    def recorded(
        self, switches: Sequence[Switch], record: str, moves: dict[str, Move]
    ) -> Iterator[None]:
        """Record where the traffic comes from before it is moved; restore the record on failure."""
        made = {
            one.wanted.frontend: replace_fields(
                one.plan.move, origin=(one.origin.on_disk or "") if one.origin else ""
            )
            for one in switches
            if one.plan.move
        }
        new = {**moves, **made}
        if self.params["rollback"] or new == moves:
            yield
            return
        old = read_file(record).data if Path(record).exists() else None
        write_atomically(record, encode(render_record(new)))
        try:
            yield
        except BaseException:
            if old is None:
                discard(record)
            else:
                with suppress(FileError):
                    write_atomically(record, old)
            raise

    @contextmanager
    def origins_recorded(self, switches: Sequence[Switch]) -> Iterator[None]:
        """Where a page's traffic comes from, before the page has it; as before on failure."""
        changing = [one for one in switches if one.origin and one.origin.changed]
        before = {one.origin.file: origins_text(one.origin.file) for one in changing if one.origin}
        begun = False
        try:
            for one in changing:
                if one.origin and one.origin.wanted:
                    write_origin(one.origin)
                    # Else HAProxy does not run, or reads the file by a reload.
                    if one.origin.live is not None:
                        self.mirror_origin(one.origin, one.origin.entries)
            begun = True
            yield
        except BaseException as error:
            done = self.undo_origins(changing, before)
            if begun or not isinstance(error, (LiveError, HaproxyRuntimeError)):
                raise
            raise NotSwitchedError(
                "the running HAProxy could not note where the traffic comes from: "
                f"{error.message('').rstrip('.')}. Now: the traffic goes where it went before; "
                f"{'; '.join(done)}",
                "Fix the cause, then run the task again",
            ) from None

    def undo_origins(self, changing: Sequence[Switch], before: Mapping[str, str]) -> list[str]:
        """Restore the map of origins, and describe its present state."""
        done = []
        for path, text in before.items():
            try:
                if text != origins_text(path):
                    write_atomically(path, encode(text))
                done.append(f"the map {path} is as before")
            except FileError as trouble:
                done.append(f"the map {path} could NOT be restored ({trouble})")
        for one in changing:
            origin = one.origin
            # A worker that was started meanwhile has read the file.
            if origin is None or (origin.live is None and one.plan.action != RELOAD):
                continue
            entries = origin.kept if origin.live is None else origin.live
            try:
                self.mirror_origin(origin, entries)
                done.append(f"its live entries were restored ({listed(entries)})")
            except (HaproxyRuntimeError, LiveError, OSError) as trouble:
                done.append(f"its live entries are unknown ({trouble})")
        return done

    def mirror_origin(self, origin: Origin, entries: Entries) -> None:
        deadline = self.deadline()
        mirror(self.stats, self.master, origin.path, origin.frontend, entries, deadline)

    def go_live(self, switches: Sequence[Switch]) -> Confirmed | None:
        """The switch, then the entries of origins: of those that no page has any more, too."""
        confirmed = self.go(switches)
        for one in switches:
            if one.origin and one.origin.changed:
                write_origin(one.origin)
                # A worker may have begun with the file from before.
                if one.origin.live is not None or one.plan.action == RELOAD:
                    self.mirror_origin(one.origin, one.origin.entries)
        return confirmed

    def go(self, switches: Sequence[Switch]) -> Confirmed | None:
        """One reload for all; else the entries of one frontend after the other."""
        confirmed = None
        reloading = [one for one in switches if one.plan.action == RELOAD]
        if reloading and reloading[0].live:
            return self.reload(reloading[0].live)
        for one in switches:
            if one.plan.action == MAP:
                confirmed = mirror(
                    self.stats,
                    self.master,
                    one.plan.map or "",
                    one.wanted.frontend,
                    one.plan.entries,
                    self.deadline(),
                    self.settle(one.plan),
                )
        return confirmed

    def settle(self, plan: Plan) -> float:
        """How long a reload that has read the old file may take, estimated from haproxy -c."""
        if not plan.disk.edit.changed and plan.wanted.shift is None:
            return 0.0
        return max(0.5, 3 * self.phases.spent["validate"])

    def reload(self, live: Live) -> Confirmed:
        if live.reload is None:
            raise LiveError("HAProxy cannot be reloaded", settled=True)
        method, deadline = live.reload.method, self.deadline()
        if self.paused is None:
            self.paused = ()
            with suppress(HaproxyRuntimeError):
                self.paused = self.stats.paused(deadline.left)
        if method == "master" and self.master is not None:
            return reload_by_master(self.master, self.stats, deadline)

        def run() -> tuple[int, str]:
            if method == "systemd":
                command = ["systemctl", "reload", self.params["service"]]
                code, out, err = self.module.run_command(command)
                return code, out + err
            try:
                # Again: since then its number may have become another's.
                master = find_master(self.stats, self.proved_master, deadline)
            except (UnprovedError, HaproxyRuntimeError) as error:
                return 1, str(error)
            os.kill(master, signal.SIGUSR2)
            return 0, ""

        return reload_by_command(run, self.stats, live.info, deadline)

    def undo(
        self,
        switches: Sequence[Switch],
        old: ConfigFile,
        new: ConfigFile | None,
        error: Exception,
    ) -> NoReturn:
        """Restore the state before, and describe the present state."""
        done = []
        names = ", ".join(dict.fromkeys(one.plan.disk.after for one in switches))
        if new is not None:
            candidate = ""
            try:
                candidate = write_candidate(new, old.data)
                put(new, candidate)
                done.append(f"{old.path} was restored")
            except FileError as trouble:
                discard(candidate)
                done.append(f"{old.path} could NOT be restored ({trouble}) and names {names}")
        else:
            done.append(f"{old.path} is unchanged")
        reloading = [one.live for one in switches if one.plan.action == RELOAD and one.live]
        if not reloading:
            done += [self.undo_entry(one) for one in switches if one.plan.action == MAP]
        elif not (isinstance(error, LiveError) and error.settled):
            done += self.undo_reload(reloading[0])
        else:
            done.append("the running HAProxy continues with its old configuration")
            done += self.resume(reloading[0])
        cause = error.message("") if isinstance(error, HaproxyError) else str(error)
        targets = ", ".join(dict.fromkeys(one.wanted.backend for one in switches))
        raise NotSwitchedError(
            f"the running HAProxy could not be switched to {targets}: "
            f"{cause.rstrip('.')}. Now: {'; '.join(done)}",
            "Fix the cause, then run the task again",
        )

    def undo_entry(self, switch: Switch) -> str:
        plan = switch.plan
        path, frontend = plan.map or "", switch.wanted.frontend
        before = plan.way_back(switch.live.entries or () if switch.live else ())
        try:
            deadline = Deadline(2)
            found = read_entries(self.stats, path, frontend, deadline) or ()
            write_entries(self.stats, path, found, before, deadline)
        except HaproxyRuntimeError as error:
            return f"the live map entries are unknown ({error})"
        return f"the live map entries were restored ({listed(before)})"

    def undo_reload(self, live: Live) -> list[str]:
        """A reload that timed out may still read the new file, so reload with the old one."""
        try:
            confirmed = self.reload(live)
        except (HaproxyRuntimeError, LiveError, OSError) as error:
            doubt = f"it is unknown which file the running HAProxy has read ({error})"
            return [doubt, *self.resume(live)]
        return [f"worker {confirmed.info.pid} has read the restored file"]

    def resume(self, live: Live) -> list[str]:
        """What a failed reload has left paused accepts connections again."""
        # A switch that succeeds does without it, and Python compiles modules at each run.
        from ansible_collections.bookface.platform.plugins.module_utils.haproxy.listeners import (
            ENOUGH,
            Worker,
            find_worker,
            resume,
        )

        pid = find_worker(self.stats, self.master, live.info.pid)

        def wake() -> None:
            resume_listeners(pid, self.params["socket"])

        worker = Worker(pid, self.stats, self.master, self.paused or (), wake)
        text = str(resume(worker, Deadline(max(self.params["wait"], ENOUGH))))
        return [text] if text else []

    # all

    def run(self) -> dict[str, Any]:
        if self.module.check_mode:
            return self.switch()
        with all_locked(self.loaded, self.params["lock_timeout"]):
            self.phases.end("lock")
            return self.switch()

    def switch(self) -> dict[str, Any]:
        files = tuple(read_file(path) for path in self.loaded)
        text = parse_files((file.path, file.data) for file in files)
        sections = {name: find_frontend(text, name) for name in self.frontends}
        homes = {text.file_of(section.start) for section in sections.values()}
        if len(homes) > 1:
            raise SwitchError(
                f"frontends {', '.join(self.frontends)} are in several files, which cannot be "
                "replaced in one step",
                "Move them into one file, or switch them by one task each",
            )
        config = files[homes.pop()]
        record = record_path(config.path)
        if not self.module.check_mode:
            discard_leftovers(config.path)
            discard_leftovers(record)
        moves = self.moves(record)
        wanted = [self.desired(record, moves, name) for name in self.frontends]
        disks = [plan_disk(text, sections[one.frontend], one) for one in wanted]
        for one, disk in zip(wanted, disks):
            self.check_map(text, disk, one.frontend)
        edited = edit_all(text, disks, wanted)
        self.phases.end("read")

        lives: list[Live | None] = [None for _one in wanted]
        if self.params["engine"] != "file":
            changed_at = max(file.changed_at for file in files)
            lives = [self.observe(disk, one, changed_at) for disk, one in zip(disks, wanted)]
            self.check_loaded(lives)
        switches = self.with_origins(plan_together(disks, lives, wanted), text, moves)
        for switch in switches:
            if switch.origin and not self.module.check_mode:
                discard_leftovers(switch.origin.file)
        self.check_rollback(switches)
        if any(lives):
            self.phases.end("observe")
        gates = self.gates(switches)

        validator, backup, confirmed = self.apply(switches, edited, config, record, moves)
        return self.result(switches, gates, text, config, validator, backup, confirmed)

    def check_rollback(self, switches: Sequence[Switch]) -> None:
        """The record ends at a page: what had the traffic before it is no target of a rollback."""
        if not self.params["rollback"] or any(one.changed for one in switches):
            return
        for one in switches:
            page = one.wanted.backend
            if one.plan.disk.page:
                site = one.origin.wanted if one.origin else None
                known = f", such as {site}" if site and site != page else ""
                raise SwitchError(
                    f"there is nothing to roll back: backend '{page}', which answers by itself, "
                    "has the traffic again since the last switch was rolled back",
                    f"Name the backend that serves the site{known} (switch_backend.yml -e "
                    "target=NAME)",
                )

    def gates(self, switches: Sequence[Switch]) -> dict[str, Gate]:
        """The gate of each target. Raises where one is not open."""
        gates: dict[str, Gate] = {}
        for one in switches:
            backend = one.wanted.backend
            if one.live is None:
                continue
            check_published(one.plan, one.live.stat, self.params["socket"])
            # A page has no servers that could be healthy.
            if one.plan.gated and not one.plan.disk.page:
                gates[backend] = self.gate(one.live, backend)
            gates.setdefault(backend, judge_gate(one.live.stat, backend, 0))
            if not gates[backend].open:
                refusal = gates[backend].refusal()
                refusal.fields["servers"] = servers(gates[backend].servers)
                raise refusal
        if gates:
            self.phases.end("gate")
        return gates

    def result(
        self,
        switches: Sequence[Switch],
        gates: dict[str, Gate],
        text: Config,
        config: ConfigFile,
        validator: str,
        backup: str,
        confirmed: Confirmed | None,
    ) -> dict[str, Any]:
        first = switches[0]
        frontends = [self.described(one, text, gates.get(one.wanted.backend)) for one in switches]
        worker, gate = None, gates.get(first.wanted.backend)
        if first.live is not None:
            info = confirmed.info if confirmed else first.live.info
            attempts = confirmed.attempts if confirmed else 0
            worker = {"pid": info.pid, "version": info.version, "attempts": attempts}
        reloads = [one for one in switches if one.plan.action == RELOAD]
        acting = reloads or [one for one in switches if one.plan.action == MAP] or [first]
        result: dict[str, Any] = {
            **frontends[0],
            "changed": any(one.changed for one in switches),
            "frontend": first.wanted.frontend,
            "frontends": frontends,
            "percent": first.wanted.percent,
            "engine": acting[0].plan.engine,
            "action": acting[0].plan.action,
            "reason": acting[0].plan.reason,
            "servers": servers(gate.servers) if gate else [],
            "validator": validator,
            "worker": worker,
            "config": config.path,
            "elapsed_ms": self.phases.as_dict(),
            "diff": [part for one in switches for part in self.diff(one, config)],
        }
        del result["name"]
        if backup:
            result["backup_file"] = backup
        return result

    def environment(self) -> Mapping[str, str]:
        """The running HAProxy's, as far as it can be seen."""
        found = of_process(self.loaded)
        return (found and found.environment) or {}

    def described(self, switch: Switch, text: Config, gate: Gate | None) -> dict[str, Any]:
        """What the module returns of one frontend; and the warning about its rules."""
        plan, name, backend = switch.plan, switch.wanted.frontend, switch.wanted.backend
        deciding = plan.disk.keep_from(backend)
        doors = find_doors(text, find_frontend(text, name), self.environment)
        networks = own_networks()
        here = [door for door in doors if is_here(door, networks)]
        told = "; ".join(rule.title for rule in deciding if not rule.known)
        if told:
            self.module.warn(
                f"frontend {name}: rules that decide before default_backend may keep traffic from "
                f"{backend}: {told}"
            )
        if switch.live and name in switch.live.stat.paused and plan.action != RELOAD:
            self.module.warn(
                f"frontend {name} is paused and refuses its clients. Resume it with 'enable "
                f"frontend {name}' on {self.params['socket']}"
            )
        if switch.live and backend in switch.live.stat.unpublished and plan.action != RELOAD:
            self.module.warn(
                f"backend {backend} is unpublished: HAProxy ignores the rules that select it. Run "
                f"'publish backend {backend}' on {self.params['socket']}"
            )
        return {
            "name": name,
            "changed": switch.changed,
            "backend": backend,
            "previous_backend": plan.previous,
            "previous_backend_on_disk": plan.disk.before.name,
            "previous_shift": plan.shift_before.as_dict() if plan.shift_before else None,
            "counted": self.counted(switch.live, gate, backend) if gate and switch.live else None,
            "map": plan.map,
            "origin": switch.origin.wanted if switch.origin else None,
            "door": here[0] if here else None,
            "elsewhere": None if here or not doors else doors[0],
            "deciding_rules": [rule.as_dict() for rule in deciding],
        }

    @staticmethod
    def counted(live: Live, gate: Gate, backend: str) -> dict[str, int]:
        requests = live.stat.forwarded.get(backend, 0)
        return count(live.info.pid, gate.servers, requests).as_dict()

    def apply(
        self,
        switches: Sequence[Switch],
        edited: str | None,
        config: ConfigFile,
        record: str,
        moves: dict[str, Move],
    ) -> tuple[str, str, Confirmed | None]:
        """Validate; unless in check mode, replace the file and apply it to the running HAProxy."""
        validator = backup = candidate = ""
        new: ConfigFile | None = None
        try:
            if edited is not None:
                candidate = write_candidate(config, encode(edited))
                self.module.add_cleanup_file(candidate)
                validator = self.validate(candidate, config, switches)
                self.phases.end("validate")
            if self.module.check_mode:
                return validator, "", None
            with self.recorded(switches, record, moves), self.origins_recorded(switches):
                if candidate:
                    if self.params["backup"]:
                        backup = write_backup(config)
                    new = put(config, candidate)
                    self.phases.end("write")
                return validator, backup, self.bring_live(switches, config, new)
        finally:
            if candidate:
                discard(candidate)

    def bring_live(
        self, switches: Sequence[Switch], old: ConfigFile, new: ConfigFile | None
    ) -> Confirmed | None:
        try:
            return self.go_live(switches)
        except (LiveError, HaproxyRuntimeError, FileError, OSError) as error:
            self.undo(switches, old, new, error)
        finally:
            self.phases.end("live")

    def diff(self, switch: Switch, config: ConfigFile) -> list[dict[str, str]]:
        plan, live, edit = switch.plan, switch.live, switch.plan.disk.edit
        header = f"{config.path} (frontend {switch.wanted.frontend}, line {edit.line})"
        result = [_difference(header, _shown(edit.before), _shown(edit.after))]
        if live is not None and plan.engine == "runtime":
            before, after = shown(live.entries or ()), shown(plan.entries)
            result.append(_difference(f"live map {plan.map}", before, after))
        elif live is not None and plan.action == RELOAD:
            before = f"worker {live.info.pid}, default_backend {plan.live_before or 'unknown'}\n"
            after = f"new worker, default_backend {plan.disk.after}\n"
            result.append(_difference("running HAProxy", before, after))
        origin = switch.origin
        if origin and origin.changed:
            after = shown(origin.entries)
            result.append(_difference(f"map {origin.file}", shown(origin.kept), after))
            if origin.live is not None:
                result.append(_difference(f"live map {origin.path}", shown(origin.live), after))
        return result


def put(original: ConfigFile, candidate: str) -> ConfigFile:
    """Replace the file. The line that differs is in force by other means than loading it."""
    path = Path(original.path)
    written = service.when_written(path, service.read_rewrites())
    new = replace(original, candidate)
    if SYSTEMD.is_dir():
        service.note_rewrite(path, written)
    return new


def origins_text(path: str) -> str:
    """The file of the map of origins; empty if it is not there."""
    return decode(read_file(path).data) if Path(path).exists() else ""


def write_origin(origin: Origin) -> None:
    text = origins_text(origin.file)
    new = with_origin(text, origin.frontend, origin.wanted)
    if new != text:
        write_atomically(origin.file, encode(new))


def _difference(header: str, before: str, after: str) -> dict[str, str]:
    return {"before_header": header, "after_header": header, "before": before, "after": after}


def _shown(line: str) -> str:
    text = printable(line.rstrip("\r\n"))
    return f"{text}\n" if text else ""


def servers(found: tuple[Server, ...]) -> list[dict[str, Any]]:
    return [
        {
            "name": server.name,
            "address": server.address,
            "status": server.status,
            "check_status": server.check_status,
            "passed": server.passed,
            "backup": server.backup,
        }
        for server in found
    ]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **HAPROXY_ARGUMENTS,
            **MAP_ARGUMENTS,
            **MASTER_ARGUMENTS,
            "frontend": {"type": "list", "elements": "str", "required": True},
            "backend": {"type": "str"},
            "percent": {"type": "int", "default": COHORTS},
            "rollback": {"type": "bool", "default": False},
            "engine": {
                "type": "str",
                "choices": ["auto", "runtime", "reload", "file"],
                "default": "auto",
            },
            "require_healthy": {"type": "int", "default": 1},
            "haproxy": {"type": "path"},
            "service": {"type": "str", "default": "haproxy"},
            "cookie": {"type": "str", "default": "bookface_cohort"},
            "wait": {"type": "float", "default": 10.0},
            "backup": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        shell = Shell(module)
        shell.check_parameters()
        result = shell.run()
    except HaproxyError as error:
        message = error.message(UNTOUCHED)
        if isinstance(error, (HaproxyConfigError, SwitchError, RecordError)):
            message = f"{', '.join(module.params['config'])}: {message}"
        module.fail_json(msg=message, reason=error.reason, **error.fields)
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
