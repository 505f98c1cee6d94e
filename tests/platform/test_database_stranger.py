"""The database as a machine sees it that has no business there."""

from __future__ import annotations

from testinfra.host import Host

testinfra_hosts = ["ansible://loadbalancers"]

# The first message of PostgreSQL's protocol by hand: this machine has no client.
CLIENT = r"""
import socket, struct, sys
words = b"\0".join([b"user", sys.argv[2].encode(), b"database", b"bf", b"", b""])
with socket.create_connection((sys.argv[1], 5432), 5) as server:
    server.sendall(struct.pack("!ii", len(words) + 8, 196608) + words)
    print(server.recv(4096))
"""


def test_database_refuses_before_it_asks_for_a_password(host: Host) -> None:
    database = host.ansible.get_variables()["groups"]["databases"][0]
    for user in ("bfuser", "bfowner", "postgres"):
        answer = host.check_output("python3 -c %s %s %s", CLIENT, database, user)
        assert answer.startswith("b'E"), answer
        assert "no pg_hba.conf entry" in answer
