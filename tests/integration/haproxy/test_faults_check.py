# SPDX-License-Identifier: GPL-3.0-or-later
"""``--check --diff`` on the command line of Ansible: it tells all and touches nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from faults import state, tree

if TYPE_CHECKING:
    from conftest import Lab

ROOT = Path(__file__).resolve().parents[3]


def ansible(lab: Lab, backend: str, *options: str, **more: str) -> str:
    """What ``ansible -m haproxy_default_backend`` prints."""
    arguments = " ".join(f"{k}={v}" for k, v in lab.arguments(backend=backend, **more).items())
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "adhoc", "localhost"),
            *("-e", f"ansible_python_interpreter={sys.executable}"),
            *("-m", "bookface.platform.haproxy_default_backend", "-a", arguments),
            *options,
        ],
        cwd=lab.directory,
        check=False,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections"),
            "ANSIBLE_NOCOLOR": "1",
        },
    )
    return done.stdout + done.stderr


def untouched(lab: Lab) -> tuple[object, ...]:
    """Everything that a run might leave a trace on."""
    status = lab.config.stat()
    return (
        lab.config.read_bytes(),
        (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_mode),
        (lab.map.read_bytes(), lab.map.stat().st_mtime_ns),
        tree(lab),
        (lab.pid(), lab.stats.info(5).started),
        state(lab),
    )


@pytest.mark.parametrize("engine", ["runtime", "reload"])
def test_check_and_diff_touch_nothing(lab: Lab, engine: str) -> None:
    before = untouched(lab)
    said = ansible(lab, "docker", "--check", "--diff", engine=engine)
    assert "localhost | CHANGED" in said, said
    assert "-    default_backend\tlegacy  # decides" in said
    assert "+    default_backend\tdocker  # decides" in said
    live = "+book-face docker" if engine == "runtime" else "+new worker, default_backend docker"
    assert live in said
    assert untouched(lab) == before


def test_check_of_what_is_refused_touches_nothing(lab: Lab) -> None:
    before = untouched(lab)
    said = ansible(lab, "dead", "--check", "--diff")
    assert "localhost | FAILED" in said, said
    assert "expected at least 1" in said
    assert "default_backend\tdead" not in said
    assert untouched(lab) == before


def test_check_of_what_is_done_touches_nothing(lab: Lab) -> None:
    assert lab.switch("docker")["changed"] is True
    before = untouched(lab)
    said = ansible(lab, "docker", "--check", "--diff")
    assert "localhost | SUCCESS" in said, said
    assert "default_backend\t" not in said
    assert untouched(lab) == before


def test_check_of_an_edit_by_hand_touches_nothing(lab: Lab) -> None:
    """Only the running HAProxy is behind: that is told, and left to the real run."""
    lab.config.write_text(lab.text(default="docker"))
    before = untouched(lab)
    said = ansible(lab, "docker", "--check", "--diff")
    assert "localhost | CHANGED" in said, said
    assert "+book-face docker" in said
    assert untouched(lab) == before
