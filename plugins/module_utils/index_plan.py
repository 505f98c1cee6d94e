# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which statements turn the indexes that a database has into the ones that its queries need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

POSTGRESQL = "postgresql"
# The comment by which an index is known as made here.
MARK = "Made by bookface.platform.db_optimize."


class PlanError(ValueError):
    """A wish or a catalogue that no plan can be made from."""


@dataclass(frozen=True)
class Key:
    """A column of an index with its direction."""

    column: str
    descending: bool = False
    nulls_first: bool = False

    def __str__(self) -> str:
        text = self.column + (" desc" if self.descending else "")
        if self.nulls_first != self.descending:  # NULLs count as the largest values
            text += " nulls first" if self.nulls_first else " nulls last"
        return text

    @property
    def mirrored(self) -> Key:
        """The same column as a scan backwards meets it."""
        return Key(self.column, not self.descending, not self.nulls_first)


@dataclass(frozen=True)
class Wish:
    """An index that queries need: they fix the C(equal) columns and read along C(order)."""

    name: str
    table: str
    equal: tuple[str, ...] = ()
    order: tuple[Key, ...] = ()

    @property
    def keys(self) -> tuple[Key, ...]:
        """The columns of the index, in order."""
        return (*(Key(column) for column in self.equal), *self.order)


@dataclass(frozen=True)
class Index:
    """An index as the catalogue has it.

    C(plain) is false for an index that not every query on its columns can use: with a condition,
    an expression, a method other than btree, or another operator class or collation than the
    column's own. C(building) is true while a session may be at work on it: dropping it would wait
    for that session, and then drop what has become valid.
    """

    name: str
    table: str
    keys: tuple[Key, ...]
    plain: bool = True
    valid: bool = True
    building: bool = False
    constraint: bool = False
    comment: str = ""

    @property
    def ours(self) -> bool:
        """Whether it was made here."""
        return self.comment == MARK


@dataclass(frozen=True)
class Step:
    """One line of the plan. Without a C(statement) there is nothing to do.

    C(action) is create, drop, mark, analyze (to be executed), keep or skip (all is well, or not for
    this database), or wait or conflict (what is wished stays undone, the reason says why).
    """

    action: str
    table: str
    index: str
    reason: str
    statement: str = ""

    @property
    def text(self) -> str:
        """The step as a line for people."""
        line = f"{self.action} {self.index or self.table}: {self.reason}."
        return f"{line} {self.statement}" if self.statement else line


def serves(wish: Wish, index: Index, valid_only: bool = True) -> bool:
    """Whether queries that need C(wish) get along with C(index).

    Longer indexes do. So do the fixed columns in another order or direction, and the read ones all
    turned round, since an index can be read backwards.
    """
    if index.table != wish.table or not index.plain or (valid_only and not index.valid):
        return False
    fixed, read = len(wish.equal), len(wish.equal) + len(wish.order)
    if {key.column for key in index.keys[:fixed]} != set(wish.equal):
        return False
    along = index.keys[fixed:read]
    return along in (wish.order, tuple(key.mirrored for key in wish.order))


def plan(
    wishes: Iterable[Wish],
    columns: Mapping[str, Iterable[str]],
    indexes: Iterable[Index],
    schema: str = "public",
    engine: str = POSTGRESQL,
) -> list[Step]:
    """The steps in the order of execution.

    C(columns) are those of each table that exists. Drops come first, so that their names are free,
    ANALYZE last. Nothing is dropped but invalid indexes that were made here or that are wished.
    """
    if engine not in DIALECTS:
        raise PlanError(
            f"no statements are known for the engine {engine}; known is {', '.join(DIALECTS)}."
        )
    wishes, dialect = list(wishes), DIALECTS[engine](schema)
    if len({wish.name for wish in wishes}) != len(wishes):
        raise PlanError("two of the wished indexes have the same name.")

    possible, steps, left = list[Wish](), list[Step](), list[Index]()
    for wish in wishes:
        lack = _lack(wish, columns)
        if lack:
            steps.append(Step("skip", wish.table, wish.name, lack))
        else:
            possible.append(wish)
    for index in indexes:
        if not index.building and any(_broken(wish, index) for wish in possible):
            why = "invalid: a build that did not finish left it behind, no query uses it"
            steps.append(Step("drop", index.table, index.name, why, dialect.drop(index.name)))
        else:
            left.append(index)
    for wish in possible:
        steps += _of_wish(wish, left, dialect)
    for table in dict.fromkeys(step.table for step in steps if step.action == "create"):
        why = "a new index wants fresh statistics"
        steps.append(Step("analyze", table, "", why, dialect.analyze(table)))
    return steps


def _lack(wish: Wish, columns: Mapping[str, Iterable[str]]) -> str:
    """What the database does not have for the wish. Empty: it has all."""
    if wish.table not in columns:
        return f"there is no table {wish.table}"
    present = set(columns[wish.table])
    missing = [key.column for key in wish.keys if key.column not in present]
    return f"{wish.table} has no column {', '.join(missing)}" if missing else ""


