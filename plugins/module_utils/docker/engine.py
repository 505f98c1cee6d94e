# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker engine of this host: its process, its service, its configuration file."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

# Exists while the running engine has yet to load the file. A boot loads it anyway.
PENDING = Path("/run/bookface-docker-daemon.pending")


class EngineError(Exception):
    """The engine does not accept the file; C(journal) says why."""

    def __init__(self, problem: str, journal: list[str]) -> None:
        super().__init__(problem)
        self.journal = journal


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

    def version(self) -> str:
        """The version of the engine that answers; empty if none does."""
        if not self.module.get_bin_path("docker"):
            return ""
        code, said = self.run("docker", "version", "--format", "{{.Server.Version}}")
        return said.strip() if code == 0 else ""

    def has_image(self, reference: str) -> bool:
        """Whether an engine that answers has an image of this name."""
        return self.run("docker", "image", "inspect", "--format", "{{.Id}}", reference)[0] == 0

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
        command = ["docker", "events", "--filter", "type=daemon", "--filter", "event=reload"]
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
        code, said = self.run("docker", "info", "--format", "{{.LiveRestoreEnabled}}")
        return code == 0 and said.strip() == "true"


def parse(text: str) -> dict[str, Any] | None:
    """The content of a daemon.json; None if it cannot be parsed."""
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
