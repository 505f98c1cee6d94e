"""Updates of HAProxy and the engines while clients ask: checked, refused, killed, completed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.commands import killed_at
from tests.support.load import Load
from tests.support.platform import Platform

UPDATE = ("update.yml", "--tags", "haproxy,engines")
NOTE = "/var/lib/bookface-update.json"
USER, IDLE = "swarm3", "docker1"


def outdate(platform: Platform, host: str, package: str) -> str:
    """Let dpkg believe that an older version is installed. The update is what apt will do."""
    entry = rf"/^Package: {package}$/,/^$/s/^\(Version: .*[^~]\)~*$/\1~/"
    platform.node(host, f"sed -i '{entry}' /var/lib/dpkg/status")
    new = version(platform, host, package).rstrip("~\n")
    return f"{package} {new}~ -> {new}"


def version(platform: Platform, host: str, package: str) -> str:
    return platform.node(host, "dpkg-query --show --showformat '${Version}' " + package)


def started(platform: Platform, host: str, unit: str) -> str:
    """The main process of a service; a restart has another one."""
    return platform.node(host, f"systemctl show --property=MainPID --value {unit}").strip()


def availability(platform: Platform) -> dict[str, str]:
    """Of the nodes of the swarm."""
    listed = platform.node("swarm1", "docker node ls --format '{{.Hostname}} {{.Availability}}'")
    return dict(line.split() for line in listed.splitlines())


def drained_servers(platform: Platform) -> set[str]:
    """The servers of the backend swarm that HAProxy sends no new requests."""
    ask = "s.connect('/run/haproxy/admin.sock'); s.send(b'show servers state swarm\\n')"
    program = f"import socket; s = socket.socket(socket.AF_UNIX); {ask}; print(s.makefile().read())"
    _version, header, *lines = platform.node("lb1", f'python3 -c "{program}"').splitlines()
    rows = [dict(zip(header[2:].split(), line.split(), strict=True)) for line in lines if line]
    return {row["srv_name"] for row in rows if int(row["srv_admin_state"]) & 8}


@pytest.fixture(autouse=True)
def _there_and_back(platform: Platform) -> Iterator[None]:
    """The traffic goes to the containers. A user has drained a node of the swarm."""
    if platform.backend() != "docker":
        platform.switch("docker").ok()
    platform.node("swarm1", f"docker node update --availability drain {USER}")
    yield
    platform.node("swarm1", f"docker node update --availability active {USER}")
    if platform.backend() != "docker":
        platform.switch("docker").ok()


@pytest.mark.load
@pytest.mark.long
def test_updates_under_load(platform: Platform) -> None:
    said = [
        outdate(platform, "lb1", "haproxy"),
        outdate(platform, IDLE, "tini"),
        outdate(platform, "swarm1", "docker.io"),
        outdate(platform, "swarm2", "tini"),
    ]
    before = {host: started(platform, host, "docker") for host in (*availability(platform), IDLE)}
    haproxy = started(platform, "lb1", "haproxy")

    # The only machine of the backend that serves is not drained.
    checked = platform.playbook(*UPDATE, "--check")
    assert checked.code != 0
    assert not [line for line in said if line not in checked.text], checked.output
    assert f"The engine of {IDLE} was not updated: backend docker gets traffic" in checked.text
    assert "Move the traffic to another backend first" in checked.text
    assert version(platform, IDLE, "tini").endswith("~")

    platform.switch("swarm").ok()
    with Load([platform.url], clients=6, rate=25, at_least=800, expect="Users:") as load:
        killed_at("Update the packages", *UPDATE, "--limit", "swarm2")
        drained = {"swarm1": "Active", "swarm2": "Drain", USER: "Drain"}
        assert availability(platform) == drained
        assert drained_servers(platform) == {"swarm2"}
        assert json.loads(platform.node("swarm2", f"cat {NOTE}"))["servers"] == {"lb1": ["swarm2"]}
        updated = platform.playbook(*UPDATE).ok()
    assert load.summary.failed == 0, load.summary.as_text()
    assert set(load.summary.by_backend) == {"swarm"}
    assert set(load.summary.by_server) == {"swarm1", "swarm2"}
    assert not [line for line in said if line not in updated.text], updated.output
    # Reloaded, not restarted: the same process, and it is the new program.
    assert started(platform, "lb1", "haproxy") == haproxy
    assert platform.node("lb1", f"readlink /proc/{haproxy}/exe") == "/usr/sbin/haproxy"
    now = {host: started(platform, host, "docker") for host in before}
    assert {host for host in before if now[host] != before[host]} == {"swarm1"}
    assert availability(platform) == {"swarm1": "Active", "swarm2": "Active", USER: "Drain"}
    assert "No such file" in platform.node("swarm2", f"ls {NOTE} || true")
    # Without updates nothing happens.
    assert updated.changed[USER] == 0, updated.output
    again = platform.playbook("update.yml", "--tags", "haproxy").ok()
    assert set(again.changed.values()) == {0}, again.output
