"""What is off by default, while servers break."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from balancer import begin_at, servers_node, serving, url_of, wait_for_status
from testinfra.host import Host

from tests.support.load import Load

testinfra_hosts = ["ansible://loadbalancers"]


@pytest.fixture(scope="module", autouse=True)
def _traffic(host: Host) -> Iterator[None]:
    """The containers have the traffic, and give it back."""
    begin_at(host, "docker")
    yield
    begin_at(host, "legacy")


def server_of(host: Host) -> str:
    """Name of the server that answers."""
    return host.check_output("curl -s -o /dev/null -D - http://127.0.0.1/ | grep -i -- -server:")


@pytest.mark.load
@pytest.mark.usefixtures("faults")
def test_the_fallback_serves_while_no_container_passes_its_check(host: Host) -> None:
    """Both lose their database, and get it back: no client sees it."""
    with Load([url_of(host)], clients=8, rate=100, expect="Users:") as load:
        assert load.wait_for(100, seconds=30)
        servers_node("for port in 8003 8004; do echo '503 no' > /run/test-server-$port; done")
        for server in ("docker1-32001", "docker1-32002"):
            wait_for_status(host, server, "DOWN")
        assert "web" in server_of(host)
        # The switch is as it was: servers stand in, no traffic was moved.
        assert serving(host) == "docker"
        assert load.wait_for(load.requests + 200, seconds=30)
        servers_node("rm -f /run/test-server-*")
        for server in ("docker1-32001", "docker1-32002"):
            wait_for_status(host, server, "UP")
        assert "docker1" in server_of(host)
        assert load.wait_for(load.requests + 200, seconds=30)
    assert load.summary.failed == 0, load.summary.as_text()


@pytest.mark.load
@pytest.mark.usefixtures("faults")
def test_the_fallback_serves_when_all_containers_die_at_once(host: Host) -> None:
    """Requests that were within a container die with it; none is left without a server."""
    with Load([url_of(host)], clients=8, rate=100, expect="Users:") as load:
        assert load.wait_for(100, seconds=30)
        servers_node("systemctl kill --signal=KILL test-server@8003 test-server@8004")
        assert load.wait_for(load.requests + 200, seconds=30)
        assert "web" in server_of(host)
        servers_node("systemctl start test-server@8003 test-server@8004")
        for server in ("docker1-32001", "docker1-32002"):
            wait_for_status(host, server, "UP")
        assert "docker1" in server_of(host)
    assert "503" not in load.summary.by_status, load.summary.as_text()
    # Two deaths, and a client waits for one answer at a time.
    assert load.summary.failed <= 16, load.summary.as_text()


def test_a_backend_s_additions_are_its_own(host: Host) -> None:
    ask = "curl -s -o /dev/null -D - http://127.0.0.1/"
    assert "x-through: docker" in host.check_output(ask).lower()
    assert "x-through" not in host.check_output(f"{ask}ping").lower()
