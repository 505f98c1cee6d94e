# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which engine of the PostgreSQL family answers, by its C(select version())."""

from __future__ import annotations

import re

POSTGRESQL, YUGABYTEDB, COCKROACHDB = "postgresql", "yugabytedb", "cockroachdb"

# YugabyteDB calls itself PostgreSQL too, so it is looked for first.
_ENGINES = (
    (COCKROACHDB, re.compile(r"^CockroachDB .*?v(\d[\w.-]*)")),
    (YUGABYTEDB, re.compile(r"^PostgreSQL \S+-YB-(\d[\w.-]*)")),
    (POSTGRESQL, re.compile(r"^PostgreSQL (1\d[\w.-]*|9\.[56][\w.-]*|[2-9]\d[\w.-]*)")),
)


class EngineError(ValueError):
    """The answer of an engine that is not supported."""


def engine(text: str) -> tuple[str, str]:
    """Name and version."""
    for name, pattern in _ENGINES:
        found = pattern.match(text)
        if found:
            return name, found.group(1)
    raise EngineError(
        f"it identifies itself as '{text}'. Supported are PostgreSQL 9.5 and later, YugabyteDB and"
        " CockroachDB"
    )
