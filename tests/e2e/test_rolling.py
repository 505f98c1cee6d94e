"""A changed setting on real machines: site.yml replaces the containers, and nobody notices."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.load import Load
from tests.support.paths import ROOT
from tests.support.platform import Platform

HOST = "docker1"


def containers(platform: Platform) -> dict[str, str]:
    """Name → id of our containers, stopped ones, too."""
    listed = platform.node(
        HOST,
        "docker ps -a --no-trunc --filter label=platform.bookface.role=web"
        " --format '{{.Names}} {{.ID}}'",
    )
    return dict(line.split() for line in listed.splitlines())


@pytest.fixture(autouse=True, scope="module")
def traffic(platform: Platform) -> None:
    """All of it goes to the containers, whichever of these tests are run."""
    done = platform.switch("docker")
    assert done.code == 0, done.output


@pytest.fixture
def load(platform: Platform) -> Load:
    """Clients of the containers."""
    return Load([platform.url], clients=6, rate=25, at_least=800, expect="Users:")


def site(platform: Platform, *options: str) -> str:
    """site.yml on the containers and the load balancer; what it printed."""
    done = platform.playbook("site.yml", "--limit", f"{HOST},loadbalancers", *options)
    assert done.code == 0, done.output
    return done.output


@pytest.mark.load
def test_replaced_more_and_fewer_under_load(platform: Platform, load: Load) -> None:
    """The load balancer follows in the same run, on the way up and on the way down."""
    before = containers(platform)
    # A setting that only a new container can have, and one container more.
    more = {"web_containers_log_files": 4, "bookface_container_count": 3}
    with load:
        output = site(platform, "-e", json.dumps(more))
        after = containers(platform)
        site(platform)
    assert load.summary.failed == 0, load.summary.examples
    assert set(load.summary.by_backend) == {"docker"}
    assert "bookface-web-1 on 32001 is replaced: log_options" in output
    assert len(after) == 3
    assert set(before) < set(after)
    assert not set(after.values()) & set(before.values())
    assert set(load.summary.by_server) == {f"{HOST}-{port}" for port in (32001, 32002, 32003)}
    assert set(containers(platform)) == set(before)


def test_containers_outlive_a_restart_of_their_engine(platform: Platform) -> None:
    """The role docker_ce keeps them running (live-restore); only their ports pause a moment."""
    running = "docker inspect --format '{{.Id}} {{.State.Pid}}' bookface-web-1 bookface-web-2"
    before = platform.node(HOST, running)
    platform.node(HOST, "systemctl restart docker")
    assert platform.node(HOST, running) == before
    serve_again(platform)


@pytest.mark.long
def test_the_engine_restarts_in_the_middle_of_a_replacement(
    platform: Platform, tmp_path: Path
) -> None:
    """Whatever the run makes of it: one container or the other serves, and the next run ends it."""
    before = containers(platform)
    output = tmp_path / "output"
    with output.open("w") as log:
        setting = ["-e", "web_containers_log_files=5"]
        command = platform.command("deploy.yml", "--limit", HOST, *setting)
        run = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    while "TASK [bookface.platform.web_containers : Start the new one]" not in output.read_text():
        assert run.poll() is None, output.read_text()
        time.sleep(0.1)
    platform.node(HOST, "systemctl restart docker")
    run.wait()
    serve_again(platform)
    site(platform)
    after = containers(platform)
    assert set(after) == set(before)
    serve_again(platform)
    status = platform.playbook("playbooks/status.yml")
    for server in (f"{HOST}-32001", f"{HOST}-32002"):
        assert re.search(rf"{server}\s+\S+:\d+\s+UP\s+L7OK", status.output), status.output


def serve_again(platform: Platform) -> None:
    """Wait until one request after the other reaches the containers."""
    for _second in range(60):
        if all(serves(platform) for _request in range(5)):
            return
        time.sleep(1)
    pytest.fail("the containers do not serve again")


def serves(platform: Platform) -> bool:
    """Whether a request reaches the containers."""
    try:
        return platform.backend() == "docker"
    except OSError:
        return False
