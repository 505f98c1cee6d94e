"""Statements in the dialects of the engines."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.bookface.platform.plugins.module_utils.database.dialects import quote
from ansible_collections.bookface.platform.plugins.module_utils.database.indexes import (
    MARK,
    Index,
    Key,
    Wish,
    read_index,
    read_table,
)
from ansible_collections.bookface.platform.plugins.module_utils.database.plan import (
    plan,
    serves,
    undo,
)

from .examples import (
    COLUMNS,
    DATE_DOWN,
    DATE_UP,
    GOOD,
    POSTS,
    ROW,
    USERS,
)
from .test_plan import actions


def test_names_are_quoted() -> None:
    assert quote('a"b') == '"a""b"'


# The catalogues and statements of these two are made from the engines' documentation: neither
# engine runs in these tests.
class TestYugabytedb:
    def test_what_is_fixed_is_hashed_and_what_is_read_is_ordered(self) -> None:
        recent = replace(USERS, order=(Key("lastpostdate"),))
        steps = plan([POSTS, USERS], COLUMNS, [], schema="s", engine="yugabytedb")
        assert [step.statement for step in steps] == [
            'CREATE INDEX CONCURRENTLY "ours" ON "s"."posts" ("userid" HASH, "postdate" DESC)',
            'CREATE INDEX CONCURRENTLY "recent" ON "s"."users" ("lastpostdate" DESC)',
            'ANALYZE "s"."posts"',
            'ANALYZE "s"."users"',
            f'COMMENT ON INDEX "s"."ours" IS \'{MARK}\'',
            f'COMMENT ON INDEX "s"."recent" IS \'{MARK}\'',
        ]
        (first, *_) = plan([recent], COLUMNS, [], engine="yugabytedb")
        assert first.statement.endswith('("lastpostdate" ASC)')

    def test_columns_are_hashed_together(self) -> None:
        wish = Wish("w", "posts", ("userid", "text"), (DATE_UP,))
        (first, *_) = plan([wish], COLUMNS, [], engine="yugabytedb")
        assert first.statement.endswith('(("userid", "text") HASH, "postdate" ASC)')

    def test_drop_is_without_concurrently(self) -> None:
        (step,) = undo([POSTS], [GOOD], engine="yugabytedb")
        assert step.statement == 'DROP INDEX IF EXISTS "public"."ours"'

    def test_catalogue(self) -> None:
        hashed = read_index({**ROW, "options": [4, 3], "name": "ours"})
        assert hashed.keys == (Key("userid", hashed=True), DATE_DOWN)
        (step,) = plan([POSTS], COLUMNS, [hashed], engine="yugabytedb")
        assert step.action == "keep"
        assert "posts (userid hash, postdate desc)" in step.reason
        bare = replace(hashed, comment="")
        assert actions(plan([POSTS], COLUMNS, [bare], engine="yugabytedb")) == [
            ("analyze", "posts"),
            ("mark", "ours"),
        ]

    def test_hash_of_more_columns_does_not_serve_fewer(self) -> None:
        both = Index("both", "posts", (Key("userid", hashed=True), Key("postdate", hashed=True)))
        assert not serves(POSTS, both)
        assert not serves(Wish("w", "posts", ("userid",)), both)
        assert serves(Wish("w", "posts", ("postdate", "userid")), both)


class TestCockroachdb:
    def test_statements(self) -> None:
        steps = plan([POSTS], COLUMNS, [], engine="cockroachdb")
        assert [step.statement for step in steps] == [
            'CREATE INDEX "ours" ON "public"."posts" ("userid", "postdate" DESC)',
            'ANALYZE "public"."posts"',
            f'COMMENT ON INDEX "public"."posts"@"ours" IS \'{MARK}\'',
        ]

    def test_drop_names_the_table(self) -> None:
        (step,) = undo([POSTS], [GOOD], engine="cockroachdb")
        assert step.statement == 'DROP INDEX IF EXISTS "public"."posts"@"ours"'

    def test_catalogue(self) -> None:
        row = {**ROW, "size": 0, "definition": "", "comment": ""}
        integers = {"width": 0, "type": "bigint"}
        table = read_table(
            {
                "columns": {"userid": integers, "postdate": integers},
                "rows": -1,
                "size": 0,
                "owned": True,
                "owner": "",
                "join": "",
                "partitioned": False,
                "partitions": [],
                "analyzed_seconds": None,
            }
        )
        steps = plan([POSTS], {"posts": table}, [read_index(row)], engine="cockroachdb")
        assert actions(steps) == [("keep", "bookface_posts_of_user")]
