"""Tables and indexes that the tests of this directory share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.database.indexes import (
    MARK,
    Index,
    Key,
    Table,
    read_wish,
)


def with_columns(names: Mapping[str, Iterable[str]], **more: Any) -> dict[str, Table]:
    return {table: Table(dict.fromkeys(columns, 8.0), **more) for table, columns in names.items()}


COLUMNS = with_columns(
    {
        "posts": ["postid", "userid", "text", "postdate"],
        "users": ["userid", "name", "lastpostdate"],
    },
    rows=1_000_000,
)
POSTS = read_wish(
    {"name": "ours", "table": "posts", "equal": ["userid"], "order": ["postdate desc"]}
)
USERS = read_wish({"name": "recent", "table": "users", "order": ["lastpostdate desc"]})
PRIMARY = Index("posts_pkey", "posts", (Key("postid"),), constraint=True)
DATE_DOWN, DATE_UP = Key("postdate", True, True), Key("postdate")
USER = Key("userid")
GOOD = Index("ours", "posts", (USER, DATE_DOWN), comment=MARK)


# As catalogue.sql gives it on PostgreSQL 15.
ROW: dict[str, Any] = {
    "name": "bookface_posts_of_user",
    "table": "posts",
    "columns": ["userid", "postdate"],
    "options": [0, 3],
    "plain": True,
    "valid": True,
    "building": False,
    "partitioned": False,
    "parent": "",
    "constraint": False,
    "unique": False,
    "size": 0,
    "comment": MARK,
    "definition": "CREATE INDEX bookface_posts_of_user ON public.posts USING btree (…)",
}
