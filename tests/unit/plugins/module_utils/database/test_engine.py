"""Engines, by what their documentation shows as their answer to select version()."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.database.engine import (
    EngineError,
    engine,
)


@pytest.mark.parametrize(
    ("text", "name", "version"),
    [
        ("PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64", "postgresql", "15.18"),
        ("PostgreSQL 9.6.24 on x86_64", "postgresql", "9.6.24"),
        ("PostgreSQL 17beta1 on x86_64", "postgresql", "17beta1"),
        ("PostgreSQL 11.2-YB-2.20.1.3-b0 on x86_64-pc-linux-gnu", "yugabytedb", "2.20.1.3-b0"),
        ("CockroachDB CCL v23.1.11 (x86_64-pc-linux-gnu, built 2023)", "cockroachdb", "23.1.11"),
        ("CockroachDB OSS v2.1.0 (x86_64)", "cockroachdb", "2.1.0"),
    ],
)
def test_known(text: str, name: str, version: str) -> None:
    assert engine(text) == (name, version)


@pytest.mark.parametrize("text", ["", "8.0.32", "PostgreSQL 8.0.2 on i686, Redshift 1.0.6", "x 15"])
def test_unknown(text: str) -> None:
    with pytest.raises(EngineError, match="Supported are PostgreSQL"):
        engine(text)
