"""The database as somebody sees it who is none of the platform's machines."""

from __future__ import annotations

from testinfra.host import Host

testinfra_hosts = ["ansible://databases"]

# On the database's own machine: the firewall lets no stranger's question come as far.
STRANGER = "198.51.100.9"
# The first message of PostgreSQL's protocol by hand, from an address of the sender's choice.
CLIENT = r"""
import socket, struct, sys
words = b"\0".join([b"user", sys.argv[2].encode(), b"database", b"bf", b"", b""])
with socket.create_connection((sys.argv[1], 5432), 5, (sys.argv[3], 0)) as server:
    server.sendall(struct.pack("!ii", len(words) + 8, 196608) + words)
    print(server.recv(4096))
"""


def test_database_refuses_before_it_asks_for_a_password(host: Host) -> None:
    own = host.ansible.get_variables()["ansible_host"]
    host.check_output(f"sudo ip address add {STRANGER}/32 dev lo")
    try:
        for user in ("bfuser", "bfowner", "postgres"):
            answer = host.check_output("python3 -c %s %s %s %s", CLIENT, own, user, STRANGER)
            assert answer.startswith("b'E"), answer
            assert f'no pg_hba.conf entry for host "{STRANGER}"' in answer
    finally:
        host.check_output(f"sudo ip address del {STRANGER}/32 dev lo")
