"""What is read on a machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.docker.api import ApiError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import (
    HaproxyRuntimeError,
    HaproxySocket,
)
from ansible_collections.bookface.platform.plugins.module_utils.health.judge import UP, judge
from ansible_collections.bookface.platform.plugins.module_utils.health.look import (
    Machine,
    connect,
    look,
)

from tests.support.health import unit, wants

STAT = (Path(__file__).parent / "show_stat.csv").read_text()


class Fake:
    """A machine of files, and with answers."""

    def __init__(self, root: Path, units: dict[str, dict[str, str]], docker: Any = None) -> None:
        self.root = root
        self.units = units
        self.answers = docker or {}
        self.asked: list[str] = []
        self.stat = STAT
        self.entries = "0x1 bookface docker\n"

    def run(self, command: Sequence[str]) -> tuple[int, str, str]:
        self.asked.append(" ".join(command))
        if command[1] == "list-units":
            names = [name for name in self.units if name.endswith(".timer")]
            return 0, "".join(f"{name} loaded active waiting A timer\n" for name in names), ""
        blocks = [
            self.units.get(name, unit(name, "inactive", "dead", LoadState="not-found"))
            for name in command[3:]
        ]
        text = "\n".join("".join(f"{k}={v}\n" for k, v in block.items()) for block in blocks)
        return 0, text, ""

    def docker(self, path: str) -> Any:
        self.asked.append(path)
        bare = path.partition("?")[0]
        if bare not in self.answers:
            raise ApiError(f"{bare}: timed out")
        return self.answers[bare]

    def balancer(self, path: str, command: str, _seconds: float, _close: bool) -> str:
        self.asked.append(command)
        if not self.stat:
            raise HaproxyRuntimeError(path, command, "absent", "no such file")
        return self.stat if command == "show stat" else self.entries

    def machine(self) -> Machine:
        return Machine(
            run=self.run,
            docker=self.docker,
            haproxy=lambda path: HaproxySocket(path, request=self.balancer),
            connect=lambda _host, port: "" if port != 5432 else "Connection refused",
            root=self.root,
        )


ENGINE = {"docker.service": unit("docker.service")}


def test_a_stopped_engine_is_not_asked(tmp_path: Path) -> None:
    """A question to its socket would start it."""
    fake = Fake(tmp_path, {"docker.service": unit("docker.service", "inactive", "dead")})
    found = look(fake.machine(), wants()["docker1"])
    assert found["engine"] is None
    assert not [asked for asked in fake.asked if asked.startswith("/")]


def test_containers(tmp_path: Path) -> None:
    listed = [{"Id": "1", "Names": ["/bookface-web-1"], "State": "exited", "Status": "Exited (0)"}]
    fake = Fake(tmp_path, ENGINE, {"/containers/json": listed})
    found = look(fake.machine(), wants()["docker1"])["engine"]
    assert found["containers"] == [
        {"name": "bookface-web-1", "state": "exited", "status": "Exited (0)"}
    ]
    # Those of others are not even listed.
    assert "platform.bookface.role%3Dweb" in fake.asked[-1]


@pytest.mark.parametrize("answers", [{}, {"/containers/json": [{"Id": "1"}]}])
def test_an_engine_that_does_not_answer(tmp_path: Path, answers: dict[str, Any]) -> None:
    want = wants()["docker1"]
    found = look(Fake(tmp_path, ENGINE, answers).machine(), want)
    assert found["engine"]["error"]
    assert any(part.state != UP for part in judge(want, found))


def manager() -> dict[str, Any]:
    node = {
        "ID": "n1",
        "Description": {"Hostname": "swarm1"},
        "Status": {"State": "ready"},
        "Spec": {"Availability": "active"},
        "ManagerStatus": {"Reachability": "reachable"},
    }
    service = {
        "ID": "s1",
        "Spec": {"Name": "bookface", "Labels": {}, "Mode": {"Replicated": {"Replicas": 2}}},
    }
    foreign = {"ID": "s2", "Spec": {"Name": "foreign", "Labels": None, "Mode": {"Global": {}}}}
    task = {
        "ServiceID": "s1",
        "NodeID": "n1",
        "DesiredState": "running",
        "UpdatedAt": "2",
        "Status": {"State": "running"},
    }
    old = {**task, "DesiredState": "shutdown", "UpdatedAt": "1"}
    failed = {**task, "UpdatedAt": "3", "NodeID": "", "Status": {"State": "pending", "Err": "full"}}
    return {
        "/info": {"Swarm": {"LocalNodeState": "active", "NodeID": "n1", "ControlAvailable": True}},
        "/nodes": [node],
        "/services": [service, foreign],
        "/tasks": [old, task, failed],
    }


def test_a_manager_knows_nodes_and_services(tmp_path: Path) -> None:
    fake = Fake(tmp_path, ENGINE, manager())
    found = look(fake.machine(), wants()["swarm1"])["engine"]["swarm"]
    assert [(one["name"], one["state"], one["reachability"]) for one in found["nodes"]] == [
        ("swarm1", "ready", "reachable")
    ]
    assert found["services"] == [
        {
            "name": "bookface",
            "wanted": 2,
            "running": 1,
            "places": 1,
            "why": "full",
        }
    ]


def test_managers_without_a_majority(tmp_path: Path) -> None:
    answers = manager()
    del answers["/nodes"]
    want = wants()["swarm1"]
    found = look(Fake(tmp_path, ENGINE, answers).machine(), want)
    assert found["engine"]["error"] == ""
    assert "timed out" in found["engine"]["swarm"]["error"]
    assert [part.id for part in judge(want, found) if part.state != UP] == [
        "swarm/swarm_service/bookface"
    ]


def test_haproxy(tmp_path: Path) -> None:
    fake = Fake(tmp_path, {"haproxy.service": unit("haproxy.service")})
    found = look(fake.machine(), wants()["lb1"])["haproxy"]
    assert (found["error"], found["active"]) == ("", "docker")
    assert found["frontends"]["bookface"] == "OPEN"
    docker = found["backends"]["docker"]
    assert docker["seconds"] == 12
    assert {name: (one["status"], one["passed"]) for name, one in docker["servers"].items()} == {
        "docker1-32001": ("UP", True),
        "docker1-32002": ("DOWN", False),
    }
    assert docker["servers"]["docker1-32002"]["check"] == "L4CON"


@pytest.mark.parametrize("reply", ["", "Permission denied\n", "# pxname\n"])
def test_an_haproxy_that_does_not_say_it_is_not_green(tmp_path: Path, reply: str) -> None:
    fake = Fake(tmp_path, {"haproxy.service": unit("haproxy.service")})
    fake.stat = reply
    want = wants()["lb1"]
    assert any(part.state != UP for part in judge(want, look(fake.machine(), want)))


@pytest.mark.parametrize(
    ("start", "version", "found"),
    [("auto", "", ["15"]), ("manual", "", []), ("auto", "13", []), ("# x\nauto # y", "15", ["15"])],
)
def test_clusters_of_postgresql(tmp_path: Path, start: str, version: str, found: list[str]) -> None:
    cluster = tmp_path / "etc/postgresql/15/main"
    cluster.mkdir(parents=True)
    (cluster / "postgresql.conf").touch()
    (cluster / "start.conf").write_text(start)
    want = {**wants()["db1"], "postgresql": version}
    seen = look(Fake(tmp_path, {}).machine(), want)
    assert seen["clusters"] == found
    assert set(seen["units"]) == {f"postgresql@{name}-main.service" for name in found}


def test_a_timer_and_its_service(tmp_path: Path) -> None:
    timer, service = "bookface-backup.timer", "bookface-backup.service"
    units = {
        timer: unit(timer, sub="waiting", Unit=service),
        service: unit(service, "failed", "failed", Result="exit-code"),
    }
    found = look(Fake(tmp_path, units).machine(), wants()["cache1"])
    assert found["timers"] == [timer]
    assert found["units"][service]["Result"] == "exit-code"


@pytest.mark.parametrize(
    ("text", "error"),
    [(json.dumps({"node": "n2", "servers": {}}), False), ("{", True), ("[]", True)],
)
def test_the_note_of_an_update(tmp_path: Path, text: str, error: bool) -> None:
    path = tmp_path / "var/lib/bookface-update.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    found = look(Fake(tmp_path, {}).machine(), wants()["cache1"])["note"]
    assert bool(found["error"]) == error
    assert found["age"] < 60


@pytest.mark.parametrize(("frontend", "backend"), [("bookface", "b"), ("none", "")])
def test_the_backend_of_the_file(tmp_path: Path, frontend: str, backend: str) -> None:
    fake = Fake(tmp_path, {"haproxy.service": unit("haproxy.service")})
    # Its map is empty: nothing was switched since it started.
    fake.entries = "\n"
    want = wants()["lb1"]
    want["haproxy"]["frontends"] = [frontend]
    path = tmp_path / want["haproxy"]["config"].lstrip("/")
    path.parent.mkdir(parents=True)
    path.write_text(
        "frontend other\n    default_backend a\nfrontend bookface\n  bind *:80\n"
        "  default_backend b # c\nbackend x\n    default_backend no\n"
    )
    assert look(fake.machine(), want)["haproxy"]["active"] == backend


def test_a_port_where_nothing_listens() -> None:
    assert connect("127.0.0.1", 1)
