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
    every other byte of the configuration as it is.
  - The order is read, plan, ask the health gate, write a candidate beside the file, let HAProxy
    validate the candidate, rename it over the file, bring the running HAProxy to it, confirm. If
    the running HAProxy cannot be brought to it, the old file is put back and the module fails.
  - The file is the one truth. With the runtime engine the running HAProxy follows a map entry
    that mirrors it; no reload is needed and no connection is touched. The mirror is compared at
    every run, so a missing or different entry is written and reported as a change.
  - Where the frontend has several C(default_backend) lines the last is changed, because HAProxy
    obeys the last. Lines inside C(.if) blocks are refused.
options:
  frontend:
    description:
      - Name of the C(frontend) or C(listen) section.
    type: str
    required: true
  backend:
    description:
      - Name of the C(backend) or C(listen) section that shall get the traffic.
      - It must stand in the file and must not be C(disabled).
    type: str
    required: true
  engine:
    description:
      - How the running HAProxy is brought to what the file says.
      - V(runtime) writes the map entry over the statistics socket. It needs the map rule in the
        frontend, see O(map), and the map file must hold no entry for the frontend.
      - V(reload) reloads HAProxy and waits until the new worker answers.
      - V(file) edits and validates the file only. HAProxy is not asked for anything, and no server
        is judged.
      - V(auto) takes V(runtime) if the frontend has the rule and the running worker knows its map
        and the backend, else V(reload).
    type: str
    choices: [auto, runtime, reload, file]
    default: auto
  require_healthy:
    description:
      - At least so many servers of the backend must be up I(and) have passed a check since the
        worker started (C(L4OK), C(L6OK), C(L7OK) and the like). A server that HAProxy shows as up
        only because its first check has not ended does not count.
      - A server without health checks (status C(no check)) counts as healthy, because HAProxy
        itself sends traffic to it whatever its state. Give your servers C(check).
      - Checks that have not made up their mind are waited for, at most O(wait) seconds.
      - V(0) does not ask. Nothing is asked where nothing has to change.
    type: int
    default: 1
  master_socket:
    description:
      - Socket of the HAProxy master process (C(-S)).
      - Where it exists it is used to reload, and to exclude that a reload which is under way brings
        a worker that has read the old file. An empty string means that it is not used.
      - Without it such a reload cannot be seen in time. The module then watches the worker for at
        least half a second after it has written the live entry, and writes again if the worker is
        replaced. Give HAProxy a master socket if others may reload it at any time.
    type: path
    default: /run/haproxy-master.sock
  haproxy:
    description:
      - The HAProxy program that validates the candidate. Searched in E(PATH), C(/usr/sbin) and the
        like by default.
    type: path
  service:
    description:
      - The systemd unit that is reloaded where there is no master socket.
    type: str
    default: haproxy
  wait:
    description:
      - Seconds that each wait may last at most. There are three; for a settled HAProxy at the
        start, for undecided checks, and for the confirmation of the change.
    type: float
    default: 10
  lock_timeout:
    description:
      - Seconds to wait for another switch on a file in the same directory.
    type: float
    default: 30
  backup:
    description:
      - Keep a copy of the file as it was before.
    type: bool
    default: false
extends_documentation_fragment:
  - bookface.platform.haproxy
attributes:
  check_mode:
    support: full
    description:
      - Does everything but replace the file and touch the running HAProxy; the health gate and
        the validation of the candidate are real.
  diff_mode:
    support: full
    description:
      - Shows the line of the file and the live entry. The rest of the file is left out, because it
        may hold passwords.
  idempotent:
    support: full
    description:
      - Compares the file and the live state.
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
- name: Send the traffic to the containers
  bookface.platform.haproxy_default_backend:
    frontend: bookface
    backend: docker

- name: Only if both containers have passed a check
  bookface.platform.haproxy_default_backend:
    frontend: bookface
    backend: docker
    require_healthy: 2

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
  description: The backend that the frontend sends its traffic to now (in check mode, would send).
  returned: success
  type: str
  sample: docker
