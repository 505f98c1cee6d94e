# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose SSH keys a server has: the keypair of the account that created it, and those of the team.

A keypair belongs to one account, and no other sees it. So each server carries the fingerprints of
its keys as metadata.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

KEY_MARK = "bookface_key"


def fingerprint(public_key: str) -> str:
    """As ssh-keygen -l shows it."""
    data = [*public_key.split(), "", ""][1]
    try:
        raw = base64.b64decode(data, validate=True)
    except binascii.Error:
        raw = data.encode()
    return "SHA256:" + base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")


def in_words(public_key: str) -> str:
    """A key for people: its fingerprint, and its comment, which usually says whose it is."""
    comment = " ".join(public_key.split()[2:])[:100]
    return f"{fingerprint(public_key)} {comment or '(no comment)'}"


def marks(public_keys: Iterable[str]) -> dict[str, str]:
    """The metadata of a server with these keys. A value has at most 255 characters."""
    return {
        f"{KEY_MARK}_{number}": in_words(key) for number, key in enumerate(unique(public_keys), 1)
    }


def unique(public_keys: Iterable[str]) -> list[str]:
    """Each key once, whatever its comment."""
    found: dict[str, str] = {}
    for key in public_keys:
        found.setdefault(fingerprint(key), key)
    return list(found.values())


def held(metadata: Mapping[str, str]) -> dict[str, str]:
    """Fingerprint → the key in words, of the keys that a server was given."""
    return {
        value.split()[0]: value
        for name, value in sorted(metadata.items())
        if name.startswith(f"{KEY_MARK}_") and value.split()
    }


def more(metadata: Mapping[str, str], public_keys: Sequence[str]) -> dict[str, str]:
    """The metadata for the keys that a server does not have yet."""
    there = held(metadata)
    new = [key for key in unique(public_keys) if fingerprint(key) not in there]
    taken = {name for name in metadata if name.startswith(f"{KEY_MARK}_")}
    free = (
        name
        for number in range(1, len(taken) + len(new) + 1)
        if (name := f"{KEY_MARK}_{number}") not in taken
    )
    return {name: in_words(key) for name, key in zip(free, new, strict=False)}


def with_keys(user_data: str, public_keys: Sequence[str]) -> str:
    """User data that also gives the keys to the account of the image."""
    if not public_keys:
        return user_data
    first = user_data.rstrip("\n") + "\n" if user_data else "#cloud-config\n"
    return f"{first}ssh_authorized_keys: {json.dumps(list(public_keys))}\n"
