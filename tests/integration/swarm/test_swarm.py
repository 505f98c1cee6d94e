# SPDX-License-Identifier: GPL-3.0-or-later
"""The role swarm on a swarm of one node: what is not ours stays, what was cut short is finished.

Its engine is the test's own. The image answers as one does whose database is there.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Run
from tests.support.own_engine import OwnEngine, engine
from tests.support.paths import ROOT
from tests.support.rolling import environment

# The site is in 10.x, as Docker's own default is.
ADDRESS, HOST = "10.77.0.41", "node1"
POOLS = ["10.192.0.0/12"]
IMAGE, DIGEST = "bookface/web:made-for-tes", "made-for-test"
THEIRS = ["their-web", "their-net", "their-memcached"]
ADOPTED = {
    "swarm_service": THEIRS[0],
    "swarm_network": THEIRS[1],
    "swarm_adopt": f"service/{THEIRS[0]},network/{THEIRS[1]}",
}


class Swarm:
    """The role, and what it makes."""

    def __init__(self, own: OwnEngine, directory: Path) -> None:
        self.own, self.docker, self.directory = own, own.docker, directory
        self.variables: dict[str, Any] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "bookface_address": ADDRESS,
            "bookface_db_host": "192.0.2.21",
            "bookface_release_check": [],
            "bookface_db_password": "for-the-test-and-nothing-else",
            # Of an image that is there already; made by no Dockerfile.
            "__bookface_image_digest": DIGEST,
            "swarm_replicas": 1,
            "swarm_publish_mode": "host",
            "swarm_manager_hosts": [HOST],
            "swarm_worker_hosts": [],
            "swarm_start_timeout": 60,
        }

    def _command(self, wishes: list[dict[str, Any]], variables: dict[str, Any]) -> list[str]:
        """The role, once for each wish; but for the last one a failure is told and forgotten."""
        role = {"ansible.builtin.include_role": {"name": "bookface.platform.swarm"}}
        say = {"ansible.builtin.debug": {"msg": "refused: {{ ansible_failed_result.msg }}"}}
        tasks: list[dict[str, Any]] = [
            {"block": [role | {"vars": wish}], "rescue": [say]} for wish in wishes[:-1]
        ]
        tasks.append(role | {"vars": wishes[-1]})
        playbook, extra = self.directory / "play.yml", self.directory / "extra.json"
        playbook.write_text(json.dumps([{"hosts": "all", "tasks": tasks}]))
        extra.write_text(json.dumps(self.variables | variables))
        command = ["ansible-playbook", "-i", f"{HOST},", "-e", f"@{extra}", str(playbook)]
        return self.own.inside(command)

    def _ansible(
        self,
        wishes: list[dict[str, Any]],
        variables: dict[str, Any],
        more: Mapping[str, str],
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(wishes, variables),
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            env={**environment(), **more},
        )

    def run(self, *wishes: dict[str, Any], **variables: Any) -> Run:
        """The role to its end, once for each wish."""
        return Run.of(self._ansible(list(wishes) or [{}], variables, {}))

    def killed_at(self, task: str, *wishes: dict[str, Any], **variables: Any) -> str:
        """Run the role, kill it before it begins the task with this name; what it has printed."""
        killing = {
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/support/ansible"),
            "BOOKFACE_KILL_AT": task,
        }
        done = self._ansible(list(wishes) or [{}], variables, killing)
        assert done.returncode == -signal.SIGKILL, done.stdout[-3000:] + done.stderr
        return " ".join(done.stdout.split())

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.docker(kind, "inspect", name))
        return found[0]

    def limit(self) -> object:
        """How many users the front page shows, as the task that runs is told."""
        task = self.docker("ps", "--quiet", "--filter", "label=platform.bookface.made=swarm")
        told = self.docker("exec", task, "/busybox", "cat", "/etc/bookface/config.json")
        return json.loads(told).get("frontpage_limit")


def load_image(own: OwnEngine, directory: Path) -> None:
    """A web server that is always ready."""
    root = directory / "root"
    ready = root / "w" / "platform" / "ready"
    ready.parent.mkdir(parents=True)
    ready.write_text("ready\n")
    (root / "tmp").mkdir()
    shutil.copy("/bin/busybox", root)
    archive = directory / "image.tar"
    subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
    command = json.dumps(["/busybox", "httpd", "-f", "-p", "8080", "-h", "/w"])
    label = f"platform.bookface.content={DIGEST}"
    own.docker("import", "-c", f"CMD {command}", "-c", f"LABEL {label}", str(archive), IMAGE)


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    directory = tmp_path_factory.mktemp("swarm")
    with engine(ADDRESS) as own:
        load_image(own, directory)
        yield Swarm(own, directory)


def test_a_swarm_is_formed_apart_from_the_site_s_addresses(swarm: Swarm) -> None:
    """With Docker's own default it is refused. The run that forms it is cut short at once."""
    pools = [{"swarm_address_pools": ["10.0.0.0/8"]}, {"swarm_address_pools": POOLS}]
    said = swarm.killed_at("Create the overlay network", *pools)
    assert "refused: swarm_address_pools is 10.0.0.0/8, but the nodes have addresses" in said
    assert f"{ADDRESS.rpartition('.')[0]}.0/24 on {HOST}" in said
    cluster = json.loads(swarm.docker("info", "--format", "{{json .Swarm.Cluster}}"))
    assert cluster["DefaultAddrPool"] == POOLS
    assert cluster["Spec"]["Labels"] == {"platform.bookface.made": "swarm"}


