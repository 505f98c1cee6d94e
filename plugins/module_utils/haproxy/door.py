# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The front door: where a frontend can be asked on this machine, and asking it as a client would.

A client of the site connects to its name. Here the connection goes to HAProxy's own address, with
the site's name in the Host header and in the TLS handshake, as ``curl --connect-to`` does.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    Config,
    Section,
    lines_of,
    split_words,
)

_ADDRESS = re.compile(r"(?:ipv[46]@)?(.*):(\d+)\Z")
_LOCAL = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1", "[::]": "::1"}  # noqa: S104
# A client without a certificate or a PROXY header in front of its request gets no answer there.
_OTHER_CLIENTS = frozenset(("accept-proxy", "required"))


def find_door(config: Config, section: Section) -> str | None:
    """The URL of a frontend by its binds, one with TLS if there is one; None if they show none."""
    found: list[str] = []
    for number in lines_of(config, section, ("bind",)):
        words = split_words(config.lines[number])[1:]
        options = {word.value for word in words[1:]}
        if not words or words[0].variable or options & _OTHER_CLIENTS:
            continue
        tls = "ssl" in options
        for place in words[0].value.split(","):
            address = _ADDRESS.match(place)
            if address is None or "@" in address.group(1) or "/" in address.group(1):
                continue
            host = _LOCAL.get(address.group(1), address.group(1)).strip("[]")
            host = f"[{host}]" if ":" in host else host
            url = f"http{'s' if tls else ''}://{host}:{address.group(2)}/"
            if tls:
                return url
            found.append(url)
    return found[0] if found else None


def ask(
    url: str, site: str | None, headers: Mapping[str, str], seconds: float
) -> tuple[int, bytes, Mapping[str, str]]:
    """Status, body and headers of one answer, redirects followed at the same door."""
    door = urlsplit(url).netloc
    address = urlsplit(url).hostname or ""
    # Certificates are for the site's name, and may be self-signed.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    name = (site or address).rpartition(":")[0] if re.search(r":\d+\Z", site or "") else site

    class Plain(HTTPConnection):
        def connect(self) -> None:
            self.sock = socket.create_connection((address, self.port), self.timeout)

    class Tls(HTTPSConnection):
        def connect(self) -> None:
            plain = socket.create_connection((address, self.port), self.timeout)
            named = name if name and self.host == address else self.host
            self.sock = context.wrap_socket(plain, server_hostname=named)

    def addressed(request: Request) -> Request:
        if site and request.host == door:
            request.add_unredirected_header("Host", site)
        return request

    class AskPlain(HTTPHandler):
        def http_open(self, req: Request) -> HTTPResponse:
            return self.do_open(Plain, addressed(req))

    class AskTls(HTTPSHandler):
        def https_open(self, req: Request) -> HTTPResponse:
            return self.do_open(Tls, addressed(req))

    request = Request(url, headers={"Cache-Control": "no-cache", **headers})  # noqa: S310
    with build_opener(ProxyHandler({}), AskPlain, AskTls).open(request, timeout=seconds) as reply:
        return reply.status, reply.read(), dict(reply.headers)
