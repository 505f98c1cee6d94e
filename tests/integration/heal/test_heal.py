"""heal.yml on machines that are files: Python there only says what it is told to say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Run, playbook_on
from tests.support.health import GROUPS, HOSTS, HOSTVARS, looks

# In the place of Python: to the module health_look it answers with what there was before, once, and
# then with what there is; all else succeeds, and is counted.
PYTHON = """#!/bin/sh
cat > {directory}/{host}.asked
if grep -q health_look {directory}/{host}.asked; then
  cat {directory}/{host}.before 2>/dev/null || cat {directory}/{host}.look
  rm -f {directory}/{host}.before
else
  echo done >> {directory}/{host}.done
  echo '{{"changed": true, "rc": 0, "stdout": "", "stderr": "", "cmd": []}}'
fi
"""
CONTAINER = "docker1/container/bookface-web-1"


class Machines:
    """An inventory of such machines. All are well unless told otherwise."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.vars: dict[str, Any] = {"ansible_connection": "local", "ansible_become": False}
        self.hosts: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, list[str]] = {**GROUPS}
        for host, look in looks().items():
            python = directory / f"{host}.python"
            python.write_text(PYTHON.format(directory=directory, host=host))
            python.chmod(0o755)
            self.hosts[host] = {**HOSTVARS[host], "ansible_python_interpreter": str(python)}
            self.says(host, look)

    def says(self, host: str, look: Mapping[str, Any], when: str = "look") -> None:
        """What the module returns there, always or at the first time (before)."""
        said = json.dumps({"changed": False, "waited": 0, **look})
        (self.directory / f"{host}.{when}").write_text(said)

    def without_container(self, when: str = "look") -> None:
        look = looks()["docker1"]
        look["seen"]["engine"]["containers"][0] |= {"state": "exited", "status": "Exited (137)"}
        self.says("docker1", look, when)

    def done(self) -> dict[str, int]:
        """Host → how much was done there besides looking."""
        return {
            path.stem: len(path.read_text().splitlines()) for path in self.directory.glob("*.done")
        }

    def heal(self, *arguments: str) -> tuple[Run, dict[str, Any]]:
        children = {
            group: {"hosts": {host: self.hosts[host] for host in hosts}}
            for group, hosts in self.groups.items()
        }
        inventory = self.directory / "hosts.json"
        inventory.write_text(json.dumps({"all": {"vars": self.vars, "children": children}}))
        report = self.directory / "report.json"
        report.unlink(missing_ok=True)
        run = playbook_on(
            inventory,
            "heal.yml",
            "-e",
            f"heal_report_file={report}",
            "-e",
            f"heal_state_file={self.directory}/state/tries.json",
            *arguments,
        )
        return run, json.loads(report.read_text()) if report.exists() else {}


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    return Machines(tmp_path)


