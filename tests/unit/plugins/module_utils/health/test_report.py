"""The report of a run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.health.judge import (
    DOWN,
    UNKNOWN,
    UP,
    Part,
)
from ansible_collections.bookface.platform.plugins.module_utils.health.plan import (
    Rules,
    server_parts,
)
from ansible_collections.bookface.platform.plugins.module_utils.health.report import (
    dump,
    lines,
    load,
    remembered,
    report,
    servers_after,
    servers_done,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.support.health import looks, unit

HAPROXY = "lb1/service/haproxy"
DONE = {"id": HAPROXY, "name": "haproxy", "action": "started", "failed": False, "msg": ""}


def stopped() -> dict[str, Any]:
    found = looks()
    found["lb1"]["seen"]["units"]["haproxy.service"] = unit("haproxy.service", "inactive", "dead")
    found["lb1"]["seen"]["haproxy"]["error"] = "no socket"
    return found


def made(
    before: dict[str, Any],
    after: dict[str, Any] | None = None,
    done: list[dict[str, Any]] | None = None,
    **rules: Any,
) -> dict[str, Any]:
    return report(
        before, after or {}, [], done or [], Rules(**rules), 100.0, 102.25, "2026-01-02T03:04:05Z"
    )


def part(found: dict[str, Any], id_: str) -> dict[str, Any]:
    return next(one for one in found["parts"] if one["id"] == id_)


def test_all_is_well() -> None:
    found = made(looks())
    assert (found["version"], found["status"], found["exit_status"]) == (1, "healthy", 0)
    assert (found["time"], found["seconds"]) == ("2026-01-02T03:04:05Z", 2.2)
    assert found["active"] == {"lb1": "docker"}
    assert part(found, HAPROXY) == {
        "id": HAPROXY,
        "host": "lb1",
        "kind": "service",
        "name": "haproxy",
        "state": "up",
        "cause": None,
        "action": None,
        "wanted": None,
        "tries": 0,
    }
    assert len({one["id"] for one in found["parts"]}) == len(found["parts"])
    assert {one["kind"] for one in found["parts"]} == {
        "machine", "service", "container", "swarm_node", "swarm_service", "backend", "database",
        "cache",
    }  # fmt: skip
    total = len(found["parts"])
    assert lines(found) == [f"healthy: {total} of {total} parts are up; traffic: docker on lb1"]


def test_something_was_mended() -> None:
    found = made(stopped(), {"lb1": looks()["lb1"]}, [DONE])
    assert (found["status"], found["exit_status"]) == ("mended", 1)
    assert (part(found, HAPROXY)["action"], part(found, HAPROXY)["tries"]) == ("started", 1)
    assert found["history"] == {HAPROXY: 1}
    # HAProxy's view is that of afterwards.
    assert part(found, "lb1/backend/docker")["state"] == "up"


def test_what_is_gone_once_it_is_mended_was_mended_all_the_same() -> None:
    before = looks()
    note = {"age": 7200, "error": ""}
    before["swarm2"]["seen"]["note"] = note
    one = "swarm2/machine/update"
    done = [{**DONE, "id": one, "name": "update", "action": "activated"}]
    found = made(before, {"swarm2": looks()["swarm2"]}, done)
    assert (found["status"], part(found, one)["action"]) == ("mended", "activated")
    assert part(found, one)["state"] == "up"
    told = made(before, check=True)
    assert part(told, one)["wanted"] == "put back swarm2"


def test_something_was_tried_in_vain() -> None:
    failed = {**DONE, "failed": True, "msg": "Job for haproxy.service failed"}
    found = made(stopped(), {"lb1": stopped()["lb1"]}, [failed], history={HAPROXY: 1})
    assert (found["status"], found["exit_status"]) == ("broken", 2)
    one = part(found, HAPROXY)
    assert (one["state"], one["action"], one["tries"]) == ("down", None, 2)
    assert "Job for haproxy.service failed" in one["cause"]
    assert lines(found)[0].startswith(f"{HAPROXY}")


def test_check_mode_says_what_would_be_done() -> None:
    found = made(stopped(), check=True)
    assert part(found, HAPROXY)["wanted"] == "start haproxy.service"
    assert (found["exit_status"], found["history"]) == (2, {})
    assert "would start haproxy.service" in "\n".join(lines(found))


def test_a_part_that_is_left_alone_is_still_broken() -> None:
    found = made(stopped(), never=["haproxy"], check=True)
    one = part(found, HAPROXY)
    assert (one["wanted"], found["exit_status"]) == (None, 2)
    assert "heal_never leaves it alone" in one["cause"]


@pytest.mark.parametrize("look", [None, {}, {"unreachable": True, "msg": "timed out"}])
def test_it_is_never_green_when_blind(look: dict[str, Any] | None) -> None:
    found = made({**looks(), "web1": look})
    assert part(found, "web1/machine/web1")["state"] == "unknown"
    assert found["exit_status"] == 2
    assert made({})["exit_status"] == 2
    told = report(looks(), {}, [], [], Rules(), 0, 0, "", ["no cloud"])
    assert told["exit_status"] == 2


def test_a_node_is_one_part_whoever_speaks_of_it() -> None:
    before = looks()
    before["swarm1"]["seen"]["engine"]["swarm"]["nodes"][1]["state"] = "down"
    found = made(before)
    nodes = [one for one in found["parts"] if one["kind"] == "swarm_node"]
    assert [(one["id"], one["host"], one["state"]) for one in nodes] == [
        ("swarm1/swarm_node/swarm1", "swarm1", "up"),
        ("swarm2/swarm_node/swarm2", "swarm2", "down"),
    ]


def test_a_server_of_the_cloud_that_was_started() -> None:
    parts = server_parts({"web1": {"id": "u", "status": "SHUTOFF"}}, ["web1"])
    resumed = {"web1": {"changed": True, "before": "SHUTOFF", "status": "ACTIVE"}}
    found = report(
        looks(), {}, servers_after(parts, resumed, Rules()), servers_done(parts, resumed),
        Rules(), 0, 0, "",
    )  # fmt: skip
    one = part(found, "web1/server/web1")
    assert (one["state"], one["action"], found["exit_status"]) == ("up", "started", 1)


def test_a_server_of_the_cloud_that_did_not_start() -> None:
    parts = server_parts({"web1": {"id": "u", "status": "SHUTOFF"}}, ["web1"])
    resumed = {"web1": {"failed": True, "msg": "web1 is SHUTOFF, but it is locked."}}
    found = report(
        looks(), {}, servers_after(parts, resumed, Rules()), servers_done(parts, resumed),
        Rules(), 0, 0, "",
    )  # fmt: skip
    one = part(found, "web1/server/web1")
    assert (one["state"], one["action"], found["exit_status"]) == ("down", None, 2)
    assert "it is locked" in one["cause"]
    # The cloud was not told to do anything.
    assert one["tries"] == 0


def test_a_switch_is_an_action_on_the_backend_that_it_leaves() -> None:
    before = looks()
    for server in before["lb1"]["seen"]["haproxy"]["backends"]["docker"]["servers"].values():
        server |= {"passed": False, "status": "DOWN"}
    one = "lb1/backend/docker"
    done = {"id": one, "name": "docker", "action": "switched", "failed": False, "msg": ""}
    found = made(before, {}, [done])
    assert (part(found, one)["action"], part(found, one)["tries"]) == ("switched", 1)
    # It has no server still.
    assert (part(found, one)["state"], found["status"]) == ("down", "broken")
    move = {"target": "swarm", "from": "docker", "why": ""}
    told = report(before, {}, [], [], Rules(check=True), 0, 0, "", move=move)
    assert part(told, one)["wanted"] == "switch to swarm"


def test_what_was_tried_is_never_healthy() -> None:
    """The command has failed, and it is up all the same."""
    failed = {**DONE, "failed": True, "msg": "timed out"}
    found = made(stopped(), {"lb1": looks()["lb1"]}, [failed])
    assert (found["status"], found["exit_status"]) == ("mended", 1)
    assert part(found, HAPROXY)["action"] == "started"


def test_what_a_machine_no_longer_has_is_forgotten() -> None:
    history = {"swarm2/machine/update": 3, "gone/service/x": 1}
    assert made(looks(), history=history)["history"] == {"gone/service/x": 1}
    blind = made({**looks(), "swarm2": {"unreachable": True}}, history=history)
    assert blind["history"] == history


def test_it_is_not_green_without_a_machine() -> None:
    parts = server_parts({"web1": {"id": "u", "status": "ACTIVE"}}, ["web1"])
    servers = servers_after(parts, {}, Rules())
    assert report({}, {}, servers, [], Rules(), 0, 0, "")["exit_status"] == 2


@given(st.dictionaries(st.text(), st.integers(0, 9)))
def test_the_tries_are_read_as_written(tries: dict[str, int]) -> None:
    assert load(dump(tries)) == (tries, "")


@given(st.text())
def test_a_broken_file_of_tries_is_reported_and_replaced(text: str) -> None:
    tries, problem = load(text)
    assert not tries
    assert bool(problem) == bool(text.strip())


@pytest.mark.parametrize("text", ["[]", "{}", '{"tries": 3}', '{"tries": {"a": "x"}}', "null"])
def test_a_file_of_something_else_is_broken(text: str) -> None:
    assert load(text)[0] == {}
    assert load(text)[1]


STATES = st.sampled_from([UP, DOWN, UNKNOWN])


@given(
    history=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 5)),
    states=st.dictionaries(st.sampled_from("abcd"), STATES),
    tried=st.sets(st.sampled_from("abcd")),
)
def test_only_what_a_run_finds_up_is_forgotten(
    history: dict[str, int], states: dict[str, str], tried: set[str]
) -> None:
    """One that comes up by the start and crashes again is not healthy."""
    before = [Part("h", "service", name, state, id=name) for name, state in states.items()]
    kept = remembered(history, before, tried - {n for n, s in states.items() if s == UP})
    for name in "abcd":
        was_up = states.get(name) == UP
        again = name in tried and not was_up
        assert kept.get(name, 0) == (0 if was_up else history.get(name, 0) + again)
    assert json.loads(dump(kept))["tries"] == kept
