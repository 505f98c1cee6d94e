# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a login of the pages is replaced: accounts of the database, libpq's and PgBouncer's files."""

from __future__ import annotations

import hashlib
import hmac
import re
import stringprep
from base64 import b64decode
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any
from unicodedata import normalize

# Names of PostgreSQL have 63 bytes at most.
_STEM = 48


@dataclass(frozen=True)
class Plan:
    """What is to be done to give an account another password."""

    # It exists, can log in, and has the password already.
    current: bool
    # The account that pages log in as meanwhile. Empty: nobody has to change first.
    bridge: str
    # Such accounts that are there, of this rotation or of one that was given up.
    leftovers: list[str]


def bridge_pattern(user: str) -> str:
    """Regular expression, of Python as of PostgreSQL, for the bridges of an account."""
    return f"^{re.escape(_stem(user))}[0-9]*$"


def plan(accounts: Iterable[Mapping[str, Any]], user: str, matching: Collection[str]) -> Plan:
    """Of C(accounts) with the password, C(matching) has the names.

    C(ours) says whether one has the rights of the pages by membership, as those that we make; any
    other one only takes a name away.
    """
    known = {account["name"]: account for account in accounts}
    leftovers = sorted(name for name, one in known.items() if name != user and one["ours"])
    if user not in known or not known[user]["login"]:
        # Nobody logs in with it.
        return Plan(current=False, bridge="", leftovers=leftovers)
    if user in matching:
        return Plan(current=True, bridge="", leftovers=leftovers)

    def usable(name: str) -> bool:
        # One with a third password may be in use: somebody has changed the variable in the middle.
        one = known.get(name)
        return one is None or (one["ours"] and (name in matching or not one["login"]))

    names = (f"{_stem(user)}{number if number > 1 else ''}" for number in count(1))
    return Plan(current=False, bridge=next(filter(usable, names)), leftovers=leftovers)


def _stem(user: str) -> str:
    return f"{user[:_STEM]}_rotation"


def pgpass_overlap(new: str, before: str, user: str) -> str:
    """A password file with which C(user) finds the new password, and others what they had.

    Pages read their configuration first and this file later: it may change in between.
    """
    *place, _any, password = _fields(new)
    if _password(before, place, user) == password:
        return before
    return _line(*place, user, password) + before


def pgpass_differs(new: str, before: str, user: str) -> bool:
    """Whether C(user) had another password for the same database."""
    *place, _any, password = _fields(new)
    return _password(before, place, user) not in (None, password)


def pgpass_bridged(before: str, user: str) -> bool:
    """Whether it has a bridge of C(user): a rotation is unfinished."""
    accounts = (_unescaped(raw[-2]) for line in before.split("\n") if len(raw := _split(line)) > 1)
    return any(re.match(bridge_pattern(user), account) for account in accounts)


def _password(text: str, place: list[str], user: str) -> str | None:
    """What libpq finds: the first line that matches."""
    for line in text.split("\n"):
        if line.startswith("#") or len(raw := _split(line)) != len(place) + 2:
            continue
        wanted = zip(raw[:-1], [*place, user], strict=True)
        if all(field == "*" or _unescaped(field) == value for field, value in wanted):
            return _unescaped(raw[-1])
    return None


def _fields(line: str) -> list[str]:
    return [_unescaped(field) for field in _split(line.rstrip("\n"))]


def _split(line: str) -> list[str]:
    return re.findall(r"(?:^|:)((?:[^\\:]|\\.|\\$)*)", line)


def _unescaped(field: str) -> str:
    return re.sub(r"\\(.)", r"\1", field)


def _line(*fields: str) -> str:
    return ":".join(re.sub(r"([\\:])", r"\\\1", field) for field in fields) + "\n"


def userlist_overlap(new: str, before: str) -> str:
    """A user list of PgBouncer's with the accounts of both; the new one counts."""
    given = {name for name, _secret in _users(new)}
    kept = (f"{_quoted(name)} {_quoted(secret)}" for name, secret in _users(before))
    lines = (f"{line}\n" for line in kept if _users(line)[0][0] not in given)
    return new + "".join(lines)


def userlist_differs(before: str, user: str, password: str) -> bool:
    """Whether the account had another password, kept as it is or as a secret of SCRAM."""
    secret = dict(_users(before)).get(user)
    return secret is not None and secret != password and not _is_secret_of(secret, password)


def userlist_bridged(before: str, user: str) -> bool:
    """Whether it has a bridge of C(user): a rotation is unfinished."""
    return any(re.match(bridge_pattern(user), name) for name, _secret in _users(before))


def _users(text: str) -> list[tuple[str, str]]:
    found = re.findall(r'^"((?:[^"]|"")*)" "((?:[^"]|"")*)"', text, re.MULTILINE)
    return [(name.replace('""', '"'), secret.replace('""', '"')) for name, secret in found]


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


# RFC 4013, section 2.3: what no prepared password has, and what Unicode 3.2 did not know.
_PROHIBITED = (
    stringprep.in_table_a1,
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def preparable(password: str) -> bool:
    """Whether SCRAM has a form in which the password is compared."""
    kept = (one for one in password if not stringprep.in_table_b1(one))
    spaced = "".join(" " if stringprep.in_table_c12(one) else one for one in kept)
    prepared = normalize("NFKC", spaced)
    if any(prohibited(one) for one in prepared for prohibited in _PROHIBITED):
        return False
    leftward = [stringprep.in_table_d1(one) for one in prepared]
    # RFC 3454, section 6: what is written to the left begins and ends so, without other letters.
    return not any(leftward) or (
        leftward[0] and leftward[-1] and not any(map(stringprep.in_table_d2, prepared))
    )


def _is_secret_of(secret: str, password: str) -> bool:
    """RFC 5802, section 3: the key of the server."""
    found = re.fullmatch(r"SCRAM-SHA-256\$([0-9]+):([^$]+)\$[^:]+:(.+)", secret)
    if not found:
        return False
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), b64decode(found[2]), int(found[1]))
    return hmac.compare_digest(hmac.digest(salted, b"Server Key", "sha256"), b64decode(found[3]))
