# SPDX-License-Identifier: GPL-3.0-or-later
"""The module swarm_canary on an engine of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.swarm.test_swarm import DIGEST, IMAGE, load_image
from tests.support.own_engine import OwnEngine, engine
from tests.support.paths import ROOT
from tests.support.rolling import environment

NAME = "web-canary"
PLUGINS = "ansible_collections.bookface.platform.plugins.modules"
SERVE: dict[str, Any] = {"Image": IMAGE}
SPEC = {"Name": "web", "TaskTemplate": {"ContainerSpec": SERVE, "Networks": [{"Target": "net"}]}}


class Engine:
    """An engine in swarm mode, and modules run beside it."""

    def __init__(self, own: OwnEngine) -> None:
        self.docker, self.inside = own.docker, own.inside
        self.node = own.docker("info", "--format", "{{.Swarm.NodeID}}")

    def module(self, module: str, **arguments: Any) -> dict[str, Any]:
        """What a module returns."""
        done = subprocess.run(
            self.inside([sys.executable, "-m", f"{PLUGINS}.{module}"]),
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            env=environment(),
        )
        result: dict[str, Any] = json.loads(done.stdout or json.dumps({"crash": done.stderr}))
        return result

    def canary(self, container: dict[str, Any] = SERVE, **more: Any) -> dict[str, Any]:
        """Start one of a service that runs such containers."""
        template = {**SPEC["TaskTemplate"], "ContainerSpec": container}  # type: ignore[dict-item]
        spec = {**SPEC, "TaskTemplate": template}
        given = {"name": NAME, "spec": spec, "nodes": ["nosuch", self.node], "timeout": 30}
        return self.module("swarm_canary", **(given | more))

    def remove(self) -> dict[str, Any]:
        return self.module("swarm_canary", name=NAME, state="absent")


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engine("10.77.1.41") as own:
        load_image(own, tmp_path_factory.mktemp("image"), DIGEST)
        pool = "10.208.0.0/16"
        own.docker("swarm", "init", "--advertise-addr", own.address, "--default-addr-pool", pool)
        own.docker("network", "create", "--driver", "overlay", "net")
        yield Engine(own)


def test_a_task_without_a_port_is_asked_for_its_pages(swarm: Engine) -> None:
    found = swarm.canary()
    assert (found["changed"], found["node"]) == (True, swarm.node), found
    ask = {
        "servers": {"canary": "http://127.0.0.1:8080"},
        "network_namespace": f"/proc/{found['pid']}/ns/net",
    }
    pages = [{"path": "/", "content": "Users:"}, {"path": "/nosuch"}]
    assert swarm.module("web_ready", **ask, pages=pages[:1])["answers"][0]["ready"]
    failed = swarm.module("web_ready", **ask, pages=pages)
    assert "http://127.0.0.1:8080/nosuch answers 404, expected 200" in failed["msg"]
    assert "name conflicts" in swarm.canary()["msg"]
    assert [swarm.remove()["changed"] for _ in range(2)] == [True, False]
    gone = swarm.module("web_ready", servers={}, network_namespace="/proc/0/ns/net")
    assert "Has its process ended?" in gone["msg"]


@pytest.mark.parametrize(
    ("container", "said"),
    [
        ({**SERVE, "Command": ["/nosuch"]}, "is failed (starting container failed: "),
        ({"Image": "sha256:" + "0" * 64}, "is rejected (No such image"),
    ],
    ids=["no program", "no image"],
)
def test_a_task_that_does_not_run(swarm: Engine, container: dict[str, Any], said: str) -> None:
    """It is not waited for, and not started a second time."""
    failed = swarm.canary(container)
    assert swarm.remove()["changed"]
    assert failed["msg"].startswith(f"The task of {NAME} on "), failed
    assert said in failed["msg"]


def test_no_node_takes_tasks(swarm: Engine) -> None:
    swarm.docker("node", "update", "--availability", "drain", swarm.node)
    try:
        found = swarm.canary()
    finally:
        swarm.docker("node", "update", "--availability", "active", swarm.node)
    assert (found["changed"], found["node"], found["pid"]) == (False, "", 0)
    assert "no node that it may run on is ready and active" in str(found["warnings"])
    assert swarm.docker("service", "ls", "--quiet") == ""


def test_a_service_of_somebody_else_s_stays(swarm: Engine) -> None:
    swarm.docker("service", "create", "--detach", "--no-resolve-image", "--name", NAME, IMAGE)
    assert "was not removed: it lacks the label" in swarm.remove()["msg"]
    swarm.docker("service", "rm", NAME)
