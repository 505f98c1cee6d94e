# SPDX-License-Identifier: GPL-3.0-or-later
"""The role web_containers, run by ansible-playbook against this machine's own Docker engine.

Database, load balancer and image are real and made once; each test says what it starts from.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import rolling
from tests.support.commands import failures, kill_tree, recap
from tests.support.engine import docker, see_it_run
from tests.support.rolling import HOST, Site
from tests.support.waiting import until


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site, before its first container."""
    see_it_run(tmp_path_factory.mktemp("engine"))
    with rolling.site() as made:
        yield made


@pytest.fixture
def site(shared: Site) -> Site:
    """The site with both containers serving, whatever the test before has left."""
    if not settled(shared):
        shared.converge()
        shared.wanted = shared.containers()
        until(shared.serving, "both servers")
    return shared


def settled(site: Site) -> bool:
    """Whether the very containers run that were last converged to."""
    return bool(site.wanted) and site.containers() == site.wanted and site.serving()


def keep(site: Site, **variables: Any) -> None:
    """What a test has converged to is what the next one starts from: nothing is converged back."""
    site.kept |= variables
    site.wanted = site.containers()


def other(site: Site) -> dict[str, Any]:
    """A setting that replaces both containers."""
    return {"web_containers_log_files": int(site.kept.get("web_containers_log_files", 3)) + 1}


def changed(done: subprocess.CompletedProcess[str]) -> int:
    """How many tasks of a good run have changed something."""
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-500:]
    return recap(done.stdout)[HOST]["changed"]


def messages(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Host → why its last task failed, without line breaks."""
    assert done.returncode != 0, done.stdout[-3000:]
    return {host: " ".join(text.split()) for host, text in failures(done.stdout)}


def message(done: subprocess.CompletedProcess[str]) -> str:
    """Why the role failed in the end."""
    return messages(done)[HOST]


@contextmanager
def begun(site: Site, task: str, **variables: object) -> Iterator[subprocess.Popen[bytes]]:
    """A run of the role that has just said that it begins this task; waited for, unless ended.

    What it prints is in C(begun.log) of the site's directory.
    """
    output = site.directory / "begun.log"
    with output.open("w") as log:
        program = subprocess.Popen(
            site.command(rolling.PLAYS, (), site.variables(**variables)),
            cwd=rolling.ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=rolling.environment(),
            start_new_session=True,
        )
    try:
        until(lambda: f"{task}]" in output.read_text(), task, 90)
        yield program
        program.wait(120)
    finally:
        kill_tree(program)


def killed_at(site: Site, task: str, **variables: object) -> None:
    """Run the role, and kill it as soon as it says that it begins this task."""
    with begun(site, task, **variables) as program:
        kill_tree(program)


def state(name: str) -> str:
    """A container's state, as Docker has it."""
    return docker("inspect", "--format", "{{.State.Status}}", name)


def process(name: str) -> Path:
    """Where the kernel shows the first process of a container."""
    return Path("/proc") / docker("inspect", "--format", "{{.State.Pid}}", name)
