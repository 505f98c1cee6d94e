"""The library that sends, and a receiver that answers, fails, limits, hangs and is gone."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.watch import services
from ansible_collections.bookface.platform.plugins.module_utils.watch.history import open_history
from ansible_collections.bookface.platform.plugins.module_utils.watch.message import Message
from ansible_collections.bookface.platform.plugins.module_utils.watch.notify import (
    Outcome,
    Target,
    deliver,
)
from ansible_collections.bookface.platform.plugins.module_utils.watch.services import known, sender

from tests.support.receiver import Receiver, receiving

TOKEN = "SeCrEtToKeN"  # noqa: S105  (of a test)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


def target(receiver: Receiver) -> Target:
    return Target(1, f"json://user:{TOKEN}@{receiver.address}/hook/{TOKEN}")


def test_a_message_arrives(receiver: Receiver) -> None:
    assert sender(5)(target(receiver), "a title", "DOWN: <b>x</b>\n2 & 3") == Outcome(True)
    (got,) = receiver.got
    assert (got["title"], got["message"]) == ("a title", "DOWN: <b>x</b>\n2 & 3")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (500, "answered 500"),
        (429, "answered 429"),
        (404, "answered 404"),
        ("hang", r"no answer within 0\.3 s|not reached, or no answer"),
        ("drip", r"no answer within 0\.3 s|not reached, or no answer"),
    ],
)
def test_one_that_fails_is_said_and_ends_in_time(
    receiver: Receiver,
    answer: int | str,
    error: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Whatever Apprise and its libraries log, and at this level they log URLs.
    caplog.set_level(logging.DEBUG)
    receiver.answer = answer
    began = time.monotonic()
    outcome = sender(0.3)(target(receiver), "title", "body")
    assert time.monotonic() - began < 5
    assert not outcome.ok
    assert re.fullmatch(error, outcome.error)
    assert TOKEN not in f"{outcome} {capfd.readouterr()} {caplog.text}"


def test_one_that_is_gone_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    with receiving() as server:
        gone = target(server)
    outcome = sender(2)(gone, "title", "body")
    assert outcome == Outcome(False, "not reached, or no answer")
    assert TOKEN not in f"{outcome} {capfd.readouterr()}"


@pytest.mark.parametrize("url", [f"nosuch://{TOKEN}", f"discord://{TOKEN}", TOKEN, "", "json://"])
def test_a_url_that_is_none_is_said(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert not known(Target(1, url))
    outcome = sender(2)(Target(1, url), "title", "body")
    assert outcome.error == "Apprise does not know this kind of URL, or it is incomplete"
    assert TOKEN not in str(capfd.readouterr())


@pytest.mark.parametrize(
    "url",
    [
        "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
        "https://discord.com/api/webhooks/4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "mmosts://mattermost.example/3ccdd113474722377935511fc85d3dd4",
        "ntfys://ntfy.example/bookface",
        "jsons://example.org/hook",
        "mailtos://user:password@example.org",
    ],
)
def test_the_services_that_the_documentation_names_are_known(url: str) -> None:
    assert known(Target(1, url))


def test_what_apprise_fails_at_is_no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(url: str, _seconds: float) -> None:
        raise ValueError(url)

    monkeypatch.setattr(services, "_service", fail)
    assert not known(Target(1, f"json://{TOKEN}"))


@pytest.mark.parametrize(("answer", "refused"), [(404, True), (429, False), (500, False)])
def test_a_refusal_is_told_from_trouble(receiver: Receiver, answer: int, refused: bool) -> None:
    receiver.answer = answer
    assert sender(5)(target(receiver), "title", "body").refused is refused


def test_what_a_broken_receiver_did_not_take_arrives_when_it_is_back(
    receiver: Receiver, tmp_path: Path
) -> None:
    history, _ = open_history(tmp_path / "history.db")
    to = target(receiver)
    for number, answer in enumerate([500, 429, "hang", 200]):
        now = 1000.0 + 200 * number
        history.send(Message(f"title {number}", "body"), [to.digest], now)
        receiver.answer = answer
        before = len(receiver.got)
        done = deliver(history, [to], sender(0.3), iter([now] * 99).__next__)
        assert done.sent == (4 if answer == 200 else 0)
        assert len(receiver.got) - before == (4 if answer == 200 else 1)
    assert [got["title"].partition(" (")[0] for got in receiver.got[-4:]] == [
        f"title {number}" for number in range(4)
    ]
    assert history.waiting_count() == 0
    dump = "".join(path.read_bytes().decode("latin-1") for path in tmp_path.iterdir())
    assert TOKEN not in dump
    history.close()
