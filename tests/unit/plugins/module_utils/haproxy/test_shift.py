# SPDX-License-Identifier: GPL-3.0-or-later
"""The entries of a gradual shift, and the way from one state to another."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.shift import (
    Entries,
    Shift,
    Step,
    listed,
    mirror,
    own,
    shown,
    steps,
    under_way,
    wanted_entries,
)
from hypothesis import given
from hypothesis import strategies as st

BACKENDS = st.sampled_from(["legacy", "docker", "swarm"])
SHIFTS = st.none() | st.builds(Shift, BACKENDS, st.integers(1, 99))
STATES = st.builds(wanted_entries, st.just("f"), BACKENDS, SHIFTS)
# Whatever a command that was killed, or somebody by hand, may have left.
KEYS = st.sampled_from(["f", *(f"f/{n}" for n in range(0, 100, 7))])
ANY_ENTRIES = st.lists(st.tuples(KEYS, BACKENDS), max_size=40).map(tuple)


def carried_out(now: Entries, commands: tuple[Step, ...]) -> list[Entries]:
    """The state after each command, as HAProxy carries it out."""
    states = [now]
    for step in commands:
        entries = states[-1]
        known = step.key in dict(entries)
        assert known is (step.verb != "add"), f"{step} with {entries}"
        kept = tuple(entry for entry in entries if entry[0] != step.key)
        written = () if step.verb == "del" else ((step.key, step.value),)
        states.append((*kept, *written))
    return states


def share(entries: Entries, cohort: int) -> str | None:
    """Where the frontend's rules send a client of this cohort."""
    values = dict(entries)
    if "f/0" in values and f"f/{cohort}" in values:
        return values[f"f/{cohort}"]
    return values.get("f")


def test_entries_of_a_shift() -> None:
    assert wanted_entries("f", "legacy") == (("f", "legacy"),)
    entries = wanted_entries("f", "legacy", Shift("docker", 2))
    assert entries == (("f", "legacy"), ("f/0", "docker"), ("f/1", "docker"))
    assert len(wanted_entries("f", "legacy", Shift("docker", 99))) == 100


@pytest.mark.parametrize(
    ("key", "ours"),
    [
        ("f", True),
        ("f/0", True),
        ("f/99", True),
        ("f/100", False),
        ("f/01", False),
        ("f/-1", False),
        ("f/", False),
        ("f/x", False),
        ("f/\u0663", False),
        ("g", False),
        ("g/0", False),
        ("ff", False),
    ],
)
def test_whose_entry(key: str, ours: bool) -> None:
    assert own([(key, "docker")], "f") == (((key, "docker"),) if ours else ())


def test_what_is_under_way() -> None:
    entries = wanted_entries("f", "legacy", Shift("docker", 30))
    assert under_way(entries, "f", "legacy") == Shift("docker", 30)
    # All go to docker anyway.
    assert under_way(entries, "f", "docker") is None
    assert under_way((("f", "legacy"),), "f", "legacy") is None
    # Without cohort 0 nobody is in a cohort.
    assert under_way((("f", "legacy"), ("f/1", "docker")), "f", "legacy") is None
    assert under_way((("f/0", "docker"), ("f/1", "swarm")), "f", None) == Shift("docker", 1)
    assert mirror((("f", "a"), ("f/0", "x"), ("f", "b"), ("f", "a")), "f") == ("a", "b")


@given(ANY_ENTRIES | STATES, STATES)
def test_steps_end_where_they_shall(now: Entries, target: Entries) -> None:
    commands = steps(now, target)
    assert set(carried_out(now, commands)[-1]) == set(target)
    assert steps(target, target) == ()
    # No key is written twice.
    assert len({step.key for step in commands}) == len(commands)


@given(STATES, STATES, st.integers(0, 99))
def test_on_the_way_a_client_is_where_it_was_or_where_it_shall_be(
    now: Entries, target: Entries, cohort: int
) -> None:
    places = [share(entries, cohort) for entries in carried_out(now, steps(now, target))]
    ends = {places[0], places[-1]}
    # A client that leaves a shift for another backend may pass by the new default.
    assert set(places) <= ends | {dict(target)["f"]}


@pytest.mark.parametrize("percent", [1, 2, 50, 99])
def test_a_shift_begins_and_ends_for_all_at_once(percent: int) -> None:
    none = wanted_entries("f", "legacy")
    some = wanted_entries("f", "legacy", Shift("docker", percent))
    for now, target in ((none, some), (some, none)):
        moved = [
            sum(share(entries, cohort) != share(now, cohort) for cohort in range(100))
            for entries in carried_out(now, steps(now, target))
        ]
        assert set(moved) == {0, percent}


def test_a_switch_is_done_with_the_first_command() -> None:
    now = wanted_entries("f", "legacy", Shift("docker", 3))
    assert steps(now, wanted_entries("f", "docker")) == (
        Step("set", "f", "docker"),
        Step("del", "f/0"),
        Step("del", "f/2"),
        Step("del", "f/1"),
    )


def test_a_growing_share_only_adds() -> None:
    now = wanted_entries("f", "legacy", Shift("docker", 10))
    more = steps(now, wanted_entries("f", "legacy", Shift("docker", 12)))
    assert more == (Step("add", "f/10", "docker"), Step("add", "f/11", "docker"))


def test_for_a_reader() -> None:
    assert shown(()) == ""
    assert listed(()) == "no entry"
    entries = wanted_entries("f", "legacy", Shift("docker", 30))
    assert shown(entries) == "f legacy\nf/0-29 docker\n"
    assert listed(entries) == "f legacy, f/0-29 docker"
    odd = (("f/7", "a"), ("f/3", "a"), ("f/4", "a"), ("f/5", "b"), ("f", "c"), ("f", "d"))
    assert shown(odd) == "f c\nf d\nf/3-4 a\nf/5 b\nf/7 a\n"
