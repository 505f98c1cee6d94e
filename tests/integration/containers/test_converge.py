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
from tests.support.commands import recap
from tests.support.engine import docker
from tests.support.load import Load, read_log
from tests.support.rolling import BALANCER, HOST, LOOPBACK, Site
from tests.support.waiting import until

from .conftest import changed, keep, message, messages, other, process, state


def test_what_was_done_by_hand_is_undone(site: Site) -> None:
    before = site.containers()
    docker("rename", "rolling-1", "mine")
    docker("stop", "rolling-2")
    assert changed(site.run()) == 2
    assert site.containers() == before
    docker("pause", "rolling-1")
    docker("rm", "--force", "rolling-2")
    assert changed(site.run()) == 1
    after = site.wanted = site.containers()
    assert {state(name) for name in after} == {"running"}
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
    server = f"docker/{HOST}-{site.ports[1]}"
    assert ask(site.socket, f"set server {server} state drain").strip() == ""
    try:
        said = message(site.run(**other(site)))
        assert f"rolling-1 cannot be taken out of {BALANCER}: " in said
        assert "expected at least 1 other servers that pass their checks, got 0" in said
        assert "With web_containers_keep: 0 a gap is accepted. No container was touched." in said
        assert site.containers() == before
        # Drained by hand, and not replaced: it stays so.
        assert changed(site.run()) == 0
        assert "DRAIN" in site.states()[server.partition("/")[2]]
    finally:
        ask(site.socket, f"set server {server} state ready")


def test_a_port_does_not_move_under_traffic(site: Site) -> None:
    before = site.containers()
    moved = [
        {"name": "rolling-1", "port": site.ports[2]},
        {"name": "rolling-2", "port": site.ports[1]},
    ]
    said = message(site.run(web_containers_list=moved))
    assert "Its port changes: move the traffic to another backend first" in said
    assert site.containers() == before


@contextmanager
def stranger(site: Site, *options: str) -> Iterator[str]:
    """A container that somebody else made, of the only image that is sure to be there."""
    made = docker("create", *options, site.image)
    docker("start", made)
    try:
        yield made
    finally:
        docker("rm", "--force", made)


@contextmanager
def network(name: str) -> Iterator[str]:
    """A network that somebody else made."""
    docker("network", "create", name)
    try:
        yield name
    finally:
        docker("network", "rm", name)


# What is given, and what the message says.
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"web_containers_image": "bookface/rolling:nosuch"}, "has no image bookface/rolling:no"),
    ({"web_containers_image": ""}, "web_containers_image is empty. Run the role"),
    ({"web_containers_list": [{"name": "a1", "port": 80}]}, "has port 80 for a1; expected one of"),
    ({"web_containers_memory": "lots"}, "web_containers_memory is lots; expected a size"),
    ({"web_containers_network": "bridge"}, "web_containers_network is bridge; expected the"),
    ({"web_containers_adopt": ["rolling-3"]}, "web_containers_adopt has rolling-3; expected con"),
    ({"web_containers_ulimits": ["nofile"]}, "web_containers_ulimits has nofile; expected NAME"),
    ({"web_containers_mounts": [{"source": "here", "target": "/x"}]}, "_mounts has here; expected"),
    (
        {"web_containers_mounts": [{"source": "/here", "target": "/etc/bookface"}]},
        "web_containers_mounts has the targets /etc/bookface; expected each once",
    ),
    ({"web_containers_loadbalancers": ["lb9"]}, "has lb9, which the inventory does not know"),
]


