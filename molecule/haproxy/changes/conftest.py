"""What the scenario's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from balancer import servers_node, wait_for_status
from testinfra.host import Host


@pytest.fixture
def faults(host: Host) -> Iterator[None]:
    """Whatever a test breaks is mended: all servers run, and join again by themselves."""
    yield
    units = " ".join(f"test-server@{port}" for port in range(8001, 8005))
    servers_node(f"rm -f /run/test-server-*; systemctl start {units}")
    for server in ("web1", "web2", "docker1-32001", "docker1-32002"):
        wait_for_status(host, server, "UP")
