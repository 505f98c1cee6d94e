"""Who holds which place, and what is done to each: all that may be found, as Docker lists it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.container_plan import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.web.containers import (
    ContainerError,
    Rename,
    checked,
    places,
    plan,
)
from hypothesis import given
from hypothesis import strategies as st

FILTERS = FilterModule().filters()
Data = dict[str, Any]

WANTED = [{"name": "web-1", "port": 32001}, {"name": "web-2", "port": 32002}]
ADDRESS = "192.0.2.31"
# What docker_container says in check mode.
SAME: Data = {"changed": False, "actions": []}
MADE: Data = {"changed": True, "actions": [{"created": "Created container"}]}
OTHER: Data = {
    "changed": True,
    "actions": [{"stopped": "x"}, {"removed": "x"}, {"created": "Created container"}],
    "diff": {"before": {"image": "a", "env": []}, "after": {}},
}
STARTED: Data = {"changed": True, "actions": [{"started": "x"}]}
LIMITED: Data = {"changed": True, "actions": [{"updated": "x", "update_parameters": {}}]}
# As the module really answers in check mode.
LIMITED_IN_CHECK: Data = {
    "changed": False,
    "actions": [],
    "diff": {"before": {"memory": 536870912}, "after": {"memory": 419430400}},
}
UNPAUSED: Data = {"changed": True, "actions": [{"set_paused": False}]}
NO_IMAGE: Data = {"changed": True, "actions": [{"pulled_image": "x:1", "changed": True}]}
SKIPPED: Data = {"changed": False, "skipped": True}
READY: Data = {"ready": True}
AWAY: Data = {"ready": False}


def container(
    name: str, port: int | None, state: str = "running", status: str = "Up", ours: bool = True
) -> Data:
    """An entry of Docker's list; a stopped one tells no ports."""
    labels = {"platform.bookface.role": "web", "platform.bookface.port": str(port)}
    published = [{"IP": ADDRESS, "PrivatePort": 8080, "PublicPort": port, "Type": "tcp"}]
    return {
        "Id": f"id-of-{name}",
        "Names": [f"/{name}"],
        "Labels": labels if ours else {"platform.bookface.made": "bookface_image"},
        "Ports": published if state == "running" and port else [],
        "State": state,
        "Status": status,
    }


def url(number: int) -> str:
    """Where a container answers."""
    return f"http://{ADDRESS}:3200{number}"


def made(
    listed: list[Data],
    answers: tuple[Data, Data] = (SAME, SAME),
    probes: tuple[Data, Data] = (READY, READY),
    wanted: list[Data] = WANTED,
) -> Data:
    asked = [
        {"name": place["name"], **said}
        for place, said in zip(wanted, probes)
        if said is not SKIPPED
    ]
    found = dict(plan(places(wanted, listed, ADDRESS), answers, asked, "docker1", ADDRESS))
    for place in found["unready"]:
        assert place.pop("url") == f"http://{ADDRESS}:{place['port']}"
    assert found.pop("work") == (found != NOTHING)
    return found


ONE, TWO = container("web-1", 32001), container("web-2", 32002)
STARTED_ONE = [{"name": "web-1", "port": 32001, "put_back": []}]
MADE_BOTH = [
    {"name": "web-1", "port": 32001, "put_back": ["docker1-32001"]},
    {"name": "web-2", "port": 32002, "put_back": ["docker1-32002"]},
]
NOTHING = {
    "renames": [],
    "start": [],
    "replace": [],
    "remove": [],
    "image_missing": False,
    "unready": [],
}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ([{"name": "a b", "port": 32001}], "the name 'a b'"),
        ([{"name": "web-before", "port": 32001}], "not '-before' at the end"),
        ([{"name": "web-1", "port": 80}], "port 80 for web-1; expected one of 1024-65535"),
        ([{"name": "web-1", "port": 1023}], "port 1023"),
        ([{"name": "web-1", "port": 65536}], "port 65536"),
        ([WANTED[0], {"name": "web-1", "port": 32009}], "the name web-1 more than once"),
        ([WANTED[0], {"name": "web-9", "port": 32001}], "the port 32001 more than once"),
    ],
)
def test_wrong_wishes(wanted: list[Data], message: str) -> None:
    with pytest.raises(ContainerError, match=message):
        checked(wanted)
    with pytest.raises(AnsibleFilterError, match=rf"{message}.*Nothing was changed"):
        FILTERS["container_places"](wanted)


