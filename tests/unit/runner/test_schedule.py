"""Which steps start beside each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runner.schedule import next_steps, urgency
from tests.runner.steps import ON_DEMAND, STEPS, Step, UnknownStepError, choose


def step(name: str, seconds: int = 10, load: float = 1.0, alone: str = "", after: str = "") -> Step:
    return Step(
        name,
        "group",
        ("true",),
        seconds,
        load=load,
        alone=frozenset(alone.split()),
        after=frozenset(after.split()),
    )


def names(steps: tuple[Step, ...]) -> list[str]:
    return [one.name for one in steps]


def test_the_longest_first_as_many_as_the_processors_serve() -> None:
    waiting = [step("short", 5), step("long", 50), step("middle", 20)]
    assert names(next_steps(waiting, [], 2)) == ["long", "middle"]
    assert names(next_steps(waiting[:1], waiting[1:], 2)) == []
    assert names(next_steps(waiting[:1], waiting[1:2], 2)) == ["short"]


def test_steps_that_wait_leave_room() -> None:
    waiting = [step("slow", 90, 0.3), step("busy", 50), step("other", 40, 0.9), step("no", 1, 0.1)]
    assert names(next_steps(waiting, [], 2)) == ["slow", "busy", "other"]


def test_a_shorter_one_takes_the_room_that_a_longer_one_cannot_use() -> None:
    waiting = [step("long", 50, 1.0), step("short", 5, 0.5)]
    assert names(next_steps(waiting, [step("running", load=1.5)], 2)) == ["short"]


def test_one_that_is_too_large_runs_when_nothing_else_does() -> None:
    large = step("large", load=4)
    assert names(next_steps([large], [], 2)) == ["large"]
    assert names(next_steps([large], [step("running", load=0.1)], 2)) == []


def test_two_do_not_use_the_same_thing() -> None:
    waiting = [step("one", 9, 0.1, "apt"), step("two", 8, 0.1, "apt disk"), step("three", 7, 0.1)]
    assert names(next_steps(waiting, [], 2)) == ["one", "three"]
    assert names(next_steps(waiting[1:], waiting[:1], 2)) == ["three"]


def test_one_waits_for_what_must_end_before_it() -> None:
    first, second = step("first"), step("second", 90, after="first")
    assert names(next_steps([second, first], [], 2)) == ["first"]
    assert names(next_steps([second], [first], 2)) == []
    # Not for one that is not part of the run.
    assert names(next_steps([second], [], 2)) == ["second"]


def test_what_others_wait_for_is_as_urgent_as_they_are() -> None:
    images, lab, other = step("images", 10), step("lab", 100, after="images"), step("other", 50)
    assert urgency(images, [images, lab, other]) == 110
    assert names(next_steps([other, lab, images], [], 1)) == ["images"]


things = st.sampled_from(["", "apt", "engine", "apt engine"])
steps = st.lists(
    st.builds(
        step,
        name=st.uuids().map(str),
        seconds=st.integers(1, 99),
        load=st.sampled_from([0.1, 0.5, 1.0, 3.0]),
        alone=things,
    ),
    max_size=12,
)


@given(steps, st.integers(1, 8))
def test_every_step_runs_once_and_never_beside_what_it_must_not(
    waiting: list[Step], processors: int
) -> None:
    running: list[Step] = []
    ran = []
    ahead = list(waiting)
    while ahead or running:
        started = next_steps(ahead, running, processors)
        assert started or running
        running += started
        ahead = [one for one in ahead if one not in started]
        used = [thing for one in running for thing in one.alone]
        assert len(used) == len(set(used))
        assert len(running) == 1 or sum(one.load for one in running) < processors * 1.1 + 0.01
        ran.append(running.pop(0))
    assert sorted(map(names_of, ran)) == sorted(map(names_of, waiting))


def names_of(one: Step) -> str:
    return one.name


def test_the_steps_are_sound() -> None:
    every = {one.name: one for one in STEPS + ON_DEMAND}
    assert len(every) == len(STEPS + ON_DEMAND)
    groups = {one.group for one in every.values()}
    for one in every.values():
        assert one.after <= every.keys(), one.name
        assert one.name not in groups - {one.group}, one.name
        assert one.seconds > 0, one.name
        assert 0 < one.load <= 1, one.name
    # Tests that several steps would count as theirs.
    patterns = [one.reports for one in every.values() if one.reports]
    assert len(patterns) == len(set(patterns))


def test_steps_are_chosen_by_name_and_group() -> None:
    assert choose(None) == STEPS
    assert {one.name for one in choose("integration,mypy")} == {
        "integration-haproxy",
        "integration-containers",
        "integration-database",
        "mypy",
    }
    # One of those that run only when asked for.
    assert names(choose("molecule-vm")) == ["molecule-vm"]


@pytest.mark.parametrize("only", ["", "nonsense", "unit,nonsense"])
def test_an_unknown_step_is_refused(only: str) -> None:
    with pytest.raises(UnknownStepError, match="molecule-platform"):
        choose(only)
