# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a statement reads in the dialect of an engine. Which one is needed is left to the plan."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.bookface.platform.plugins.module_utils.database.engine import (
    COCKROACHDB,
    POSTGRESQL,
    YUGABYTEDB,
)
from ansible_collections.bookface.platform.plugins.module_utils.database.indexes import (
    MARK,
    Key,
    PlanError,
    Wish,
)


@dataclass(frozen=True)
class Postgresql:
    """Statements of PostgreSQL. Those with CONCURRENTLY must run outside a transaction."""

    schema: str
    # Whether an index on a partitioned table can be put together from those of its partitions.
    partitions = True

    def keys(self, wish: Wish) -> tuple[Key, ...]:
        """The columns as the index has them."""
        return wish.keys

    def create(self, wish: Wish) -> str:
        """Builds while reads and writes continue."""
        return f"CREATE INDEX CONCURRENTLY {quote(wish.name)} ON {self._on(wish)}"

    def create_parent(self, wish: Wish) -> str:
        """The index of a partitioned table, to which those of its partitions are to be attached."""
        return f"CREATE INDEX {quote(wish.name)} ON ONLY {self._on(wish)}"

    def attach(self, parent: str, name: str) -> str:
        """Makes the index of a partition a part of its parent's."""
        return f"ALTER INDEX {self._of(parent)} ATTACH PARTITION {self._of(name)}"

    def drop_parent(self, name: str) -> str:
        """With all that is attached to it; there is no online way."""
        return f"DROP INDEX IF EXISTS {self._of(name)}"

    def drop(self, table: str, name: str) -> str:
        """Waits for readers instead of blocking them."""
        return f"DROP INDEX CONCURRENTLY IF EXISTS {self._index(table, name)}"

    def mark(self, table: str, name: str) -> str:
        """Marks it as ours."""
        return f"COMMENT ON INDEX {self._index(table, name)} IS '{MARK}'"

    def analyze(self, table: str) -> str:
        """Statistics for the planner."""
        return f"ANALYZE {self._of(table)}"

    def _on(self, wish: Wish) -> str:
        return f"{self._of(wish.table)} ({', '.join(map(self._key, self.keys(wish)))})"

    def _of(self, name: str) -> str:
        return f"{quote(self.schema)}.{quote(name)}"

    def _index(self, table: str, name: str) -> str:
        return self._of(name)

    def _key(self, key: Key) -> str:
        return quote(key.column) + str(key)[len(key.column) :].upper()


class Yugabytedb(Postgresql):
    """Statements of YugabyteDB.

    Equality columns are distributed over the tablets by hash, sort columns are kept in order. ASC
    is explicit, because the first column would be hashed otherwise. DROP has no CONCURRENTLY and
    needs none.
    """

    partitions = False

    def keys(self, wish: Wish) -> tuple[Key, ...]:
        """Equality columns hashed, the others in order."""
        return (*(Key(column, hashed=True) for column in wish.equal), *wish.order)

    def create(self, wish: Wish) -> str:
        """The hash has all its columns in one pair of brackets."""
        parts = [self._key(key) for key in wish.order]
        if wish.equal:
            names = ", ".join(map(quote, wish.equal))
            parts.insert(0, f"({names}) HASH" if len(wish.equal) > 1 else f"{names} HASH")
        return (
            f"CREATE INDEX CONCURRENTLY {quote(wish.name)}"
            f" ON {self._of(wish.table)} ({', '.join(parts)})"
        )

    def drop(self, table: str, name: str) -> str:
        """Online by itself."""
        return f"DROP INDEX IF EXISTS {self._index(table, name)}"

    def _key(self, key: Key) -> str:
        text = super()._key(key)
        return text if key.descending else text.replace(name := quote(key.column), f"{name} ASC", 1)


class Cockroachdb(Postgresql):
    """Statements of CockroachDB: every change of the schema is online, an index is of a table."""

    partitions = False

    def create(self, wish: Wish) -> str:
        """Online by itself; CONCURRENTLY would be accepted and ignored."""
        return super().create(wish).replace(" CONCURRENTLY", "", 1)

    def drop(self, table: str, name: str) -> str:
        """Online by itself."""
        return f"DROP INDEX IF EXISTS {self._index(table, name)}"

    def _index(self, table: str, name: str) -> str:
        return f"{self._of(table)}@{quote(name)}"

    def _key(self, key: Key) -> str:
        return quote(key.column) + (" DESC" if key.descending else "")


DIALECTS: dict[str, type[Postgresql]] = {
    POSTGRESQL: Postgresql,
    YUGABYTEDB: Yugabytedb,
    COCKROACHDB: Cockroachdb,
}


def dialect_of(engine: str, schema: str) -> Postgresql:
    """The dialect of an engine, by its name."""
    if engine not in DIALECTS:
        raise PlanError(
            f"the engine {engine} is not supported; supported are {', '.join(DIALECTS)}."
        )
    return DIALECTS[engine](schema)


def quote(name: str) -> str:
    """A name as SQL requires it, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'
