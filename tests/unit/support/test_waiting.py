"""Waiting for a condition."""

from __future__ import annotations

import time

import pytest

from tests.support.errors import HarnessError
from tests.support.waiting import until


def test_it_ends_as_soon_as_the_condition_holds() -> None:
    answers = iter([False, False, True])
    assert until(lambda: next(answers), "the third answer") < 1
    assert list(answers) == []


def test_it_names_what_did_not_happen() -> None:
    with pytest.raises(HarnessError, match=r"^not within 0\.05 s: the moon$"):
        until(lambda: False, "the moon", 0.05)


def test_it_can_look_once_more_for_the_reason() -> None:
    seen: list[str] = []

    def look() -> bool:
        seen.append("cloud")
        return False

    with pytest.raises(HarnessError, match="cloud"):
        until(look, lambda: seen[-1], 0.05)


def test_what_holds_is_seen_however_late_it_is_asked() -> None:
    def slow() -> bool:
        time.sleep(0.1)
        return True

    assert until(slow, "a slow answer", 0.01) >= 0.1
