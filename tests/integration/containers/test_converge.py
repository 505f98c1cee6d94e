# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody changed by hand comes back; what is not ours, or cannot be, is refused first."""

from __future__ import annotations

import os
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import rolling
from tests.support.balancer import ask
from tests.support.engine import docker
from tests.support.load import Load, read_log
from tests.support.rolling import BALANCER, HOST, LOOPBACK, Site
from tests.support.waiting import until

from .conftest import changed, message, messages, process, state


def test_what_was_done_by_hand_is_undone(site: Site) -> None:
    before = site.containers()
    docker("rename", "rolling-1", "mine")
    docker("stop", "rolling-2")
    assert changed(site.run()) == 2
    assert site.containers() == before
    docker("pause", "rolling-1")
    assert changed(site.run()) == 1
    assert site.containers() == before
    assert {state(name) for name in before} == {"running"}
    docker("rm", "--force", "rolling-2")
    assert changed(site.run()) == 1
    after = site.wanted = site.containers()
    assert set(after) == set(before)
    assert after["rolling-1"] == before["rolling-1"]
    until(site.serving, "both servers")


@pytest.mark.load
def test_one_that_was_killed_comes_back_by_itself(site: Site, tmp_path: Path) -> None:
    before = site.containers()
    log = tmp_path / "requests"
    urls = [site.url, f"{site.url}showallusers.php"]
    with Load(urls, rate=50, at_least=300, expect="(?i)users:", log=log) as load:
        assert load.wait_for(20, seconds=20)
        victim = int(process("rolling-1").name)
        killed = time.time()
        os.kill(victim, signal.SIGKILL)
        until(lambda: "DOWN" in " ".join(site.states().values()), "one server down")
        down = time.time()
        until(site.serving, "both servers")
    assert site.containers() == before
    # Lost is what it was answering, or was sent, before the load balancer knew; and no more.
    lost = [one for one in read_log(log) if one.failed]
    assert [one for one in lost if one.sent + one.seconds < killed or one.sent > down] == []


def test_the_last_that_serves_stays_unless_a_gap_is_accepted(site: Site) -> None:
    before = site.containers()
    other = f"docker/{HOST}-{site.ports[1]}"
    assert ask(site.socket, f"set server {other} state drain").strip() == ""
    try:
        said = message(site.run(web_containers_log_files=5))
        assert f"rolling-1 cannot be taken out of {BALANCER}: " in said
        assert "expected at least 1 other servers that pass their checks, got 0" in said
        assert "With web_containers_keep: 0 a gap is accepted. No container was touched." in said
        assert site.containers() == before
        # Drained by hand, and not replaced: it stays so.
        assert changed(site.run()) == 0
        assert "DRAIN" in site.states()[other.partition("/")[2]]
    finally:
        ask(site.socket, f"set server {other} state ready")
    one = [{"name": "rolling-1", "port": site.ports[0]}]
    assert changed(site.run("--check", web_containers_list=one, web_containers_log_files=5)) > 0


def test_a_port_does_not_move_under_traffic(site: Site) -> None:
    before = site.containers()
    moved = [
        {"name": "rolling-1", "port": site.ports[2]},
        {"name": "rolling-2", "port": site.ports[1]},
    ]
    said = message(site.run(web_containers_list=moved))
    assert "Its port changes: move the traffic to another backend first" in said
    assert site.containers() == before


def test_a_load_balancer_that_cannot_be_reached_stops_it_before_anything_is_touched(
    site: Site,
) -> None:
    before = site.containers()
    gone = {"ansible_connection": "ssh", "ansible_host": LOOPBACK, "ansible_port": 9}
    done = site.run(balancer=gone, web_containers_log_files=6)
    said = message(done)
    assert f" cannot be taken out of {BALANCER}: " in said
    assert "Bring this load balancer back" in said
    assert site.containers() == before
    # Nothing to do for it: then nobody asks.
    assert changed(site.run(balancer=gone)) == 0


@contextmanager
def stranger(site: Site, *options: str) -> Iterator[str]:
    """A container that somebody else made, of the only image that is sure to be there."""
    made = docker("create", *options, site.image)
    docker("start", made)
    try:
        yield made
    finally:
        docker("rm", "--force", made)


