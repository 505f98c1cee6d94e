# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a frontend as a client of the site would.

Such a client connects to the site's name. Here the connection goes to HAProxy's own address, with
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
