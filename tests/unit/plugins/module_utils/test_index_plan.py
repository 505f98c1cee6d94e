"""Index plans, from catalogues of many shapes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.index_plan import (
    MARK,
    Index,
    Key,
    PlanError,
    Step,
    Wish,
    plan,
    quote,
    read_index,
    read_wish,
    serves,
)
from hypothesis import given
from hypothesis import strategies as st

COLUMNS = {
    "posts": ["postid", "userid", "text", "postdate"],
    "users": ["userid", "name", "lastpostdate"],
}
POSTS = read_wish(
    {"name": "ours", "table": "posts", "equal": ["userid"], "order": ["postdate desc"]}
)
USERS = read_wish({"name": "recent", "table": "users", "order": ["lastpostdate desc"]})
PRIMARY = Index("posts_pkey", "posts", (Key("postid"),), constraint=True)
DATE_DOWN, DATE_UP = Key("postdate", True, True), Key("postdate")
USER = Key("userid")
GOOD = Index("ours", "posts", (USER, DATE_DOWN), comment=MARK)


def actions(steps: Iterable[Step]) -> list[tuple[str, str]]:
    return [(step.action, step.index or step.table) for step in steps]


class TestPlan:
    def test_missing_index_is_created_marked_and_analyzed(self) -> None:
        steps = plan([POSTS], COLUMNS, [PRIMARY])
        assert [step.statement for step in steps] == [
            'CREATE INDEX CONCURRENTLY "ours" ON "public"."posts" ("userid", "postdate" DESC)',
            f'COMMENT ON INDEX "public"."ours" IS \'{MARK}\'',
            'ANALYZE "public"."posts"',
        ]
        assert steps[0].text == (
            "create ours: no valid index serves posts (userid, postdate desc). "
            + steps[0].statement
        )

    def test_a_table_is_analyzed_once_and_last(self) -> None:
        other = replace(POSTS, name="second", equal=("text",))
        steps = plan([POSTS, other, USERS], COLUMNS, [])
        expected = [*(["create", "mark"] * 3), "analyze", "analyze"]
        assert [step.action for step in steps] == expected
        assert [step.table for step in steps[-2:]] == ["posts", "users"]

    def test_index_that_is_there_is_kept(self) -> None:
        (step,) = plan([POSTS], COLUMNS, [PRIMARY, GOOD])
        assert (step.action, step.index, step.statement) == ("keep", "ours", "")

    def test_equivalent_index_of_another_name_is_accepted_and_not_marked(self) -> None:
        (step,) = plan([POSTS], COLUMNS, [replace(GOOD, name="theirs", comment="by hand")])
        assert (step.action, step.index) == ("keep", "theirs")
        assert "in place of ours" in step.reason

    def test_ours_wins_over_theirs(self) -> None:
        for indexes in ([GOOD, replace(GOOD, name="a")], [replace(GOOD, name="a"), GOOD]):
            (step,) = plan([POSTS], COLUMNS, indexes)
            assert step.index == "ours"

    def test_run_that_was_cut_off_before_the_mark_is_completed(self) -> None:
        (step,) = plan([POSTS], COLUMNS, [replace(GOOD, comment="")])
        assert step.action == "mark"

    def test_comment_of_somebody_else_stays(self) -> None:
        (step,) = plan([POSTS], COLUMNS, [replace(GOOD, comment="do not touch")])
        assert step.action == "keep"

    @pytest.mark.parametrize(
        "broken",
        [
            replace(GOOD, valid=False, comment=""),
            replace(GOOD, valid=False, name="posts_ccnew", comment=""),
            replace(GOOD, valid=False, keys=(DATE_UP,), name="posts_old"),
        ],
        ids=["our name", "wished definition", "our mark"],
    )
    def test_invalid_index_is_dropped_and_rebuilt(self, broken: Index) -> None:
        steps = plan([POSTS], COLUMNS, [broken])
        assert actions(steps) == [
            ("drop", broken.name),
            ("create", "ours"),
            ("mark", "ours"),
            ("analyze", "posts"),
        ]
        assert steps[0].statement == f'DROP INDEX CONCURRENTLY IF EXISTS "public"."{broken.name}"'

    def test_invalid_index_beside_a_good_one_is_only_dropped(self) -> None:
        leftover = replace(GOOD, name="ours_ccnew", valid=False, comment="")
        assert actions(plan([POSTS], COLUMNS, [leftover, GOOD])) == [
            ("drop", "ours_ccnew"),
            ("keep", "ours"),
        ]

    @pytest.mark.parametrize(
        "foreign",
        [
            Index("theirs", "posts", (Key("text"),), valid=False),
            Index("theirs", "posts", (USER, DATE_DOWN), plain=False, valid=False),
            Index("theirs", "posts", (USER, DATE_DOWN, Key("text")), valid=False),
            Index("theirs", "posts", (USER, DATE_DOWN), valid=False, constraint=True),
        ],
        ids=["other columns", "partial", "longer", "constraint"],
    )
    def test_invalid_index_of_others_is_left_alone(self, foreign: Index) -> None:
        steps = plan([POSTS], COLUMNS, [foreign])
        assert ("create", "ours") in actions(steps)
        assert "drop" not in [step.action for step in steps]

    def test_index_that_a_session_may_be_building_is_waited_for(self) -> None:
        (step,) = plan([POSTS], COLUMNS, [replace(GOOD, valid=False, building=True)])
        assert (step.action, step.index, step.statement) == ("wait", "ours", "")

    def test_lock_on_the_table_of_a_valid_index_does_not_matter(self) -> None:
        (step,) = plan([POSTS], COLUMNS, [replace(GOOD, building=True)])
        assert step.action == "keep"

    @pytest.mark.parametrize(
        "taken",
        [replace(GOOD, keys=(DATE_UP,)), replace(GOOD, table="users", keys=(Key("name"),))],
        ids=["other columns", "other table"],
    )
    def test_our_name_on_something_else_is_a_conflict(self, taken: Index) -> None:
        (step,) = plan([POSTS], COLUMNS, [taken])
        assert (step.action, step.statement) == ("conflict", "")
        assert "rename or drop it" in step.reason

    def test_missing_table_or_column_is_skipped(self) -> None:
        older = {"posts": ["postid", "userid", "text"]}
        steps = plan([POSTS, USERS], older, [])
        assert [(step.action, step.reason) for step in steps] == [
            ("skip", "posts has no column postdate"),
            ("skip", "there is no table users"),
        ]

    def test_names_are_quoted(self) -> None:
        assert quote('a"b') == '"a""b"'
        steps = plan([replace(POSTS, name='x" --')], COLUMNS, [], schema="S")
        assert steps[0].statement.startswith('CREATE INDEX CONCURRENTLY "x"" --" ON "S"."posts"')

    def test_name_that_a_drop_frees_can_be_taken(self) -> None:
        """Found by the property below: ours, invalid, and since then wished on another table."""
        moved = Index("recent", "posts", (), plain=False, valid=False, comment=MARK)
        steps = plan([USERS, POSTS], COLUMNS, [moved])
        assert actions(steps)[:2] == [("drop", "recent"), ("create", "recent")]

    def test_two_wishes_of_one_name_are_an_error(self) -> None:
        with pytest.raises(PlanError, match="the same name"):
            plan([POSTS, POSTS], COLUMNS, [])

    @pytest.mark.parametrize("engine", ["cockroachdb", "yugabytedb", ""])
    def test_unknown_engine_is_an_error(self, engine: str) -> None:
        with pytest.raises(PlanError, match=f"engine {engine}; known is postgresql"):
            plan([POSTS], COLUMNS, [], engine=engine)


class TestServes:
    @pytest.mark.parametrize(
        "keys",
        [
            (USER, DATE_DOWN),
            (USER, DATE_UP),
            (Key("userid", True, True), DATE_DOWN),
            (USER, DATE_DOWN, Key("text")),
        ],
        ids=["same", "backwards", "fixed column turned", "longer"],
    )
    def test_does(self, keys: tuple[Key, ...]) -> None:
        assert serves(POSTS, Index("i", "posts", keys))

    @pytest.mark.parametrize(
        "keys",
        [
            (),
            (USER,),
            (DATE_DOWN, USER),
            (USER, Key("text"), DATE_DOWN),
            (USER, Key("postdate", True, False)),
        ],
        ids=["none", "shorter", "order", "between", "nulls"],
    )
    def test_does_not(self, keys: tuple[Key, ...]) -> None:
        assert not serves(POSTS, Index("i", "posts", keys))

    def test_two_read_columns_must_turn_together(self) -> None:
        wish = Wish("w", "t", (), (Key("a"), Key("b", True, True)))
        assert serves(wish, Index("i", "t", (Key("a", True, True), Key("b"))))
        assert not serves(wish, Index("i", "t", (Key("a"), Key("b"))))

    def test_fixed_columns_may_change_places(self) -> None:
        wish = Wish("w", "t", ("a", "b"), (Key("c"),))
        assert serves(wish, Index("i", "t", (Key("b"), Key("a"), Key("c"))))

    @pytest.mark.parametrize("change", [{"valid": False}, {"plain": False}, {"table": "users"}])
    def test_needs_a_plain_valid_index_of_the_table(self, change: dict[str, Any]) -> None:
        assert not serves(POSTS, replace(GOOD, **change))


# As catalogue.sql gives it on PostgreSQL 15.
ROW: dict[str, Any] = {
    "name": "bookface_posts_of_user",
    "table": "posts",
    "columns": ["userid", "postdate"],
    "options": [0, 3],
    "plain": True,
    "valid": True,
    "building": False,
    "constraint": False,
    "comment": MARK,
    "definition": "CREATE INDEX bookface_posts_of_user ON public.posts USING btree (…)",
}


class TestReading:
    def test_row_of_the_catalogue(self) -> None:
        assert read_index(ROW) == replace(GOOD, name="bookface_posts_of_user")

    @pytest.mark.parametrize("field", ["name", "columns", "options", "valid"])
    def test_row_without_a_field(self, field: str) -> None:
        row = {key: value for key, value in ROW.items() if key != field}
        with pytest.raises(PlanError, match="is no index"):
            read_index(row)

    @pytest.mark.parametrize(
        ("wish", "message"),
        [
            ({"name": "i"}, "wants name, table"),
            ({"name": "i", "table": "t", "columns": ["a"]}, "nothing else"),
            ({"name": "i", "table": "t"}, "at least one column"),
            ({"name": "i", "table": "t", "equal": ["a"], "order": ["a desc"]}, "each of them once"),
            ({"name": "i", "table": "t", "equal": "a"}, "are lists"),
            ({"name": "i", "table": "t", "order": ["a sideways"]}, "no column with asc or desc"),
            ({"name": "i" * 64, "table": "t", "equal": ["a"]}, "longer than 63"),
        ],
    )
    def test_wish_that_makes_no_sense(self, wish: dict[str, Any], message: str) -> None:
        with pytest.raises(PlanError, match=message):
            read_wish(wish)

    def test_direction_in_any_case(self) -> None:
        wish = read_wish({"name": "i", "table": "t", "order": [" a  DESC", "b asc", "c"]})
        assert wish.order == (Key("a", True, True), Key("b"), Key("c"))


def applied(steps: Iterable[Step], wishes: list[Wish], indexes: list[Index]) -> list[Index]:
    """What the database holds after the steps; an impossible step fails."""
    by_name, wanted = {index.name: index for index in indexes}, {wish.name: wish for wish in wishes}
    for step in steps:
        if step.action == "drop":
            del by_name[step.index]
        elif step.action == "create":
            assert step.index not in by_name
            wish = wanted[step.index]
            by_name[step.index] = Index(wish.name, wish.table, wish.keys)
        elif step.action == "mark":
            by_name[step.index] = replace(by_name[step.index], comment=MARK)
    return list(by_name.values())


TABLES = {"t": ["a", "b", "c"], "u": ["a", "b"]}
keys = st.builds(Key, st.sampled_from("abc"), st.booleans(), st.booleans())
distinct = st.lists(keys, max_size=3, unique_by=lambda key: key.column)


@st.composite
def some_wishes(draw: st.DrawFn) -> list[Wish]:
    wishes = []
    for name in draw(st.lists(st.sampled_from(["w1", "w2", "w3"]), unique=True)):
        columns = draw(distinct.filter(bool))
        cut = draw(st.integers(0, len(columns)))
        equal = tuple(key.column for key in columns[:cut])
        wishes.append(Wish(name, draw(st.sampled_from("tuv")), equal, tuple(columns[cut:])))
    return wishes


some_indexes = st.lists(
    st.builds(
        Index,
        name=st.sampled_from(["w1", "w2", "w3", "x", "y", "z"]),
        table=st.sampled_from("tu"),
        keys=distinct.map(tuple),
        plain=st.booleans(),
        valid=st.booleans(),
        building=st.booleans(),
        constraint=st.booleans(),
        comment=st.sampled_from(["", MARK, "theirs"]),
    ),
    unique_by=lambda index: index.name,
)


@given(some_wishes(), some_indexes)
def test_a_plan_carried_out_leaves_nothing_to_do(wishes: list[Wish], indexes: list[Index]) -> None:
    steps = plan(wishes, TABLES, indexes)
    after = applied(steps, wishes, indexes)
    again = plan(wishes, TABLES, after)
    assert [step for step in again if step.statement] == []
    undone = {"skip", "wait", "conflict"}
    kept = [step for step in again if step.action not in undone]
    assert all(step.action == "keep" for step in kept)
    for wish in wishes:
        if not any(serves(wish, index) for index in after):
            assert any(step.action in undone and step.table == wish.table for step in again)


@given(some_wishes(), some_indexes)
def test_only_invalid_indexes_are_dropped(wishes: list[Wish], indexes: list[Index]) -> None:
    dropped = {step.index for step in plan(wishes, TABLES, indexes) if step.action == "drop"}
    assert not dropped & {index.name for index in indexes if index.valid or index.constraint}
    assert not dropped & {index.name for index in indexes if index.building}


@given(some_wishes(), some_indexes)
def test_statement_and_action_belong_together(wishes: list[Wish], indexes: list[Index]) -> None:
    for step in plan(wishes, TABLES, indexes):
        assert bool(step.statement) == (step.action in {"create", "drop", "mark", "analyze"})
        assert step.reason