def test_what_somebody_else_made_stays(swarm: Swarm) -> None:
    """A service, and an attachable overlay with a container on it: refused, each by its name."""
    web, net, memcached = THEIRS
    swarm.docker("network", "create", "--driver", "overlay", "--attachable", net)
    swarm.docker("run", "--detach", "--name", memcached, "--network", net, IMAGE)
    swarm.docker(
        *("service", "create", "--detach", "--no-resolve-image", "--name", web),
        *("--stop-grace-period", "1s", IMAGE, "/busybox", "sleep", "9999"),
    )
    before = swarm.inspect("service", web)["Version"], swarm.inspect("network", net)["Containers"]
    done = swarm.run({"swarm_service": web}, {"swarm_network": net})
    assert done.code != 0
    assert f"it lacks the label platform.bookface.role=web and runs {IMAGE}" in done.text
    assert f"swarm_adopt: [service/{web}]" in done.text
    assert f"swarm_adopt: [network/{net}]" in done.message(HOST)
    assert f"On it is also {memcached}." in done.message(HOST)
    assert done.changed == {HOST: 0}
    after = swarm.inspect("service", web)["Version"], swarm.inspect("network", net)["Containers"]
    assert after == before


def test_a_run_that_was_killed_is_finished_by_the_next(swarm: Swarm) -> None:
    """What becomes ours on demand; killed when there is a configuration that no task reads yet."""
    web, net, memcached = THEIRS
    before = swarm.inspect("network", net)["Id"], swarm.inspect("service", web)["ID"]
    wanted = {**ADOPTED, "bookface_frontpage_limit": 7}
    swarm.killed_at("Run the service", **wanted)
    assert "Secrets" not in swarm.docker("service", "inspect", web)
    swarm.run(**wanted).ok()
    assert swarm.limit() == 7
    assert (swarm.inspect("network", net)["Id"], swarm.inspect("service", web)["ID"]) == before
    assert net in swarm.inspect("container", memcached)["NetworkSettings"]["Networks"]
    spec = swarm.inspect("service", web)["Spec"]
    assert spec["Labels"]["platform.bookface.role"] == "web"
    template = spec["TaskTemplate"]
    assert not template["ContainerSpec"].get("Args")
    assert template["Resources"]["Limits"] == {"MemoryBytes": 512 << 20, "Pids": 200}
