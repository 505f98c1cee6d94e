"""The containers as Docker really runs them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://docker_hosts"]

NAMES = {"bookface-web-1": "32001", "bookface-web-2": "32002"}


def inspect(host: Host, name: str) -> dict[str, Any]:
    """What Docker knows of a container."""
    found: list[dict[str, Any]] = json.loads(host.check_output(f"sudo docker inspect {name}"))
    return found[0]


def test_engine_is_enabled_and_runs(host: Host) -> None:
    service = host.service("docker")
    assert service.is_running
    assert service.is_enabled


def test_just_these_containers_run(host: Host) -> None:
    names = host.check_output("sudo docker ps --all --format '{{.Names}}'")
    assert set(names.split()) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
class TestContainer:
    def test_is_healthy_and_comes_back(self, host: Host, name: str) -> None:
        facts = inspect(host, name)
        assert facts["State"]["Health"]["Status"] == "healthy"
        assert facts["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"

    def test_is_published_on_the_internal_address_only(self, host: Host, name: str) -> None:
        address = host.ansible.get_variables()["lab_network"] + ".31"
        bound = inspect(host, name)["HostConfig"]["PortBindings"]
        assert bound == {"8080/tcp": [{"HostIp": address, "HostPort": NAMES[name]}]}

    def test_has_no_more_rights_than_it_needs(self, host: Host, name: str) -> None:
        facts = inspect(host, name)
        assert facts["Config"]["User"] == "33:33"
        settings = facts["HostConfig"]
        assert settings["ReadonlyRootfs"] is True
        assert settings["CapDrop"] == ["ALL"]
        assert settings["SecurityOpt"] == ["no-new-privileges"]
        assert settings["Memory"] == 512 * 1024 * 1024
        assert settings["PidsLimit"] == 200

    def test_secrets_are_not_in_the_container_s_description(self, host: Host, name: str) -> None:
        secret = host.ansible.get_variables()["bookface_db_password"]
        assert secret not in json.dumps(inspect(host, name))
        image = inspect(host, name)["Image"]
        assert secret not in host.check_output(f"sudo docker history --no-trunc {image}")

    def test_comes_back_when_its_process_dies(self, host: Host, name: str) -> None:
        before = inspect(host, name)
        host.check_output(f"sudo kill -9 {before['State']['Pid']}")
        # In one look: for a moment after the kill the old one is still called healthy.
        shown = "{{.RestartCount}} {{.State.Status}} {{.State.Health.Status}}"
        look = f"sudo docker inspect -f '{shown}' {name}"
        wanted = f"{before['RestartCount'] + 1} running healthy"
        host.check_output(
            f'for i in $(seq 60); do test "$({look})" = "{wanted}" && exit 0; sleep 0.5; done;'
            f" {look}; exit 1"
        )
        after = inspect(host, name)
        assert after["RestartCount"] == before["RestartCount"] + 1
        assert after["State"]["Pid"] != before["State"]["Pid"]


def test_containers_find_each_other_by_name(host: Host) -> None:
    url = "http://bookface-web-2:8080/platform/live"
    told = host.check_output(f"sudo docker exec bookface-web-1 busybox wget -q -O - {url}")
    assert told == "alive"


def test_code_is_unmodified(host: Host) -> None:
    """The pages in the container are byte for byte those of the source."""
    code = Path(__file__).resolve().parents[2] / "examples/bookface/code"
    inside = host.check_output(
        "sudo docker exec bookface-web-1 busybox sh -c"
        " 'cd /var/www/html && busybox sha256sum *.php *.css'"
    )
    expected = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in code.iterdir()}
    found = {name: digest for digest, name in (line.split() for line in inside.splitlines())}
    assert found == expected
