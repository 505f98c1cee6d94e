# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to Docker's API over its socket, with nothing but Python."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any


class ApiError(Exception):
    """The engine does not answer, or not with success."""


class _Connection(http.client.HTTPConnection):
    """HTTP on the engine's socket."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(where: str, path: str, seconds: float) -> Any:
    """The answer of the engine behind a socket to a question by C(path), such as C(/info)."""
    connection = _Connection(where, seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        told = json.loads(answer.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ApiError(f"{path.partition('?')[0]}: {error or type(error).__name__}") from None
    finally:
        connection.close()
    if answer.status != 200:
        said = told.get("message") if isinstance(told, dict) else told
        raise ApiError(" ".join(str(said).split())[:300])
    return told
