# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backups are removed to make room for others."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

# DATABASE-TIME.dump, in universal time: names sort as times do.
_NAME = re.compile(r".+-([0-9]{8}T[0-9]{6}Z)[.]dump")


@dataclass(frozen=True)
class Rotation:
    """What is to be done with the backups of one database."""

    remove: list[str]
    # Whose names say that they were made after the one that was made just now.
    future: list[str]


def rotation(paths: Iterable[str], made: str, keep: int) -> Rotation:
    """Keep the latest C(keep), among them the one just made.

    The clock was wrong then, or is now. So nobody can say which of those dated in the future are
    old: they neither go nor count.
    """
    if keep < 1:
        raise ValueError(f"keep is {keep}; expected a number from 1")
    dated = {path: _time(path) for path in {*paths, made}}
    latest = dated[made]
    past = sorted((time, path) for path, time in dated.items() if time <= latest and path != made)
    return Rotation(
        remove=[path for _time, path in past[: max(0, len(past) + 1 - keep)]],
        future=sorted(path for path, time in dated.items() if time > latest),
    )


def _time(path: str) -> str:
    found = _NAME.fullmatch(PurePath(path).name)
    if not found:
        raise ValueError(f"{path} is not named DATABASE-TIME.dump")
    return found[1]
