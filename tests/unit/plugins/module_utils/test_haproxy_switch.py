# SPDX-License-Identifier: GPL-3.0-or-later
"""The decision of a switch, without any HAProxy."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy_config import (
    HaproxyConfigError,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy_runtime import (
    Info,
    Server,
    Stat,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy_switch import (
    Live,
    Plan,
    SwitchError,
    Wanted,
    check_map_file,
    choose_reload,
    is_stale,
    judge_gate,
    plan_disk,
    plan_switch,
    rule_text,
)
from hypothesis import given
from hypothesis import strategies as st

RULE = f"  {rule_text('/m')}\n"


def site(default: str = "legacy", rule: str = RULE) -> str:
    return (
        f"frontend f\n  bind :1\n{rule}  default_backend {default}\n"
        "backend legacy\nbackend docker\nbackend off\n  disabled\nlisten stats\n"
    )


def live(entries: tuple[str, ...] | None = (), stale: bool = False, **stat: object) -> Live:
    values: dict = {
        "frontends": ("f", "stats"),
        "backends": (("legacy", "UP"), ("docker", "UP"), ("stats", "UP")),
        "servers": (),
        **stat,
    }
    return Live(Info("2.6", 10, 1000, 5), Stat(**values), entries, stale)


def plan(text: str, state: Live | None, engine: str = "auto", backend: str = "docker") -> Plan:
    wanted = Wanted("f", backend, engine)
    return plan_switch(plan_disk(text, wanted), state, wanted)


@pytest.mark.parametrize(
    ("default", "entries", "action", "changed", "previous"),
    [
        ("legacy", (), "map", True, "legacy"),
        ("legacy", ("legacy",), "map", True, "legacy"),
        ("legacy", ("docker",), "map", True, "docker"),
        ("docker", (), "map", True, "docker"),
        ("docker", ("legacy",), "map", True, "legacy"),
        ("docker", ("docker",), "nothing", False, "docker"),
        ("docker", ("docker", "docker"), "nothing", False, "docker"),
        ("docker", ("legacy", "docker"), "map", True, "docker"),
        ("docker", ("nosuch",), "map", True, "docker"),
    ],
)
def test_runtime(
    default: str, entries: tuple[str, ...], action: str, changed: bool, previous: str
) -> None:
    for stale in (False, True):
        made = plan(site(default), live(entries, stale))
        assert (made.engine, made.action, made.changed) == ("runtime", action, changed)
        assert made.previous == previous
        assert made.map == "/m"
        assert made.disk.edit.changed is (default != "docker")


@pytest.mark.parametrize(
    ("default", "entries", "stale", "action", "previous"),
    [
        ("legacy", (), False, "reload", "legacy"),
        ("docker", (), False, "nothing", "docker"),
        ("docker", (), True, "reload", "docker"),
        ("docker", ("legacy",), False, "reload", "legacy"),
        ("docker", ("docker",), False, "nothing", "docker"),
        ("legacy", ("docker",), False, "reload", "docker"),
        ("docker", None, False, "nothing", "docker"),
    ],
)
def test_reload(
    default: str, entries: tuple[str, ...] | None, stale: bool, action: str, previous: str
) -> None:
    made = plan(site(default), live(entries, stale), "reload")
    assert (made.engine, made.action, made.previous) == ("reload", action, previous)
    assert made.changed is (action == "reload")


@pytest.mark.parametrize(
    ("rule", "state", "why"),
    [
        ("", live(None), "has no map rule"),
        (RULE, live(None), "does not know the map /m"),
        (RULE, live((), frontends=("stats",)), "has no frontend 'f'"),
        (RULE, live((), backends=(("legacy", "UP"),)), "does not know backend 'docker'"),
    ],
)
def test_auto_takes_reload_where_runtime_cannot_serve(rule: str, state: Live, why: str) -> None:
    made = plan(site(rule=rule), state)
    assert (made.engine, made.action) == ("reload", "reload")
    assert why in made.reason
    with pytest.raises(SwitchError, match=why):
        plan(site(rule=rule), state, "runtime")


def test_a_map_that_is_named_must_be_the_rules() -> None:
    text = site()
    wanted = Wanted("f", "docker", "runtime", "/other")
    with pytest.raises(SwitchError, match=r"no rule with the map /other .*/m"):
        plan_switch(plan_disk(text, wanted), live(None), wanted)
    wanted = Wanted("f", "docker", "runtime", "/m")
    assert plan_switch(plan_disk(text, wanted), live(), wanted).map == "/m"


def test_file_asks_nobody() -> None:
    made = plan(site(), None, "file")
    assert (made.engine, made.action, made.changed) == ("file", "nothing", True)
    assert plan(site("docker"), None, "file").changed is False
    with pytest.raises(SwitchError):
        plan(site(), None)


def test_refusals_of_the_text() -> None:
    with pytest.raises(SwitchError, match="backend off is disabled"):
        plan(site(), live(), backend="off")
    with pytest.raises(HaproxyConfigError, match="legacy, docker, off, stats"):
        plan(site(), live(), backend="nosuch")
    with pytest.raises(HaproxyConfigError, match="frontends there: f, stats"):
        plan_disk(site(), Wanted("nosuch", "docker"))


def test_map_file_must_be_empty() -> None:
    check_map_file("/m", "# f docker\n\nother docker\n", "f")
    with pytest.raises(SwitchError, match=r"/m holds an entry for 'f' \(docker\)"):
        check_map_file("/m", "f docker\n", "f")


def test_stale() -> None:
    info = Info("2.6", 10, 1000, 5)
    assert not is_stale(1000.9, info, 2000)
    assert is_stale(1001.0, info, 2000)
    unknown = Info("2.3", 10, 0, 5)
    assert not is_stale(1995.0, unknown, 2000)
    assert is_stale(1996.0, unknown, 2000)


def server(passed: bool, undecided: bool = False, name: str = "s") -> Server:
    return Server("docker", name, "a:1", "UP", "INI", passed, undecided, 1, 0, 0)


@given(st.lists(st.sampled_from(["passed", "undecided", "failed"])), st.integers(0, 6))
def test_gate(states: list[str], required: int) -> None:
    servers = tuple(server(state == "passed", state == "undecided") for state in states)
    gate = judge_gate(live(servers=servers).stat, "docker", required)
    assert gate.open is (states.count("passed") >= required)
    could = states.count("passed") + states.count("undecided") >= required
    assert gate.undecided is (not gate.open and could)


def test_gate_says_what_it_saw() -> None:
    gate = judge_gate(live(servers=(server(False, name="d1"),)).stat, "docker", 1)
    assert "0 of 1 servers" in gate.refusal()
    assert "d1 (a:1) status UP, last check INI" in gate.refusal()
    assert "no servers" in judge_gate(live().stat, "docker", 1).refusal()
    unknown = judge_gate(live().stat, "new", 1)
    assert not unknown.open
    assert "does not know backend 'new' yet" in unknown.refusal()


def test_ways_to_reload() -> None:
    assert choose_reload(True, True, 1) == "master"
    assert choose_reload(False, True, 1) == "systemd"
    assert choose_reload(False, False, 7) == "signal"
    with pytest.raises(SwitchError, match="cannot be reloaded"):
        choose_reload(False, False, None)
