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
  - Changes settings in C(daemon.json) and applies them to the running engine, with a reload if that
    suffices, or with a restart if a changed key requires one.
  - Settings that others have written are kept. A record beside the file,
    C(daemon.json.record.json), tells which are from this module. When these are no longer wanted,
    they are removed, and what they had replaced comes back. A setting that somebody has changed
    since is left as it is.
  - A file that cannot be rewritten without a loss is rejected, with the line. That is one with
    comments, with duplicate keys, or with anything but an object. So is a setting that the
    engine's unit gives as a flag, since the engine does not start then.
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
      - Settings to write. Nested dictionaries are merged, lists replaced.
      - Null means that the setting is not ours, and that its default is not applied.
    type: dict
    default: {}
  defaults:
    description:
      - Settings to write where neither O(config) nor somebody else has decided. They apply to an
        engine that was installed after the first run of this module, and has only containers,
        images and volumes of the platform. On an engine in use they are returned as RV(proposed),
        except for C(live-restore), which changes nothing that runs.
    type: dict
    default: {}
  swarm:
    description:
      - Whether the host belongs to a swarm, or is about to join one. Sets C(live-restore) to false.
    type: bool
    default: false
  prune:
    description:
      - Whether settings that this module wrote earlier are removed if they are no longer wanted.
    type: bool
    default: true
  abandon_data:
    description:
      - Whether containers, images and volumes may be hidden from the engine by another
        C(data-root), C(storage-driver), C(userns-remap), containerd or C(containerd-snapshotter).
    type: bool
    default: false
  state:
    description:
      - If V(absent), everything that this module wrote is removed, and the file if nothing is left.
        The engine does not load that.
    type: str
    choices: [present, absent]
    default: present
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
      - Shows the settings, before and after, in the layout in which they are written.
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
    prune: false
"""

RETURN = r"""
action:
  description: What the running engine needs to apply the change, V(none), V(reload) or V(restart).
  returned: success
  type: str
  sample: reload
backup:
  description: Copy of the old file.
  returned: when the old file was not laid out by this module
  type: str
proposed:
  description: Those of O(defaults) that were left out because the engine is in use.
  returned: success
  type: dict
reason:
  description: Why the engine counts as in use. Empty if it does not.
  returned: success
  type: str
  sample: has 2 containers, 1 image
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
    record_path,
)
from ansible_collections.bookface.platform.plugins.module_utils.docker.plan import (
    Host,
    Plan,
    Request,
    plan,
    release,
)
from ansible_collections.bookface.platform.plugins.module_utils.text_file import put

UNTOUCHED = "Nothing was changed."


def validate(module: AnsibleModule, plan: Plan, text: str) -> None:
    """Reject what the installed engine does not accept."""
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
    ours = {key: plan.config[key] for key in plan.record.written}
    docker_daemon.check(ours, unknown=dockerd is not None)


def bring(engine: Engine, action: str, live_restore: bool, seconds: float) -> None:
    """Let the running engine load the file."""
    if action == "restart" and live_restore and engine.process() and not engine.outlived():
        engine.reload(seconds)
    if action == "reload":
        engine.reload(seconds)
    else:
        engine.restart()


def write(module: AnsibleModule, path: Path, plan: Plan, host: Host) -> dict[str, Any]:
    """Write the file; without a setting there is none."""
    result = {}
    if host.text and (host.record is None or docker_daemon.render(plan.before) != host.text):
        result["backup"] = module.backup_local(str(path))
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if plan.config:
        # A link stays one.
        put(module, path.resolve(), docker_daemon.render(plan.config))
    else:
        path.unlink(missing_ok=True)
    return result


def remember(module: AnsibleModule, plan: Plan, host: Host) -> None:
    """Write the record. It is no setting: it changes nothing that anybody sees."""
    if plan.record != host.record:
        path = record_path(host.path)
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        put(module, path, plan.record.render())


def shown(plan: Plan, path: str) -> dict[str, str]:
    """The difference, without that of the layouts."""
    before, after = (
        docker_daemon.render(config) if config else "" for config in (plan.before, plan.config)
    )
    return {"before_header": path, "after_header": path, "before": before, "after": after}


def forget(module: AnsibleModule, request: Request, host: Host) -> dict[str, Any]:
    """Take away what is ours; the engine is gone."""
    plan = release(request, host)
    result: dict[str, Any] = {"changed": plan.changed, "action": "none"}
    if plan.changed:
        result["diff"] = shown(plan, host.path)
    if not module.check_mode:
        if plan.changed:
            result |= write(module, Path(host.path), plan, host)
        record_path(host.path).unlink(missing_ok=True)
        PENDING.unlink(missing_ok=True)
    return result


def run(module: AnsibleModule) -> dict[str, Any]:
    """Look, plan, validate, apply; restore the old file if the engine rejects the new one."""
    path = Path(module.params["path"])
    engine = Engine(module)
    host = engine.look(str(path))
    request = Request(
        config=module.params["config"],
        defaults=module.params["defaults"],
        swarm=module.params["swarm"],
        abandon_data=module.params["abandon_data"],
        prune=module.params["prune"],
    )
    if module.params["state"] == "absent":
        return forget(module, request, host)

    made = plan(request, host)
    pending = PENDING.read_text(encoding="ascii").strip() if PENDING.exists() else "none"
    action = docker_daemon.action(made.before, made.config)
    if action == "none" or pending == "restart":
        action = pending
    result: dict[str, Any] = {
        "changed": made.changed or action != "none",
        "action": action,
        "proposed": made.proposed,
        "reason": made.reason,
    }
    if made.changed:
        validate(module, made, docker_daemon.render(made.config))
        result["diff"] = shown(made, str(path))
    if module.check_mode:
        return result
    if not result["changed"]:
        remember(module, made, host)
        return result

    running = engine.process() != 0
    if running and action != "none":
        PENDING.write_text(f"{action}\n", encoding="ascii")
    # First, so that an interrupted run leaves nothing of ours that is not known as such.
    remember(module, made, host)
    if made.changed:
        result |= write(module, path, made, host)
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
        bring(engine, action, bool(made.config.get("live-restore")), module.params["wait"])
    except EngineError as error:
        restore(module, path, host)
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


def restore(module: AnsibleModule, path: Path, host: Host) -> None:
    """Put the old file and the old record back."""
    record = record_path(host.path)
    for file, text in (
        (path, host.text),
        (record, host.record.render() if host.record else ""),
    ):
        if text:
            put(module, file.resolve(), text)
        else:
            file.unlink(missing_ok=True)


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={
            "config": {"type": "dict", "default": {}},
            "defaults": {"type": "dict", "default": {}},
            "swarm": {"type": "bool", "default": False},
            "prune": {"type": "bool", "default": True},
            "abandon_data": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
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