previous_backend:
  description:
    - The backend that got the traffic before; the live entry where there was one, else what the
      file said. Null if there was none.
  returned: success
  type: str
  sample: legacy
previous_backend_on_disk:
  description: The backend that the file named before. Null if it named none.
  returned: success
  type: str
  sample: legacy
frontend:
  description: The frontend.
  returned: success
  type: str
  sample: bookface
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
  description: Why this engine.
  returned: success
  type: str
  sample: the frontend follows the map
servers:
  description: The servers of the backend when the gate was asked. Empty with engine V(file).
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
      description: Whether the gate counts it as healthy.
      type: bool
  sample:
    - {name: docker1, address: "10.0.0.5:32001", status: UP, check_status: L7OK, passed: true}
elapsed_ms:
  description:
    - Milliseconds of each phase and in all. A phase that was not needed is 0.
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
      description: How often the live state was written or looked at until it was confirmed.
      type: int
  sample: {pid: 4711, version: 2.6.12, attempts: 1}
config:
  description: The file that was edited, links resolved.
  returned: success
  type: str
  sample: /etc/haproxy/haproxy.cfg
map:
  description: The map of the frontend's rule. Null if there is no such rule.
  returned: success
  type: str
  sample: /etc/haproxy/maps/default_backend.map
backup_file:
  description: The copy of the file as it was.
  returned: changed and O(backup=true)
  type: str
  sample: /etc/haproxy/haproxy.cfg.4711.2026-01-01@12:00:00~
