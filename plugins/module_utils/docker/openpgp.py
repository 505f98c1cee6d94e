# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys in an ASCII-armored OpenPGP file: fingerprint and expiry (RFC 4880, RFC 9580).

A minimal machine has no gpg, and since Debian 13 apt brings none. Whether a signature is good is
for apt to say. But one of apt's verifiers takes what an expired key signed while it was good, the
other does not: so the expiry is read here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

_BEGIN = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_END = "-----END PGP PUBLIC KEY BLOCK-----"
_SIGNATURE, _PUBLIC_KEY, _PUBLIC_SUBKEY = 2, 6, 14
# Certifications of a name, and the signature directly on the key.
_SELF_SIGNATURES = (0x10, 0x11, 0x12, 0x13, 0x1F)
_CREATED, _EXPIRES_AFTER, _ISSUER = 2, 9, 16


@dataclass(frozen=True)
class Key:
    """A primary key; C(expires) in seconds since 1970, None for never."""

    fingerprint: str
    expires: int | None


class KeyFileError(ValueError):
    """A text without a public key that apt can read."""


def blocks(text: str) -> Iterator[bytes]:
    """The binary content of each armored block of public keys."""
    for part in text.replace("\r\n", "\n").split(_BEGIN)[1:]:
        armored, end, _rest = part.partition(_END)
        # Headers end with an empty line; the last line may be a checksum.
        _headers, _blank, body = armored.partition("\n\n")
        lines = [line for line in body.split("\n") if line and not line.startswith("=")]
        try:
            if not end:
                raise ValueError("no end")
            yield base64.b64decode("".join(lines), validate=True)
        except (ValueError, binascii.Error) as error:
            raise KeyFileError(f"a broken block of public keys ({error})") from None


def packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and body of each packet. Keys have bodies of one piece, so partial lengths are errors."""
    at = 0
    try:
        while at < len(data):
            head = data[at]
            at += 1
            if not head & 0x80:
                raise KeyFileError("something that is not an OpenPGP packet")
            if head & 0x40:
                tag, first = head & 0x3F, data[at]
                at += 1
                if first < 192:
                    size = first
                elif first < 224:
                    size = ((first - 192) << 8) + data[at] + 192
                    at += 1
                elif first == 255:
                    size = int.from_bytes(data[at : at + 4], "big")
                    at += 4
                else:
                    raise KeyFileError("a packet of unknown length")
            else:
                tag, kind = (head >> 2) & 0x0F, head & 0x03
                if kind == 3:
                    raise KeyFileError("a packet of unknown length")
                width = 1 << kind
                size = int.from_bytes(data[at : at + width], "big")
                at += width
            if at + size > len(data):
                raise KeyFileError("a packet that is cut off")
            yield tag, data[at : at + size]
            at += size
    except IndexError:
        raise KeyFileError("a packet that is cut off") from None


def _fingerprint(body: bytes) -> str:
    if body[:1] == b"\x04":
        # The format prescribes SHA-1 here.
        seed = b"\x99" + len(body).to_bytes(2, "big") + body
        return hashlib.sha1(seed, usedforsecurity=False).hexdigest().upper()
    if body[:1] == b"\x06":
        return hashlib.sha256(b"\x9b" + len(body).to_bytes(4, "big") + body).hexdigest().upper()
    raise KeyFileError("a key of a version other than 4 and 6")


def _subpackets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and content of each subpacket of a signature."""
    at = 0
    while at < len(data):
        size = data[at]
        at += 1
        if size == 255:
            size = int.from_bytes(data[at : at + 4], "big")
            at += 4
        elif size >= 192:
            size = ((size - 192) << 8) + data[at] + 192
            at += 1
        yield data[at] & 0x7F, data[at + 1 : at + size]
        at += max(size, 1)


def _lifetime(body: bytes, key_id: str) -> tuple[int, int] | None:
    """When a self-signature was made, and for how many seconds the key is valid (0: forever)."""
    if body[:1] != b"\x04" or body[1] not in _SELF_SIGNATURES:
        return None
    end = 6 + int.from_bytes(body[4:6], "big")
    hashed = dict(_subpackets(body[6:end]))
    more = int.from_bytes(body[end : end + 2], "big")
    issuer = {**dict(_subpackets(body[end + 2 : end + 2 + more])), **hashed}.get(_ISSUER, b"")
    if issuer.hex().upper() != key_id:
        return None
    made, after = hashed.get(_CREATED, b""), hashed.get(_EXPIRES_AFTER, b"")
    return int.from_bytes(made, "big"), int.from_bytes(after, "big")


def keys(text: str) -> list[Key]:
    """The primary keys in the text, in its order; at least one."""
    found = []
    for block in blocks(text):
        body, signatures = b"", list[bytes]()
        # Nothing follows the last key.
        for tag, content in [*packets(block), (_PUBLIC_KEY, b"")]:
            if tag == _SIGNATURE:
                signatures.append(content)
            if tag in (_PUBLIC_KEY, _PUBLIC_SUBKEY) and body:
                found.append(_key(body, signatures))
                body = b""
            if tag == _PUBLIC_KEY:
                body, signatures = content, []
    if not found:
        raise KeyFileError(f"no ASCII-armored public key (no line {_BEGIN})")
    return found


def _key(body: bytes, signatures: list[bytes]) -> Key:
    """A key with the expiry of its newest self-signature."""
    fingerprint = _fingerprint(body)
    try:
        lifetimes = [found for s in signatures if (found := _lifetime(s, fingerprint[-16:]))]
    except IndexError:
        raise KeyFileError("a signature that is cut off") from None
    after = max(lifetimes)[1] if lifetimes else 0
    return Key(fingerprint, int.from_bytes(body[1:5], "big") + after if after else None)


def normal(fingerprint: str) -> str:
    """A fingerprint without the spaces, colons and prefix that people write."""
    return fingerprint.upper().removeprefix("0X").replace(" ", "").replace(":", "")