def test_what_is_refused_before_anything_is_touched(site: Site) -> None:
    """All at once, each on a host of its own: wrong values, strangers in the way, no way to ask."""
    before = site.containers()
    third, fourth, fifth = site.ports[2:5]
    cases: dict[str, tuple[dict[str, Any], str]] = {
        f"wrong{number}": case for number, case in enumerate(WRONG)
    }

    def wanting(name: str, port: int) -> dict[str, Any]:
        given: list[dict[str, Any]] = site.variables()["web_containers_list"]
        return {"web_containers_list": [*given, {"name": name, "port": port}]}

    with (
        network(f"{site.network}-theirs") as theirs,
        stranger(site, "--name", "rolling-3", "--network", theirs) as named,
        stranger(site, "--publish", f"{LOOPBACK}:{fourth}:80") as published,
        socket.create_server((LOOPBACK, fifth)),
    ):
        cases |= {
            "name": (
                wanting("rolling-3", third),
                f"by the container rolling-3 ({named[:12]}, image {site.image}), which is not ours",
            ),
            "port": (
                wanting("rolling-4", fourth),
                f"Port {fourth}, expected for rolling-4, is published by the container",
            ),
            "process": (
                wanting("rolling-5", fifth),
                f"Port {fifth} of {LOOPBACK}, expected to be free for rolling-5, is in use",
            ),
            "network": (
                {"web_containers_network": theirs, "web_containers_adopt": "network/another"},
                f"or adopt it with web_containers_adopt: [network/{theirs}]",
            ),
            # By this name its servers are known, so the load balancer has to be asked.
            HOST: (other(site), "Bring this load balancer back"),
        }
        gone = {"ansible_connection": "ssh", "ansible_host": LOOPBACK, "ansible_port": 9}
        hosts = {host: given for host, (given, _) in cases.items()}
        done = site.play(rolling.PLAYS, hosts=hosts, balancer=gone, **site.variables())
        said = messages(done)
        for host, (given, expected) in cases.items():
            assert expected in said.get(host, ""), given
        assert f" cannot be taken out of {BALANCER}: " in said[HOST]
        assert {state(named), state(published)} == {"running"}
        assert named in docker("network", "inspect", theirs)
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
    # One that somebody runs by hand is replaced with the others, on demand.
    docker("rm", "--force", "rolling-2")
    docker(
        *("run", "--detach", "--name", "rolling-2", "--network", site.network),
        *(
            "--publish",
            f"{LOOPBACK}:{site.ports[1]}:8080",
            "--env",
            "PGPASSFILE=/etc/bookface/pgpass",
        ),
        *("--volume", f"{site.directory}/site:/etc/bookface:ro", site.image),
    )
    until(site.serving, "both servers")
    site.converge(**settings, web_containers_adopt="container/rolling-2")
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
    keep(site, **settings)
    # Nothing to do: then nobody asks a load balancer, not even one that is gone.
    gone = {"ansible_connection": "ssh", "ansible_host": LOOPBACK, "ansible_port": 9}
    assert changed(site.run(balancer=gone)) == 0


def test_what_a_check_shows(site: Site) -> None:
    """Each case on a host of its own; nothing is done."""
    before = site.containers()
    fuller = {
        "web_containers_ulimits": ["nofile:4096:8192"],
        "web_containers_mounts": [{"source": str(site.directory), "target": "/var/www/images"}],
    }
    if not site.kept.get("web_containers_ulimits"):
        site.converge(**fuller)
        keep(site, **fuller)
        before = site.wanted
    first, second = site.ports[:2]
    theirs = f"{site.network}-theirs"
    hosts: dict[str, dict[str, Any]] = {
        # Somebody else's network, on demand.
        "adopts": {"web_containers_network": theirs, "web_containers_adopt": [f"network/{theirs}"]},
        # A removal beside a replacement; this host's servers are known to the load balancer.
        HOST: {**other(site), "web_containers_list": [{"name": "rolling-1", "port": first}]},
        # Docker would change a limit in place: alone it is a change as any other.
        "limit": {"web_containers_memory": "300M"},
        # What is dropped differs, too.
        "fewer": {"web_containers_ulimits": [], "web_containers_mounts": []},
        # Docker is asked what it would do with an address of IPv6.
        "ipv6": {
            "web_containers_bind_address": "::1",
            "web_containers_list": [{"name": "rolling-6", "port": site.ports[2]}],
        },
    }
    with network(theirs):
        done = site.play(rolling.PLAYS, "--check", hosts=hosts, **site.variables())
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-500:]
    assert all(recap(done.stdout)[host]["changed"] > 0 for host in hosts)
    assert "rolling-2 is removed" in done.stdout
    assert f"rolling-1 on {first} is replaced: log_options" in done.stdout
    assert f"rolling-2 on {second} is replaced: memory" in done.stdout
    assert f"rolling-2 on {second} is replaced: mounts, ulimits" in done.stdout
    assert f"rolling-2 on {second} is replaced: network" in done.stdout
    assert site.containers() == before
