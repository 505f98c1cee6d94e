"""Tries of statements: how often, what is cleaned up between them, and what is said at last."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.database.build import (
    Failure,
    Holder,
    Outcome,
    Step,
    carry_out,
    holders,
)
from ansible_collections.bookface.platform.plugins.module_utils.database.errors import DatabaseError
from ansible_collections.bookface.platform.plugins.modules.index_build import Session

CREATE = Step("create", "posts", "ours", "CREATE ours")
GOOD = Outcome()
HELD = Outcome(Failure("55P03", "lock timeout"), (Holder(7, "ann", seconds=5),))
FULL = Outcome(Failure("53100", "No space left.\nHINT: buy"))
GONE = Outcome(Failure("", "server closed the connection"))
TAKEN = Outcome(Failure("42P07", "exists"))


class Script:
    """Plays outcomes in order, and notes what was executed."""

    def __init__(self, outcomes: Sequence[Outcome], leftovers: Sequence[bool | None] = ()) -> None:
        self.outcomes, self.leftovers = list(outcomes), list(leftovers)
        self.executed: list[str] = []

    def execute(self, statement: str, brief: bool = False) -> Outcome:
        self.executed.append(statement)
        return self.outcomes.pop(0)

    def leftover(self, step: Step) -> bool | None:
        return self.leftovers.pop(0) if self.leftovers else False

    def drop_of(self, step: Step) -> str:
        return f"DROP {step.index}"

    def size(self, step: Step) -> int:
        return 99


def play(script: Script, step: Step = CREATE, tries: int = 3, reason: str = "") -> str:
    """The error's text."""
    with pytest.raises(DatabaseError) as caught:
        carry_out([step], script, tries, {"user": "me"})
    assert reason in ("", caught.value.reason)
    return f"{caught.value}"


def test_first_try() -> None:
    script = Script([GOOD, GOOD])
    first, second = carry_out([CREATE, Step("analyze", "posts", "", "A")], script, 3, {})
    assert (first.tries, first.size, second.size) == (1, 99, 0)
    assert script.executed == ["CREATE ours", "A"]


def test_what_a_try_leaves_is_dropped_before_the_next() -> None:
    script = Script([HELD, GOOD, GOOD], [True])
    (done,) = carry_out([CREATE], script, 3, {})
    assert done.tries == 2
    assert script.executed == ["CREATE ours", "DROP ours", "CREATE ours"]


def test_what_could_not_be_dropped_is_dropped_by_the_next_try() -> None:
    script = Script([HELD, HELD, GOOD, GOOD], [True, True])
    (done,) = carry_out([CREATE], script, 3, {})
    assert script.executed == ["CREATE ours", "DROP ours", "DROP ours", "CREATE ours"]
    assert done.tries == 2


def test_tries_are_bounded_and_the_holder_is_named() -> None:
    script = Script([HELD, HELD, HELD])
    text = play(script, reason="blocked")
    assert len(script.executed) == 3
    assert "gave up after 3 tries" in text
    assert "pid 7 of ann, active, its transaction open for 5 s" in text
    assert "No invalid index is left behind" in text


def test_what_stays_behind_is_said() -> None:
    text = play(Script([HELD, HELD], [True, True]), tries=1)
    assert "The invalid index ours is left behind" in text


def test_what_the_engine_does_not_tell_is_not_asserted() -> None:
    script = Script([FULL], [None, None])
    text = play(script)
    assert script.executed == ["CREATE ours"]
    assert "The next run shows whether it has left an invalid index ours behind" in text
    assert "No invalid index" not in text


@pytest.mark.parametrize(("engine", "left"), [("yugabytedb", None), ("cockroachdb", False)])
def test_leftovers_of_other_engines(engine: str, left: bool | None) -> None:
    session = Session.__new__(Session)  # without a connection
    session.engine, session.postgresql = engine, False
    assert session.leftover(CREATE) is left


