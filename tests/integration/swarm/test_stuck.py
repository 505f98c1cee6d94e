# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that does not run, for reasons of its own: the role mends it, or says why not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.swarm.test_swarm import DIGEST, HOST, POOLS, Swarm, load_image
from tests.support.own_engine import engine
from tests.support.waiting import until

ADDRESS, SERVICE = "10.77.2.41", "bookface"
# What somebody does by hand, so that no task of the service runs any more.
BY_HAND = {
    "reservations and rules": [
        *("--reserve-memory", "900G", "--reserve-cpu", "99"),
        *("--constraint-add", "node.labels.nosuch==1"),
        *("--placement-pref-add", "spread=node.labels.x"),
    ],
    "replicas": ["--replicas", "0"],
    "paused": [
        *("--update-failure-action", "pause", "--update-monitor", "1s"),
        *("--image", "bookface/nosuch:1", "--no-resolve-image"),
    ],
}


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    directory = tmp_path_factory.mktemp("swarm")
    with engine(ADDRESS) as own:
        load_image(own, directory, DIGEST)
        made = Swarm(own, directory)
        made.variables |= {"bookface_address": ADDRESS, "swarm_address_pools": POOLS}
        made.variables |= {"swarm_stop_timeout": 1, "swarm_start_timeout": 40}
        made.run().ok()
        yield made


def running(swarm: Swarm) -> int:
    """How many tasks of the service run."""
    mine = ["--filter", f"label=com.docker.swarm.service.name={SERVICE}"]
    return len(swarm.docker("ps", "--quiet", *mine).split())


@pytest.mark.parametrize("what", BY_HAND)
def test_what_was_done_by_hand_is_undone_first(swarm: Swarm, what: str) -> None:
    swarm.docker("service", "update", "--detach", "--quiet", *BY_HAND[what], SERVICE)
    until(lambda: running(swarm) == 0, "no task", 30)
    done = swarm.run().ok()
    assert running(swarm) == 1
    assert done.changed[HOST] > 0
    assert swarm.run().ok().changed == {HOST: 0}


def test_a_manager_that_locks_its_keys(swarm: Swarm) -> None:
    """Its engine restarts: only a run that has the key makes it serve again."""
    locks: dict[str, Any] = {"swarm_autolock": True}
    wrong = {**locks, "swarm_unlock_key": "SWMKEY-1-wrong"}
    assert "swarm_unlock_key in the vault" in swarm.run(locks).ok().text
    key = swarm.docker("swarm", "unlock-key", "--quiet")
    right = {**locks, "swarm_unlock_key": key}
    swarm.own.restart()
    assert swarm.docker("info", "--format", "{{.Swarm.LocalNodeState}}") == "locked"
    done = swarm.run(locks, wrong, right).ok()
    assert f"{HOST}: locked since the engine restarted" in done.text
    assert f"{HOST} is locked, and swarm_unlock_key does not unlock it" in done.text
    assert running(swarm) == 1
    # A wrong one is found before it is needed.
    again = swarm.run(wrong, right).ok()
    assert "swarm_unlock_key is not the key of this swarm" in again.text
    assert again.changed == {HOST: 0}
    assert key not in done.output + again.output
    swarm.docker("swarm", "update", "--autolock=false")


def test_the_message_has_the_scheduler_s_reason(swarm: Swarm) -> None:
    """No node can run it, and that is nothing that the role decides."""
    before = swarm.inspect("service", SERVICE)["Spec"]
    swarm.docker("service", "scale", "--detach", f"{SERVICE}=0")
    # A port that somebody else's service holds on the node: no task of ours finds a place.
    hog = ["--mode", "global", "--publish", "mode=host,published=8080,target=8080"]
    until(lambda: running(swarm) == 0, "no task", 30)
    image = before["TaskTemplate"]["ContainerSpec"]["Image"]
    options = ["--detach", "--no-resolve-image", "--name", "hog", *hog]
    swarm.docker("service", "create", *options, image)
    try:
        done = swarm.run(swarm_start_timeout=15)
    finally:
        swarm.docker("service", "rm", "hog")
    assert done.code != 0
    said = done.message(HOST)
    assert "no suitable node (host-mode port already in use on 1 node)" in said, said
    # It is not put back to none: nothing ran before.
    assert "was rolled back" not in said
    until(lambda: running(swarm) == 1, "a task, now that there is room", 60)


@pytest.mark.parametrize("availability", ["drain", "pause"])
def test_a_node_that_takes_no_tasks_is_refused_at_once(swarm: Swarm, availability: str) -> None:
    node = swarm.docker("info", "--format", "{{.Swarm.NodeID}}")
    swarm.docker("node", "update", "--availability", availability, node)
    try:
        done = swarm.run()
    finally:
        swarm.docker("node", "update", "--availability", "active", node)
    assert done.code != 0
    said = done.message(HOST)
    assert said.startswith("swarm_replicas is 1, but no node can run tasks: ")
    assert f" is {'drained' if availability == 'drain' else 'paused'}." in said
    assert "docker node update --availability active" in said
    assert done.changed == {HOST: 0}
    swarm.run().ok()


def test_a_server_without_a_task_is_put_back_and_not_waited_for(swarm: Swarm) -> None:
    """What playbooks/drain.yml does with a node that was drained, and gets no task back yet."""
    swarm.docker("service", "scale", "--detach", f"{SERVICE}=0")
    until(lambda: running(swarm) == 0, "no task", 30)
    given = {
        "haproxy_drain_server": f"cluster/{HOST}",
        "haproxy_drain_wait": 5,
        "__haproxy_config": str(swarm.balanced),
        "__haproxy_socket": str(swarm.socket),
    }
    role = {"name": "bookface.platform.haproxy", "tasks_from": "drain"}
    tasks = [
        {"ansible.builtin.add_host": {"name": HOST, "groups": ["swarm_managers"]}},
        *(
            {
                "ansible.builtin.include_role": role,
                "vars": {"haproxy_drain_state": state, "haproxy_drain_force": True},
            }
            for state in ("drain", "ready")
        ),
    ]
    with swarm.balancer():
        done = swarm.play(tasks, given, {}).ok()
    assert f"cluster/{HOST} is in state ready" in done.text
    assert "It runs no task of the swarm now, so nobody has waited for its check" in done.text
