#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service
short_description: Run a service with what its files say
version_added: 0.1.0
description:
  - Enables and starts a service of systemd, and reloads or restarts it if it has not loaded its
    files as they are now.
  - Unlike a handler, it does so as well if an earlier run was cut off between writing a file and
    the reload.
  - By what systemd says of the last start and reload, and by a note of what was loaded, in
    C(/run/bookface/services).
options:
  name:
    description:
      - Name of the unit.
    type: str
    required: true
  restart_paths:
    description:
      - Files, and directories with all that is in them, that the service reads at its start only.
        They need not exist.
    type: list
    elements: path
    default: []
  reload_paths:
    description:
      - Files and directories that the service also reads at a reload.
    type: list
    elements: path
    default: []
  ignore_lines:
    description:
      - Regular expression for lines of the files that the service need not load.
    type: str
    default: ""
  restart:
    description:
      - Restart it in any case, because something changed that no file of O(restart_paths) shows. In
        check mode also because a file would change.
    type: bool
    default: false
  reload:
    description:
      - Reload it in any case, likewise.
    type: bool
    default: false
  validate:
    description:
      - Command that must succeed before a start, restart or reload.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description:
      - Compares, and reports what would be done.
  diff_mode:
    support: none
    description:
      - The files belong to other tasks.
  idempotent:
    support: full
    description:
      - Does nothing while the service runs with its files.
  platform:
    support: full
    platforms: linux
    description:
      - Linux with systemd 247 or later.
seealso:
  - module: ansible.builtin.systemd_service
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Run PgBouncer with its configuration
  bookface.platform.service:
    name: pgbouncer
    restart_paths: [/etc/systemd/system/pgbouncer.service.d]
    reload_paths: [/etc/pgbouncer]
"""

RETURN = r"""
action:
  description: What was done, V(start), V(restart), V(reload) or V(none).
  returned: always
  type: str
  sample: reload
enabled:
  description: Whether the service had to be enabled.
  returned: always
  type: bool
"""

import json
import re
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils import service
from ansible_collections.bookface.platform.plugins.module_utils.service import (
    NONE,
    NOTES,
    RELOAD,
    RESTART,
    START,
    Note,
)

ASKED = (
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "NeedDaemonReload",
    "InactiveExitTimestamp",
    "StateChangeTimestamp",
)
RUNNING = ("active", "reloading")
JOURNAL_LINES = 6


class Unit:
    """A unit of systemd."""

    def __init__(self, module: AnsibleModule, name: str) -> None:
        self.module = module
        self.name = name

    def systemctl(self, *arguments: str) -> str:
        """What it prints; a failure ends the module, with the end of the unit's journal."""
        code, out, err = self.module.run_command(
            ["systemctl", *arguments, self.name], environ_update={"LC_ALL": "C"}
        )
        if code != 0:
            self.module.fail_json(
                msg=f"systemctl {arguments[0]} {self.name} failed: {(err or out).strip()}"
                f" The end of its journal: {' / '.join(self.journal())}"
            )
        return str(out)

    def journal(self) -> list[str]:
        """Its last lines."""
        lines = f"--lines={JOURNAL_LINES}"
        command = ["journalctl", f"--unit={self.name}", lines, "--output=cat", "--no-pager"]
        return str(self.module.run_command(command)[1]).splitlines()

    def show(self) -> dict[str, str]:
        """Its properties."""
        said = self.systemctl("show", f"--property={','.join(ASKED)}", "--timestamp=us+utc")
        return dict(re.findall(r"^(\w+)=(.*)$", said, re.MULTILINE))


def read_note(path: Path) -> Note | None:
    """The note, if there is one that can be read."""
    try:
        return Note.of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def run(module: AnsibleModule) -> dict[str, Any]:
    """Look, compare, act, note."""
    given = module.params
    unit = Unit(module, given["name"])
    path = NOTES / f"{given['name']}.json"
    shown = unit.show()
    if shown["LoadState"] == "not-found" and not module.check_mode:
        module.fail_json(
            msg=f"There is no unit {unit.name}. Install its package first. Nothing was changed."
        )
    # What it does not have to load is left alone from here on, whatever others write meanwhile.
    restart = service.read(map(Path, given["restart_paths"]), given["ignore_lines"])
    reload = service.read(map(Path, given["reload_paths"]), given["ignore_lines"])
    note = read_note(path)
    action = START
    if shown["ActiveState"] in RUNNING:
        action = service.action(service.times(shown), restart, reload, note)
        if given["restart"]:
            action = RESTART
        elif given["reload"] and action == NONE:
            action = RELOAD
    disabled = shown["UnitFileState"] == "disabled"
    result = {"changed": disabled or action != NONE, "action": action, "enabled": disabled}
    if module.check_mode:
        return result

    # Systemd 252 and earlier do not notice the first drop-in of a unit.
    if shown["NeedDaemonReload"] == "yes" or action in (START, RESTART):
        unit.module.run_command(["systemctl", "daemon-reload"], check_rc=True)
    if disabled:
        unit.systemctl("enable")
    if action != NONE:
        if given["validate"]:
            module.run_command(given["validate"], check_rc=True)
        loaded = "" if action == RESTART else restart.digest
        cut_off = Note(service.times(shown), loaded, reload.digest, complete=False)
        service.put_note(path, cut_off.as_data())
        unit.systemctl(action)
        shown = unit.show()
    complete = Note(service.times(shown), restart.digest, reload.digest, complete=True)
    if complete != note:
        service.put_note(path, complete.as_data())
    return result


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "restart_paths": {"type": "list", "elements": "path", "default": []},
            "reload_paths": {"type": "list", "elements": "path", "default": []},
            "ignore_lines": {"type": "str", "default": ""},
            "restart": {"type": "bool", "default": False},
            "reload": {"type": "bool", "default": False},
            "validate": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    module.exit_json(**run(module))


if __name__ == "__main__":
    main()
