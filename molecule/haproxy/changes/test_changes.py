"""What happens to traffic, file and live state when something changes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from balancer import (
    CONFIG,
    again,
    begin_at,
    cohort,
    default_on_disk,
    servers_node,
    serving,
    site,
    switch,
    url_of,
    wait_for_status,
)
from testinfra.host import Host

from tests.support.load import Load

testinfra_hosts = ["ansible://loadbalancers"]


@pytest.fixture(scope="module", autouse=True)
def _start_and_end_at_legacy(host: Host) -> Iterator[None]:
    begin_at(host, "legacy")
    yield
    begin_at(host, "legacy")


@pytest.fixture
def on_docker(host: Host) -> None:
    """The containers have the traffic."""
    begin_at(host, "docker")


def other(backend: str) -> str:
    return "legacy" if backend == "docker" else "docker"


@pytest.mark.load
@pytest.mark.parametrize("backend", ["docker", "legacy"])
def test_reload_switch_loses_nothing(host: Host, backend: str) -> None:
    """Clients that keep their connection among them: the old worker serves each once more."""
    begin_at(host, other(backend))
    with Load([url_of(host)], clients=16, rate=100, expect="Users:") as load:
        assert load.wait_for(200, seconds=30)
        result = switch(host, backend, engine="reload")
        assert load.wait_for(load.requests + 200, seconds=30)
    assert result["changed"], result
    assert result["engine"] == "reload"
    assert serving(host) == default_on_disk(host) == backend
    assert load.summary.failed == 0, load.summary.as_text()


def test_a_reload_and_a_restart_keep_the_switch(host: Host) -> None:
    begin_at(host, "legacy")
    assert switch(host, "docker")["changed"]
    for command in ("reload", "restart"):
        again(host, command)
        assert serving(host) == "docker"


@pytest.mark.usefixtures("on_docker")
def test_the_role_keeps_what_it_finds(host: Host) -> None:
    again(host, "restart")
    done = site(host)
    assert done.returncode == 0, done.stdout
    assert serving(host) == default_on_disk(host) == "docker"
    # The live entry was lost by the restart and is written again; nothing after that.
    repeated = site(host)
    assert re.search(r"changed=0 ", repeated.stdout), repeated.stdout


@pytest.mark.load
@pytest.mark.usefixtures("on_docker")
def test_a_changed_setting_keeps_what_it_finds(host: Host) -> None:
    """A reload of the role's own, under load, and in the middle of a gradual shift."""
    assert switch(host, "legacy", percent=30)["changed"]
    with Load([url_of(host)], clients=8, rate=100, expect="Users:") as load:
        assert load.wait_for(100, seconds=30)
        done = site(host, "-e", "haproxy_server_timeout=61")
        assert done.returncode == 0, done.stdout
        assert load.wait_for(load.requests + 100, seconds=30)
    assert "timeout server 61s" in host.check_output(f"sudo cat {CONFIG}")
    assert load.summary.failed == 0, load.summary.as_text()
    assert (cohort(host, 29), cohort(host, 30)) == ("legacy", "docker")
    assert default_on_disk(host) == "docker"
    assert switch(host, "docker")["changed"]
    assert cohort(host, 0) == "docker"
    assert site(host).returncode == 0


@pytest.mark.usefixtures("on_docker")
def test_a_broken_configuration_is_never_put_in_place(host: Host) -> None:
    before = host.check_output(f"sudo sha256sum {CONFIG}")
    done = site(host, "-e", "haproxy_server_options='check no-such-word'")
    assert done.returncode != 0
    assert "unknown keyword 'no-such-word'" in done.stdout
    assert host.check_output(f"sudo sha256sum {CONFIG}") == before
    assert serving(host) == "docker"


@pytest.mark.usefixtures("on_docker")
def test_a_backend_that_the_inventory_lost_is_named(host: Host) -> None:
    backends = [
        {"name": "legacy", "servers": [{"name": "web1", "address": "127.0.0.1", "port": 1}]}
    ]
    settings = ("checks", "server_maxconn", "extra")
    without_docker = {f"haproxy_backend_{setting}": {} for setting in settings}
    done = site(host, "-e", json.dumps({"haproxy_backends": backends} | without_docker))
    assert done.returncode != 0
    assert "sends its traffic to docker, which the inventory no longer defines" in " ".join(
        done.stdout.split()
    )
    assert serving(host) == "docker"


@pytest.mark.parametrize("fault", ["503 not ready: database", "200 wrong words", "404 ready"])
@pytest.mark.usefixtures("on_docker", "faults")
def test_checks_judge_status_and_content(host: Host, fault: str) -> None:
    servers_node(f"echo '{fault}' > /run/test-server-8001; echo '{fault}' > /run/test-server-8002")
    for server in ("web1", "web2"):
        wait_for_status(host, server, "DOWN")
    result = switch(host, "legacy")
    assert "0 of 2 servers have passed a check" in result["msg"]
    assert serving(host) == default_on_disk(host) == "docker"


@pytest.mark.load
@pytest.mark.usefixtures("on_docker", "faults")
def test_a_server_that_turns_bad_costs_no_request(host: Host) -> None:
    """One of two containers loses its database: it leaves the rotation, the other serves on."""
    with Load([url_of(host)], clients=8, rate=100, expect="Users:") as load:
        assert load.wait_for(100, seconds=30)
        servers_node("echo '503 no' > /run/test-server-8003")
        wait_for_status(host, "docker1-32001", "DOWN")
        assert load.wait_for(load.requests + 200, seconds=30)
        assert {host.check_output("curl -s http://127.0.0.1/")[-4:] for _ in range(4)} == {"8004"}
    assert load.summary.failed == 0, load.summary.as_text()
