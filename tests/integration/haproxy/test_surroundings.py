# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration is validated as its HAProxy runs: environment, directory, options."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.surroundings import (
    of_process,
)
from conftest import haproxy_program

if TYPE_CHECKING:
    from conftest import Lab

# Only with these variables, in this directory, and with this option is it valid.
NEEDS = """\
    errorfile 503 errors/503.http
    stats uri "${STATS_URI}"
peers others
    peer "${PEER_NAME}" 127.0.0.1:"${PEER_PORT}"
backend resolved
    server later no-such-name.invalid:80 check
"""
LATER = 'frontend later\n    bind "127.0.0.1:${LATER_PORT}"\n'
# Where root alone can write.
OURS = "/var/lib"
ENVIRONMENT = {"STATS_URI": "/stats", "PEER_NAME": "us", "PEER_PORT": "0"}


def start(lab: Lab, directory: Path, *options: str, **variables: str) -> None:
    text = lab.text()
    # The first of the lines belong to defaults.
    first, rest = NEEDS.split("peers", 1)
    lab.config.write_text(text.replace("# the public", f"{first}# the public") + f"peers{rest}")
    (lab.directory / "site" / "errors").mkdir(parents=True)
    (lab.directory / "site" / "errors" / "503.http").write_text("HTTP/1.0 503 No\r\n\r\nno\n")
    variables["PEER_PORT"] = str(lab.port + 1)
    command = [haproxy_program(), "-W", "-S", str(lab.master), *options, "-f", str(lab.config)]
    with (lab.directory / "log").open("ab") as log:
        lab.process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            cwd=directory,
            env={"PATH": os.environ["PATH"]} | variables,
        )

    def ready() -> bool:
        assert lab.process
        assert lab.process.poll() is None, (lab.directory / "log").read_text()
        return lab.answers() is not None and lab.checked()

    lab.until(ready, "HAProxy and its first checks")


def adopt(lab: Lab) -> dict[str, Any]:
    block = "backend new\n    mode http\n    server n1 127.0.0.1:9\n"
    return lab.end(lab.begin("haproxy_adopt", {"config": str(lab.config), "backends": block}))


@pytest.mark.parametrize("by_option", [False, True])
def test_as_the_process_runs(stopped: Lab, by_option: bool) -> None:
    lab, home = stopped, stopped.directory / "site"
    options = ["-dr", "-L", "us", *(["-C", str(home)] if by_option else [])]
    start(lab, lab.directory if by_option else home, *options, **ENVIRONMENT)
    done = lab.switch("docker")
    assert (done.get("changed"), lab.traffic()) == (True, "docker"), done
    assert adopt(lab)["changed"]
    lab.reload()
    assert lab.switch("legacy", engine="reload")["changed"]
    assert lab.traffic() == "legacy"


def test_what_the_environment_lacks_is_named(stopped: Lab) -> None:
    """The file came to use a variable after HAProxy had started without it."""
    lab = stopped
    lab.start()
    lab.config.write_text(lab.text() + LATER)
    assert lab.process
    for result in (lab.switch("docker"), adopt(lab)):
        assert result["reason"] == "invalid", result
        assert "It uses ${LATER_PORT}, which the environment of process" in result["msg"]
    lab.stop()
    for result in (lab.switch("docker", engine="file"), adopt(lab)):
        assert "It uses ${LATER_PORT}, and no HAProxy runs with this file" in result["msg"]


def test_a_variable_of_ours_is_not_the_services(
    stopped: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = stopped
    lab.start()
    lab.config.write_text(lab.text() + LATER)
    monkeypatch.setenv("LATER_PORT", "1234")
    assert "It uses ${LATER_PORT}" in lab.switch("docker")["msg"]


@contextmanager
def pretender(
    directory: str | None, files: list[str], *prefix: str, **more: Any
) -> Iterator[tuple[str, int]]:
    """A program of this name in a new directory there, and a process of it: path and number."""
    with tempfile.TemporaryDirectory(dir=directory) as made:
        public = Path(made)
        public.chmod(0o755)
        shutil.copy("/bin/sh", public / "haproxy")
        (public / "wait").write_text("echo $$; read -r line")
        program = str(public / "haproxy")
        command = [*prefix, program, str(public / "wait"), "-f", *files]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, **more) as process:
            assert process.stdout
            try:
                process.stdout.readline()
                children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
                yield program, int(children.split()[0]) if prefix else process.pid
            finally:
                process.communicate("")


@pytest.mark.parametrize(
    ("directory", "more", "found", "usable"),
    [
        (OURS, {"user": "root"}, True, True),
        (OURS, {"user": "nobody"}, False, False),
        # Where everybody can write, a program that is replaced leaves its path to anybody.
        (None, {"user": "root"}, True, False),
    ],
)
def test_what_root_would_execute(
    stopped: Lab, directory: str | None, more: dict[str, str], found: bool, usable: bool
) -> None:
    """Else root would execute what any account calls haproxy, in an environment of its choice."""
    files = [str(stopped.config)]
    environment = {"LD_PRELOAD": "", "LD_LIBRARY_PATH": "/nowhere", "KEPT": "1"}
    with pretender(directory, files, env=environment, **more) as (program, pid):
        around = of_process(files, [pid])
    assert (around is not None) is found
    if around:
        assert around.program == (program if usable else None)
        assert around.environment is not None
        assert around.environment.get("KEPT") == "1"
        assert not [name for name in around.environment if name.startswith("LD_")]


def test_of_two_that_share_a_file(stopped: Lab) -> None:
    shared, one, two = (str(stopped.directory / name) for name in ("all.cfg", "1.cfg", "2.cfg"))
    for name in (shared, one, two):
        Path(name).touch()
    with (
        pretender(OURS, [shared, "-f", one]) as (_program, first),
        pretender(OURS, [shared, "-f", two]) as (_program, second),
    ):
        found = of_process([shared, two, "/nowhere.cfg"], [first, second])
    assert found
    assert found.source == f"process {second}"


def test_root_of_a_container_decides_nothing(stopped: Lab) -> None:
    """It can share a directory with this machine. What its process has says where it listens."""
    lab = stopped
    files = [str(lab.config)]
    lab.config.write_text(lab.text() + LATER)
    environment = {**os.environ, "LATER_PORT": str(lab.port + 1)}
    with pretender(OURS, files, "unshare", "--pid", "--fork", env=environment) as (_program, pid):
        contained = of_process(files, [pid])
        assert contained
        assert (contained.contained, contained.program) == (True, None)
        result = lab.switch("docker", engine="file")
        assert "It uses ${LATER_PORT}" in result["msg"], result
        with pretender(OURS, files) as (program, ours):
            found = of_process(files, [pid, ours])
            assert found
            assert (found.contained, found.program) == (False, program)
