"""The Docker engine of this machine, by its client."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.errors import HarnessError
from tests.support.paths import ROOT

# As playbooks/lab.yml does it.
PLAY = """
- hosts: localhost
  connection: local
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - ansible.builtin.include_role: {name: bookface.platform.lab, tasks_from: engine.yml}
"""


def client() -> list[str]:
    """The engine's client, as whoever may use it."""
    socket = Path("/var/run/docker.sock")
    may = not socket.exists() or os.access(socket, os.W_OK)
    return ["docker"] if may else ["sudo", "--non-interactive", "docker"]


def answers() -> bool:
    """Whether an engine is there and answers."""
    if not shutil.which("docker"):
        return False
    asked = subprocess.run([*client(), "info"], check=False, capture_output=True)
    return asked.returncode == 0


def see_it_run(directory: Path) -> None:
    """Install and start the engine if need be; the play is written to the directory."""
    if answers():
        return
    playbook = directory / "engine.yml"
    playbook.write_text(PLAY)
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), str(playbook)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]


def docker(*words: str, check: bool = True, text: str | None = None) -> str:
    """What a docker command prints. The builder is the one that every engine has."""
    done = subprocess.run(
        [*client(), *words],
        input=text,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
    )
    if check and done.returncode:
        said = (done.stderr + done.stdout[-2000:]).strip()
        raise HarnessError(f"docker {' '.join(words)[:200]}: {said}")
    return done.stdout.strip()
