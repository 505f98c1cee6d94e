"""The switch as a user runs it, seen through the front door."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.support.paths import ROOT
from tests.support.platform import Platform

LEGACY = ("web1", "web2")


@pytest.fixture(autouse=True)
def traffic(platform: Platform) -> None:
    """It goes to the containers, whichever of these tests are run."""
    if platform.backend() != "docker":
        run = platform.switch("docker")
        assert run.code == 0, run.output


@pytest.mark.load
def test_demonstration_loses_no_request(platform: Platform) -> None:
    """`make demo` on this lab: its last line, and where the traffic is afterwards."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.demo", "--only-switch", "-i", platform.inventory],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    print(done.stdout)
    last = done.stdout.strip().splitlines()[-1]
    found = re.fullmatch(r"demo: (\d+) requests, (\d+) failed, legacy -> docker in (\d+) ms", last)
    assert found, f"{last}\n{done.stderr}"
    assert int(found[1]) >= 2000
    assert int(found[2]) == 0
    assert done.returncode == 0
    assert platform.backend() == "docker"


def test_a_second_switch_to_the_same_backend_changes_nothing(platform: Platform) -> None:
    run = platform.switch("docker")
    assert run.code == 0, run.output
    assert run.changed == {"lb1": 0}
    assert "docker has the traffic already" in run.output


def test_check_mode_tells_and_changes_nothing(platform: Platform) -> None:
    before = platform.config()
    run = platform.switch("legacy", "--check", "--diff")
    assert run.code == 0, run.output
    assert run.changed == {"lb1": 1}
    assert "docker -> legacy (would be)" in run.output
    assert "+default_backend legacy" in run.output.replace("    ", "")
    assert platform.config() == before
    assert platform.backend() == "docker"


@pytest.mark.parametrize("arguments", [["-e", "target=nosuch"], []])
def test_wrong_or_missing_target_names_the_choices(
    platform: Platform, arguments: list[str]
) -> None:
    before = platform.config()
    run = platform.playbook("switch_backend.yml", *arguments)
    assert run.code != 0
    assert "Choices: legacy, docker" in run.output
    assert "Nothing was changed" in run.output
    assert platform.config() == before
    assert platform.backend() == "docker"


def test_a_target_without_a_passed_check_is_refused(platform: Platform) -> None:
    before = platform.config()
    for host in LEGACY:
        platform.node(host, "systemctl stop apache2")
    try:
        run = platform.switch("legacy")
        assert run.code != 0
        assert "0 of 2 servers have passed a check" in run.output
        assert platform.config() == before
        assert platform.backend() == "docker"
    finally:
        for host in LEGACY:
            platform.node(host, "systemctl start apache2")


def test_a_target_that_does_not_serve_is_taken_back(platform: Platform) -> None:
    """Checks pass, the page is wrong: only the proof after the switch can see that."""
    proof = {"url": "http://127.0.0.1:80/", "content": "no such words", "requests": 2}
    run = platform.switch("legacy", "-e", json.dumps({"haproxy_switch_proof": proof}))
    assert run.code != 0
    assert "the traffic goes to docker again" in run.output
    assert platform.backend() == "docker"


def test_status_tells_who_serves(platform: Platform) -> None:
    run = platform.playbook("playbooks/status.yml")
    assert run.code == 0, run.output
    assert "traffic goes to: docker" in run.output
    for server in ("web1", "web2", "docker1-32001", "docker1-32002"):
        assert re.search(rf"{server}\s+\S+:\d+\s+UP\s+L7OK", run.output), run.output
    assert "swarm: 3 of 3 nodes take tasks" in run.output
    for host in ("docker1", "swarm1"):
        age = rf"{host}: base image of [-\d]{{10}}, \d+ days old"
        assert re.search(age, run.output), run.output
    assert set(run.changed.values()) == {0}


def test_site_again_in_check_mode_changes_nothing(platform: Platform) -> None:
    """For real it is run again with all levers on (tests/levers)."""
    run = platform.playbook("site.yml", "--check", "--diff")
    assert run.code == 0, run.output
    assert set(run.changed) == set(platform.addresses)
    assert set(run.changed.values()) == {0}, run.output
    assert platform.backend() == "docker"
