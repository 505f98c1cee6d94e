# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration is validated as its HAProxy runs: environment, directory, options."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
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


def test_a_process_of_somebody_elses_decides_nothing(stopped: Lab) -> None:
    """Else root would execute what any account calls haproxy, in an environment of its choice."""
    files = [str(stopped.config)]
    with tempfile.TemporaryDirectory() as directory:
        public = Path(directory)
        public.chmod(0o755)
        shutil.copy("/bin/sh", public / "haproxy")
        (public / "wait").write_text("read -r line")
        command = [str(public / "haproxy"), str(public / "wait"), "-f", *files]
        found = []
        for user in ("root", "nobody"):
            with subprocess.Popen(command, stdin=subprocess.PIPE, user=user) as stranger:
                found.append(of_process(files, [stranger.pid]))
                stranger.kill()
    ours, other = found
    assert ours
    assert ours.program == command[0]
    assert other is None
