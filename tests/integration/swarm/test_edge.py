# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy as a service of a swarm of one node: made by the roles, switched by the module."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.integration.swarm.test_swarm import DIGEST, HOST, POOLS, Swarm, load_image
from tests.support.commands import Run
from tests.support.errors import HarnessError
from tests.support.own_engine import engine
from tests.support.paths import PATH, ROOT
from tests.support.rolling import environment
from tests.support.waiting import until

ADDRESS = "10.77.3.41"
IMAGE = "bookface/haproxy:for-test"
FRONT, OTHER, STATS = 8000, 8001, 1936


def haproxy_image() -> bytes:
    """This machine's HAProxy and its libraries, with the account of Debian's package."""
    program = shutil.which("haproxy", path=PATH)
    assert program, "this needs haproxy: apt-get install haproxy"
    libraries = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    found = re.findall(r"(/\S+) \(0x", libraries)
    paths = [*found, "/usr/local/sbin/haproxy", "/etc/passwd", "/var/lib/haproxy/.empty"]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", dereference=True) as archive:
        # Docker makes directories that are not listed for nobody but root with all its rights.
        for directory in sorted({str(part) for path in paths for part in Path(path).parents}):
            entry = tarfile.TarInfo(directory.lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        archive.add(program, "usr/local/sbin/haproxy")
        for library in found:
            archive.add(library, library.lstrip("/"))
        for name, text in {
            "etc/passwd": "root:x:0:0::/:\nhaproxy:x:101:101::/:\n",
            "etc/group": "root:x:0:\nhaproxy:x:101:\n",
            "var/lib/haproxy/.empty": "",
        }.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return stream.getvalue()


class Edge(Swarm):
    """Both roles on the one node, with the directories of HAProxy in one of the test's own."""

    def roles(
        self, check: bool = False, which: Sequence[str] = ("swarm", "haproxy"), **more: Any
    ) -> Run:
        extra = self.variables | {
            "swarm_ingress_mode": "edge",
            "swarm_replicas": 2,
            "swarm_rebalance": False,
            "haproxy_backends": "{{ bookface_backends + [other] }}",
            "other": {
                "name": "other",
                "servers": [{"name": "one", "address": ADDRESS, "port": OTHER, "host": "other"}],
            },
            "haproxy_initial_backend": "swarm",
            "haproxy_bind": f"*:{FRONT}",
            "haproxy_stats_bind": f"*:{STATS}",
            "haproxy_stats_password": "for-the-test",
            "haproxy_switch_proof": {"content": "Users:", "requests": 2, "seconds": 0},
            "haproxy_config": str(self.directory / "etc" / "haproxy.cfg"),
            "haproxy_socket": str(self.directory / "run" / "admin.sock"),
            "haproxy_master_socket": str(self.directory / "haproxy-master.sock"),
            "haproxy_program": str(self.directory / "haproxy"),
            "__swarm_edge_boot": str(self.directory / "boot.conf"),
            "__swarm_edge_reference": IMAGE,
        }
        groups = {
            "swarm_managers": {"hosts": {HOST: {}}},
            "loadbalancers": {"hosts": {HOST: {}}},
        }
        (self.directory / "extra.json").write_text(json.dumps(extra | more))
        inventory = self.directory / "hosts.json"
        inventory.write_text(json.dumps({"all": {"children": groups}}))
        return self._playbook(
            [{"hosts": "all", "roles": [f"bookface.platform.{role}" for role in which]}],
            *(["--check"] if check else []),
        )

    def switch(self, target: str) -> Run:
        return self._playbook("switch_backend.yml", "-e", f"target={target}")

    def _playbook(self, play: Any, *options: str) -> Run:
        playbook = ROOT / str(play)
        if not isinstance(play, str):
            playbook = self.directory / "play.yml"
            playbook.write_text(json.dumps(play))
        inventory, extra = self.directory / "hosts.json", self.directory / "extra.json"
        command = ["ansible-playbook", "-i", str(inventory), "-e", f"@{extra}", str(playbook)]
        return Run.of(
            subprocess.run(
                self.own.inside([*command, *options]),
                cwd=ROOT,
                check=False,
                capture_output=True,
                text=True,
                env=environment(),
            )
        )

    def answers(self) -> bool:
        with contextlib.suppress(HarnessError):
            return self.asked()[0] == "swarm"
        return False

    def asked(self) -> tuple[str, str]:
        """The backend that has answered a client, and the page."""
        command = [*("curl", "--silent", "--max-time", "5", "--include")]
        answer = self.own.run(*command, f"http://{ADDRESS}:{FRONT}/")
        backend = re.search(r"(?im)^x-bookface-backend: (\S+)", answer)
        return (backend[1] if backend else "", answer.splitlines()[-1])

    def web_server(self, port: int) -> subprocess.Popen[bytes]:
        """One of the node's own, with the same pages."""
        pages = str(self.directory / DIGEST / "w")
        command = ["/bin/busybox", "httpd", "-f", "-p", f"{ADDRESS}:{port}", "-h", pages]
        return subprocess.Popen(self.own.reaching(command))

    def tasks(self, service: str) -> list[str]:
        """Its running containers."""
        mine = ["--filter", f"label=com.docker.swarm.service.name={service}"]
        return self.docker("ps", "--quiet", *mine).split()


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    # Sockets need short paths.
    with tempfile.TemporaryDirectory(prefix="hx-") as path, engine(ADDRESS) as own:
        directory = Path(path)
        directory.chmod(0o755)
        load_image(own, directory, DIGEST)
        subprocess.run(
            own.inside(["docker", "import", "-", IMAGE]), input=haproxy_image(), check=True
        )
        made = Edge(own, directory)
        made.variables |= {"bookface_address": ADDRESS, "swarm_address_pools": POOLS}
        made.variables |= {"swarm_stop_timeout": 5, "swarm_loadbalancers": []}
        yield made


def test_the_roles_make_it_and_then_change_nothing(edge: Edge) -> None:
    assert "Once the swarm can be used" in edge.roles(check=True).ok().text
    edge.roles().ok()
    assert edge.asked() == ("swarm", "Users: 7")
    assert len(edge.tasks("bookface")) == 2
    # No task has a port of the node.
    assert not edge.inspect("service", "bookface")["Endpoint"].get("Ports")
    assert edge.roles().ok().changed == {HOST: 0}


@pytest.mark.load
def test_the_module_switches_it_and_a_reload_loses_nothing(edge: Edge) -> None:
    with edge.web_server(OTHER) as other:
        try:
            with edge.load(f"http://{ADDRESS}:{FRONT}/") as counted:
                run = edge.switch("other").ok()
                assert "engine runtime" in run.text
                assert edge.asked()[0] == "other"
                edge.switch("swarm").ok()
                edge.roles(which=["haproxy"], haproxy_frontend_extra="# reload").ok()
            assert edge.asked()[0] == "swarm"
        finally:
            other.terminate()
    print(f"\n{counted['failed']} of {counted['requests']} requests failed")
    assert counted["failed"] == 0, counted


def test_a_task_of_haproxy_that_is_killed_is_started_again(edge: Edge) -> None:
    (task,) = edge.tasks("bookface-edge")
    edge.docker("kill", task)
    until(lambda: edge.tasks("bookface-edge") not in ([], [task]), "another one", 30)
    until(edge.answers, "an answer", 30)