def test_other_failures_end_it_at_once_and_are_cleaned_up() -> None:
    script = Script([FULL, GOOD], [True, False])
    text = play(script, reason="statement_failed")
    assert script.executed == ["CREATE ours", "DROP ours"]
    assert "No space left. HINT: buy. That is: the database's disk is full" in text
    assert "No invalid index is left behind. Steps done: none" in text


def test_rights_name_the_account() -> None:
    failure = Outcome(Failure("42501", "must be owner"))
    with pytest.raises(DatabaseError, match="me lacks this privilege: the owner") as caught:
        carry_out([CREATE], Script([failure]), 3, {"user": "me"})
    assert (caught.value.reason, caught.value.sqlstate) == ("statement_failed", "42501")


def test_session_that_was_ended_is_cleaned_up_after() -> None:
    script = Script([GONE, GOOD], [True, False])
    text = play(script, reason="connection_lost")
    assert script.executed == ["CREATE ours", "DROP ours"]
    assert "No invalid index is left behind" in text


def test_server_that_went_away() -> None:
    class Dead(Script):
        def leftover(self, step: Step) -> bool | None:
            raise DatabaseError("gone", "connection_lost")

    for outcome in (GONE, Outcome(Failure("57P01", "terminating"))):
        text = play(Dead([outcome]), reason="connection_lost")
        assert "The connection to the database was lost" in text
        assert "left behind" not in text


def test_somebody_was_quicker() -> None:
    (done,) = carry_out([CREATE], Script([TAKEN]), 3, {})
    assert done.tries == 0


def test_what_was_done_before_is_said() -> None:
    script = Script([GOOD, FULL])
    with pytest.raises(DatabaseError, match="Steps done: analyze posts"):
        carry_out([Step("analyze", "posts", "", "A"), CREATE], script, 1, {})


def test_blocked_analyze_holds_up_neither_other_tables_nor_their_marks() -> None:
    steps = [
        Step("analyze", "posts", "", "A posts"),
        Step("analyze", "users", "", "A users"),
        Step("mark", "posts", "ours", "M posts"),
        Step("mark", "users", "recent", "M users"),
    ]
    script = Script([HELD, HELD, GOOD, GOOD])
    with pytest.raises(DatabaseError) as caught:
        carry_out(steps, script, 2, {})
    assert script.executed == ["A posts", "A posts", "A users", "M users"]
    assert "The indexes are made and serve; the next run analyzes the table" in str(caught.value)
    assert "Steps done: analyze users, mark recent" in str(caught.value)


def test_brief_statement_has_more_tries_and_leaves_nothing() -> None:
    attach = Step("attach", "posts_1", "part", "ALTER", brief=True)
    script = Script([HELD, HELD, HELD, GOOD])
    (done,) = carry_out([attach], script, 1, {}, 5)
    assert done.tries == 4
    with pytest.raises(DatabaseError, match="waited for another session half a second"):
        carry_out([attach], Script([HELD]), 9, {})


def test_advice_fits_the_holder() -> None:
    def text(*who: Holder) -> str:
        return play(Script([Outcome(HELD.failure, who)]), tries=1)

    autovacuum = text(Holder(8))
    assert "Blocked by autovacuum, pid 8. An autovacuum that does not cancel itself" in autovacuum
    assert "End that transaction" not in autovacuum
    prepared = text(Holder(0))
    assert "Blocked by a prepared transaction (see pg_prepared_xacts)" in prepared
    assert "ROLLBACK PREPARED" in prepared
    assert "End that transaction" not in prepared
    assert "End that transaction" in text(Holder(8), Holder(9, "ann"))


def test_hidden_session_is_said_to_be_hidden() -> None:
    (hidden,) = holders([(9, "root", "psql", None, None, None, "<insufficient privilege>")])
    assert str(hidden) == (
        "pid 9 of root (psql), whose transaction is visible to members of pg_read_all_stats only"
    )
    (seen,) = holders([(9, "root", "", "idle", "12.4", "2026-01-01", "select\n  1")])
    assert str(seen) == (
        "pid 9 of root, idle, its transaction open for 12 s, last statement at 2026-01-01: select 1"
    )
