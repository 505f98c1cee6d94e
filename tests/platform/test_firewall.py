"""Who reaches which port: all ports of the platform, asked for from each machine."""

from __future__ import annotations

from testinfra.host import Host

testinfra_hosts = ["ansible://all"]

# Prints those of NAME:PORT that a question reaches; a machine may still refuse the connection.
CLIENT = """
import concurrent.futures, socket, sys
def reached(target):
    name, _, port = target.rpartition(":")
    try:
        socket.create_connection((name, int(port)), 2).close()
    except TimeoutError:
        return False
    except ConnectionRefusedError:
        return True
    return True
targets = sys.argv[1].split()
with concurrent.futures.ThreadPoolExecutor(len(targets)) as pool:
    print(*(target for target, found in zip(targets, pool.map(reached, targets)) if found))
"""
WEB = {"legacy_web", "docker_hosts", "swarm_managers", "swarm_workers"}
SWARM = {"swarm_managers", "swarm_workers"}
ASK_NODES = {"loadbalancers", "swarm_managers"}
# Group → its ports → groups that need them.
NEEDED: dict[str, dict[int, set[str]]] = {
    "loadbalancers": {1936: set()},
    "databases": {5432: WEB},
    "legacy_web": {80: {"loadbalancers"}},
    "docker_hosts": {32001: {"loadbalancers"}, 32002: {"loadbalancers"}},
    "swarm_managers": {8080: ASK_NODES, 7946: SWARM, 2377: SWARM},
    "swarm_workers": {8080: ASK_NODES, 7946: SWARM},
}


def test_a_port_is_reached_by_those_who_need_it_alone(host: Host) -> None:
    facts = host.ansible.get_variables()
    groups, name = facts["groups"], facts["inventory_hostname"]
    # SSH and the front door are for everybody.
    expected = {f"{one}:22" for one in groups["lab"]} | {"lb1:80"}
    asked = set(expected)
    for group, ports in NEEDED.items():
        for port, needing in ports.items():
            asked |= {f"{one}:{port}" for one in groups[group]}
            # A machine reaches its own.
            mine = groups[group] if needing & {*facts["group_names"]} else [name]
            expected |= {f"{one}:{port}" for one in mine if one in groups[group]}
    found = host.check_output("python3 -c %s %s", CLIENT, " ".join(sorted(asked)))
    assert set(found.split()) == expected