def test_wishes_without_a_port() -> None:
    with pytest.raises(AnsibleFilterError, match="expected entries with name and port"):
        FILTERS["container_places"]([{"name": "web-1"}])


def test_all_as_wanted_is_left_alone() -> None:
    assert made([ONE, TWO]) == NOTHING


def test_the_first_run_starts_and_waits() -> None:
    found = made([], (MADE, MADE), (SKIPPED, SKIPPED))
    assert found == NOTHING | {"start": MADE_BOTH, "unready": WANTED}


def test_a_stopped_one_is_started() -> None:
    found = made([container("web-1", 32001, "exited"), TWO], (STARTED, SAME), (SKIPPED, READY))
    assert found == NOTHING | {"start": STARTED_ONE, "unready": WANTED[:1]}


def test_a_paused_one_goes_on() -> None:
    listed = [container("web-1", 32001, "paused"), TWO]
    assert made(listed, (UNPAUSED, SAME)) == NOTHING | {"start": STARTED_ONE}


@pytest.mark.parametrize("answer", [LIMITED, LIMITED_IN_CHECK])
def test_another_limit_replaces_it_like_any_setting(answer: Data) -> None:
    assert [step["name"] for step in made([ONE, TWO], (answer, SAME))["replace"]] == ["web-1"]


def test_a_stopped_one_that_differs_in_nothing_else_is_started() -> None:
    answer = STARTED | {"diff": {"before": {"running": False}, "after": {"running": True}}}
    found = made([container("web-1", 32001, "exited"), TWO], (answer, SAME), (SKIPPED, READY))
    assert found == NOTHING | {"start": STARTED_ONE, "unready": WANTED[:1]}


def test_a_label_is_told_by_what_it_stands_for() -> None:
    """That a limit of ulimit was dropped only its label tells."""
    had = {"platform.bookface.ulimits": "nofile:1:2", "platform.bookface.role": "web", "x": "y"}
    wanted = {"platform.bookface.ulimits": "", "platform.bookface.role": "web"}
    diff = {"before": {"mounts": [], "labels": had}, "after": {"mounts": [], "labels": wanted}}
    [step] = made([ONE, TWO], (OTHER | {"diff": diff}, SAME))["replace"]
    assert step["reasons"] == ["mounts", "ulimits"]
    diff["before"]["labels"] = None
    [step] = made([ONE, TWO], (OTHER | {"diff": diff}, SAME))["replace"]
    assert step["reasons"] == ["mounts", "role", "ulimits"]


def test_another_setting_replaces_it() -> None:
    found = made([ONE, TWO], (OTHER, SAME))
    assert found == NOTHING | {
        "replace": [
            {
                "name": "web-1",
                "port": 32001,
                "server": "docker1-32001",
                "old": "id-of-web-1",
                "old_port": 32001,
                "old_server": "docker1-32001",
                "aside": False,
                "discard": "",
                "drain": ["docker1-32001"],
                "moves": False,
                "serves": True,
                "reasons": ["env", "image"],
            }
        ]
    }


@pytest.mark.parametrize("state", [("running", "Up (unhealthy)"), ("restarting", "Restarting")])
def test_a_broken_one_is_replaced(state: tuple[str, str]) -> None:
    [step] = made([container("web-1", 32001, *state), TWO], probes=(SKIPPED, READY))["replace"]
    assert (step["serves"], step["reasons"]) == (False, ["it is unhealthy"])
    assert step["drain"] == ["docker1-32001"]