def test_strangers_are_not_removed(site: Site) -> None:
    third = site.ports[2]
    before = site.containers()
    with stranger(site, "--name", "rolling-3") as theirs:
        said = message(site.run(count=3))
        assert "the name rolling-3 is held by a container without the label" in said
        assert "Nothing was changed" in said
        assert state(theirs) == "running"
    with stranger(site, "--publish", f"{LOOPBACK}:{third}:80") as theirs:
        said = message(site.run(count=3))
        assert f"port {third}, wanted for rolling-3, is published by the container" in said
        assert state(theirs) == "running"
    with socket.create_server((LOOPBACK, third)):
        said = message(site.run(count=3))
        assert f"Port {third} of {LOOPBACK}, wanted for rolling-3, answers already" in said
    assert site.containers() == before


# What is given, and what the message says.
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"web_containers_image": "bookface/rolling:nosuch"}, "has no image bookface/rolling:no"),
    ({"web_containers_image": ""}, "web_containers_image is empty. Run the role"),
    ({"web_containers_list": [{"name": "a1", "port": 80}]}, "has port 80 for a1; wanted is"),
    ({"web_containers_memory": "lots"}, "web_containers_memory is lots; wanted is a size"),
    ({"web_containers_network": "bridge"}, "web_containers_network is bridge; wanted is the"),
    ({"web_containers_ulimits": ["nofile"]}, "web_containers_ulimits has nofile; wanted is"),
    ({"web_containers_mounts": [{"source": "here", "target": "/x"}]}, "has {'source': 'here'"),
    ({"web_containers_loadbalancers": ["lb9"]}, "has lb9, which the inventory does not know"),
]


def test_wrong_input(site: Site) -> None:
    """All at once, each on a host of its own."""
    before = site.containers()
    hosts = {f"host{number}": wrong for number, (wrong, _) in enumerate(WRONG)}
    done = site.play(rolling.PLAYS, hosts=hosts, **site.variables())
    said = messages(done)
    for number, (wrong, wanted) in enumerate(WRONG):
        assert wanted in said.get(f"host{number}", ""), wrong
    assert all("Nothing was changed." in one or "No container was" in one for one in said.values())
    assert site.containers() == before


def test_settings_reach_the_container(site: Site) -> None:
    pictures = site.directory / "pictures"
    pictures.mkdir(exist_ok=True)
    settings = {
        "web_containers_cpus": 0.5,
        "web_containers_memory": "256M",
        "web_containers_pids": 100,
        "web_containers_ulimits": ["nofile:4096:8192"],
        "web_containers_mounts": [{"source": str(pictures), "target": "/var/www/images"}],
        "web_containers_restart_policy": "on-failure",
        "web_containers_log_size": "1m",
        "bookface_metrics": True,
    }
    before = site.containers()
    # Docker would change a limit in place: alone it is a change as any other.
    previewed = site.run("--check", web_containers_memory="300M")
    assert changed(previewed) > 0
    assert "is replaced: memory" in previewed.stdout
    assert site.containers() == before
    site.converge(**settings)
    assert not set(before.values()) & set(site.containers().values())
    shown = docker("inspect", "--format", "{{json .HostConfig}}", "rolling-1")
    for text in (
        '"NanoCpus":500000000',
        '"Memory":268435456',
        '"PidsLimit":100',
        '{"Name":"nofile","Hard":8192,"Soft":4096}',
        '"Name":"on-failure"',
        '"max-size":"1m"',
        '"Target":"/var/www/images","ReadOnly":true',
        f'"NetworkMode":"{site.network}"',
    ):
        assert text in shown
    metrics = f"http://{LOOPBACK}:{site.ports[0]}/platform/metrics"
    with urllib.request.urlopen(metrics, timeout=10) as answer:
        assert "\napache_up 1\n" in answer.read().decode()
    assert changed(site.run(**settings)) == 0
    # What is dropped differs, too.
    fewer = settings | {"web_containers_ulimits": [], "web_containers_mounts": []}
    assert f"on {site.ports[0]} is replaced: mounts, ulimits" in site.run("--check", **fewer).stdout


def test_an_address_of_ipv6(shared: Site) -> None:
    """Docker is asked what it would do."""
    other = {"web_containers_list": [{"name": "rolling-6", "port": shared.ports[2]}]}
    previewed = shared.run("--check", web_containers_bind_address="::1", **other)
    assert changed(previewed) > 0
