"""Indexes and tables as the catalogue and users give them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.database.indexes import (
    Key,
    PlanError,
    read_index,
    read_table,
    read_wish,
)

from .examples import (
    GOOD,
    ROW,
)


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
            ({"name": "i"}, "expected name, table"),
            ({"name": "i", "table": "t", "columns": ["a"]}, "nothing else"),
            ({"name": "i", "table": "t"}, "at least one column"),
            ({"name": "i", "table": "t", "equal": ["a"], "order": ["a desc"]}, "each of them once"),
            ({"name": "i", "table": "t", "equal": "a"}, "to be lists"),
            (
                {"name": "i", "table": "t", "order": ["a sideways"]},
                "not a column, optionally followed by asc or desc",
            ),
            ({"name": "i" * 64, "table": "t", "equal": ["a"]}, "longer than 63"),
        ],
    )
    def test_wish_that_makes_no_sense(self, wish: dict[str, Any], message: str) -> None:
        with pytest.raises(PlanError, match=message):
            read_wish(wish)

    def test_direction_in_any_case(self) -> None:
        wish = read_wish({"name": "i", "table": "t", "order": [" a  DESC", "b asc", "c"]})
        assert wish.order == (Key("a", True, True), Key("b"), Key("c"))

    @pytest.mark.parametrize("field", ["columns", "rows", "owned"])
    def test_table_without_a_field(self, field: str) -> None:
        data = {"columns": {}, "rows": 1, "size": 1, "owned": True, "owner": "x", "join": ""}
        data |= {"partitioned": False, "partitions": []}
        del data[field]
        with pytest.raises(PlanError, match="is no table"):
            read_table(data)
