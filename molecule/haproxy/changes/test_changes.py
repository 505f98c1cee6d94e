"""What happens to traffic, file and live state when something changes. In the order of the file."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from load import Load
from testinfra.host import Host

testinfra_hosts = ["ansible://loadbalancers"]

ROOT = Path(__file__).resolve().parents[3]
CONFIG = "/etc/haproxy/haproxy.cfg"


def ansible(*command: str) -> subprocess.CompletedProcess[str]:
    """An Ansible command on this scenario's machines."""
    return subprocess.run(
        [command[0], "-i", os.environ["BOOKFACE_INVENTORY"], *command[1:]],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        check=False,
        capture_output=True,
        text=True,
    )


def name_of(host: Host) -> str:
    return str(host.ansible.get_variables()["inventory_hostname"])


def url_of(host: Host) -> str:
    facts = host.ansible.get_variables()
    return f"http://{facts['lab_network']}.{facts['lab_node_number']}/"


def switch(host: Host, backend: str, **options: Any) -> dict[str, Any]:
    """Run the module on this load balancer; its result."""
    arguments = json.dumps({"frontend": "bookface", "backend": backend} | options)
    module = ["-m", "bookface.platform.haproxy_default_backend", "-a", arguments]
    done = ansible("ansible", name_of(host), "--become", *module)
    found = re.search(r"=> (\{.*\})\s*$", done.stdout, re.DOTALL)
    assert found, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(found[1])
    return result


