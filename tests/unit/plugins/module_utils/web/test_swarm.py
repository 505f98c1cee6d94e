"""The swarm: what nodes say, and what follows from it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.swarm_plan import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.web.labels import (
    NODE_LABELS,
    STACK,
)
from ansible_collections.bookface.platform.plugins.module_utils.web.swarm import (
    Node,
    look,
)

FILTERS = FilterModule().filters()
NODES = {"m1": True, "w1": True}
NETWORK: dict[str, Any] = {
    "id": "n1",
    "driver": "overlay",
    "ours": True,
    "ingress": False,
    "kinds": [],
    "containers": [],
    "mtu": 1500,
    "encrypted": False,
    "subnets": [],
}
LEAD = Node(
    "active",
    "m1",
    True,
    (NETWORK,),
    True,
    managers={"m1": True, "w1": False},
    ready=NODES,
    cluster={
        "id": "c1",
        "ours": True,
        "pools": ["10.0.0.0/8"],
        "heartbeat": 5 * 10**9,
        "autolock": False,
    },
    service={"ours": True, "image": "sha256:1", "stack": "", "mode": "Replicated", "networks": []},
)
WORKER = Node("active", "w1", ipvs=True)
BARE = Node("inactive", ipvs=True)


def plan(nodes: dict[str, Node], **changes: Any) -> dict[str, Any]:
    expected: dict[str, Any] = {
        "managers": ["swarm1"],
        "workers": ["swarm2"],
        "replicas": 2,
        "ingress_mode": "host",
        "network": "bookface-swarm",
        "service": "bookface",
        "port": 8080,
        "pools": ["10.0.0.0/8"],
        "addresses": ["192.0.2.1", "192.0.2.2"],
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
        "replicas": 2,
        "autoscaled": False,
        "network_exists": True,
        "networks": {
            "options": {},
            "gateways": {},
            "mesh": "10.0.0.0/24",
            "recreate_ingress": False,
            "hides": [],
        },
        "warnings": [],
        "heartbeat": False,
        "autolock": False,
        "canary": {"name": "bookface-canary", "left": False},
        "node_labels": {},
        "old_secrets": False,
        "errors": [],
    }


def scaled(replicas: int) -> Node:
    """A manager whose service has so many tasks."""
    members = {name: {"name": name, "addresses": [], "state": "ready"} for name in NODES}
    return replace(LEAD, service={**LEAD.service, "replicas": replicas}, members=members)


@pytest.mark.parametrize(
    ("running", "most", "mode", "replicas"),
    [
        (3, 0, "mesh", 2),
        (3, 4, "mesh", 3),
        (9, 4, "mesh", 4),
        (0, 4, "mesh", 2),
        (1, 4, "mesh", 2),
        # Two nodes, one task each.
        (3, 4, "host", 2),
    ],
)
def test_what_autoscaling_has_chosen_stays(
    running: int, most: int, mode: str, replicas: int
) -> None:
    nodes = {"swarm1": scaled(running), "swarm2": WORKER}
    found = plan(nodes, replicas_max=most, ingress_mode=mode)
    assert (found["replicas"], found["errors"]) == (replicas, [])
    assert found["autoscaled"] is (most > 2 and running == replicas)


def test_two_lost_nodes_of_one_name_are_two() -> None:
    """A machine that was rebuilt twice: a third task has no place."""
    known = {
        id_: {"name": name, "addresses": [], "state": state}
        for id_, name, state in (
            ("m1", "one", "ready"),
            ("w1", "two", "ready"),
            ("x1", "three", "down"),
            ("x2", "three", "down"),
        )
    }
    lead = replace(LEAD, members=known, service={**LEAD.service, "replicas": 3})
    found = plan({"swarm1": lead, "swarm2": WORKER}, replicas_max=4, ingress_mode="host")
    assert found["replicas"] == 2
    [said] = FILTERS["swarm_report"]({"swarm1": asdict(lead)}, managers=["swarm1"])
    assert said == "swarm: 2 of 4 nodes take tasks; three is down; three is down"


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


def test_managers_without_a_majority_change_nothing() -> None:
    [said] = plan({"swarm1": replace(LEAD, managers={}, ready={}), "swarm2": BARE})["errors"]
    assert said.startswith("The swarm has no leader: swarm1 answers, but that is no majority")
    assert "docker swarm init --force-new-cluster" in said


def test_of_two_managers_the_one_that_can_decide_leads() -> None:
    cut = replace(LEAD, managers={}, ready={})
    found = plan({"swarm1": cut, "swarm2": LEAD}, managers=["swarm1", "swarm2"], workers=[])
    assert found["lead"] == "swarm2"


def rebuilt(**old: Any) -> dict[str, Node]:
    """A worker that was made again: its old entry is x1, with these differences."""
    members = {
        "m1": {"name": "one", "addresses": ["192.0.2.1"], "state": "ready"},
        "w1": {"name": "two", "addresses": ["192.0.2.2"], "state": "ready"},
        "x1": {"name": "two", "addresses": ["192.0.2.2"], "state": "down", **old},
    }
    return {"swarm1": replace(LEAD, members=members), "swarm2": WORKER}


@pytest.mark.parametrize(
    ("old", "ids"),
    [
        ({}, ["x1"]),
        ({"addresses": ["192.0.2.77"]}, ["x1"]),
        # Another machine that has the same name, and is only off.
        ({"addresses": ["192.0.2.3"]}, []),
        ({"name": "three"}, []),
        ({"state": "unknown"}, []),
    ],
    ids=["same address", "another address", "another host's address", "another name", "not down"],
)
def test_what_rebuilt_machines_have_left_behind(old: dict[str, Any], ids: list[str]) -> None:
    addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    nodes = rebuilt(**old)
    seen = {host: asdict(node) for host, node in nodes.items()}
    assert FILTERS["swarm_stale"](seen, addresses) == ids
    assert plan(nodes, addresses=addresses)["complete"] is (not ids)
    # In a swarm that was made by hand, machines may share a name.
    by_hand = {"swarm1": asdict(replace(nodes["swarm1"], cluster={"id": "c1", "ours": False}))}
    own = ids if old.get("addresses", ["192.0.2.2"]) == ["192.0.2.2"] else []
    assert FILTERS["swarm_stale"]({**seen, **by_hand}, addresses) == own
    # A machine that has not joined yet may be another one.
    assert FILTERS["swarm_stale"]({**seen, "swarm2": asdict(BARE)}, addresses) == []


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
    bridge = {**NETWORK, "driver": "bridge", "ours": False}
    [error] = plan({"swarm1": LEAD, "swarm2": replace(WORKER, networks=(bridge,))})["errors"]
    assert error.startswith(
        "swarm_network is bookface-swarm, which is another kind of network on swarm2:"
    )


def test_the_routing_mesh_needs_every_kernel() -> None:
    nodes = {"swarm1": LEAD, "swarm2": replace(WORKER, ipvs=False)}
    assert plan(nodes)["errors"] == []
    [error] = plan(nodes, ingress_mode="mesh")["errors"]
    assert "the kernel has no IPVS on swarm2: no node would answer. Use host or edge." in error
    nodes["swarm2"] = WORKER
    assert plan(nodes, ingress_mode="mesh", replicas=3)["errors"] == []


def test_with_mode_host_each_node_runs_one_task() -> None:
    nodes = {"swarm1": LEAD, "swarm2": WORKER}
    [error] = plan(nodes, replicas=3)["errors"]
    assert error == (
        "swarm_replicas is 3, but each of the 2 nodes runs one task at most with swarm_ingress_mode"
        " host. Use fewer replicas, add nodes, or set swarm_ingress_mode to edge or mesh, with"
        " which a node can run several tasks."
    )
    # All hosts of the inventory count, also those that are not in this run.
    assert plan({"swarm1": LEAD})["errors"] == []


def test_with_mode_edge_haproxy_must_find_all_tasks() -> None:
    """Also the one that an update starts before it stops another one. Nodes may share them."""
    nodes = {"swarm1": LEAD, "swarm2": replace(WORKER, ipvs=False)}
    assert plan(nodes, ingress_mode="edge", replicas=3, slots=4)["errors"] == []
    assert plan(nodes, ingress_mode="edge", replicas=3, slots=4)["replicas"] == 3
    [error] = plan(nodes, ingress_mode="edge", replicas=2, replicas_max=4, slots=4)["errors"]
    assert error.startswith("swarm_replicas_max is 4, but bookface_swarm_slots is 4: HAProxy")


@pytest.mark.parametrize(
    ("found", "wanted"), [("ingress", "host"), ("host", "mesh"), ("host", "edge")]
)
def test_a_service_that_serves_keeps_its_mode(found: str, wanted: str) -> None:
    """Its nodes might not answer meanwhile."""
    service = {**LEAD.service, "published": [{"target": 80, "mode": found}]}
    nodes = {"swarm1": replace(LEAD, service=service), "swarm2": WORKER}
    kept = {"ingress": "mesh", "host": "host"}[found]
    assert plan(nodes, ingress_mode=kept)["errors"] == []
    [error] = plan(nodes, ingress_mode=wanted)["errors"]
    assert f"swarm_ingress_mode is {wanted}, but the service bookface is published with" in error
    assert f"Set swarm_ingress_mode to {kept} to keep it." in error
    assert f"docker service update --publish-rm mode={found},target=80 bookface on" in error


def test_nodes_of_our_swarm_report_as_often_as_wanted() -> None:
    nodes = {"swarm1": LEAD, "swarm2": WORKER}
    assert [plan(nodes, heartbeat=each)["heartbeat"] for each in (2, 5)] == [True, False]
    assert plan({"swarm1": BARE, "swarm2": BARE})["heartbeat"]
    # Somebody else has chosen theirs, and a manager without a majority knows of none.
    theirs = replace(LEAD, cluster={**LEAD.cluster, "ours": False})
    assert not plan({"swarm1": theirs, "swarm2": WORKER}, heartbeat=2)["heartbeat"]
    assert not plan({"swarm1": replace(LEAD, cluster={}), "swarm2": WORKER})["heartbeat"]


def test_managers_lock_their_keys_if_that_is_wished() -> None:
    locking = replace(LEAD, cluster={**LEAD.cluster, "autolock": True})
    for lead, wish, change in (
        (LEAD, None, False),
        (LEAD, False, False),
        (LEAD, True, True),
        (locking, None, False),
        (locking, True, False),
        (locking, False, True),
        (BARE, True, True),
    ):
        assert plan({"swarm1": lead}, autolock=wish)["autolock"] is change


def test_a_locked_manager_is_no_stranger() -> None:
    nodes = {"swarm1": Node("locked"), "swarm2": WORKER}
    [error] = plan(nodes)["errors"]
    assert "swarm1: locked since the engine restarted" in error
    assert "Set swarm_unlock_key, from the vault" in error
    [error] = plan(nodes, unlocks=True)["errors"]
    assert "a run without --check unlocks it" in error
    seen = {host: asdict(node) for host, node in nodes.items()}
    [told] = FILTERS["swarm_report"](seen, managers=["swarm1"])
    assert told.endswith("changes are not possible; swarm1: locked since the engine restarted")


def test_tasks_do_not_leave_the_network_of_others_unasked() -> None:
    service = {**LEAD.service, "networks": ["old"]}
    nodes = {"swarm1": replace(LEAD, service=service, networks=()), "swarm2": WORKER}
    assert plan(nodes)["errors"] == []
    [error] = plan(nodes, services=["cache"])["errors"]
    assert "they and the service cache do not reach each other. Move the traffic" in error
    [error] = plan(nodes, ingress_mode="edge")["errors"]
    assert "they and HAProxy in the swarm do not" in error
    assert plan(nodes, ingress_mode="edge", services=["cache"], move=True)["errors"] == []
    nodes["swarm1"] = replace(LEAD, service={**service, "networks": ["n1"]})
    assert plan(nodes, services=["cache"])["errors"] == []


def test_versions_of_secrets_that_no_rollback_needs() -> None:
    two = ("bookface-pgpass_v1", "bookface-pgpass_v2", "bookface-config.json_v7")
    assert not plan({"swarm1": replace(LEAD, secrets=two)})["old_secrets"]
    assert plan({"swarm1": replace(LEAD, secrets=(*two, "bookface-pgpass_v3"))})["old_secrets"]


def test_a_canary_that_a_run_has_left() -> None:
    found = plan({"swarm1": replace(LEAD, canary={"ours": True}), "swarm2": WORKER})
    assert (found["canary"]["left"], found["errors"]) == (True, [])


def test_no_managers_is_an_error_of_the_filter() -> None:
    with pytest.raises(AnsibleFilterError, match="swarm_plan: IndexError"):
        plan({"swarm1": BARE}, managers=[])


# What somebody else made: what is found, and what the message says.
THEIRS = {**NETWORK, "ours": False}
SERVICE: dict[str, Any] = {
    "ours": False,
    "image": "web:v1",
    "stack": "bf",
    "mode": "Replicated",
    "replicas": 3,
    "networks": ["n1"],
}
FOREIGN: dict[str, tuple[dict[str, Any], list[str]]] = {
    "service/bookface": (
        {"service": SERVICE},
        [
            "swarm_service is bookface, but the service of the stack bf that has this name is not",
            "it lacks the label platform.bookface.role=web and runs web:v1. Choose another name",
        ],
    ),
    "network/bookface-swarm": (
        {"networks": ({**THEIRS, "kinds": ["attachable"], "containers": ["memc"]},)},
        [
            "the overlay network that has this name (attachable) is not ours",
            "On it is also memc. Choose another name",
        ],
    ),
    "swarm/c1": (
        {
            "cluster": {"id": "c1", "ours": False, "pools": []},
            "service": {},
            "networks": (),
            "members": {
                "m1": {"name": "swarm1", "addresses": ["192.0.2.1"], "state": "ready"},
                "w1": {"name": "swarm2", "addresses": ["192.0.2.2"], "state": "ready"},
                "x1": {"name": "theirs", "addresses": ["192.0.2.9"], "state": "ready"},
            },
        },
        [
            "swarm1 manages a swarm that is not ours",
            "does not know its nodes theirs. Add them",
        ],
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_somebody_else_made_becomes_ours_only_on_demand(name: str) -> None:
    found, sentences = FOREIGN[name]
    nodes = {"swarm1": replace(LEAD, **found), "swarm2": WORKER}
    [error] = plan(nodes)["errors"]
    assert all(one in error for one in sentences), error
    assert f"swarm_adopt: [{name}]" in error
    adopted = plan(nodes, adopt=[name])
    assert adopted["errors"] == []
    # A network is never recreated.
    assert adopted["network_exists"] == bool(nodes["swarm1"].networks)


def test_a_network_on_which_our_service_runs_was_adopted_before() -> None:
    """Or it was there before the role asked for that."""
    service = {**SERVICE, "ours": True}
    nodes = {"swarm1": replace(LEAD, networks=(THEIRS,), service=service), "swarm2": WORKER}
    assert plan(nodes)["errors"] == []


def test_all_that_is_foreign_is_named_at_once() -> None:
    found = {key: value for told, _said in FOREIGN.values() for key, value in told.items()}
    nodes = {"swarm1": replace(LEAD, **found | {"service": SERVICE}), "swarm2": WORKER}
    assert len(plan(nodes)["errors"]) == 2
    assert plan(nodes, adopt=["swarm/c1", "service/bookface"])["errors"] == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"service": {**SERVICE, "mode": "Global"}}, "is a service of mode Global"),
        ({"networks": ({**THEIRS, "ingress": True},)}, "which is the routing mesh of the swarm"),
        ({"canary": {"ours": False}}, "tested as the service bookface-canary, but a service of"),
        ({"foreign_secrets": ["bookface-pgpass_v1"]}, "so they cannot be adopted"),
        (
            {"ports": ({"port": 8080, "mode": "ingress", "service": "visualizer"},)},
            "swarm_port is 8080, which the service visualizer of this swarm publishes",
        ),
    ],
    ids=["mode", "mesh", "canary", "secret", "port"],
)
def test_what_cannot_become_ours(found: dict[str, Any], said: str) -> None:
    nodes = {"swarm1": replace(LEAD, **found), "swarm2": WORKER}
    adopt = ["service/bookface", "network/bookface-swarm", "swarm/c1"]
    [error] = plan(nodes, adopt=adopt)["errors"]
    assert said in error


def test_two_services_may_publish_one_port_of_different_nodes() -> None:
    other = ({"port": 8080, "mode": "host", "service": "visualizer"},)
    nodes = {"swarm1": replace(LEAD, ports=other), "swarm2": WORKER}
    assert plan(nodes)["errors"] == []
    assert len(plan(nodes, ingress_mode="mesh")["errors"]) == 1


def test_what_is_adopted_is_named_exactly() -> None:
    [error] = plan({"swarm1": LEAD, "swarm2": WORKER}, adopt=["service/bf_web"])["errors"]
    assert error.startswith("swarm_adopt has service/bf_web; expected service/bookface, network/")


def test_a_swarm_that_was_made_by_hand_of_the_inventory_s_hosts_is_used() -> None:
    """Also by a run that not all of them are in; they are known by their addresses."""
    found, _sentences = FOREIGN["swarm/c1"]
    both = dict(list(found["members"].items())[:2])
    lead = replace(LEAD, **found | {"members": both})
    assert plan({"swarm1": lead, "swarm2": WORKER})["errors"] == []
    assert plan({"swarm1": lead})["errors"] == []
    [error] = plan({"swarm1": lead}, addresses=["192.0.2.1"])["errors"]
    assert "does not know its nodes swarm2" in error


@pytest.mark.parametrize(
    "ours",
    [
        {"networks": (NETWORK,)},
        {"service": {**SERVICE, "ours": True}},
        {"secrets": ["bookface-pgpass_v1"]},
        {"cluster": {"id": "c1", "ours": True, "pools": []}},
    ],
    ids=["network", "service", "secret", "swarm"],
)
def test_a_swarm_is_ours_by_what_is_in_it(ours: dict[str, Any]) -> None:
    """Earlier releases gave it no label. Nodes that somebody added stay, and are no concern."""
    found, _sentences = FOREIGN["swarm/c1"]
    nodes = {"swarm1": replace(LEAD, **found | ours), "swarm2": WORKER}
    assert plan(nodes)["errors"] == []


def test_a_manager_of_our_swarm_leads_rather_than_one_of_theirs() -> None:
    found, _sentences = FOREIGN["swarm/c1"]
    theirs = replace(LEAD, **found | {"id": "x1", "ready": {"x1": True}})
    result = plan({"swarm1": theirs, "swarm2": LEAD}, managers=["swarm1", "swarm2"], workers=[])
    assert result["lead"] == "swarm2"
    [error] = result["errors"]
    assert error.startswith("swarm1: in another swarm than swarm2's")


def test_a_swarm_of_others_without_its_ingress_network() -> None:
    cluster = {**LEAD.cluster, "ours": False}
    nodes = {"swarm1": replace(LEAD, cluster=cluster, mesh=False), "swarm2": WORKER}
    assert plan(nodes)["errors"] == []
    [error] = plan(nodes, ingress_mode="mesh")["errors"]
    assert "the swarm's ingress network was removed: no node would answer" in error


def docker(**said: Any) -> Any:
    """What docker prints: text, or what it lists and inspects of a kind."""

    def answer(*words: str) -> tuple[int, str, str]:
        told = said.get(words[0], (1, "", "no such thing"))
        if isinstance(told, tuple):
            return told
        if words[1] == "inspect":
            return 0, json.dumps([told[id_] for id_ in words[2:]]), ""
        if words[0] == "network":
            return 0, "".join(f"{i} {one['Driver']} {one['Name']}\n" for i, one in told.items()), ""
        return 0, "\n".join(told), ""

    return answer


OURS = {"platform.bookface.made": "swarm"}


MANAGES = {"Addr": "[fd00::1]:2377", "Reachability": "reachable"}


def node(name: str, address: str, **more: Any) -> dict[str, Any]:
    return {
        "ID": name,
        "Description": {"Hostname": f"host-{name}"},
        "Spec": {
            "Availability": "drain" if name == "w1" else "active",
            "Role": "worker" if name == "w1" else "manager",
            "Labels": {"bookface.edge.web": "true"} if name == "w1" else {},
        },
        "Status": {"State": "ready", "Addr": address},
        **more,
    }


def service(name: str, port: int, **labels: str) -> dict[str, Any]:
    spec = {
        "Name": name,
        "Labels": labels,
        "TaskTemplate": {"ContainerSpec": {"Image": "web:v1"}, "Networks": [{"Target": "n1"}]},
        "Mode": {"Replicated": {"Replicas": 3}},
    }
    ports = [
        {"Protocol": protocol, "TargetPort": 80, "PublishedPort": number, "PublishMode": "host"}
        for protocol, number in (("tcp", port), ("udp", port + 1))
    ]
    spec["EndpointSpec"] = {"Ports": ports[:1]}
    return {"Spec": spec, "Endpoint": {"Ports": ports}}


PLAIN: dict[str, Any] = {"replicas": 0, "constraints": []}


def test_look_at_a_manager() -> None:
    cluster = {
        "ID": "c1",
        "Spec": {"Labels": OURS, "Dispatcher": {"HeartbeatPeriod": 5 * 10**9}},
        "DefaultAddrPool": ["10.0.0.0/8"],
    }
    swarm = {
        "NodeID": "m1",
        "LocalNodeState": "active",
        "ControlAvailable": True,
        "Cluster": cluster,
    }
    containers = [
        {"Name": "memc"},
        {"Name": "bookface-swarm-endpoint"},
        {"Name": "bookface.1.abcdefghijklmnopqrstuvwxy"},
    ]
    networks = {
        "n1": {
            "Id": "n1",
            "Name": "bookface-swarm",
            "Driver": "overlay",
            "Attachable": True,
            "Options": {"encrypted": "", "com.docker.network.driver.mtu": "1400"},
            "IPAM": {"Config": [{"Subnet": "10.0.1.0/24"}]},
            "Labels": {},
            "Containers": dict(enumerate(containers)),
        },
        "n2": {"Name": "mesh", "Driver": "overlay", "Ingress": True},
        "n3": {"Name": "bridge", "Driver": "bridge"},
        "n4": {"Name": "docker_gwbridge", "Driver": "bridge"},
    }
    nodes = {
        "m1": node("m1", "0.0.0.0", ManagerStatus=MANAGES),  # noqa: S104
        "w1": node("w1", "192.0.2.2", Status={"State": "down", "Addr": "192.0.2.2"}),
    }
    services = {
        "s1": service("bookface", 8080, **{"com.docker.stack.namespace": "bf"}),
        "s2": service("visualizer", 8081),
        "s5": {"Spec": {"Name": "dns", "EndpointSpec": {"Ports": [{"Protocol": "udp"}]}}},
        "s3": {"Spec": {"Name": "bookface-canary", "Labels": OURS}},
        "s4": {
            "Spec": {
                "Name": "cache",
                "Labels": {**OURS, STACK: "bookface"},
                "Mode": {"Global": {}},
                "TaskTemplate": {"ContainerSpec": {"Image": "memcached"}},
            }
        },
    }
    secrets = {
        "k1": {"Spec": {"Name": "bookface-pgpass_v1", "Labels": OURS}},
        "k2": {"Spec": {"Name": "bookface-config.json_v1", "Labels": {}}},
        "k3": {"Spec": {"Name": "their-bookface-key", "Labels": {}}},
        "k4": {"Spec": {"Name": "bookface-cache.key_v1", "Labels": {**OURS, STACK: "bookface"}}},
    }
    found, problem = look(
        docker(
            info=(0, json.dumps(swarm), ""),
            network=networks,
            node=nodes,
            service=services,
            secret=secrets,
        ),
        "bookface-swarm",
        "bookface",
    )
    assert problem == ""
    theirs = {
        **THEIRS,
        "kinds": ["attachable", "encrypted"],
        "encrypted": True,
        "containers": ["memc"],
        "mtu": 1400,
        "subnets": ["10.0.1.0/24"],
    }
    plain = {"mtu": 1500, "encrypted": False, "subnets": []}
    assert found == Node(
        "active",
        "m1",
        True,
        networks=(theirs,),
        managers={"m1": True, "w1": False},
        ready={"m1": True, "w1": False},
        members={
            "m1": {
                "name": "host-m1",
                "addresses": ["0.0.0.0", "fd00::1"],  # noqa: S104
                "availability": "active",
                "role": "manager",
                "state": "ready",
                "reachable": True,
                "attributes": {
                    "node.id": "m1",
                    "node.hostname": "host-m1",
                    "node.role": "manager",
                },
            },
            "w1": {
                "name": "host-w1",
                "addresses": ["192.0.2.2"],
                "availability": "drain",
                "role": "worker",
                "state": "down",
                "reachable": False,
                "attributes": {
                    "node.id": "w1",
                    "node.hostname": "host-w1",
                    "node.role": "worker",
                    "node.labels.bookface.edge.web": "true",
                },
            },
        },
        cluster=LEAD.cluster,
        service={**SERVICE, "constraints": [], "published": [{"target": 80, "mode": "host"}]},
        canary={"ours": True},
        ports=({"port": 8081, "mode": "host", "service": "visualizer"},),
        secrets=("bookface-pgpass_v1", "bookface-config.json_v1", "bookface-cache.key_v1"),
        foreign_secrets=("bookface-config.json_v1",),
        services={
            "visualizer": {
                "stack": "",
                "mode": "Replicated",
                "image": "web:v1",
                "replicas": 3,
                "constraints": [],
            },
            "dns": {"stack": "", "mode": "Replicated", "image": "", **PLAIN},
            "bookface-canary": {"stack": "", "mode": "Replicated", "image": "", **PLAIN},
            "cache": {"stack": "bookface", "mode": "Global", "image": "memcached", **PLAIN},
        },
        overlays=("bookface-swarm", "mesh"),
        stack_secrets=("bookface-cache.key_v1",),
        ingress={**plain, "name": "mesh", "services": ["dns"]},
        gateway={**plain, "places": []},
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
    assert list(servers(seen, ["w1"], mode="mesh", port="80")) == [
        "swarm1",
        "swarm2",
    ]


def members(**states: str) -> dict[str, dict[str, Any]]:
    """The nodes of a swarm by their availability."""
    return {
        id_: {"name": f"node-{id_}", "addresses": [], "availability": state, "state": "ready"}
        for id_, state in states.items()
    }


@pytest.mark.parametrize(
    ("mode", "replicas", "known", "said"),
    [
        (
            "host",
            2,
            members(m1="active", w1="drain"),
            "swarm_replicas is 2, but only 1 of 2 nodes can run tasks, one each: node-w1 is"
            " drained. Let them take tasks again (docker node update --availability active"
            " node-w1), or set fewer replicas, or add nodes.",
        ),
        (
            "mesh",
            2,
            members(m1="pause", w1="drain"),
            "swarm_replicas is 2, but no node can run tasks: node-m1 is paused, node-w1 is",
        ),
        # One that the inventory does not know is down.
        ("host", 2, members(m1="active", w1="active", x1="active"), ""),
        ("host", 1, members(m1="active", w1="drain"), ""),
        ("mesh", 5, members(m1="active", w1="drain"), ""),
    ],
)
def test_nodes_that_take_no_tasks_are_counted(
    mode: str, replicas: int, known: dict[str, Any], said: str
) -> None:
    lead = replace(LEAD, members=known)
    found = plan({"swarm1": lead, "swarm2": WORKER}, ingress_mode=mode, replicas=replicas)
    assert (said in " ".join(found["errors"])) if said else not found["errors"], found["errors"]
    assert len(found["errors"]) <= 1


def test_a_node_that_joins_takes_tasks() -> None:
    lead = replace(LEAD, members=members(m1="drain"))
    nodes = {"swarm1": lead, "swarm2": BARE}
    assert plan(nodes, replicas=1)["errors"] == []
    [said] = plan(nodes, replicas=2)["errors"]
    assert "only 1 of 2 nodes can run tasks, one each: node-m1 is drained" in said


def test_a_node_that_is_down_and_not_in_the_run_is_not_waited_for() -> None:
    known = members(m1="active", w1="active")
    lead = replace(LEAD, members=known, ready={"m1": True, "w1": False})
    [said] = plan({"swarm1": lead}, replicas=2)["errors"]
    assert "node-w1 is down. Bring them back, or set fewer replicas" in said
    assert plan({"swarm1": lead, "swarm2": WORKER})["errors"] == []


@pytest.mark.parametrize(
    ("tasks", "uneven"),
    [
        (["m1", "m1"], True),
        (["m1", "w1"], False),
        (["m1", "m1", "w1"], False),
        (["m1", "m1", "m1", "w1"], True),
        # Those that take no tasks need none, and lose theirs without us.
        (["m1", "x1", "x1"], False),
        ([], False),
    ],
)
def test_tasks_that_could_be_spread_better(tasks: list[str], uneven: bool) -> None:
    known = members(m1="active", w1="active", x1="drain", y1="active")
    ready = {"m1": True, "w1": True, "x1": True, "y1": False}
    manager = asdict(replace(LEAD, members=known, ready=ready))
    assert FILTERS["swarm_uneven"](manager, tasks, ["m1", "w1", "x1", "y1"]) is uneven


def test_nodes_of_others_may_lack_the_image_and_need_no_task() -> None:
    manager = asdict(
        replace(
            LEAD,
            members=members(m1="active", w1="active", z1="active"),
            ready=dict.fromkeys(("m1", "w1", "z1"), True),
        )
    )
    assert FILTERS["swarm_uneven"](manager, ["m1", "m1", "w1", "w1"], ["m1", "w1"]) is False
    assert FILTERS["swarm_uneven"](manager, ["m1", "m1", "w1", "w1"], ["m1", "w1", "z1"]) is True


def test_no_node_that_takes_tasks_leaves_nothing_to_spread() -> None:
    manager = asdict(replace(LEAD, members=members(m1="drain")))
    assert FILTERS["swarm_uneven"](manager, ["m1", "m1"], ["m1"]) is False


ALL = replace(LEAD, members=members(m1="active", w1="active"))


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({"swarm1": ALL, "swarm2": WORKER}, ["swarm: 2 of 2 nodes take tasks"]),
        (
            {"swarm1": replace(ALL, ready={"m1": True, "w1": False}), "swarm2": None},
            ["swarm: 1 of 2 nodes take tasks; node-w1 is down"],
        ),
        (
            {"swarm1": None, "swarm2": WORKER},
            [
                "swarm: no manager answers (swarm1); tasks go on serving, changes are not possible",
            ],
        ),
        (
            {"swarm1": replace(LEAD, members={}), "swarm2": None},
            [
                "swarm: the managers have no majority (swarm1); tasks go on serving, changes are"
                " not possible",
            ],
        ),
        ({"swarm1": None, "swarm2": None}, []),
        ({"swarm1": BARE, "swarm2": Node()}, []),
    ],
    ids=["whole", "down", "manager lost", "no majority", "nobody answers", "no swarm"],
)
def test_report_for_people(seen: dict[str, Node | None], said: list[str]) -> None:
    told = {host: asdict(node) if node else {"unreachable": True} for host, node in seen.items()}
    assert FILTERS["swarm_report"](told, managers=["swarm1"]) == said


def labelled(**labels: dict[str, str]) -> Node:
    """A manager that knows these nodes, all active, with their labels."""
    known = {
        id_: {**one, "attributes": {f"node.labels.{name}": v for name, v in labels[id_].items()}}
        for id_, one in members(**dict.fromkeys(labels, "active")).items()
    }
    return replace(LEAD, members=known, ready=dict.fromkeys(labels, True))


def test_only_nodes_that_meet_the_constraints_are_room() -> None:
    nodes = {"swarm1": labelled(m1={"zone": "a"}, w1={"zone": "b"}), "swarm2": WORKER}
    wish: dict[str, Any] = {"constraints": ["node.labels.zone == a"]}
    [said] = plan(nodes, **wish)["errors"]
    assert "swarm_constraints is node.labels.zone==a, which only 1 of 2 nodes meet for 2" in said
    assert "The nodes will be node-m1 (labels.zone=a), node-w1 (labels.zone=b)." in said
    assert "or use fewer replicas" in said
    assert plan(nodes, ingress_mode="mesh", **wish)["errors"] == []
    assert plan(nodes, replicas=1, **wish)["errors"] == []
    [said] = plan(nodes, constraints=["node.labels.zone==c"], ingress_mode="mesh")["errors"]
    assert "which no node meets. The nodes will be" in said
    assert said.endswith("of hosts that shall run tasks, or change swarm_constraints.")
    assert "fewer" not in said


def test_labels_that_nodes_will_have_count() -> None:
    """Also those of a node that has not joined."""
    nodes = {"swarm1": labelled(m1={}), "swarm2": BARE}
    given = {"swarm1": {"zone": "a"}, "swarm2": {"zone": "a"}}
    found = plan(nodes, constraints=["node.labels.zone==a"], node_labels=given)
    change = {"set": {"zone": "a", NODE_LABELS: "zone"}, "remove": [], "rest": {}}
    assert (found["errors"], found["node_labels"]) == ([], dict.fromkeys(given, change))


def test_autoscaling_keeps_to_the_constraints() -> None:
    lead = labelled(m1={"zone": "a"}, w1={"zone": "b"})
    lead = replace(lead, service={**lead.service, "replicas": 2})
    wish: dict[str, Any] = {"replicas": 1, "replicas_max": 4}
    nodes = {"swarm1": lead, "swarm2": WORKER}
    assert plan(nodes, **wish)["replicas"] == 2
    assert plan(nodes, constraints=["node.labels.zone==a"], **wish)["replicas"] == 1


def test_a_drained_node_that_meets_the_constraints_is_named() -> None:
    lead = labelled(m1={"zone": "a"}, w1={"zone": "a"}, x1={"zone": "b"})
    known = {**lead.members, "w1": {**lead.members["w1"], "availability": "drain"}}
    nodes = {"swarm1": replace(lead, members=known), "swarm2": WORKER}
    [said] = plan(nodes, constraints=["node.labels.zone==a"])["errors"]
    assert "only 1 of 2 nodes can run tasks, one each: node-w1 is drained" in said


def test_nodes_that_may_run_no_task_are_not_uneven() -> None:
    lead = asdict(labelled(m1={"zone": "a"}, w1={"zone": "b"}))
    on = (["m1", "m1"], ["m1", "w1"])
    assert FILTERS["swarm_uneven"](lead, *on) is True
    assert FILTERS["swarm_uneven"](lead, *on, ["node.labels.zone==a"]) is False


def moved(zones: str, then: str, found: str, wanted: str, tasks: int = 2) -> list[str]:
    """What is said of nodes in these zones that go to others, while a service runs."""
    ids = ["m1", *(f"w{number}" for number in range(1, len(zones)))]
    hosts = [f"swarm{number}" for number in range(1, len(zones) + 1)]

    def labels(zone: str) -> dict[str, str]:
        return {"zone": zone} if zone != "-" else {}

    had = {
        id_: {**labels(zone), **({NODE_LABELS: "zone"} if zone != "-" else {})}
        for id_, zone in zip(ids, zones, strict=True)
    }
    lead = labelled(**had)
    service = {**lead.service, "replicas": tasks, "constraints": [f"node.labels.zone=={found}"]}
    lead = replace(lead, service=service, managers={id_: id_ == "m1" for id_ in ids})
    nodes = [lead, *(replace(WORKER, id=id_) for id_ in ids[1:])]
    errors: list[str] = plan(
        dict(zip(hosts, nodes, strict=True)),
        workers=hosts[1:],
        replicas=tasks,
        ingress_mode="mesh",
        constraints=[f"node.labels.zone=={wanted}"],
        node_labels={host: labels(zone) for host, zone in zip(hosts, then, strict=True)},
    )["errors"]
    return errors


@pytest.mark.parametrize(
    ("zones", "then", "found", "wanted", "tasks"),
    [
        # Labels come before the constraints.
        ("aa", "bb", "a", "b", 2),
        # The service does not change, so its tasks are still on the first two.
        ("aa--", "--aa", "a", "a", 2),
        ("aa--", "--aa", "a", "a", 4),
        ("aaaa", "--aa", "a", "a", 2),
        ("a-", "-a", "a", "a", 1),
        # The one that has tasks of the new constraints loses its label afterwards.
        ("ab", "bb", "a", "b", 2),
    ],
)
def test_labels_that_would_stop_all_tasks(
    zones: str, then: str, found: str, wanted: str, tasks: int
) -> None:
    [said] = moved(zones, then, found, wanted, tasks)
    assert "swarm_node_labels would change on node-m1" in said
    assert f"of the service bookface (node.labels.zone=={found}" in said
    assert "a label with another name, and let swarm_constraints ask for that" in said


@pytest.mark.parametrize(
    ("zones", "then", "found", "wanted", "tasks"),
    [
        ("aa", "aa", "a", "a", 2),
        ("aa--", "aaaa", "a", "a", 2),
        ("aaaa", "-aaa", "a", "a", 2),
        ("aaa", "aab", "a", "a", 2),
        ("aa-", "-aa", "a", "a", 2),
        ("aa", "-a", "a", "a", 1),
        # Tasks have been replaced before the old label goes.
        ("aabb", "--bb", "a", "b", 2),
        # Nothing runs.
        ("aa", "bb", "a", "b", 0),
    ],
)
def test_labels_that_leave_tasks_running(
    zones: str, then: str, found: str, wanted: str, tasks: int
) -> None:
    assert moved(zones, then, found, wanted, tasks) == []


def test_a_label_with_another_name_moves_the_tasks() -> None:
    lead = labelled(m1={"web": "1", NODE_LABELS: "web"}, w1={})
    service = {**lead.service, "replicas": 1, "constraints": ["node.labels.web==1"]}
    wish: dict[str, Any] = {"replicas": 1, "constraints": ["node.labels.web2==1"]}
    nodes = {"swarm1": replace(lead, service=service), "swarm2": WORKER}
    assert plan(nodes, node_labels={"swarm2": {"web2": "1"}}, **wish)["errors"] == []
