# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof of a switch: the answers to requests at the front door, and HAProxy's counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import Server

BACKEND_HEADER = "X-Bookface-Backend"
_SHOWN = 200


class ProofError(HaproxyError):
    """The target does not serve as expected."""


@dataclass(frozen=True)
class Counted:
    """Counters of a backend's servers in the worker ``pid``, without its backup servers.

    A backend without servers answers by itself: then its requests count.
    """

    pid: int = 0
    sessions: int = 0
    responses: int = 0
    errors: int = 0

    def since(self, before: Counted) -> Counted:
        """What was counted since then; everything if a new worker did, which began at zero."""
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
class Traffic:
    """What a worker's frontend received, and what its backend got, from any frontend."""

    pid: int
    received: int
    forwarded: int

    def since(self, before: Traffic) -> Traffic:
        """What came since then; everything if a new worker counts, which began at zero."""
        if before.pid != self.pid:
            return self
        return Traffic(self.pid, self.received - before.received, self.forwarded - before.forwarded)

    def as_dict(self) -> dict[str, int]:
        to_backend = min(self.received, self.forwarded)
        percent = round(100 * to_backend / self.received) if self.received else 0
        return {"requests": self.received, "to_backend": to_backend, "percent": percent}


@dataclass(frozen=True)
class Expected:
    """What each answer must be. ``backend``: as in its header; None without one."""

    status: int
    content: str
    backend: str | None


@dataclass(frozen=True)
class Answer:
    status: int
    content: str
    headers: Mapping[str, str]


def count(pid: int, servers: Sequence[Server], requests: int = 0) -> Counted:
    """``requests``: those of the backend, which count if it has no servers."""
    if not servers:
        return Counted(pid, requests, requests)
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
            f"{which}: expected an answer from backend {expected.backend}, "
            f"got one from {served_by or 'an unknown backend'}",
            reason="backend",
        )


def check_counted(counted: Counted, backend: str, requests: int, errors_percent: float) -> None:
    """Whether the target's servers counted our requests, and served all other clients."""
    if counted.sessions < requests:
        raise ProofError(
            f"expected the servers of {backend} to have counted {requests} requests from the front "
            f"door, they counted {counted.sessions}",
            reason="not_counted",
        )
    if counted.errors > counted.responses * errors_percent / 100:
        raise ProofError(
            f"{counted.errors} of {counted.responses} answers from the servers of {backend} to all "
            f"clients were errors, expected at most {errors_percent} %",
            reason="errors",
        )
