"""Each node of the swarm as its own engine sees it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from testinfra.host import Host, get_hosts

testinfra_hosts = ["ansible://swarm_managers", "ansible://swarm_workers"]

OURS = "--filter label=com.docker.swarm.service.name=bookface"
REPLICAS = 2


@pytest.fixture(scope="module")
def tasks(pytestconfig: pytest.Config) -> list[tuple[Host, dict[str, Any]]]:
    """The service's running containers, each with its node. A node may have none."""
    inventory = pytestconfig.getoption("--ansible-inventory")
    found: list[tuple[Host, dict[str, Any]]] = []
    for node in get_hosts(testinfra_hosts, ansible_inventory=inventory):
        for name in node.check_output(f"sudo docker ps --quiet {OURS}").split():
            task = json.loads(node.check_output(f"sudo docker inspect {name}"))[0]
            found.append((node, task))
    # What is asserted of every task says nothing where there is none.
    assert len(found) == REPLICAS
    return found


def test_engine_is_enabled_and_in_the_swarm(host: Host) -> None:
    assert host.service("docker").is_enabled
    state = host.check_output("sudo docker info --format '{{.Swarm.LocalNodeState}}'")
    assert state == "active"


def test_image_is_here_before_a_task_wants_it(host: Host) -> None:
    images = host.check_output("sudo docker image ls bookface/web --format '{{.Tag}}'")
    assert len(images.split()) >= 1


def test_no_archive_was_left_behind(host: Host) -> None:
    assert host.check_output("ls -A /var/tmp | grep -c ^bookface-image || true") == "0"


def test_password_is_in_no_file_of_the_node(host: Host) -> None:
    secret = host.ansible.get_variables()["bookface_db_password"]
    assert host.run(f"sudo grep -rqs {secret} /etc /var/tmp").rc == 1


def test_packets_of_tasks_fit_between_the_nodes(tasks: list[tuple[Host, dict[str, Any]]]) -> None:
    """VXLAN adds 50 bytes to those of the overlay. The others leave by the node's interface."""
    for node, task in tasks:
        interface = int(node.check_output("cat /sys/class/net/eth0/mtu"))
        show = "busybox sh -c 'cat /sys/class/net/eth*/mtu'"
        found = node.check_output(f"sudo docker exec {task['Id']} {show}").split()
        assert sorted(map(int, found)) == [interface - 50, interface]


def test_tasks_have_no_more_rights_than_they_need(tasks: list[tuple[Host, dict[str, Any]]]) -> None:
    for node, task in tasks:
        assert task["State"]["Health"]["Status"] == "healthy"
        assert task["Config"]["User"] == "33:33"
        settings = task["HostConfig"]
        assert settings["ReadonlyRootfs"] is True
        assert settings["CapDrop"] == ["ALL"]
        assert settings["Memory"] == 512 * 1024 * 1024
        assert settings["PidsLimit"] == 200
        inside = f"sudo docker exec {task['Id']} busybox"
        assert node.check_output(f"{inside} id -un") == "www-data"
        assert node.run(f"{inside} touch /var/www/html/x").rc != 0
        assert node.run(f"{inside} touch /tmp/x").rc == 0


def test_secrets_are_files_of_the_tasks_only(tasks: list[tuple[Host, dict[str, Any]]]) -> None:
    for node, task in tasks:
        secret = node.ansible.get_variables()["bookface_db_password"]
        assert secret not in json.dumps(task)
        shown = node.check_output(
            f"sudo docker exec {task['Id']} busybox"
            " stat -L -c '%a %u:%g %n' /etc/bookface/pgpass /etc/bookface/config.json"
        )
        assert shown.splitlines() == [
            "400 33:33 /etc/bookface/pgpass",
            "440 0:33 /etc/bookface/config.json",
        ]
