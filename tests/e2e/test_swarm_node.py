"""A node of the swarm is drained, activated, promoted and demoted while clients ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.test_swarm import Swarm, load, report
from tests.e2e.test_updates import availability, drained_servers
from tests.support.commands import Run
from tests.support.platform import Platform


@pytest.fixture
def swarm(platform: Platform) -> Iterator[Swarm]:
    """It has the traffic. Afterwards all nodes take tasks, and the traffic goes where it went."""
    before = platform.backend()
    found = Swarm(platform)
    if before != "swarm":
        platform.switch("swarm").ok()
    yield found
    for node in found.workers:
        platform.node(
            found.manager, f"docker node update --availability active --role worker {node}"
        )
    for node in drained_servers(platform):
        arguments = ["-e", f"server=swarm/{node}", "-e", "state=ready"]
        platform.playbook("playbooks/drain.yml", *arguments).ok()
    if platform.backend() != before:
        platform.switch(before).ok()


@pytest.mark.load
def test_the_life_of_a_node_under_load(platform: Platform, swarm: Swarm) -> None:
    node = swarm.serving()[-1]
    assert node in swarm.workers, "a worker has a task"

    def becomes(state: str) -> Run:
        return platform.playbook(
            "swarm_node.yml", "-e", f"node={node}", "-e", f"state={state}"
        ).ok()

    with load(platform) as clients:
        assert clients.wait_for(100, seconds=60)
        changed = becomes("drain").changed
        assert changed == dict.fromkeys(changed, 0) | {node: 2}
        assert node not in swarm.serving()
        assert len(swarm.serving()) == 2
        assert availability(platform)[node] == "Drain"
        assert drained_servers(platform) == {node}
        assert set(becomes("drain").changed.values()) == {0}

        assert becomes("active").changed[node] == 2
        assert availability(platform)[node] == "Active"
        assert drained_servers(platform) == set()

        promoted = becomes("manager")
        assert f"{node} is in the inventory's group swarm_workers" in promoted.text.replace(
            "''", "'"
        )
        assert swarm.managers() == {swarm.manager, node}
        assert becomes("worker").changed[node] == 1
        assert swarm.managers() == {swarm.manager}
        assert clients.wait_for(clients.requests + 100, seconds=60)
    report("drained, active, promoted, demoted", clients.summary)
    assert set(clients.summary.by_backend) == {"swarm"}
    assert clients.summary.failed == 0, clients.summary.as_text()


def test_what_would_be_too_much_is_refused(platform: Platform, swarm: Swarm) -> None:
    """Before anything changes: the last manager, and a name that nobody has."""
    for node, said in (
        (swarm.manager, f"{swarm.manager} is the last manager that answers"),
        ("nosuch", "There is no node nosuch (-e node=NAME). Expected a host of swarm_managers or"),
    ):
        run = platform.playbook("swarm_node.yml", "-e", f"node={node}", "-e", "state=worker")
        assert run.code != 0
        assert said in run.text
        assert "Nothing was changed." in run.text
        assert set(run.changed.values()) == {0}