"""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.haproxy_config import (
    HaproxyConfigError,
    decode,
    encode,
    printable,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy_file import (
    ConfigFile,
    FileError,
    discard,
    discard_leftovers,
    locked,
    read_file,
    replace,
    write_candidate,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy_live import (
    Confirmed,
    Deadline,
    LiveError,
    mirror,
    observe,
    reload_by_command,
    reload_by_master,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy_runtime import (
    HaproxyRuntimeError,
    HaproxySocket,
    Server,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy_switch import (
    MAP,
    RELOAD,
    Disk,
    Gate,
    Live,
    Plan,
    SwitchError,
    Wanted,
    check_map_file,
    choose_reload,
    is_stale,
    judge_gate,
    plan_disk,
    plan_switch,
)

UNTOUCHED = "Nothing was changed, neither the file nor the running HAProxy."


class SwitchFailedError(Exception):
    """What main() turns into fail_json."""

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.fields = fields


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


def parent_master(pid: int) -> int | None:
    """The master process of a worker: its parent, if that runs the same program."""
    with suppress(OSError, ValueError, IndexError):
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        parent = int(status.rpartition(")")[2].split()[1])
        names = {Path(f"/proc/{process}/comm").read_bytes() for process in (pid, parent)}
        if parent > 1 and len(names) == 1:
            return parent
    return None


class Shell:
    """The I/O of the module, in the order in which it happens."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params: dict[str, Any] = module.params
        self.phases = Phases()
        self.wanted = Wanted(
            frontend=self.params["frontend"],
            backend=self.params["backend"],
            engine=self.params["engine"],
            map=self.params["map"],
        )
        self.stats = HaproxySocket(self.params["socket"])
        master = self.params["master_socket"]
        self.master: HaproxySocket | None = None
        if master and self.wanted.engine != "file" and Path(master).exists():
            self.master = HaproxySocket(master, close=True)
        self.haproxy: str = self.params["haproxy"] or ""
        self.reload_method = ""

    def deadline(self) -> Deadline:
        return Deadline(self.params["wait"])

    # read

    def find_haproxy(self) -> None:
        if not self.haproxy:
            found = self.module.get_bin_path(
                "haproxy", opt_dirs=["/usr/sbin", "/usr/local/sbin", "/sbin"]
            )
            if not found:
                raise SwitchFailedError(
                    "haproxy was not found in PATH or /usr/sbin, so no candidate can be validated. "
                    f"{UNTOUCHED} Install HAProxy or set the parameter haproxy"
                )
            self.haproxy = found
        elif not os.access(self.haproxy, os.X_OK):
            raise SwitchFailedError(f"{self.haproxy} is not a program that can be run. {UNTOUCHED}")

    def check_map(self, disk: Disk) -> None:
        if disk.rule is None or not Path(disk.rule.path).is_absolute():
            return
        with suppress(FileError):
            text = decode(read_file(disk.rule.path).data)
            check_map_file(disk.rule.path, text, self.wanted.frontend)

    def observe(self, disk: Disk, config: ConfigFile) -> Live:
        path = disk.rule.path if disk.rule else None
        try:
            seen = observe(self.stats, self.master, path, self.wanted.frontend, self.deadline())
        except HaproxyRuntimeError as error:
            raise SwitchFailedError(f"{self.explain(error)} {UNTOUCHED}") from None
        except LiveError as error:
            raise SwitchFailedError(
                f"the running HAProxy could not be read: {error}. {UNTOUCHED} If no reload "
                "is under way, see whether HAProxy runs, and whether socket and master_socket "
                "belong to it; with engine file the file can be edited all the same"
            ) from None
        stale = is_stale(config.changed_at, seen.info, time.time())
        return Live(seen.info, seen.stat, seen.entries, stale)

    def explain(self, error: HaproxyRuntimeError) -> str:
        if error.reason in ("absent", "refused"):
            return (
                f"HAProxy does not answer on {error.path} ({error.detail}). Wanted: a running "
                "HAProxy with a line 'stats socket' for this path in its global section, to write "
                "the switch to. Start HAProxy or set the parameter socket; with engine file the "
                "file can be edited all the same."
            )
        if error.reason == "denied":
            return (
                f"{error.path} cannot be used ({error.detail}). Run the task with become, or give "
                "the socket a user, group or mode that lets this user in."
            )
        if error.reason == "refusal":
            level = " Give the socket 'level admin'." if "ermission" in error.detail else ""
            return (
                f"HAProxy refused '{error.command}' on {error.path}: "
                f"{error.detail.rstrip('.')}.{level}"
            )
        return f"HAProxy did not answer '{error.command}' on {error.path}: {error.detail}."

    # gate

    def gate(self, live: Live) -> Gate:
        """Ask the servers; wait while their checks are still under way."""
        required: int = self.params["require_healthy"]
        gate = judge_gate(live.stat, self.wanted.backend, required)
        deadline = self.deadline()
        while gate.undecided and not deadline.expired:
            deadline.sleep(min(0.1, deadline.left))
            with suppress(HaproxyRuntimeError):
                gate = judge_gate(self.stats.stat(deadline.left), self.wanted.backend, required)
        return gate

    # apply

    def validate(self, candidate: str, config: ConfigFile) -> str:
        code, out, err = self.module.run_command(
            [self.haproxy, "-c", "-f", candidate], cwd="/", errors="replace"
        )
        printed = printable((out + err).strip().replace(candidate, config.path))
        if code != 0:
            raise SwitchFailedError(
                f"haproxy -c refuses {config.path} with default_backend {self.wanted.backend} in "
                f"frontend {self.wanted.frontend} (status {code}): {printed}. {UNTOUCHED} Repair "
                "the configuration first",
                validator=printed,
            )
        return str(printed)

    def go_live(self, plan: Plan, live: Live) -> Confirmed:
        if plan.action == MAP:
            return mirror(
                self.stats,
                self.master,
                plan.map or "",
                self.wanted.frontend,
                self.wanted.backend,
                self.deadline(),
                self.settle(plan),
            )
        return self.reload(live)

    def settle(self, plan: Plan) -> float:
        """How long a reload that has read the old file may still take, judged by haproxy -c."""
        if not plan.disk.edit.changed:
            return 0.0
        return max(0.5, 3 * self.phases.spent["validate"])

    def reload(self, live: Live) -> Confirmed:
        if self.reload_method == "master" and self.master is not None:
            return reload_by_master(self.master, self.stats, self.deadline())

        def run() -> tuple[int, str]:
            if self.reload_method == "systemd":
                code, out, err = self.module.run_command(
                    ["systemctl", "reload", self.params["service"]]
                )
                return code, out + err
            parent = parent_master(live.info.pid)
            if parent is None:
                return 1, f"worker {live.info.pid} has no master process any more"
            os.kill(parent, signal.SIGUSR2)
            return 0, ""

        return reload_by_command(run, self.stats, live.info, self.deadline())

    def undo(
        self, plan: Plan, live: Live, old: ConfigFile, new: ConfigFile | None, error: Exception
    ) -> NoReturn:
        """Put back what was there, and say what is there now."""
        done = []
        if new is not None:
            candidate = ""
            try:
                candidate = write_candidate(new, old.data)
                replace(new, candidate)
                done.append(f"{old.path} was put back as it was")
            except FileError as trouble:
                discard(candidate)
                done.append(
                    f"{old.path} could NOT be put back ({trouble}) and names {self.wanted.backend}"
                )
        else:
            done.append(f"{old.path} was not touched")
        if plan.action == MAP:
            done.append(self.undo_entry(plan, live))
        elif not (isinstance(error, LiveError) and error.settled):
            done.append(self.undo_reload(live))
        else:
            done.append("the running HAProxy goes on as before")
        cause = self.explain(error) if isinstance(error, HaproxyRuntimeError) else str(error)
        raise SwitchFailedError(
            f"the running HAProxy could not be switched to {self.wanted.backend}: "
            f"{cause.rstrip('.')}. Now: {'; '.join(done)}. "
            "Correct the cause and run this task again"
        )

    def undo_entry(self, plan: Plan, live: Live) -> str:
        path, key = plan.map or "", self.wanted.frontend
        before = live.entries[0] if live.entries else None
        try:
            deadline = Deadline(2)
            found = self.stats.entries(path, key, deadline.left)
            if before is not None:
                self.stats.write_entry(path, key, before, bool(found), deadline.left)
            elif found:
                self.stats.delete_entry(path, key, deadline.left)
        except HaproxyRuntimeError as error:
            return f"the live entry is in doubt ({error})"
        return f"the live entry is {before or 'absent'} as before"

    def undo_reload(self, live: Live) -> str:
        """A reload that did not end in time may still take up the file; make it read the old."""
        try:
            confirmed = self.reload(live)
        except (HaproxyRuntimeError, LiveError, OSError) as error:
            return f"which file the running HAProxy has read is in doubt ({error})"
        return f"worker {confirmed.info.pid} has read the restored file"

    # all

    def run(self) -> dict[str, Any]:
        if self.module.check_mode:
            return self.switch()
        with locked(self.params["config"], self.params["lock_timeout"]):
            self.phases.end("lock")
            return self.switch()

    def switch(self) -> dict[str, Any]:
        config = read_file(self.params["config"])
        disk = plan_disk(decode(config.data), self.wanted)
        self.check_map(disk)
        self.phases.end("read")

        live = None if self.wanted.engine == "file" else self.observe(disk, config)
        plan = plan_switch(disk, live, self.wanted)
        gate: Gate | None = None
        if live is not None:
            if plan.action == RELOAD:
                self.reload_method = choose_reload(
                    self.master is not None,
                    Path("/run/systemd/system").is_dir(),
                    parent_master(live.info.pid),
                )
            self.phases.end("observe")
            gate = (
                self.gate(live) if plan.changed else judge_gate(live.stat, self.wanted.backend, 0)
            )
            self.phases.end("gate")
            if not gate.open:
                raise SwitchFailedError(
                    f"{gate.refusal()}. {UNTOUCHED}", servers=servers(gate.servers)
                )

        validator, backup, confirmed = self.apply(plan, live, config)
        worker = None
        if live is not None:
            info = confirmed.info if confirmed else live.info
            attempts = confirmed.attempts if confirmed else 0
            worker = {"pid": info.pid, "version": info.version, "attempts": attempts}
        result: dict[str, Any] = {
            "changed": plan.changed,
            "frontend": self.wanted.frontend,
            "backend": self.wanted.backend,
            "previous_backend": plan.previous,
            "previous_backend_on_disk": disk.before.name,
            "engine": plan.engine,
            "action": plan.action,
            "reason": plan.reason,
            "servers": servers(gate.servers) if gate else [],
            "validator": validator,
            "worker": worker,
            "config": config.path,
            "map": plan.map,
            "elapsed_ms": self.phases.as_dict(),
            "diff": self.diff(plan, live, config),
        }
        if backup:
            result["backup_file"] = backup
        return result

    def apply(
        self, plan: Plan, live: Live | None, config: ConfigFile
    ) -> tuple[str, str, Confirmed | None]:
        """Validate, then (not in check mode) replace the file and bring HAProxy to it."""
        validator = backup = ""
        new: ConfigFile | None = None
        if plan.disk.edit.changed:
            self.find_haproxy()
            if not self.module.check_mode:
                discard_leftovers(config.path)
            candidate = write_candidate(config, encode(plan.disk.edit.text))
            self.module.add_cleanup_file(candidate)
            try:
                validator = self.validate(candidate, config)
                self.phases.end("validate")
                if self.module.check_mode:
                    return validator, "", None
                if self.params["backup"]:
                    backup = self.module.backup_local(config.path)
                new = replace(config, candidate)
            finally:
                discard(candidate)
            self.phases.end("write")
        if live is None or self.module.check_mode or plan.action not in (MAP, RELOAD):
            return validator, backup, None
        try:
            confirmed = self.go_live(plan, live)
        except (LiveError, HaproxyRuntimeError, OSError) as error:
            self.undo(plan, live, config, new, error)
        self.phases.end("live")
        return validator, backup, confirmed

    def diff(self, plan: Plan, live: Live | None, config: ConfigFile) -> list[dict[str, str]]:
        edit = plan.disk.edit
        title = f"frontend {self.wanted.frontend}"
        result = [
            {
                "before_header": f"{config.path} ({title}, line {edit.line})",
                "after_header": f"{config.path} ({title}, line {edit.line})",
                "before": _shown(edit.before),
                "after": _shown(edit.after),
            }
        ]
        if live is not None and plan.engine == "runtime":
            before = "".join(f"{self.wanted.frontend} {entry}\n" for entry in live.entries or ())
            after = f"{self.wanted.frontend} {self.wanted.backend}\n"
            header = f"live map {plan.map}"
            result.append(
                {
                    "before_header": header,
                    "after_header": header,
                    "before": before,
                    "after": after,
                }
            )
        elif live is not None and plan.action == RELOAD:
            header = "running HAProxy"
            before = f"worker {live.info.pid}, default_backend {plan.live_before or 'unknown'}\n"
            after = f"new worker, default_backend {self.wanted.backend}\n"
            result.append(
                {"before_header": header, "after_header": header, "before": before, "after": after}
            )
        return result


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
        }
        for server in found
    ]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "config": {"type": "path", "default": "/etc/haproxy/haproxy.cfg"},
            "frontend": {"type": "str", "required": True},
            "backend": {"type": "str", "required": True},
            "engine": {
                "type": "str",
                "choices": ["auto", "runtime", "reload", "file"],
                "default": "auto",
            },
            "require_healthy": {"type": "int", "default": 1},
            "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
            "master_socket": {"type": "path", "default": "/run/haproxy-master.sock"},
            "haproxy": {"type": "path"},
            "service": {"type": "str", "default": "haproxy"},
            "map": {"type": "str"},
            "wait": {"type": "float", "default": 10.0},
            "lock_timeout": {"type": "float", "default": 30.0},
            "backup": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        result = Shell(module).run()
    except SwitchFailedError as error:
        module.fail_json(msg=str(error), **error.fields)
    except (HaproxyConfigError, SwitchError) as error:
        module.fail_json(msg=f"{module.params['config']}: {error}. {UNTOUCHED}")
    except FileError as error:
        module.fail_json(msg=f"{error}. {UNTOUCHED}")
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