def _of_wish(wish: Wish, indexes: Sequence[Index], dialect: Postgresql) -> list[Step]:
    def step(action: str, reason: str, statement: str = "", index: str = wish.name) -> Step:
        return Step(action, wish.table, index, reason, statement)

    serving = [index for index in indexes if serves(wish, index)]
    # Ours first, so that the answer does not change with the order of the catalogue.
    serving.sort(key=lambda index: (index.name != wish.name, not index.ours, index.name))
    if serving:
        index = serving[0]
        if index.name == wish.name and not index.comment and not index.constraint:
            why = "is there without its mark: the run that made it was cut off"
            return [step("mark", why, dialect.mark(index.name))]
        name = "is there" if index.name == wish.name else f"serves in place of {wish.name}"
        return [step("keep", f"{name}, on {columns_of(index)}", index=index.name)]

    # What is broken and still here is being built.
    for index in indexes:
        if _broken(wish, index):
            why = "invalid, and a session holds its table as one that builds it does"
            return [step("wait", why, index=index.name)]
    for index in indexes:
        if index.name == wish.name:
            why = (
                f"an index of this name, on {columns_of(index)}, does not serve"
                f" {columns_of(wish)}: rename or drop it"
            )
            return [step("conflict", why)]
    why = f"no valid index serves {columns_of(wish)}"
    return [
        step("create", why, dialect.create(wish)),
        step("mark", "so that it is known as made here", dialect.mark(wish.name)),
    ]


def columns_of(what: Wish | Index) -> str:
    """Its table and columns, for people."""
    return f"{what.table} ({', '.join(map(str, what.keys))})"


def _broken(wish: Wish, index: Index) -> bool:
    """Invalid, on the wish's table, and ours or with the wished name or definition."""
    if index.valid or index.constraint or index.table != wish.table:
        return False
    same_columns = index.plain and tuple(key.column for key in index.keys) == tuple(
        key.column for key in wish.keys
    )
    wished = same_columns and serves(wish, index, valid_only=False)
    return wished or index.name == wish.name or index.ours


@dataclass(frozen=True)
class Postgresql:
    """Statements of PostgreSQL. The CONCURRENTLY ones want to be outside a transaction."""

    schema: str

    def create(self, wish: Wish) -> str:
        """Builds while reads and writes go on."""
        return (
            f"CREATE INDEX CONCURRENTLY {quote(wish.name)}"
            f" ON {self._of(wish.table)} ({', '.join(map(self._key, wish.keys))})"
        )

    def drop(self, name: str) -> str:
        """Waits for the readers instead of stopping them."""
        return f"DROP INDEX CONCURRENTLY IF EXISTS {self._of(name)}"

    def mark(self, name: str) -> str:
        """Makes it known as ours."""
        return f"COMMENT ON INDEX {self._of(name)} IS '{MARK}'"

    def analyze(self, table: str) -> str:
        """Statistics for the planner."""
        return f"ANALYZE {self._of(table)}"

    def _of(self, name: str) -> str:
        return f"{quote(self.schema)}.{quote(name)}"

    @staticmethod
    def _key(key: Key) -> str:
        return quote(key.column) + str(key)[len(key.column) :].upper()


DIALECTS: dict[str, Callable[[str], Postgresql]] = {POSTGRESQL: Postgresql}


def quote(name: str) -> str:
    """The name as SQL takes it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def read_wish(data: Mapping[str, Any]) -> Wish:
    """A wish from C(name), C(table), C(equal) and C(order) ("column" or "column desc")."""
    unknown = set(data) - {"name", "table", "equal", "order"}
    if unknown or not data.get("name") or not data.get("table"):
        raise PlanError(f"{dict(data)} wants name, table, equal and order, and nothing else.")
    equal, order = data.get("equal") or (), data.get("order") or ()
    if isinstance(equal, str) or isinstance(order, str):
        raise PlanError(f"equal and order of {data['name']} are lists of columns.")
    wish = Wish(
        str(data["name"]), str(data["table"]), tuple(map(str, equal)), tuple(map(_read_key, order))
    )
    names = [key.column for key in wish.keys]
    if not names or len(set(names)) != len(names):
        raise PlanError(f"{wish.name} wants at least one column, and each of them once.")
    if len(wish.name.encode()) > 63:
        raise PlanError(f"the name {wish.name} is longer than 63 bytes.")
    return wish


def _read_key(text: str) -> Key:
    column, _dummy, direction = str(text).strip().partition(" ")
    direction = direction.strip().lower()
    if not column or direction not in ("", "asc", "desc"):
        raise PlanError(f"'{text}' is no column with asc or desc behind it.")
    return Key(column, direction == "desc", direction == "desc")


def read_index(data: Mapping[str, Any]) -> Index:
    """An index from a row of the catalogue: C(columns) and C(options), and the other fields."""
    try:
        keys = tuple(
            Key(str(column), bool(int(option) & 1), bool(int(option) & 2))
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
            comment=str(data["comment"] or ""),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PlanError(f"{dict(data)} is no index: {error!r}") from error
