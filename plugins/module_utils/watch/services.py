# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends through Apprise, which knows the services."""

from __future__ import annotations

import contextlib
import importlib
import logging
import re
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.watch.notify import (
    Outcome,
    Send,
    Target,
)

# What Apprise logs when a service refuses: the only part of it that surely has no secret.
STATUS = re.compile(r"\berror=(\d{3})\b")
# Timeout, too early, too many requests.
PERHAPS_LATER = ("408", "425", "429")


class _TimeIsUpError(BaseException):
    """Raised within Apprise, which catches every Exception."""


class _Statuses(logging.Handler):
    """Keeps the status codes of what is logged, and nothing else: URLs are secrets."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found += STATUS.findall(record.getMessage())


def sender(seconds: float) -> Send:
    """What sends one message to one target within this time. Only for the main thread."""

    def send(target: Target, title: str, body: str) -> Outcome:
        try:
            _apprise()
            with _limited(seconds), _statuses() as statuses:
                service = _service(target.url, seconds)
                if service is None:
                    return Outcome(
                        False, "Apprise does not know this kind of URL, or it is incomplete"
                    )
                ok = service.notify(title=title, body=body, body_format="text")
        except _TimeIsUpError:
            return Outcome(False, f"no answer within {seconds:g} s")
        except Exception as error:
            # Its text may have the URL in it.
            return Outcome(False, f"Apprise failed with {type(error).__name__}")
        if ok:
            return Outcome(True)
        if statuses.found:
            status = statuses.found[-1]
            refused = status.startswith("4") and status not in PERHAPS_LATER
            return Outcome(False, f"answered {status}", refused)
        return Outcome(False, "not reached, or no answer")

    return send


def known(target: Target) -> bool:
    """Whether Apprise can make something of the URL. Asks nobody."""
    _apprise()
    try:
        with _statuses():
            return _service(target.url, 1) is not None
    except Exception:
        # Its text may have the URL in it.
        return False


def _apprise() -> Any:
    """The library, imported only when there is something to send: it is large."""
    return importlib.import_module("apprise")


def _service(url: str, seconds: float) -> Any:
    apprise = _apprise()
    # The time is limited here: a thread that Apprise abandons would keep the program from ending.
    asset = apprise.AppriseAsset(
        app_id="bookface-watch",
        app_desc="bookface.platform's watch",
        async_mode=False,
        service_timeout=0,
    )
    service = apprise.Apprise(asset=asset)
    if not service.add(url):
        return None
    for one in service:
        one.socket_connect_timeout = one.socket_read_timeout = seconds
    return service


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """An answer that comes drop by drop outlives every timeout of a socket."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise _TimeIsUpError

    before = signal.signal(signal.SIGALRM, end)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *timer)


@contextlib.contextmanager
def _statuses() -> Iterator[_Statuses]:
    """Nothing that Apprise and its libraries log is printed."""
    kept = _Statuses()
    log = logging.getLogger("apprise")
    others = [logging.getLogger(name) for name in ("urllib3", "requests")]
    before = [(one, one.propagate) for one in (log, *others)]
    for one in (log, *others):
        one.propagate = False
    log.addHandler(kept)
    try:
        yield kept
    finally:
        log.removeHandler(kept)
        for one, propagate in before:
            one.propagate = propagate
