# SPDX-License-Identifier: GPL-3.0-or-later
"""An HAProxy in a container, adopted and switched as docs/adopting.md says."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import (
    HaproxyRuntimeError,
    HaproxySocket,
)

from tests.support.commands import Run, playbook_on
from tests.support.engine import client, docker, see_it_run
from tests.support.paths import PATH, ROOT
from tests.support.ports import free_ports
from tests.support.waiting import until

IMAGE = "bookface-test-haproxy:local"
NAME = "bookface-test-haproxy"
# HAProxy's own, and the file that the documentation has.
WRAPPER = re.search(r"```sh\n(#!/bin/sh\n.*?)```", (ROOT / "docs/adopting.md").read_text(), re.S)


def image() -> bytes:
    """This machine's HAProxy and its libraries, and nothing else."""
    program = shutil.which("haproxy", path=PATH)
    assert program
    libraries = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", dereference=True) as archive:
        archive.add(program, "usr/local/sbin/haproxy")
        for library in re.findall(r"(/\S+) \(0x", libraries):
            archive.add(library, library.lstrip("/"))
    return stream.getvalue()


class Container:
    """The container, the web servers behind it, and the directories that it shares."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.run = directory / "run"
        self.config = directory / "etc" / "haproxy.cfg"
        self.wrapper = directory / "haproxy-in-container"
        self.programs = ExitStack()
        self.port, *ports = free_ports(3)
        self.web = dict(zip(("web", "docker"), ports, strict=True))
        self.run.mkdir()
        self.config.parent.mkdir()
        self.config.write_text(
            f"global\n    stats socket {self.run}/admin.sock mode 600 level admin\n"
            "defaults\n    mode http\n    timeout connect 2s\n    timeout client 9s\n"
            "    timeout server 9s\n"
            # Only the container has this variable.
            'frontend www\n    bind "127.0.0.1:${FRONT_PORT}"\n    default_backend web\n'
            f"backend web\n    server web1 127.0.0.1:{self.web['web']} check\n"
        )
        assert WRAPPER
        self.wrapper.write_text(WRAPPER[1].replace("docker exec haproxy", f"docker exec {NAME}"))
        self.wrapper.chmod(0o755)

    def start(self) -> None:
        origin = str(ROOT / "tests" / "support" / "origin.py")
        for name, port in self.web.items():
            program = subprocess.Popen([sys.executable, origin, str(port), f"Users: ready {name}"])
            self.programs.callback(program.wait)
            self.programs.callback(program.kill)
        subprocess.run([*client(), "import", "-", IMAGE], input=image(), check=True)
        self.programs.callback(docker, "rmi", IMAGE, check=False)
        docker("rm", "--force", NAME, check=False)
        self.programs.callback(docker, "rm", "--force", NAME, check=False)
        docker(
            *("run", "--detach", "--name", NAME, "--network", "host"),
            *("--env", f"FRONT_PORT={self.port}"),
            *("--volume", f"{self.config.parent}:{self.config.parent}:ro"),
            *("--volume", f"{self.run}:{self.run}", IMAGE),
            *("haproxy", "-W", "-S", f"{self.run}/master.sock", "-f", str(self.config)),
        )
        stats = HaproxySocket(f"{self.run}/admin.sock")

        def checked() -> bool:
            try:
                return all(server.check_status == "L4OK" for server in stats.stat(2).servers)
            except HaproxyRuntimeError:
                return False

        until(checked, lambda: docker("logs", NAME), 20)

    def traffic(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=10) as answer:
            return str(answer.read().decode())

    def playbook(self, name: str, **variables: Any) -> Run:
        server = {"address": "127.0.0.1", "name": "one"}
        # An adopted HAProxy has to start without it, too.
        named = {"address": "no-such-name.invalid", "name": "two", "port": 80}
        settings = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_become": False,
            "haproxy_mode": "adopt",
            "haproxy_frontend": "www",
            "haproxy_adopt_backends": ["docker"],
            "haproxy_backends": [
                {"name": name, "servers": [server | {"port": port}, named]}
                for name, port in self.web.items()
            ],
            "haproxy_server_options": "inter 200ms",
            "haproxy_stats_password": "x",
            "haproxy_switch_proof": {"content": "Users:", "requests": 2, "seconds": 0},
            "haproxy_config": str(self.config),
            "haproxy_socket": f"{self.run}/admin.sock",
            "haproxy_master_socket": f"{self.run}/master.sock",
            "haproxy_program": str(self.wrapper),
            "haproxy_reload_command": f"docker kill --signal USR2 {NAME}",
        }
        hosts = {"all": {"children": {"loadbalancers": {"hosts": {"lb": settings}}}}}
        inventory = self.directory / "hosts.json"
        inventory.write_text(json.dumps(hosts))
        return playbook_on(inventory, name, "-e", json.dumps(variables))


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    see_it_run(tmp_path)
    # Sockets need short paths.
    with tempfile.TemporaryDirectory(prefix="hx-") as directory:
        made = Container(Path(directory))
        try:
            made.start()
            yield made
        finally:
            made.programs.close()


def test_adopted_and_switched(container: Container) -> None:
    container.playbook("site.yml").ok()
    assert "backend docker" in container.config.read_text()
    run = container.playbook("switch_backend.yml", target="docker").ok()
    assert "engine runtime" in run.text
    assert container.traffic() == "Users: ready docker"
    # What the container reads at its next reload is what is on disk here.
    docker("kill", "--signal", "USR2", NAME)
    until(lambda: container.traffic() == "Users: ready docker", "the traffic after a reload", 20)
    # The wrapper asks the container's own program: without the variable this would be refused.
    container.playbook("switch_backend.yml", rollback=True).ok()
    assert container.traffic() == "Users: ready web"
