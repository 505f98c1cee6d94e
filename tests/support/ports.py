"""Ports of this machine for servers of the tests."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

from tests.support.errors import HarnessError

# Below the ports that Linux hands out by itself (from 32768 up): no connection to elsewhere and no
# bind to port 0 takes one between the moment it is handed out here and the start of its server.
RANGE = range(20000, 26000)
BLOCK = 100


def _blocks() -> Iterator[int]:
    """Ports of one block after the other, each block this process's own until it ends."""
    claims = []
    blocks = list(RANGE[::BLOCK])
    # Servers of the runs before may linger: seldom the same ports again.
    random.shuffle(blocks)
    for block in blocks:
        # A name in the abstract namespace: nothing on disk, for every account, in the network
        # namespace whose ports these are; the kernel releases it with the process.
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0bookface-tests-ports-{block}")
        except OSError:
            claim.close()
            continue
        claims.append(claim)
        yield from filter(_free, range(block, block + BLOCK))
    raise HarnessError(f"no port left between {RANGE.start} and {RANGE.stop}: end what holds them")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


_ports = _blocks()


def free_ports(number: int) -> list[int]:
    """Ports on which nobody listens. No other process of the tests is given them meanwhile."""
    return [next(_ports) for _ in range(number)]


def free_port() -> int:
    """One such port."""
    return next(_ports)


def free_address() -> str:
    """An address of the loopback for a server whose port is fixed; likewise nobody else's."""
    port = next(_ports)
    return f"127.{port // 256}.{port % 256}.1"
