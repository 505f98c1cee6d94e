# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables, indexes and the indexes that queries need, and how to read them from a catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# The comment that marks an index as built by the role.
MARK = "Made by bookface.platform.db_optimize."


class PlanError(ValueError):
    """A wish or a catalogue that does not make sense."""


@dataclass(frozen=True)
class Key:
    """A column of an index with its direction. C(hashed): distributed by hash, without one."""

    column: str
    descending: bool = False
    nulls_first: bool = False
    hashed: bool = False

    def __str__(self) -> str:
        if self.hashed:
            return f"{self.column} hash"
        text = self.column + (" desc" if self.descending else "")
        if self.nulls_first != self.descending:  # NULLs count as the largest values
            text += " nulls first" if self.nulls_first else " nulls last"
        return text

    @property
    def mirrored(self) -> Key:
        """The same column as a backward scan reads it."""
        return Key(self.column, not self.descending, not self.nulls_first)


@dataclass(frozen=True)
class Partition:
    """A partition of a table, or of a partition (C(parent)), which may itself be C(partitioned).

    C(owner) is empty if the account may create indexes on it.
    """

    name: str
    parent: str
    partitioned: bool = False
    kind: str = "table"
    schema: str = ""
    owner: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the database.

    C(columns) maps each one to its average width in bytes, 0 without statistics. C(rows) is an
    estimate, negative if the table was never analyzed. C(owner) is empty if the account may create
    indexes on the table, else the account that may; C(join) is the statement that gives the account
    the rights of an owner that cannot log in. C(partitions) are those on all levels.
    """

    columns: Mapping[str, float]
    rows: float = -1
    size: int = 0
    owner: str = ""
    join: str = ""
    partitioned: bool = False
    partitions: tuple[Partition, ...] = ()


@dataclass(frozen=True)
class Wish:
    """An index that queries need: they compare C(equal) columns with a value and sort by C(order).

    C(cost) says what it costs besides disk space.
    """

    name: str
    table: str
    equal: tuple[str, ...] = ()
    order: tuple[Key, ...] = ()
    cost: str = ""

    @property
    def keys(self) -> tuple[Key, ...]:
        """The columns of the index, in order."""
        return (*(Key(column) for column in self.equal), *self.order)


@dataclass(frozen=True)
class Index:
    """An index as the catalogue has it.

    C(plain) is false for an index that not every query on its columns can use: with a condition,
    an expression, a method other than btree, or another operator class or collation than the
    column's own. C(building) is true while a session may be building it: dropping it would wait
    for that session, and then drop a valid index. C(partitioned): the index of a partitioned table,
    which is valid once those of all partitions are attached to it. C(parent) is the one that it is
    attached to.
    """

    name: str
    table: str
    keys: tuple[Key, ...]
    plain: bool = True
    valid: bool = True
    building: bool = False
    constraint: bool = False
    unique: bool = False
    comment: str = ""
    size: int = 0
    partitioned: bool = False
    parent: str = ""

    @property
    def ours(self) -> bool:
        """Whether it carries the mark."""
        return self.comment == MARK


def columns_of(what: Wish | Index) -> str:
    """Its table and columns, for people."""
    return f"{what.table} ({', '.join(map(str, what.keys))})"


def read_wish(data: Mapping[str, Any]) -> Wish:
    """A wish from C(name), C(table), C(equal), C(order) ("column" or "column desc"), C(cost)."""
    unknown = set(data) - {"name", "table", "equal", "order", "cost"}
    if unknown or not data.get("name") or not data.get("table"):
        raise PlanError(
            f"{dict(data)} is no index: expected name, table, equal, order and cost, nothing else."
        )
    equal, order = data.get("equal") or (), data.get("order") or ()
    if isinstance(equal, str) or isinstance(order, str):
        raise PlanError(f"expected equal and order of {data['name']} to be lists of columns.")
    wish = Wish(
        str(data["name"]),
        str(data["table"]),
        tuple(map(str, equal)),
        tuple(map(_read_key, order)),
        str(data.get("cost") or ""),
    )
    names = [key.column for key in wish.keys]
    if not names or len(set(names)) != len(names):
        raise PlanError(f"expected {wish.name} to have at least one column, and each of them once.")
    if len(wish.name.encode()) > 63:
        raise PlanError(f"the name {wish.name} is longer than 63 bytes.")
    return wish


def _read_key(text: str) -> Key:
    column, _dummy, direction = str(text).strip().partition(" ")
    direction = direction.strip().lower()
    if not column or direction not in ("", "asc", "desc"):
        raise PlanError(f"'{text}' is not a column, optionally followed by asc or desc.")
    return Key(column, direction == "desc", direction == "desc")


def read_index(data: Mapping[str, Any]) -> Index:
    """An index from a row of the catalogue: C(columns) and C(options), and the other fields."""
    try:
        keys = tuple(
            Key(str(column), bool(int(option) & 1), bool(int(option) & 2), bool(int(option) & 4))
            for column, option in zip(data["columns"], data["options"])
        )
        return Index(
            name=str(data["name"]),
            table=str(data["table"]),
            keys=keys,
            plain=bool(data["plain"]),
            valid=bool(data["valid"]),
            building=bool(data["building"]),
            constraint=bool(data["constraint"]),
            unique=bool(data["unique"]),
            comment=str(data["comment"] or ""),
            size=int(data["size"] or 0),
            partitioned=bool(data["partitioned"]),
            parent=str(data["parent"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PlanError(f"{dict(data)} is no index: {error!r}") from error


def read_table(data: Mapping[str, Any]) -> Table:
    """A table from the catalogue."""
    try:
        return Table(
            columns={
                str(name): float(column["width"] or 0) for name, column in data["columns"].items()
            },
            rows=float(data["rows"]),
            size=int(data["size"] or 0),
            owner="" if data["owned"] else str(data["owner"]),
            join=str(data["join"]),
            partitioned=bool(data["partitioned"]),
            partitions=tuple(Partition(**partition) for partition in data["partitions"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PlanError(f"{data} is no table: {error!r}") from error
