# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a page's traffic came from: what the map says of it, and what it is to say."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.origin import (
    Origin,
    find_origin,
    kept_origin,
    with_origin,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.record import Move
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.text("abc-", min_size=1)
INTO = Move("legacy", "page")
OUT_OF = Move("page", "docker", "legacy")


@pytest.mark.parametrize(
    ("move", "recorded", "kept", "rollback", "origin"),
    [
        (INTO, None, None, False, "legacy"),
        # An older record, and an entry that was left, say nothing of this switch.
        (INTO, Move("docker", "page"), "docker", False, "legacy"),
        (Move("docker", "page"), OUT_OF, None, False, "docker"),
        # It undoes the switch away from the page.
        (Move("docker", "page"), OUT_OF, None, True, "legacy"),
        # The page has the traffic already.
        (None, INTO, None, False, "legacy"),
        (None, OUT_OF, None, False, "legacy"),
        (None, Move("legacy", "docker"), "legacy", False, "legacy"),
        (None, None, None, False, "page"),
        (None, Move("page", "docker"), None, True, "page"),
    ],
)
def test_where_the_traffic_came_from(
    move: Move | None, recorded: Move | None, kept: str | None, rollback: bool, origin: str
) -> None:
    assert find_origin("page", move, recorded, kept, rollback) == origin


def test_the_file_keeps_what_is_not_the_frontends() -> None:
    text = "# c\nf a\n\nother b\nf second\n"
    assert kept_origin(text, "f") == "a"
    assert with_origin(text, "f", "d") == "# c\n\nother b\nf d\n"
    assert with_origin(text, "f", None) == "# c\n\nother b\n"
    assert with_origin("", "f", None) == ""


@given(st.dictionaries(NAMES, NAMES), NAMES, NAMES)
def test_what_is_written_is_read(others: dict[str, str], frontend: str, backend: str) -> None:
    text = "".join(f"{key} {value}\n" for key, value in others.items())
    written = with_origin(text, frontend, backend)
    assert kept_origin(written, frontend) == backend
    assert with_origin(written, frontend, backend) == written
    assert kept_origin(with_origin(written, frontend, None), frontend) is None
    for key in others.keys() - {frontend}:
        assert kept_origin(written, key) == others[key]


@pytest.mark.parametrize(
    ("on_disk", "live", "wanted", "changed"),
    [
        (None, (), None, False),
        ("a", (("f", "a"),), "a", False),
        ("a", None, "a", False),
        ("a", (), "a", True),
        (None, (("f", "a"),), None, True),
        ("b", (("f", "a"),), "a", True),
        (None, None, "a", True),
    ],
)
def test_whether_it_changes(
    on_disk: str | None, live: tuple[tuple[str, str], ...] | None, wanted: str | None, changed: bool
) -> None:
    assert Origin("f", "/o", "/o", on_disk, live, wanted).changed is changed
