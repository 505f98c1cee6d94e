"""The swarm under load: switched to and back, scaled, a node lost."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Run
from tests.support.engine import docker
from tests.support.load import Load, Summary, longest_gap
from tests.support.platform import Platform
from tests.support.waiting import until

PAGE = "Users:"
SWARM = "swarm_managers:swarm_workers"


class Swarm:
    """The swarm of the lab, asked through a manager."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        (self.manager,) = platform.groups["swarm_managers"]
        self.workers = platform.groups["swarm_workers"]

    def container(self, node: str) -> str:
        """The container that is this node."""
        return f"{self.platform.name}-{node}"

    def _docker(self, command: str, form: str) -> list[str]:
        words = ["docker", *command.split(), "--format", form]
        return docker("exec", self.container(self.manager), *words).splitlines()

    def serving(self) -> list[str]:
        """Nodes on which a task runs."""
        lines = self._docker(
            "service ps bookface --filter desired-state=running", "{{.Node}}:{{.CurrentState}}"
        )
        return sorted(line.partition(":")[0] for line in lines if ":Running " in line)

    def tasks(self) -> set[str]:
        """IDs of the service's tasks that shall run."""
        command = "service ps bookface --no-trunc --filter desired-state=running"
        return set(self._docker(command, "{{.ID}}"))

    def ready(self) -> set[str]:
        """Nodes that are ready."""
        lines = self._docker("node ls", "{{.Hostname}}:{{.Status}}")
        return {line.partition(":")[0] for line in lines if line.endswith(":Ready")}

    def managers(self) -> set[str]:
        """Nodes that manage the swarm, and are reachable."""
        lines = self._docker("node ls", "{{.Hostname}}:{{.ManagerStatus}}")
        return {
            line.partition(":")[0] for line in lines if line.endswith((":Leader", ":Reachable"))
        }

    def scale(self, *arguments: str) -> None:
        run = self.platform.playbook("deploy.yml", "--limit", SWARM, *arguments)
        assert run.code == 0, run.output


@pytest.fixture(scope="module")
def swarm(platform: Platform) -> Iterator[Swarm]:
    """Whatever a test does: all nodes run and the traffic goes where it went before."""
    before = platform.backend()
    found = Swarm(platform)
    yield found
    for node in [found.manager, *found.workers]:
        docker("start", found.container(node))
    if platform.backend() != before:
        run = platform.switch(before)
        assert run.code == 0, run.output


@pytest.fixture
def on_swarm(platform: Platform, swarm: Swarm) -> None:
    """The traffic goes to the swarm."""
    if platform.backend() != "swarm":
        run = platform.switch("swarm")
        assert run.code == 0, run.output


def load(platform: Platform, **options: Any) -> Load:
    """Clients of the site: few, since Ansible and all machines of the lab share one."""
    return Load([platform.url], clients=8, expect=PAGE, **({"rate": 25} | options))


def report(what: str, summary: Summary) -> None:
    print(f"\n{what}\n{summary.as_text()}")


@pytest.mark.load
def test_there_and_back_under_load(platform: Platform, swarm: Swarm) -> None:
    before = "docker"
    if platform.backend() != before:
        assert platform.switch(before).code == 0
    with load(platform, at_least=1000) as clients:
        assert clients.wait_for(200, seconds=60)
        there = platform.switch("swarm")
        assert clients.wait_for(clients.requests + 300, seconds=120)
        at_swarm = platform.backend()
        back = platform.switch(before)
        assert clients.wait_for(clients.requests + 200, seconds=60)
    report(f"{before} -> swarm -> {before}", clients.summary)
    assert there.code == 0, there.output
    assert f"{before} -> swarm in" in there.output
    assert "5 of 5 requests served by" in there.output
    assert at_swarm == "swarm"
    assert back.code == 0, back.output
    assert platform.backend() == before
    assert clients.summary.requests >= 1000
    assert clients.summary.by_backend["swarm"] >= 300
    assert clients.summary.failed == 0, clients.summary.as_text()


@pytest.mark.load
@pytest.mark.usefixtures("on_swarm")
def test_scaling_by_a_variable(platform: Platform, swarm: Swarm) -> None:
    """Two tasks, three, two, while clients ask."""
    with load(platform) as clients:
        swarm.scale("-e", "swarm_replicas=3")
        assert len(swarm.serving()) == 3
        assert clients.wait_for(clients.requests + 300, seconds=60)
        swarm.scale()
        assert len(swarm.serving()) == 2
        assert clients.wait_for(clients.requests + 100, seconds=60)
    report("2 -> 3 -> 2 tasks", clients.summary)
    assert clients.summary.failed == 0, clients.summary.as_text()


