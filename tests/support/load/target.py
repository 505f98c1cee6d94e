"""What to ask: URLs, resolved, and headers."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import socket
import urllib.parse
from collections.abc import Sequence
from typing import Any

from .errors import LoadError

_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fe80::/10",
        "fc00::/7",
    )
)


@dataclasses.dataclass(frozen=True)
class Target:
    """One URL, resolved, with its requests ready to be sent."""

    url: str
    family: int
    address: Any  # as socket.connect wants it, different per family
    request_close: bytes
    request_keep: bytes


def resolve(
    url: str, headers: Sequence[tuple[str, str]] = (), allow_public: bool = False
) -> Target:
    """Check and resolve a URL; raises LoadError with the reason."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = 80 if parts.port is None else parts.port
    except ValueError as error:
        raise LoadError(f"{url}: {error}") from None
    if parts.scheme == "https":
        raise LoadError(f"{url}: https is not supported, only http")
    if parts.scheme != "http" or not parts.hostname:
        raise LoadError(f"expected a URL of the form http://HOST[:PORT]/PATH, got {url}")
    if "@" in parts.netloc or not parts.netloc.isascii():
        raise LoadError(f"{url}: a user or non-ASCII characters in the host part are not supported")
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise LoadError(f"{url}: cannot resolve {parts.hostname}: {error}") from None
    for info in found:
        if not allow_public and not _is_private(str(info[4][0])):
            raise LoadError(
                f"{url}: {info[4][0]} is a public address. Use --allow-public if you are allowed"
                " to put load on it."
            )
    family, _type, _proto, _name, address = min(found, key=lambda i: i[0] != socket.AF_INET)
    path = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    query = urllib.parse.quote(parts.query, safe="/%:@!$&'()*+,;=~?[]|")
    line = f"GET {path}{'?' + query if query else ''} HTTP/1.1"
    return Target(
        url=url,
        family=family,
        address=address,
        request_close=_request(line, parts.netloc, "close", headers),
        request_keep=_request(line, parts.netloc, "keep-alive", headers),
    )


def _is_private(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    return any((mapped or ip) in network for network in _PRIVATE)


def _request(line: str, host: str, connection: str, extra: Sequence[tuple[str, str]]) -> bytes:
    own = [
        ("Host", host),
        ("User-Agent", "bookface-load"),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),
        ("Connection", connection),
    ]
    replaced = {name.lower() for name, _value in extra}
    headers = [item for item in own if item[0].lower() not in replaced] + list(extra)
    return "".join(
        [f"{line}\r\n", *(f"{name}: {value}\r\n" for name, value in headers), "\r\n"]
    ).encode("latin-1")


def parse_header(text: str) -> tuple[str, str]:
    """`Name: value`, and nothing that could smuggle in another line."""
    name, colon, value = text.partition(":")
    value = value.strip()
    if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise LoadError(f"header: expected 'Name: value', got {text!r}")
    if not re.fullmatch(r"[\t\x20-\x7e\xa0-\xff]*", value):
        raise LoadError(f"header {name}: the value has characters that are not allowed in a header")
    return name, value