def part(report: Mapping[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in report["parts"] if one["id"] == name)


def test_on_machines_that_are_well_nothing_is_done(machines: Machines) -> None:
    run, report = machines.heal()
    assert (run.code, report["exit_status"]) == (0, 0), run.output
    assert machines.done() == {}
    # One look, and no other task.
    assert {host: run.count("ok", host) for host in HOSTS} == dict.fromkeys(HOSTS, 1)
    assert not any(run.changed.values())
    assert not (machines.directory / "state").exists()


def test_what_is_mended_is_mended_once_and_ends_with_1(machines: Machines) -> None:
    machines.without_container("before")
    run, report = machines.heal("--check")
    assert (run.code, report["status"]) == (2, "broken"), run.output
    assert part(report, CONTAINER)["wanted"] == "start bookface-web-1"
    assert machines.done() == {}

    machines.without_container("before")
    run, report = machines.heal()
    assert (run.code, report["status"]) == (1, "mended"), run.output
    assert (part(report, CONTAINER)["action"], part(report, CONTAINER)["tries"]) == ("started", 1)
    assert machines.done() == {"docker1": 1}

    run, report = machines.heal()
    assert (run.code, report["status"]) == (0, "healthy"), run.output
    assert machines.done() == {"docker1": 1}


def test_what_does_not_stay_up_is_at_last_only_reported(machines: Machines) -> None:
    machines.without_container()
    for number in (1, 2, 3):
        run, report = machines.heal("-e", "heal_tries=2", "-e", "heal_wait=0")
        assert (run.code, report["status"]) == (2, "broken"), run.output
        assert machines.done() == {"docker1": min(number, 2)}
    assert "2 tries did not keep it up" in part(report, CONTAINER)["cause"]
    # A state that cannot be read is reported, and replaced.
    (machines.directory / "state/tries.json").write_text("{")
    run, _report = machines.heal("-e", "heal_tries=2", "-e", "heal_wait=0")
    assert "tries.json cannot be read" in run.text
    assert machines.done() == {"docker1": 3}


def test_a_machine_that_is_not_reached_keeps_no_other_from_being_mended(
    machines: Machines,
) -> None:
    machines.without_container("before")
    machines.hosts["db1"] |= {
        "ansible_connection": "ssh",
        "ansible_host": "127.0.0.1",
        "ansible_port": 1,
    }
    run, report = machines.heal()
    assert (run.code, report["status"]) == (2, "broken"), run.output
    assert part(report, "db1/machine/db1")["state"] == "unknown"
    assert part(report, CONTAINER)["action"] == "started"


def test_what_is_named_is_left_alone(machines: Machines) -> None:
    machines.without_container()
    run, report = machines.heal("-e", "heal_never=web1,bookface-web-1")
    assert run.code == 2, run.output
    assert "heal_never leaves it alone" in part(report, CONTAINER)["cause"]
    assert machines.done() == {}


def test_servers_of_a_cloud(machines: Machines) -> None:
    """A locked one is left alone, one that is gone is named, and a cloud that refuses is said."""
    up = {"status": "ACTIVE", "task_state": None, "is_locked": False, "fault": None}
    machines.vars |= {
        "openstack_cloud": "nowhere",
        "openstack_platform": "bookface",
        "openstack_vms": [{"name": "web1"}, {"name": "web9"}],
    }
    for host in HOSTS:
        machines.hosts[host]["openstack"] = {**up, "id": host}
    machines.hosts["web1"]["openstack"] |= {"status": "SHUTOFF", "is_locked": True}
    machines.hosts["db1"]["openstack"] |= {"status": "PAUSED"}
    machines.groups["openstack_platform"] = HOSTS
    run, report = machines.heal()
    assert run.code == 2, run.output
    assert "locked" in part(report, "web1/server/web1")["cause"]
    assert part(report, "web9/server/web9")["state"] == "down"
    assert part(report, "lb1/server/lb1")["state"] == "up"
    one = part(report, "db1/server/db1")
    # The cloud was never reached, so nothing counts as a try.
    assert (one["state"], one["action"], one["tries"]) == ("down", None, 0)
    assert "clouds.yaml" in one["cause"]

    # Of an earlier answer nothing is known of now, and by it nothing is done.
    machines.vars["openstack_inventory_age"] = 600
    run, report = machines.heal()
    assert run.code == 2, run.output
    assert "the cloud does not answer" in part(report, "controller/machine/problem 1")["cause"]
    assert not [one for one in report["parts"] if one["kind"] == "server"]


def test_a_database_that_is_not_ours_is_started_where_it_is(machines: Machines) -> None:
    """On a host that must not be in the group databases."""
    host = machines.hosts["db1"]
    host |= {"heal_database_command": "start it", "bookface_db_port": 5433}
    machines.groups["databases"] = []
    machines.groups["yugabyte"] = ["db1"]
    address = host["bookface_address"]
    want = {**looks()["db1"]["want"], "postgresql": None, "database_command": "port 5433"}
    want["ports"] = [{"kind": "database", "name": "port 5433", "address": address, "port": 5433}]
    seen = {**looks()["db1"]["seen"], "clusters": [], "units": {}}
    for when, error in (("before", "refused"), ("look", "")):
        machines.says(
            "db1", {"want": want, "seen": {**seen, "ports": {f"{address}:5433": error}}}, when
        )
    run, report = machines.heal("--limit", "db1,localhost")
    assert (run.code, report["status"]) == (1, "mended"), run.output
    assert part(report, "db1/database/port 5433")["action"] == "started"
    assert machines.done() == {"db1": 1}


def test_no_traffic_is_moved_unless_all_load_balancers_could(machines: Machines) -> None:
    """These ones cannot say so."""
    look = looks()["lb1"]
    for one in look["seen"]["haproxy"]["backends"]["docker"]["servers"].values():
        one |= {"passed": False, "status": "DOWN"}
    machines.says("lb1", look)
    backend = "lb1/backend/docker"
    run, report = machines.heal("--check", "-e", "heal_switch=true")
    assert part(report, backend)["wanted"] == "switch to swarm", run.output
    for tries in (1, 1):
        run, report = machines.heal("-e", "heal_switch=true", "-e", "heal_tries=1")
        assert (run.code, report["status"]) == (2, "broken"), run.output
        assert (part(report, backend)["action"], part(report, backend)["tries"]) == (None, tries)
    assert "1 try did not keep it up" in run.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit", "web1"], "The controller takes no part in this run"),
        (["-e", "heal_tries=often"], "heal_tries is often; expected a number of tries"),
        (["-e", "bookface_container_count=none"], "bookface_container_count"),
    ],
)
def test_it_does_not_begin(machines: Machines, arguments: list[str], message: str) -> None:
    run, report = machines.heal(*arguments)
    assert (run.code, report) == (2, {}), run.output
    assert message in run.text
    assert machines.done() == {}


def test_an_inventory_that_cannot_be_read_gives_no_report(machines: Machines) -> None:
    broken = machines.directory / "hosts.yml"
    broken.write_text("all: [")
    report = machines.directory / "new.json"
    run = playbook_on(broken, "heal.yml", "-e", f"heal_report_file={report}")
    assert run.code != 0
    assert not report.exists()
