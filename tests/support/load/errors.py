"""What can go wrong with a load, and with a response."""

from __future__ import annotations


class LoadError(ValueError):
    """Invalid arguments or an invalid call of the load."""


class BadResponseError(Exception):
    """What arrived is not an HTTP response."""


class EndedEarlyError(Exception):
    """The connection ended before the response did."""
