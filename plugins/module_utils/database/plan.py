# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan which statements give a database the indexes that its queries need.

The engine's dialect decides how a statement reads, never whether it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from ansible_collections.bookface.platform.plugins.module_utils.database.dialects import (
    Postgresql,
    dialect_of,
)
from ansible_collections.bookface.platform.plugins.module_utils.database.engine import POSTGRESQL
from ansible_collections.bookface.platform.plugins.module_utils.database.indexes import (
    Index,
    PlanError,
    Table,
    Wish,
    columns_of,
)
from ansible_collections.bookface.platform.plugins.module_utils.database.text import in_bytes

# What has no index here, and what to do instead.
ELSEWHERE = {
    "view": "index the tables that it reads",
    "materialized view": "index it by hand",
    "foreign table": "index it on the server that has it",
    "partitioned table": "this version of PostgreSQL has no indexes on it: index its partitions",
}


@dataclass(frozen=True)
class Step:
    """One line of the plan. Without a C(statement) there is nothing to do.

    C(action) is create, drop, mark or analyze (to be executed), keep, skip or redundant (nothing to
    do), or wait or conflict (the index cannot be built now, for the reason given); attach makes the
    index of a partition a part of its parent's. C(size) is the estimated size of a new index, 0
    without statistics. C(brief) is as for build.Step.
    """

    action: str
    table: str
    index: str
    reason: str
    statement: str = ""
    size: int = 0
    brief: bool = False

    @property
    def text(self) -> str:
        """The step as a line for people."""
        line = f"{self.action} {self.index or self.table}: {self.reason}."
        return f"{line} {self.statement}" if self.statement else line


def serves(wish: Wish, index: Index, valid_only: bool = True) -> bool:
    """Whether C(index) serves the queries that need C(wish).

    A longer index does. So does one with the equality columns in another order or direction, or
    with all sort columns reversed, since an index can be scanned backwards.
    """
    if index.table != wish.table or not index.plain or (valid_only and not index.valid):
        return False
    fixed, read = len(wish.equal), len(wish.equal) + len(wish.order)
    if {key.column for key in index.keys[:fixed]} != set(wish.equal):
        return False
    if any(key.hashed for key in index.keys[fixed:]):
        return False  # a hash requires a value for each of its columns
    along = index.keys[fixed:read]
    return along in (wish.order, tuple(key.mirrored for key in wish.order))


def plan(
    wishes: Iterable[Wish],
    tables: Mapping[str, Table],
    indexes: Iterable[Index],
    relations: Mapping[str, str] | None = None,
    schema: str = "public",
    engine: str = POSTGRESQL,
) -> list[Step]:
    """The steps in the order of execution.

    C(tables) are those that exist, C(relations) the kinds of everything else whose name an index
    cannot have. Drops come first, so that their names are free, ANALYZE after all that is built.
    The marks come last, so that a run that is cut off before leaves it to the next one. Only
    invalid indexes that carry the mark or are wished for are dropped.
    """
    relations = relations or {}
    wishes, dialect = _distinct(wishes), dialect_of(engine, schema)
    possible, steps, left = list[Wish](), list[Step](), list[Index]()
    for wish in wishes:
        lack, kind = _lack(wish, tables), relations.get(wish.table, "")
        if wish.table not in tables and kind in ELSEWHERE:
            why = f"{wish.table} is a {kind}: {ELSEWHERE[kind]}, or leave it out of the list"
            steps.append(Step("conflict", wish.table, wish.name, why))
        elif lack:
            steps.append(Step("skip", wish.table, wish.name, lack))
        else:
            possible.append(wish)
    made_of = [part for wish in possible for part in _parts(wish, tables.get(wish.table))]
    for index in indexes:
        whole = not index.partitioned and not index.parent  # that of a partition can be repaired
        if whole and not index.building and any(_broken(part, index) for part in made_of):
            steps.append(
                _drop(index, "invalid: no query uses it, every write maintains it", dialect)
            )
        else:
            left.append(index)
    for wish in possible:
        steps += _of_wish(wish, tables[wish.table], left, relations, dialect)
    # One line for each conflict is enough.
    steps = list(dict.fromkeys(_allowed(step, tables) for step in steps))
    made = {step.index for step in steps if step.action == "create"}
    steps += _redundant(
        [*left, *(Index(w.name, w.table, dialect.keys(w)) for w in possible if w.name in made)],
        {wish.name for wish in wishes},
        {wish.table for wish in possible},
    )
    marks = [step for step in steps if step.action == "mark" and step.table in tables]
    for table in dict.fromkeys(step.table for step in marks):
        why = "a new index requires fresh statistics"
        steps.append(Step("analyze", table, "", why, dialect.analyze(table)))
    return [*(step for step in steps if step not in marks), *marks]


