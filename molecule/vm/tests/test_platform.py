"""The platform on real kernels, as site.yml leaves it: reached by SSH as an account with sudo."""

from __future__ import annotations

from functools import partial

import pytest
from conftest import FRONT, MACHINES, MANAGER, WORKER, Platform

from tests.support.waiting import until


def test_account_is_not_root(platform: Platform) -> None:
    for name in MACHINES:
        assert platform.lab.ssh(name, "id --user; systemd-detect-virt").split() == ["1000", "uml"]


def test_front_door_answers_from_the_virtual_machine(platform: Platform) -> None:
    answer = platform.ask(platform.url)
    assert (answer.status, answer.backend) == (200, "legacy")
    assert "Users:" in answer.body


@pytest.mark.parametrize(
    ("name", "port"),
    [(FRONT, 8081), (MANAGER, 32001), (MANAGER, 32002), (MANAGER, 8080), (WORKER, 8080)],
)
def test_every_server_of_every_backend_is_ready(platform: Platform, name: str, port: int) -> None:
    until(partial(platform.ready, name, port), f"{name}:{port} is ready", 90)


def test_swarm_publishes_through_the_routing_mesh(platform: Platform) -> None:
    """IPVS is what the lab of containers lacks."""
    form = "'{{range .Endpoint.Ports}}{{.PublishMode}}{{end}} {{.Spec.EndpointSpec.Mode}}'"
    assert platform.docker(MANAGER, f"service inspect bookface --format {form}") == "ingress vip"
    for name in (MANAGER, WORKER):
        assert "ip_vs" in platform.lab.ssh(name, "lsmod")


def test_engine_limits_memory(platform: Platform) -> None:
    """cgroup v2."""
    container = "bookface-web-1"
    form = "'{{.HostConfig.Memory}} {{.State.Pid}}'"
    memory, process = platform.docker(MANAGER, f"inspect {container} --format {form}").split()
    group = platform.lab.ssh(MANAGER, f"cat /proc/{process}/cgroup").partition("::")[2]
    assert platform.lab.ssh(MANAGER, f"cat /sys/fs/cgroup{group}/memory.max") == memory
