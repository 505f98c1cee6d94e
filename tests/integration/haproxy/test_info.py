# SPDX-License-Identifier: GPL-3.0-or-later
"""haproxy_info, and both modules through Ansible itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Lab

ROOT = Path(__file__).resolve().parents[3]


def test_counters_prove_who_served(lab: Lab) -> None:
    def total(info: dict, backend: str) -> int:
        return sum(server["sessions_total"] for server in info["backends"][backend]["servers"])

    before = lab.info()
    for _request in range(5):
        lab.traffic()
    middle = lab.info()
    assert total(middle, "legacy") - total(before, "legacy") == 5
    assert total(middle, "docker") - total(before, "docker") == 0
    lab.switch("docker")
    for _request in range(7):
        lab.traffic()
    after = lab.info()
    assert total(after, "legacy") - total(middle, "legacy") == 0
    assert total(after, "docker") - total(middle, "docker") == 7
    answered = [server["responses"] for server in after["backends"]["docker"]["servers"]]
    assert sum(answered) == 7
    assert not any(server["errors"] for server in after["backends"]["docker"]["servers"])
    assert after["pid"] == before["pid"] == lab.pid()
    assert after["started"] == before["started"]


def test_what_the_traffic_follows(lab: Lab) -> None:
    frontend = lab.info()["frontends"]["book-face"]
    assert frontend == {
        "default_backend": "legacy",
        "live_backend": "legacy",
        "live_source": "file",
        "shift": None,
        "rollback_to": None,
        "origin": None,
        "map": str(lab.map),
        "bind": [f"127.0.0.1:{lab.port}"],
        "running": True,
        "paused": False,
        "problem": None,
    }
    lab.config.write_text(lab.text(default="docker"))
    # HAProxy counts whole seconds; this edit is clearly later than the worker's start.
    later = lab.config.stat().st_mtime + 5
    os.utime(lab.config, (later, later))
    frontend = lab.info()["frontends"]["book-face"]
    assert (frontend["default_backend"], frontend["live_backend"]) == ("docker", None)
    assert frontend["live_source"] == "unknown"
    lab.switch("docker")
    os.utime(lab.config, (later, later))
    info = lab.info()
    frontend = info["frontends"]["book-face"]
    assert (frontend["live_backend"], frontend["live_source"]) == ("docker", "map")
    assert info["file_newer_than_worker"] is True
    assert info["changed"] is False
    assert info["backends"]["dead"]["status"] == "DOWN"
    (server,) = info["backends"]["dead"]["servers"]
    assert (server["name"], server["passed"], server["check_status"]) == ("gone", False, "L4CON")
    assert "off" not in info["backends"]


def test_stopped_haproxy(stopped: Lab) -> None:
    result = stopped.info(wait=0.5)
    assert "does not answer" in result["msg"]
    assert "Start HAProxy" in result["msg"]


def ansible(lab: Lab, *arguments: str, python: str) -> dict:
    programs = Path(sys.executable).parent
    done = subprocess.run(
        [
            str(programs / "ansible"),
            "localhost",
            "-i",
            "localhost,",
            "-c",
            "local",
            "-e",
            f"ansible_python_interpreter={python}",
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=lab.directory,
        check=False,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections"),
            "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.json",
            "ANSIBLE_NOCOLOR": "1",
        },
    )
    text = done.stdout[done.stdout.index("{") :]
    return json.loads(text)["plays"][0]["tasks"][0]["hosts"]["localhost"]


def test_through_ansible_with_the_systems_python(lab: Lab) -> None:
    arguments = " ".join(f"{k}={v}" for k, v in lab.arguments(backend="docker").items())
    module = "bookface.platform.haproxy_default_backend"
    python = "/usr/bin/python3"
    checked = ansible(lab, "-m", module, "-a", arguments, "--check", "--diff", python=python)
    assert checked["changed"] is True
    assert lab.traffic() == "legacy"
    done = ansible(lab, "-m", module, "-a", arguments, "--diff", python=python)
    assert done["changed"] is True
    assert done["diff"] == checked["diff"]
    assert lab.traffic() == "docker"
    again = ansible(lab, "-m", module, "-a", arguments, python=python)
    assert again["changed"] is False


def test_no_secret_in_the_result(stopped: Lab) -> None:
    lab = stopped
    extra = "userlist people\n    user admin insecure-password hunter2\n"
    lab.config.write_text(lab.text(extra=extra))
    lab.start()
    for result in (lab.switch("docker", check=True), lab.switch("docker"), lab.info()):
        assert "hunter2" not in json.dumps(result)