@pytest.mark.parametrize("state", [("running", "Up (unhealthy)"), ("paused", "Up (unhealthy)")])
def test_one_whose_health_check_is_behind_stays(state: tuple[str, str]) -> None:
    assert made([container("web-1", 32001, *state), TWO], probes=(READY, READY)) == NOTHING


def test_one_whose_database_is_away_is_waited_for() -> None:
    found = made([ONE, TWO], probes=(AWAY, READY))
    assert found == NOTHING | {"unready": WANTED[:1]}


def test_a_stopped_one_that_differs_is_missed_by_nobody() -> None:
    [step] = made(
        [container("web-1", 32001, "exited"), TWO], (OTHER, SAME), (SKIPPED, READY)
    )["replace"]  # fmt: skip
    assert (step["drain"], step["serves"], step["moves"]) == ([], False, False)


def test_a_new_port_is_told() -> None:
    moved = [{"name": "web-1", "port": 33001}, WANTED[1]]
    [step] = made([ONE, TWO], (OTHER, SAME), (AWAY, READY), moved)["replace"]
    assert (step["moves"], step["drain"], step["server"]) == (
        True,
        ["docker1-32001"],
        "docker1-33001",
    )
    # Should the new one fail, the old one comes back where it was.
    assert (step["port"], step["old_port"], step["old_server"]) == (33001, 32001, "docker1-32001")


def test_an_old_one_of_which_no_port_is_known() -> None:
    stopped = container("web-1", None, "exited")
    [step] = made([stopped, TWO], (OTHER, SAME), (SKIPPED, READY))["replace"]
    assert (step["drain"], step["old_port"], step["old_server"]) == ([], 32001, "docker1-32001")


class TestCutShort:
    """A run was killed: NAME-before tells."""

    def step(self, listed: list[Data], answer: Data, probe: Data = SKIPPED) -> Data:
        [step] = made([*listed, TWO], (answer, SAME), (probe, READY))["replace"]
        assert step["reasons"] == ["an earlier run was cut short"]
        assert (step["aside"], step["old"]) == (True, "id-of-web-1-before")
        # It may be drained from then, whether it runs or not.
        assert (step["old_port"], step["old_server"]) == (32001, "docker1-32001")
        return dict(step)

    def test_after_the_rename(self) -> None:
        step = self.step([container("web-1-before", 32001)], MADE, READY)
        assert (step["discard"], step["drain"]) == ("", ["docker1-32001"])
        assert step["serves"]

    def test_after_the_stop(self) -> None:
        step = self.step([container("web-1-before", 32001, "exited")], MADE)
        assert (step["discard"], step["drain"]) == ("", [])

    def test_after_the_start_of_the_new_one(self) -> None:
        listed = [ONE, container("web-1-before", 32001, "exited")]
        step = self.step(listed, SAME, READY)
        assert (step["discard"], step["drain"]) == ("", [])

    def test_after_the_start_and_other_wishes_since(self) -> None:
        listed = [ONE, container("web-1-before", 32001, "exited")]
        step = self.step(listed, OTHER, READY)
        assert (step["discard"], step["drain"]) == ("id-of-web-1", ["docker1-32001"])

    def test_the_new_one_was_made_and_not_started(self) -> None:
        listed = [container("web-1", 32001, "created"), container("web-1-before", 32001)]
        step = self.step(listed, STARTED, READY)
        assert (step["discard"], step["drain"]) == ("", ["docker1-32001"])

    def test_it_comes_before_the_others(self) -> None:
        listed = [ONE, container("web-2-before", 32002, "exited")]
        steps = made(listed, (OTHER, MADE), (READY, SKIPPED))["replace"]
        assert [step["name"] for step in steps] == ["web-2", "web-1"]

    def test_a_removal_goes_on(self) -> None:
        gone = container("web-3-before", 32003, "exited")
        assert made([ONE, TWO, gone])["remove"] == [
            {
                "id": "id-of-web-3-before",
                "name": "web-3",
                "aside": True,
                "drain": [],
                "serves": False,
            }
        ]


