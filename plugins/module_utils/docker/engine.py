# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker engine of this host: its process, its service, its configuration file."""

from __future__ import annotations

import os
import signal
import time
import urllib.parse
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.docker import api, unit, use
from ansible_collections.bookface.platform.plugins.module_utils.docker.daemon import (
    DaemonConfigError,
    load,
)
from ansible_collections.bookface.platform.plugins.module_utils.docker.ownership import Record
from ansible_collections.bookface.platform.plugins.module_utils.docker.plan import Host, data_root
from ansible_collections.bookface.platform.plugins.module_utils.text_file import read

# Exists while the running engine has yet to load the file. A boot loads it anyway.
PENDING = Path("/run/bookface-docker-daemon.pending")
# This host's engine, whatever contexts and variables of the environment the client follows.
SOCKET = "/var/run/docker.sock"
DOCKER = ("docker", "--host", f"unix://{SOCKET}")
ADDRESSES = (f"unix://{SOCKET}", "unix:///run/docker.sock")
_RECORD = ".record.json"


class EngineError(Exception):
    """The engine does not accept the file; C(journal) says why."""

    def __init__(self, problem: str, journal: list[str]) -> None:
        super().__init__(problem)
        self.journal = journal


def record_path(path: str) -> Path:
    """The record of what is ours, beside the engine's file."""
    return Path(path + _RECORD)


class Engine:
    """The engine and its service manager."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.systemd = Path("/run/systemd/system").is_dir()

    def run(self, *command: str) -> tuple[int, str]:
        code, out, err = self.module.run_command(list(command), environ_update={"LC_ALL": "C"})
        return code, out + err

    def process(self) -> int:
        """The PID of the engine; 0 if it does not run."""
        if self.systemd:
            said = self.run("systemctl", "show", "--property=MainPID", "--value", "docker")[1]
            return int(said.strip() or 0)
        try:
            number = int(Path("/run/docker.pid").read_text(encoding="ascii"))
            name = Path(f"/proc/{number}/comm").read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return 0
        return number if name == "dockerd" else 0

    def state(self) -> dict[str, bool]:
        """Whether the engine runs, and whether systemd starts it at boot."""
        if not self.systemd:
            return {"running": self.process() != 0, "enabled": False}
        asked = "--property=ActiveState,UnitFileState"
        said = self.run("systemctl", "show", asked, "docker")[1].splitlines()
        return {
            "running": "ActiveState=active" in said,
            "enabled": "UnitFileState=enabled" in said,
        }

    def ask(self, path: str) -> Any:
        """An answer of the engine's API; None if it does not answer, or not with success."""
        try:
            return api.ask(SOCKET, path, 30)
        except api.ApiError:
            return None

    def version(self, client: bool = False) -> str:
        """The version of the engine that answers, or of the one that the client asks; or empty."""
        version = str((self.ask("/version") or {}).get("Version", ""))
        if version or not client or not self.module.get_bin_path("docker"):
            return version
        code, said = self.run("docker", "version", "--format", "{{.Server.Version}}")
        return said.strip() if code == 0 else ""

    def elsewhere(self) -> str:
        """What leads the client of this account to another engine; empty if nothing does."""
        host = os.environ.get("DOCKER_HOST", "")
        if host:
            return "" if host in ADDRESSES else f"DOCKER_HOST={host}"
        if not self.module.get_bin_path("docker"):
            return ""
        shown = "{{.Name}} {{.Endpoints.docker.Host}}"
        code, said = self.run("docker", "context", "inspect", "--format", shown)
        if code:
            # Such as one that was removed while it was used.
            return f"a docker context that cannot be read ({' '.join(said.split())})"
        name, address = [*said.split(), "", ""][:2]
        return "" if address in ADDRESSES else f"the docker context {name} ({address})"

    def has_image(self, reference: str) -> bool:
        """Whether an engine that answers has an image of this name."""
        return self.ask(f"/images/{urllib.parse.quote(reference)}/json") is not None

    def use(self, root: str) -> use.Use:
        """What the engine has; if it does not answer, what its directory contains."""
        info = self.ask("/info")
        lists = [self.ask(f"/{of}") for of in ("containers/json?all=1", "images/json", "volumes")]
        if info is None or None in lists:
            return use.on_disk(root)
        containers, images, volumes = lists
        return use.of_engine(info, containers, images, volumes.get("Volumes") or [])

    def installed(self) -> bool:
        return bool(self.module.get_bin_path("dockerd", opt_dirs=["/usr/sbin", "/usr/bin"]))

    def flags(self) -> dict[str, unit.Flag]:
        """Options that the engine's unit, or its init script, gives as flags."""
        if self.systemd:
            code, text = self.run("systemctl", "cat", "docker.service")
            text = unit.PACKAGED if code else text
        else:
            text = unit.INIT_SCRIPT
        return unit.flags(text, lambda path: read(Path(path)))

    def look(self, path: str) -> Host:
        """All that a plan for the engine's configuration depends on."""
        text, flags = read(Path(path)), self.flags()
        try:
            there = load(text)
        except DaemonConfigError:
            # The plan will say so.
            there = {}
        return Host(
            path=path,
            text=text,
            record=Record.parse(read(record_path(path))),
            flags=flags,
            installed=self.installed(),
            use=self.use(data_root(there, flags)),
        )

    def journal(self, since: float) -> list[str]:
        """Lines of the engine's journal since then; none without systemd."""
        if not self.systemd:
            return []
        command = ["journalctl", "--unit=docker", "--output=cat", "--no-pager"]
        lines = self.run(*command, f"--since=@{since:.6f}")[1].splitlines()
        return [line for line in lines if line and not line.startswith("-- ")]

    def reload(self, seconds: float) -> None:
        """Reload the engine, and wait until it has loaded the file."""
        before = time.time()
        code, said = 0, "no output"
        if self.systemd:
            code, said = self.run("systemctl", "reload", "docker")
        else:
            os.kill(self.process(), signal.SIGHUP)
        end = time.monotonic() + seconds
        while code == 0 and time.monotonic() < end:
            if self.reloaded(before):
                return
            time.sleep(0.1)
        raise EngineError("did not reload", self.journal(before)[-12:] or [said])

    def reloaded(self, since: float) -> bool:
        """Whether the engine has loaded the file since then. Its log may be too quiet to say so."""
        command = [*DOCKER, "events", "--filter", "type=daemon", "--filter", "event=reload"]
        command += [f"--since={since:.6f}", f"--until={time.time():.6f}", "--format={{.Action}}"]
        code, said = self.run(*command)
        return code == 0 and "reload" in said.split()

    def restart(self) -> None:
        """Restart or start the engine. Its unit waits until it is ready."""
        before = time.time()
        # The start limit is meant for an engine that crashes, not for frequent changes.
        self.run("systemctl", "reset-failed", "docker.service", "docker.socket")
        code, said = self.run("systemctl", "restart", "docker.service")
        if code:
            raise EngineError("did not restart", self.journal(before)[-12:] or [said])

    def outlived(self) -> bool:
        """Whether containers keep running without the engine."""
        return bool((self.ask("/info") or {}).get("LiveRestoreEnabled"))
