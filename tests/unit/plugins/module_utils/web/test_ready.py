"""Waiting for web servers, with a clock of the test's own."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.web.pages import Page
from ansible_collections.bookface.platform.plugins.module_utils.web.ready import (
    ATTEMPTS,
    PAUSE,
    Answer,
    wait,
)

ONE, TWO = "http://a:1", "http://a:2"


class Clock:
    """Time that passes only while somebody sleeps."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_each_is_asked_until_it_is_ready(clock: Clock) -> None:
    said = {ONE: iter([(0, "refused"), (200, "ready\n")]), TWO: iter([(200, "ready\n")])}
    found = wait(
        {"one": ONE, "two": TWO},
        10,
        lambda url: next(said[url.removesuffix("/platform/ready")]),
        clock,
        clock.sleep,
    )
    assert [(answer.name, answer.ready, answer.text) for answer in found] == [
        ("one", True, "ready"),
        ("two", True, "ready"),
    ]
    assert clock.now == PAUSE


@pytest.mark.parametrize(("seconds", "asked"), [(0, 1), (0.1, 1), (PAUSE, 2), (2, 5)])
def test_the_wait_is_bounded(clock: Clock, seconds: float, asked: int) -> None:
    urls: list[str] = []

    def ask(url: str) -> tuple[int, str]:
        urls.append(url)
        return 503, "not ready: database\n"

    [answer] = wait({"one": ONE}, seconds, ask, clock, clock.sleep)
    assert str(answer) == "one at http://a:1 answers 503 (not ready: database)"
    assert not answer.ready
    assert urls == ["http://a:1/platform/ready"] * asked
    assert clock.now <= seconds


def test_one_that_does_not_answer() -> None:
    assert str(Answer("one", ONE, 0, "refused")) == "one at http://a:1 does not answer (refused)"


def test_nobody_to_wait_for(clock: Clock) -> None:
    assert wait({}, 10, lambda _url: (200, ""), clock, clock.sleep) == []
    assert clock.now == 0


def test_a_server_that_is_ready_and_broken_is_given_up_soon(clock: Clock) -> None:
    asked: list[str] = []

    def ask(url: str) -> tuple[int, str]:
        asked.append(url)
        return (200, "ready") if url.endswith("/platform/ready") else (500, "")

    [answer] = wait({"one": ONE}, 60, ask, clock, clock.sleep, [Page(path="/")])
    assert str(answer) == f"one: {ONE}/ answers 500, expected 200"
    assert not answer.ready
    assert asked == [f"{ONE}/platform/ready", f"{ONE}/"] * ATTEMPTS


def test_pages_may_fail_once(clock: Clock) -> None:
    front = iter([(500, ""), (200, "Users: 1")])

    def ask(url: str) -> tuple[int, str]:
        return (200, "ready") if url.endswith("/platform/ready") else next(front)

    [answer] = wait({"one": ONE}, 60, ask, clock, clock.sleep, [Page(path="/", content="Users:")])
    assert answer.ready


def test_pages_wait_until_the_server_is_ready(clock: Clock) -> None:
    asked: list[str] = []

    def ask(url: str) -> tuple[int, str]:
        asked.append(url)
        return 503, "not ready: database"

    [answer] = wait({"one": ONE}, 2, ask, clock, clock.sleep, [Page(path="/")])
    assert "answers 503" in str(answer)
    assert set(asked) == {f"{ONE}/platform/ready"}
