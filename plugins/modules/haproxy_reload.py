#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_reload
short_description: Reload an HAProxy that has not loaded its files
version_added: 0.1.0
description:
  - Reloads through the socket of the master process, and waits until the new worker answers. For an
    HAProxy that is no service of systemd, such as one in a container; M(bookface.platform.service)
    is for the others.
  - What was loaded is noted in C(/run/bookface/services), so that a run which was cut off between
    writing a file and the reload is continued by the next one. Without a note the time of the files
    is compared with the start of the worker.
  - With O(state_file) the new worker begins with the addresses of servers that the
    old one has looked up, instead of none.
options:
  socket:
    description:
      - The statistics socket of HAProxy.
    type: path
    default: /run/haproxy/admin.sock
  master_socket:
    description:
      - The socket of its master process.
    type: path
    default: /run/haproxy-master.sock
  paths:
    description:
      - Files, and directories with all that is in them, that HAProxy reads at a reload.
    type: list
    elements: path
    required: true
  ignore_lines:
    description:
      - Regular expression for lines of the files that HAProxy need not load.
    type: str
    default: ""
  reload:
    description:
      - Reload in any case. In check mode, because a file would change.
    type: bool
    default: false
  state_file:
    description:
      - File that HAProxy reads the state of its servers from (C(server-state-file)). It exists only
        during the reload.
    type: path
  wait:
    description:
      - How long to wait for an HAProxy that is about to start, and for the reload, in seconds.
    type: float
    default: 30.0
attributes:
  check_mode:
    support: full
    description:
      - Compares only.
  diff_mode:
    support: none
    description:
      - The files belong to other tasks.
  idempotent:
    support: full
    description:
      - Does nothing while HAProxy runs with its files.
  platform:
    support: full
    platforms: linux
    description:
      - Linux with HAProxy 2.4 or later in master-worker mode.
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Let the HAProxy in the container load its configuration
  bookface.platform.haproxy_reload:
    master_socket: /run/haproxy/master.sock
    paths: [/etc/haproxy/haproxy.cfg]
    ignore_lines: '^\s*default_backend\s'
"""

RETURN = r"""
output:
  description: What HAProxy has printed while it reloaded.
  returned: success
  type: str
"""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.live import (
    Deadline,
    LiveError,
    reload_by_master,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import (
    HaproxyRuntimeError,
    HaproxySocket,
    Info,
    master_socket,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import printable
from ansible_collections.bookface.platform.plugins.module_utils.service import (
    NOTES,
    Files,
    put_note,
    read,
)

NOTE = "haproxy-loaded.json"


def outdated(files: Files, noted: str, started: float) -> bool:
    """Whether HAProxy runs with other files. Its worker knows its start in whole seconds."""
    return noted != files.digest if noted else files.written >= started


def answering(stats: HaproxySocket, deadline: Deadline) -> Info:
    """The worker, once it answers."""
    while True:
        try:
            return stats.info(deadline.left)
        except HaproxyRuntimeError:
            if deadline.expired:
                raise
        deadline.pause()


def read_note(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8").strip().strip('"')
    return ""


def run(params: dict[str, Any], check: bool, notes: Path = NOTES) -> dict[str, Any]:
    """Look, compare, reload, note."""
    note = notes / NOTE
    files = read(map(Path, params["paths"]), params["ignore_lines"])
    stats = HaproxySocket(params["socket"])
    try:
        info = answering(stats, Deadline(0 if check else params["wait"]))
    except HaproxyRuntimeError:
        if check:
            # It is about to be started.
            return {"changed": params["reload"], "output": ""}
        raise
    started = info.started or time.time() - info.uptime - 1
    noted = read_note(note)
    changed = params["reload"] or outdated(files, noted, started)
    output = ""
    if changed and not check:
        output = _reload(params, stats)
    if not check and noted != files.digest:
        put_note(note, files.digest)
    return {"changed": changed, "output": printable(output)}


def _reload(params: dict[str, Any], stats: HaproxySocket) -> str:
    master = master_socket(params["master_socket"])
    if master is None:
        raise LiveError(
            f"there is no {params['master_socket']}, so HAProxy cannot be reloaded",
            remedy="Start HAProxy with -W -S and that path",
        )
    deadline = Deadline(params["wait"])
    state = Path(params["state_file"]) if params["state_file"] else None
    if state:
        put_text(state, stats.ask("show servers state", deadline.left))
    try:
        return reload_by_master(master, stats, deadline).output
    finally:
        if state:
            state.unlink(missing_ok=True)


def put_text(path: Path, text: str) -> None:
    """Replace a file as one step."""
    candidate = path.with_name(f"{path.name}.new")
    candidate.write_text(text, encoding="utf-8")
    candidate.replace(path)


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={
            "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
            "master_socket": {"type": "path", "default": "/run/haproxy-master.sock"},
            "paths": {"type": "list", "elements": "path", "required": True},
            "ignore_lines": {"type": "str", "default": ""},
            "reload": {"type": "bool", "default": False},
            "state_file": {"type": "path"},
            "wait": {"type": "float", "default": 30.0},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module.params, module.check_mode)
    except HaproxyError as error:
        module.fail_json(msg=printable(error.message("")), reason=error.reason)
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
