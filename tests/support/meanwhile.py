"""Somebody who goes on doing the same beside a test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Do it again and again until the block ends; the last time is waited for."""
    enough = threading.Event()

    def go_on() -> None:
        while not enough.is_set():
            act()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()