def test_what_cannot_be_is_refused(platform: Platform, swarm: Swarm, tmp_path: Path) -> None:
    """The role alone, once for each wish: more tasks than nodes, a network of another kind.

    An overlay in that one's place would cut its containers off. The name that a variable had before
    is not passed over.
    """
    role = {"ansible.builtin.include_role": {"name": "bookface.platform.swarm"}}
    say = {"ansible.builtin.debug": {"msg": "refused: {{ ansible_failed_result.msg }}"}}
    wishes = (
        {"swarm_replicas": 4},
        {"swarm_network": "docker_gwbridge"},
        {"swarm_publish_mode": "ingress"},
    )
    tasks = [{"block": [role | {"vars": wish}], "rescue": [say]} for wish in wishes]
    playbook = tmp_path / "wishes.yml"
    playbook.write_text(json.dumps([{"hosts": SWARM, "become": True, "tasks": tasks}]))
    before = swarm.serving()
    run = platform.playbook(str(playbook))
    said = " ".join(run.output.split())
    assert "swarm_replicas is 4, but each of the 3 nodes runs one task at most" in said
    assert "swarm_network is docker_gwbridge, which is another kind of network on swarm1" in said
    assert "swarm_publish_mode is now swarm_ingress_mode." in said
    assert set(run.changed.values()) == {0}
    assert swarm.serving() == before


def test_a_drained_node_is_put_back_without_a_task(platform: Platform, swarm: Swarm) -> None:
    """Docker has moved its task away, and moves none back: there is no check to wait for."""
    node = swarm.serving()[-1]

    def availability(state: str) -> None:
        update = ["docker", "node", "update", "--availability", state, node]
        docker("exec", swarm.container(swarm.manager), *update)

    def drain(*arguments: str) -> Run:
        return platform.playbook("playbooks/drain.yml", "-e", f"server=swarm/{node}", *arguments)

    drain().ok()
    availability("drain")
    try:
        until(lambda: node not in swarm.serving() and len(swarm.serving()) == 2, "moved", 60)
    finally:
        availability("active")
    assert "It runs no task of the swarm now" in drain("-e", "state=ready").ok().text


@pytest.mark.load
@pytest.mark.long
@pytest.mark.usefixtures("on_swarm")
def test_a_change_that_is_not_ready_gets_no_traffic(platform: Platform, swarm: Swarm) -> None:
    """A wrong password: every task would live, none would be ready."""
    before = swarm.tasks()
    wrong = ["-e", "bookface_db_password=not-the-one"]
    with load(platform) as clients:
        run = platform.playbook("deploy.yml", "--limit", SWARM, *wrong)
        assert clients.wait_for(clients.requests + 100, seconds=60)
    report("a wrong password", clients.summary)
    assert run.code != 0
    said = " ".join(run.output.split())
    assert "answers 503 (not ready: database)" in said
    assert "The service bookface was not changed." in said
    assert "not-the-one" not in said
    assert swarm.tasks() == before
    assert clients.summary.failed == 0, clients.summary.as_text()


@contextlib.contextmanager
def without_power(swarm: Swarm, node: str) -> Iterator[None]:
    """A node is switched off, and on again."""
    container = swarm.container(node)
    docker("kill", container)
    try:
        yield
    finally:
        docker("start", container)
    ask = ["exec", container, "docker", "info", "--format", "{{.Swarm.LocalNodeState}}"]
    until(lambda: docker(*ask, check=False) == "active", f"{node} is in the swarm again")


@pytest.mark.load
@pytest.mark.usefixtures("on_swarm")
def test_a_worker_dies(platform: Platform, swarm: Swarm, tmp_path: Path) -> None:
    """A read that it was answering is repeated elsewhere; another node starts its task."""
    victim = next(node for node in swarm.serving() if node in swarm.workers)
    log = tmp_path / "requests"
    with load(platform, log=log) as clients:
        assert clients.wait_for(200, seconds=60)
        with without_power(swarm, victim):
            recovered = until(
                lambda: len(set(swarm.serving()) - {victim}) == 2, "two tasks on other nodes", 30
            )
            assert clients.wait_for(clients.requests + 300, seconds=60)
        rejoined = until(lambda: victim in swarm.ready(), f"{victim} is ready again", 120)
        # Its old task must not come back.
        assert clients.wait_for(clients.requests + 300, seconds=60)
    report(f"{victim} killed", clients.summary)
    print(f"two tasks again after {recovered:.1f} s, {victim} ready after {rejoined:.1f} s")
    assert victim not in swarm.serving()
    assert clients.summary.by_backend == {"swarm": clients.summary.requests}
    assert clients.summary.failed == 0, clients.summary.as_text()
    assert longest_gap(log) < 2


@pytest.mark.load
@pytest.mark.usefixtures("on_swarm")
def test_the_only_manager_dies(platform: Platform, swarm: Swarm) -> None:
    """Tasks go on serving, and the status says what is lost."""
    with load(platform) as clients:
        assert clients.wait_for(100, seconds=60)
        with without_power(swarm, swarm.manager):
            status = platform.playbook("playbooks/status.yml").ok()
        until(lambda: len(swarm.serving()) == 2, "two tasks run", 120)
    report("the only manager killed", clients.summary)
    assert (
        f"swarm: no manager answers ({swarm.manager}); tasks go on serving, changes are not"
        " possible" in status.text
    )
    assert clients.summary.failed == 0, clients.summary.as_text()
