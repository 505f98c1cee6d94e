"""The swarm as its manager knows it, and its nodes as the load balancer asks them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from testinfra.host import Host

from tests.support.commands import ask
from tests.support.waiting import until

testinfra_hosts = ["ansible://swarm_managers"]

PROBE = "-H 'X-Bookface-Probe: test'"


def docker(host: Host, command: str) -> str:
    return host.check_output(f"sudo docker {command}")


def rows(host: Host, command: str) -> list[dict[str, Any]]:
    """Lines of a Docker command as data."""
    lines = docker(host, f"{command} --format '{{{{json .}}}}'").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture
def service(host: Host) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(docker(host, "service inspect bookface"))
    return found[0]


@pytest.fixture
def nodes(host: Host) -> set[str]:
    """Names of the machines that shall be in the swarm."""
    groups = host.ansible.get_variables()["groups"]
    return set(groups["swarm_managers"]) | set(groups["swarm_workers"])


def running(host: Host) -> list[dict[str, Any]]:
    """Tasks that run."""
    tasks = rows(host, "service ps bookface --filter desired-state=running")
    return [task for task in tasks if task["CurrentState"].startswith("Running ")]


@pytest.fixture
def busy(host: Host) -> set[str]:
    """Names of the nodes that run a task, each of them one."""
    nodes = [task["Node"] for task in running(host)]
    assert len(set(nodes)) == len(nodes) == 2
    return set(nodes)


def test_all_nodes_are_ready_and_have_their_part(host: Host, nodes: set[str]) -> None:
    found = {row["Hostname"]: row for row in rows(host, "node ls")}
    assert set(found) == nodes
    assert {row["Status"] for row in found.values()} == {"Ready"}
    managers = {name for name, row in found.items() if row["ManagerStatus"]}
    assert managers == set(host.ansible.get_variables()["groups"]["swarm_managers"])


def test_nodes_know_each_other_by_the_inventory_s_address(host: Host) -> None:
    facts = host.ansible.get_variables()
    address = f"{facts['lab_network']}.{facts['lab_node_number']}"
    assert docker(host, "info --format '{{.Swarm.NodeAddr}}'") == address
    listening = host.check_output("ss -tlnH 'sport = :2377'").split()
    assert f"{address}:2377" in listening


def test_as_many_tasks_run_as_wanted(host: Host, service: dict[str, Any]) -> None:
    assert service["Spec"]["Mode"]["Replicated"]["Replicas"] == 2
    tasks = rows(host, "service ps bookface --filter desired-state=running")
    assert len(tasks) == len(running(host)) == 2
    assert len({task["Node"] for task in tasks}) == 2


def test_network_is_an_overlay(host: Host, service: dict[str, Any]) -> None:
    network = service["Spec"]["TaskTemplate"]["Networks"][0]["Target"]
    shown = docker(host, f"network inspect {network} --format '{{{{.Name}}}} {{{{.Driver}}}}'")
    assert shown == "bookface-swarm overlay"


def test_service_has_no_more_rights_than_it_needs(service: dict[str, Any]) -> None:
    template = service["Spec"]["TaskTemplate"]
    assert template["ContainerSpec"]["ReadOnly"] is True
    assert template["ContainerSpec"]["CapabilityDrop"] == ["ALL"]
    limits = template["Resources"]["Limits"]
    assert limits == {"MemoryBytes": 512 * 1024 * 1024, "Pids": 200}
    assert service["Spec"]["Labels"]["platform.bookface.role"] == "web"


def test_a_failing_update_is_taken_back(host: Host, service: dict[str, Any]) -> None:
    """By the swarm itself: it does so while nobody of the collection looks."""

    def spec() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(docker(host, "service inspect bookface"))[0]
        return found

    def is_over() -> bool:
        return spec().get("UpdateStatus", {}).get("State") == "rollback_completed"

    docker(host, "service update --detach --entrypoint false bookface")
    until(is_over, lambda: f"taken back: {spec().get('UpdateStatus')}")
    assert spec()["Spec"]["TaskTemplate"] == service["Spec"]["TaskTemplate"]
    until(lambda: len(running(host)) == 2, "two tasks run again")


def test_secrets_are_in_no_description(host: Host, service: dict[str, Any]) -> None:
    secret = host.ansible.get_variables()["bookface_db_password"]
    described = json.dumps(service) + "".join(
        docker(host, f"{kind} inspect {row['ID']}")
        for kind, listing in (("secret", "secret ls"), ("config", "config ls"))
        for row in rows(host, listing)
    )
    described += "".join(
        docker(host, f"inspect {row['ID']}") for row in rows(host, "service ps bookface --no-trunc")
    )
    assert "bookface-pgpass" in described
    assert secret not in described
    files = service["Spec"]["TaskTemplate"]["ContainerSpec"]["Secrets"]
    assert {file["File"]["Name"]: oct(file["File"]["Mode"]) for file in files} == {
        "/etc/bookface/config.json": "0o440",
        "/etc/bookface/pgpass": "0o400",
    }


def test_nodes_that_run_a_task_answer(
    host: Host, service: dict[str, Any], nodes: set[str], busy: set[str]
) -> None:
    """And no others, so that load balancers check the tasks themselves."""
    (port,) = service["Spec"]["EndpointSpec"]["Ports"]
    assert port["PublishMode"] == "host"
    assert service["Spec"]["TaskTemplate"]["Placement"]["MaxReplicas"] == 1
    for name in nodes:
        ready = ask(host, f"http://{name}:{port['PublishedPort']}/platform/ready", PROBE)
        assert ready == ((200, "ready\n") if name in busy else (0, "")), name


def test_nodes_report_often(host: Host) -> None:
    """A node that is lost is noticed after three of these."""
    form = "{{.Swarm.Cluster.Spec.Dispatcher.HeartbeatPeriod}}"
    assert docker(host, f"info --format '{form}'") == "2s"


def test_pages_come_from_the_database(host: Host, busy: set[str]) -> None:
    for name in busy:
        status, body = ask(host, f"http://{name}:8080/")
        assert (status, "Users:" in body, "SQLSTATE" in body) == (200, True, False)
        # This page passes no password: libpq takes it from the password file.
        status, body = ask(host, f"http://{name}:8080/showallusers.php")
        assert (status, "users: 200" in body.lower()) == (200, True), body[:300]
        assert ask(host, f"http://{name}:8080/config.json")[0] == 403
