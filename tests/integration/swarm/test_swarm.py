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
            "swarm_address_pools": POOLS,
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

    def killed_at(self, task: str | int, **variables: Any) -> None:
        """Run the role, and kill it before it begins the task with this name or number."""
        killing = {
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/support/ansible"),
            "BOOKFACE_KILL_AT": str(task),
        }
        done = self._ansible([{}], variables, killing)
        assert done.returncode == -signal.SIGKILL, done.stdout[-3000:] + done.stderr

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
    """With Docker's own default it is refused; a run that is cut short is taken up again."""
    refused = {"swarm_address_pools": ["10.0.0.0/8"]}
    swarm.variables.pop("swarm_address_pools")
    done = swarm.run(refused)
    assert "swarm_address_pools is 10.0.0.0/8, but the nodes have addresses" in done.message(HOST)
    assert swarm.docker("info", "--format", "{{.Swarm.LocalNodeState}}") == "inactive"
    swarm.variables["swarm_address_pools"] = POOLS

    swarm.killed_at("Create the overlay network")
    cluster = json.loads(swarm.docker("info", "--format", "{{json .Swarm.Cluster}}"))
    assert cluster["DefaultAddrPool"] == POOLS
    assert cluster["Spec"]["Labels"] == {"platform.bookface.made": "swarm"}


def test_what_somebody_else_made_stays(swarm: Swarm) -> None:
    """A service, an attachable overlay with a container on it, and a secret."""
    web, net, memcached = THEIRS
    swarm.docker("network", "create", "--driver", "overlay", "--attachable", net)
    swarm.docker("run", "--detach", "--name", memcached, "--network", net, IMAGE)
    swarm.docker(
        *("service", "create", "--detach", "--no-resolve-image", "--name", web),
        *("--label", "com.docker.stack.namespace=bf", IMAGE, "/busybox", "sleep", "9999"),
    )
    before = swarm.inspect("service", web)["Version"], swarm.inspect("network", net)["Containers"]
    done = swarm.run(
        {"swarm_service": web},
        {"swarm_network": net},
        {"swarm_service": web, "swarm_network": net},
    )
    assert done.code != 0
    for said in (
        f"swarm_adopt: [service/{web}]",
        f"swarm_adopt: [network/{net}]",
        "the service of the stack bf that has this name is not ours",
        f"On it is also {memcached}.",
    ):
        assert done.text.count(said) >= 2, said
    assert done.changed == {HOST: 0}
    after = swarm.inspect("service", web)["Version"], swarm.inspect("network", net)["Containers"]
    assert after == before


def test_a_run_that_was_killed_is_finished_by_the_next(swarm: Swarm) -> None:
    """Its secrets were there, but no service read them yet; the next time, one of them."""
    swarm.killed_at("Run the service")
    swarm.run().ok()
    spec = swarm.inspect("service", "bookface")["Spec"]
    assert spec["TaskTemplate"]["Resources"]["Limits"] == {"MemoryBytes": 512 << 20, "Pids": 200}

    changed = {"bookface_frontpage_limit": 7}
    swarm.killed_at("Run the service", **changed)
    assert '"frontpage_limit": 7' not in swarm.configuration()
    assert swarm.run(**changed).ok().changed[HOST] > 0
    assert "7" in swarm.configuration()
    assert swarm.run(**changed).ok().changed == {HOST: 0}


def test_what_somebody_else_made_becomes_ours_on_demand(swarm: Swarm) -> None:
    web, net, memcached = THEIRS
    before = swarm.inspect("network", net)["Id"], swarm.inspect("service", web)["ID"]
    given = {
        "swarm_service": web,
        "swarm_network": net,
        "swarm_port": 8081,
        "swarm_adopt": f"service/{web},network/{net}",
    }
    swarm.run(**given).ok()
    assert (swarm.inspect("network", net)["Id"], swarm.inspect("service", web)["ID"]) == before
    spec = swarm.inspect("service", web)["Spec"]
    assert spec["Labels"]["platform.bookface.role"] == "web"
    assert not spec["TaskTemplate"]["ContainerSpec"].get("Args")
    assert net in swarm.inspect("container", memcached)["NetworkSettings"]["Networks"]