def undo(
    wishes: Iterable[Wish],
    indexes: Iterable[Index],
    schema: str = "public",
    engine: str = POSTGRESQL,
    tables: Mapping[str, Table] | None = None,
) -> list[Step]:
    """The steps that drop what was made here: indexes with the mark, or never finished."""
    dialect, steps, tables = dialect_of(engine, schema), list[Step](), tables or {}
    wishes = [part for wish in _distinct(wishes) for part in _parts(wish, tables.get(wish.table))]
    for index in indexes:
        if index.parent:
            continue  # goes with its parent
        broken = any(_broken(wish, index) for wish in wishes)
        if index.building and (broken or index.ours):
            why = "a session locks its table as a build does"
            steps.append(Step("wait", index.table, index.name, why))
        elif index.ours and not index.constraint:
            steps.append(_drop(index, f"made by this role, {in_bytes(index.size)}", dialect))
        elif broken:
            steps.append(
                _drop(index, "invalid: left behind by a build that did not finish", dialect)
            )
        elif index.name in {wish.name for wish in wishes}:
            why = "has a name on the list, but not the mark of the role"
            steps.append(Step("keep", index.table, index.name, why))
    return steps


def _distinct(wishes: Iterable[Wish]) -> list[Wish]:
    wishes = list(wishes)
    if len({wish.name for wish in wishes}) != len(wishes):
        raise PlanError("two indexes on the list have the same name.")
    return wishes


def _drop(index: Index, why: str, dialect: Postgresql) -> Step:
    if index.partitioned:
        statement = dialect.drop_parent(index.name)
        return Step(
            "drop", index.table, index.name, f"{why}, with all its parts", statement, 0, True
        )
    return Step("drop", index.table, index.name, why, dialect.drop(index.table, index.name))


def _allowed(step: Step, tables: Mapping[str, Table]) -> Step:
    """The step, or a conflict where the account may not take it."""
    table = tables.get(step.table)
    if not step.statement or not table or not table.owner:
        return step
    if table.join:
        why = (
            f"{step.table} belongs to {table.owner}, a role without login whose rights this account"
            f" lacks: execute {table.join} as a superuser"
        )
    else:
        why = f"{step.table} belongs to {table.owner}, who alone may index it: connect as"
        why += f" {table.owner}"
    return Step("conflict", step.table, step.index, why)


def _redundant(indexes: Sequence[Index], wished: set[str], tables: set[str]) -> list[Step]:
    """Indexes that another one makes redundant. They are reported and kept."""
    usable = [index for index in indexes if index.plain and index.valid and index.table in tables]
    # Those on the list or needed for more than speed come first.
    usable.sort(
        key=lambda index: (not index.constraint, not index.unique, index.name not in wished)
    )
    steps = []
    for place, index in enumerate(usable):
        if index.constraint or index.unique or index.name in wished:
            continue
        for other in usable:
            same = len(other.keys) == len(index.keys)
            if other is index or (same and usable.index(other) > place) or not _leads(index, other):
                continue
            why = (
                f"{columns_of(other)} of {other.name} serves the same queries as"
                f" {columns_of(index)}: if nothing else needs it, drop it by hand to save"
                f" {in_bytes(index.size)}"
            )
            steps.append(Step("redundant", index.table, index.name, why))
            break
    return steps


def _leads(index: Index, other: Index) -> bool:
    """Whether the columns of C(index) are the first ones of C(other), in either direction."""
    if index.table != other.table or not index.keys:
        return False
    first = other.keys[: len(index.keys)]
    if any(key.hashed for key in other.keys[len(index.keys) :]):
        return False
    return index.keys in (first, tuple(key.mirrored for key in first))


def _lack(wish: Wish, tables: Mapping[str, Table]) -> str:
    """What the database lacks for the wish. Empty: nothing."""
    if wish.table not in tables:
        return f"there is no table {wish.table}"
    present = tables[wish.table].columns
    missing = [key.column for key in wish.keys if key.column not in present]
    return f"{wish.table} has no column {', '.join(missing)}" if missing else ""


