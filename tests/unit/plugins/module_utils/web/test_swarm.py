"""The swarm: what nodes say, and what follows from it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.swarm_plan import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.web.swarm import Node, look

FILTERS = FilterModule().filters()
NODES = {"m1": True, "w1": True}
LEAD = Node("active", "m1", True, "overlay", True, {"m1": True, "w1": False}, NODES)
WORKER = Node("active", "w1", ipvs=True)
BARE = Node("inactive", ipvs=True)


def plan(nodes: dict[str, Node], **changes: Any) -> dict[str, Any]:
    expected: dict[str, Any] = {
        "managers": ["swarm1"],
        "workers": ["swarm2"],
        "replicas": 2,
        "publish_mode": "auto",
        "network": "bookface-swarm",
    }
    seen = {host: {**asdict(node), "host": "192.0.2.1"} for host, node in nodes.items()}
    found: dict[str, Any] = FILTERS["swarm_plan"](seen, **(expected | changes))
    return found


def test_nothing_to_do() -> None:
    assert plan({"swarm1": LEAD, "swarm2": WORKER}) == {
        "lead": "swarm1",
        "engines": True,
        "exists": True,
        "complete": True,
        "mode": "ingress",
        "network_exists": True,
        "old_secrets": False,
        "errors": [],
    }


def test_bare_machines() -> None:
    found = plan({"swarm1": BARE, "swarm2": BARE})
    assert found["lead"] == "swarm1"
    assert (found["engines"], found["exists"], found["complete"]) == (True, False, False)
    assert not found["network_exists"]
    assert found["errors"] == []


def test_machines_without_an_engine() -> None:
    found = plan({"swarm1": BARE, "swarm2": Node()})
    assert (found["engines"], found["errors"]) == (False, [])


@pytest.mark.parametrize(
    ("lead", "worker"),
    [
        (LEAD, BARE),
        (replace(LEAD, ready={"m1": True, "w1": False}), WORKER),
        (replace(LEAD, managers={"m1": True, "w1": True}), WORKER),
        (replace(LEAD, managers={"m1": False, "w1": False}), WORKER),
    ],
    ids=["to join", "not ready", "to demote", "to promote"],
)
def test_what_makes_a_swarm_incomplete(lead: Node, worker: Node) -> None:
    found = plan({"swarm1": lead, "swarm2": worker})
    assert (found["exists"], found["complete"], found["errors"]) == (True, False, [])


def test_any_manager_will_do() -> None:
    nodes = {"swarm1": BARE, "swarm2": LEAD}
    found = plan(nodes, managers=["swarm1", "swarm2"], workers=[])
    assert (found["lead"], found["complete"]) == ("swarm2", False)


def test_the_first_manager_is_away() -> None:
    """A second one knows the swarm; without it a new swarm would be made."""
    assert plan({"swarm2": LEAD}, managers=["swarm1", "swarm2"], workers=[])["errors"] == []
    [said] = plan({"swarm2": BARE})["errors"]
    assert said.startswith("No manager of the swarm is in this run, and swarm1 was not asked.")


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        (
            {"swarm1": LEAD, "swarm2": replace(WORKER, id="x9")},
            "swarm2: in another swarm than swarm1's",
        ),
        (
            {"swarm1": LEAD, "swarm2": replace(WORKER, state="pending")},
            "or cut off from it (state pending)",
        ),
        ({"swarm1": BARE, "swarm2": WORKER}, "than the one that swarm1 would create"),
    ],
)
def test_nodes_of_another_swarm(nodes: dict[str, Node], said: str) -> None:
    [error] = plan(nodes)["errors"]
    assert said in error
    assert "run docker swarm leave --force on that machine" in error


def test_a_network_of_another_kind() -> None:
    [error] = plan({"swarm1": LEAD, "swarm2": replace(WORKER, driver="bridge")})["errors"]
    assert error.startswith(
        "swarm_network is bookface-swarm, which is another kind of network on swarm2:"
    )


def test_the_routing_mesh_needs_every_kernel() -> None:
    nodes = {"swarm1": LEAD, "swarm2": replace(WORKER, ipvs=False)}
    assert plan(nodes)["mode"] == "host"
    assert plan(nodes, publish_mode="host", replicas=2)["errors"] == []
    [error] = plan(nodes, publish_mode="ingress")["errors"]
    assert "the kernel has no IPVS on swarm2: no node would answer" in error
    [error] = plan(nodes, replicas=3)["errors"]
    assert "swarm_replicas is 3, but each of the 2 nodes runs one task at most" in error
    assert "(no IPVS on swarm2)" in error
    # All hosts of the inventory count, also those that are not in this run.
    assert plan({"swarm1": nodes["swarm1"]}, publish_mode="host")["errors"] == []


def test_versions_of_secrets_that_no_rollback_needs() -> None:
    two = ("bookface-pgpass_v1", "bookface-pgpass_v2", "bookface-config.json_v7")
    assert not plan({"swarm1": replace(LEAD, secrets=two)})["old_secrets"]
    assert plan({"swarm1": replace(LEAD, secrets=(*two, "bookface-pgpass_v3"))})["old_secrets"]


def test_no_managers_is_an_error_of_the_filter() -> None:
    with pytest.raises(AnsibleFilterError, match="swarm_plan: IndexError"):
        plan({"swarm1": BARE}, managers=[])


def docker(**said: tuple[int, str, str]) -> Any:
    """What docker prints, by its first word."""
    return lambda *words: said.get(words[0], (1, "", "no such thing"))


def test_look_at_a_manager() -> None:
    swarm = {"NodeID": "m1", "LocalNodeState": "active", "ControlAvailable": True}
    nodes = [
        {"ID": "m1", "Status": "Ready", "ManagerStatus": "Leader"},
        {"ID": "w1", "Status": "Down", "ManagerStatus": ""},
    ]
    node, problem = look(
        docker(
            info=(0, json.dumps(swarm), ""),
            network=(0, "overlay\n", ""),
            node=(0, "\n".join(map(json.dumps, nodes)), ""),
            secret=(0, "bookface-pgpass_v1\n", ""),
        ),
        "bookface-swarm",
        "bookface",
    )
    assert problem == ""
    assert node == Node(
        "active",
        "m1",
        True,
        "overlay",
        False,
        {"m1": True, "w1": False},
        {"m1": True, "w1": False},
        ("bookface-pgpass_v1",),
    )


def test_look_at_a_node_outside_of_a_swarm() -> None:
    swarm = {"NodeID": "", "LocalNodeState": "inactive", "ControlAvailable": False}
    assert look(docker(info=(0, json.dumps(swarm), "")), "n", "s") == (Node("inactive"), "")


def test_look_at_a_machine_without_an_engine() -> None:
    assert look(docker(info=(1, "", "Cannot connect\n")), "n", "s") == (Node(), "Cannot connect")


def test_a_manager_without_a_majority_knows_no_nodes() -> None:
    swarm = {"NodeID": "m1", "LocalNodeState": "active", "ControlAvailable": True}
    node, _problem = look(docker(info=(0, json.dumps(swarm), ""), secret=(1, "", "")), "n", "s")
    assert (node.manager, node.ready) == (True, {})


def test_who_must_answer() -> None:
    seen = {"swarm1": {"id": "m1", "host": "192.0.2.41"}, "swarm2": {"id": "w1", "host": "[::2]"}}
    servers = FILTERS["swarm_servers"]
    assert servers(seen, ["w1"], mode="host", port=8080) == {"swarm2": "http://[::2]:8080"}
    assert list(servers(seen, ["w1"], mode="ingress", port="80")) == [
        "swarm1",
        "swarm2",
    ]


def test_secrets_are_files_by_their_present_names() -> None:
    secrets = [{"name": "pgpass", "uid": "33", "gid": "33", "mode": 256}]
    assert FILTERS["swarm_secret_files"](secrets, ["bookface-pgpass_v3"]) == [
        {
            "secret_name": "bookface-pgpass_v3",
            "filename": "/etc/bookface/pgpass",
            "uid": "33",
            "gid": "33",
            "mode": 256,
        }
    ]
