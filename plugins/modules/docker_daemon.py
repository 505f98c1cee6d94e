#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_daemon
short_description: Manage the Docker engine's daemon.json, on disk and in the running engine
version_added: 0.1.0
description:
  - Writes C(daemon.json) and applies it to the running engine, with a reload if that suffices, or
    with a restart if a changed key requires one.
  - The new content is validated before it replaces the file, with C(dockerd --validate) if the
    engine supports that (23 and later), otherwise against a list of keys and types.
  - If the engine does not accept the new file, the old one is restored, and the module fails with
    the end of the engine's journal.
  - If the new file sets C(live-restore) and the running engine does not use it yet, the engine is
    reloaded before it is restarted, so that containers keep running.
  - Log options and the like apply to new containers only, as always with the engine.
options:
  config:
    description:
      - Content of the file.
    type: dict
    required: true
  exclusive:
    description:
      - Whether the file contains O(config) only. If V(false), other keys of the file are kept.
    type: bool
    default: true
  path:
    description:
      - Path of the file.
    type: path
    default: /etc/docker/daemon.json
  wait:
    description:
      - Seconds to wait until the engine has reloaded.
    type: int
    default: 15
attributes:
  check_mode:
    support: full
    description:
      - Validates the new content; file and engine are not changed.
  diff_mode:
    support: full
    description:
      - Shows the file.
  idempotent:
    support: full
    description:
      - Compares the content, not the layout. If a run was interrupted before the engine had loaded
        the new file, the next run completes it.
  platform:
    support: full
    platforms: debian
    description:
      - Without systemd, a running engine is reloaded, but never restarted. The module warns then.
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

- name: Keep containers running while the engine is replaced
  bookface.platform.docker_daemon:
    config: {live-restore: true}
    exclusive: false
"""

RETURN = r"""
action:
  description: What the running engine needs to apply the change, V(none), V(reload) or V(restart).
  returned: success
  type: str
  sample: reload
backup:
  description: Copy of the old file.
  returned: when the old file was not written by this module
  type: str
running:
  description: Whether the engine runs.
  returned: success
  type: bool
enabled:
  description: Whether systemd starts the engine at boot.
  returned: success
  type: bool
journal:
  description: The end of the engine's journal.
  returned: when the engine did not accept the file
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
    """Reject what the installed engine does not accept."""
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
                f"dockerd rejects it: {said[-1] if said else 'no reason given'}"
            )
    # Engines before 23 cannot validate. An engine that is not installed yet may support newer keys.
    docker_daemon.check(config, unknown=dockerd is not None)


def check_swarm(config: Mapping[str, Any]) -> None:
    """Reject live-restore on a node of a swarm, where the engine would not start with it."""
    state = Path(config.get("data-root", "/var/lib/docker")) / "swarm/docker-state.json"
    if config.get("live-restore") and state.exists():
        raise DaemonConfigError(
            "live-restore is true, but this host is a node of a swarm, where the engine does not"
            " support it. Set docker_ce_swarm: true for the host, or let it leave the swarm"
        )


def bring(engine: Engine, action: str, live_restore: bool, seconds: float) -> None:
    """Let the running engine load the file."""
    if action == "restart" and live_restore and engine.process() and not engine.outlived():
        engine.reload(seconds)
    if action == "reload":
        engine.reload(seconds)
    else:
        engine.restart()


def run(module: AnsibleModule) -> dict[str, Any]:
    """Read, plan, validate, apply; restore the old file if the engine rejects the new one."""
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
            f"{path} has changed, and only a restart of the engine applies the change. Without"
            " systemd this module does not restart it: do so when its containers may stop."
        )
        return result
    try:
        bring(engine, action, bool(config.get("live-restore")), module.params["wait"])
    except EngineError as error:
        if before:
            put(module, path, before)
        else:
            path.unlink()
        again = "It runs with the old file again."
        try:
            engine.restart()
        except EngineError:
            again = "It does not run with the old file either."
        PENDING.unlink(missing_ok=True)
        module.fail_json(
            msg=(
                f"The engine {error} with the new {path}. {again}"
                f" The end of its journal: {' / '.join(error.journal[-4:])}"
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
