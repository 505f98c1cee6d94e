# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof of a switch: what answers came through the front door, and what HAProxy counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import Server

BACKEND_HEADER = "X-Bookface-Backend"
_SHOWN = 200


class ProofError(HaproxyError):
    """The target does not serve as it must."""


@dataclass(frozen=True)
class Counted:
    """What the servers of a backend have counted in the worker ``pid``; backup servers do not."""

    pid: int = 0
    sessions: int = 0
    responses: int = 0
    errors: int = 0

    def since(self, before: Counted) -> Counted:
        """What was counted since then; everything if another worker did, which began at zero."""
        if before.pid != self.pid:
            return self
        return Counted(
            self.pid,
            self.sessions - before.sessions,
            self.responses - before.responses,
            self.errors - before.errors,
        )

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True)
class Expected:
    """What each answer must be. ``backend``: named by its header; None where none is set."""

    status: int
    content: str
    backend: str | None


@dataclass(frozen=True)
class Answer:
    status: int
    content: str
    headers: Mapping[str, str]


def count(pid: int, servers: Iterable[Server]) -> Counted:
    counted = [server for server in servers if not server.backup]
    return Counted(
        pid,
        sum(server.sessions_total for server in counted),
        sum(server.responses for server in counted),
        sum(server.errors for server in counted),
    )


def check_answer(answer: Answer, expected: Expected, which: str) -> None:
    if answer.status != expected.status:
        raise ProofError(
            f"{which}: expected status {expected.status}, got {answer.status}", reason="status"
        )
    if expected.content not in answer.content:
        raise ProofError(
            f"{which}: expected '{expected.content}' in the page, got '{answer.content[:_SHOWN]}'",
            reason="content",
        )
    found = {name.lower(): value for name, value in answer.headers.items()}
    served_by = found.get(BACKEND_HEADER.lower(), "")
    if expected.backend is not None and served_by != expected.backend:
        raise ProofError(
            f"{which}: expected an answer of backend {expected.backend}, "
            f"got one of {served_by or 'an unknown backend'}",
            reason="backend",
        )


def check_counted(counted: Counted, backend: str, requests: int, errors_percent: float) -> None:
    """Whether the target's servers counted our requests, and answer all other clients well."""
    if counted.sessions < requests:
        raise ProofError(
            f"{requests} requests went in at the front door, "
            f"the servers of {backend} counted {counted.sessions}",
            reason="not_counted",
        )
    if counted.errors > counted.responses * errors_percent / 100:
        raise ProofError(
            f"{counted.errors} of {counted.responses} answers that the servers of {backend} gave "
            f"to all clients were errors, {errors_percent} % are allowed",
            reason="errors",
        )
