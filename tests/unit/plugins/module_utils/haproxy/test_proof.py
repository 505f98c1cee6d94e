# SPDX-License-Identifier: GPL-3.0-or-later
"""What is judged after a switch: each answer, and the counters of HAProxy."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.proof import (
    Answer,
    Counted,
    Expected,
    ProofError,
    check_answer,
    check_counted,
    count,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import Server

GOOD = Answer(200, "Users: 3", {"x-bookface-backend": "docker"})


def server(name: str, sessions: int, errors: int = 0, backup: bool = False) -> Server:
    return Server(
        "docker", name, "", "UP", "L7OK", True, False, 1, 0, sessions, backup, sessions, errors
    )


@pytest.mark.parametrize("backend", ["docker", None])
def test_a_good_answer(backend: str | None) -> None:
    check_answer(GOOD, Expected(200, "Users:", backend), "request 1")


@pytest.mark.parametrize(
    ("expected", "reason", "message"),
    [
        (Expected(404, "Users:", "docker"), "status", "expected status 404, got 200"),
        (Expected(200, "Posts:", "docker"), "content", "expected 'Posts:' .* got 'Users: 3'"),
        (Expected(200, "Users:", "swarm"), "backend", "from backend swarm, got one from docker"),
    ],
)
def test_wrong_answers(expected: Expected, reason: str, message: str) -> None:
    with pytest.raises(ProofError, match=f"request 1: .*{message}") as error:
        check_answer(GOOD, expected, "request 1")
    assert error.value.reason == reason


def test_an_answer_without_the_header() -> None:
    with pytest.raises(ProofError, match="got one from an unknown backend"):
        check_answer(Answer(200, "", {}), Expected(200, "", "docker"), "request 1")


def test_backup_servers_do_not_count() -> None:
    found = count(7, [server("d1", 5, 1), server("d2", 2), server("spare", 9, 9, backup=True)])
    assert found == Counted(7, 7, 7, 1)


def test_a_new_worker_counts_from_zero() -> None:
    before, now = Counted(7, 10, 10, 2), Counted(7, 15, 14, 3)
    assert now.since(before) == Counted(7, 5, 4, 1)
    assert now.since(Counted(6, 10, 10, 2)) == now


@pytest.mark.parametrize(
    ("counted", "reason"),
    [
        (Counted(7, 4, 4, 0), "not_counted"),
        (Counted(7, 200, 200, 3), "errors"),
        (Counted(7, 5, 0, 1), "errors"),
        (Counted(7, 200, 200, 2), None),
        (Counted(7, 5, 5, 0), None),
    ],
)
def test_counters(counted: Counted, reason: str | None) -> None:
    if reason is None:
        check_counted(counted, "docker", 5, 1.0)
        return
    with pytest.raises(ProofError) as error:
        check_counted(counted, "docker", 5, 1.0)
    assert error.value.reason == reason
