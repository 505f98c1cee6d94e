"""A Docker engine of a test's own: in namespaces beside this machine's, which it does not touch."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.errors import HarnessError
from tests.support.paths import PATH
from tests.support.waiting import until

# An empty /run hides the engine of this machine; of networks there is the loopback and a bridge.
START = """
mount -t tmpfs tmpfs /run
mkdir /run/cgroup
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --rbind /run/cgroup /sys/fs/cgroup
ip link set lo up
ip link add site0 type bridge
ip address add {address}/24 dev site0
ip link set site0 up
cd {directory}
echo {{}} > daemon.json
{engine}
while sleep 1; do :; done
"""
# Started in the directory.
ENGINE = (
    "dockerd --config-file daemon.json --data-root $PWD/data --storage-driver vfs >> log 2>&1 &"
)

UNSHARE = ("unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child")


class OwnEngine:
    """The engine, and what is run beside it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.directory = Path(tempfile.mkdtemp(prefix="engine-"))
        self.log = self.directory / "log"
        self._program: subprocess.Popen[bytes] | None = None
        self._inside: list[str] = []

    def open(self) -> None:
        """Start it. Wants root."""
        script = START.format(address=self.address, directory=self.directory, engine=ENGINE)
        self._program = subprocess.Popen(
            [*UNSHARE, "sh", "-ec", script],
            env={**os.environ, "PATH": PATH},
        )
        children = Path(f"/proc/{self._program.pid}/task/{self._program.pid}/children")
        until(lambda: children.read_text().split(), "the engine's namespaces", 10)
        (first,) = children.read_text().split()
        self._inside = ["nsenter", "--target", first, "--mount", "--net", "--pid", "--"]
        until(
            lambda: self.log.exists() and self._run("docker", "info").returncode == 0,
            lambda: f"an engine that answers: {self.log.read_text()[-2000:]}",
            30,
        )

    def restart(self) -> None:
        """Stop it as a service manager does, and start it again."""
        self.run("pkill", "--exact", "dockerd")
        until(lambda: self._run("pgrep", "--exact", "dockerd").returncode == 1, "its end", 60)
        self.run("sh", "-ec", f"cd {self.directory}; {ENGINE}")
        until(lambda: self._run("docker", "info").returncode == 0, "an engine that answers", 60)

    def close(self) -> None:
        """End it, with all that it runs."""
        if self._program is not None:
            self._run("docker", "swarm", "leave", "--force")
            names = self._run("docker", "ps", "--quiet").stdout.split()
            if names:
                self._run("docker", "rm", "--force", *names)
            self._program.send_signal(signal.SIGKILL)
            self._program.wait(20)
        shutil.rmtree(self.directory, ignore_errors=True)

    def inside(self, command: Sequence[str]) -> list[str]:
        """A command, so that it runs where the engine does."""
        return [*self._inside, *command]

    def reaching(self, command: Sequence[str]) -> list[str]:
        """A command of this machine in the engine's network alone; it gets the signals itself."""
        return [*self._inside[:3], "--net", "--", *command]

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.inside(command), check=False, capture_output=True, text=True, cwd="/"
        )

    def run(self, *command: str) -> str:
        """What a command prints that runs beside the engine."""
        done = self._run(*command)
        if done.returncode:
            raise HarnessError(f"{' '.join(command)[:200]}: {done.stderr}{done.stdout[-2000:]}")
        return done.stdout.strip()

    def docker(self, *words: str) -> str:
        """What a docker command prints."""
        return self.run("docker", *words)


@contextlib.contextmanager
def engine(address: str) -> Iterator[OwnEngine]:
    """An engine whose machine has this address, gone afterwards."""
    made = OwnEngine(address)
    try:
        made.open()
        yield made
    finally:
        made.close()
