"""The routing mesh, a dead worker, the power of all machines.

Times are printed. Bounds are generous: these machines are slow, and share two processors.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from conftest import FRONT, MACHINES, MANAGER, WORKER, Platform

from tests.support.commands import Run, ansible
from tests.support.figures import Say
from tests.support.load import Load
from tests.support.waiting import until

PAGE = "Users:"


def scale(platform: Platform, replicas: int) -> None:
    platform.docker(MANAGER, f"service scale --detach bookface={replicas}")
    until(lambda: len(platform.tasks()) == replicas, f"{replicas} tasks", 120)


def switch(target: str) -> None:
    Run.of(ansible("ansible-playbook", "switch_backend.yml", "-e", f"target={target}")).ok()


@pytest.fixture(scope="module")
def on_swarm(platform: Platform) -> None:
    """The traffic goes to the swarm, whatever a test before has left."""
    if platform.ask(platform.url).backend != "swarm":
        switch("swarm")


def load(platform: Platform) -> Load:
    return Load([platform.url], clients=4, rate=5, expect=PAGE)


def containers(platform: Platform, name: str) -> str:
    return platform.docker(name, "ps --all --format 'table {{.Names}}\t{{.Status}}'")


def test_the_mesh_answers_on_a_node_without_a_task(platform: Platform) -> None:
    scale(platform, 1)
    try:
        [busy] = platform.tasks()
        idle = next(name for name in (MANAGER, WORKER) if name != busy)
        for name in (busy, idle):
            until(partial(platform.ready, name, 8080), f"{name} answers", 60)
        for _ in range(10):
            assert platform.ready(idle, 8080)
        asked = "ps --quiet --filter label=com.docker.swarm.service.name=bookface"
        assert platform.docker(idle, asked) == ""
    finally:
        scale(platform, 2)


@pytest.mark.load
def test_switch_under_load(platform: Platform, say: Say) -> None:
    if platform.ask(platform.url).backend != "legacy":
        switch("legacy")
    with load(platform) as clients:
        assert clients.wait_for(20, seconds=60)
        switch("swarm")
        assert clients.wait_for(clients.requests + 50, seconds=60)
    say(f"legacy -> swarm\n{clients.summary.as_text()}")
    assert clients.summary.by_backend["swarm"] >= 50
    assert clients.summary.failed == 0


@pytest.mark.load
@pytest.mark.usefixtures("on_swarm")
def test_a_worker_loses_power_under_load(platform: Platform, say: Say) -> None:
    """What it was answering is lost: counted and printed. The service comes back without it."""
    assert WORKER in platform.tasks()
    with load(platform) as clients:
        assert clients.wait_for(50, seconds=60)
        platform.lab.cut(WORKER)
        recovered = until(
            lambda: platform.tasks() == [MANAGER, MANAGER], "two tasks on the manager", 180
        )
        before = clients.failed
        assert clients.wait_for(clients.requests + 100, seconds=120)
        later = clients.failed - before
    summary = clients.summary
    lost = f"{summary.failed} of {summary.requests} failed"
    say(f"{WORKER} without power: {lost}\n{summary.as_text()}")
    began = time.monotonic()
    platform.lab.start(WORKER)
    ssh = time.monotonic() - began
    until(lambda: platform.nodes()[WORKER] == "Ready", f"{WORKER} is ready", 180)
    until(lambda: platform.ready(WORKER, 8080), f"{WORKER} publishes the port", 180)
    say(
        f"two tasks again after {recovered:.1f} s; power on -> SSH {ssh:.1f} s, "
        f"in the mesh {time.monotonic() - began:.1f} s"
    )
    say(f"{WORKER}# docker ps --all\n{containers(platform, WORKER)}")
    assert later == 0
    assert platform.ask(platform.url).backend == "swarm"


@pytest.fixture(scope="module")
def back(platform: Platform, on_swarm: None, say: Say) -> dict[str, float]:
    """Seconds from power on until each part was there, after the power of all machines was cut."""
    for name in MACHINES:
        platform.lab.ssh(name, "sync")
    platform.lab.cut(*MACHINES)
    assert platform.ask(platform.url, 3).status == 0
    parts = {
        "load balancer": lambda: platform.ask(platform.url, 3).status > 0,
        "database and web server": lambda: platform.ready(FRONT, 8081),
        "container 1": lambda: platform.ready(MANAGER, 32001),
        "container 2": lambda: platform.ready(MANAGER, 32002),
        "swarm by its manager": lambda: platform.ready(MANAGER, 8080),
        "swarm by its worker": lambda: platform.ready(WORKER, 8080),
        "site": lambda: PAGE in platform.ask(platform.url, 5).body,
    }
    for name in MACHINES:
        platform.lab.power_on(name)
    with ThreadPoolExecutor(len(parts)) as pool:
        waits = {part: pool.submit(until, there, part, 300) for part, there in parts.items()}
        seconds = {part: wait.result() for part, wait in waits.items()}
    ordered = sorted(seconds.items(), key=lambda item: item[1])
    say("power on ->\n" + "\n".join(f"  {part:24} {took:5.1f} s" for part, took in ordered))
    platform.lab.start(*MACHINES)
    return seconds


@pytest.mark.usefixtures("back")
class TestAfterPowerCut:
    def test_traffic_goes_where_it_went(self, platform: Platform) -> None:
        assert platform.ask(platform.url).backend == "swarm"

    def test_containers_and_tasks_run(self, platform: Platform, say: Say) -> None:
        until(lambda: len(platform.tasks()) == 2, "two tasks", 120)
        assert platform.nodes() == {MANAGER: "Ready", WORKER: "Ready"}
        for name in (MANAGER, WORKER):
            say(f"{name}# docker ps --all\n{containers(platform, name)}")
        running = platform.docker(MANAGER, "ps --format '{{.Names}}'").split()
        assert {"bookface-web-1", "bookface-web-2"} <= set(running)
