# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The front door: where a frontend can be asked on this machine; client.py asks it.

Without the libraries for HTTP and TLS, which a switch would load on the load balancer for nothing.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Union
from urllib.parse import urlsplit, urlunsplit

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    Config,
    Section,
    lines_of,
    split_words,
)

_ADDRESS = re.compile(r"(?:ipv[46]@)?(.*):(\d+)\Z")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_LOCAL = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1", "[::]": "::1"}  # noqa: S104
# A client without a certificate or a PROXY header in front of its request gets no answer there.
_OTHER_CLIENTS = frozenset(("accept-proxy", "required"))
Network = Union[IPv4Network, IPv6Network]
Networks = tuple[Network, ...]


def find_doors(
    config: Config, section: Section, environment: Callable[[], Mapping[str, str]] = dict
) -> tuple[str, ...]:
    """The URLs of a frontend by its binds, those with TLS first; none if the binds show none.

    ``environment`` is looked up only for a bind that uses it.
    """
    found: list[str] = []
    for number in lines_of(config, section, ("bind",)):
        words = split_words(config.lines[number])[1:]
        options = {word.value for word in words[1:]}
        if not words or options & _OTHER_CLIENTS:
            continue
        places = words[0].value
        if words[0].variable:
            places = _expanded(places, environment())
        scheme = "https" if "ssl" in options else "http"
        for place in places.split(","):
            address = _ADDRESS.match(place)
            if address is None or re.search("[@/$]", address.group(1)):
                continue
            host = _LOCAL.get(address.group(1), address.group(1)).strip("[]")
            host = f"[{host}]" if ":" in host else host
            found.append(f"{scheme}://{host}:{address.group(2)}/")
    return tuple(sorted(found, key=lambda url: not url.startswith("https:")))


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    """With what is known; a variable that remains is no address."""
    return _VARIABLE.sub(lambda name: variables.get(name[1], name[0]), text)


def local_networks(routes: str, addresses6: str) -> Networks:
    """The addresses of a machine, from its /proc/net/fib_trie and /proc/net/if_inet6."""
    found: list[Network] = []
    address = ""
    for line in routes.splitlines():
        words = line.split()
        if words[:1] == ["|--"]:
            address = words[1]
        elif words[-1:] == ["LOCAL"]:
            found.append(ip_network(f"{address}{words[0]}", strict=False))
    digits = [line.split()[0] for line in addresses6.splitlines() if line.strip()]
    return (*found, *(ip_network(bytes.fromhex(address)) for address in digits))


def own_networks() -> Networks:
    """The same of this machine; none if they are unknown."""
    texts = []
    for name in ("fib_trie", "if_inet6"):
        text = ""
        with suppress(OSError):
            text = Path("/proc/net", name).read_text(encoding="ascii")
        texts.append(text)
    return local_networks(*texts)


def is_here(url: str, networks: Networks) -> bool:
    """Whether a URL leads to this machine. A name that does not resolve is for the request."""
    host = urlsplit(url).hostname or ""
    if not networks:
        return True
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return True
    places = [ip_address(str(address).partition("%")[0]) for address in found]
    return any(place in network for place in places for network in networks)


def choose_door(url: str, door: str | None, networks: Networks) -> str:
    """The URL to ask: where it leads past this frontend, the same page at the frontend's door.

    Such as the address that a pair of load balancers shares, which one of them has.
    """
    if door is None:
        return url
    given, own = urlsplit(url), urlsplit(door)
    port = given.port or (443 if given.scheme == "https" else 80)
    # A frontend that listens on all addresses can be asked at each of them.
    everywhere = own.hostname in _LOCAL.values()
    past = port == own.port and given.hostname != own.hostname and not everywhere
    if past or not is_here(url, networks):
        return urlunsplit((own.scheme, own.netloc, given.path or "/", given.query, ""))
    return url
