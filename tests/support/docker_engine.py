"""The Docker engine of the machine that runs the tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from commands import ROOT

# As playbooks/lab.yml does it.
PLAY = """
- hosts: localhost
  connection: local
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - ansible.builtin.include_role: {name: bookface.platform.lab, tasks_from: engine.yml}
"""


def answers() -> bool:
    """Whether an engine is there and answers."""
    if not shutil.which("docker"):
        return False
    asked = subprocess.run(["docker", "info"], check=False, capture_output=True)
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
