"""What can go wrong with a load, and with a response."""

from __future__ import annotations


class LoadError(ValueError):
    """The load cannot be run as asked; the message says why."""


class BadResponseError(Exception):
    """What arrived is not an HTTP response."""


class EndedEarlyError(Exception):
    """The connection ended before the response did."""
