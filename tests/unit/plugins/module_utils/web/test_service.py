"""A service of a swarm: what differs from its description."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.web.service import (
    SETTLED,
    Task,
    canary,
    changing,
    differences,
    following,
    pinned_image,
    room,
    runs_tasks,
    task,
    with_ids,
)

WANTED: dict[str, Any] = {
    "Name": "bookface",
    "Labels": {"platform.bookface.role": "web"},
    "Mode": {"Replicated": {"Replicas": 2}},
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "sha256:1",
            "Env": ["A=1", "B=2"],
            "Secrets": [{"SecretID": "k1", "File": {"Name": "/a"}}, {"SecretID": "k2"}],
        },
        "Resources": {
            "Limits": {"MemoryBytes": 1024, "Pids": 200},
            "Reservations": {"MemoryBytes": 0, "GenericResources": []},
        },
        "Placement": {"Constraints": [], "MaxReplicas": 0},
        "RestartPolicy": {"Condition": "any", "MaxAttempts": 0},
        "Networks": [{"Target": "n1"}],
    },
}


def found() -> dict[str, Any]:
    """As Docker has it: in another order, without zeros, and with more than was asked for."""
    spec = copy.deepcopy(WANTED)
    spec["Labels"]["theirs"] = "kept"
    container = spec["TaskTemplate"]["ContainerSpec"]
    container["Secrets"].reverse()
    container["Isolation"] = "default"
    del spec["TaskTemplate"]["RestartPolicy"]["MaxAttempts"]
    del spec["TaskTemplate"]["Placement"]
    spec["TaskTemplate"]["ForceUpdate"] = 3
    return spec


def test_nothing_differs() -> None:
    assert differences(WANTED, found()) == []


def change(*path: str, to: Any) -> dict[str, Any]:
    spec = found()
    *way, last = path
    inner = spec
    for key in way:
        inner = inner[key]
    inner[last] = to
    return spec


CONTAINER = ("TaskTemplate", "ContainerSpec")


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        (change(*CONTAINER, "Image", to="sha256:2"), "image"),
        (change(*CONTAINER, "Env", to=["A=1", "B=3"]), "env"),
        (change(*CONTAINER, "Env", to=["A=1", "B=2", "C=3"]), "env"),
        (change(*CONTAINER, "Secrets", to=[{"SecretID": "k1"}]), "secrets"),
        (change(*CONTAINER, "Secrets", to=None), "secrets"),
        (change("TaskTemplate", "Resources", to={}), "memory bytes, pids"),
        (change("TaskTemplate", "Networks", to=[{"Target": "n2"}]), "networks"),
        (change("Mode", to={"Replicated": {"Replicas": 3}}), "replicas"),
        (change("Labels", to=None), "labels"),
        (
            change("TaskTemplate", "Resources", "Reservations", to={"MemoryBytes": 1}),
            "reservations",
        ),
        (change("TaskTemplate", "Placement", to={"Constraints": ["node.id==x"]}), "placement"),
    ],
)
def test_what_differs_is_named(changed: dict[str, Any], name: str) -> None:
    assert ", ".join(one.name for one in differences(WANTED, changed)) == name


def test_an_update_does_not_undo_a_forced_one() -> None:
    """Otherwise all tasks would be replaced, be it only to add one."""
    assert following(WANTED, found())["TaskTemplate"]["ForceUpdate"] == 3
    assert "ForceUpdate" not in WANTED["TaskTemplate"]


def test_a_number_of_tasks_that_is_not_described_stays() -> None:
    """Docker would take one."""
    described = {key: value for key, value in WANTED.items() if key != "Mode"}
    assert following(described, {**found(), "Mode": {"Replicated": {"Replicas": 5}}})["Mode"] == {
        "Replicated": {"Replicas": 5}
    }
    assert following(WANTED, found())["Mode"] == WANTED["Mode"]


def test_networks_are_known_by_their_ids() -> None:
    spec = with_ids(change("TaskTemplate", "Networks", to=[{"Target": "net"}]), {"net": "n1"})
    assert spec["TaskTemplate"]["Networks"] == [{"Target": "n1"}]
    with pytest.raises(KeyError, match="nosuch"):
        with_ids(change("TaskTemplate", "Networks", to=[{"Target": "nosuch"}]), {})


def test_a_canary_is_what_the_tasks_are_but_for_where_it_runs() -> None:
    spec = canary({**WANTED, "EndpointSpec": {"Ports": [{"PublishedPort": 80}]}}, "trial", "m1")
    template = spec.pop("TaskTemplate")
    assert spec == {
        "Name": "trial",
        "Labels": {"platform.bookface.made": "swarm"},
        "Mode": {"Replicated": {"Replicas": 1}},
        "EndpointSpec": {"Mode": "dnsrr"},
    }
    assert template == {
        **WANTED["TaskTemplate"],
        # It reserves nothing.
        "Resources": {"Limits": WANTED["TaskTemplate"]["Resources"]["Limits"]},
        "RestartPolicy": {"Condition": "none"},
        "Placement": {"Constraints": ["node.id==m1"]},
    }


@pytest.mark.parametrize(
    ("state", "availability", "runs"),
    [
        ("ready", "active", True),
        ("ready", "drain", False),
        ("ready", "pause", False),
        ("down", "active", False),
    ],
)
def test_which_nodes_take_tasks(state: str, availability: str, runs: bool) -> None:
    node = {"Status": {"State": state}, "Spec": {"Availability": availability}}
    assert runs_tasks(node) == runs


def listed(created: str, state: str, **more: Any) -> dict[str, Any]:
    return {"CreatedAt": created, "Status": {"State": state, "Message": "as Docker says", **more}}


def test_the_last_task_of_a_service() -> None:
    assert task([]) == Task("new")
    container = {"ContainerID": "c1", "PID": 4711}
    tasks = [
        listed("2026-01-01T00:00:02.1Z", "running", ContainerStatus=container),
        listed("2026-01-01T00:00:01.9Z", "rejected", Err="No such image"),
    ]
    assert task(tasks) == Task("running", "as Docker says", "c1", 4711)
    assert task(tasks[1:]) == Task("rejected", "No such image")


@pytest.mark.parametrize(
    ("state", "running", "ended"),
    [("starting", False, False), ("running", True, False), ("failed", False, True)],
)
def test_when_a_task_is_no_longer_waited_for(state: str, running: bool, ended: bool) -> None:
    assert (Task(state).running, Task(state).ended) == (running, ended)


@pytest.mark.parametrize(
    ("status", "is_changing"),
    [
        ({}, False),
        ({"State": "updating"}, True),
        ({"State": "rollback_started"}, True),
        ({"State": "paused"}, False),
        ({"State": "completed", "CompletedAt": "1970-01-01T00:16:40.123456789Z"}, True),
        ({"State": "rollback_completed", "CompletedAt": "1970-01-01T00:15:00Z"}, False),
    ],
)
def test_what_has_just_been_changed_may_still_be_watched(
    status: dict[str, str], is_changing: bool
) -> None:
    assert changing({"UpdateStatus": status}, 1000.0 + SETTLED / 2) is is_changing
    assert changing({}, 1000.0) is False


def test_room_is_on_nodes_that_meet_the_constraints() -> None:
    """Autoscaling would ask for tasks that wait for ever."""
    nodes = [
        {
            "Status": {"State": "ready"},
            "Spec": {"Availability": state, "Role": "worker", "Labels": {"zone": zone}},
        }
        for state, zone in (("active", "a"), ("active", "b"), ("drain", "a"))
    ]
    placement: dict[str, Any] = {"MaxReplicas": 1}
    assert room({"TaskTemplate": {"Placement": placement}}, nodes) == 2
    placement["Constraints"] = ["node.labels.zone==a"]
    assert room({"TaskTemplate": {"Placement": placement}}, nodes) == 1
    # Docker knows more than an inventory may have.
    placement["Constraints"] = ["node.ip==10.0.0.0/8"]
    assert room({"TaskTemplate": {"Placement": placement}}, nodes) == 2


@pytest.mark.parametrize(
    ("wanted", "found", "image"),
    [
        ("a:1", "a:1@sha256:x", "a:1@sha256:x"),
        ("a:1", "a:1", ""),
        ("a:2", "a:1@sha256:x", ""),
        ("a:2", "", ""),
        ("a:1@sha256:y", "a:1@sha256:x", "a:1@sha256:y"),
        ("sha256:x", "", "sha256:x"),
    ],
)
def test_an_image_is_pinned_once(wanted: str, found: str, image: str) -> None:
    assert pinned_image(wanted, found) == image
