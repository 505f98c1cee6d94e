# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases as people have them: the plan and the modules that execute it, without the role."""

# ruff: noqa: S608  (all that is put into SQL here stands here)

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.waiting import until

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


TIMEOUTS = ("statement_timeout", "idle_session_timeout", "idle_in_transaction_session_timeout")


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
        "create foreign data wrapper far; create server far foreign data wrapper far;"
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


def timeouts(database: Database) -> list[str]:
    """The timeouts that this version of PostgreSQL has."""
    names = database.sql("select name from pg_settings where name like '%timeout%'").split()
    return [name for name in names if name in (*TIMEOUTS, "transaction_timeout", "lock_timeout")]


class Building:
    """index_build in the background, as the role runs it."""

    def __init__(self, database: Database, steps: list[dict[str, Any]], **arguments: Any) -> None:
        self.result: dict[str, Any] = {}

        def build() -> None:
            self.result = database.build(steps, **arguments)

        self._thread = threading.Thread(target=build)
        self._thread.start()

    def ended(self) -> dict[str, Any]:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.result


WAITS = """
select count(*) from pg_locks as l join pg_stat_activity as a using (pid)
where not l.granted and a.datname = current_database()
and a.application_name = 'bookface.platform.db_optimize'
"""


def test_timeouts_of_the_account_and_the_database_do_not_apply(database: Database) -> None:
    database.seed()
    for name in timeouts(database):
        database.sql(
            f"alter role {OWNER} in database {database.name} set {name} = '100ms';"
            f" alter database {database.name} set {name} = '100ms';"
            f" alter role postgres in database {database.name} set {name} = 0"
        )
    steps = database.plan()
    with database.session("begin; update posts set text = 'held' where postid = 'p1'") as holder:
        building = Building(database, steps, lock_wait=30)
        until(lambda: database.sql(WAITS) == "1", "the build waits")
        # It has waited for much longer than any of the timeouts.
        until(
            lambda: (
                database.sql(
                    "select bool_or(clock_timestamp() - query_start > interval '500 ms')"
                    " from pg_stat_activity where query like 'CREATE INDEX%'"
                )
                == "t"
            ),
            "the build has waited for a while",
        )
        holder.kill()
        assert len(building.ended().get("done", [])) == len(
            [step for step in steps if step["statement"]]
        ), building.result
    assert left(database) == []


def test_session_that_is_ended_leaves_no_invalid_index(database: Database) -> None:
    steps = database.plan()
    with database.session("begin; insert into posts (text) values ('held')") as holder:
        building = Building(database, steps, lock_wait=30)
        until(lambda: database.sql(WAITS) == "1", "the build waits")
        database.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where query like 'CREATE INDEX%'"
        )
        until(
            lambda: "DROP INDEX" in database.sql("select query from pg_stat_activity"),
            "the invalid index is dropped",
        )
        holder.kill()
        message = building.ended()["msg"]
    assert "terminating connection due to administrator command" in message
    assert "The connection to the database was lost" in message
    assert "No invalid index is left behind" in message
    assert building.result["reason"] == "connection_lost"
    assert database.indexes() == {}


VACUUM = "set vacuum_cost_delay = 100; set vacuum_cost_limit = 1; vacuum posts"
MADE = f"set role {OWNER}; create index {POSTS} on posts (userid, postdate desc)"


@contextmanager
def vacuum(database: Database) -> Iterator[None]:
    """A VACUUM that holds posts; an ANALYZE of it holds the same lock."""
    program = database.start(VACUUM)
    held = (
        "select count(*) from pg_locks where relation = 'posts'::regclass and granted"
        " and mode = 'ShareUpdateExclusiveLock'"
    )
    until(lambda: database.sql(held) == "1", "VACUUM holds posts")
    try:
        yield
    finally:
        database.sql(
            "select pg_cancel_backend(pid) from pg_stat_activity where query = 'vacuum posts'"
        )
        program.communicate()


def test_vacuum_is_not_taken_for_a_build(database: Database) -> None:
    """It is named, and so is what is left; a build is waited for."""
    database.seed(posts=20_000)
    database.sql(
        f"{MADE}; reset role;"
        f" update pg_index set indisvalid = false where indexrelid = '{POSTS}'::regclass"
    )
    with vacuum(database):
        steps = database.plan()
        assert [step["action"] for step in steps][:2] == ["drop", "create"]
        found = database.module("index_info", tables=["posts"])
        assert found["building"] is False
        assert "of postgres (psql)" in found["holders"][0]
        message = database.build(steps[:2])["msg"]
    assert "gave up after 2 tries" in message
    assert "(psql)" in message


def test_index_under_a_held_analyze_is_made_and_analyzed_by_the_next_run(
    database: Database,
) -> None:
    database.seed(posts=20_000)
    database.sql(MADE)
    with vacuum(database):
        steps = [step for step in database.plan() if step["statement"]]
        assert [step["action"] for step in steps if step["table"] == "posts"] == ["analyze", "mark"]
        message = database.build(steps)["msg"]
    assert "analyze posts: gave up after 2 tries" in message
    assert "The indexes are made and serve; the next run analyzes the table" in message
    assert "mark bookface_pictures_by_id" in message
    steps = [step for step in database.plan() if step["statement"]]
    assert [step["action"] for step in steps] == ["analyze", "mark"]
    assert "done" in database.build(steps)
    assert left(database) == []
