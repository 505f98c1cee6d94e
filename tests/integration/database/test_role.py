# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role does where nothing is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from workalike.support import Cluster, free_port

from .conftest import INDEXES, MARK, Database, run


def test_life_of_the_indexes(
    cluster: Cluster, make: Callable[[Cluster], Database], tmp_path: Path
) -> None:
    """Make, look, make again, undo. Beside it a database where others have left things."""
    life, others, virgin = make(cluster), make(cluster), make(cluster)
    for database in (life, others, virgin):
        database.seed()
    others.sql(
        "set role bfowner; create index theirs on comments (postid, postdate desc);"
        " create index theirs_too on comments (postid, postdate);"
        " create index short on posts (userid);"
        " create index bookface_pictures_by_id_ccnew1 on pictures (pictureid);"
        " create index bookface_users_by_last_post on users (lastpostdate desc);"
        " reset role; update pg_index set indisvalid = false where indexrelid in"
        " ('bookface_pictures_by_id_ccnew1'::regclass, 'bookface_users_by_last_post'::regclass)"
    )

    made = run(tmp_path, {"life": life.variables(), "others": others.variables()})
    assert made.code == 0, made.output
    assert life.indexes() == dict.fromkeys(INDEXES, (True, MARK))
    assert "create bookface_posts_of_user: " in made.text
    assert "(expected about" in made.text
    # Invalid ones have gone, what serves is accepted, what is superfluous is named and stays.
    assert "redundant short: posts (userid, postdate desc) of bookface_posts_of_user" in made.text
    found = others.indexes()
    assert all(valid for valid, _comment in found.values())
    kept = {"theirs", "theirs_too", "short"}
    assert found.keys() == (INDEXES - {"bookface_comments_of_post"}) | kept

    absent = life.variables(db_optimize_state="absent")
    hosts = {"life": absent, "virgin": virgin.variables()}
    nobody = virgin.variables(db_optimize_port=free_port())
    wrong = virgin.variables(db_optimize_password="wrong")  # noqa: S106
    checked = run(tmp_path, {**hosts, "nobody": nobody, "wrong": wrong}, "--check", "--diff")
    assert "password authentication failed" in checked.message("wrong")
    assert {host for host in ("life", "virgin", "nobody") if checked.count("failed", host)} == set()
    assert {checked.count("changed", host) for host in hosts} == {1}
    assert checked.count("changed", "nobody") == 0
    assert "would be planned and built, once it answers. No connection to 127.0.0.1" in checked.text
    assert virgin.indexes() == {}
    assert len(life.indexes()) == 4
    for text in (
        "create bookface_posts_of_user: no valid index serves posts (userid, postdate desc); it",
        'CREATE INDEX CONCURRENTLY \\"bookface_pictures_by_id\\"',
        'DROP INDEX CONCURRENTLY IF EXISTS \\"public\\".\\"bookface_pictures_by_id\\"',
        "no HOT updates",
        "about 2000 rows, ids are text",
    ):
        assert text in checked.text, text

    life.sql("create index theirs on posts (userid)")
    again = run(tmp_path, {"life": absent, "others": others.variables()})
    assert again.code == 0, again.output
    assert again.count("changed", "others") == 0
    assert life.indexes() == {"theirs": (True, "")}
    assert "Measure the queries" not in again.text  # the report runs with its tag only
    others.sql("drop table users, posts, comments, pictures")
    gone = others.variables(db_optimize_state="absent")
    twice = run(tmp_path, {"life": absent, "others": gone})
    assert twice.code == 0, twice.output
    assert {twice.count("changed", host) for host in ("life", "others")} == {0}


def test_report(database: Database) -> None:
    """Only when asked for; says which index serves, and that it is faster."""
    database.seed(posts=30_000)
    database.sql(
        "create index bookface_posts_of_user on posts (userid, postdate desc);"
        " create index bookface_comments_of_post on comments (postid, postdate);"
    )
    # Without indexes this one takes longer than it may.
    database.sql(
        "alter table pictures enable row level security, force row level security;"
        " create policy slow on pictures for select using ("
        "case current_setting('enable_indexscan') when 'off' then pg_sleep(2) is not null"
        " else true end)"
    )
    directory = database.directory / "report"
    ended = database.run(
        "--tags", "report", db_optimize_report=str(directory), db_optimize_report_timeout=1
    )
    assert ended.code == 0, ended.output
    report = json.loads((directory / "report.json").read_text())
    assert "Index Scan bookface_posts_of_user → Limit" in (directory / "report.md").read_text()
    assert report["faster"]["latest post of a user"] > 2, report
    assert len(report["rows"]) == 10
    given_up = [row for row in report["rows"] if row["runs"] == 0]
    assert [(row["query"], row["how"]) for row in given_up] == [("a picture", "without")]
    assert "more than 1 s, given up" in (directory / "report.md").read_text()
    assert "Seq Scan" in report["rows"][2]["plan"]
    assert {path.name for path in directory.iterdir()} == {
        "report.md",
        "report.json",
        "report.svg",
    }
    # The report alone: nothing is made.
    assert set(database.indexes()) == {"bookface_posts_of_user", "bookface_comments_of_post"}