def _of_wish(
    wish: Wish,
    table: Table,
    indexes: Sequence[Index],
    relations: Mapping[str, str],
    dialect: Postgresql,
) -> list[Step]:
    def step(action: str, reason: str, statement: str = "", index: str = wish.name) -> Step:
        return Step(action, wish.table, index, reason, statement)

    serving = [index for index in indexes if serves(wish, index)]
    # Ours first, so that the answer does not change with the order of the catalogue.
    serving.sort(key=lambda index: (index.name != wish.name, not index.ours, index.name))
    if serving:
        index = serving[0]
        if index.name == wish.name and _as_made(wish, index, dialect) and not index.comment:
            why = "exists without its mark: the run that built it was cut off"
            return [step("mark", why, dialect.mark(index.table, index.name))]
        name = "exists" if index.name == wish.name else f"serves in place of {wish.name}"
        size = f", {in_bytes(index.size)}" if index.size else ""
        return [step("keep", f"{name}, on {columns_of(index)}{size}", index=index.name)]

    if table.partitioned:
        return _of_partitioned(wish, table, indexes, relations, dialect)
    # An invalid one that is still here is being built.
    for index in indexes:
        if _broken(wish, index):
            why = "invalid, and a session locks its table as a build does"
            return [step("wait", why, index=index.name)]
    taken = _taken(wish, indexes, relations)
    if taken:
        return [step("conflict", taken)]
    expected = estimate(wish, table)
    why = f"no valid index serves {columns_of(wish)}; it will take {_room(wish, table)}"
    why += f", and {wish.cost}" if wish.cost else ""
    return [
        Step("create", wish.table, wish.name, why, dialect.create(wish), expected),
        step(
            "mark", "so that the role recognizes it as its own", dialect.mark(wish.table, wish.name)
        ),
    ]


def _room(wish: Wish, table: Table) -> str:
    expected = estimate(wish, table)
    return f"about {in_bytes(expected)}" if expected else "an unknown size (no statistics yet)"


def _taken(wish: Wish, indexes: Iterable[Index], relations: Mapping[str, str]) -> str:
    """Who has its name. Empty: nobody."""
    for index in indexes:
        if index.name == wish.name:
            return (
                f"an index of this name, on {columns_of(index)}, does not serve"
                f" {columns_of(wish)}: rename or drop it"
            )
    if wish.name in relations:
        return f"a {relations[wish.name]} has this name: rename it, or choose another name"
    return ""


def _parts(wish: Wish, table: Table | None) -> list[Wish]:
    """The wish, and what it takes on each partition of its table."""
    partitions = table.partitions if table else ()
    return [wish, *(_on_partition(wish, partition.name) for partition in partitions)]


def _on_partition(wish: Wish, partition: str) -> Wish:
    """The wish for a partition, under a name that fits into PostgreSQL's 63 bytes."""
    name = f"{wish.name}_{partition}"
    if len(name.encode()) > 63:
        digest = sha256(name.encode()).hexdigest()[:8]
        name = f"{name.encode()[:54].decode(errors='ignore')}_{digest}"
    return replace(wish, name=name, table=partition)


def _of_partitioned(
    wish: Wish,
    table: Table,
    indexes: Sequence[Index],
    relations: Mapping[str, str],
    dialect: Postgresql,
) -> list[Step]:
    """An index that no valid one of the table itself replaces, put together from its parts.

    CREATE INDEX knows no CONCURRENTLY for a partitioned table. So its index is made empty, those of
    the partitions are built online, and attached: with the last one it becomes valid.
    """
    leaves = [partition for partition in table.partitions if not partition.partitioned]
    mine = [index for index in indexes if index.name == wish.name]
    if not mine and leaves:
        parts = [replace(wish, table=partition.name) for partition in leaves]
        if all(any(serves(part, index) for index in indexes) for part in parts):
            return [Step("keep", wish.table, wish.name, "each partition has an index that serves")]
    for partition in table.partitions:
        why = ""
        if partition.kind != "table":
            why = f"a {partition.kind}: detach it, or index the others by hand"
        elif partition.schema not in ("", dialect.schema):
            why = f"in the schema {partition.schema}: move it to {dialect.schema}, or index by hand"
        elif partition.owner:
            why = f"a table of {partition.owner}: give it the owner of {wish.table}"
        if why:
            why = f"its partition {partition.name} is {why}"
            return [Step("conflict", wish.table, wish.name, why)]
    if not dialect.partitions:
        why = f"{wish.table} is partitioned, which is supported for PostgreSQL 11 and later only"
        return [Step("conflict", wish.table, wish.name, why)]
    steps = _branch(wish, "", wish.table, table, indexes, relations, dialect)
    if not steps:
        why = "invalid, though each partition has its part: drop it, the next run rebuilds it"
        return [Step("conflict", wish.table, wish.name, why)]
    return [
        *steps,
        Step(
            "mark",
            wish.table,
            wish.name,
            "so that the role recognizes it as its own",
            dialect.mark(wish.table, wish.name),
        ),
    ]