def site(host: Host, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The role again, on this load balancer."""
    return ansible(
        "ansible-playbook", "molecule/haproxy/converge.yml", "--limit", name_of(host), *arguments
    )


def serving(host: Host) -> str:
    """Name of the backend that answers."""
    headers = host.check_output("curl -s -o /dev/null -D - http://127.0.0.1/")
    found = re.search(r"x-bookface-backend: (\S+)", headers, re.IGNORECASE)
    return found[1] if found else "none"


def default_on_disk(host: Host) -> str:
    return host.check_output(f"sudo sed -n 's/^ *default_backend //p' {CONFIG}").strip()


def servers_node(command: str) -> None:
    """Run a shell command where the servers are."""
    done = ansible("ansible", "servers1", "--become", "-m", "ansible.builtin.shell", "-a", command)
    assert done.returncode == 0, done.stdout


def wait_for_status(host: Host, server: str, status: str) -> None:
    """Wait until HAProxy shows a server in a state; 10 s at most."""
    show = "echo 'show stat' | sudo python3 -c \"{}\"".format(
        "import socket,sys;s=socket.socket(socket.AF_UNIX);s.connect('/run/haproxy/admin.sock');"
        "s.sendall(sys.stdin.buffer.read());print(s.makefile().read())"
    )
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for line in host.check_output(show).splitlines():
            if f",{server}," in line and f",{status}," in line:
                return
    pytest.fail(f"{server} is not {status} after 10 s")


@pytest.fixture
def faults() -> Iterator[None]:
    """Whatever a test breaks is mended."""
    yield
    servers_node("rm -f /run/test-server-*")


@pytest.mark.parametrize("backend", ["docker", "legacy"])
def test_runtime_switch_loses_nothing(host: Host, backend: str) -> None:
    with Load([url_of(host)], clients=16, rate=400, expect="Users:") as load:
        assert load.wait_for(500, seconds=30)
        result = switch(host, backend)
        assert load.wait_for(load.requests + 500, seconds=30)
    assert result["changed"], result
    assert result["engine"] == "runtime"
    assert serving(host) == default_on_disk(host) == backend
    assert load.summary.failed == 0, load.summary.as_text()
    print(f"runtime: {load.summary.requests} requests, {result['elapsed_ms']} ms")


@pytest.mark.parametrize("backend", ["docker", "legacy"])
def test_reload_switch(host: Host, backend: str) -> None:
    """A reload may cost a reused connection; here only new ones are held to zero."""
    with Load([url_of(host)], clients=8, rate=200, expect="Users:", mix={"new": 1.0}) as load:
        assert load.wait_for(200, seconds=30)
        result = switch(host, backend, engine="reload")
        assert load.wait_for(load.requests + 200, seconds=30)
    assert result["changed"], result
    assert result["engine"] == "reload"
    assert serving(host) == default_on_disk(host) == backend
    assert load.summary.failed == 0, load.summary.as_text()


def test_a_reload_and_a_restart_keep_the_switch(host: Host) -> None:
    assert switch(host, "docker")["changed"]
    for command in ("reload", "restart"):
        host.check_output(f"sudo systemctl reset-failed haproxy; sudo systemctl {command} haproxy")
        time.sleep(1)
        assert serving(host) == "docker"


def test_the_role_keeps_what_it_finds(host: Host) -> None:
    done = site(host)
    assert done.returncode == 0, done.stdout
    assert serving(host) == default_on_disk(host) == "docker"
    # The live entry was lost by the restart above and is written again; nothing after that.
    again = site(host)
    assert re.search(r"changed=0 ", again.stdout), again.stdout


def test_a_changed_setting_keeps_what_it_finds(host: Host) -> None:
    """A reload of the role's own, under load from new connections."""
    with Load([url_of(host)], clients=8, rate=100, expect="port 800[34]", mix={"new": 1.0}) as load:
        assert load.wait_for(100, seconds=30)
        done = site(host, "-e", "haproxy_server_timeout=61")
        assert done.returncode == 0, done.stdout
        assert load.wait_for(load.requests + 100, seconds=30)
    assert "timeout server 61s" in host.check_output(f"sudo cat {CONFIG}")
    assert serving(host) == "docker"
    assert load.summary.failed == 0, load.summary.as_text()
    assert site(host).returncode == 0


def test_a_broken_configuration_is_never_put_in_place(host: Host) -> None:
    before = host.check_output(f"sudo sha256sum {CONFIG}")
    done = site(host, "-e", "haproxy_server_options='check no-such-word'")
    assert done.returncode != 0
    assert "no-such-word" in done.stdout
    assert host.check_output(f"sudo sha256sum {CONFIG}") == before
    assert serving(host) == "docker"


def test_a_backend_that_the_inventory_lost_is_named(host: Host) -> None:
    backends = [
        {"name": "legacy", "servers": [{"name": "web1", "address": "127.0.0.1", "port": 1}]}
    ]
    done = site(host, "-e", json.dumps({"haproxy_backends": backends}))
    assert done.returncode != 0
    assert "sends its traffic to docker, which the inventory no longer defines" in " ".join(
        done.stdout.split()
    )
    assert serving(host) == "docker"


@pytest.mark.parametrize("fault", ["503 not ready: database", "200 wrong words", "404 ready"])
@pytest.mark.usefixtures("faults")
def test_checks_judge_status_and_content(host: Host, fault: str) -> None:
    servers_node(f"echo '{fault}' > /run/test-server-8001; echo '{fault}' > /run/test-server-8002")
    for server in ("web1", "web2"):
        wait_for_status(host, server, "DOWN")
    result = switch(host, "legacy")
    assert "0 of 2 servers have passed a check" in result["msg"]
    assert serving(host) == default_on_disk(host) == "docker"


def test_servers_join_again_by_themselves(host: Host) -> None:
    for server in ("web1", "web2"):
        wait_for_status(host, server, "UP")


@pytest.mark.usefixtures("faults")
def test_a_server_that_turns_bad_costs_no_request(host: Host) -> None:
    """One of two containers loses its database: it leaves the rotation, the other serves on."""
    with Load([url_of(host)], clients=8, rate=200, expect="Users:") as load:
        assert load.wait_for(100, seconds=30)
        servers_node("echo '503 no' > /run/test-server-8003")
        wait_for_status(host, "docker1-32001", "DOWN")
        assert load.wait_for(load.requests + 200, seconds=30)
        assert {host.check_output("curl -s http://127.0.0.1/")[-4:] for _ in range(4)} == {"8004"}
    assert load.summary.failed == 0, load.summary.as_text()


def test_finally_back_to_the_start(host: Host) -> None:
    for server in ("docker1-32001", "web1", "web2"):
        wait_for_status(host, server, "UP")
    assert switch(host, "legacy")["changed"]
    assert serving(host) == "legacy"
