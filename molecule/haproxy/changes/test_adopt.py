"""The role adds to a load balancer that was made by hand, and takes away again what it added."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator

import pytest
from balancer import CONFIG, name_of, url_of
from testinfra.host import Host

from tests.support.commands import ansible
from tests.support.load import Load

# One is enough: on both versions of HAProxy the blocks themselves are the matter of other tests.
testinfra_hosts = ["ansible://lb30"]

BY_HAND = """\
global
\tstats socket /run/haproxy/admin.sock level admin

defaults
\tmode http
\ttimeout connect 5s
\ttimeout client 50s
\ttimeout server 50s

frontend www
\tbind *:80
\tuse_backend other if { path_beg /other }
\tdefault_backend web

backend other
\tserver o ADDRESS:8002
backend web
\tserver w ADDRESS:8001 check
"""


def run(
    host: Host, module: str, arguments: dict[str, str], **variables: object
) -> subprocess.CompletedProcess[str]:
    """A module or role on this load balancer."""
    return ansible(
        *("ansible", name_of(host), "--become", "-e", json.dumps(variables)),
        *("-m", module, "-a", json.dumps(arguments)),
    )


def adopt(host: Host, **variables: object) -> bool:
    """The role's tasks for a load balancer of somebody else; whether they changed something."""
    done = run(
        host,
        "ansible.builtin.include_role",
        {"name": "bookface.platform.haproxy"},
        haproxy_mode="adopt",
        haproxy_frontend="www",
        haproxy_adopt_backends=["docker", "maintenance"],
        **variables,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return "| CHANGED" in done.stdout


def switch(host: Host, backend: str) -> None:
    """The switch, which must not need a reload."""
    done = run(
        host,
        "bookface.platform.haproxy_default_backend",
        {"frontend": "www", "backend": backend, "engine": "runtime"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def body(host: Host, path: str = "") -> str:
    return host.check_output(f"curl -s http://127.0.0.1/{path}")


@pytest.fixture
def by_hand(host: Host) -> Iterator[str]:
    """A load balancer of somebody else; ours comes back afterwards."""
    address = f"{host.ansible.get_variables()['lab_network']}.11"
    text = BY_HAND.replace("ADDRESS", address)
    host.check_output("sudo cp -a /etc/haproxy /root/haproxy.kept")
    host.check_output(f"sudo rm -rf /etc/haproxy/maps && printf '%s' '{text}' | sudo tee {CONFIG}")
    host.check_output("sudo systemctl reload haproxy")
    yield text
    host.check_output("sudo rm -r /etc/haproxy && sudo mv /root/haproxy.kept /etc/haproxy")
    host.check_output("sudo systemctl reload haproxy")


@pytest.mark.load
def test_added_switched_and_taken_away(host: Host, by_hand: str) -> None:
    """Under load from new connections, which no reload may cost."""
    with Load([url_of(host)], clients=4, rate=50, expect="Users:", mix={"new": 1.0}) as load:
        assert adopt(host)
        assert not adopt(host)
        assert "port 8001" in body(host)
        switch(host, "docker")
        assert re.search(r"port 800[34]", body(host))
        assert "port 8002" in body(host, "other")
        switch(host, "web")
        assert adopt(host, haproxy_adopt_state="absent")
        assert load.wait_for(load.requests + 50, seconds=30)
    assert host.check_output(f"sudo cat {CONFIG}") == by_hand.rstrip("\n")
    assert "port 8001" in body(host)
    assert host.check_output("sudo ls -A /etc/haproxy/maps /etc/haproxy/pages").split() == [
        "/etc/haproxy/maps:",
        "/etc/haproxy/pages:",
    ]
    assert load.summary.failed == 0, load.summary.as_text()
