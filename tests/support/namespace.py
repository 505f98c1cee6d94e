"""A mount namespace: what programs write to directories of this machine is gone in the end."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT


@dataclass(frozen=True)
class Namespace:
    """Runs programs as if the directories were its own."""

    pid: int

    def enter(self, *command: str) -> list[str]:
        """A command as it is to be started to run inside."""
        return ["nsenter", f"--target={self.pid}", "--mount", f"--wd={ROOT}", *command]

    def run(
        self, *command: str, env: Mapping[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's root."""
        done = subprocess.run(
            self.enter(*command), env=env, check=False, capture_output=True, text=True
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done


@contextlib.contextmanager
def namespace(
    room: Path, *, copied: Sequence[str] = (), empty: Sequence[str] = ()
) -> Iterator[Namespace]:
    """Directories that exist are C(copied) into the room, or C(empty) in the beginning."""
    setup = ["set -e", "mount --make-rprivate /"]
    for number, directory in enumerate((*copied, *empty)):
        place = room / f"mount{number}"
        if directory in copied:
            subprocess.run(["cp", "-a", directory, place], check=True)
        else:
            place.mkdir()
            subprocess.run(["chown", f"--reference={directory}", str(place)], check=True)
            subprocess.run(["chmod", f"--reference={directory}", str(place)], check=True)
        setup.append(f"mount --bind {place} {directory}")
    setup += ["echo ready", "exec sleep infinity"]
    command = ["unshare", "--mount", "sh", "-c", "\n".join(setup)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as holder:
        try:
            assert holder.stdout
            assert holder.stderr
            assert holder.stdout.readline() == "ready\n", holder.stderr.read()
            yield Namespace(holder.pid)
        finally:
            holder.kill()
