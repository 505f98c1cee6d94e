# SPDX-License-Identifier: GPL-3.0-or-later
"""The decision of a switch, without any HAProxy."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.record import (
    Move,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import (
    Info,
    Server,
    Stat,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.shift import (
    Entries,
    Shift,
    wanted_entries,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.switch import (
    Disk,
    Live,
    Plan,
    Reload,
    SwitchError,
    Wanted,
    check_map_file,
    check_published,
    choose_reload,
    cohort_text,
    edit_all,
    is_stale,
    judge_gate,
    plan_disk,
    plan_switch,
    plan_together,
    rule_text,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    Config,
    HaproxyConfigError,
    find_frontend,
    parse,
    parse_files,
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
    pairs = None if entries is None else tuple(("f", entry) for entry in entries)
    return Live(Info("2.6", 10, 1000, 5), Stat(**values), pairs, stale, Reload("master"))


def disk(config: Config, wanted: Wanted) -> Disk:
    return plan_disk(config, find_frontend(config, wanted.frontend), wanted)


def plan(
    text: str,
    state: Live | None,
    engine: str = "auto",
    backend: str = "docker",
    percent: int = 100,
    path: str | None = None,
) -> Plan:
    wanted = Wanted("f", backend, engine, path, percent)
    return plan_switch(disk(parse(text), wanted), state, wanted)


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
        (RULE, live(None), "has not loaded the map /m"),
        (RULE, live((), frontends=("stats",)), "has no frontend 'f'"),
        (RULE, live((), backends=(("legacy", "UP"),)), "has no backend 'docker'"),
    ],
)
def test_auto_takes_reload_where_runtime_cannot_serve(rule: str, state: Live, why: str) -> None:
    made = plan(site(rule=rule), state)
    assert (made.engine, made.action) == ("reload", "reload")
    assert why in made.reason
    with pytest.raises(SwitchError, match=why):
        plan(site(rule=rule), state, "runtime")


def test_a_map_that_is_named_must_be_the_rules() -> None:
    with pytest.raises(SwitchError, match=r"no rule with the map /other .*/m"):
        plan(site(), live(None), "runtime", path="/other")
    assert plan(site(), live(), "runtime", path="/m").map == "/m"


def test_file_asks_nobody() -> None:
    made = plan(site(), None, "file")
    assert (made.engine, made.action, made.changed) == ("file", "nothing", True)
    assert plan(site("docker"), None, "file").changed is False
    with pytest.raises(SwitchError):
        plan(site(), None)


UNPUBLISHED = (("legacy", "UP"), ("docker", "UP (UNPUB)"), ("stats", "UP"))


@pytest.mark.parametrize(
    ("default", "entries", "engine", "percent", "refused"),
    [
        ("legacy", (), "auto", 100, True),
        ("legacy", (), "auto", 10, True),
        # A reload publishes it.
        ("legacy", (), "reload", 100, False),
        # The traffic is there already, wherever HAProxy sends it instead.
        ("docker", (), "auto", 100, False),
        ("docker", ("docker",), "auto", 100, False),
    ],
)
def test_backend_that_is_unpublished(
    default: str, entries: tuple[str, ...], engine: str, percent: int, refused: bool
) -> None:
    state = live(entries, backends=UNPUBLISHED)
    text = site(default, f"  {cohort_text('/m', 'cohort')}\n".replace("\n", "\n  "))
    made = plan(f"defaults\n  mode http\n{text}", state, engine, percent=percent)
    if not refused:
        check_published(made, state.stat, "/s")
        return
    with pytest.raises(SwitchError, match="'docker' is unpublished") as error:
        check_published(made, state.stat, "/s")
    assert error.value.remedy == "Run 'publish backend docker' on /s first"


def test_backend_that_starts_unpublished() -> None:
    text = site().replace("backend docker\n", "backend docker\n  be-unpublished\n")
    for engine in ("auto", "file"):
        with pytest.raises(SwitchError, match="backend docker is unpublished"):
            plan(text, live() if engine == "auto" else None, engine)
    aside = text.replace("  be-unpublished\n", "  .if defined(X)\n  be-unpublished\n  .endif\n")
    assert plan(aside, live()).changed


def test_refusals_of_the_text() -> None:
    with pytest.raises(SwitchError, match="backend off is disabled"):
        plan(site(), live(), backend="off")
    with pytest.raises(HaproxyConfigError, match="legacy, docker, off, stats"):
        plan(site(), live(), backend="nosuch")
    with pytest.raises(HaproxyConfigError, match="existing frontends: f, stats"):
        disk(parse(site()), Wanted("nosuch", "docker"))


def shifting(default: str = "legacy", mode: str = "  mode http\n") -> str:
    return site(
        default, mode + "".join(f"  {line}\n" for line in cohort_text("/m", "cohort").splitlines())
    )


def during(percent: int, backend: str = "docker", default: str = "legacy") -> Live:
    entries = wanted_entries("f", default, Shift(backend, percent))
    return replace(live(), entries=entries)


@pytest.mark.parametrize(
    ("state", "percent", "changed", "gated", "before"),
    [
        (live(), 10, True, True, None),
        (live(("legacy",)), 10, True, True, None),
        (during(10), 10, False, False, Shift("docker", 10)),
        (during(10), 11, True, True, Shift("docker", 10)),
        (during(10), 9, True, False, Shift("docker", 10)),
        (during(10, "stats"), 9, True, True, Shift("stats", 10)),
        (during(10), 100, True, True, Shift("docker", 10)),
    ],
)
def test_shift(state: Live, percent: int, changed: bool, gated: bool, before: Shift | None) -> None:
    made = plan(shifting(), state, percent=percent)
    assert (made.engine, made.changed, made.gated) == ("runtime", changed, gated)
    assert (made.previous, made.shift_before) == ("legacy", before)
    shift = Shift("docker", percent) if percent < 100 else None
    assert made.entries == wanted_entries("f", "legacy" if shift else "docker", shift)
    # The line on disk is the switch's, not the shift's.
    assert made.disk.edit.changed is (shift is None)
    assert made.disk.edit.before == "  default_backend legacy\n"


def test_any_finished_switch_ends_a_shift() -> None:
    for backend in ("legacy", "docker", "stats"):
        made = plan(shifting(), during(30), backend=backend)
        assert (made.changed, made.action, made.previous) == (True, "map", "legacy")
        assert made.entries == (("f", backend),)
        by_reload = plan(shifting(), during(30), "reload", backend=backend)
        assert (by_reload.changed, by_reload.action) == (True, "reload")
    # What a switch that was killed has left moves nobody, and is tidied up all the same.
    made = plan(shifting("docker"), during(30, default="docker"))
    assert (made.changed, made.shift_before) == (True, None)


@pytest.mark.parametrize(
    ("entries", "back"),
    [
        ((), (("f", "legacy"),)),
        ((("f", "legacy"),), (("f", "legacy"),)),
        # A worker may have read the new file: the mirror says where the others go.
        ((("f/0", "docker"),), (("f", "legacy"), ("f/0", "docker"))),
    ],
)
def test_the_way_back_always_has_a_mirror(entries: Entries, back: Entries) -> None:
    made = plan(shifting(), live())
    assert made.way_back(entries) == back
    without = plan(shifting().replace("  default_backend legacy\n", ""), live())
    assert without.way_back(()) == ()


@pytest.mark.parametrize(
    ("state", "backend", "percent", "move"),
    [
        (live(), "docker", 100, Move("legacy", "docker")),
        (live(), "docker", 10, Move("legacy", "docker")),
        (live(("stats",)), "docker", 100, Move("stats", "docker")),
        (during(10), "stats", 10, Move("legacy", "stats")),
        # Nobody is moved, or back to where all the others are.
        (live(), "legacy", 100, None),
        (during(10), "docker", 10, None),
        (during(10), "legacy", 100, None),
    ],
)
def test_what_is_remembered(state: Live, backend: str, percent: int, move: Move | None) -> None:
    assert plan(shifting(), state, backend=backend, percent=percent).move == move


@pytest.mark.parametrize(
    ("text", "state", "options", "why"),
    [
        (
            shifting(),
            live(),
            {"engine": "file"},
            "engine runtime or auto, got file.*Set engine to auto",
        ),
        (shifting(), live(), {"engine": "reload"}, "engine runtime or auto, got reload"),
        (shifting("docker"), live(), {}, "'docker' is already the default_backend .*Name another"),
        (shifting('"$D"'), live(), {}, r"computed \(\$D\)"),
        (shifting().replace("default_backend legacy", ""), live(), {}, "got none"),
        (shifting(mode="  mode tcp\n"), live(), {}, "frontend f is in TCP mode"),
        (shifting(mode=""), live(), {}, "frontend f is in TCP mode"),
        (site(rule="  mode http\n"), live(None), {}, r"(?s)has no rules .*map\(FILE\)"),
        (site(rule=f"  mode http\n{RULE}"), live(), {}, r"(?s)in this order.*map\(/m\)"),
        (shifting(), live(None), {}, "has not loaded the map /m.*Reload HAProxy once"),
        (shifting(), live(("docker",)), {}, "names 'legacy' .* follows docker"),
        (shifting(), live(("a", "legacy")), {}, "follows a, legacy"),
        (shifting(), live(stale=True), {}, "started before the file was changed"),
    ],
)
def test_shifts_that_are_refused(text: str, state: Live, options: dict, why: str) -> None:
    for percent in (1, 99):
        with pytest.raises(SwitchError) as error:
            plan(text, state, percent=percent, **options)
        assert re.search(why, error.value.message(""))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("src,xxh32,mod(100)", "src,xxh32,mod(10)"),
        ("set-var(txn.cohort_key) fe_name,concat(/,txn.cohort)", "set-var(txn.cohort_key) src"),
        ("fe_name,concat(/,txn.cohort)", "fe_name,concat(/,txn.other)"),
        ("use_backend %[var(txn.cohort_key),map(/m)]", "use_backend %[var(txn.other),map(/m)]"),
        ("var(txn.cohort_key),map(/m)", "var(txn.cohort_key),map(/n)"),
    ],
)
def test_half_a_rule_is_none(old: str, new: str) -> None:
    text = shifting().replace(old, new)
    assert text != shifting()
    with pytest.raises(SwitchError, match="has no rules for a gradual shift"):
        plan(text, live(), percent=10)


def test_rules_in_the_wrong_order_are_none() -> None:
    lines = shifting().splitlines(keepends=True)
    assert plan("".join(lines), live(), percent=10).changed
    mode, rules, rest = lines[:3], lines[3:11], lines[11:]
    assert rules[-1].strip() == rule_text("/m")
    for wrong in ([rules[-1], *rules[:-1]], [*rules[4:5], *rules[:4], *rules[5:]]):
        with pytest.raises(SwitchError, match="has no rules for a gradual shift"):
            plan("".join([*mode, *wrong, *rest]), live(), percent=10)


PAGE = "backend page\n  http-request return status 503 file /p\n"
ORIGIN = (
    "  http-request set-var(txn.bookface_origin) fe_name,map(/o)\n"
    "  use_backend %[var(txn.bookface_origin)] if { src 192.0.2.1 }\n"
)


def test_a_page_is_for_all_clients() -> None:
    text = site() + PAGE
    found = disk(parse(text), Wanted("f", "page"))
    assert found.page
    assert not disk(parse(text), Wanted("f", "docker")).page
    with pytest.raises(SwitchError, match="percent is 10, but backend 'page' has no servers"):
        disk(parse(text), Wanted("f", "page", percent=10))


def test_the_map_of_origins_has_to_be_loaded() -> None:
    text = site(rule=ORIGIN + RULE)
    found = plan(text, replace(live(), origins=()))
    assert (found.engine, found.disk.origin and found.disk.origin.path) == ("runtime", "/o")
    # The switch's own rule keeps no traffic from the target.
    assert found.disk.deciding == ()
    found = plan(text, replace(live(), origins=None))
    assert found.reason == "the running HAProxy has not loaded the map /o"


def test_a_tree_of_files() -> None:
    parts = [
        ("/d/10.cfg", b"defaults\n  mode http\n"),
        ("/d/20.cfg", b"# front\nfrontend f\n" + cohort_text("/m", "cohort").encode() + b"\n"),
        ("/d/30.cfg", b"backend docker\nbackend off\n  disabled\nbackend legacy\n"),
    ]
    parts[1] = (parts[1][0], parts[1][1] + b"default_backend legacy\n")
    planned = disk(parse_files(parts), Wanted("f", "docker"))
    assert (planned.edit.file, planned.edit.line) == (1, 11)
    assert planned.edit.text == parts[1][1].decode().replace("d legacy", "d docker")
    # The mode is that of the first file's defaults.
    assert disk(parse_files(parts), Wanted("f", "docker", percent=5)).after == "legacy"
    with pytest.raises(SwitchError, match=r"line /d/30\.cfg:2\)"):
        disk(parse_files(parts), Wanted("f", "off"))
    parts.append(("/d/40.cfg", b"frontend f\n"))
    with pytest.raises(HaproxyConfigError, match=r"lines /d/20\.cfg:2, /d/40\.cfg:1"):
        disk(parse_files(parts), Wanted("f", "docker"))


def test_map_file_must_be_empty() -> None:
    check_map_file("/m", "# f docker\n\nother docker\n", "f")
    with pytest.raises(SwitchError, match=r"/m has an entry for 'f' \(f docker\)"):
        check_map_file("/m", "f docker\n", "f")
    with pytest.raises(SwitchError, match=r"\(f/0-1 docker\)"):
        check_map_file("/m", "f/0 docker\nf/1 docker\n", "f")


def test_stale() -> None:
    info = Info("2.6", 10, 1000, 5)
    assert not is_stale(1000.9, info, 2000)
    assert is_stale(1001.0, info, 2000)
    unknown = Info("2.3", 10, 0, 5)
    assert not is_stale(1995.0, unknown, 2000)
    assert is_stale(1996.0, unknown, 2000)


def server(passed: bool, undecided: bool = False, name: str = "s", backup: bool = False) -> Server:
    return Server("docker", name, "a:1", "UP", "INI", passed, undecided, 1, 0, 0, backup)


@given(
    st.lists(st.sampled_from(["passed", "undecided", "failed"])),
    st.integers(0, 6),
    st.lists(st.sampled_from(["passed", "undecided"])),
)
def test_gate(states: list[str], required: int, backups: list[str]) -> None:
    """Servers that stand in for others change nothing, whatever their state."""
    servers = tuple(server(state == "passed", state == "undecided") for state in states)
    servers += tuple(
        server(state == "passed", state == "undecided", backup=True) for state in backups
    )
    gate = judge_gate(live(servers=servers).stat, "docker", required)
    assert gate.open is (states.count("passed") >= required)
    could = states.count("passed") + states.count("undecided") >= required
    assert gate.undecided is (not gate.open and could)


def test_gate_says_what_it_saw() -> None:
    gate = judge_gate(live(servers=(server(False, name="d1"),)).stat, "docker", 1)
    assert "0 of 1 servers" in str(gate.refusal())
    assert "d1 (a:1) status UP, last check INI" in str(gate.refusal())
    spare = judge_gate(live(servers=(server(True, name="d2", backup=True),)).stat, "docker", 1)
    assert "0 of 1 servers" in str(spare.refusal())
    assert "a backup server, which does not count" in str(spare.refusal())
    assert "backup" not in str(gate.refusal())
    assert "(servers: none)" in str(judge_gate(live().stat, "docker", 1).refusal())
    unknown = judge_gate(live().stat, "new", 1)
    assert not unknown.open
    assert "has not loaded backend 'new'" in str(unknown.refusal())


def test_ways_to_reload() -> None:
    assert choose_reload(True, True, 1) == Reload("master")
    assert choose_reload(False, True, 1) == Reload("systemd")
    assert choose_reload(False, False, 7) == Reload("signal", 7)
    assert choose_reload(False, False, None) is None


def test_a_haproxy_that_cannot_be_reloaded_is_refused_where_it_would_have_to_be() -> None:
    fixed = replace(live(), reload=None)
    with pytest.raises(SwitchError, match="cannot be reloaded"):
        plan(site(), fixed, "reload")
    assert plan(site(default="docker"), fixed, "reload").action == "nothing"


def test_the_edits_of_several_frontends_are_one_text() -> None:
    """One line is replaced, one is added in a frontend that inherits, one stays."""
    head = "defaults\n  default_backend legacy\nfrontend f\n  bind :1\nfrontend g\n  bind :2\n"
    text = f"{head}  default_backend legacy\nfrontend h\n  default_backend docker\n"
    config = parse(f"{text}backend legacy\nbackend docker\n")
    wanted = [Wanted(name, "docker") for name in ("g", "f", "h")]
    disks = [disk(config, one) for one in wanted]
    added = head.replace("  bind :1\n", "  bind :1\n  default_backend docker\n")
    assert edit_all(config, disks, wanted) == (
        f"{added}  default_backend docker\nfrontend h\n  default_backend docker\n"
        "backend legacy\nbackend docker\n"
    )
    assert edit_all(config, disks[2:], wanted[2:]) is None


def test_frontends_with_and_without_a_map_are_reloaded_together() -> None:
    config = parse(site() + "frontend g\n  default_backend legacy\n")
    wanted = [Wanted(name, "docker") for name in ("f", "g")]
    disks = [disk(config, one) for one in wanted]
    running = live((), frontends=("f", "g"))
    both = plan_together(disks, [running, running], wanted)
    assert [one.plan.action for one in both] == ["reload", "reload"]
    alone = plan_together(disks[:1], [running], wanted[:1])
    assert [one.plan.action for one in alone] == ["map"]
