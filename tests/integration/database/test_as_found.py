# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases as people have them: the plan and the modules that execute it, without the role."""

# ruff: noqa: S608  (all that is put into SQL here stands here)

from __future__ import annotations

from .conftest import INDEXES, MARK, OWNER, Database

DONE = {"keep", "skip", "redundant"}
PARTITIONED = f"""
set role {OWNER};
alter table posts rename to old_posts;
create table posts (like old_posts including defaults) partition by range (postdate);
create table posts_before partition of posts for values from (minvalue) to ('2020-01-01')
  partition by list (userid);
create table posts_before_u1 partition of posts_before for values in ('u1');
create table posts_before_rest partition of posts_before default;
create table posts_after partition of posts for values from ('2020-01-01') to (maxvalue);
insert into posts select * from old_posts;
insert into posts (postid, userid, text, postdate) values ('old', 'u1', 'old', '2019-01-01');
drop table old_posts;
"""
POSTS = "bookface_posts_of_user"
PARTS = {POSTS} | {
    f"{POSTS}_posts_{part}" for part in ("after", "before", "before_u1", "before_rest")
}


def left(database: Database) -> list[str]:
    """What the plan has still to do."""
    return [step["text"] for step in database.plan() if step["action"] not in DONE]


def test_partitioned_table(database: Database) -> None:
    """Its index is put together online, is completed after a run that was cut off, and goes."""
    database.seed()
    database.sql(PARTITIONED)
    steps = database.plan()
    statements = [step["statement"] for step in steps if step["statement"]]
    assert 'CREATE INDEX "bookface_posts_of_user" ON ONLY "public"."posts"' in statements[0]
    # Cut off after some steps: the next plan is what is left.
    for number in (1, 3, 4, None):
        todo = [step for step in steps if step["statement"]]
        result = database.build(todo[:number])
        assert "done" in result, result
        steps = database.plan()
        assert not any(step["action"] in ("conflict", "wait", "drop") for step in steps), steps
    assert database.indexes() == dict.fromkeys(INDEXES | PARTS, (True, MARK))
    plan = database.sql(
        "set enable_seqscan = off;"
        " explain select * from posts where userid = 'u1' order by postdate desc limit 1"
    )
    assert "posts_after_pkey" not in plan
    assert f"{POSTS}_posts_after" in plan, plan
    # A partition that is added has its index at once.
    database.sql(
        f"set role {OWNER}; alter table posts detach partition posts_after;"
        " create table posts_later partition of posts for values from ('2020-01-01') to (maxvalue)"
    )
    assert left(database) == []
    result = database.build([step for step in database.plan("absent") if step["statement"]])
    assert "done" in result, result
    assert database.indexes() == {}


def test_partition_with_a_build_that_was_cut_off(database: Database) -> None:
    database.seed()
    database.sql(PARTITIONED)
    part = f"{POSTS}_posts_after"
    database.sql(
        f"set role {OWNER}; create index {POSTS} on only posts (userid, postdate desc);"
        f" create index {part} on posts_after (userid, postdate desc); reset role;"
        f" update pg_index set indisvalid = false where indexrelid = '{part}'::regclass"
    )
    steps = database.plan()
    assert [step["index"] for step in steps if step["action"] == "drop"] == [part]
    result = database.build(steps)
    assert "done" in result, result
    assert left(database) == []
    assert database.indexes() == dict.fromkeys(INDEXES | PARTS, (True, MARK))


def test_writes_do_not_queue_up_behind_the_index_of_a_partitioned_table(
    database: Database,
) -> None:
    """The statements that lock all out wait for half a second at a time."""
    database.seed()
    database.sql(PARTITIONED)
    steps = [step for step in database.plan() if step["table"] == "posts"][:1]
    assert steps[0]["brief"]
    with database.session("begin; update posts set text = 'held' where postid = 'p1'"):
        result = database.build(steps)
        assert (
            "gave up after 2 tries, each of which waited for another session half a second"
            in (result["msg"])
        )
        assert "(psql)" in result["msg"]
    assert database.indexes() == {}


def test_partitions_that_serve_are_accepted(database: Database) -> None:
    database.sql(PARTITIONED)
    database.sql(
        f"set role {OWNER}; create index a on posts_before (userid, postdate);"
        " create index b on posts_after (userid, postdate desc)"
    )
    (kept,) = [step for step in database.plan() if step["table"] == "posts"]
    assert (kept["action"], "each partition has" in kept["reason"]) == ("keep", True)


def test_what_cannot_be_indexed_is_named(database: Database) -> None:
    database.sql(
        "create extension postgres_fdw; create server far foreign data wrapper postgres_fdw;"
        " alter table posts rename to real_posts; create view posts as select * from real_posts;"
        " alter table users rename to real_users;"
        " create materialized view users as select * from real_users;"
        " drop table pictures; create foreign table pictures (pictureid varchar(300)) server far;"
        " alter table comments rename to old; create table comments (like old)"
        " partition by range (postdate);"
        " create foreign table comments_far partition of comments default server far"
    )
    assert {step["index"]: step["reason"] for step in database.plan()} == {
        POSTS: "posts is a view: index the tables that it reads, or leave it out of the list",
        "bookface_comments_of_post": "its partition comments_far is a foreign table: detach it,"
        " or index the others by hand",
        "bookface_users_by_last_post": "users is a materialized view: index it by hand, or leave it"
        " out of the list",
        "bookface_pictures_by_id": "pictures is a foreign table: index it on the server that has"
        " it, or leave it out of the list",
    }
    assert {step["action"] for step in database.plan()} == {"conflict"}
