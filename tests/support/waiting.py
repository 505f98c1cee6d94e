"""Waiting for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.support.errors import HarnessError


def until(
    condition: Callable[[], object], what: str | Callable[[], str], seconds: float = 120
) -> float:
    """Wait for the condition; return the seconds it took.

    ``what``, or what it returns, names in the error what did not happen in time.
    """
    began = time.monotonic()
    while True:
        asked = time.monotonic()
        if condition():
            return time.monotonic() - began
        now = time.monotonic()
        if now - began > seconds:
            missing = what if isinstance(what, str) else what()
            raise HarnessError(f"not within {seconds:g} s: {missing}")
        # An expensive question is not asked more than half of the time.
        time.sleep(min(max(now - asked, 0.01), 0.5))
