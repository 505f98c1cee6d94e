"""Where the question depends on the engine and its version. The answers are asked for in
tests/integration/database."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.database.catalogue import (
    catalogue,
    leftover,
    progress,
)

VIEW = "pg_stat_progress_create_index"


@pytest.mark.parametrize("question", [catalogue, leftover, progress])
def test_yugabytedb_is_asked_for_builds_and_not_for_locks(question) -> None:  # type: ignore[no-untyped-def]
    text = question("yugabytedb", 150012)
    assert VIEW in text
    assert "pg_locks" not in text


@pytest.mark.parametrize("question", [catalogue, leftover, progress])
def test_view_of_builds_is_not_asked_before_it_came(question) -> None:  # type: ignore[no-untyped-def]
    assert VIEW not in question("postgresql", 110022)
    assert "pg_locks" in question("postgresql", 110022)
    assert VIEW in question("postgresql", 120000)
