"""What all of the test support raises."""

from __future__ import annotations


class HarnessError(Exception):
    """A server or a tool of the tests does not do what it must; the message says what."""
