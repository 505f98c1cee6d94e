#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_daemon
short_description: The Docker engine's daemon.json, on disk and in the running engine
version_added: 0.1.0
description:
  - Writes C(daemon.json) and brings the running engine to it. A reload where that suffices, a
    restart where a changed key needs one, nothing where nothing has changed.
  - The candidate is checked before it replaces the file, by C(dockerd --validate) where the engine
    knows that (23 and later), else by a list of all keys and the kinds of their values.
  - An engine that does not take the new file gets the old one back, and the module fails with the
    last lines of the journal.
  - A restart takes containers down only where they do not outlive the engine. Where the new
    file says C(live-restore) and the running engine does not know it yet, it is told first.
  - Log options and the like reach new containers only; that is the engine's own rule.
options:
  config:
    description:
      - What the file shall hold.
    type: dict
    required: true
  exclusive:
    description:
      - V(true) means that the file holds just O(config), V(false) that O(config) replaces these
        keys and the file keeps its others.
    type: bool
    default: true
  path:
    description:
      - The file.
    type: path
    default: /etc/docker/daemon.json
  wait:
    description:
      - Seconds that the engine has to take over a reload.
    type: int
    default: 15
attributes:
  check_mode:
    support: full
    description:
      - The candidate is checked for real; file and engine stay as they are.
  diff_mode:
    support: full
    description:
      - Shows the file.
  idempotent:
    support: full
    description:
      - The content is compared, not the layout. A run that was cut short before the engine had
        the new file is finished by the next.
  platform:
    support: full
    platforms: debian
    description:
      - Without systemd a running engine is reloaded, but never restarted; a warning says so.
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Rotate the containers' logs
  bookface.platform.docker_daemon:
    config:
      log-driver: json-file
      log-opts: {max-size: 10m, max-file: "3"}
      live-restore: true

- name: Let containers outlive the engine while it is replaced
  bookface.platform.docker_daemon:
    config: {live-restore: true}
    exclusive: false
"""

RETURN = r"""
action:
  description: What the running engine needs, V(none), V(reload) or V(restart).
  returned: success
  type: str
  sample: reload
backup:
  description: Copy of a file that this module had not written.
  returned: when such a file was replaced
  type: str
running:
  description: Whether the engine runs.
  returned: success
  type: bool
enabled:
  description: Whether systemd starts it at every boot.
  returned: success
  type: bool
journal:
  description: What the engine last said.
  returned: when the engine did not take the file
  type: list
  elements: str
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.docker import (
    daemon as docker_daemon,
)
from ansible_collections.bookface.platform.plugins.module_utils.docker.daemon import (
    DaemonConfigError,
)
from ansible_collections.bookface.platform.plugins.module_utils.docker.engine import (
    PENDING,
    Engine,
    EngineError,
    parse,
)
from ansible_collections.bookface.platform.plugins.module_utils.text_file import put

UNTOUCHED = "Nothing was changed."


def validate(module: AnsibleModule, config: Mapping[str, Any], text: str) -> None:
    """Refuse what the installed engine would not take."""
    docker_daemon.check(config, unknown=False)
    dockerd = module.get_bin_path("dockerd", opt_dirs=["/usr/sbin", "/usr/bin"])
    if dockerd:
        handle, candidate = tempfile.mkstemp(dir=module.tmpdir, suffix=".json")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        module.add_cleanup_file(candidate)
        code, out, err = module.run_command(
            [dockerd, "--validate", f"--config-file={candidate}"], environ_update={"LC_ALL": "C"}
        )
        if code == 0:
            return
        if "unknown flag: --validate" not in out + err:
            said = (err + out).strip().splitlines()
            raise DaemonConfigError(
                f"dockerd refuses it: {said[-1] if said else 'no reason given'}"
            )
    # An engine before 23 cannot be asked. One that is still to come may know newer keys than we.
    docker_daemon.check(config, unknown=dockerd is not None)


def check_swarm(config: Mapping[str, Any]) -> None:
    """Refuse live-restore on a node of a swarm, before the engine does so by not starting."""
    state = Path(config.get("data-root", "/var/lib/docker")) / "swarm/docker-state.json"
    if config.get("live-restore") and state.exists():
        raise DaemonConfigError(
            "live-restore is true, but this machine is a node of a swarm, and the engine refuses"
            " both together. Set docker_ce_swarm: true for it, or let it leave the swarm"
        )


def bring(engine: Engine, action: str, live_restore: bool, seconds: float) -> None:
    """Bring the running engine to the file."""
    if action == "restart" and live_restore and engine.process() and not engine.outlived():
        engine.reload(seconds)
    if action == "reload":
        engine.reload(seconds)
    else:
        engine.restart()


def run(module: AnsibleModule) -> dict[str, Any]:
    """Read, plan, check, apply, and back if the engine does not take it."""
    path = Path(module.params["path"])
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    there = parse(before)
    config = dict(module.params["config"])
    if not module.params["exclusive"]:
        config = {**(there or {}), **config}
    check_swarm(config)
    after = docker_daemon.render(config)
    engine = Engine(module)
    pending = PENDING.read_text(encoding="ascii").strip() if PENDING.exists() else "none"
    same = there == config and bool(before)
    action = "restart" if there is None else docker_daemon.action(there, config)
    if action == "none" or pending == "restart":
        action = pending
    result: dict[str, Any] = {"changed": not same or action != "none", "action": action}
    if not same:
        validate(module, config, after)
        result["diff"] = {
            "before_header": str(path),
            "after_header": str(path),
            "before": before,
            "after": after,
        }
    if module.check_mode or not result["changed"]:
        return result

    running = engine.process() != 0
    if running and action != "none":
        PENDING.write_text(f"{action}\n", encoding="ascii")
    if not same:
        if before and (there is None or docker_daemon.render(there) != before):
            result["backup"] = module.backup_local(str(path))
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        put(module, path, after)
    if not running or action == "none":
        PENDING.unlink(missing_ok=True)
        return result
    if action == "restart" and not engine.systemd:
        PENDING.unlink(missing_ok=True)
        module.warn(
            f"{path} has changed in a way that only a restart of the engine brings into effect."
            " Without systemd it is not restarted: do that when its containers may stop."
        )
        return result
    try:
        bring(engine, action, bool(config.get("live-restore")), module.params["wait"])
    except EngineError as error:
        if before:
            put(module, path, before)
        else:
            path.unlink()
        again = "has the old one back and runs"
        try:
            engine.restart()
        except EngineError:
            again = "does not run with the old one either"
        PENDING.unlink(missing_ok=True)
        module.fail_json(
            msg=(
                f"The engine {error} with the new {path} and {again}."
                f" Its last words: {' / '.join(error.journal[-4:])}"
            ),
            journal=error.journal,
            action=action,
        )
    PENDING.unlink(missing_ok=True)
    return result


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={
            "config": {"type": "dict", "required": True},
            "exclusive": {"type": "bool", "default": True},
            "path": {"type": "path", "default": "/etc/docker/daemon.json"},
            "wait": {"type": "int", "default": 15},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except DaemonConfigError as error:
        module.fail_json(msg=f"{module.params['path']}: {error}. {UNTOUCHED}")
    module.exit_json(**result, **Engine(module).state())


if __name__ == "__main__":
    main()