def _branch(
    wish: Wish,
    parent: str,
    name: str,
    table: Table,
    indexes: Sequence[Index],
    relations: Mapping[str, str],
    dialect: Postgresql,
) -> list[Step]:
    """The index of the table or partition C(name), and of all below it; attached to C(parent)."""
    part = _on_partition(wish, name) if parent else wish
    attached = [
        index for index in indexes if parent and index.parent == parent and index.table == name
    ]
    if attached and attached[0].valid:
        return []
    below = [partition for partition in table.partitions if partition.parent == name]
    whole = not parent or any(p.name == name and p.partitioned for p in table.partitions)
    found = attached or [index for index in indexes if index.name == part.name]
    index = found[0] if found else None
    steps = list[Step]()

    def add(action: str, why: str, statement: str = "", brief: bool = False) -> None:
        size = estimate(wish, table) if action == "create" and not parent else 0
        steps.append(Step(action, part.table, part.name, why, statement, size, brief))

    if index and not attached and (index.table != name or not _as_made(part, index, dialect)):
        add("conflict", _taken(part, [index], {}))
    elif index and not index.valid and not whole and not index.building:
        why = f"it is invalid, and a part of {parent}: drop {parent}; the next run creates it again"
        add("conflict", why)
    elif index and not index.valid and not whole:
        add("wait", "invalid, and a session is building it")
    elif not index and part.name in relations:
        add("conflict", _taken(part, (), relations))
    elif not index and whole:
        why = f"no valid index serves {columns_of(part)}; it is built from those of its partitions"
        why += f" and will take {_room(wish, table)}"
        add("create", why, dialect.create_parent(part), True)
    elif not index:
        add("create", f"the part of {parent} on {columns_of(part)}", dialect.create(part))
    if parent and (not index or not index.comment):
        add("mark", "so that the role recognizes it as its own", dialect.mark(name, part.name))
    steps = [s for s in steps if s.action != "mark" or steps[0].action not in ("conflict", "wait")]
    if whole:
        me = index.name if index else part.name
        for partition in below:
            steps += _branch(wish, me, partition.name, table, indexes, relations, dialect)
    if parent and not attached and not any(s.action in ("conflict", "wait") for s in steps):
        why = f"makes it a part of {parent}"
        add("attach", why, dialect.attach(parent, part.name), True)
    return steps


def _broken(wish: Wish, index: Index) -> bool:
    """Invalid, on the wish's table, and with our mark or the wish's name or definition."""
    if index.valid or index.constraint or index.table != wish.table:
        return False
    same_columns = index.plain and tuple(key.column for key in index.keys) == tuple(
        key.column for key in wish.keys
    )
    if index.partitioned:  # an unfinished one can be completed
        return index.name == wish.name and same_columns
    wished = same_columns and serves(wish, index, valid_only=False)
    # REINDEX CONCURRENTLY names what it leaves behind after the index it worked on.
    leftover = index.name.rstrip("0123456789") in (f"{wish.name}_ccnew", f"{wish.name}_ccold")
    return wished or leftover or index.name == wish.name or index.ours


def _as_made(wish: Wish, index: Index, dialect: Postgresql) -> bool:
    """Whether it is exactly what C(create) builds, and not just an index that serves the wish."""
    return not index.unique and not index.constraint and index.keys == dialect.keys(wish)


def estimate(wish: Wish, table: Table) -> int:
    """Bytes that a btree for the wish will take, 0 without statistics.

    A leaf entry is a header of 8 bytes and the columns, rounded up to 8, and a pointer of 4; pages
    of 8 KiB are filled to nine tenths.
    """
    widths = [table.columns[key.column] for key in wish.keys]
    if table.rows < 0 or not all(widths):
        return 0 if table.rows else 8192
    entry = 8 + -(-sum(widths) // 8) * 8 + 4
    pages = table.rows * entry / (8192 * 0.9)
    return (1 + int(pages) + 1) * 8192  # and the page that every btree begins with