def test_one_too_many_is_removed() -> None:
    found = made([ONE, TWO, container("web-3", 32003)])
    assert found == NOTHING | {
        "remove": [
            {
                "id": "id-of-web-3",
                "name": "web-3",
                "aside": False,
                "drain": ["docker1-32003"],
                "serves": True,
            }
        ]
    }


def test_a_renamed_one_is_found_by_its_port() -> None:
    found = made([container("mine", 32001, "exited"), TWO], (STARTED, SAME), (SKIPPED, READY))
    assert found["renames"] == [{"id": "id-of-mine", "old": "mine", "new": "web-1"}]
    assert found["start"] == STARTED_ONE


def test_swapped_names_go_by_way_of_a_third() -> None:
    listed = [container("web-2", 32001), container("web-1", 32002)]
    assert places(WANTED, listed, ADDRESS).renames == (
        Rename("id-of-web-1", "web-1", "web-1-id-of-web-1"),
        Rename("id-of-web-2", "web-2", "web-1"),
        Rename("id-of-web-1", "web-1-id-of-web-1", "web-2"),
    )


@pytest.mark.parametrize(
    ("stranger", "message"),
    [
        (
            container("web-1", None, ours=False) | {"Image": "nginx:1.27"},
            r"^The name web-1, .* the container web-1 \(id-of-web-1, image nginx:1.27\), which is"
            r" not ours.* Rename it \(docker rename web-1 NAME\), choose another name in"
            r" web_containers_list, or .*web_containers_adopt: \[container/web-1\]\.$",
        ),
        (container("web-1-before", None, ours=False), "^The name web-1-before, expected"),
        (
            container("x", 32001, ours=False)
            | {"Labels": {"com.docker.compose.project": "shop", "com.docker.x": "y"}},
            r"^Port 32001, expected for web-1, is published by the container x \(id-of-x, Compose"
            r" project shop\), which is not ours.* choose another port in web_containers_list or"
            r" bookface_container_first_port, or let .*web_containers_adopt: \[container/x\]\.$",
        ),
    ],
)
def test_a_stranger_in_the_way_stays(stranger: Data, message: str) -> None:
    with pytest.raises(ContainerError, match=message):
        places(WANTED, [stranger], ADDRESS)


def test_all_strangers_in_the_way_are_named_at_once() -> None:
    strangers = [container("web-1", None, ours=False), container("x", 32002, ours=False)]
    with pytest.raises(ContainerError, match=r"The name web-1, .* Port 32002, expected for web-2"):
        places(WANTED, strangers, ADDRESS)


def test_a_stranger_on_another_address_is_not_in_the_way() -> None:
    stranger = container("x", 32001, ours=False)
    assert places(WANTED, [stranger], "192.0.2.99").leftovers == ()
    with pytest.raises(ContainerError, match="Port 32001"):
        places(WANTED, [stranger], "0.0.0.0")  # noqa: S104
    stranger["Ports"][0]["IP"] = "0.0.0.0"  # noqa: S104
    with pytest.raises(ContainerError, match="Port 32001"):
        places(WANTED, [stranger], "192.0.2.99")


@pytest.mark.parametrize(
    ("name", "port", "handle"),
    [
        ("web-1", 8000, "container/web-1"),
        ("theirs", 32001, "container/theirs"),
        # A run that was killed had moved it aside.
        ("web-1-before", None, "container/web-1"),
    ],
)
def test_a_container_of_somebody_else_s_is_replaced_on_demand(
    name: str, port: int | None, handle: str
) -> None:
    stranger = container(name, port, ours=False)
    if port != 32001:
        stranger["Ports"] = []
    with pytest.raises(ContainerError, match=f"web_containers_adopt: .container/{name}."):
        places(WANTED, [stranger], ADDRESS)
    with pytest.raises(ContainerError):
        places(WANTED, [stranger], ADDRESS, ["container/another"])
    found = places(WANTED, [stranger], ADDRESS, [handle])
    assert [one.name for one in found.places[0].held] == [name]
    assert found.leftovers == ()


