"""Index plans, from catalogues of many shapes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.database.indexes import (
    MARK,
    Index,
    Key,
    Partition,
    PlanError,
    Table,
    Wish,
    read_wish,
)
from ansible_collections.bookface.platform.plugins.module_utils.database.plan import (
    Step,
    estimate,
    plan,
    serves,
    undo,
)
from hypothesis import given
from hypothesis import strategies as st

from .examples import (
    COLUMNS,
    DATE_DOWN,
    DATE_UP,
    GOOD,
    POSTS,
    PRIMARY,
    USER,
    USERS,
    with_columns,
)


def actions(steps: Iterable[Step]) -> list[tuple[str, str]]:
    return [(step.action, step.index or step.table) for step in steps]


class TestPlan:
    def test_missing_index_is_created_marked_and_analyzed(self) -> None:
        steps = plan([POSTS], COLUMNS, [PRIMARY])
        assert [step.statement for step in steps] == [
            'CREATE INDEX CONCURRENTLY "ours" ON "public"."posts" ("userid", "postdate" DESC)',
            'ANALYZE "public"."posts"',
            f'COMMENT ON INDEX "public"."ours" IS \'{MARK}\'',
        ]
        assert steps[0].text == (
            "create ours: no valid index serves posts (userid, postdate desc); it will take about"
            " 30 MB. " + steps[0].statement
        )

    def test_a_table_is_analyzed_once_and_marks_come_last(self) -> None:
        other = replace(POSTS, name="second", equal=("text",))
        steps = plan([POSTS, other, USERS], COLUMNS, [])
        assert [step.action for step in steps] == ["create"] * 3 + ["analyze"] * 2 + ["mark"] * 3
        assert [step.table for step in steps[3:5]] == ["posts", "users"]

    def test_index_that_is_there_is_kept(self) -> None:
        (step,) = plan([POSTS], COLUMNS, [PRIMARY, GOOD])
        assert (step.action, step.index, step.statement) == ("keep", "ours", "")

    def test_equivalent_index_of_another_name_is_accepted_and_not_marked(self) -> None:
        (step,) = plan([POSTS], COLUMNS, [replace(GOOD, name="theirs", comment="by hand")])
        assert (step.action, step.index) == ("keep", "theirs")
        assert "in place of ours" in step.reason

    def test_ours_wins_over_theirs(self) -> None:
        for indexes in ([GOOD, replace(GOOD, name="a")], [replace(GOOD, name="a"), GOOD]):
            kept, twin = plan([POSTS], COLUMNS, indexes)
            assert (kept.action, kept.index) == ("keep", "ours")
            assert (twin.action, twin.index) == ("redundant", "a")

    def test_run_that_was_cut_off_before_the_mark_is_completed(self) -> None:
        steps = plan([POSTS], COLUMNS, [replace(GOOD, comment="")])
        assert actions(steps) == [("analyze", "posts"), ("mark", "ours")]

    @pytest.mark.parametrize(
        "change",
        [
            {"unique": True},
            {"keys": (USER, DATE_UP)},
            {"keys": (USER, DATE_DOWN, Key("text"))},
            {"constraint": True},
        ],
        ids=["unique", "backwards", "longer", "constraint"],
    )
    def test_what_is_not_as_made_here_stays_without_the_mark(self, change: dict[str, Any]) -> None:
        """It would be dropped with ours."""
        (step,) = plan([POSTS], COLUMNS, [replace(GOOD, comment="", **change)])
        assert (step.action, step.statement) == ("keep", "")

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
            ("analyze", "posts"),
            ("mark", "ours"),
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
        older = with_columns({"posts": ["postid", "userid", "text"]})
        steps = plan([POSTS, USERS], older, [])
        assert [(step.action, step.reason) for step in steps] == [
            ("skip", "posts has no column postdate"),
            ("skip", "there is no table users"),
        ]

    def test_names_are_quoted(self) -> None:
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

    @pytest.mark.parametrize("engine", ["oracle", ""])
    def test_unknown_engine_is_an_error(self, engine: str) -> None:
        with pytest.raises(
            PlanError, match=f"engine {engine} is not supported; supported are postgresql"
        ):
            plan([POSTS], COLUMNS, [], engine=engine)

    def test_name_of_something_else_is_a_conflict(self) -> None:
        (step,) = plan([POSTS], COLUMNS, [], {"ours": "view"})
        assert (step.action, step.statement) == ("conflict", "")
        assert "a view has this name" in step.reason

    def test_table_of_somebody_else_is_one_conflict(self) -> None:
        tables = with_columns({"posts": ["userid", "postdate"]}, owner="boss")
        (step,) = plan([POSTS], tables, [])
        assert (step.action, step.index) == ("conflict", "ours")
        assert "connect as boss" in step.reason

    def test_table_of_a_role_without_login(self) -> None:
        join = 'GRANT "team" TO me'
        tables = with_columns({"posts": ["userid", "postdate"]}, owner="team", join=join)
        (step,) = plan([POSTS], tables, [])
        assert "execute " + join + " as a superuser" in step.reason
        assert "connect as" not in step.reason

    def test_table_of_somebody_else_that_has_all_is_fine(self) -> None:
        tables = with_columns({"posts": ["userid", "postdate"]}, owner="boss")
        (step,) = plan([POSTS], tables, [GOOD])
        assert step.action == "keep"

    def test_what_an_index_costs_is_said(self) -> None:
        wish = read_wish({"name": "i", "table": "users", "equal": ["name"], "cost": "much more"})
        assert "about 21 MB, and much more" in plan([wish], COLUMNS, [])[0].reason
        unknown = with_columns({"users": ["name"]})
        assert "an unknown size (no statistics yet)" in plan([wish], unknown, [])[0].reason

    @pytest.mark.parametrize("name", ["ours_ccnew", "ours_ccnew12", "ours_ccold1"])
    def test_what_reindex_leaves_of_a_wished_index_goes(self, name: str) -> None:
        left = Index(name, "posts", (DATE_UP,), plain=False, valid=False)
        assert actions(plan([POSTS], COLUMNS, [left, GOOD])) == [("drop", name), ("keep", "ours")]
        other = replace(left, name=f"others{name}")
        assert actions(plan([POSTS], COLUMNS, [other, GOOD])) == [("keep", "ours")]


class TestRedundant:
    SHORT = Index("short", "posts", (USER,), size=3 << 20)

    def named(self, *indexes: Index) -> list[str]:
        steps = plan([POSTS], COLUMNS, indexes)
        return [step.index for step in steps if step.action == "redundant"]

    def test_shorter_one_is_named_and_left(self) -> None:
        steps = plan([POSTS], COLUMNS, [self.SHORT, GOOD])
        assert actions(steps) == [("keep", "ours"), ("redundant", "short")]
        assert steps[1].statement == ""
        assert "save 3.0 MB" in steps[1].reason

    def test_new_index_may_make_another_superfluous(self) -> None:
        assert self.named(self.SHORT) == ["short"]

    def test_of_twins_one_is_named(self) -> None:
        twin = replace(GOOD, name="a twin", comment="")
        assert self.named(twin, GOOD) == ["a twin"]
        assert self.named(replace(twin, keys=(Key("userid", True, True), DATE_UP)), GOOD) == [
            "a twin"
        ]

    @pytest.mark.parametrize(
        "needed",
        [
            replace(SHORT, unique=True),
            replace(SHORT, constraint=True),
            replace(SHORT, plain=False),
            replace(SHORT, valid=False),
            replace(SHORT, keys=(DATE_DOWN,)),
            replace(SHORT, table="users"),
            replace(SHORT, keys=(Key("userid"), Key("text"))),
        ],
        ids=["unique", "constraint", "partial", "invalid", "other", "table", "longer"],
    )
    def test_what_has_another_use_is_not(self, needed: Index) -> None:
        assert self.named(needed, GOOD) == []


class TestUndo:
    def test_drops_what_was_made_here_and_nothing_else(self) -> None:
        theirs = replace(GOOD, name="theirs", comment="")
        old = Index("off the list", "users", (Key("name"),), comment=MARK)
        steps = undo([POSTS], [PRIMARY, GOOD, theirs, old])
        assert actions(steps) == [("drop", "ours"), ("drop", "off the list")]
        assert steps[0].statement == 'DROP INDEX CONCURRENTLY IF EXISTS "public"."ours"'

    def test_valid_index_of_our_name_without_the_mark_stays_and_is_named(self) -> None:
        (step,) = undo([POSTS], [replace(GOOD, comment="")])
        assert (step.action, step.statement) == ("keep", "")

    def test_what_a_cut_off_build_left_goes_too(self) -> None:
        (step,) = undo([POSTS], [replace(GOOD, comment="", valid=False)])
        assert step.action == "drop"

    def test_build_is_waited_for(self) -> None:
        (step,) = undo([POSTS], [replace(GOOD, comment="", valid=False, building=True)])
        assert (step.action, step.statement) == ("wait", "")


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


class TestEstimate:
    def test_estimate_is_near_what_postgresql_makes(self) -> None:
        """Real sizes, from PostgreSQL 15: a text id with a date, and a date alone."""
        posts = Table({"userid": 6.0, "postdate": 8.0}, rows=300_000)
        assert estimate(POSTS, posts) == pytest.approx(9_486_336, rel=0.03)
        users = Table({"lastpostdate": 8.0}, rows=20_000)
        assert estimate(USERS, users) == pytest.approx(466_944, rel=0.03)

    def test_without_statistics_there_is_none(self) -> None:
        assert estimate(POSTS, Table({"userid": 0, "postdate": 8}, rows=10)) == 0
        assert estimate(POSTS, Table({"userid": 5, "postdate": 8}, rows=-1)) == 0
        assert estimate(POSTS, Table({"userid": 0, "postdate": 0}, rows=0)) == 8192


def applied(steps: Iterable[Step], wishes: list[Wish], indexes: list[Index]) -> list[Index]:
    """What the database holds after the steps; an impossible step fails."""
    by_name, wished = {index.name: index for index in indexes}, {wish.name: wish for wish in wishes}
    for step in steps:
        if step.action == "drop":
            del by_name[step.index]
        elif step.action == "create":
            assert step.index not in by_name
            wish = wished[step.index]
            by_name[step.index] = Index(wish.name, wish.table, wish.keys)
        elif step.action == "mark":
            by_name[step.index] = replace(by_name[step.index], comment=MARK)
    return list(by_name.values())


TABLES = with_columns({"t": ["a", "b", "c"], "u": ["a", "b"]})
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
    undone = {"skip", "wait", "conflict", "redundant"}
    kept = [step for step in again if step.action not in undone]
    assert all(step.action == "keep" for step in kept)
    for wish in wishes:
        if not any(serves(wish, index) for index in after):
            undone -= {"redundant"}
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


PARTITIONED = {
    "posts": replace(
        COLUMNS["posts"],
        partitioned=True,
        partitions=(
            Partition("posts_1", "posts"),
            Partition("posts_2", "posts", partitioned=True),
            Partition("posts_21", "posts_2"),
        ),
    )
}
ROOT = replace(GOOD, valid=False, partitioned=True, comment="")
PART = replace(GOOD, name="ours_posts_1", table="posts_1")


class TestPartitions:
    def test_index_is_put_together_and_only_attached_once_it_is_complete(self) -> None:
        steps = plan([POSTS], PARTITIONED, [])
        assert actions(steps) == [
            ("create", "ours"),
            ("create", "ours_posts_1"),
            ("mark", "ours_posts_1"),
            ("attach", "ours_posts_1"),
            ("create", "ours_posts_2"),
            ("mark", "ours_posts_2"),
            ("create", "ours_posts_21"),
            ("mark", "ours_posts_21"),
            ("attach", "ours_posts_21"),
            ("attach", "ours_posts_2"),
            ("analyze", "posts"),
            ("mark", "ours"),
        ]
        statements = [step.statement for step in steps]
        assert statements[0] == (
            'CREATE INDEX "ours" ON ONLY "public"."posts" ("userid", "postdate" DESC)'
        )
        assert statements[1].startswith('CREATE INDEX CONCURRENTLY "ours_posts_1" ON "public"')
        assert statements[8:10] == [
            'ALTER INDEX "public"."ours_posts_2" ATTACH PARTITION "public"."ours_posts_21"',
            'ALTER INDEX "public"."ours" ATTACH PARTITION "public"."ours_posts_2"',
        ]
        assert [step.index for step in steps if step.brief] == [
            *("ours", "ours_posts_1", "ours_posts_2", "ours_posts_21", "ours_posts_2")
        ]

    def test_part_that_is_attached_under_any_name_is_done(self) -> None:
        theirs = replace(PART, name="theirs", parent="ours", comment="")
        steps = plan([POSTS], PARTITIONED, [ROOT, theirs])
        assert "posts_1" not in {step.table for step in steps}

    def test_invalid_part_is_dropped_or_waited_for(self) -> None:
        broken = replace(PART, valid=False, comment="")
        steps = plan([POSTS], PARTITIONED, [ROOT, broken])
        assert actions(steps)[:2] == [("drop", "ours_posts_1"), ("create", "ours_posts_1")]
        steps = plan([POSTS], PARTITIONED, [ROOT, replace(broken, building=True)])
        assert actions(steps)[0] == ("wait", "ours_posts_1")

    def test_what_cannot_be_repaired_is_a_conflict(self) -> None:
        attached = replace(PART, valid=False, parent="ours")
        (step, *_more) = plan([POSTS], PARTITIONED, [ROOT, attached])
        assert (step.action, "drop ours" in step.reason) == ("conflict", True)
        table = replace(PARTITIONED["posts"], partitions=PARTITIONED["posts"].partitions[:1])
        (step,) = plan([POSTS], {"posts": table}, [ROOT, replace(attached, valid=True)])
        assert (step.action, "drop it" in step.reason) == ("conflict", True)

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({"kind": "foreign table"}, "is a foreign table"),
            ({"schema": "attic"}, "is in the schema attic: move it to public"),
            ({"owner": "boss"}, "is a table of boss"),
        ],
    )
    def test_partition_that_cannot_be_indexed(self, change: dict[str, Any], text: str) -> None:
        first, *others = PARTITIONED["posts"].partitions
        table = replace(PARTITIONED["posts"], partitions=(replace(first, **change), *others))
        (step,) = plan([POSTS], {"posts": table}, [])
        assert (step.action, text in step.reason) == ("conflict", True)

    @pytest.mark.parametrize("engine", ["yugabytedb", "cockroachdb"])
    def test_other_engines_are_refused(self, engine: str) -> None:
        (step,) = plan([POSTS], PARTITIONED, [], engine=engine)
        assert step.action == "conflict"

    def test_name_of_a_part_that_is_taken(self) -> None:
        steps = plan([POSTS], PARTITIONED, [], {"ours_posts_1": "sequence"})
        assert [step.reason for step in steps if step.action == "conflict"] == [
            "a sequence has this name: rename it, or choose another name"
        ]
        assert "ours_posts_1" not in [s.index for s in steps if s.statement]

    def test_names_fit_into_63_bytes(self) -> None:
        long = replace(PARTITIONED["posts"], partitions=(Partition("ø" * 30, "posts"),))
        names = {step.index for step in plan([POSTS], {"posts": long}, [])}
        assert max(len(name.encode()) for name in names) <= 63

    def test_undo_drops_the_whole_and_parts_that_are_not_attached(self) -> None:
        loose = replace(PART, name="ours_posts_21", table="posts_21")
        indexes = [replace(ROOT, comment=MARK), replace(PART, parent="ours"), loose]
        steps = undo([POSTS], indexes, tables=PARTITIONED)
        assert [(step.statement, step.brief) for step in steps] == [
            ('DROP INDEX IF EXISTS "public"."ours"', True),
            ('DROP INDEX CONCURRENTLY IF EXISTS "public"."ours_posts_21"', False),
        ]


@pytest.mark.parametrize("kind", ["view", "materialized view", "foreign table"])
def test_what_is_no_table_is_a_conflict_that_names_its_kind(kind: str) -> None:
    (step,) = plan([POSTS], {}, [], {"posts": kind})
    assert (step.action, f"posts is a {kind}: " in step.reason) == ("conflict", True)
