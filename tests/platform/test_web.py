"""The web servers, machines and containers alike, asked as the load balancer and a stranger ask."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

from tests.support.commands import ask

testinfra_hosts = ["ansible://loadbalancers"]

SERVERS = [
    ("web1", 80),
    ("web2", 80),
    ("docker1", 32001),
    ("docker1", 32002),
]


@pytest.mark.parametrize(("name", "port"), SERVERS)
class TestServer:
    def test_front_page_comes_from_the_database(self, host: Host, name: str, port: int) -> None:
        status, body = ask(host, f"http://{name}:{port}/")
        assert status == 200
        for word in ("Users:", "Posts:", "Comments:"):
            assert word in body
        assert "SQLSTATE" not in body

    def test_pages_that_pass_no_password_reach_the_database(
        self, host: Host, name: str, port: int
    ) -> None:
        """libpq takes it from the password file."""
        status, body = ask(host, f"http://{name}:{port}/showallusers.php")
        assert status == 200
        assert "users: 200" in body.lower(), body[:300]

    def test_probes(self, host: Host, name: str, port: int) -> None:
        probe = "-H 'X-Bookface-Probe: test'"
        assert ask(host, f"http://{name}:{port}/platform/ready", probe) == (200, "ready\n")
        assert ask(host, f"http://{name}:{port}/platform/ready")[0] == 404
        assert ask(host, f"http://{name}:{port}/platform/live")[0] == 200

    def test_configuration_is_not_served(self, host: Host, name: str, port: int) -> None:
        status, body = ask(host, f"http://{name}:{port}/config.json")
        assert status == 403
        assert "dbpassw" not in body


def test_unknown_picture_is_judged_by_the_database(host: Host) -> None:
    """The cheap page for checks of a foreign legacy site."""
    status, body = ask(host, "http://web1/showimage.php?user=0")
    assert (status, body.strip()) == (404, "Image not found.")


@pytest.mark.parametrize("probe", ["live", "ready", "metrics"])
def test_probes_are_closed_at_the_front_door(host: Host, probe: str) -> None:
    """By the load balancer, however the path is written: servers answer C(live) to everybody."""
    for path in ("/platform/", "//platform/", "/x/../platform/", "/%70latform/", "/platform%2f"):
        url = f"http://127.0.0.1{path}{probe}"
        status, said = ask(host, url, "-i", "--path-as-is", "-H 'X-Bookface-Probe: stranger'")
        assert status == 404, path
        assert "x-bookface-server: <NOSRV>" in said, path


def test_front_door_answers(host: Host) -> None:
    status, body = ask(host, "http://127.0.0.1/")
    assert status == 200
    assert "Users:" in body


def test_statistics_want_a_password(host: Host) -> None:
    facts = host.ansible.get_variables()
    secret = facts["haproxy_stats_password"]
    assert ask(host, "http://127.0.0.1:1936/")[0] == 401
    assert ask(host, "http://127.0.0.1:1936/", "-u stats:wrong")[0] == 401
    status, body = ask(host, "http://127.0.0.1:1936/metrics", f"-u stats:{secret}")
    assert status == 200
    assert "haproxy_backend_http_responses_total" in body
    assert secret not in host.check_output("sudo cat /etc/haproxy/haproxy.cfg")


def test_every_server_has_passed_its_check(host: Host) -> None:
    lines = host.check_output(
        "echo 'show stat json' | sudo python3 -c "
        "'import socket,sys; s=socket.socket(socket.AF_UNIX);"
        's.connect("/run/haproxy/admin.sock"); s.sendall(sys.stdin.buffer.read());'
        "print(s.makefile().read())'"
    )
    rows = [{f["field"]["name"]: f["value"]["value"] for f in row} for row in json.loads(lines)]
    # A star marks a check that is under way; behind it is what the one before has found.
    servers = {
        row["svname"]: (row["pxname"], row["check_status"].removeprefix("* "))
        for row in rows
        if "check_status" in row
    }
    swarm = {name: check for name, (backend, check) in servers.items() if backend == "swarm"}
    assert {name: found for name, found in servers.items() if name not in swarm} == {
        "web1": ("legacy", "L7OK"),
        "web2": ("legacy", "L7OK"),
        "docker1-32001": ("docker", "L7OK"),
        "docker1-32002": ("docker", "L7OK"),
    }
    # Just those nodes answer that run one of the two tasks.
    assert set(swarm) == {"swarm1", "swarm2", "swarm3"}
    assert list(swarm.values()).count("L7OK") == 2
