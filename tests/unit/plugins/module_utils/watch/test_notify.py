from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.watch.history import (
    History,
    open_history,
)
from ansible_collections.bookface.platform.plugins.module_utils.watch.message import Message
from ansible_collections.bookface.platform.plugins.module_utils.watch.notify import (
    Outcome,
    Target,
    accept,
    deliver,
    targets_of,
)

A, B = targets_of(["json://a.example/SECRET", "discord://1/SECRET"])


class Receivers:
    """They take what they are sent, unless told otherwise."""

    def __init__(self) -> None:
        self.time = 0.0
        self.broken: set[Target] = set()
        self.refused = ""
        self.asked: list[str] = []
        self.got: dict[str, list[str]] = {A.url: [], B.url: []}
        self.takes = 0.0

    def now(self) -> float:
        return self.time

    def send(self, target: Target, title: str, _body: str) -> Outcome:
        self.asked.append(title)
        self.time += self.takes
        if target in self.broken:
            return Outcome(False, "answered 500")
        if self.refused and title.startswith(self.refused):
            return Outcome(False, "answered 400", refused=True)
        self.got[target.url].append(title)
        return Outcome(True)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    opened, _ = open_history(tmp_path / "history.db")
    yield opened
    opened.close()


@pytest.fixture
def receivers() -> Receivers:
    return Receivers()


def tell(history: History, title: str | None, now: float, per_hour: int = 3) -> str:
    message = Message(f"bookface: {title}", f"{title}.") if title else None
    return accept(history, message, [A, B], per_hour, now, ["container x"])


def test_everybody_gets_each_message_once(history: History, receivers: Receivers) -> None:
    tell(history, "one", 0)
    tell(history, "two", 0)
    done = deliver(history, [A, B], receivers.send, receivers.now)
    assert (done.sent, done.failures) == (4, ())
    assert receivers.got[A.url] == receivers.got[B.url] == ["bookface: one", "bookface: two"]
    assert deliver(history, [A, B], receivers.send, receivers.now).sent == 0
    assert not history.due(1e9)


def test_one_that_fails_is_tried_later_in_order_and_keeps_nobody_waiting(
    history: History, receivers: Receivers
) -> None:
    receivers.broken = {A}
    tell(history, "one", 0)
    tell(history, "two", 0)
    done = deliver(history, [A, B], receivers.send, receivers.now)
    assert done.sent == 2
    assert done.failures == ("notification 1 (json): answered 500, at try 1; it is tried again",)
    # Not before its time, and the second one does not overtake the first.
    receivers.time = 30
    assert deliver(history, [A, B], receivers.send, receivers.now).sent == 0
    receivers.time = 60
    receivers.broken = set()
    assert deliver(history, [A, B], receivers.send, receivers.now).sent == 2
    assert receivers.got[A.url] == ["bookface: one", "bookface: two"]
    assert receivers.asked.count("bookface: one") == 3


def test_tries_become_rarer_and_end_after_a_day(history: History, receivers: Receivers) -> None:
    receivers.broken = {A, B}
    tell(history, "one", 0)
    for minute in range(26 * 60):
        receivers.time = 60.0 * minute
        deliver(history, [A, B], receivers.send, receivers.now)
    assert 90 < len(receivers.asked) / 2 < 120
    assert history.waiting_count() == 0
    assert history.fact("dropped") == 2


def test_a_message_that_is_refused_again_and_again_keeps_no_other_waiting(
    history: History, receivers: Receivers
) -> None:
    receivers.refused = "bookface: one"
    said: list[str] = []
    tell(history, "one", 0)
    tell(history, "two", 1)
    for minute in range(20):
        receivers.time = 60.0 * minute
        done = deliver(history, [A], receivers.send, receivers.now)
        said += done.failures
    assert said[-1] == "notification 1 (json): answered 400, at try 5; it is given up"
    assert sum(title.startswith("bookface: one") for title in receivers.asked) == 5
    assert len(receivers.got[A.url]) == 1
    # Two of them were for B, which is gone.
    assert history.fact("dropped") == 3


def test_a_late_message_says_of_when_it_is(history: History, receivers: Receivers) -> None:
    tell(history, "one", 1796076000.0)
    receivers.time = 1796076000.0 + 400
    deliver(history, [A, B], receivers.send, receivers.now)
    assert receivers.got[A.url] == ["bookface: one (of 22:00 UTC)"]


def test_slow_receivers_end_with_the_time_there_is(history: History, receivers: Receivers) -> None:
    receivers.takes = 1
    for number in range(48):
        history.send(Message(f"{number}", ""), [A.digest, B.digest], 0)
    deliver(history, [A, B], receivers.send, receivers.now, seconds=45)
    assert receivers.time <= 45 + 1
    while history.waiting_count():
        deliver(history, [A, B], receivers.send, receivers.now, seconds=45)
    titles = [title.partition(" ")[0] for title in receivers.got[A.url]]
    assert titles == [f"{number}" for number in range(48)]
    assert receivers.got[B.url] == receivers.got[A.url]


def test_over_the_limit_one_message_says_how_many_were_held_back(
    history: History, receivers: Receivers
) -> None:
    outcomes = [tell(history, f"{number}", number) for number in range(6)]
    assert (
        outcomes
        == ["to be sent"] * 3 + ["held back, the limit of 3 messages an hour is reached"] * 3
    )
    bodies = [one.body for one in history.waiting(A.digest)]
    assert bodies[:2] == ["0.", "1."]
    assert bodies[2].startswith("2.\nThis is the last message before 01:00 UTC")
    # Nothing happens any more, and the hour is over.
    assert tell(history, None, 3599) == ""
    assert tell(history, None, 3601) == "to be sent"
    assert tell(history, None, 3602) == ""
    last = history.waiting(A.digest)[-1]
    assert last.title == "bookface: 3 messages were held back"
    assert last.body == (
        "HELD BACK: 3 messages were held back since 00:00 UTC, because there are at most 3 an hour."
        " Down now: container x."
    )


def test_the_next_message_counts_what_was_held_back(history: History) -> None:
    for number in range(5):
        tell(history, f"{number}", number)
    tell(history, "new", 3601)
    last = history.waiting(A.digest)[-1]
    assert last.title == "bookface: new"
    assert last.body.startswith("HELD BACK: 2 messages were held back")
    assert "\nnew." in last.body


def test_never_more_than_the_limit_in_any_hour(history: History) -> None:
    for minute in range(600):
        tell(history, "flap", 60.0 * minute)
    times = history.sent_since(0)
    assert len(times) > 20
    assert all(
        sum(start < time <= start + 3600 for time in times) <= 3 for start in range(0, 36000, 60)
    )


def test_without_targets_nothing_is_kept(history: History) -> None:
    assert accept(history, Message("a", "b"), [], 3, 0, []) == ""
    assert history.sent_since(-1) == []


def test_a_target_shows_nothing_of_its_url() -> None:
    odd = Target(3, "https://hooks.example/SECRET")
    bare = Target(4, "SECRET")
    spaced = Target(5, "SECRET x://y")
    for target in (A, B, odd, spaced):
        assert "SECRET" not in f"{target} {target!r}"
    assert [str(one) for one in (A, odd)] == ["notification 1 (json)", "notification 3 (https)"]
    assert "SECRET" not in f"{bare} {bare!r}"


def test_a_url_that_is_listed_twice_is_one() -> None:
    assert targets_of(["a://b", "c://d", "a://b"]) == [Target(1, "a://b"), Target(2, "c://d")]
