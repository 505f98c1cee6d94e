# SPDX-License-Identifier: GPL-3.0-or-later
"""Administrative states, which backends get traffic, and who must stay."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import Server, Stat
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.server import (
    Administered,
    Load,
    Quiet,
    TooFewServersError,
    UnknownServerError,
    backends_in_use,
    check_others,
    choose,
    load,
    not_serving,
    parse_states,
    persistence,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import parse

HEADER = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight\n"


def states(*bits: int) -> str:
    rows = (f"3 docker {n} d{n} 127.0.0.1 2 {bit} 1\n" for n, bit in enumerate(bits))
    return HEADER + "".join(rows) + "\n"


@pytest.mark.parametrize(
    ("bits", "state"),
    [
        (0x00, "ready"),
        (0x01, "maint"),
        (0x05, "maint"),
        (0x08, "drain"),
        (0x09, "maint"),
        # Inherited from a tracked server: not what somebody asked of this one.
        (0x02, "ready"),
        (0x10, "ready"),
        (0x20, "ready"),
    ],
)
def test_states(bits: int, state: str) -> None:
    assert parse_states(states(bits)) == (Administered("docker", "d0", state),)


@pytest.mark.parametrize("reply", ["", "Permission denied\n", "1\n", "2\n# be_id\n", "1\nx\n"])
def test_other_replies_are_no_states(reply: str) -> None:
    assert parse_states(reply) is None


def test_a_row_without_state_is_no_state() -> None:
    assert parse_states(HEADER + "3 docker 1 d1 127.0.0.1 2\n") is None


KNOWN = (
    Administered("docker", "d1", "ready"),
    Administered("docker", "d2", "ready"),
    Administered("swarm", "d1", "drain"),
)


def test_one_server_or_all_of_a_name() -> None:
    assert choose(KNOWN, "docker", "d1") == KNOWN[:1]
    assert choose(KNOWN, None, "d1") == (KNOWN[0], KNOWN[2])


@pytest.mark.parametrize(
    ("backend", "name", "message"),
    [
        ("docker", "d3", "no server docker/d3; existing servers: docker/d1, docker/d2$"),
        ("nosuch", "d1", "no server nosuch/d1; existing servers: docker/d1, docker/d2, swarm/d1$"),
        (None, "x", "no server x; existing servers: docker/d1"),
    ],
)
def test_unknown_server(backend: str | None, name: str, message: str) -> None:
    with pytest.raises(UnknownServerError, match=message):
        choose(KNOWN, backend, name)


RULE = "use_backend %[fe_name,map(/m)] if { fe_name,map(/m) -m found }"
COHORTS = "use_backend %[var(txn.k),map(/m)] if { var(txn.k),map(/m) -m found }"


@pytest.mark.parametrize(
    ("rules", "live", "used"),
    [
        ("default_backend a", {}, {"a"}),
        ("use_backend b if { path /b }\ndefault_backend a", {}, {"a", "b"}),
        (f"{RULE}\ndefault_backend a", {}, {"a"}),
        # An entry stands for the line, whatever that says.
        (f"{RULE}\ndefault_backend a", {"/m": [("www", "b"), ("other", "c")]}, {"b"}),
        (
            f"{COHORTS}\n{RULE}\ndefault_backend a",
            {"/m": [("www", "a"), ("www/0", "b")]},
            {"a", "b"},
        ),
        (
            "use_backend %[hdr(host),lower,map_dom(/h,z)]\ndefault_backend a",
            {"/h": [("x.org", "x"), ("y.org", "y")]},
            {"a", "x", "y", "z"},
        ),
        # Who still reaches the site during maintenance needs no server kept.
        (
            "http-request set-var(txn.bookface_origin) fe_name,map(/o)\n"
            "use_backend %[var(txn.bookface_origin)] if office\n"
            f"{RULE}\ndefault_backend a",
            {"/m": [("www", "page")], "/o": [("www", "a")]},
            {"page"},
        ),
        ("use_backend %[hdr(host)]\ndefault_backend a", {}, None),
        ('use_backend "$B" if { path /b }\ndefault_backend a', {}, None),
        ('default_backend "$B"', {}, None),
        (".if streq(a,b)\ndefault_backend a\n.endif", {}, None),
        ("bind :80", {}, set()),
    ],
)
def test_backends_in_use(
    rules: str, live: dict[str, list[tuple[str, str]]], used: set[str] | None
) -> None:
    config = parse(f"frontend www\n{rules}\nbackend a\nbackend b\n")
    found = backends_in_use(config, lambda path: live.get(path, []))
    assert found == (None if used is None else frozenset(used))


def test_a_listen_section_uses_itself() -> None:
    assert backends_in_use(parse("listen x\n bind :1\n"), lambda _path: ()) == {"x"}


def server(name: str, passed: bool, undecided: bool = False, current: int = 0) -> Server:
    words = {
        "backend": "docker",
        "name": name,
        "address": "",
        "status": "UP",
        "check_status": "L7OK",
        "passed": passed,
        "undecided": undecided,
        "weight": 1,
        "sessions_current": current,
        "sessions_total": 9,
    }
    fields = {field: words.get(field, False) for field in Server.__dataclass_fields__}
    return Server(**fields)  # type: ignore[arg-type]


def stat(*servers: Server) -> Stat:
    return Stat((), (("docker", "UP"),), servers)


LEAVING = (Administered("docker", "d1", "ready"),)


def test_enough_others() -> None:
    both = stat(server("d1", True), server("d2", True))
    check_others(both, LEAVING, frozenset({"docker"}), 1)
    with pytest.raises(TooFewServersError, match=r"expected at least 2 other .* got 1"):
        check_others(both, LEAVING, frozenset({"docker"}), 2)


@pytest.mark.parametrize("other", [server("d2", False), server("d2", True, undecided=True)])
def test_too_few_others(other: Server) -> None:
    both = stat(server("d1", True), other)
    for used in (frozenset({"docker"}), None):
        with pytest.raises(TooFewServersError, match=r"got 0 \(others: d2 UP"):
            check_others(both, LEAVING, used, 1)
    check_others(both, LEAVING, frozenset({"legacy"}), 1)
    check_others(both, LEAVING, None, 0)


def test_servers_that_leave_together_do_not_count_for_each_other() -> None:
    with pytest.raises(TooFewServersError):
        check_others(stat(server("d1", True)), LEAVING, None, 1)
    both = (*LEAVING, Administered("docker", "d2", "ready"))
    three = stat(server("d1", True), server("d2", True), server("d3", True))
    check_others(three, both, None, 1)
    with pytest.raises(TooFewServersError, match="without d1, d2, expected at least 2"):
        check_others(three, both, None, 2)


def test_sessions_over_all_workers() -> None:
    new = stat(server("d1", True, current=2), server("d2", True, current=5))
    assert load([new, stat(server("d1", True, current=1))], LEAVING).current == 3


def test_drained_is_no_session_and_no_new_one_for_a_while() -> None:
    clock = iter(range(100))
    quiet = Quiet(3, now=lambda: float(next(clock)))
    seen = [Load(1, 5), Load(0, 5), Load(0, 6), Load(0, 6), Load(0, 6), Load(0, 6)]
    found = [quiet.missing(one) for one in seen]
    assert found[0] == "sessions left: 1"
    assert found[2] == "new sessions until 1.0 s ago, expected none for 3 s"
    assert [not one for one in found] == [False, False, False, False, True, True]


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("balance source", ""),
        ("# cookie SRV", ""),
        ("cookie SRV insert # why", "cookie SRV insert"),
        ("stick-table type ip size 1k", ""),
        ("stick store-response src", ""),
        ("stick  match src", "stick match src"),
        ("persist rdp-cookie", "persist rdp-cookie"),
        ("use-server d1 if { path /a }", "use-server d1 if { path /a }"),
    ],
)
def test_persistence(lines: str, found: str) -> None:
    config = parse(f"defaults\nbackend other\n cookie A\nbackend docker\n {lines}\n")
    assert persistence(config, "docker") == found
    assert persistence(config, "nosuch") == ""


def test_persistence_from_the_defaults() -> None:
    assert persistence(parse("defaults\n cookie A insert\nlisten d\n"), "d") == "cookie A insert"


def test_who_does_not_serve_yet() -> None:
    assert not_serving(stat(server("d1", True), server("d2", False)), LEAVING) == ()
    for one in (server("d1", False), server("d1", True, undecided=True)):
        assert not_serving(stat(one), LEAVING) == (one,)
