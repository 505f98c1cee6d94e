"""What tests on machines share: Ansible as a user runs it, and a page asked for from a machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from testinfra.host import Host

ROOT = Path(__file__).resolve().parents[2]


def ansible(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of Ansible's in the project's root, on the machines under test."""
    return subprocess.run(
        [program, "-i", os.environ["BOOKFACE_INVENTORY"], *arguments],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        check=False,
        capture_output=True,
        text=True,
    )


def ask(host: Host, url: str, *options: str) -> tuple[int, str]:
    """Status (0 where nobody answers) and body of a page, asked by curl on a machine."""
    done = host.run(f"curl -s -m 10 -w '\\n%{{http_code}}' {' '.join(options)} '{url}'")
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body