def test_a_network_of_somebody_else_s_is_used_on_demand() -> None:
    def look(*listed: Data, adopt: tuple[str, ...] = (), **labels: str) -> None:
        networks = [{"Name": "net", "Labels": labels}, {"Name": "other", "Labels": None}]
        FILTERS["container_places"](WANTED, listed, ADDRESS, adopt, "net", networks)

    with pytest.raises(AnsibleFilterError, match=r"web_containers_adopt: \[network/net\]: then"):
        look(adopt=("network/other", "container/net"))
    look(adopt=("network/net",))
    look(**{"platform.bookface.made": "web_containers"})
    # One that was adopted is known by our containers on it.
    there = {"NetworkSettings": {"Networks": {"net": {}}}}
    look({**container("web-1", 32001), **there})
    with pytest.raises(AnsibleFilterError, match="is not ours"):
        look({**container("theirs", 8000, ours=False), **there})


def test_what_is_in_nobody_s_way_is_not_adopted_to_be_removed() -> None:
    stranger = container("theirs", 8000, ours=False)
    assert places(WANTED, [stranger], ADDRESS, ["container/theirs"]).leftovers == ()


def test_an_image_that_is_not_there_is_told() -> None:
    assert made([], (NO_IMAGE, NO_IMAGE), (SKIPPED, SKIPPED))["image_missing"]
    assert not made([], (MADE, MADE), (SKIPPED, SKIPPED))["image_missing"]


def test_what_was_not_asked_may_be_anything() -> None:
    """A check on a host whose network is still to be made."""
    assert made([], (SKIPPED, SKIPPED), (SKIPPED, SKIPPED))["start"] == MADE_BOTH
    assert len(made([ONE, TWO], (SKIPPED, SKIPPED))["replace"]) == 2


def test_places_as_tasks_see_them() -> None:
    listed = [container("mine", 32001), container("web-2-before", 32002)]
    assert FILTERS["container_places"](WANTED, listed, ADDRESS) == [
        {
            "name": "web-1",
            "port": 32001,
            "current": "mine",
            "url": url(1),
            "free": False,
        },
        {
            "name": "web-2",
            "port": 32002,
            "current": "",
            "url": url(2),
            "free": False,
        },
    ]
    assert FILTERS["container_places"](WANTED[:1], [], ADDRESS) == [
        {"name": "web-1", "port": 32001, "current": "", "url": "", "free": True}
    ]
    moved = [{"name": "web-1", "port": 33001}]
    assert FILTERS["container_places"](moved, [ONE], ADDRESS)[0]["url"] == url(1)
    assert FILTERS["container_places"](WANTED[:1], [container("web-1", 32001, "exited")], ADDRESS)[
        0
    ] == {"name": "web-1", "port": 32001, "current": "web-1", "url": "", "free": False}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["web-1", "web-2", "web-1-before", "web-2-before", "x", "y", "z"]),
            st.sampled_from([32001, 32002, 32003, None]),
            st.sampled_from(["running", "exited", "created", "paused"]),
        ),
        unique_by=lambda one: one[0],
    )
)
def test_whatever_is_found_is_used_once_and_named_once(
    found: list[tuple[str, int | None, str]],
) -> None:
    listed = [container(*one) for one in found]
    held = places(WANTED, listed, ADDRESS)
    used = [one.id for place in held.places for one in (place.current, place.before) if one]
    used += [one.id for one in held.leftovers]
    assert sorted(used) == sorted(entry["Id"] for entry in listed)
    names = {entry["Id"]: entry["Names"][0][1:] for entry in listed}
    for step in held.renames:
        assert names[step.id] == step.old
        assert step.new not in names.values()
        names[step.id] = step.new
    for place in held.places:
        if place.current:
            assert names[place.current.id] == place.name
        if place.before:
            assert names[place.before.id] == f"{place.name}-before"
