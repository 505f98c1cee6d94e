"""One node of the swarm: which manager is asked, which entries are meant, what is refused."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.swarm_plan import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.web.swarm import Node

PLAN = FilterModule().filters()["swarm_node_plan"]
ADDRESSES = {f"swarm{number}": f"192.0.2.{number}" for number in range(1, 6)}
NO_ANSWER: dict[str, Any] = {"unreachable": True, "msg": "no route to host"}
INACTIVE = asdict(Node("inactive"))


def swarm(managers: str, workers: str = "", off: str = "", drained: str = "") -> dict[str, Any]:
    """What hosts say, by their numbers: "12" are swarm1 and swarm2. Who is off does not answer."""
    members = {
        f"id{one}": {
            "name": f"host{one}",
            "addresses": [f"192.0.2.{one}"],
            "availability": "drain" if one in drained else "active",
            "role": "manager" if one in managers else "worker",
            "state": "down" if one in off else "ready",
            "reachable": one in managers and one not in off,
        }
        for one in managers + workers
    }
    lead = Node(
        managers={f"id{one}": one in managers for one in managers + workers},
        ready={f"id{one}": one not in off for one in managers + workers},
        members=members,
        service={"ours": True},
    )
    worker = Node("active")
    return {
        f"swarm{one}": NO_ANSWER
        if one in off
        else asdict(
            replace(
                lead if one in managers else worker,
                state="active",
                id=f"id{one}",
                manager=one in managers,
            )
        )
        for one in managers + workers
    }


def plan(seen: dict[str, Any], host: str, state: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = PLAN(seen, host=host, state=state, addresses=ADDRESSES, **more)
    return found


def test_a_drain() -> None:
    assert plan(swarm("1", "23"), "swarm2", "drain") == {
        "lead": "swarm1",
        "id": "id2",
        "name": "host2",
        "manager": False,
        "ready": True,
        "answers": True,
        "service": True,
        "drain": True,
        "remove": [],
        "demote": [],
        "silent": [*ADDRESSES],
        "hint": "",
        "errors": [],
    }


def test_another_manager_is_asked_if_there_is_one() -> None:
    assert plan(swarm("123"), "swarm1", "drain")["lead"] == "swarm2"
    assert plan(swarm("1", "23"), "swarm1", "drain")["lead"] == "swarm1"
    # One that cannot decide is never asked.
    seen = swarm("123")
    seen["swarm2"] |= {"managers": {}, "members": {}, "ready": {}}
    assert plan(seen, "swarm1", "drain")["lead"] == "swarm3"


@pytest.mark.parametrize(
    ("seen", "host", "state", "said"),
    [
        (swarm("1", "2", drained="2"), "swarm1", "drain", "host2 is ready, drain"),
        (swarm("1", "2", off="2"), "swarm1", "drain", "host2 is down, active"),
        (swarm("1", "2", drained="1"), "swarm2", "removed", "host1 is ready, drain"),
        (swarm("1"), "swarm1", "drain", "there is no other"),
    ],
)
def test_the_last_node_that_takes_tasks_stays(
    seen: dict[str, Any], host: str, state: str, said: str
) -> None:
    [error] = plan(seen, host, state)["errors"]
    assert error.startswith(f"{host} is the last node that takes tasks ({said}): without it")
    assert plan(seen, host, state, force=True)["errors"] == []


def test_a_node_that_the_constraints_exclude_takes_no_task() -> None:
    seen = swarm("1", "2")
    seen["swarm1"]["service"]["constraints"] = ["node.labels.web==yes"]
    seen["swarm1"]["members"]["id1"]["attributes"] = {"node.labels.web": "yes"}
    [error] = plan(seen, "swarm1", "drain")["errors"]
    assert "(host2 is ready, active, and does not meet the constraints of the service)" in error
    assert plan(seen, "swarm2", "drain")["errors"] == []


def test_a_constraint_that_somebody_has_added_excludes_no_node() -> None:
    """Docker knows more of them than an inventory may have."""
    seen = swarm("1", "2")
    seen["swarm1"]["service"]["constraints"] = ["node.ip==10.0.0.0/8"]
    assert plan(seen, "swarm1", "drain")["errors"] == []


def test_one_that_takes_no_tasks_is_nobody_s_last() -> None:
    assert plan(swarm("1", "2", drained="12"), "swarm2", "drain")["errors"] == []


@pytest.mark.parametrize("state", ["worker", "removed"])
@pytest.mark.parametrize(
    ("managers", "workers", "off", "host"),
    [
        ("123", "", "", "swarm1"),
        ("12", "", "", "swarm1"),
        # Who is lost for good goes first.
        ("123", "", "3", "swarm3"),
        ("12345", "", "45", "swarm5"),
        ("123", "45", "", "swarm4"),
    ],
)
def test_a_majority_that_stays(
    managers: str, workers: str, off: str, host: str, state: str
) -> None:
    assert plan(swarm(managers, workers, off), host, state)["errors"] == []


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("state", ["worker", "removed"])
@pytest.mark.parametrize(
    ("managers", "off", "said"),
    [
        ("1", "", "swarm1 is the last manager that answers, and without one"),
        (
            "123",
            "3",
            "Without swarm1 only 1 of 2 managers would answer, and a majority is 2. Start",
        ),
        (
            "12345",
            "45",
            "only 2 of 4 managers would answer, and a majority is 3. Start host4, host5",
        ),
    ],
)
def test_a_majority_is_never_lost(
    managers: str, off: str, said: str, state: str, force: bool
) -> None:
    found = plan(swarm(managers, "6", off), "swarm1", state, force=force)
    assert said in " ".join(found["errors"])


@pytest.mark.parametrize(
    ("seen", "host", "state", "said"),
    [
        (
            swarm("1", "2"),
            "swarm3",
            "drain",
            "swarm3 is no node of swarm1's swarm, which has host1,",
        ),
        (swarm("1", "2", off="2"), "swarm2", "manager", "swarm2 is down in the swarm: start it,"),
        (
            {**swarm("1", "2"), "swarm2": NO_ANSWER},
            "swarm2",
            "removed",
            "swarm2 does not answer, but is ready in the swarm, which it can only leave by itself.",
        ),
        (
            {**swarm("1"), "swarm2": asdict(Node("active", "other"))},
            "swarm2",
            "removed",
            "swarm2 is in another swarm than swarm1's, or cut off from it (state active).",
        ),
        ({"swarm1": NO_ANSWER}, "swarm1", "drain", "No manager of the swarm answers: swarm1 does"),
        (
            {"swarm1": asdict(Node("active", "id1", manager=True)), "swarm2": NO_ANSWER},
            "swarm2",
            "removed",
            "The swarm has no leader: swarm1 answers, but that is no majority of its managers.",
        ),
    ],
)
def test_what_cannot_be(seen: dict[str, Any], host: str, state: str, said: str) -> None:
    [error] = plan(seen, host, state)["errors"]
    assert error.startswith(said)


def test_one_that_becomes_a_manager_is_waited_for() -> None:
    """As all do after --force-new-cluster: Docker promotes them when they come back."""
    seen = swarm("1", "23")
    seen["swarm1"]["members"]["id2"]["role"] = "manager"
    [error] = plan(seen, "swarm2", "removed")["errors"]
    assert error.startswith("swarm2 is about to become a manager.")
    seen["swarm1"]["members"]["id2"]["state"] = "down"
    seen["swarm1"]["ready"]["id2"] = False
    assert plan({**seen, "swarm2": NO_ANSWER}, "swarm2", "removed")["errors"] == []


def test_a_machine_that_is_lost_is_found_by_its_address_or_its_name() -> None:
    seen = swarm("1", "23", off="2")
    found = plan(seen, "swarm2", "removed")
    assert (found["id"], found["remove"], found["answers"]) == ("id2", ["id2"], False)
    member = seen["swarm1"]["members"]["id2"]
    member |= {"addresses": ["198.51.100.2"]}
    assert plan(seen, "swarm2", "removed")["remove"] == []
    member |= {"name": "swarm2"}
    assert plan(seen, "swarm2", "removed")["remove"] == ["id2"]
    # Another host's, whatever it is called.
    member |= {"addresses": ["192.0.2.3"]}
    assert plan(seen, "swarm2", "removed")["remove"] == []


def test_what_a_killed_run_or_a_rebuilt_machine_has_left_is_removed() -> None:
    """The machine is in no swarm any more: its entry is not there for anything."""
    seen = swarm("12", "3") | {"swarm3": INACTIVE}
    found = plan(seen, "swarm3", "removed")
    assert (found["id"], found["drain"], found["remove"], found["errors"]) == (
        "",
        False,
        ["id3"],
        [],
    )
    # Made again, and joined as id3: the old manager is its, too.
    seen = swarm("12", "3")
    seen["swarm1"]["members"]["old"] = seen["swarm1"]["members"]["id3"] | {"state": "down"}
    seen["swarm1"]["managers"]["old"] = True
    seen["swarm1"]["ready"]["old"] = False
    found = plan(seen, "swarm3", "removed")
    assert (found["remove"], found["demote"]) == (["id3", "old"], ["old"])
    assert plan(seen, "swarm3", "drain")["remove"] == []


def test_one_that_is_gone_already_is_no_fault() -> None:
    found = plan(swarm("1", "2") | {"swarm3": INACTIVE}, "swarm3", "removed")
    assert (found["errors"], found["remove"], found["drain"]) == ([], [], False)


@pytest.mark.parametrize(
    ("host", "state", "said"),
    [
        ("swarm2", "manager", "swarm2 is in the inventory's group swarm_workers: put it into"),
        ("swarm1", "worker", "swarm1 is in the inventory's group swarm_managers: put it into"),
        ("swarm2", "worker", ""),
        ("swarm2", "removed", "Take swarm2 out of the inventory, or the next site.yml"),
    ],
)
def test_what_the_inventory_needs(host: str, state: str, said: str) -> None:
    hint = plan(swarm("123"), host, state, managers=["swarm1"])["hint"]
    assert hint.startswith(said)
    assert bool(hint) == bool(said)


def test_wrong_input_is_an_error_of_the_filter() -> None:
    with pytest.raises(AnsibleFilterError, match="swarm_node_plan"):
        plan(swarm("1"), "nosuch", "drain")


def test_a_node_that_runs_haproxy_is_drained_only_if_that_is_wanted() -> None:
    seen = swarm("1", "23")
    seen["swarm1"]["members"]["id2"]["attributes"] = {"node.labels.bookface.edge.shop": "true"}
    for state in ("drain", "removed"):
        [error] = plan(seen, "swarm2", state)["errors"]
        assert error.startswith("HAProxy runs on swarm2 as a service of the swarm and would stop")
        assert plan(seen, "swarm2", state, force=True)["errors"] == []
    assert plan(seen, "swarm3", "drain")["errors"] == []
    assert plan(seen, "swarm2", "manager")["errors"] == []


@pytest.mark.parametrize("gone", [{"drained": "2"}, {"off": "2"}])
def test_a_node_on_which_haproxy_does_not_run_stops_none(gone: dict[str, str]) -> None:
    seen = swarm("1", "23", **gone)
    seen["swarm1"]["members"]["id2"]["attributes"] = {"node.labels.bookface.edge.shop": "true"}
    for state in ("drain", "removed"):
        assert plan(seen, "swarm2", state)["errors"] == []


def test_an_haproxy_in_the_swarm_is_asked_where_it_runs_and_goes_on() -> None:
    def silent(state: str = "drain", **gone: str) -> list[str]:
        seen = swarm("1", "234", **gone)
        for id_ in ("id1", "id2", "id3"):
            labels = {"node.labels.bookface.edge.shop": "true"}
            seen["swarm1"]["members"][id_]["attributes"] = labels
        # By its ID, since it has another address in the swarm.
        seen["swarm1"]["members"]["id3"]["addresses"] = ["198.51.100.3"]
        found: list[str] = plan(seen, "swarm2", state, force=True)["silent"]
        return found

    # swarm4 is no load balancer, swarm5 no node.
    assert silent() == silent("removed") == silent("active") == ["swarm2", "swarm4", "swarm5"]
    assert silent(drained="1") == silent(drained="12")
    assert silent(drained="1") == ["swarm1", "swarm2", "swarm4", "swarm5"]
    assert silent(off="3") == ["swarm2", "swarm3", "swarm4", "swarm5"]
